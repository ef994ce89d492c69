"""Safe unimodal Thompson sampling over ordered arms, smoothed by a Gaussian process.

Neighbouring values earn alike, so evidence is shared along the axis. Only the leader and its neighbours can win a draw
(unimodal Thompson sampling, arXiv 2106.08187); an arm gets more than a small dose of traffic only once it is probably no
worse than the policy's own value.
"""

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from policies.bandits.evidence import Evidence

Array = NDArray[np.float64]

# Scales found in simulation over six tasks and nine temperatures, and confirmed on other seeds; bench/learning.
LEVEL_SD, SHAPE_SD, LENGTH = 0.25, 0.08, 0.45  # prior standard deviations of level and shape; length on the axis
PRIOR_DIP, PRIOR_STEP = 0.03, 0.4  # the policy's value is expected to be best, by 3 points at a distance of 0.4
MARGIN = 0.01  # a difference that nobody would notice
HOPELESS, PROVEN = 0.10, 0.80  # probability of being no worse than the baseline: below is off, above is free
DRAWS = 256
FLOOR = 0.02  # least variance of a reward: a few equal rewards are no certainty


def allocate(arms: Sequence[Evidence], baseline: int, explore: float, seed: int) -> tuple[float, ...]:
    """A probability per arm. `explore` is the most that arms not yet proven get together."""
    if len(arms) == 1:
        return (1.0,)
    mean, cov = posterior(arms, baseline)
    draws = np.random.default_rng(seed).multivariate_normal(mean, cov, DRAWS, check_valid="ignore", method="eigh")
    wins = _wins(draws, mean)
    no_worse = (draws >= draws[:, [baseline]] - MARGIN).mean(axis=0)
    wins[no_worse < HOPELESS] = 0.0
    proven = no_worse >= PROVEN
    proven[baseline] = True
    return _dosed(wins, proven, baseline, explore)


def posterior(arms: Sequence[Evidence], baseline: int) -> tuple[Array, Array]:
    """Mean (K,) and covariance (K, K) of the arms' true rewards."""
    x = np.array([a.position for a in arms])
    n = np.array([a.n for a in arms])
    seen = n > 1e-9
    dip = -PRIOR_DIP * np.minimum(((x - x[baseline]) / PRIOR_STEP) ** 2, 4.0)
    distance = (x[:, None] - x[None, :]) / LENGTH
    kernel = LEVEL_SD**2 + SHAPE_SD**2 * np.exp(-0.5 * distance**2)
    if not seen.any():
        return dip + 0.5, kernel
    y = np.array([a.mean for a in arms])[seen]
    level = float(np.average(y - dip[seen], weights=n[seen]))
    noise = np.maximum([a.variance for a in arms], FLOOR)[seen] / n[seen]
    gain = np.linalg.solve(kernel[np.ix_(seen, seen)] + np.diag(noise), kernel[seen]).T
    mean = dip + level + gain @ (y - dip[seen] - level)
    cov = kernel - gain @ kernel[seen]
    return mean, (cov + cov.T) / 2


def _wins(draws: Array, mean: Array) -> Array:
    """How often each arm is the best of the leader and its neighbours, over the draws."""
    leader = int(mean.argmax())
    low, high = max(leader - 1, 0), min(leader + 2, len(mean))
    best = low + draws[:, low:high].argmax(axis=1)
    return np.bincount(best, minlength=len(mean)) / len(draws)


def _dosed(wins: Array, proven: NDArray[np.bool_], baseline: int, explore: float) -> tuple[float, ...]:
    """The unproven within their budget, the rest to the proven in proportion to their wins."""
    trial = np.where(proven, 0.0, wins)
    if trial.sum() > explore:
        trial *= explore / trial.sum()
    free = np.where(proven, wins, 0.0)
    if free.sum() <= 0:
        free[baseline] = 1.0
    p = trial + free * (1 - trial.sum()) / free.sum()
    return tuple(float(v) for v in p / p.sum())
