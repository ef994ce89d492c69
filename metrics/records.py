"""Decision records and cell meta as compact JSON, read back with suspicion: what does not parse is None."""

import json
import math
from collections.abc import Iterable, Mapping
from typing import Any

import orjson

from metrics.outcome import DecisionRecord
from metrics.tally import Pause, Tally

_TYPES: tuple[type | tuple[type, ...], ...] = (
    str, str, str, str, int, (str, type(None)), (str, type(None)), (str, type(None)),
    (int, float), str, str, (str, type(None)), bool, (int, float), (str, type(None)), bool,
    (str, type(None)), (str, type(None)), (str, type(None)), (dict, type(None)), (str, type(None)), (dict, type(None)),
)  # fmt: skip
_ODDS, _OBSERVED = 19, 21  # where they stand
_PRIVATE = (11, 14, 16, 17)  # the session, features, and what the classifiers said
_LATER = 8  # fields at the end that older records lack, all or some of them


def dumps(value: Any) -> str:
    """JSON of anything: a value that cannot be written must not hold up a whole batch."""
    try:
        return orjson.dumps(value, default=str, option=orjson.OPT_NON_STR_KEYS).decode()
    except TypeError:  # lone surrogates, integers over 64 bits, loops
        return (
            json.dumps(value, default=str, skipkeys=True, check_circular=False)
            if isinstance(value, list | tuple)
            else "null"
        )


def pack(r: DecisionRecord) -> str:
    """A record without its id, as a JSON list in the order of the fields."""
    return dumps(_values(r, r.observed))


def packs(r: DecisionRecord, shown: Iterable[tuple[str, float]] | None) -> tuple[str, str]:
    """The same with these observed rewards, and once more without the session and what concerns the classifiers."""
    values = _values(r, shown)
    text = dumps(values)
    for place in _PRIVATE:
        values[place] = None
    return text, dumps(values)


def _values(r: DecisionRecord, shown: Iterable[tuple[str, float]] | None) -> list[Any]:
    return [
        r.tenant, r.task, r.model, r.upstream, r.turn, r.cell, r.parameter, r.arm,
        r.propensity, r.mode, r.policy, r.session, r.effective, r.at, r.features, r.declared, r.live, r.shadow,
        r.table, r.odds, r.sticky, None if shown is None else {signal: round(x, 3) for signal, x in shown},
    ]  # fmt: skip


def unpack(decision: str, text: str) -> DecisionRecord | None:
    """The record of an id; None for what is none."""
    values = _loads(text)
    if not isinstance(values, list) or not len(_TYPES) - _LATER <= len(values) <= len(_TYPES):
        return None
    if not all(isinstance(v, t) for v, t in zip(values, _TYPES, strict=False)):
        return None
    if len(values) > _ODDS and not _are_odds(values[_ODDS]):
        return None
    if len(values) > _OBSERVED:
        values[_OBSERVED] = _observed(values[_OBSERVED])
    return DecisionRecord(decision, *values)


def _are_odds(found: dict[str, Any] | None) -> bool:
    return found is None or all(isinstance(p, int | float) and 0 < p <= 1 for p in found.values())


def _observed(found: dict[str, Any] | None) -> tuple[tuple[str, float], ...] | None:
    if found is None:
        return None
    return tuple((s, float(x)) for s, x in found.items() if isinstance(x, int | float) and 0 <= x <= 1)


def pack_label(task: str, features: str) -> str:
    """A labelled ask as JSON."""
    return dumps((task, features))


def unpack_label(text: str) -> tuple[str, str] | None:
    """(task, features) of a labelled ask; None for what is none."""
    found = _loads(text)
    if isinstance(found, list) and len(found) == 2 and all(isinstance(v, str) for v in found):
        return found[0], found[1]
    return None


def pack_meta(meta: Mapping[str, Any]) -> str:
    """Meta as JSON; what JSON does not know becomes text."""
    return dumps(dict(meta))


def unpack_meta(text: str | None) -> dict[str, Any] | None:
    """Meta of a cell, {} where there is none, None for what is no JSON object."""
    found = {} if text is None else _loads(text)
    return found if isinstance(found, dict) else None


def pack_mark(about: str, text: str, at: float) -> str:
    """A mark as JSON: {about: text, "at": unix seconds}."""
    return dumps({about: text, "at": at})


def unpack_rollback(text: str) -> str | None:
    """The cause of a rollback; None where it cannot be read."""
    found = _loads(text)
    cause = found.get("cause") if isinstance(found, dict) else None
    return cause if isinstance(cause, str) and cause else None


def unpack_pause(text: str) -> Pause | None:
    """Why and since when learning is paused; None where it cannot be read."""
    found = _loads(text)
    if not isinstance(found, dict) or not isinstance(found.get("why"), str):
        return None
    at = found.get("at")
    return Pause(found["why"], float(at) if isinstance(at, int | float) else None)


def time_of(text: str | None) -> float | None:
    """A time in unix seconds; None for what is none."""
    at = math.nan if text is None else _finite(text)
    return at if math.isfinite(at) else None


def _loads(text: str) -> Any:
    try:
        return orjson.loads(text)
    except orjson.JSONDecodeError:
        return None


def fields(sums: Iterable[tuple[str, str, Tally]]) -> list[str | float]:
    """Arguments of the scripts: field, increment, field, increment ... for (arm, signal, tally)."""
    out: list[str | float] = []
    for arm, signal, t in sums:
        out += (f"n|{signal}|{arm}", repr(t.n), f"s|{signal}|{arm}", repr(t.s), f"q|{signal}|{arm}", repr(t.q))
    return out


def tallies(stored: Mapping[str, str]) -> tuple[dict[tuple[str, str], Tally], int]:
    """Tallies by (arm, signal) from a hash of sums, and how many were corrupt and left out."""
    parts: dict[tuple[str, str], dict[str, float]] = {}
    for name, value in stored.items():
        kind, _, rest = name.partition("|")
        signal, _, arm = rest.partition("|")
        parts.setdefault((arm, signal), {})[kind] = _finite(value)
    good = {key: Tally(p["n"], p["s"], p["q"]) for key, p in parts.items() if sound(p)}
    return good, len(parts) - len(good)


def _finite(text: str) -> float:
    try:
        return float(text)
    except ValueError:
        return math.nan


def sound(p: Mapping[str, float]) -> bool:
    """Whether these can be sums of rewards in [0, 1], give or take rounding."""
    if p.keys() != {"n", "s", "q"} or not all(math.isfinite(x) for x in p.values()):
        return False
    slack = 1e-6 * (1 + abs(p["n"]))
    return p["n"] >= 0 and -slack <= p["q"] <= p["s"] + slack and p["s"] <= p["n"] + slack
