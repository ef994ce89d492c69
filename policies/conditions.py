"""Conditions: what a rule's `when` may ask of a context. All keys must hold; within a list, one is enough."""

import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from fnmatch import translate
from functools import lru_cache
from types import MappingProxyType
from typing import Any

from policies.context import Context
from policies.cues import Cue, cue
from policies.errors import did_you_mean

Test = Callable[[Context], bool]
_MOST_MODELS = 32  # of one rule


@dataclass(frozen=True, slots=True)
class Condition:
    """A compiled `when`: the tasks that it names, then tests that cost little, cues of which one must stand in the text, and tests
    that read the text. Empty: nothing is asked."""

    tasks: frozenset[str] = frozenset()
    tests: tuple[Test, ...] = ()
    cues: tuple[Cue, ...] = ()
    reading: tuple[Test, ...] = ()

    def holds(self, context: Context) -> bool:
        """Whether every key of the `when` is true of the context."""
        return (
            (not self.tasks or context.task in self.tasks)
            and self.allows(context)
            and (not self.cues or self.hears(context.text.lower()))
            and self.reads(context)
        )

    def allows(self, context: Context) -> bool:
        """Whether the tests that cost little succeed."""
        return all(test(context) for test in self.tests) if self.tests else True

    def hears(self, lowered: str) -> bool:
        """Whether a cue stands in a lower-case text."""
        for text, at_start in self.cues:  # as `stands_in`, which would be one more call for each cue of each rule
            if text in lowered and (at_start is None or at_start(lowered) is not None):
                return True
        return False

    def reads(self, context: Context) -> bool:
        """Whether the tests that read the text succeed."""
        return all(test(context) for test in self.reading) if self.reading else True


def compile_when(when: Mapping[str, Any]) -> Condition:
    """A Condition from a `when` mapping. Raises ValueError, its text starting with the key that is wrong."""
    tasks: list[str] = []
    cues: list[Cue] = []
    tests: list[Test] = []
    reading: list[Test] = []
    for key, raw in when.items():
        if key not in CONDITIONS:
            raise ValueError(f"{key}: unknown condition ({did_you_mean(str(key), CONDITIONS)})")
        try:
            if key == "task":
                tasks = _strings(raw)
            elif key == "contains":
                cues = [cue(text) for text in _strings(raw)]
            else:
                (reading if key == "regex" else tests).append(_KEYS[key](raw))
        except (ValueError, re.error) as e:
            raise ValueError(f"{key}: {e}") from e
    return Condition(frozenset(tasks), tuple(tests), tuple(cues), tuple(reading))


def _strings(raw: Any) -> list[str]:
    items = raw if isinstance(raw, list) else [raw]
    if not items or not all(isinstance(x, str) and x for x in items):
        raise ValueError(f"{raw!r} is not a text or a list of texts")
    return items


def _regex(raw: Any) -> Test:
    return _search("|".join(f"(?:{s})" for s in _strings(raw)))


def _search(pattern: str) -> Test:
    found = re.compile(pattern, re.IGNORECASE).search
    return lambda c: found(c.text) is not None


def _one_of(field: str) -> Callable[[Any], Test]:
    def build(raw: Any) -> Test:
        allowed = frozenset(_strings(raw))
        return lambda c: getattr(c, field) in allowed

    return build


def globs(raw: Any) -> re.Pattern[str]:
    """One pattern for a list of case-insensitive globs."""
    return re.compile("|".join(translate(s) for s in _strings(raw)), re.IGNORECASE)


def _model(raw: Any) -> Test:
    match = globs(raw).match

    @lru_cache(_MOST_MODELS)  # a search costs ten times as much, for every rule and request
    def matches(model: str) -> bool:
        return match(model) is not None or match(model.rsplit("/", 1)[-1]) is not None

    return lambda c: matches(c.model)


def _flag(field: str) -> Callable[[Any], Test]:
    def build(raw: Any) -> Test:
        if not isinstance(raw, bool):
            raise ValueError(f"{raw!r} is not true or false")
        return lambda c: getattr(c, field) is raw

    return build


def _count(field: str) -> Callable[[Any], Test]:
    def build(raw: Any) -> Test:
        low, high = _span(raw)
        return lambda c: low <= getattr(c, field) <= high

    return build


def _span(raw: Any) -> tuple[float, float]:
    """A number, or {min:, max:}, both inclusive."""
    if isinstance(raw, int | float) and not isinstance(raw, bool):
        return raw, raw
    if not isinstance(raw, dict) or not raw or set(raw) - {"min", "max"}:
        raise ValueError(f"{raw!r} is not a number or {{min: 1, max: 3}}")
    low, high = raw.get("min", float("-inf")), raw.get("max", float("inf"))
    if not all(isinstance(x, int | float) and not isinstance(x, bool) for x in (low, high)):
        raise ValueError(f"{raw!r}: min and max are numbers")
    return low, high


def _length(raw: Any) -> Test:
    low, high = _span(raw)
    return lambda c: low <= len(c.text) <= high


def _header(raw: Any) -> Test:
    if not isinstance(raw, dict) or not raw:
        raise ValueError(f"{raw!r} is not a mapping like {{x-team: search}}")
    wanted = {str(k).lower(): globs(v) for k, v in raw.items()}
    return lambda c: all(k in c.headers and p.match(c.headers[k]) is not None for k, p in wanted.items())


def _upstream(raw: Any) -> Test:
    """A name, names, or tags: `{precision: int8}`."""
    if not isinstance(raw, dict):
        return _one_of("upstream")(raw)
    if not raw:
        raise ValueError("no tag given: write {precision: int8}")
    if len(raw) == 1:
        ((tag, value),) = raw.items()
        return lambda c: c.tags.get(tag) == value
    return lambda c: all(c.tags.get(k) == v for k, v in raw.items())


_KEYS: Mapping[str, Callable[[Any], Test]] = MappingProxyType(
    {
        "regex": _regex,
        "language": _one_of("language"),
        "tenant": _one_of("tenant"),
        "surface": _one_of("surface"),
        "provider": _one_of("provider"),
        "model": _model,
        "upstream": _upstream,
        "header": _header,
        "turn": _count("turn"),
        "attempt": _count("attempt"),
        "confidence": _count("confidence"),
        "length": _length,
        "tools": _flag("tools"),
        "tool_loop": _flag("tool_loop"),
        "images": _flag("images"),
        "stream": _flag("stream"),
        "wants_json": _flag("wants_json"),
    }
)
CONDITIONS = ("contains", "regex", "task", *(key for key in _KEYS if key != "regex"))
