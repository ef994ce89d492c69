"""The learning bandit in small worlds: it finds what is better and stays where nothing is."""

import numpy as np
import pytest

from policies.bandits import Evidence
from policies.bandits.safe_gp import allocate

GRID = (0.1, 0.3, 0.5, 0.7, 0.9, 1.1)


def simulate(means: list[float], baseline: int, seed: int, requests: int = 2_000) -> list[float]:
    """The allocation after so many rated requests, recomputed every hundred, with a control share of 5 %."""
    rng = np.random.default_rng(seed)
    n, s = np.zeros(len(means)), np.zeros(len(means))
    p = np.zeros(len(means))
    for t in range(requests):
        if t % 100 == 0:
            m = np.divide(s, n, out=np.full(len(means), 0.5), where=n > 0)
            arms = [Evidence(x, n[i], m[i], m[i] * (1 - m[i])) for i, x in enumerate(GRID)]
            p = 0.95 * np.array(allocate(arms, baseline, 0.25, t))
            p[baseline] += 0.05
        arm = rng.choice(len(means), p=p)
        n[arm] += 1
        s[arm] += rng.random() < means[arm]
    return list(p)


@pytest.mark.parametrize("seed", range(4))
def test_most_traffic_moves_to_the_better_arms(seed: int) -> None:
    means = [0.8 - 1.5 * (x - 0.8) ** 2 for x in GRID]
    p = simulate(means, GRID.index(0.5), seed)
    assert sum(p[3:5]) >= 0.8


@pytest.mark.parametrize("seed", range(4))
def test_where_the_policy_is_right_it_keeps_nearly_all(seed: int) -> None:
    means = [0.8 - 1.5 * (x - 0.5) ** 2 for x in GRID]
    assert sum(simulate(means, GRID.index(0.5), seed)[1:4]) >= 0.95
