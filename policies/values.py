"""Values in a policy file: a number, a choice, `unset`, or a schedule, each checked against its row of the parameter table."""

import math
from collections.abc import Mapping
from enum import Enum
from typing import Any, cast

from policies.errors import did_you_mean
from policies.parameters import Param, Range, Scalar, Value
from policies.schedule import SHAPES, Clock, Curve, Schedule, Steps


class Unset(Enum):
    """The value `unset`: send nothing, so that the server's own default applies (for self-hosted weights, the author's)."""

    UNSET = "unset"


UNSET = Unset.UNSET
Setting = Value | Schedule | Unset
LONGEST_SCHEDULE = 1_000


def parse(param: Param, raw: Any) -> Setting:
    """What a policy file may say for a parameter. Raises ValueError with the reason."""
    if raw == "unset":
        return UNSET
    if param.numeric and isinstance(raw, list | dict):
        return _schedule(param, raw)
    return plain(param, raw)


def plain(param: Param, raw: Any) -> Value:
    """A value that is not a schedule. Raises ValueError with the reason."""
    if param.numeric:
        return _number(param, raw)
    if param.kind == "flag":
        if not isinstance(raw, bool):
            raise ValueError(f"{raw!r} is not true or false")
        return raw
    if param.kind == "choice":
        if raw not in param.choices:
            raise ValueError(f"{raw!r} is not a value of {param.name} ({did_you_mean(str(raw), param.choices)})")
        return str(raw)
    return _strings(raw)


def _number(param: Param, raw: Any) -> Scalar:
    if isinstance(raw, bool) or not isinstance(raw, int | float) or not math.isfinite(raw):
        raise ValueError(f"{raw!r} is not a number")
    if param.kind == "integer" and raw != int(raw):
        raise ValueError(f"{raw!r} is not a whole number")
    if raw not in Range(param.low, param.high):
        raise ValueError(f"{raw!r} is outside {param.low} to {'any' if param.high is None else param.high}")
    return int(raw) if param.kind == "integer" else raw


def _strings(raw: Any) -> tuple[str, ...]:
    items = [raw] if isinstance(raw, str) else raw
    if not isinstance(items, list) or not items or not all(isinstance(s, str) and s for s in items):
        raise ValueError(f"{raw!r} is not a list of non-empty strings")
    return tuple(items)


def _schedule(param: Param, raw: list[Any] | dict[str, Any]) -> Schedule:
    if isinstance(raw, list):
        if not 1 <= len(raw) <= LONGEST_SCHEDULE:
            raise ValueError(f"a schedule has 1 to {LONGEST_SCHEDULE} values")
        return Steps(tuple(float(_number(param, v)) for v in raw))
    shape = next((s for s in SHAPES if s in raw), None)
    return _curve(param, raw, shape) if shape else _first_then(param, raw)


def _first_then(param: Param, raw: Mapping[str, Any]) -> Steps:
    if "values" in raw:
        _only(raw, {"values", "by"})
        steps = _schedule(param, raw["values"]) if isinstance(raw["values"], list) else None
        if not isinstance(steps, Steps):
            raise ValueError("values is not a list of numbers")
        return Steps(steps.values, _by(raw))
    _only(raw, {"first", "then", "over", "by"})
    for key in ("first", "then"):
        if key not in raw:
            raise ValueError(f"the schedule lacks {key!r}: write {{first: 0.7, then: 0.3, over: 1}}")
    first, then = float(_number(param, raw["first"])), float(_number(param, raw["then"]))
    return Steps((first,) * _over(raw) + (then,), _by(raw))


def _curve(param: Param, raw: Mapping[str, Any], shape: str) -> Curve:
    _only(raw, {shape, "over", "by"})
    ends = raw[shape]
    if not isinstance(ends, list) or len(ends) != 2:
        raise ValueError(f"{shape} takes its two ends: write {{{shape}: [0.9, 0.3], over: 4}}")
    first, last = (float(_number(param, v)) for v in ends)
    return Curve(shape, first, last, _over(raw), _by(raw))


def _only(raw: Mapping[str, Any], known: set[str]) -> None:
    for key in raw:
        if key not in known:
            raise ValueError(
                f"unknown schedule key {key!r} ({did_you_mean(str(key), known | set(SHAPES) | {'values'})})"
            )


def _over(raw: Mapping[str, Any]) -> int:
    over = raw.get("over", 1)
    if isinstance(over, bool) or not isinstance(over, int) or not 1 <= over <= LONGEST_SCHEDULE:
        raise ValueError(f"over is {over!r}, not a whole number of turns from 1 to {LONGEST_SCHEDULE}")
    return over


def _by(raw: Mapping[str, Any]) -> Clock:
    by = raw.get("by", "turn")
    if by not in ("turn", "attempt"):
        raise ValueError(f"by is {by!r}, not turn or attempt")
    return cast(Clock, by)
