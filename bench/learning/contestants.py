"""Contestants: ours, which is the code that serves, and what others do."""

from collections.abc import Mapping

import numpy as np
from numpy.typing import NDArray

from bench.learning.simulation import Make
from bench.learning.worlds import ARMS, STEP
from policies.bandits import safe_gp
from policies.bandits.change import KEPT, History
from policies.bandits.evidence import Evidence, Prior
from policies.parameters import PARAMETERS

Array = NDArray[np.float64]
HALF_LIFE = 15_000.0  # requests
EDGE = PARAMETERS["temperature"].edge or 0.0
_DRAWS = 256


def _evenly(among: NDArray[np.bool_]) -> Array:
    return np.asarray(among / among.sum())


class _Counting:
    """Sums of all labels, by arm."""

    def __init__(self, baseline: int, seed: int) -> None:
        self.baseline, self.rng = baseline, np.random.default_rng((seed, 99))
        self.n, self.s, self.q = (np.zeros(len(ARMS)) for _ in range(3))

    def learn(self, n: Array, s: Array, q: Array) -> None:
        self.n, self.s, self.q = self.n + n, self.s + s, self.q + q

    def allocate(self) -> Array:
        raise NotImplementedError

    @property
    def means(self) -> Array:
        return np.asarray(np.where(self.n > 0, self.s / np.maximum(self.n, 1e-9), 1.0))

    def only(self, arm: int) -> Array:
        return np.asarray(np.eye(len(ARMS))[arm])


class Static(_Counting):
    def allocate(self) -> Array:
        return self.only(self.baseline)


class EpsilonGreedy(_Counting):
    """Nine requests in ten to the best so far, which is the baseline until something is better."""

    def allocate(self) -> Array:
        known = np.where(self.n > 0, self.means, -1.0)
        best = self.baseline if self.n.sum() == 0 else int(known.argmax())
        return 0.9 * self.only(best) + 0.1 / len(ARMS)


class UCB1(_Counting):
    def allocate(self) -> Array:
        if (self.n == 0).any():
            return _evenly(self.n == 0)
        return self.only(int((self.means + np.sqrt(2 * np.log(self.n.sum()) / self.n)).argmax()))


class Thompson(_Counting):
    """Beta(1, 1) by arm."""

    def allocate(self) -> Array:
        good = np.clip(self.s, 0, self.n)  # what is told on the scale of labels may be beyond it
        draws = self.rng.beta(1 + good, 1 + self.n - good, (_DRAWS, len(ARMS)))
        return np.asarray(np.bincount(draws.argmax(axis=1), minlength=len(ARMS)) / _DRAWS)


class DiscountedThompson(Thompson):
    """That forgets, with a half-life."""

    def learn(self, n: Array, s: Array, q: Array) -> None:
        left = 0.5 ** (STEP / HALF_LIFE)
        self.n, self.s, self.q = self.n * left + n, self.s * left + s, self.q * left + q


class TrackAndStop(_Counting):
    """Best-arm identification: ten labels an arm, then samples as the gaps ask for, and the winner for ever (TensorZero's rule
    with equal variances; epsilon .02, delta .05)."""

    winner: int | None = None

    def allocate(self) -> Array:
        if self.winner is not None:
            return self.only(self.winner)
        if (self.n < 10).any():
            return _evenly(self.n < 10)
        best, n, m = int(self.means.argmax()), self.n, self.means
        gap = m[best] - m + 0.02
        others = np.arange(len(ARMS)) != best
        variance = max(float(self.q.sum() / n.sum() - (self.s.sum() / n.sum()) ** 2), 1e-3)
        z = gap**2 / (2 * variance * (1 / n[best] + 1 / n))
        if z[others].min() > np.log((1 + np.log(n.sum())) / 0.05):
            self.winner = best
            return self.only(best)
        w = np.where(others, 1 / gap**2, 0.0)
        w[best] = np.sqrt((w**2).sum())
        return np.asarray(w / w.sum())


class Ours(_Counting):
    """What `router/learning.py` does every few seconds, with requests as the clock."""

    explore, control, detect, seed = 0.25, 0.05, True, 0
    prior: Prior | None = None  # what other cells know

    def __init__(self, baseline: int, seed: int) -> None:
        super().__init__(baseline, seed)
        self.seed, self.history, self.look = seed, History(), 0
        self.found: list[int] = []

    def learn(self, n: Array, s: Array, q: Array) -> None:
        left = 0.5 ** (STEP / HALF_LIFE)
        self.n, self.s, self.q = self.n * left + n, self.s * left + s, self.q * left + q
        self.look += 1
        if self.detect and self.history.changed(self.n, self.s, self.q, left):
            self.n, self.s, self.q = self.n * KEPT, self.s * KEPT, self.q * KEPT
            self.history = History()
            self.found.append(self.look)

    def evidence(self) -> list[Evidence]:
        """(arms,) what is known."""
        mean = self.s / np.maximum(self.n, 1e-9)
        spread = np.maximum(self.q / np.maximum(self.n, 1e-9) - mean**2, 0.0)
        variance = (spread * self.n + 0.25) / (self.n + 1)
        known = zip(ARMS, self.n, mean, variance, strict=True)
        own = ARMS[self.baseline]
        return [
            Evidence(float(x), float(n), float(m), float(v), solid=bool(x <= max(EDGE, own))) for x, n, m, v in known
        ]

    def allocate(self) -> Array:
        p = np.array(safe_gp.allocate(self.evidence(), self.baseline, self.explore, self.seed % 200, self.prior))
        return (1 - self.control) * p + self.control * self.only(self.baseline)


CONTESTANTS: Mapping[str, Make] = {
    "static": Static,
    "epsilon-greedy .1": EpsilonGreedy,
    "UCB1": UCB1,
    "Thompson": Thompson,
    "discounted Thompson": DiscountedThompson,
    "track-and-stop": TrackAndStop,
    "ours": Ours,
}
