"""From tallies to the one number that learning compares arms by."""

from collections.abc import Mapping
from functools import cache
from typing import NamedTuple

from metrics.signals import SIGNALS
from metrics.tally import Tally

_MOST = 0.25  # no reward in [0, 1] has a larger variance
QUALITY = "quality"


class Combined(NamedTuple):
    """`n` in labels (one rating of today is 1); `mean` in [0, 1]; `variance` of one label: variance / n is the squared
    standard error of the mean."""

    n: float
    mean: float
    variance: float


def group(signals: Mapping[str, Tally], name: str, source: str | None = None) -> Tally:
    """All signals of a group (and source) as one tally, each by its weight; unknown signals (of a newer version) are left out."""
    weights = _weights(name, source)
    n = s = q = 0.0
    for signal, tally in signals.items():
        weight = weights.get(signal)
        if weight is not None and tally.n > 0:
            n, s, q = n + weight * tally.n, s + weight * tally.s, q + weight * tally.q
    return Tally(n, s, q)


@cache
def _weights(name: str, source: str | None) -> Mapping[str, float]:
    return {s: row.weight for s, row in SIGNALS.items() if row.group == name and source in (None, row.source)}


def _moments(tally: Tally) -> tuple[float, float]:
    """Mean and variance, the latter drawn to its maximum by one label, so that two equal rewards claim no certainty."""
    mean = min(max(tally.s / tally.n, 0.0), 1.0)
    spread = max(tally.q / tally.n - mean * mean, 0.0)
    return mean, (spread * tally.n + _MOST) / (tally.n + 1)


def combine(signals: Mapping[str, Tally], objective: Mapping[str, float]) -> Combined:
    """One arm's reward under objective weights such as {"quality": .7, "latency": .15, "cost": .15}.

    The mean is the weighted mean of the groups' means. Evidence counts in labels of the first group that has a weight
    and matters most, quality: an arm that is known to be fast and not known to be good has n = 0, and the caller falls
    back on its prior. Groups of which nothing is known (no price, say) drop out for this arm and the other weights
    grow to fill the gap.
    """
    weights = {name: w for name, w in objective.items() if w > 0}
    tallies = {name: group(signals, name) for name in weights}
    leading = QUALITY if QUALITY in weights else max(weights, key=lambda g: weights[g], default="")
    n = tallies[leading].n if leading else 0.0
    if n <= 0:
        return Combined(0.0, 0.5, _MOST)
    known = {name: t for name, t in tallies.items() if t.n > 0}
    total = sum(weights[name] for name in known)
    mean = error = 0.0
    for name, tally in known.items():
        m, v = _moments(tally)
        share = weights[name] / total
        mean += share * m
        error += share * share * v / tally.n
    return Combined(n, mean, error * n)
