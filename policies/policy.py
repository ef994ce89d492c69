"""The policy that the engine runs: what the files said, checked and compiled."""

import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from policies.conditions import Condition
from policies.context import Mode
from policies.document import ClientRule, Sticky
from policies.parameters import Range, Value
from policies.schedule import Clock, Curve, Steps
from policies.values import Setting


@dataclass(frozen=True, slots=True)
class Block:
    """Settings and their guards, from one place in one file."""

    source: str  # "guide.yaml: tasks.code"
    set: Mapping[str, Setting] = field(default_factory=dict)
    client: Mapping[str, ClientRule] = field(default_factory=dict)  # "*": every other parameter
    ignored: Mapping[str, tuple[Any, ...]] = field(default_factory=dict)
    bounds: Mapping[str, Range] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class ModelBlock:
    """A block for the models that a pattern matches."""

    match: re.Pattern[str]
    block: Block


@dataclass(frozen=True, slots=True)
class Rule:
    """A block for the requests that meet a condition."""

    name: str
    when: Condition
    block: Block


@dataclass(frozen=True, slots=True)
class Vendor:
    """A maker's recommendation for a model family; `thinking` None: in both modes."""

    match: re.Pattern[str]
    thinking: bool | None
    source: str
    set: Mapping[str, Setting]
    tasks: Mapping[str, Mapping[str, Setting]]


@dataclass(frozen=True, slots=True)
class Adaptation:
    """Learning as configured for one task. Weights of the objective sum to 1."""

    mode: Mode = "observe"
    arms: Mapping[str, tuple[Value | None, ...]] = field(default_factory=dict)  # None: the arm `unset`
    objective: Mapping[str, float] = field(default_factory=lambda: {"quality": 0.7, "latency": 0.15, "cost": 0.15})
    explore: float = 0.25
    control: float = 0.05
    per_tenant: bool = False
    pool: bool = True
    sticky: Sticky = "session"


@dataclass(frozen=True, slots=True)
class Policy:
    """Everything that the ladder needs, immutable; a reload swaps the whole."""

    name: str
    digest: str
    vendors: tuple[Vendor, ...] = ()
    defaults: tuple[Block, ...] = ()
    tasks: Mapping[str, tuple[Block, ...]] = field(default_factory=dict)
    models: Mapping[str, tuple[ModelBlock, ...]] = field(default_factory=dict)
    rules: tuple[Rule, ...] = ()
    blend: bool = False
    blend_by_task: Mapping[str, bool] = field(default_factory=dict)
    adaptation: Adaptation = field(default_factory=Adaptation)
    adaptations: Mapping[str, Adaptation] = field(default_factory=dict)

    def blends(self, task: str) -> bool:
        """Whether requests with this verdict get values between the tasks that they may be."""
        return self.blend_by_task.get(task, self.blend)

    @property
    def known_tasks(self) -> frozenset[str]:
        """Every task that anything in the policy is about."""
        by_vendors = {task for vendor in self.vendors for task in vendor.tasks}
        by_rules = {task for rule in self.rules for task in rule.when.tasks}
        return frozenset({*self.tasks, *self.adaptations, *by_vendors, *by_rules})

    def clocks_of(self, task: str) -> frozenset[Clock]:
        """What the schedules that may apply to a task go by."""
        vendors = (s for v in self.vendors for s in (v.set, v.tasks.get(task, {})))
        blocks = (*self.defaults, *self.tasks.get(task, ()), *(r.block for r in self.rules))
        models = (m.block.set for m in self.models.get(task, ()))
        settings = (s for block in (*vendors, *(b.set for b in blocks), *models) for s in block.values())
        return frozenset(s.by for s in settings if isinstance(s, Steps | Curve))

    def adaptation_of(self, task: str) -> Adaptation:
        """Learning as it is configured for a task."""
        return self.adaptations.get(task, self.adaptation)
