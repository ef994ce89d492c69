"""Schedules: a parameter's value as a function of the turn, or of the attempt at the same question."""

import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from types import MappingProxyType
from typing import Literal

Clock = Literal["turn", "attempt"]

# How much of the way from the first value to the last has been gone after the fraction `t` of it, t in [0, 1].
_SHAPES: Mapping[str, Callable[[float], float]] = MappingProxyType(
    {
        "linear": lambda t: t,
        "exponential": lambda t: (1 - math.exp(-3 * t)) / (1 - math.exp(-3)),  # 63 % of the way after a third of it
        "cosine": lambda t: (1 - math.cos(math.pi * t)) / 2,
    }
)
SHAPES = tuple(_SHAPES)


@dataclass(frozen=True, slots=True)
class Steps:
    """One value per turn; the last one stays. `first/then/over` is this with `first` repeated `over` times."""

    values: tuple[float, ...]
    by: Clock = "turn"

    def at(self, turn: int, attempt: int = 1) -> float:
        """The value for the n-th turn or attempt, both counted from 1."""
        n = turn if self.by == "turn" else attempt
        return self.values[min(max(n, 1), len(self.values)) - 1]

    @property
    def limits(self) -> tuple[float, float]:
        """The lowest and the highest value that the schedule can give."""
        return min(self.values), max(self.values)


@dataclass(frozen=True, slots=True)
class Curve:
    """From `first` at turn 1 to `last` at turn 1 + `over`, along a shape."""

    shape: str
    first: float
    last: float
    over: int
    by: Clock = "turn"

    def at(self, turn: int, attempt: int = 1) -> float:
        """The value for the n-th turn or attempt, both counted from 1; stays within first and last."""
        n = turn if self.by == "turn" else attempt
        t = min(max((n - 1) / self.over, 0.0), 1.0)
        low, high = self.limits
        return min(max(self.first + (self.last - self.first) * _SHAPES[self.shape](t), low), high)

    @property
    def limits(self) -> tuple[float, float]:
        """The lowest and the highest value that the schedule can give."""
        return min(self.first, self.last), max(self.first, self.last)


Schedule = Steps | Curve


def describe(schedule: Schedule) -> str:
    """A schedule in one phrase, as the ladder shows it."""
    if isinstance(schedule, Steps):
        return f"{', '.join(f'{v:g}' for v in schedule.values)} by {schedule.by}"
    return f"{schedule.shape} {schedule.first:g} to {schedule.last:g} over {schedule.over} by {schedule.by}"
