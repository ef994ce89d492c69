"""Cliffs: places where answers fall apart at once, as models do at some temperature. No smooth curve expects them, so each arm that
is not known for solid ground is held to be one until its own rewards say otherwise.
"""

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from policies.bandits.evidence import Evidence, Prior

Array = NDArray[np.float64]

# Chosen with the constants of safe_gp: bench/learning.
DROP = 0.235  # what an arm over the edge earns less than the baseline
SLIP = 0.03  # and what one that is only worse does
CLEARED, FALLEN = 2.0, 1.5  # logarithms of odds (nats) from which on an arm is safe ground, or over the edge
LEAST = 0.05  # variance of a reward


def footing(arms: Sequence[Evidence], level: float, prior: Prior | None = None) -> Array:
    """(arms,) by how much more likely, in nats, an arm's own rewards are if it stands beside a baseline that earns `level`
    than if it is over the edge. Those of alike cells count as far as they are alike."""
    n, mean = (np.array([getattr(arm, k) for arm in arms]) for k in ("n", "mean"))
    odds = n * _each(mean - level)
    if prior is not None:
        odds = odds + prior.n * _each(prior.beside)
    return np.asarray(odds / (2 * max(level * (1 - level), LEAST)))


def _each(beside: Array) -> Array:
    return np.asarray((beside + DROP) ** 2 - (beside + SLIP) ** 2)
