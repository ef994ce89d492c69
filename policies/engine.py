"""The engine: climbs the ladder from the vendor's recommendation to what the model will take. Pure: no clock, no store."""

from collections.abc import Mapping
from typing import Any

from policies import arms
from policies.allocation import Allocations, alone, draw, unit_of
from policies.blending import Candidate, blend, likely
from policies.capability import Capabilities, Target
from policies.context import Context, Mode
from policies.decision import Decision, Draw
from policies.document import ClientRule
from policies.ladder import Ladder
from policies.parameters import PARAMETERS, Range
from policies.policy import Block, Policy
from policies.precedence import settle
from policies.wire import edits, read

MOST_BASES = 4_096


class Engine:
    """Decides for one policy. Keeps only what can be computed again: the part of the ladder that no request changes."""

    def __init__(self, policy: Policy, capabilities: Capabilities) -> None:
        self.policy = policy
        self.capabilities = capabilities
        self.name = f"{policy.name}@{policy.digest}"
        self._bases: dict[tuple[str, str, bool], tuple[Ladder, tuple[Block, ...]]] = {}

    def decide(self, context: Context, body: Mapping[str, Any], allocations: Allocations) -> Decision:
        """Climb the ladder. Raises ParameterForbiddenError and nothing else."""
        target = Target(context.model, context.provider, context.surface)
        thinking = self.capabilities.thinking(target, body)
        base, blocks = self._base(context.task, context.model, thinking)
        ladder = base.copy()
        if context.candidates and self.policy.blends(context.task):
            self._blend(ladder, context, thinking)
        matched = [rule for rule in self.policy.rules if rule.when.holds(context)]
        for rule in matched:
            ladder.apply("rule", rule.block.source, rule.block.set)
        ladder.run_schedules(context.turn, context.attempt)
        guards = _Guards((*blocks, *(r.block for r in matched)))
        client = read(body, context.surface)
        drawn = self._arm(ladder, context, guards, target, body, thinking, allocations, client)
        won = settle(ladder, client, guards.client, guards.ignored, guards.bounds)
        _bound(ladder, guards.bounds)
        # A cap with a bound is meant as it is: no room for thinking is added on top of it.
        meant = won | {"max_tokens"} if "max_tokens" in guards.bounds else won
        fitted = self.capabilities.fit(ladder.values, target, body, client=meant)
        for change in fitted.changes:
            ladder.put("capability", change.reason, change.param, change.after)
        dropped = tuple((c.param, c.reason) for c in fitted.changes if c.after is None)
        return Decision(
            policy=self.name,
            mode=self._mode(context),
            params=fitted.params,
            edits=edits(client, fitted.params, self.capabilities.names(target), context.surface, body),
            steps=tuple(ladder.steps),
            dropped=dropped,
            rules=tuple(r.name for r in matched),
            draw=drawn,
            effective=drawn is None or _acts(drawn, fitted.params),
            decided_by={p: ladder.by[p] for p in fitted.params if p in ladder.by},
        )

    def _mode(self, context: Context) -> Mode:
        return context.mode or self.policy.adaptation_of(context.task).mode

    def _base(self, task: str, model: str, thinking: bool) -> tuple[Ladder, tuple[Block, ...]]:
        """Rungs 1 to 4, which depend on task, model and mode only."""
        key = (task, model, thinking)
        found = self._bases.get(key)
        if found is None:
            if len(self._bases) >= MOST_BASES:
                self._bases.clear()
            found = self._bases[key] = self._climb(task, model, thinking)
        return found

    def _climb(self, task: str, model: str, thinking: bool) -> tuple[Ladder, tuple[Block, ...]]:
        ladder, policy, bare = Ladder(), self.policy, model.rsplit("/", 1)[-1]
        vendor = next((v for v in policy.vendors if v.thinking in (None, thinking) and v.match.match(bare)), None)
        if vendor:
            ladder.apply("vendor", vendor.source, {**vendor.set, **vendor.tasks.get(task, {})})
        tasks = policy.tasks.get(task, ())
        own = [m.block for m in policy.models.get(task, ()) if m.match.match(bare) or m.match.match(model)]
        for block in policy.defaults:
            ladder.apply("defaults", block.source, block.set)
        for block in tasks:
            ladder.apply("task", block.source, block.set)
        for block in own:
            ladder.apply("model", block.source, block.set)
        return ladder, (*policy.defaults, *tasks, *own)

    def _blend(self, ladder: Ladder, context: Context, thinking: bool) -> None:
        """Between rungs 4 and 5: numbers become the mean over the tasks that the prompt may be."""
        shares = likely(context.candidates)
        if all(task == context.task for task, _ in shares):
            return
        candidates = [Candidate(t, share, self._base(t, context.model, thinking)[0]) for t, share in shares]
        arms_of = self.policy.adaptation_of(context.task).arms if self._mode(context) != "bypass" else {}
        blend(ladder, candidates, arms_of, context.turn, context.attempt)

    def _arm(
        self,
        ladder: Ladder,
        context: Context,
        guards: "_Guards",
        target: Target,
        body: Mapping[str, Any],
        thinking: bool,
        allocations: Allocations,
        client: Mapping[str, Any],
    ) -> Draw | None:
        """Rung 7. In a tool loop, between tasks, or where the client's own value will win, nothing is tried or learned."""
        adaptation, mode = self.policy.adaptation_of(context.task), self._mode(context)
        if mode == "bypass" or context.tool_loop:
            return None
        for parameter, values in adaptation.arms.items():
            honoured = self.capabilities.honours(parameter, target, ladder.values, body)
            if honoured is None:
                continue
            if ladder.by.get(parameter) == "blend":
                return None
            if parameter in client and guards.client_wins(parameter, client[parameter]):
                return None
            bounds, row = guards.bounds.get(parameter), PARAMETERS[parameter]
            baseline = ladder.values.get(parameter)
            if bounds and row.numeric and isinstance(baseline, int | float):
                baseline = bounds.clamp(baseline)
            grid = arms.grid(parameter, values, baseline, bounds, honoured)
            cell = arms.cell_of(context, adaptation, parameter, thinking)
            if mode == "observe":
                return alone(cell, grid, allocations.version, adaptation.sticky)
            unit = unit_of(adaptation.sticky, context.tenant, context.session, context.id)
            drawn = draw(cell, grid, allocations, adaptation.control, unit, adaptation.sticky)
            if drawn.explored:
                ladder.put(
                    "arm",
                    f"{drawn.arm} drawn with probability {drawn.propensity:.3g}",
                    parameter,
                    grid.values[drawn.arm],
                )
            return drawn
        return None


