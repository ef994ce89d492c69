"""Balance: what is observed of every answer beside what few people say of theirs."""

import math
from collections.abc import Mapping

from metrics.rewards import QUALITY, group
from metrics.signals import SIGNALS
from metrics.tally import CellStatistics, Tally, Worth

RATED = 20.0  # labels of a cell over which what is observed falls to a third of what it counted
BESIDE = 0.25  # and what all of it counts at least, in labels for each label that people gave

_OBSERVED = frozenset(s for s, row in SIGNALS.items() if row.group == QUALITY and row.source == "observed")

Arms = Mapping[str, Mapping[str, Tally]]


def balanced(cell: CellStatistics) -> Arms:
    """A cell's tallies by arm and signal, so that `combine` reads them as labels.

    What is observed of quality counts in two parts. As the number that it is, toned down to what may stand beside the labels that
    people gave: it comes with every answer and labels with few, and added up as it is, ten answers without a fault would hide
    each thumb down. And as what ratings prove it to say, by its worth: the mean of an arm, brought to the scale of ratings.
    All arms are toned alike, so that they stay comparable.
    """
    raw = {arm: {s: _raw(s, t, cell.weights) for s, t in signals.items()} for arm, signals in cell.arms.items()}
    tone = _tone(raw)
    return {
        arm: {s: _both(s, raw[arm][s], t, tone, cell) for s, t in signals.items()} for arm, signals in cell.arms.items()
    }


def _raw(signal: str, tally: Tally, weights: Mapping[str, Worth]) -> Tally:
    if signal not in weights:
        return tally
    return Tally().plus(tally, weights[signal].raw / SIGNALS[signal].weight)


def _tone(arms: Arms) -> float:
    labels, seen = (
        math.fsum(group(s, QUALITY, source).n for s in arms.values()) for source in ("explicit", "observed")
    )
    if labels <= 0 or seen <= 0:
        return 1.0
    return min(max(BESIDE * labels / seen, math.exp(-labels / RATED)), 1.0)


def _both(signal: str, raw: Tally, seen: Tally, tone: float, cell: CellStatistics) -> Tally:
    if signal not in _OBSERVED:
        return raw
    toned = raw if tone == 1.0 else Tally().plus(raw, tone)
    worth = cell.weights.get(signal)
    if worth is None or worth.told <= 0 or seen.n <= 0:
        return toned
    return toned.plus(
        _told(seen, worth, *(cell.pairs.get(f"{signal}:{axis}", Tally()) for axis in "xy")), 1 / SIGNALS[signal].weight
    )


def _told(seen: Tally, worth: Worth, x: Tally, y: Tally) -> Tally:
    """An arm's observed rewards as so many labels: their mean is that of the cell's ratings, and more by what they are above their
    own; their variance that of ratings, which makes `told` labels each as exact as they are. Nothing where the cell has no ratings."""
    if x.n <= 0 or y.n <= 0:
        return Tally()
    n, mean = worth.told * seen.n, y.mean + (seen.mean - x.mean) / worth.slope
    mean = min(max(mean, 0.0), 1.0)
    return Tally(n, n * mean, n * (mean * mean + max(y.q / y.n - y.mean**2, 0.0)))
