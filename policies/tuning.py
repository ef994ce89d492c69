"""Tuning: rung 7. Which parameter of a request may move, and in which cells it could learn.

Parameters are tuned one after the other (coordinate descent): the first of `adapt.arms` that the model honours; once its cell has
settled at an arm, the next one beside that arm, for most units; and so on. A request learns in one cell only.
"""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from policies import arms
from policies.allocation import Held
from policies.capability import Capabilities, Target
from policies.context import Context
from policies.guards import Guards
from policies.ladder import Ladder
from policies.parameters import PARAMETERS, Value
from policies.policy import Adaptation


@dataclass(frozen=True, slots=True)
class Place:
    """Where a request could learn. `held`: parameters that have settled, each with its grid and arm, in the order of tuning."""

    cell: str
    grid: arms.Grid
    held: Held = ()


@dataclass(frozen=True, slots=True)
class Tuning:
    """What rung 7 needs to know of a request. Of the context it is the task, the model, the turn and the tenant."""

    capabilities: Capabilities
    adaptation: Adaptation
    context: Context
    target: Target
    body: Mapping[str, Any]
    client: Mapping[str, Value]
    guards: Guards
    thinking: bool

    def places(self, ladder: Ladder, settled: Mapping[str, str]) -> Iterator[Place]:
        """The first parameter's cell, and each further one that settled cells lead to; none where there is nothing to tune."""
        held: Held = ()
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
        held: Held,
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
