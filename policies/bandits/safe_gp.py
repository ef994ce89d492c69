"""Safe unimodal Thompson sampling over ordered arms, smoothed by a Gaussian process.

Neighbouring values earn alike, so evidence is shared along the axis. Only the leader and its neighbours can win a draw
(unimodal Thompson sampling, arXiv 2106.08187). What the winners may cost beside the policy's own value is bounded: an arm that
is probably worse gets nothing, and what all of them may lose together is a small share of what the policy's value earns, the
smaller the more was lost before (conservative bandits, arXiv 1602.04282, with expectations in the place of bounds, which are
too loose to act on from few labels).
"""

from collections.abc import Sequence
from dataclasses import replace
from functools import lru_cache

import numpy as np
from numpy.typing import NDArray

from policies.bandits.cliff import CLEARED, FALLEN, footing
from policies.bandits.curve import posterior
from policies.bandits.evidence import Evidence, Prior

Array = NDArray[np.float64]

# Found in simulation over six tasks and nine temperatures, and confirmed on other seeds: bench/learning.
MARGIN = 0.002  # a difference that nobody would notice
HOPELESS = 0.35  # probability of being no worse than the baseline below which an arm is off
PROVEN = 0.57  # and above which it is free
PROVEN_FIRST, EARLY = 0.80, 50.0  # and that in a cell without labels, which falls to the former over so many
DOSE = 7.0  # labels of its own after which half of its share may go to an arm; before the first it is a seventh
UNTRIED = 0.025  # share of an arm that may be over a cliff: what it would lose then is 1 % of what the policy earns
LENT = 50.0  # labels on an arm that other cells' evidence counts for at most
LOSS = 0.02  # of the baseline's reward: what a cell may have lost to exploring
SUSPICION = 1.0  # standard errors
RISK = 0.04  # of the baseline's reward: what an allocation may be expected to lose at most
STEP, GROWTH = 0.5, 1.5  # an arm gets at most so much, and so many times what it has had of all labels so far
MOST = 2_000.0  # labels that all evidence of a cell counts for at most
DRAWS = 256  # of the posterior, half of them mirrored


def allocate(
    arms: Sequence[Evidence], baseline: int, explore: float, seed: int, prior: Prior | None = None
) -> tuple[float, ...]:
    """A probability per arm. `explore` is the most that arms not yet proven get together."""
    if len(arms) == 1:
        return (1.0,)
    arms = _doubted(arms)
    mean, cov = posterior(arms, baseline, prior)
    draws = mean + _normals(len(arms), seed) @ _root(cov).T
    wins = _wins(draws, mean)
    gain = draws - draws[:, [baseline]]
    no_worse = (gain >= -MARGIN).mean(axis=0)
    ground = footing(arms, float(mean[baseline]), prior)
    wins[(no_worse < HOPELESS) | (ground < -FALLEN)] = 0.0
    n = np.array([a.n for a in arms])
    known = n + (np.minimum(prior.n, LENT) if prior else 0.0)
    proven = no_worse >= PROVEN + (PROVEN_FIRST - PROVEN) * np.exp(-known.sum() / EARLY)
    proven[baseline] = True
    wins[~_reached(proven)] = 0.0
    safe = (ground > CLEARED) | np.array([a.solid for a in arms])
    p = _dosed(wins, proven, known, safe, baseline, explore)
    risk = float(np.maximum(-gain @ p, 0.0).mean())
    return _bounded(p, risk, _allowed(n, mean, cov, baseline), baseline)


def _doubted(arms: Sequence[Evidence]) -> Sequence[Evidence]:
    """However much is known, it counts as MOST labels: worlds move, and who is certain stops looking."""
    total = sum(a.n for a in arms)
    return arms if total <= MOST else [replace(a, n=a.n * MOST / total) for a in arms]


@lru_cache(256)
def _normals(arms: int, seed: int) -> Array:
    half = np.random.default_rng(seed).standard_normal((DRAWS // 2, arms))
    return np.vstack([half, -half])


def _root(cov: Array) -> Array:
    """A square root of a covariance that may be singular."""
    values, vectors = np.linalg.eigh(cov)
    return np.asarray(vectors * np.sqrt(np.maximum(values, 0.0)))


def _allowed(n: Array, mean: Array, cov: Array, baseline: int) -> float:
    """What an allocation may be expected to lose a request: RISK, less as the budget of losses is spent. What was lost so far is
    taken for more than it seems, by SUSPICION standard errors: arms that were lucky are the ones that were chosen."""
    total = n.sum()
    worth = max(float(mean[baseline]), 0.05)
    if total <= 0:
        return RISK * worth
    contrast = -n / total
    contrast[baseline] += 1.0
    lost = float(contrast @ mean) + SUSPICION * float(np.sqrt(max(contrast @ cov @ contrast, 0.0)))
    return RISK * worth * float(np.clip(2.0 * (1 - lost / (LOSS * worth)), 0.1, 1.0))


def _bounded(p: Array, risk: float, allowed: float, baseline: int) -> tuple[float, ...]:
    if risk > allowed:
        p = p * (allowed / risk)
        p[baseline] += 1 - p.sum()
    return tuple(float(v) for v in p / p.sum())


def _wins(draws: Array, mean: Array) -> Array:
    """How often each arm is the best of the leader and its neighbours, over the draws."""
    leader = int(mean.argmax())
    low, high = max(leader - 1, 0), min(leader + 2, len(mean))
    best = low + draws[:, low:high].argmax(axis=1)
    return np.bincount(best, minlength=len(mean)) / len(draws)


def _reached(proven: NDArray[np.bool_]) -> NDArray[np.bool_]:
    """(arms,) those that are proven, and their neighbours: nobody steps over what is not known to be safe."""
    reached = proven.copy()
    reached[1:] |= proven[:-1]
    reached[:-1] |= proven[1:]
    return reached


def _dosed(
    wins: Array, proven: NDArray[np.bool_], n: Array, safe: NDArray[np.bool_], baseline: int, explore: float
) -> Array:
    """The unproven within their budget, the rest to the proven in proportion to their wins; of an arm that is hardly known not
    more than a dose, however well its neighbours do, and more only as it is served more. What nobody gets is the baseline's."""
    dose = np.minimum((n + 1) / (n + DOSE), STEP + GROWTH * n / max(n.sum(), 1e-9))
    trial = np.where(proven, 0.0, np.minimum(wins, np.where(safe, explore * dose, UNTRIED)))
    if trial.sum() > explore:
        trial *= explore / trial.sum()
    free = np.where(proven, wins, 0.0)
    free *= (1 - trial.sum()) / max(free.sum(), 1e-12)
    p = trial + np.minimum(free, np.where(safe, dose, UNTRIED))
    p[baseline] += 1 - p.sum()
    return np.asarray(p)
