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
DENSE_WORTH = 0.2  # labels that one observed signal counts for


class Contestant(Protocol):
    """Sees labels as they come, and says every STEP requests how traffic is to be split. One for each cell."""

    def allocate(self) -> Array:
        """(arms,) shares."""

    def learn(self, n: Array, s: Array, q: Array) -> None:
        """What came in since: (arms,) number of labels, their sum, and their squares'."""


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


def run(make: Make, world: World, number: int, seed: int) -> Run:
    """One cell. The same seed is the same luck for every contestant: which requests are labelled, when, and how well liked."""
    task = world.tasks[number]
    rng = np.random.default_rng((seed, number))
    u_arm, u_good, u_told = rng.random((3, REQUESTS))
    labelled = rng.random(REQUESTS) < task.rate
    due = (np.arange(REQUESTS) + rng.exponential(world.delay, REQUESTS)) // STEP + 1
    u_dense = rng.random(REQUESTS)
    one, k = make(task.baseline, seed * 100 + number), len(ARMS)
    waiting: deque[list[tuple[NDArray[np.int_], NDArray[np.bool_]]]] = deque([] for _ in range(STEPS + 2))
    worth, worse = np.empty(STEPS), np.empty((STEPS, 2))
    for step in range(STEPS):
        n, s, q = np.zeros(k), np.zeros(k), np.zeros(k)
        for arms, good in waiting[step]:
            n += np.bincount(arms, minlength=k)
            s += np.bincount(arms, good, minlength=k)
        q += s
        waiting[step] = []
        at = np.arange(step * STEP, (step + 1) * STEP)
        means = task.means(step * STEP)
        p = one.allocate()
        served = np.minimum(np.searchsorted(np.cumsum(p), u_arm[at], side="right"), k - 1)
        worth[step] = float(p @ means)
        gap = means[task.baseline] - means
        worse[step] = float(p @ (gap > 1e-9)), float(p @ (gap > 0.05))
        good = u_good[at] < means[served]
        told = good if world.told is None else world.told(good, u_told[at], at)
        for when in np.unique(due[at][labelled[at]]).astype(int):
            if when <= STEPS:
                which = labelled[at] & (due[at] == when)
                waiting[when].append((served[which], told[which]))
        if world.dense:
            seen = 0.5 + world.dense * (means[served] - 0.5) > u_dense[at]
            value = 0.5 + (seen - 0.5) / 1.0
            n += DENSE_WORTH * np.bincount(served, minlength=k)
            s += DENSE_WORTH * np.bincount(served, value, minlength=k)
            q += DENSE_WORTH * np.bincount(served, value * value, minlength=k)
        one.learn(n, s, q)
    return Run(number, worth, *_marks(task), worse, tuple(getattr(one, "found", ())))


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
