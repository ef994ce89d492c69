"""Sums of rewards that forget: additions only, so replicas need no lock and any order or split gives the same numbers.

A reward of a decision made at time t is added with weight 2^((t - L) / H); reading at `now` multiplies by
2^(-(now - L) / H). The landmark L is the start of an epoch of 16 half-lives, because weights grow until the store's
64-bit mantissa gives out (measured with HINCRBYFLOAT: exact to 50 half-lives, broken at 60).
"""

import math
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, NamedTuple

HALF_LIFE = 7 * 86_400.0  # seconds
EPOCH = 16 * HALF_LIFE
PAIRS = (
    "*pairs"  # where an arm would stand: sums over pairs of an observed and an explicit reward (metrics/correlation.py)
)


class Tally(NamedTuple):
    """Weight, sum and sum of squares of the rewards of one arm and signal; in units of one undecayed reward."""

    n: float = 0.0
    s: float = 0.0
    q: float = 0.0

    @property
    def mean(self) -> float:
        """The mean reward; nan where there is none."""
        return self.s / self.n if self.n > 0 else math.nan

    def plus(self, other: "Tally", weight: float = 1.0) -> "Tally":
        """Both together, the other one with a weight."""
        return Tally(self.n + weight * other.n, self.s + weight * other.s, self.q + weight * other.q)


class Slot(NamedTuple):
    """Where a reward is added."""

    cell: str
    epoch: int
    arm: str
    signal: str


class Pause(NamedTuple):
    """The kill switch is on: since when (unix seconds; None if that cannot be read), and what the operator said of it."""

    why: str = ""
    at: float | None = None


class Worth(NamedTuple):
    """What one observed reward of a signal counts for in labels: `raw` as the number that it is, and `told` as what ratings prove it to
    say, which moves by `slope` where they move by 1."""

    raw: float
    told: float = 0.0
    slope: float = 1.0

    @property
    def weight(self) -> float:
        """Both together."""
        return self.raw + self.told


@dataclass(frozen=True, slots=True)
class CellStatistics:
    """One cell as all replicas see it: what it is about, and a tally per arm and signal, decayed to the time of reading.

    `changed_at`: the last change found, of the last 30 days; `rolled_back`: the cause, "" for a cell that is not;
    `rolled_back_until`: when that ends by itself, None if never; `paused`: all cells are. Times in unix seconds. `pairs` are sums
    of observed beside explicit rewards, and `weights` what observed signals are worth by them; the table says the others.
    """

    meta: Mapping[str, Any] = field(default_factory=dict)
    arms: Mapping[str, Mapping[str, Tally]] = field(default_factory=dict)
    changed_at: float | None = None
    rolled_back: str = ""
    rolled_back_until: float | None = None
    paused: bool = False
    pairs: Mapping[str, Tally] = field(default_factory=dict)
    weights: Mapping[str, Worth] = field(default_factory=dict)

    @classmethod
    def of(cls, meta: Mapping[str, Any], sums: Mapping[str, Mapping[str, Tally]]) -> "CellStatistics":
        """From all sums of a cell, among them those that are no arm's."""
        return cls(meta, {arm: s for arm, s in sums.items() if arm != PAIRS}, pairs=sums.get(PAIRS, {}))

    @property
    def sums(self) -> Mapping[str, Mapping[str, Tally]]:
        """All sums, as the store and exported files have them."""
        return {**self.arms, PAIRS: self.pairs} if self.pairs else self.arms

    @property
    def held(self) -> bool:
        """Whether nothing but the policy's own value may be served."""
        return self.paused or bool(self.rolled_back)


def epoch_of(at: float) -> int:
    """The epoch in which a time (unix seconds) falls."""
    return math.floor(at / EPOCH)


def growth(at: float) -> float:
    """The weight of a reward for a decision made at this time, 1 at the start of its epoch and 65,536 at the end."""
    return math.exp2((at - epoch_of(at) * EPOCH) / HALF_LIFE)


def decay(epoch: int, now: float) -> float:
    """The factor by which sums of an epoch are multiplied when read."""
    return math.exp2(-(now - epoch * EPOCH) / HALF_LIFE)


class Sums:
    """Tallies per slot, added up in this process until they are flushed. Holds at most `limit` slots."""

    def __init__(self, limit: int) -> None:
        self._limit = limit
        self._sums: dict[Slot, Tally] = {}

    def __len__(self) -> int:
        return len(self._sums)

    def add(self, slot: Slot, more: Tally) -> bool:
        """Adds to a slot; False when it would be one slot too many, and nothing was added."""
        old = self._sums.get(slot)
        if old is None and len(self._sums) >= self._limit:
            return False
        self._sums[slot] = more if old is None else Tally(old.n + more.n, old.s + more.s, old.q + more.q)
        return True

    def take(self) -> dict[Slot, Tally]:
        """Everything added since the last time."""
        taken, self._sums = self._sums, {}
        return taken


def reward(cell: str, arm: str, signal: str, at: float, value: float, weight: float = 1.0) -> tuple[Slot, Tally]:
    """One reward of a decision made at `at`, ready to be added; or a part of one."""
    w = weight * growth(at)
    return Slot(cell, epoch_of(at), arm, signal), Tally(w, w * value, w * value * value)


def correction(cell: str, arm: str, signal: str, at: float, old: float, new: float) -> tuple[Slot, Tally]:
    """Turns a reward that was added before into another one."""
    w = growth(at)
    return Slot(cell, epoch_of(at), arm, signal), Tally(0.0, w * (new - old), w * (new * new - old * old))
