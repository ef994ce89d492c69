"""The engine: climbs the ladder from the vendor's recommendation to what the model will take. Pure: no clock, no store."""

from collections.abc import Mapping
from typing import Any, NamedTuple

import orjson

from policies.allocation import Allocations
from policies.blending import Candidate, blend, likely
from policies.capability import Capabilities, Target
from policies.context import Context, Mode
from policies.decision import Decision
from policies.guards import Guards
from policies.kept import Kept
from policies.ladder import Ladder
from policies.matching import Matching
from policies.plan import Plan
from policies.policy import Block, Policy
from policies.tuning import Tuning
from policies.wire import read

MOST_BASES = 4_096
MOST_PLANS = 1_024  # in each half; 7 KB each
MOST_ONCE = 4_096
LONGEST_SHAPE = 512  # bytes of JSON; a longer one comes once

Key = tuple[Any, ...]


class Traits(NamedTuple):
    """What a task's decisions depend on beside what all do."""

    blends: bool
    by_turn: bool
    by_attempt: bool
    per_tenant: bool


class Engine:
    """Decides for one policy. Keeps only what can be computed again, and of requests no more than what `_key_of` names."""

    def __init__(self, policy: Policy, capabilities: Capabilities) -> None:
        self.policy = policy
        self.capabilities = capabilities
        self.name = f"{policy.name}@{policy.digest}"
        self._bases: dict[tuple[str, str, bool], tuple[Ladder, tuple[Block, ...]]] = {}
        self._traits: dict[str, Traits] = {}
        self._rules = Matching(policy.rules)
        self._plans: Kept[Key, Plan] = Kept(MOST_PLANS)
        self._once: set[int] = set()
        self._table, self._epoch = Allocations(), 0

    def decide(self, context: Context, body: Mapping[str, Any], allocations: Allocations) -> Decision:
        """Climb the ladder, or go the way that a request like this one went. Raises ParameterForbiddenError and nothing else."""
        if allocations is not self._table:
            self._table = allocations
            self._epoch += 1
        matched = self._rules.matched(context)
        key = self._key_of(context, body, matched)
        plan = self._plans.get(key) if key else None
        if plan is None:
            if key and self._came_before(key):
                plan = self._plans.put(key, self._plan(_bare(context), orjson.loads(key[-1]), matched))
            else:
                plan = self._plan(context, body, matched)
        return plan.decide(context, allocations, self._epoch)

    def climb(self, context: Context, body: Mapping[str, Any], allocations: Allocations) -> Decision:
        """As `decide`, with nothing that was kept."""
        return self._plan(context, body, self._rules.matched(context)).decide(context, allocations, 0)

    def _came_before(self, key: Key) -> bool:
        """Whether a key may have been asked for. What comes once, as from a client with a new seed each time, is not kept."""
        mark = hash(key)
        if mark in self._once:
            return True
        if len(self._once) >= MOST_ONCE:
            self._once.clear()
        self._once.add(mark)
        return False

    def _key_of(self, context: Context, body: Mapping[str, Any], matched: tuple[int, ...]) -> Key | None:
        """All that a plan depends on; None where it is for this request alone: between tasks, or with a body of its own shape."""
        traits = self._traits.get(context.task) or self._traits_of(context.task)
        if traits.blends and any(task != context.task for task, _ in likely(context.candidates)):
            return None
        looked_at = self.capabilities.looked_at
        # As JSON: 1, 1.0 and true are equal as keys, and are not the same in a request.
        seen = {k: v for k, v in body.items() if k in looked_at}
        shape = b"{}"
        if seen:
            try:
                shape = orjson.dumps(seen)
            except TypeError:
                return None
            if len(shape) > LONGEST_SHAPE:
                return None
        turn = context.turn
        return (
            context.task,
            context.model,
            context.provider,
            context.surface,
            turn if traits.by_turn or turn <= 1 else 2 if turn <= 3 else 4,
            context.attempt if traits.by_attempt else 1,
            context.mode,
            context.tool_loop,
            context.tenant if traits.per_tenant else None,
            matched,
            shape,
        )

    def _traits_of(self, task: str) -> Traits:
        if len(self._traits) >= MOST_BASES:
            self._traits.clear()
        policy, clocks = self.policy, self.policy.clocks_of(task)
        per_tenant = policy.adaptation_of(task).per_tenant
        found = Traits(policy.blends(task), "turn" in clocks, "attempt" in clocks, per_tenant)
        return self._traits.setdefault(task, found)

    def _plan(self, context: Context, body: Mapping[str, Any], matched: tuple[int, ...]) -> Plan:
        """Rungs 1 to 6, and what stands above them."""
        target = Target(context.model, context.provider, context.surface)
        thinking = self.capabilities.thinking(target, body)
        base, blocks = self._base(context.task, context.model, thinking)
        ladder, mode = base.copy(), self._mode(context)
        if context.candidates and self.policy.blends(context.task):
            self._blend(ladder, context, thinking)
        rules = [self.policy.rules[i] for i in matched]
        for rule in rules:
            ladder.apply("rule", rule.block.source, rule.block.set)
        ladder.run_schedules(context.turn, context.attempt)
        guards = Guards((*blocks, *(r.block for r in rules)))
        client = read(body, context.surface)
        tuning = None
        if mode != "bypass" and not context.tool_loop:  # in a tool loop nothing is tried or learned
            adaptation = self.policy.adaptation_of(context.task)
            tuning = Tuning(self.capabilities, adaptation, context, target, body, client, guards, thinking)
        names = tuple(r.name for r in rules)
        return Plan(self.name, mode, names, ladder, guards, client, self.capabilities, target, body, tuning)

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


def _bare(context: Context) -> Context:
    """What a plan may see of a context, and may keep: no text, no headers, no session."""
    return Context(
        task=context.task,
        turn=context.turn,
        attempt=context.attempt,
        model=context.model,
        provider=context.provider,
        surface=context.surface,
        tenant=context.tenant,
        tool_loop=context.tool_loop,
        mode=context.mode,
    )
