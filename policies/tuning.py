"""Tuning: rung 7. Which parameter of a request may move, in which cell it learns, and what is drawn there.

Parameters are tuned one after the other (coordinate descent): the first of `adapt.arms` that the model honours; once its cell has
settled at an arm, the next one beside that arm, for most units; and so on. A request learns in one cell only.
"""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from policies import arms
from policies.allocation import Allocations, alone, draw, unit_of
from policies.capability import Capabilities, Target
from policies.context import Context
from policies.decision import Draw
from policies.guards import Guards
from policies.ladder import Ladder
from policies.parameters import PARAMETERS, Value
from policies.policy import Adaptation
from policies.race import uniform

# Share of the units that go on from a settled cell to the next parameter. The rest keeps its draw, so that control, forgetting and
# the watch for changes never end there.
ONWARD = 0.8


@dataclass(frozen=True, slots=True)
class Place:
    """Where a request could learn. `held`: parameters that have settled, each with its grid and arm, in the order of tuning."""

    cell: str
    grid: arms.Grid
    held: tuple[tuple[arms.Grid, str], ...] = ()


@dataclass(frozen=True, slots=True)
class Tuning:
    """What rung 7 needs to know of one request."""

    capabilities: Capabilities
    adaptation: Adaptation
    context: Context
    target: Target
    body: Mapping[str, Any]
    client: Mapping[str, Value]
    guards: Guards
    thinking: bool

    def draw(self, ladder: Ladder, table: Allocations, *, observe: bool) -> Draw | None:
        """Draws an arm and puts it on the ladder; None where there is nothing to tune. `observe`: the policy's own value stays."""
        adaptation, context = self.adaptation, self.context
        unit = unit_of(adaptation.sticky, context.tenant, context.session, context.id)
        place = None
        for following in self._places(ladder, {} if observe else table.settled):
            if place is not None and uniform(unit, "onward", following.grid.parameter) >= ONWARD:
                break
            place = following
        if place is None:
            return None
        if observe:
            return alone(place.cell, place.grid, table.version, adaptation.sticky)
        for grid, arm in place.held:
            if arm != grid.baseline:
                told = f"{arm} has settled, and {place.grid.parameter} is tuned beside it"
                ladder.put("arm", told, grid.parameter, grid.values[arm])
        drawn = draw(place.cell, place.grid, table, adaptation.control, unit, adaptation.sticky)
        if drawn.explored:
            told = f"{drawn.arm} drawn with probability {drawn.propensity:.3g}"
            ladder.put("arm", told, drawn.parameter, place.grid.values[drawn.arm])
        return _beside(drawn, place) if place.held else drawn

    def _places(self, ladder: Ladder, settled: Mapping[str, str]) -> Iterator[Place]:
        """The first parameter's cell, and each further one that settled cells lead to."""
        held: tuple[tuple[arms.Grid, str], ...] = ()
        values: Mapping[str, Value] = ladder.values
        for parameter, offered in self.adaptation.arms.items():
            honoured = self.capabilities.honours(parameter, self.target, values, self.body)
            if honoured is None:
                continue
            # Between tasks, or where the client's own value will win, nothing is tried or learned.
            if ladder.by.get(parameter) == "blend" or self._is_clients(parameter):
                return
            open_arms = offered if not held else self._compatible(parameter, offered, held, values)
            grid = arms.grid(
                parameter, open_arms, self._own(parameter, values), self.guards.bounds.get(parameter), honoured
            )
            beside = tuple((g.parameter, arm) for g, arm in held)
            cell = arms.cell_of(self.context, self.adaptation, parameter, self.thinking, beside)
            yield Place(cell, grid, held)
            arm = settled.get(cell)
            if arm is None or arm not in grid.values:
                return
            held = (*held, (grid, arm))
            values = _with(values, parameter, grid.values[arm])

    def _is_clients(self, parameter: str) -> bool:
        return parameter in self.client and self.guards.client_wins(parameter, self.client[parameter])

    def _own(self, parameter: str, values: Mapping[str, Value]) -> Value | None:
        """The policy's value, inside its bounds."""
        own, bounds = values.get(parameter), self.guards.bounds.get(parameter)
        return bounds.clamp(own) if bounds and PARAMETERS[parameter].numeric and isinstance(own, int | float) else own

    def _compatible(
        self,
        parameter: str,
        offered: tuple[Value | None, ...],
        held: tuple[tuple[arms.Grid, str], ...],
        values: Mapping[str, Value],
    ) -> tuple[Value | None, ...]:
        """The arms beside which everything that is held still has an effect."""

        def acts(value: Value | None) -> bool:
            beside = _with(values, parameter, value)
            return all(
                self.capabilities.honours(g.parameter, self.target, beside, self.body) is not None for g, _ in held
            )

        return tuple(value for value in offered if acts(value))


def _with(values: Mapping[str, Value], parameter: str, value: Value | None) -> Mapping[str, Value]:
    others = {p: v for p, v in values.items() if p != parameter}
    return others if value is None else {**others, parameter: value}


def _beside(drawn: Draw, place: Place) -> Draw:
    explored = drawn.explored or any(arm != grid.baseline for grid, arm in place.held)
    return drawn._replace(explored=explored, held=tuple((grid.parameter, arm) for grid, arm in place.held))
