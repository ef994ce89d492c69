"""Plans: all of a decision that neither chance nor the session has a part in, made once for many requests."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from itertools import islice
from typing import Any

from policies import arms
from policies.allocation import Allocations, drawn, unit_of
from policies.capability import Capabilities, Target
from policies.context import Context, Mode
from policies.decision import Decision, Draw, Shared
from policies.document import Sticky
from policies.guards import Guards
from policies.ladder import Ladder
from policies.parameters import PARAMETERS, Range, Value
from policies.precedence import settle
from policies.race import Runners, first, runners, uniform
from policies.splicing import added
from policies.tuning import Place, Tuning
from policies.wire import edits

# Share of the units that go on from a settled cell to the next parameter. The rest keeps its draw, so that control, forgetting and
# the watch for changes never end there.
ONWARD = 0.8
MOST_FINISHED = 64  # of one plan: the arms of its cells, and of those that cells led to before


@dataclass(slots=True)
class Stage:
    """A cell that requests of a plan may learn in, under one table. `only` is the arm where there is but one."""

    place: Place
    odds: Mapping[str, float]
    line_up: Runners
    only: str | None
    decisions: dict[str, Decision] = field(default_factory=dict)


@dataclass(slots=True, eq=False)
class Plan:
    """The ladder up to rung 6, and what stands above it. `body` holds at least the keys that capabilities look at.

    What depends on a table is made anew where `epoch` says that there is another one.
    """

    policy: str
    mode: Mode
    rules: tuple[str, ...]
    ladder: Ladder
    guards: Guards
    client: Mapping[str, Value]
    capabilities: Capabilities
    target: Target
    body: Mapping[str, Any]
    tuning: Tuning | None  # None where nothing may be tried: in a tool loop, or in bypass
    epoch: int = -1
    stages: tuple[Stage, ...] = ()
    untuned: Decision | None = None
    finished: dict[tuple[str, str], Decision] = field(default_factory=dict)

    def decide(self, context: Context, table: Allocations, epoch: int) -> Decision:
        """The decision of one request that has this plan. Raises ParameterForbiddenError."""
        if self.epoch != epoch:
            self._open(table)
            self.epoch = epoch
        if self.untuned is not None:
            return self.untuned
        stages = self.stages
        stage = stages[0]
        if stage.only is None or len(stages) > 1:
            unit = unit_of(self._sticky, context.tenant, context.session, context.id)
            for following in islice(stages, 1, None):
                if uniform(unit, "onward", following.place.grid.parameter) >= ONWARD:
                    break
                stage = following
            arm = first(stage.line_up, unit)
        else:
            arm = stage.only
        return stage.decisions.get(arm) or self._decided(stage, arm, table.version)

    @property
    def _sticky(self) -> Sticky:
        assert self.tuning is not None
        return self.tuning.adaptation.sticky

    def _open(self, table: Allocations) -> None:
        """Line up what a table says of the cells that this plan leads to."""
        observe, tuning = self.mode == "observe", self.tuning
        places = tuple(tuning.places(self.ladder, {} if observe else table.settled)) if tuning else ()
        stages = []
        for place in places:
            grid = place.grid
            control = 1.0 if tuning is None else tuning.adaptation.control
            odds = {grid.baseline: 1.0} if observe else table.odds(place.cell, grid, control)
            stages.append(Stage(place, odds, runners(odds), next(iter(odds)) if len(odds) == 1 else None))
        self.stages = tuple(stages)
        self.untuned = None if stages else self._finished(None, "")

    def _decided(self, stage: Stage, arm: str, version: str) -> Decision:
        """The decision of everybody who draws an arm under this table."""
        place = stage.place
        draw = drawn(place.cell, place.grid, arm, stage.odds, version, self._sticky, place.held)
        decision = stage.decisions[arm] = _with(self._finished(place, arm), draw)
        return decision

    def _finished(self, place: Place | None, arm: str) -> Decision:
        """What everybody gets who draws an arm, under any table."""
        key = (place.cell if place else "", arm)
        found = self.finished.get(key)
        if found is None:
            if len(self.finished) >= MOST_FINISHED:
                self.finished.clear()
            found = self.finished[key] = self._finish(place, arm)
        return found

    def _finish(self, place: Place | None, arm: str) -> Decision:
        """Rungs 7 to 10, but for the odds of the draw."""
        ladder, guards, capabilities = self.ladder.copy(), self.guards, self.capabilities
        if place:
            _put_arms(ladder, place, arm)
        won = settle(ladder, self.client, guards.client, guards.ignored, guards.bounds)
        _bound(ladder, guards.bounds)
        # A cap with a bound is meant as it is: no room for thinking is added on top of it.
        meant = won | {"max_tokens"} if "max_tokens" in guards.bounds else won
        fitted = capabilities.fit(ladder.values, self.target, self.body, client=meant)
        for change in fitted.changes:
            ladder.put("capability", change.reason, change.param, change.after)
        dropped = tuple((c.param, c.reason) for c in fitted.changes if c.after is None)
        decided_by = {p: ladder.by[p] for p in fitted.params if p in ladder.by}
        adjusted = tuple(
            (param, str(reason) if rung == "capability" else "bounds")
            for rung, reason, param, _, after in ladder.steps
            if rung in ("capability", "bounds") and after is not None
        )
        names, surface = capabilities.names(self.target), self.target.surface
        changes = edits(self.client, fitted.params, names, surface, self.body)
        return Decision(
            policy=self.policy,
            mode=self.mode,
            params=fitted.params,
            edits=changes,
            climbed=tuple(ladder.steps),
            dropped=dropped,
            rules=self.rules,
            effective=place is None or _acts(place, arm, fitted.params),
            decided_by=decided_by,
            shared=Shared(fitted.params, decided_by, dropped, adjusted),
            added=added(changes),
        )


def _with(found: Decision, draw: Draw) -> Decision:
    return Decision(
        found.policy,
        found.mode,
        found.params,
        found.edits,
        found.climbed,
        found.dropped,
        found.rules,
        draw,
        found.effective,
        found.decided_by,
        found.shared,
        found.added,
    )


def _put_arms(ladder: Ladder, place: Place, arm: str) -> None:
    """Rung 7: what has settled is held at its arm, and the arm that was drawn stands beside it."""
    for grid, held in place.held:
        if held != grid.baseline:
            told = f"{held} has settled, and {place.grid.parameter} is tuned beside it"
            ladder.put("arm", told, grid.parameter, grid.values[held])
    if arm != place.grid.baseline:
        ladder.put("arm", None, place.grid.parameter, place.grid.values[arm])


def _bound(ladder: Ladder, bounds: Mapping[str, Range]) -> None:
    """Rung 9: no client, rule or arm crosses a bound."""
    for param, limits in bounds.items():
        value = ladder.values.get(param)
        if isinstance(value, int | float) and value not in limits:
            inside = limits.clamp(value)
            # By the parameter's kind, not the value's: a client's `"temperature": 2` is 0.6 within [0.1, 0.6], and not 0.
            whole = int(inside) if PARAMETERS[param].kind == "integer" else inside
            ladder.put("bounds", f"{_open_end(limits.low)} to {_open_end(limits.high)}", param, whole)


def _open_end(limit: float | None) -> str:
    return "any" if limit is None else f"{limit:g}"


def _acts(place: Place, arm: str, params: Mapping[str, Any]) -> bool:
    """Whether the arm reached the wire as it was drawn, beside what it was drawn beside."""
    wanted = ((place.grid, arm), *place.held)
    return all(arms.name_of(params.get(grid.parameter)) == held for grid, held in wanted)
