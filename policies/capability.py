"""Rung 10: make the decided parameters legal for the model that will answer, and say what that took."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from fnmatch import fnmatchcase
from pathlib import Path
from typing import Any, Literal

import yaml
from pydantic import BaseModel, ConfigDict

from policies.catalog import Catalog, ModelFacts
from policies.parameters import EFFORTS, PARAMETERS, Change, Range, Value

OVERLAY = Path(__file__).parent / "capabilities.yaml"

# Every reason that headers and metrics can show; `exclusive_with_<parameter>` is the one family.
PROVIDER, MODEL, SURFACE = "unsupported_by_provider", "unsupported_by_model", "unsupported_on_surface"
IGNORED, WHILE_THINKING, FIXED = "ignored_by_model", "refused_while_thinking", "fixed_by_model"
IGNORED_THINKING, RANGE, STOPS = "ignored_while_thinking", "out_of_range", "too_many_stops"
GREEDY, BUDGET, ALLOWANCE = "inert_when_greedy", "too_small_for_thinking", "thinking_allowance"

SAMPLING = tuple(p.name for p in PARAMETERS.values() if p.sampling)
ALLOWANCE_TOKENS = 1_024  # a cap of 64 on a model that thinks is spent before the answer begins: it comes back empty
MOST_TARGETS = 4_096


@dataclass(frozen=True, slots=True)
class Target:
    """Who will answer: the model's name as it is sent, the dialect of its server, and the API shape."""

    model: str
    provider: str = "compatible"
    surface: str = "chat"


@dataclass(frozen=True, slots=True)
class Fitted:
    """Parameters as they are sent, and every change on the way there."""

    params: Mapping[str, Value]
    changes: tuple[Change, ...] = ()


class _Row(BaseModel):
    """What one row of the overlay may say; `sampling` in a list stands for all sampling parameters."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    match: list[str] = []
    providers: list[str] = []
    fields: list[str] | None = None
    names: dict[str, str] = {}
    ranges: dict[str, tuple[float | None, float | None]] = {}
    drop: list[str] = []
    ignore: list[str] = []
    fixed: dict[str, float] = {}
    exclusive: list[tuple[str, str]] = []
    stops: int | None = None
    greedy: bool | None = None
    thinking: Literal["on", "off", "effort"] | None = None
    thinking_drop: list[str] = []
    thinking_ignore: list[str] = []
    thinking_fixed: dict[str, float] = {}
    min_budget: int | None = None


class _Overlay(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True)

    surfaces: dict[str, list[str]]
    providers: dict[str, _Row]
    models: list[_Row]


@dataclass(slots=True)
class _Limits:
    """All rows that apply to one target, merged."""

    fields: frozenset[str] | None = None
    surface: frozenset[str] | None = None
    names: dict[str, tuple[str, ...]] = field(default_factory=dict)
    ranges: dict[str, Range] = field(default_factory=dict)
    refused: dict[str, str] = field(default_factory=dict)
    fixed: dict[str, float] = field(default_factory=dict)
    exclusive: list[tuple[str, str]] = field(default_factory=list)
    stops: int | None = None
    greedy: bool = False
    thinking: str = "off"
    thinking_refused: dict[str, str] = field(default_factory=dict)
    thinking_fixed: dict[str, float] = field(default_factory=dict)
    min_budget: int = 0
    facts: ModelFacts = field(default_factory=ModelFacts)


class Capabilities:
    """The overlay over the catalog. Everything about one target is merged once and kept."""

    def __init__(self, overlay: _Overlay, catalog: Catalog) -> None:
        self._overlay, self._catalog = overlay, catalog
        self._targets: dict[Target, _Limits] = {}

    @classmethod
    def load(cls, path: Path = OVERLAY, catalog: Catalog | None = None) -> "Capabilities":
        """Read the overlay. Raises pydantic's ValidationError for an overlay that says what it may not."""
        return cls(_Overlay.model_validate(yaml.safe_load(path.read_text("utf-8"))), catalog or Catalog.load())

    def facts(self, target: Target) -> ModelFacts:
        """What the catalog knows about the model."""
        return self._limits(target).facts

    def names(self, target: Target) -> Mapping[str, tuple[str, ...]]:
        """Where this target wants parameters that do not stand in the usual place."""
        return self._limits(target).names

    def thinking(self, target: Target, body: Mapping[str, Any], params: Mapping[str, Value] | None = None) -> bool:
        """Whether the model will think before it answers: as the request says, or as the model does by itself."""
        return _thinks(self._limits(target), body, params or {})

    def honours(
        self, param: str, target: Target, params: Mapping[str, Value], body: Mapping[str, Any]
    ) -> Range | tuple[str, ...] | None:
        """The values of a parameter that have an effect on this target; None when it has none, and so no arms."""
        limits = self._limits(target)
        if _refusal(param, limits, _thinks(limits, body, params), frozenset()) or param in _fixed(
            limits, _thinks(limits, body, params)
        ):
            return None
        if PARAMETERS[param].choices:
            return limits.facts.efforts or None if param == "reasoning_effort" else PARAMETERS[param].choices
        return limits.ranges.get(param, Range(PARAMETERS[param].low, PARAMETERS[param].high))

    def fit(
        self, params: Mapping[str, Value], target: Target, body: Mapping[str, Any], client: frozenset[str] = frozenset()
    ) -> Fitted:
        """Parameters that the target takes. `client`: those whose value is the client's own. Adds no parameter."""
        limits = self._limits(target)
        fitting = _Fitting(dict(params), limits, _thinks(limits, body, params), client)
        fitting.refuse()
        fitting.clamp()
        fitting.settle_pairs(body)
        fitting.make_room_for_thinking()
        return Fitted(fitting.params, tuple(fitting.changes))

    def _limits(self, target: Target) -> _Limits:
        found = self._targets.get(target)
        if found is None:
            if len(self._targets) >= MOST_TARGETS:
                self._targets.clear()
            found = self._targets[target] = self._merged(target)
        return found

    def _merged(self, target: Target) -> _Limits:
        facts = self._catalog.facts(target.model)
        limits = _Limits(facts=facts, ranges=dict(facts.ranges))
        surface = self._overlay.surfaces.get(target.surface)
        limits.surface = frozenset(surface) if surface is not None else None
        if facts.sampling is False:
            limits.refused |= dict.fromkeys(SAMPLING, MODEL)
        if facts.max_output_tokens:
            limits.ranges["max_tokens"] = Range(1, facts.max_output_tokens)
        base = target.model.lower().rsplit("/", 1)[-1]
        for row in (self._overlay.providers.get(target.provider), *self._overlay.models):
            if row is not None and _applies(row, base, target.provider):
                _merge(limits, row)
        return limits


