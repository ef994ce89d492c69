"""The signal table: everything that can be reported or observed about an answer, and how it becomes a reward in [0, 1].

A new signal is one row. `weight` is its share within its group: the square of how far it moves with explicit ratings,
over its variance; the starting values are a judgement (one label is 1) until an operator has measured them.
"""

import math
import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from types import MappingProxyType
from typing import Literal

from metrics.errors import SignalError

Source = Literal["explicit", "observed"]
Group = Literal["quality", "latency", "cost", "guardrail", "label"]
Raw = float | bool | str

DAY = 86_400.0
_WORDS: Mapping[str, bool] = MappingProxyType({"true": True, "false": False, "yes": True, "no": False})
_THUMBS: Mapping[str, bool] = MappingProxyType({**_WORDS, "up": True, "down": False})
_TASK = re.compile(r"[a-z][a-z0-9_]{0,63}")


def _number(value: Raw, low: float, high: float) -> float | None:
    if isinstance(value, (bool, str)) or not math.isfinite(value) or not low <= value <= high:
        return None
    return float(value)


def _flag(value: Raw, words: Mapping[str, bool] = _WORDS) -> float | None:
    if isinstance(value, str):
        found = words.get(value.strip().lower())
        return None if found is None else float(found)
    return float(value) if value in (0, 1) else None


def _rating(value: Raw) -> float | None:
    number = _number(value, 1, 5)
    return None if number is None else (number - 1) / 4


def _thumbs(value: Raw) -> float | None:
    if value == -1:
        return 0.0
    return _flag(value, _THUMBS)


def _not(value: Raw) -> float | None:
    flag = _flag(value)
    return None if flag is None else 1 - flag


def _distance(value: Raw) -> float | None:
    number = _number(value, 0, 1)
    return None if number is None else 1 - number


def _less(scale: float) -> Callable[[Raw], float | None]:
    """1 at nothing, 1/2 at `scale`, towards 0: depends on this request only, so that sums stay additive."""

    def normalise(value: Raw) -> float | None:
        number = _number(value, 0, math.inf)
        return None if number is None else 1 / (1 + number / scale)

    return normalise


def _repetition(ratio: Raw) -> float | None:
    number = _number(ratio, 0, 1)
    return None if number is None else min(max((0.5 - number) / 0.3, 0.0), 1.0)


@dataclass(frozen=True, slots=True)
class Signal:
    """One row. `window` is how many seconds after the decision it still counts; `normalise` gives None for what it refuses."""

    name: str
    source: Source
    group: Group
    weight: float
    window: float
    takes: str
    help: str
    normalise: Callable[[Raw], float | None]


_TABLE: tuple[Signal, ...] = (
    Signal("rating", "explicit", "quality", 1.0, 7 * DAY, "1 to 5", "Stars; 1 is worst.", _rating),
    Signal(
        "thumbs",
        "explicit",
        "quality",
        1.0,
        7 * DAY,
        'true or false, "up" or "down", 1 or -1',
        "Thumb up or down.",
        _thumbs,
    ),
    Signal(
        "score",
        "explicit",
        "quality",
        1.0,
        7 * DAY,
        "0 to 1",
        "A grade from a judge or a test; 1 is best.",
        lambda v: _number(v, 0, 1),
    ),
    Signal(
        "success",
        "explicit",
        "quality",
        1.0,
        7 * DAY,
        "true or false",
        "The job that the answer was for worked.",
        _flag,
    ),
    Signal(
        "accepted", "explicit", "quality", 1.0, 7 * DAY, "true or false", "The user copied or kept the answer.", _flag
    ),
    Signal(
        "edited",
        "explicit",
        "quality",
        1.0,
        7 * DAY,
        "0 (kept as it was) to 1 (nothing kept)",
        "Edit distance to what the user made of the answer, as a share of its length.",
        _distance,
    ),
    Signal(
        "regenerated",
        "explicit",
        "quality",
        1.0,
        DAY,
        "true or false",
        "The user asked for another answer to the same question; true counts 0.",
        _not,
    ),
    Signal(
        "task",
        "explicit",
        "label",
        0.0,
        7 * DAY,
        "a task name, such as code",
        "The task that it really was: kept for training the classifier, no reward.",
        lambda v: 1.0 if isinstance(v, str) and _TASK.fullmatch(v) else None,
    ),
    Signal(
        "json_valid", "observed", "quality", 1.0, 0, "flag", "JSON was asked for, and the answer parses as JSON.", _flag
    ),
    Signal(
        "repetition",
        "observed",
        "quality",
        0.5,
        0,
        "share of repeated 4-grams",
        "1 up to .2 repeated, 0 from .5, or when the answer ends in a loop.",
        _repetition,
    ),
    Signal(
        "truncated",
        "observed",
        "guardrail",
        1.0,
        0,
        "flag",
        "The answer was cut off by max_tokens (0); not judged for tasks that want a label.",
        _not,
    ),
    Signal(
        "regenerate",
        "observed",
        "quality",
        0.2,
        600,
        "flag",
        "The same user message again in the same session within 10 minutes (0). Judged on every request that names its session, hence the low weight.",
        _not,
    ),
    Signal(
        "refusal",
        "observed",
        "guardrail",
        1.0,
        0,
        "flag",
        "The answer opens with a refusal, in English or Chinese (0).",
        _not,
    ),
    Signal("latency", "observed", "latency", 1.0, 0, "seconds", "Whole answer; 10 s give 1/2.", _less(10.0)),
    Signal("ttft", "observed", "latency", 1.0, 0, "seconds", "Time to the first token; 1 s gives 1/2.", _less(1.0)),
    Signal("cost", "observed", "cost", 1.0, 0, "US dollars", "Price of the request; $0.01 gives 1/2.", _less(0.01)),
)

SIGNALS: Mapping[str, Signal] = MappingProxyType({s.name: s for s in _TABLE})
EXPLICIT: tuple[str, ...] = tuple(s.name for s in _TABLE if s.source == "explicit")


def explicit(name: str, value: Raw) -> tuple[Signal, float]:
    """The row and the reward in [0, 1] of one feedback item.

    Raises SignalError, naming what is allowed.
    """
    row = SIGNALS.get(name)
    if row is None or row.source != "explicit":
        raise SignalError(f"signal: unknown signal {name[:64]!r} (allowed: {', '.join(EXPLICIT)})")
    number = row.normalise(value) if isinstance(value, (bool, int, float, str)) else None
    if number is None:
        shown = repr(value)
        raise SignalError(
            f"value: {shown if len(shown) <= 64 else shown[:61] + '...'} is no {name} (allowed: {row.takes})"
        )
    return row, number


def reward(name: str, value: Raw) -> float | None:
    """The reward in [0, 1] of a feedback item; None for a label, which is kept and rewards nothing.

    Raises SignalError, naming what is allowed.
    """
    row, number = explicit(name, value)
    return None if row.group == "label" else number
