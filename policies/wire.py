"""The wire: where parameters stand in a request body, on each surface and for each provider."""

import math
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from policies.parameters import PARAMETERS, Param, Value

Path = tuple[str, ...]
_MISSING = object()
# vLLM ends an answer that repeats a pattern of up to so many tokens so many times.
_EARLY_STOPPING = {"max_pattern_size": 20, "min_count": 4}
_PATHS: Mapping[str, tuple[Path, ...]] = {
    p.name: tuple(tuple(path.split(".")) for path in p.paths or (p.name,)) for p in PARAMETERS.values()
}
_SURFACE_PATHS: Mapping[str, Mapping[str, Path]] = {
    "responses": {
        "max_tokens": ("max_output_tokens",),
        "reasoning_effort": ("reasoning", "effort"),
        "verbosity": ("text", "verbosity"),
    },
    "messages": {"stop": ("stop_sequences",), "reasoning_effort": ("output_config", "effort")},
}


@dataclass(frozen=True, slots=True)
class Edit:
    """One change of a body: set `path` to `value`, or take it away."""

    path: Path
    value: Any = None
    remove: bool = False


def read(body: Mapping[str, Any], surface: str) -> dict[str, Value]:
    """The client's values of governed parameters. null is not sent, 0 is a value; what has another type than the table
    says is left out, so that it reaches the upstream as it is."""
    found: dict[str, Value] = {}
    for name, paths in _PATHS.items():
        for path in paths:
            raw = body.get(path[0], _MISSING) if len(path) == 1 else _get(body, path)
            if raw is _MISSING or raw is None:
                continue
            value = _value(PARAMETERS[name], raw)
            if value is not None:
                found[name] = value
                break
    return found


def edits(
    before: Mapping[str, Value],
    after: Mapping[str, Value],
    names: Mapping[str, Path],
    surface: str,
    body: Mapping[str, Any],
) -> tuple[Edit, ...]:
    """The fewest edits that turn the client's values into the decided ones.

    `names` has the places that a provider or model uses instead of the usual ones.
    """
    made: list[Edit] = []
    for param in {**before, **after}:
        made += _edits_of(param, before.get(param), after.get(param), names, surface, body)
    return tuple(made)


def _edits_of(
    param: str,
    before: Value | None,
    after: Value | None,
    names: Mapping[str, Path],
    surface: str,
    body: Mapping[str, Any],
) -> Iterator[Edit]:
    at = [path for path in _places(param, names) if _get(body, path) is not _MISSING]
    if after is None:
        yield from (Edit(path, remove=True) for path in at)
        return
    to = names.get(param) or _SURFACE_PATHS.get(surface, {}).get(param) or (at[0] if at else _PATHS[param][0])
    if at == [to] and before == after:
        return
    yield from (Edit(path, remove=True) for path in at if path != to)
    value = _written(param, after, to)
    if value is not None:
        yield Edit(to, value)
        if to == ("thinking", "budget_tokens") and _get(body, ("thinking", "type")) is _MISSING:
            yield Edit(("thinking", "type"), "enabled")


def _places(param: str, names: Mapping[str, Path]) -> tuple[Path, ...]:
    return (*_PATHS[param], names[param]) if param in names and names[param] not in _PATHS[param] else _PATHS[param]


def apply(body: dict[str, Any], changes: tuple[Edit, ...]) -> None:
    """Carry out edits on a body. Objects on the way are copied, not shared; their other keys stay."""
    for edit in changes:
        holder = body
        for key in edit.path[:-1]:
            inner = holder.get(key)
            holder[key] = holder = dict(inner) if isinstance(inner, dict) else {}
        if edit.remove:
            holder.pop(edit.path[-1], None)
            if len(edit.path) > 1 and not holder:
                body.pop(edit.path[0], None)
        else:
            holder[edit.path[-1]] = edit.value


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
        return raw if raw in param.choices else None
    if isinstance(raw, bool) or not isinstance(raw, int | float) or not math.isfinite(raw):
        return None
    return raw if param.kind == "number" else int(raw) if raw == int(raw) else None


def _flag(raw: Any) -> bool | None:
    if isinstance(raw, str):
        return {"enabled": True, "adaptive": True, "disabled": False}.get(raw)
    return raw if isinstance(raw, bool) else True if isinstance(raw, dict) else None


def _written(param: str, value: Value, path: Path) -> Any:
    """A value as JSON says it in this place."""
    if param == "early_stopping":
        return _EARLY_STOPPING if value else None
    if path == ("thinking", "type"):
        return "enabled" if value else "disabled"
    return list(value) if isinstance(value, tuple) else value
