"""The wire: where parameters stand in a request body, on each surface and for each provider."""

import math
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from policies.parameters import PARAMETERS, Param, Value

Path = tuple[str, ...]
_MISSING = object()
# vLLM ends an answer that repeats a pattern of up to so many tokens so many times (vllm/sampling_params.py).
_EARLY_STOPPING = {"max_pattern_size": 20, "min_count": 4}
_PATHS: Mapping[str, tuple[Path, ...]] = {
    p.name: tuple(tuple(path.split(".")) for path in p.paths or (p.name,)) for p in PARAMETERS.values()
}
READ = frozenset(path[0] for paths in _PATHS.values() for path in paths)  # keys of a body that may hold a parameter
_FLAG_WORDS = {"enabled": True, "adaptive": True, "disabled": False}
_TYPED: Path = ("thinking", "type")  # an object that says by a word whether it is on, and carries the budget beside it
_BUDGET: Path = ("thinking", "budget_tokens")
_SURFACE_PATHS: Mapping[str, Mapping[str, Path]] = {
    "responses": {
        "max_tokens": ("max_output_tokens",),
        "reasoning_effort": ("reasoning", "effort"),
        "verbosity": ("text", "verbosity"),
    },
    "messages": {
        "max_tokens": ("max_tokens",),
        "stop": ("stop_sequences",),
        "reasoning_effort": ("output_config", "effort"),
        "thinking": _TYPED,
        "thinking_budget": _BUDGET,
    },
}


@dataclass(frozen=True, slots=True)
class Place:
    """Where a parameter stands, and the word that a flag has there when it is on ("" is JSON's true)."""

    path: Path
    on: str = ""

    @classmethod
    def parse(cls, text: str) -> "Place":
        """`a.b` or `a.b=word`."""
        path, _, word = text.partition("=")
        return cls(tuple(path.split(".")), word)


@dataclass(frozen=True, slots=True)
class Edit:
    """One change of a body: set `path` to `value`, or take it away."""

    path: Path
    value: Any = None
    remove: bool = False


def read(body: Mapping[str, Any], surface: str) -> dict[str, Value]:
    """The client's values of governed parameters, under any name and on any surface.

    null is not sent, 0 is a value. What has another type than the table says ("0.5", NaN) is left out: unless a policy
    sets the parameter it reaches the upstream as it is.
    """
    found: dict[str, Value] = {}
    for name in _PATHS:
        value = read_one(body, name)
        if value is not None:
            found[name] = value
    return found


def read_one(body: Mapping[str, Any], name: str) -> Value | None:
    """The client's value of one parameter; None where it sent none that can be used."""
    for path in _PATHS[name]:
        if path[0] in body:
            raw = body[path[0]] if len(path) == 1 else _get(body, path)
            value = None if raw is _MISSING or raw is None else _value(PARAMETERS[name], raw)
            if value is not None:
                return value
    return None


def edits(
    before: Mapping[str, Value],
    after: Mapping[str, Value],
    names: Mapping[str, Place],
    surface: str,
    body: Mapping[str, Any],
) -> tuple[Edit, ...]:
    """The fewest edits that turn the client's values into the decided ones; removals come first.

    `names` has the places that a provider or model uses instead of the usual ones.
    """
    removed: dict[Path, Edit] = {}
    written: list[Edit] = []
    if "thinking_budget" in after and "thinking" not in after:
        after = _with_word(after, names, surface, body)
    for param in {**before, **after}:
        for edit in _edits_of(param, before.get(param), after, names, surface, body):
            if edit.remove:
                removed[edit.path] = edit
            else:
                written.append(edit)
    return (*removed.values(), *written)


def _with_word(
    after: Mapping[str, Value], names: Mapping[str, Place], surface: str, body: Mapping[str, Any]
) -> Mapping[str, Value]:
    """A budget inside a `thinking` object needs the word beside it that says whether thinking is on."""
    place = _place("thinking_budget", names, surface, _standing("thinking_budget", names, body))
    return {**after, "thinking": after["thinking_budget"] != 0} if place.path == _BUDGET else after


