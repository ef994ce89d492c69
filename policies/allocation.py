"""Allocations: how much of a cell's traffic each arm gets, and the one place where chance decides."""

from collections.abc import Mapping
from dataclasses import dataclass, field

from policies.arms import Grid, origin
from policies.decision import Draw
from policies.document import Sticky
from policies.race import winner

WHOLE = 1_000_000  # a share is a whole number of millionths: its text is short and says it exactly
MOST_KEPT = 4_096

Held = tuple[tuple[Grid, str], ...]


@dataclass(frozen=True, slots=True)
class Allocations:
    """All cells' probabilities by arm, swapped in whole; immutable but for what it can compute again.

    `settled`: the arm at which a cell has settled, so that the next parameter is tuned beside it.
    """

    version: str = "0"
    cells: Mapping[str, Mapping[str, float]] = field(default_factory=dict)
    settled: Mapping[str, str] = field(default_factory=dict)
    _odds: dict[tuple[str, Grid, float], Mapping[str, float]] = field(default_factory=dict, compare=False, repr=False)

    def leads_to(self, cell: str) -> bool:
        """Whether requests get to a cell: those it goes on from have settled where it was learned."""
        before = origin(cell)
        return before is None or (self.settled.get(before[0]) == before[1] and self.leads_to(before[0]))

    def odds(self, cell: str, grid: Grid, control: float) -> Mapping[str, float]:
        """The arms open to a request that have a share of their cell, and the share."""
        key = (cell, grid, control)
        found = self._odds.get(key)
        if found is None:
            if len(self._odds) >= MOST_KEPT:
                self._odds.clear()
            split = shares(self.cells.get(cell), grid, control)
            found = self._odds[key] = {arm: share for arm, share in split.items() if share > 0}
        return found


def shares(learned: Mapping[str, float] | None, grid: Grid, control: float) -> dict[str, float]:
    """The probability of each arm open to this request, in whole millionths; sums to 1.

    The share `control` stays with the policy's own value for ever. Arms that this request's bounds exclude lose their
    share to the others in proportion.
    """
    open_arms = {arm: max(learned.get(arm, 0.0), 0.0) for arm in grid.values} if learned else {}
    total = sum(open_arms.values())
    if not 0.0 < total < float("inf"):
        return {grid.baseline: 1.0}
    scale = (1 - control) * WHOLE
    parts = {arm: int(share / total * scale + 0.001) for arm, share in open_arms.items()}
    parts[grid.baseline] += WHOLE - sum(parts.values())
    return {arm: part / WHOLE for arm, part in parts.items()}


def draw(
    cell: str, grid: Grid, allocations: Allocations, control: float, unit: str, sticky: Sticky = "session"
) -> Draw:
    """The arm of a unit: it keeps it from table to table, and from cell to cell, until the arm's share shrinks beside another's.

    So the units of one cell are drawn as its shares say, and are not independent of what they drew in another cell.
    """
    odds = allocations.odds(cell, grid, control)
    return drawn(cell, grid, winner(odds, unit), odds, allocations.version, sticky)


def drawn(
    cell: str, grid: Grid, arm: str, odds: Mapping[str, float], table: str, sticky: Sticky, held: Held = ()
) -> Draw:
    """The draw of an arm, one of `odds`, beside what is held and at which arm; of those any may be another than the policy's."""
    own = grid.baseline
    explored = arm != own or any(beside != other.baseline for other, beside in held)
    names = tuple((other.parameter, beside) for other, beside in held)
    return Draw(cell, grid.parameter, arm, odds[arm], own, tuple(grid.values), explored, odds, table, sticky, names)


def unit_of(sticky: Sticky, tenant: str, session: str | None, decision: str) -> str:
    """What a draw is keyed on: the tenant's session where the policy keeps sessions together, else the decision's id."""
    return f"{tenant}\0{session}" if session and sticky == "session" else decision