class _Guards:
    """Precedence, ignored values and bounds of all blocks that apply: later words win, bounds only ever narrow."""

    __slots__ = ("bounds", "client", "ignored")

    def __init__(self, blocks: tuple[Block, ...]) -> None:
        self.client: dict[str, ClientRule] = {}
        self.ignored: dict[str, tuple[Any, ...]] = {}
        self.bounds: dict[str, Range] = {}
        for block in blocks:
            if "*" in block.client:
                self.client.clear()
            self.client.update(block.client)
            self.ignored.update(block.ignored)
            for param, limits in block.bounds.items():
                self.bounds[param] = self.bounds[param].narrowed(limits) if param in self.bounds else limits

    def client_wins(self, param: str, value: Any) -> bool:
        """Whether the client's value would decide the parameter, so that an arm could not."""
        rule = self.client.get(param) or self.client.get("*", "default")
        return rule != "override" and value not in self.ignored.get(param, ())


def _bound(ladder: Ladder, bounds: Mapping[str, Range]) -> None:
    """Rung 9: no client, rule or arm crosses a bound."""
    for param, limits in bounds.items():
        value = ladder.values.get(param)
        if isinstance(value, int | float) and value not in limits:
            inside = limits.clamp(value)
            # By the parameter's kind, not the value's: a client's `"temperature": 2` is 0.6 within [0.1, 0.6], and not 0.
            whole = int(inside) if PARAMETERS[param].kind == "integer" else inside
            ladder.put("bounds", f"{_open(limits.low)} to {_open(limits.high)}", param, whole)


def _open(limit: float | None) -> str:
    return "any" if limit is None else f"{limit:g}"


def _acts(drawn: Draw, params: Mapping[str, Any]) -> bool:
    """Whether the arm reached the wire as it was drawn."""
    return arms.name_of(params.get(drawn.parameter)) == drawn.arm
