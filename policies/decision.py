"""The outcome of the ladder: what is sent, by whose word, and every step that led there."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Literal, NamedTuple

from policies.context import Mode
from policies.document import Sticky
from policies.parameters import Value
from policies.splicing import Added
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
# A step while the ladder is climbed, and as it is kept: (rung, source, parameter, before, after), None being the source of a
# drawn arm, whose probability is not the same under every table. A plain tuple of atoms is nothing to the garbage collector.
Climbed = tuple[Rung, str | None, str, Value | None, Value | None]


class Step(NamedTuple):
    """One change on one rung. `before`/`after` None: not sent."""

    rung: Rung
    source: str  # the place in the policy, or the reason
    param: str
    before: Value | None
    after: Value | None


class Draw(NamedTuple):
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


@dataclass(frozen=True, slots=True, eq=False)  # told apart by identity
class Shared:
    """What decisions have in common that differ in nothing but the odds of their draw: one object for all of them while it is
    kept, so that they can be counted by it. `adjusted`: (parameter, reason) of what bounds or capability changed and kept."""

    params: Mapping[str, Value]
    decided_by: Mapping[str, Rung]
    dropped: tuple[tuple[str, str], ...]
    adjusted: tuple[tuple[str, str], ...]


NOTHING = Shared({}, {}, (), ())


@dataclass(frozen=True, slots=True, eq=False)  # one object serves many requests: told apart by identity
class Decision:
    """What a request gets. `edits` turn the client's body into the one that is sent."""

    policy: str
    mode: Mode
    params: Mapping[str, Value]
    edits: tuple[Edit, ...] = ()
    climbed: tuple[Climbed, ...] = field(default=(), repr=False)
    dropped: tuple[tuple[str, str], ...] = ()
    rules: tuple[str, ...] = ()
    draw: Draw | None = None
    effective: bool = True
    decided_by: Mapping[str, Rung] = field(default_factory=dict)
    shared: Shared = field(default=NOTHING, repr=False)
    added: Added | None = field(default=None, repr=False)  # the edits, where they take nothing away
    memo: list[Any] = field(default_factory=list, init=False, repr=False)  # what its reader makes of it once

    @property
    def steps(self) -> tuple[Step, ...]:
        """The ladder, from its foot."""
        return tuple(Step(r, self._drawn if s is None else s, p, b, a) for r, s, p, b, a in self.climbed)

    @property
    def _drawn(self) -> str:
        assert self.draw is not None
        return f"{self.draw.arm} drawn with probability {self.draw.propensity:.3g}"
