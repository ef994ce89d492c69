"""Arms: the values of one parameter that learning may try in a cell, always inside what policy and model allow."""

from collections.abc import Mapping
from dataclasses import dataclass
from functools import lru_cache

from policies.context import Context
from policies.parameters import PARAMETERS, Range, Value
from policies.policy import Adaptation

UNSET_ARM = "unset"
_LONGEST = 1_000  # characters of a cell's name: three parts of 120, and what is held beside many parameters


@dataclass(frozen=True, slots=True, eq=False)  # told apart by identity: `grid` makes each of them once
class Grid:
    """The arms open to one request, in order, and which of them is the policy's own value."""

    parameter: str
    values: Mapping[str, Value | None]  # arm → value; None is `unset`
    baseline: str


def name_of(value: Value | None) -> str:
    """An arm's name: its value as YAML would write it."""
    if value is None:
        return UNSET_ARM
    if isinstance(value, bool):
        return "true" if value else "false"
    return f"{value:g}" if isinstance(value, int | float) else str(value)


def value_of(parameter: str, arm: str) -> Value | None:
    """The value that an arm's name stands for. Raises ValueError for a name that is none."""
    if arm == UNSET_ARM:
        return None
    kind = PARAMETERS[parameter].kind
    if kind == "flag":
        return arm == "true"
    if kind == "choice":
        return arm
    number = float(arm)
    return int(number) if kind == "integer" else number


def cell_of(
    context: Context,
    adaptation: Adaptation,
    parameter: str,
    thinking: bool,
    held: tuple[tuple[str, str], ...] = (),
) -> str:
    """The cell that a request learns in: task × model × mode × turn bucket (× tenant), for one parameter.

    Beside parameters that are held, each at an arm, evidence is about that place only, and the name says which:
    `top_p@temperature=0.8`.
    """
    beside = "@" + ",".join(f"{p}={arm}" for p, arm in held) if held else ""
    tenant = context.tenant if adaptation.per_tenant else "*"
    mode = "thinking" if thinking else "direct"
    return "|".join(
        (plain(tenant), plain(context.task), plain(context.model), mode, context.turn_bucket, parameter + beside)
    )


def origin(cell: str) -> tuple[str, str] | None:
    """The cell that another one goes on from, and the arm at which that has settled; None for a first parameter's."""
    start, _, last = cell.rpartition("|")
    parameter, _, held = last.partition("@")
    *others, nearest = held.split(",")
    before, _, arm = nearest.partition("=")
    if not (parameter and before and arm):
        return None
    return f"{start}|{before}" + ("@" + ",".join(others) if others else ""), arm


def is_cell(name: str) -> bool:
    """Whether `cell_of` may have made this name: six parts, the first three plain."""
    parts = name.split("|")
    return len(parts) == 6 and all(parts) and [plain(p) for p in parts[:3]] == parts[:3] and len(name) <= _LONGEST


def plain(text: str) -> str:
    """Free text inside a key: no separators and no braces (those mark a Redis Cluster slot)."""
    return "".join("_" if ch in "|{}\n\r" else ch for ch in text)[:120]


@lru_cache(4_096)  # pure, and the same few grids for every request
def grid(
    parameter: str,
    arms: tuple[Value | None, ...],
    baseline: Value | None,
    bounds: Range | None,
    honoured: Range | tuple[str, ...],
) -> Grid:
    """The arms inside the policy's bounds and the model's range, with the policy's own value among them."""
    allowed = {name_of(a): a for a in arms if _allowed(a, bounds, honoured)}
    allowed.setdefault(name_of(baseline), baseline)
    order = sorted(allowed.items(), key=lambda item: position(parameter, item[1]))
    return Grid(parameter, dict(order), name_of(baseline))


def _allowed(arm: Value | None, bounds: Range | None, honoured: Range | tuple[str, ...]) -> bool:
    if arm is None:
        return True
    if isinstance(honoured, tuple):
        return arm in honoured
    if not isinstance(arm, int | float):
        return True
    return arm in honoured and (bounds is None or arm in bounds)


def nearest(parameter: str, value: Value | None, among: tuple[Value | None, ...]) -> Value | None:
    """The one on the same axis that is nearest to a value; the first of several."""
    place, places = position(parameter, value), _positions(parameter, among)
    return among[min(range(len(among)), key=lambda i: abs(places[i] - place))]


@lru_cache(4_096)  # as for grids
def _positions(parameter: str, values: tuple[Value | None, ...]) -> tuple[float, ...]:
    return tuple(position(parameter, v) for v in values)


def solid(parameter: str, arm: Value | None, baseline: Value | None) -> bool:
    """Whether answers are known not to fall apart at an arm: it lies no further out than the parameter's edge or the policy's own."""
    edge = PARAMETERS[parameter].edge
    if edge is None:
        return False
    return position(parameter, arm) <= max(edge, position(parameter, baseline))


def position(parameter: str, value: Value | None) -> float:
    """Where an arm stands on its axis; 0.2 is a small step, as it is for temperature.

    `unset` stands where most servers' default does: temperature and top_p 1, a choice just below its middle, the rest at 0.
    """
    row = PARAMETERS[parameter]
    if value is None:
        return 1.0 if parameter in ("temperature", "top_p") else 0.1 * (len(row.choices) - 1.5) if row.choices else 0.0
    if row.choices:
        return 0.2 * row.choices.index(str(value)) if value in row.choices else 0.0
    if row.ceiling and isinstance(value, int):
        return 0.2 * value.bit_length()
    return float(value) if isinstance(value, int | float) else 0.0
