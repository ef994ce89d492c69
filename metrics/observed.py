"""Detectors: what an answer shows by itself, without anybody's feedback. Pure functions of an Outcome."""

import re
from collections import OrderedDict
from collections.abc import Sequence

import orjson

from metrics.grams import Units, grams
from metrics.outcome import DecisionRecord, Outcome
from metrics.records import pack, unpack
from metrics.signals import SIGNALS, Raw

_TAIL = 4_000  # characters: loops are at the end, and the cost of looking stays bounded
_ENOUGH = 50  # units below which repeated 4-grams say nothing
_LOOP = 24  # units that a loop must cover, so that "no, no, no" is none
_TOOLS = frozenset({"tool_calls", "function_call", "tool_use"})
_CUT = frozenset({"length", "max_tokens", "max_output_tokens"})

_NORMALISE = {name: row.normalise for name, row in SIGNALS.items()}
_FLAGS = {flag: {name: row.normalise(flag) for name, row in SIGNALS.items()} for flag in (True, False)}
_REFUSAL = re.compile(
    r"\b(?:i(?:'m| am) (?:really |very |so )?(?:sorry|afraid),? (?:but )?(?:i|that|this)\b.{0,40}?"
    r"\b(?:can(?:'t|not| not)|won't|unable|not able)"
    r"|i (?:can(?:'t|not| not)|won't|will not|am unable to|am not able to|must decline to) "
    r"(?:help|assist|comply|provide|fulfil|fulfill|do that|create|generate|write|answer|support|engage)"
    r"|i(?:'m| am) (?:not able|unable) to (?:help|assist|comply|provide|fulfil|fulfill|create|generate|answer)"
    r"|as an ai(?: language)? model,? i (?:can(?:'t|not| not)|do not|don't))"
    r"|(?:抱歉|对不起|很遗憾|不好意思)[，,。！!\s].{0,20}?(?:无法|不能|没办法|没有办法)"
    r"|我(?:无法|不能)(?:提供|协助|帮助|回答|满足|完成|生成|参与)"
    r"|作为(?:一个|一款)?(?:人工智能|AI|ai|语言模型).{0,20}?(?:无法|不能)"
    r"|(?:抱歉|對不起|很遺憾)[，,。！!\s].{0,20}?(?:無法|不能)",
    re.IGNORECASE | re.DOTALL,
)
# Each way to refuse has one of these in it: most answers have none, and looking for them is ten times as fast.
_HINTS = ("n't", "cannot", " not", "not able", "unable", "decl", "无法", "不能", "办法", "無法")


def json_valid(outcome: Outcome) -> bool | None:
    """Whether the answer parses as JSON; None where none was asked for or a tool was called instead."""
    if not outcome.wants_json or outcome.finish in _TOOLS:
        return None
    try:
        orjson.loads(outcome.text)
    except orjson.JSONDecodeError:
        return False
    return True


def _loops(units: Units) -> bool:
    """Whether the text ends in three or more copies of the same thing."""
    back: Sequence[object] = units[::-1]
    last, most, period = back[0], len(back) // 3, 0
    while True:
        try:
            period = back.index(last, period + 1, most + 1)
        except ValueError:
            return False
        if back[2 * period] != last:
            continue
        copies, tail, at = 1, back[:period], period
        while back[at : at + period] == tail:
            copies, at = copies + 1, at + period
        if copies >= 3 and copies * period >= _LOOP:
            return True


def repetition(text: str) -> float | None:
    """Share of 4-grams that are repeats, in [0, 1]; at least .5 for a loop at the end. None for short texts.

    Units are words, and single characters of Chinese and Japanese. Judged on the last 4,000 characters.
    """
    if len(text) < _ENOUGH:
        return None
    found, different = grams(text[-_TAIL:], _ENOUGH)
    if len(found) < _ENOUGH:
        return None
    ratio = 1 - different / (len(found) - 3)
    return max(ratio, 0.5) if _loops(found) else ratio


def refusal(text: str) -> bool | None:
    """Whether the answer opens (200 characters) with a refusal; None for no text."""
    opening = text[:200].replace("\u2019", "'")
    if not opening or opening.isspace():
        return None
    low = opening.lower()
    for hint in _HINTS:
        if hint in low:
            return _REFUSAL.search(opening) is not None
    return False


def truncated(outcome: Outcome) -> bool | None:
    """Whether the token limit cut the answer off; None where a short label was wanted or nothing is known."""
    if outcome.label_task or outcome.finish is None:
        return None
    return outcome.finish in _CUT


def observe(outcome: Outcome) -> dict[str, Raw]:
    """Raw values of all signals that this outcome shows, by name. Failures of the system show none."""
    if outcome.result != "ok":
        return {}
    text, seen = outcome.text, dict[str, Raw]()
    if (valid := json_valid(outcome)) is not None:
        seen["json_valid"] = valid
    if (ratio := repetition(text)) is not None:
        seen["repetition"] = ratio
    if (cut := truncated(outcome)) is not None:
        seen["truncated"] = cut
    if outcome.prompt is not None and outcome.decision.session is not None:
        seen["regenerate"] = False
    if (refused := refusal(text)) is not None:
        seen["refusal"] = refused
    seen["latency"] = outcome.seconds
    if outcome.ttft is not None:
        seen["ttft"] = outcome.ttft
    if outcome.cost_usd is not None:
        seen["cost"] = outcome.cost_usd
    return seen


def rewards(raw: dict[str, Raw]) -> dict[str, float]:
    """The same as rewards in [0, 1]; what is no number is left out."""
    out = {}
    for name, value in raw.items():
        number = _FLAGS[value][name] if value is True or value is False else _NORMALISE[name](value)
        if number is not None:
            out[name] = number
    return out


class Repeats:
    """Finds regenerations: the same user message again in the same session within ten minutes. Knows one process."""

    def __init__(self, limit: int = 10_000) -> None:
        self._limit = limit
        # The last decision's id and record: strings, because there are many, and garbage collection would look at objects.
        self._last: OrderedDict[tuple[str, str, str], tuple[str, str]] = OrderedDict()

    def previous(self, outcome: Outcome) -> DecisionRecord | None:
        """The decision that the user was not content with, if this is a regeneration. Remembers this outcome."""
        record = outcome.decision
        if record.session is None or outcome.prompt is None:
            return None
        key = (record.tenant, record.session, outcome.prompt)
        last = self._last.pop(key, None)
        self._last[key] = (record.id, pack(record))
        if len(self._last) > self._limit:
            self._last.popitem(last=False)
        before = None if last is None else unpack(*last)
        if before is None or record.at - before.at > SIGNALS["regenerate"].window:
            return None
        return before