def _applies(row: _Row, base: str, provider: str) -> bool:
    return (not row.match or any(fnmatchcase(base, glob) for glob in row.match)) and (
        not row.providers or provider in row.providers
    )


def _merge(limits: _Limits, row: _Row) -> None:
    if row.fields is not None:
        limits.fields = frozenset(row.fields)
    limits.names |= {p: tuple(path.split(".")) for p, path in row.names.items()}
    for param, (low, high) in row.ranges.items():
        limits.ranges[param] = limits.ranges.get(param, Range()).narrowed(Range(low, high))
    limits.refused |= dict.fromkeys(_spelt_out(row.drop), MODEL) | dict.fromkeys(_spelt_out(row.ignore), IGNORED)
    limits.thinking_refused |= dict.fromkeys(_spelt_out(row.thinking_drop), WHILE_THINKING)
    limits.thinking_refused |= dict.fromkeys(_spelt_out(row.thinking_ignore), IGNORED_THINKING)
    limits.fixed |= row.fixed
    limits.thinking_fixed |= row.thinking_fixed
    limits.exclusive += row.exclusive
    limits.stops = row.stops if row.stops is not None else limits.stops
    limits.greedy = limits.greedy if row.greedy is None else row.greedy
    limits.thinking = row.thinking or limits.thinking
    limits.min_budget = row.min_budget if row.min_budget is not None else limits.min_budget


def _spelt_out(names: list[str]) -> list[str]:
    return [n for name in names for n in (SAMPLING if name == "sampling" else (name,))]


def _thinks(limits: _Limits, body: Mapping[str, Any], params: Mapping[str, Value]) -> bool:
    said = params.get("thinking")
    if isinstance(said, bool):
        return said
    asked, template = body.get("thinking"), body.get("chat_template_kwargs")
    if isinstance(asked, dict) and isinstance(asked.get("type"), str):
        return bool(asked["type"] != "disabled")
    if isinstance(template, dict) and isinstance(template.get("enable_thinking"), bool):
        return bool(template["enable_thinking"])
    if limits.thinking == "effort":
        return _effort(limits, body, params) != "none"
    return limits.thinking == "on"


