"""Correlation: how far observed signals move with explicit ones, and what an observed one is therefore worth in labels.

Where a decision has an explicit reward y and an observed one x, three sums are kept in its cell beside those of its arms: of
x, of y and of xy, each with its squares. They are tallies like any other, so they forget, merge and travel like those.
"""

import math
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import replace
from typing import NamedTuple

from metrics.outcome import DecisionRecord
from metrics.signals import CONTROLS, SIGNALS
from metrics.tally import PAIRS, CellStatistics, Tally, Worth, growth

OWN = 50.0  # pairs that the table's weight counts for
PROOF = 100.0  # pairs from which on a signal says what they prove, and nothing where they prove nothing
FLATTEST = 0.1  # of a slope: below, one would be divided by what is hardly known
_NINETY = 1.645  # standard errors to either side that hold 90 %
_NOTHING = 1e-9  # a variance below which a signal is constant


class Moments(NamedTuple):
    """Pairs, and sums of squared deviations from the means of their cells; `cells` is how many had pairs."""

    n: float = 0.0
    xx: float = 0.0
    yy: float = 0.0
    xy: float = 0.0
    cells: int = 0

    def plus(self, other: "Moments") -> "Moments":
        """Both, each about its own means: that one model is rated better than another says nothing about arms."""
        n, xx, yy, xy, cells = other
        return Moments(self.n + n, self.xx + xx, self.yy + yy, self.xy + xy, self.cells + cells)

    @property
    def r(self) -> float | None:
        """The correlation, in [-1, 1]; None where one of both never changes."""
        if min(self.xx, self.yy) <= _NOTHING * max(self.n, 1.0):
            return None
        return min(max(self.xy / math.sqrt(self.xx * self.yy), -1.0), 1.0)

    @property
    def interval(self) -> tuple[float, float] | None:
        """Where the correlation is with 90 % (Fisher's z); None where there are too few pairs to tell."""
        r, free = self.r, self.n - self.cells - 2
        if r is None or free <= 0:
            return None
        z, half = math.atanh(min(max(r, -1 + 1e-12), 1 - 1e-12)), _NINETY / math.sqrt(free)
        return math.tanh(z - half), math.tanh(z + half)


def paired(at: float, seen: Iterable[tuple[str, float]], y: float, weight: float = 1.0) -> list[tuple[str, str, Tally]]:
    """(arm, signal, tally) to add for a decision made at `at`: its observed rewards beside an explicit one."""
    w, out = weight * growth(at), []
    for signal, x in seen:
        for name, value in (("x", x), ("y", y), ("xy", x * y)):
            out.append((PAIRS, f"{signal}:{name}", Tally(w, w * value, w * value * value)))
    return out


def comparable(record: DecisionRecord, at: float) -> tuple[tuple[str, float], ...]:
    """The observed rewards of a decision that nothing can change any more at the time of an explicit one."""
    seen = record.observed or ()
    return tuple((s, x) for s, x in seen if s in CONTROLS and at - record.at >= SIGNALS[s].window)


def moments(pairs: Mapping[str, Tally], signal: str) -> Moments:
    """Of one cell."""
    x, y, xy = (pairs.get(f"{signal}:{name}", Tally()) for name in ("x", "y", "xy"))
    n = min(x.n, y.n, xy.n)
    if n <= 0:
        return Moments()
    return Moments(n, max(x.q - x.s * x.s / n, 0.0), max(y.q - y.s * y.s / n, 0.0), xy.s - x.s * y.s / n, 1)


def pooled(cells: Iterable[CellStatistics], signal: str) -> Moments:
    """Of several cells together."""
    total = Moments()
    for cell in cells:
        total = total.plus(moments(cell.pairs, signal))
    return total


def worth(found: Moments, own: float) -> Worth:
    """What one observed reward is worth in labels, in [0, 1] together; `own` is the table's weight, which counts for 50 pairs.

    The measured part is a² var(y) / var(x) = r² labels, a being how far x moves with y; at most twice the table's weight. It is told by
    the scale of ratings where the correlation is beyond doubt, and 0 where x and y move against one another.
    """
    r, interval, trust = found.r, found.interval, found.n / (OWN + found.n)
    raw = own * (1 - trust)
    if r is None or interval is None:
        return Worth(own if found.n < PROOF else raw)
    measured, slope = min(max(r, 0.0) ** 2, 2 * own, 1.0), found.xy / found.yy
    if found.n >= PROOF and interval[0] > 0 and slope >= FLATTEST:
        return Worth(raw, trust * measured, slope)
    return Worth(raw + (trust * measured if found.n < PROOF else 0.0))


def by_task(cells: Mapping[str, CellStatistics]) -> dict[str, list[CellStatistics]]:
    """The cells of each task, by the names of cells (tenant|task|...)."""
    tasks: dict[str, list[CellStatistics]] = {}
    for name, cell in cells.items():
        if cell.pairs and name.count("|") >= 2:
            tasks.setdefault(name.split("|")[1], []).append(cell)
    return tasks


def weighed(cells: Mapping[str, CellStatistics]) -> dict[str, CellStatistics]:
    """The same cells, each with the weights that its task's pairs give the observed signals."""
    weights = {task: weights_of(found) for task, found in by_task(cells).items()}
    none: Mapping[str, Worth] = {}
    found = (
        (name, cell, weights.get(name.split("|")[1], none) if "|" in name else none) for name, cell in cells.items()
    )
    return {name: replace(cell, weights=given) if given else cell for name, cell, given in found}


def weights_of(cells: Sequence[CellStatistics]) -> dict[str, Worth]:
    """By observed signal of quality, of cells that are taken together; only where there are pairs."""
    rewards = (signal for signal in CONTROLS if SIGNALS[signal].group == "quality")
    seen = ((signal, pooled(cells, signal)) for signal in rewards)
    return {signal: worth(found, SIGNALS[signal].weight) for signal, found in seen if found.n > 0}
