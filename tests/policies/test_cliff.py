"""Cliffs are found from few rewards, and nobody goes near one boldly."""

import numpy as np
import pytest

from policies.arms import solid
from policies.bandits import Evidence, Prior
from policies.bandits.cliff import CLEARED, FALLEN, footing
from policies.bandits.safe_gp import UNTRIED, allocate

PLACES = (0.6, 0.8, 1.0, 1.2, 1.4)


def arms(*means: float, n: float = 20.0, ground: bool = False) -> list[Evidence]:
    return [Evidence(x, n, m, m * (1 - m), solid=ground) for x, m in zip(PLACES, means, strict=True)]


def test_an_arm_that_falls_apart_is_told_from_one_that_is_only_worse() -> None:
    ground = footing(arms(0.7, 0.7, 0.7, 0.66, 0.42, n=30.0), 0.7)
    assert (ground[:4] > CLEARED).all()
    assert ground[4] < -FALLEN


def test_nothing_is_said_of_an_arm_without_rewards() -> None:
    assert footing(arms(*[0.0] * 5, n=0.0), 0.7).tolist() == [0.0] * 5


def test_what_alike_cells_fell_over_needs_no_fall_of_ones_own() -> None:
    others = Prior(np.zeros(5), np.eye(5), np.array([0, 0, 0, 0, 40.0]), np.array([0, 0, 0, 0, -0.3]))
    assert footing(arms(*[0.0] * 5, n=0.0), 0.7, others)[4] < -FALLEN


def test_an_untried_arm_gets_a_little_unless_it_is_solid_ground() -> None:
    """However well its neighbours do."""
    climbing = [Evidence(x, 300, 0.4 + 0.3 * x, 0.2) for x in PLACES[:4]]
    careful = allocate([*climbing, Evidence(1.4)], 0, 0.25, 3)
    bold = allocate([*climbing, Evidence(1.4, solid=True)], 0, 0.25, 3)
    assert 0 < careful[4] <= UNTRIED + 1e-9
    assert bold[4] > careful[4]


def test_a_fallen_arm_gets_nothing() -> None:
    assert allocate(arms(0.7, 0.7, 0.7, 0.42, 0.42, n=200.0), 2, 0.25, 3)[3:] == (0.0, 0.0)


@pytest.mark.parametrize(
    ("parameter", "arm", "baseline", "known"),
    [
        ("temperature", 0.9, 0.3, True),
        ("temperature", 1.2, 0.3, False),
        ("temperature", 1.2, 1.3, True),
        ("temperature", None, 0.3, True),
        ("max_tokens", 16, 64, False),
    ],
)
def test_solid_ground(parameter: str, arm: float | None, baseline: float, known: bool) -> None:
    assert solid(parameter, arm, baseline) is known
