"""Blending: where a prompt may be one of several tasks, a number becomes the mean of what each would get, by probability."""

from collections.abc import Mapping, Sequence
from typing import NamedTuple

from policies import arms
from policies.ladder import Ladder
from policies.parameters import PARAMETERS, Param, Value

LEAST = 0.01  # what is less likely moves no mean, and must not keep one from being taken
DIGITS = 4  # of a mean: finer than any effect, and fit for a header


class Candidate(NamedTuple):
    """A task that the prompt may be, its share of the mean, and the ladder up to the rung below."""

    task: str
    share: float
    ladder: Ladder


def likely(candidates: Sequence[tuple[str, float]]) -> list[tuple[str, float]]:
    """Those of probability `LEAST` or more, with shares that sum to 1."""
    kept = [(task, p) for task, p in candidates if p >= LEAST]
    total = sum(p for _, p in kept)
    return [(task, p / total) for task, p in kept]


def blend(
    ladder: Ladder,
    candidates: Sequence[Candidate],
    tried: Mapping[str, tuple[Value | None, ...]],
    turn: int,
    attempt: int,
) -> None:
    """Put the means on the ladder of the verdict. What has no mean, or what not every candidate sets, stays as it is.

    `tried`: the arms by parameter. A mean that is nearer to the ladder's own value than to any arm stays that value, so that
    such a request is one like the others of its cell; one that is not is for nobody to learn from.
    """
    shares = [c.share for c in candidates]
    for param in candidates[0].ladder.by:
        row = PARAMETERS[param]
        values = _amounts(row, candidates, turn, attempt) if row.numeric else []
        if not values:
            continue
        mean, own = _mean(row, values, shares), ladder.at(param, turn, attempt)
        if mean == own:
            continue
        reason = ", ".join([f"{c.task} {v:g} × {c.share:.2f}" for c, v in zip(candidates, values, strict=True)])
        if param in tried and arms.nearest(param, mean, (own, *tried[param])) == own:
            ladder.note("blend", f"{reason}: {mean:g} is nearest to the arm {arms.name_of(own)}, which stays", param)
        else:
            ladder.apply("blend", reason, {param: mean})


def _amounts(row: Param, candidates: Sequence[Candidate], turn: int, attempt: int) -> list[float]:
    """The value of each candidate; empty where one has none that has a mean."""
    values = []
    for candidate in candidates:
        value = candidate.ladder.at(row.name, turn, attempt)
        if not isinstance(value, int | float) or value < row.amounts_from:
            return []
        values.append(value)
    return values


def _mean(row: Param, values: Sequence[float], shares: Sequence[float]) -> float:
    """The weighted mean, rounded, and never outside what the candidates have."""
    low, high = min(values), max(values)
    if low == high:
        return low
    mean = sum([value * share for value, share in zip(values, shares, strict=True)])
    return min(max(round(mean) if row.kind == "integer" else round(mean, DIGITS), low), high)
