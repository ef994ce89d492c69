"""Watching over learning: cells whose world has changed, and cells where what is served falls short of the policy's own value."""

import math
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from time import time
from typing import NamedTuple

import numpy as np

from metrics.balance import balanced
from metrics.ledger import Ledger
from metrics.rewards import QUALITY, combine, group
from metrics.tally import HALF_LIFE, CellStatistics, Tally
from policies.allocation import Allocations
from policies.bandits import Evidence
from policies.bandits.change import KEPT, History
from policies.bandits.guard import falls_short
from policies.policy import Policy

PAUSE = 3_600.0  # seconds in which a change that was found is not found again
COOL_DOWN = 3_600.0  # seconds of the policy's own value after a rollback
SOURCES = ("explicit", "observed")
MARGIN = 0.01  # of the reward that learning maximises: less would not be noticed
# What is watched whatever is maximised, and by how much it may be worse, in units of its reward in [0, 1].
GUARDED: Mapping[str, float] = {
    "failed": 0.02,
    "truncated": 0.02,
    "refusal": 0.02,
    "json_valid": 0.02,
    "repetition": 0.02,
    "latency": 0.05,
    "ttft": 0.05,
    "cost": 0.05,
}


@dataclass(frozen=True, slots=True)
class Finding:
    """`cause` empty: the cell's world has changed; else why it should be rolled back."""

    cell: str
    cause: str = ""


class _Seen(NamedTuple):
    """A cell at the last look; `key` is all that makes looks comparable."""

    key: object
    history: History
    at: float


class Watch:
    """One per process: what it saw before is in its memory, what it finds is marked in the store for all."""

    def __init__(self) -> None:
        self._seen: dict[tuple[str, str], _Seen] = {}  # by cell, and source of what is watched

    def look(
        self, policy: Policy, statistics: Mapping[str, CellStatistics], table: Allocations, now: float
    ) -> list[Finding]:
        """What is to be done about the cells as they are, and as they are served. `now` in seconds of any clock that does not
        run back."""
        self._seen = {key: seen for key, seen in self._seen.items() if key[0] in statistics}
        return [f for cell, seen in statistics.items() for f in self._cell(policy, cell, seen, table, now)]

    def _cell(
        self, policy: Policy, cell: str, seen: CellStatistics, table: Allocations, now: float
    ) -> Iterator[Finding]:
        grid, baseline = seen.meta.get("grid"), seen.meta.get("baseline")
        if cell.count("|") != 5 or not isinstance(grid, list) or baseline not in grid:
            return
        adaptation = policy.adaptation_of(str(seen.meta.get("task")))
        # What people say and what is observed apart: the latter is of every answer, and would hide a change of the former.
        key = (grid, seen.changed_at)
        if {self._changed((cell, s), _earned(seen, grid, s), key, now) for s in SOURCES} != {False}:
            yield Finding(cell)
        learned = table.cells.get(cell)
        if learned and adaptation.mode == "apply" and not seen.held:
            cause = shortfall(seen, learned, str(baseline), adaptation.objective)
            if cause:
                yield Finding(cell, cause)

    def _changed(self, what: tuple[str, str], arms: list[Tally], key: object, now: float) -> bool:
        before = self._seen.get(what)
        if before is None or before.key != key:
            before = _Seen(key, History(), now)
        n, s, q = (np.array([tally[i] for tally in arms]) for i in range(3))
        found = before.history.changed(n, s, q, math.exp2(-max(now - before.at, 0.0) / HALF_LIFE))
        self._seen[what] = _Seen(key, before.history, now)
        return found


def _earned(seen: CellStatistics, grid: Iterable[object], source: str) -> list[Tally]:
    return [group(seen.arms.get(str(arm), {}), QUALITY, source) for arm in grid]


def shortfall(seen: CellStatistics, learned: Mapping[str, float], baseline: str, objective: Mapping[str, float]) -> str:
    """Why what a cell serves falls short of the policy's own value beyond doubt: `reward`, or a guarded signal; empty if it does
    not. `learned` is its allocation."""
    others, arms = [(arm, share) for arm, share in learned.items() if arm != baseline], balanced(seen)

    def earned(arm: str) -> Evidence:
        return Evidence(0.0, *combine(arms.get(arm, {}), objective))

    def alone(arm: str, signal: str) -> Evidence:
        return _alone(seen.arms.get(arm, {}).get(signal))

    if falls_short([(share, earned(arm)) for arm, share in others], earned(baseline), MARGIN):
        return "reward"
    for signal, margin in GUARDED.items():
        if falls_short([(share, alone(arm, signal)) for arm, share in others], alone(baseline, signal), margin):
            return signal
    return ""


def _alone(tally: Tally | None) -> Evidence:
    if tally is None or tally.n <= 0:
        return Evidence(0.0)
    mean = tally.s / tally.n
    return Evidence(0.0, tally.n, mean, max(tally.q / tally.n - mean * mean, 0.0))


async def act(ledger: Ledger, found: Iterable[Finding]) -> None:
    """Mark what was found, for all replicas; the next look at the statistics shows it."""
    for finding in found:
        if finding.cause:
            await ledger.roll_back(finding.cell, finding.cause, time(), COOL_DOWN)
        else:
            await ledger.discount(finding.cell, KEPT, time(), PAUSE)
