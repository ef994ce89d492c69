"""Fitting: one set of parameters is made legal for one target, step by step, each change with its reason."""

from collections.abc import Mapping
from typing import Any

from policies.overlay import (
    ALLOWANCE,
    BLANK,
    BUDGET,
    EXCLUSIVE,
    FIXED,
    GREEDY,
    RANGE,
    REASONING,
    STOPS,
    TOOLS,
    Limits,
)
from policies.parameters import PARAMETERS, Change, Range, Value
from policies.wire import read_one

# A cap of 32 to 64 tokens on a model that thinks is spent before the answer begins: it comes back empty (Qwen3.5,
# fakoli.github.io/anvil-serving). So much is added to a policy's cap below this; a client's own cap is its own affair.
ALLOWANCE_TOKENS = 1_024
ASKED = frozenset({"n", "tool_choice"})  # keys of a body that are no parameters and are looked at
_NUCLEUS = ("top_p", "top_k", "min_p")
_REASONING_KEYS = frozenset(path.split(".")[0] for name in REASONING for path in PARAMETERS[name].paths)


def thinks(limits: Limits, params: Mapping[str, Value], body: Mapping[str, Any]) -> bool:
    """By the first that the target takes and somebody said: thinking, its budget, the effort; else the model's habit."""
    if limits.thinking == "off" and not params.keys() & REASONING and not body.keys() & _REASONING_KEYS:
        return False
    thinking = _said(limits, "thinking", params, body)
    if thinking is not None:
        return bool(thinking)
    budget = _said(limits, "thinking_budget", params, body)
    if budget is not None:
        return budget != 0
    if limits.thinking == "off":
        return False
    effort = _said(limits, "reasoning_effort", params, body)
    if effort is None:
        return limits.thinking == "on" or limits.default_effort != "none"
    return limits.level(str(effort)) != "none"


def _said(limits: Limits, param: str, params: Mapping[str, Value], body: Mapping[str, Any]) -> Value | None:
    """The value that will reach the target: what it does not take counts for nothing."""
    if limits.refusal(param, of_client=True):
        return None
    value = params.get(param)
    return read_one(body, param) if value is None else value


def refused_by_mode(limits: Limits, param: str, thinking: bool) -> str | None:
    return (limits.thinking_refused if thinking else limits.direct_refused).get(param)


def fixed(limits: Limits, thinking: bool) -> Mapping[str, float | None]:
    return limits.fixed | limits.thinking_fixed if thinking else limits.fixed


def yields(limits: Limits, param: str, params: Mapping[str, Value], body: Mapping[str, Any]) -> bool:
    """Whether another parameter that is set makes this one inert or illegal."""
    if limits.greedy and param in _NUCLEUS and params.get("temperature") == 0:
        return True
    rivals = [first for first, second in limits.exclusive if second == param]
    return any(first in params or read_one(body, first) is not None for first in rivals)


