"""Worlds to learn in: what each value of a parameter is worth, to whom it is told, and what changes meanwhile.

A task is a curve over temperatures; requests are the clock. Curves are concave with a cliff, as measured ones are: quality falls
slowly on either side of its best value, and at once where a model loses the thread. Half of the tasks begin at their best value,
half some five points of a hundred beside it.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

Array = NDArray[np.float64]

ARMS = np.linspace(0.0, 1.5, 9)
REQUESTS = 40_000  # a cell's life
CHANGE = REQUESTS // 2
STEP = 50  # requests between two looks at the evidence
DELAY = 200.0  # requests until a label comes, on average
CLIFF = 1.3  # temperature from which on answers fall apart
DROP = 0.25


@dataclass(frozen=True, slots=True)
class Task:
    """`before` and `after` the change: (arms,) chance that an answer is good. `rate`: share of requests that get a label."""

    before: Array
    after: Array
    baseline: int
    rate: float

    @property
    def changed(self) -> bool:
        return bool((self.before != self.after).any())

    def means(self, at: int) -> Array:
        return self.before if at < CHANGE else self.after


@dataclass(frozen=True, slots=True)
class World:
    """`dense`: slope of a signal that every request gives, 0 for none; `delay` in requests; `told`: what of a label is told,
    (answer was good, uniform number, request number) → label, for raters that are not honest."""

    name: str
    tasks: tuple[Task, ...]
    dense: float = 0.0
    delay: float = DELAY
    told: Callable[[NDArray[np.bool_], Array, NDArray[np.int_]], NDArray[np.bool_]] | None = field(default=None)


def curve(best: float, steep: float, level: float, cliff: float = CLIFF) -> Array:
    """Worth `level` at `best`, less by the square of the distance, and DROP less from the cliff on."""
    return np.clip(level - steep * (ARMS - best) ** 2 - DROP * (cliff < ARMS), 0.02, 0.98)


def nearest(temperature: float) -> int:
    """The arm at a temperature."""
    return int(np.abs(ARMS - temperature).argmin())


class Shape(NamedTuple):
    """A task of the main world: arm of the best value, how steep, what the best is worth, the baseline's arm, the best arm after the
    change, share of requests with a label."""

    best: int
    steep: float
    level: float
    baseline: int
    then: int
    rate: float


# A baseline two or three arms beside the best is worth .048 less. Three tasks want something else from the change on.
TASKS = (
    Shape(1, 0.10, 0.80, 1, 4, 0.10),
    Shape(4, 0.152, 0.65, 4, 4, 0.20),
    Shape(6, 0.152, 0.72, 6, 3, 0.05),
    Shape(4, 0.152, 0.70, 1, 4, 0.10),
    Shape(3, 0.341, 0.60, 5, 5, 0.30),
    Shape(2, 0.152, 0.75, 5, 2, 0.15),
)


def _main(steeper: float = 1.0, lower: float = 0.0) -> tuple[Task, ...]:
    """`steeper` by a factor and `lower` by points are the curves that change, from then on."""
    tasks = []
    for t in TASKS:
        before = curve(ARMS[t.best], t.steep, t.level)
        after = before if t.then == t.best else curve(ARMS[t.then], steeper * t.steep, t.level - lower)
        tasks.append(Task(before, after, t.baseline, t.rate))
    return tuple(tasks)


def _break() -> tuple[Task, ...]:
    """The model is replaced without a word."""
    return _main(steeper=3.0, lower=0.05)


def _flat() -> tuple[Task, ...]:
    values = tuple(curve(0.7, 0.0, level) for level in (0.8, 0.65, 0.72, 0.7, 0.6, 0.75))
    return tuple(Task(v, v, nearest(0.56), t.rate) for v, t in zip(values, _main(), strict=True))


def _good() -> tuple[Task, ...]:
    return tuple(Task(t.before, t.before, int(t.before.argmax()), t.rate) for t in _main())


def _multimodal() -> tuple[Task, ...]:
    """A second hill, higher by three points, behind a valley."""
    out = []
    for t in _main():
        values = np.maximum(curve(0.2, 0.5, 0.70), curve(1.1, 0.5, 0.73))
        out.append(Task(values, values, nearest(0.19), t.rate))
    return tuple(out)


def _generous(good: NDArray[np.bool_], u: Array, at: NDArray[np.int_]) -> NDArray[np.bool_]:
    """A third of the raters like whatever they get."""
    return good | (u < 1 / 3)


def _burst(good: NDArray[np.bool_], u: Array, at: NDArray[np.int_]) -> NDArray[np.bool_]:
    """In one of ten stretches of 500 requests all labels say the opposite."""
    return np.where((at // 500) % 10 == 3, ~good, good)


WORLDS: Mapping[str, World] = {
    w.name: w
    for w in (
        World("main", _main()),
        World("break", _break()),
        World("flat", _flat()),
        World("good", _good()),
        World("multimodal", _multimodal()),
        World("late", _main(), delay=4_000.0),
        World("generous", _main(), told=_generous),
        World("bursts", _main(), told=_burst),
        World("dense", _main(), dense=0.4),
    )
}