def _effort(limits: _Limits, body: Mapping[str, Any], params: Mapping[str, Value]) -> str:
    nested = body.get("reasoning")
    said = (
        params.get("reasoning_effort")
        or body.get("reasoning_effort")
        or (nested.get("effort") if isinstance(nested, dict) else None)
    )
    return str(said or limits.facts.default_effort or "medium")


def _refusal(param: str, limits: _Limits, thinking: bool, client: frozenset[str]) -> str | None:
    """Why a parameter cannot be sent at all; None when it can."""
    if limits.surface is not None and param not in limits.surface:
        return SURFACE
    if limits.fields is not None and param not in limits.fields and param not in client:
        return PROVIDER
    if param in limits.refused:
        return limits.refused[param]
    return limits.thinking_refused.get(param) if thinking else None


def _fixed(limits: _Limits, thinking: bool) -> Mapping[str, float]:
    return limits.fixed | limits.thinking_fixed if thinking else limits.fixed


class _Fitting:
    """One set of parameters while it is made legal."""

    __slots__ = ("changes", "client", "limits", "params", "thinking")

    def __init__(self, params: dict[str, Value], limits: _Limits, thinking: bool, client: frozenset[str]) -> None:
        self.params, self.limits, self.thinking, self.client = params, limits, thinking, client
        self.changes: list[Change] = []

    def _put(self, param: str, value: Value | None, reason: str) -> None:
        before = self.params.pop(param)
        if value is not None:
            self.params[param] = value
        self.changes.append(Change(param, before, value, reason, effective=value is not None))

    def refuse(self) -> None:
        """Take away what the surface, the provider or the model does not take, or takes and ignores."""
        known_fields = self.client if self.limits.fields is None or "extra" in self.limits.fields else frozenset[str]()
        for param in list(self.params):
            reason = _refusal(param, self.limits, self.thinking, known_fields)
            if reason:
                self._put(param, None, reason)
        for param, only in _fixed(self.limits, self.thinking).items():
            if param in self.params and self.params[param] != only:
                self._put(param, None, FIXED)

    def clamp(self) -> None:
        """Bring numbers into range, choices to the nearest level, and stops down to how many are taken."""
        for param, value in list(self.params.items()):
            row, limits = PARAMETERS[param], self.limits.ranges.get(param)
            if row.numeric and isinstance(value, int | float):
                inside = (limits or Range(row.low, row.high)).clamp(value)
                if inside != value:
                    self._put(param, int(inside) if row.kind == "integer" else inside, RANGE)
            elif param == "reasoning_effort" and self.limits.facts.efforts and value not in self.limits.facts.efforts:
                self._put(param, _nearest(str(value), self.limits.facts.efforts), RANGE)
            elif isinstance(value, tuple) and self.limits.stops is not None and len(value) > self.limits.stops:
                self._put(param, value[: self.limits.stops], STOPS)

    def settle_pairs(self, body: Mapping[str, Any]) -> None:
        """Of two that exclude each other the first stays, unless only the second is the client's own wish."""
        for first, second in self.limits.exclusive:
            if first in self.params and second in self.params:
                keep, leave = (second, first) if second in self.client and first not in self.client else (first, second)
                self._put(leave, None, f"exclusive_with_{keep}")
        if self.limits.greedy and self.params.get("temperature") == 0:
            for param in ("top_p", "top_k", "min_p"):
                if param in self.params:
                    self._put(param, None, GREEDY)

    def make_room_for_thinking(self) -> None:
        """Thinking is spent from max_tokens: leave it room, and the answer some."""
        if not self.thinking:
            return
        cap, budget = self.params.get("max_tokens"), self.params.get("thinking_budget")
        if isinstance(cap, int) and "max_tokens" not in self.client and cap < ALLOWANCE_TOKENS:
            cap = cap + ALLOWANCE_TOKENS
            self._put("max_tokens", cap, ALLOWANCE)
        if isinstance(budget, int) and (budget < self.limits.min_budget or (isinstance(cap, int) and budget >= cap)):
            fits = isinstance(cap, int) and self.limits.min_budget < cap
            self._put(
                "thinking_budget",
                max(self.limits.min_budget, min(budget, cap - 1)) if fits and isinstance(cap, int) else None,
                BUDGET,
            )


def _nearest(effort: str, levels: tuple[str, ...]) -> str:
    place = EFFORTS.index(effort)
    return min(levels, key=lambda level: abs(EFFORTS.index(level) - place))
