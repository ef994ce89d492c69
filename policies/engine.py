"""The engine: climbs the ladder from the vendor's recommendation to what the model will take. Pure: no clock, no store."""

from collections.abc import Mapping
from typing import Any

from policies import arms
from policies.allocation import Allocations
from policies.blending import Candidate, blend, likely
from policies.capability import Capabilities, Target
from policies.context import Context, Mode
from policies.decision import Decision, Draw
from policies.guards import Guards
from policies.ladder import Ladder
from policies.parameters import PARAMETERS, Range, Value
from policies.policy import Block, Policy
from policies.precedence import settle
from policies.tuning import Tuning
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
        guards = Guards((*blocks, *(r.block for r in matched)))
        client = read(body, context.surface)
        drawn = self._tuned(ladder, context, guards, target, body, client, thinking, allocations)
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

    def _tuned(
        self,
        ladder: Ladder,
        context: Context,
        guards: Guards,
        target: Target,
        body: Mapping[str, Any],
        client: Mapping[str, Value],
        thinking: bool,
        allocations: Allocations,
    ) -> Draw | None:
        """Rung 7. In a tool loop nothing is tried or learned."""
        mode = self._mode(context)
        if mode == "bypass" or context.tool_loop:
            return None
        adaptation = self.policy.adaptation_of(context.task)
        tuning = Tuning(self.capabilities, adaptation, context, target, body, client, guards, thinking)
        return tuning.draw(ladder, allocations, observe=mode == "observe")


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
    """Whether the arm reached the wire as it was drawn, beside what it was drawn beside."""
    wanted = ((drawn.parameter, drawn.arm), *drawn.held)
    return all(arms.name_of(params.get(parameter)) == arm for parameter, arm in wanted)