class Fitting:
    """One set of parameters while it is made legal."""

    __slots__ = ("body", "changes", "client", "limits", "params")

    def __init__(
        self, params: dict[str, Value], limits: Limits, body: Mapping[str, Any], client: frozenset[str]
    ) -> None:
        self.params, self.limits, self.body, self.client = params, limits, body, client
        self.changes: list[Change] = []

    def _put(self, param: str, value: Value, reason: str) -> None:
        before = self.params[param]
        if before != value:
            self.params[param] = value
            self.changes.append(Change(param, before, value, reason))

    def _drop(self, param: str, reason: str) -> None:
        before = self.params.pop(param, None)
        if before is not None:
            self.changes.append(Change(param, before, None, reason, effective=False))

    def refuse_unknown(self) -> None:
        """Take away what the surface, the provider or the model never takes, or takes and ignores."""
        limits = self.limits
        for param in [p for p in self.params if p in limits.refused or p in limits.refused_policy]:
            reason = limits.refusal(param, of_client=param in self.client)
            if reason:
                self._drop(param, reason)

    def agree_on_thinking(self) -> None:
        """Thinking, its budget and the client's tools must not contradict each other."""
        params, limits = self.params, self.limits
        if not params.keys() & REASONING:
            return
        if params.get("thinking") is False or (limits.min_budget and _nothing(params.get("thinking_budget"))):
            self._drop("thinking_budget", BUDGET)
        if not limits.forced_tools and _forces_a_tool(self.body):
            for param in REASONING:
                if param not in self.client and self._may_think(params.get(param)):
                    self._drop(param, TOOLS)
        if limits.needs_budget and params.get("thinking") is True and "thinking_budget" not in params:
            self._drop("thinking", BUDGET)

    def _may_think(self, value: Value | None) -> bool:
        """Of thinking, budget or effort: `none` may be a level above it here."""
        return value is not False and (not isinstance(value, str) or self.limits.level(value) != "none")

    def clamp(self) -> None:
        """Bring numbers into range, the effort to the nearest level, and stops down to what is taken."""
        for param, value in list(self.params.items()):
            if isinstance(value, tuple):
                self._clamp_stops(param, value)
            elif param == "reasoning_effort":
                self._clamp_effort(param, str(value))
            elif PARAMETERS[param].numeric and isinstance(value, int | float):
                self._clamp_number(param, value)

    def _clamp_effort(self, param: str, effort: str) -> None:
        """`none` where it is no level but the habit is said by leaving it out: `low` would switch thinking on."""
        level = self.limits.level(effort)
        if self.limits.efforts and level not in self.limits.efforts and level == "none":
            self._drop(param, RANGE)
        else:
            self._put(param, level, RANGE)

    def _clamp_number(self, param: str, value: float) -> None:
        row, limits = PARAMETERS[param], self.limits
        allowed = limits.ranges.get(param) or Range(row.low, row.high)
        least = limits.many.get(param)
        if least is not None and _answers(self.body) > 1:
            allowed = allowed.narrowed(Range(least, None))
        if param == "top_k" and value <= 0 and value not in allowed:  # clamping "no limit" to 1 would make it greedy
            if param in limits.unlimited:
                self._put(param, limits.unlimited[param], RANGE)
            else:
                self._drop(param, RANGE)
            return
        inside = allowed.clamp(value)
        self._put(param, int(inside) if row.kind == "integer" else inside, RANGE)

    def _clamp_stops(self, param: str, stops: tuple[str, ...]) -> None:
        kept = tuple(s for s in stops if s and (self.limits.blank_stops or not s.isspace()))
        if not kept:
            self._drop(param, BLANK)
            return
        self._put(param, kept, BLANK)
        if self.limits.stops is not None:
            self._put(param, kept[: self.limits.stops], STOPS)

    def make_room_for_thinking(self) -> None:
        """Thinking is spent from max_tokens: leave it room, and the answer some."""
        if not ("max_tokens" in self.params or "thinking_budget" in self.params):
            return
        if not thinks(self.limits, self.params, self.body):
            return
        cap, budget = self.params.get("max_tokens"), self.params.get("thinking_budget")
        if isinstance(cap, int) and cap < ALLOWANCE_TOKENS and "max_tokens" not in self.client:
            most = self.limits.ranges.get("max_tokens", Range())
            cap = max(cap, int(most.clamp(cap + ALLOWANCE_TOKENS)))
            self._put("max_tokens", cap, ALLOWANCE)
        if isinstance(budget, int) and not isinstance(budget, bool):
            self._fit_budget(budget, cap if isinstance(cap, int) else None)

    def _fit_budget(self, budget: int, cap: int | None) -> None:
        """At least what the model asks for and below the cap, with half of that for the answer; or none at all."""
        least = self.limits.min_budget
        wanted = max(budget, least) if cap is None or budget < cap else max(cap // 2, least)
        if cap is None or wanted < cap:
            self._put("thinking_budget", wanted, BUDGET)
            return
        self._drop("thinking_budget", BUDGET)
        if self.limits.needs_budget:
            self._drop("thinking", BUDGET)

    def refuse_by_mode(self) -> None:
        """Take away what thinking, or its absence, makes illegal or inert."""
        limits = self.limits
        if not (limits.thinking_refused or limits.thinking_fixed or limits.direct_refused or limits.fixed):
            return
        thinking = thinks(limits, self.params, self.body)
        for param in list(self.params):
            reason = refused_by_mode(limits, param, thinking)
            if reason and self.params[param] != "none":  # the effort that keeps it from thinking is not inert
                self._drop(param, reason)
        for param, only in fixed(limits, thinking).items():
            if param in self.params and self.params[param] != only:
                self._drop(param, FIXED)

    def settle_pairs(self) -> None:
        """Of two that exclude each other the first stays, unless only the second is the client's own wish."""
        for first, second in self.limits.exclusive:
            if first in self.params and second in self.params:
                swap = second in self.client and first not in self.client
                keep, leave = (second, first) if swap else (first, second)
                self._drop(leave, EXCLUSIVE + keep)
        if self.limits.greedy and self.params.get("temperature") == 0:
            for param in _NUCLEUS:
                self._drop(param, GREEDY)


def _nothing(budget: Value | None) -> bool:
    """Whether a budget leaves no thinking at all, also one that clamping would bring to 0."""
    return isinstance(budget, int) and budget <= 0


def _answers(body: Mapping[str, Any]) -> int:
    n = body.get("n")
    return n if isinstance(n, int) else 1


def _forces_a_tool(body: Mapping[str, Any]) -> bool:
    choice = body.get("tool_choice")
    kind = choice.get("type") if isinstance(choice, dict) else choice
    return kind in ("required", "any", "tool", "function")