def _edits_of(
    param: str,
    before: Value | None,
    after: Mapping[str, Value],
    names: Mapping[str, Place],
    surface: str,
    body: Mapping[str, Any],
) -> Iterator[Edit]:
    at = _standing(param, names, body)
    value = after.get(param)
    if value is None:
        yield from (_removal(path, after) for path in at)
        return
    to = _place(param, names, surface, at)
    written = _written(param, value, to, after, body)
    same = written == _get(body, _TYPED) if to.path == _TYPED else before == value
    if at == [to.path] and same:
        return
    yield from (_removal(path, after) for path in at if path != to.path or written is None)
    if written is not None:
        yield Edit(to.path, written)


def _standing(param: str, names: Mapping[str, Place], body: Mapping[str, Any]) -> list[Path]:
    """Every place in the body where the parameter stands now."""
    found = [p for p in _PATHS[param] if p[0] in body and (len(p) == 1 or _get(body, p) is not _MISSING)]
    special = names.get(param)
    if special and special.path not in _PATHS[param] and _get(body, special.path) is not _MISSING:
        found.append(special.path)
    return found


def _place(param: str, names: Mapping[str, Place], surface: str, at: list[Path]) -> Place:
    """Where it has to stand: the surface decides before the provider, and the client's own choice before the usual."""
    special, fixed = names.get(param), _SURFACE_PATHS.get(surface, {}).get(param)
    if fixed:
        return special if special and special.path == fixed else Place(fixed)
    return special or Place(at[0] if at else _PATHS[param][0])


def _removal(path: Path, after: Mapping[str, Value]) -> Edit:
    """Without its word a `thinking` object means nothing, and some servers refuse it: it goes as a whole."""
    whole = path == _TYPED and "thinking_budget" not in after
    return Edit(path[:1] if whole else path, remove=True)


def apply(body: dict[str, Any], changes: tuple[Edit, ...]) -> None:
    """Carry out edits on a body. Objects on the way, and values, are copied, not shared; their other keys stay."""
    for edit in changes:
        if edit.remove:
            _remove(body, edit.path)
            continue
        holder = body
        for key in edit.path[:-1]:
            inner = holder.get(key)
            holder[key] = holder = dict(inner) if isinstance(inner, dict) else {}
        value = edit.value
        holder[edit.path[-1]] = value.copy() if isinstance(value, list | dict) else value


def _remove(body: dict[str, Any], path: Path) -> None:
    if len(path) == 1:
        body.pop(path[0], None)
        return
    inner = body.get(path[0])
    if not isinstance(inner, dict):
        return
    inner = dict(inner)
    _remove(inner, path[1:])
    if inner:
        body[path[0]] = inner
    else:
        body.pop(path[0])


def _get(body: Mapping[str, Any], path: Path) -> Any:
    value: Any = body
    for key in path:
        if not isinstance(value, dict) or key not in value:
            return _MISSING
        value = value[key]
    return value


def _value(param: Param, raw: Any) -> Value | None:
    if param.kind == "flag":
        return _flag(raw)
    if param.kind == "strings":
        items = [raw] if isinstance(raw, str) else raw
        return tuple(items) if isinstance(items, list) and items and all(isinstance(s, str) for s in items) else None
    if param.kind == "choice":
        return raw if isinstance(raw, str) and raw in param.choices else None
    if isinstance(raw, bool) or not isinstance(raw, int | float) or not math.isfinite(raw):
        return None
    if param.kind == "integer" and abs(raw) >= 2**63:  # no integer of any API, and none that could be written again
        return None
    return raw if param.kind == "number" else int(raw) if raw == int(raw) else None


def _flag(raw: Any) -> bool | None:
    if isinstance(raw, str):
        return _FLAG_WORDS.get(raw)
    return raw if isinstance(raw, bool) else True if isinstance(raw, dict) else None


def _written(param: str, value: Value, place: Place, after: Mapping[str, Value], body: Mapping[str, Any]) -> Any:
    """A value as JSON says it in this place; None where saying nothing says it."""
    if param == "early_stopping":
        return _EARLY_STOPPING if value else None
    if place.path == _TYPED:
        return _word(bool(value), place, after, body)
    return list(value) if isinstance(value, tuple) else value


def _word(on: bool, place: Place, after: Mapping[str, Value], body: Mapping[str, Any]) -> str:
    """The word for thinking: a budget goes with `enabled` alone; else the model's word, or the one the client chose."""
    said = _get(body, _TYPED)
    if not on:
        return "disabled"
    if "thinking_budget" in after:
        return "enabled"
    return place.on or (said if isinstance(said, str) and _FLAG_WORDS.get(said) else "enabled")
