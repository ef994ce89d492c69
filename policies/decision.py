"""The outcome of the ladder: what is sent, by whose word, and every step that led there."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Literal, NamedTuple

from policies.context import Mode
from policies.document import Sticky
from policies.parameters import Value
from policies.wire import Edit

Rung = Literal[
    "vendor", "defaults", "task", "model", "blend", "rule", "schedule", "arm", "client", "bounds", "capability"
]
RUNGS: tuple[Rung, ...] = (
    "vendor",
    "defaults",
    "task",
    "model",
    "blend",
    "rule",
    "schedule",
    "arm",
    "client",
    "bounds",
    "capability",
)


@dataclass(frozen=True, slots=True)
class Step:
    """One change on one rung. `before`/`after` None: not sent."""

    rung: Rung
    source: str  # the place in the policy, or the reason
    param: str
    before: Value | None
    after: Value | None


class Draw(NamedTuple):  # not a frozen dataclass: one is made for every request, and they take three times as long
    """The arm of a decision. `propensity` is the probability with which this very arm was drawn, in its cell.

    `odds` are the shares of all arms that could be drawn, and `table` the version of the allocation that they come from;
    `sticky` says what the draw was keyed on, the session or the request. `held` are the parameters that have settled, each at
    an arm, and beside which this one is tuned; `explored` says that the arm or one of those is not the policy's own value.
    """

    cell: str
    parameter: str
    arm: str
    propensity: float
    baseline: str
    grid: tuple[str, ...]
    explored: bool
    odds: Mapping[str, float]
    table: str
    sticky: Sticky
    held: tuple[tuple[str, str], ...] = ()


@dataclass(frozen=True, slots=True)
class Decision:
    """What a request gets. `edits` turn the client's body into the one that is sent."""

    policy: str
    mode: Mode
    params: Mapping[str, Value]
    edits: tuple[Edit, ...] = ()
    steps: tuple[Step, ...] = ()
    dropped: tuple[tuple[str, str], ...] = ()
    rules: tuple[str, ...] = ()
    draw: Draw | None = None
    effective: bool = True
    decided_by: Mapping[str, Rung] = field(default_factory=dict)
