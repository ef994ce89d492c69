"""A simulation: one contestant in one world, cell by cell, with everybody's luck the same."""

from collections import deque
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Protocol

import numpy as np
from numpy.typing import NDArray

from bench.learning.worlds import ARMS, CHANGE, REQUESTS, STEP, Task, World

Array = NDArray[np.float64]
STEPS = REQUESTS // STEP
WARM = 1_000  # requests from which on added-up worth is judged: one of the first 50 in another place is no loss to speak of


class Contestant(Protocol):
    """Sees labels as they come, and says every STEP requests how traffic is to be split. One for each cell."""

    def allocate(self) -> Array:
        """(arms,) shares."""

    def learn(self, n: Array, s: Array, q: Array) -> None:
        """What came in since: (arms,) number of labels, their sum, and their squares'."""


LABEL, SIGNAL = 0.21, 0.25  # variance of a label and of what every request shows

Make = Callable[[int, int], Contestant]  # baseline's arm, seed


@dataclass(frozen=True, slots=True)
class Run:
    """One cell's story by steps of STEP requests: `worth` of the served mix, of the baseline and of the best value; `worse`:
    share of traffic that got an arm worse than the baseline by anything, and by more than .05; `found`: steps at which a
    change was found."""

    task: int
    worth: Array
    baseline: Array
    best: Array
    worse: Array
    found: tuple[int, ...]


class Cell:
    """One cell while it is served. The same seed is the same luck for every contestant: which requests are labelled, when, and how
    well liked."""

    def __init__(self, one: Contestant, world: World, task: Task, luck: np.random.Generator) -> None:
        self._one, self._world, self._task = one, world, task
        self._u_arm, self._u_good, self._u_told = luck.random((3, REQUESTS))
        self._labelled = luck.random(REQUESTS) < task.rate
        self._due = (np.arange(REQUESTS) + luck.exponential(world.delay, REQUESTS)) // STEP + 1
        self._u_dense = luck.random(REQUESTS)
        self._waiting: deque[list[tuple[NDArray[np.int_], NDArray[np.bool_]]]] = deque([] for _ in range(STEPS + 2))
        self.worth, self.worse = np.full(STEPS, np.nan), np.full((STEPS, 2), np.nan)

    def step(self, step: int) -> None:
        """STEP requests by the contestant's allocation, and what is heard of them and of earlier ones."""
        k, world, task = len(ARMS), self._world, self._task
        n, s = np.zeros(k), np.zeros(k)
        for arms, good in self._waiting[step]:
            n += np.bincount(arms, minlength=k)
            s += np.bincount(arms, good, minlength=k)
        q = s.copy()
        self._waiting[step] = []
        at = np.arange(step * STEP, (step + 1) * STEP)
        means = task.means(step * STEP)
        p = self._one.allocate()
        served = np.minimum(np.searchsorted(np.cumsum(p), self._u_arm[at], side="right"), k - 1)
        gap = means[task.baseline] - means
        self.worth[step] = float(p @ means)
        self.worse[step] = float(p @ (gap > 1e-9)), float(p @ (gap > 0.05))
        good = self._u_good[at] < means[served]
        told = good if world.told is None else world.told(good, self._u_told[at], at)
        for when in np.unique(self._due[at][self._labelled[at]]).astype(int):
            if when <= STEPS:
                which = self._labelled[at] & (self._due[at] == when)
                self._waiting[when].append((served[which], told[which]))
        if world.dense:
            seen = 0.5 + world.dense * (means[served] - 0.5) > self._u_dense[at]
            worth = (
                world.dense**2
            )  # labels, and their mean on the scale of ratings: metrics/balance.py, once these prove the slope
            more = worth * np.bincount(served, 0.5 + (seen - 0.5) / world.dense, minlength=k)
            n, s, q = n + worth * np.bincount(served, minlength=k), s + more, q + more
        self._one.learn(n, s, q)

    def story(self, number: int) -> Run:
        """What it came to."""
        return Run(number, self.worth, *_marks(self._task), self.worse, tuple(getattr(self._one, "found", ())))


def run(make: Make, world: World, number: int, seed: int) -> Run:
    """One cell from its first request to its last."""
    task = world.tasks[number]
    cell = Cell(make(task.baseline, seed * 100 + number), world, task, np.random.default_rng((seed, number)))
    for step in range(STEPS):
        cell.step(step)
    return cell.story(number)


def _marks(task: Task) -> tuple[Array, Array]:
    before, after = np.arange(STEPS) < CHANGE // STEP, np.arange(STEPS) >= CHANGE // STEP
    return (
        before * task.before[task.baseline] + after * task.after[task.baseline],
        before * task.before.max() + after * task.after.max(),
    )


def regret(runs: Sequence[Run], steps: slice) -> float:
    """Lost against the best value, a request."""
    return float(np.mean([(r.best - r.worth)[steps].mean() for r in runs]))


def against_static(runs: Sequence[Run], steps: slice) -> float:
    """Regret over that of never leaving the baseline: 1 has learned nothing."""
    return regret(runs, steps) / float(np.mean([(r.best - r.baseline)[steps].mean() for r in runs]))


def ever_below(runs: Sequence[Run], share: float = 0.98, since: int = WARM) -> float:
    """Cells whose worth, added up from the beginning, was below a share of the baseline's at any time from request `since` on."""
    first = since // STEP
    return float(np.mean([bool((r.worth.cumsum() < share * r.baseline.cumsum())[first:].any()) for r in runs]))


def settled(runs: Sequence[Run], step: int, within: float = 0.05) -> float:
    """Cells that are worth at least 1 - `within` of the best value, on the mean of the 20 steps before."""
    return float(np.mean([bool(r.worth[step - 20 : step].mean() >= (1 - within) * r.best[step - 1]) for r in runs]))


def until(runs: Sequence[Run], share: float = 0.95) -> float:
    """Requests until cells that begin away from the best are worth a share of it for 20 steps, the median; inf for never."""
    out = []
    for r in runs:
        if r.best[0] - r.baseline[0] > 0.02:
            good = np.convolve(r.worth[: CHANGE // STEP] / r.best[0], np.ones(20) / 20, "valid") >= share
            out.append(float(good.argmax() * STEP) if good.any() else np.inf)
    return float(np.median(out)) if out else 0.0
