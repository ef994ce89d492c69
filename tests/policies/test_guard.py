"""Guard: it may be asked as often as one likes."""

import numpy as np
import pytest

from policies.bandits import Evidence
from policies.bandits.guard import falls_short


def ever(served: float, control: float, seed: int, looks: int = 200) -> bool:
    """Whether a rollback was ever asked for, with 20 more labels on the one side and 5 on the other at each look."""
    rng = np.random.default_rng(seed)
    n, s = np.zeros(2), np.zeros(2)
    for _ in range(looks):
        n += (20, 5)
        s += (rng.binomial(20, served), rng.binomial(5, control))
        mean = s / n
        a, b = (Evidence(0.0, float(n[i]), float(mean[i]), float(mean[i] * (1 - mean[i]))) for i in (0, 1))
        if falls_short([(0.5, a)], b, 0.0):
            return True
    return False


def test_equals_are_seldom_rolled_back_however_often_one_looks() -> None:
    assert sum(ever(0.7, 0.7, seed) for seed in range(100)) <= 5


def test_what_is_worse_is_rolled_back() -> None:
    assert all(ever(0.5, 0.7, seed) for seed in range(20))


@pytest.mark.parametrize("n", [0.0, 5.0])
def test_a_few_labels_are_no_reason(n: float) -> None:
    assert not falls_short([(0.5, Evidence(0.0, n, 0.0, 0.0))], Evidence(0.0, 500.0, 1.0, 0.0), 0.0)
    assert not falls_short([], Evidence(0.0, 500.0, 1.0, 0.0), 0.0)


def test_a_margin_is_granted() -> None:
    served, control = Evidence(0.0, 1e5, 0.90, 0.05), Evidence(0.0, 1e5, 0.92, 0.05)
    assert falls_short([(0.5, served)], control, 0.0)
    assert not falls_short([(0.5, served)], control, 0.02)


def test_what_was_tried_and_left_is_no_reason_and_what_is_served_is() -> None:
    good, bad, control = (Evidence(0.0, 500.0, mean, 0.2) for mean in (0.8, 0.3, 0.7))
    assert not falls_short([(0.9, good), (0.0, bad)], control, 0.0)
    assert falls_short([(0.0, good), (0.1, bad)], control, 0.0)
