"""The curve of a cell: a Gaussian process over its ordered arms, for what each of them truly earns."""

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from policies.bandits.evidence import Evidence, Prior

Array = NDArray[np.float64]

# Found in simulation over six tasks and nine temperatures, and confirmed on other seeds: bench/learning.
LEVEL_SD, SHAPE_SD, LENGTH = 0.25, 0.066, 0.43  # prior standard deviations of level and shape; length on the axis
PRIOR_DIP, PRIOR_STEP = 0.012, 0.4  # the policy's value is expected to be best, by 1.2 points at a distance of 0.4
FLOOR = 0.02  # least variance of a reward: a few equal rewards are no certainty


def posterior(arms: Sequence[Evidence], baseline: int, prior: Prior | None = None) -> tuple[Array, Array]:
    """Mean (K,) and covariance (K, K) of the arms' true rewards. `prior` is what other cells know of the shape."""
    n = np.array([a.n for a in arms])
    seen = n > 1e-9
    shape = expected(arms, baseline) + (prior.mean if prior else 0.0)
    before = LEVEL_SD**2 + (prior.cov if prior else kernel(np.array([a.position for a in arms])))
    if not seen.any():
        return shape + 0.5, before
    off = np.array([a.mean for a in arms])[seen] - shape[seen]
    level = float(np.average(off, weights=n[seen]))
    gain = np.linalg.solve(before[np.ix_(seen, seen)] + np.diag(noise_of(arms)[seen]), before[seen]).T
    mean = shape + level + gain @ (off - level)
    cov = before - gain @ before[seen]
    return mean, (cov + cov.T) / 2


def kernel(places: Array) -> Array:
    """(K, K) covariance of the shape at places on the axis: near ones earn alike."""
    apart = (places[:, None] - places[None, :]) / LENGTH
    return np.asarray(SHAPE_SD**2 * np.exp(-0.5 * apart**2))


def expected(arms: Sequence[Evidence], baseline: int) -> Array:
    """(K,) what each arm is expected to earn beside the baseline before anything was seen."""
    x = np.array([a.position for a in arms])
    return np.asarray(-PRIOR_DIP * np.minimum(((x - x[baseline]) / PRIOR_STEP) ** 2, 4.0))


def noise_of(arms: Sequence[Evidence]) -> Array:
    """(K,) variance of each arm's mean reward; inf for one without rewards."""
    n = np.array([a.n for a in arms])
    least = np.maximum(n, 1e-9)
    return np.where(n > 1e-9, np.maximum([a.variance for a in arms], FLOOR) / least, np.inf)
