"""What happened to one request, and what was said about it later."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Literal

Result = Literal["ok", "error", "cancelled", "rejected"]
Credit = Literal["credited", "duplicate", "unknown", "late", "queued"]


@dataclass(slots=True)
class DecisionRecord:  # not frozen, though nobody writes to one: each request makes one, and freezing takes nine times as long
    """What was decided for one request: ids and numbers, never text. This is what the store keeps for later feedback.

    `cell` and `arm` say which statistics the rewards belong to; None where nothing is being learned. `effective` is
    False when the tuned parameter did not reach the model: such a request is counted and never learned from.
    `propensity` is the probability with which `arm` was drawn; `at` is in unix seconds. `features` are what the classifier
    needs to learn from a correction, None unless the operator wants that; `declared` says that the app gave the task.
    `live` and `shadow` are what the classifiers said, as `task@digest`; None where they were not asked, or not yet.
    `table` is the version of the allocation that `odds` come from: the share of each arm that could be drawn, as it was drawn
    with. `sticky` says what the draw was keyed on, `session` (where there is one) or `request`. None where nothing was drawn.
    `observed` are the rewards of observed signals that are held against explicit ones; None before the answer was looked at.
    """

    id: str
    tenant: str
    task: str
    model: str
    upstream: str
    turn: int
    cell: str | None
    parameter: str | None
    arm: str | None
    propensity: float
    mode: str
    policy: str
    session: str | None
    effective: bool
    at: float
    features: str | None = None
    declared: bool = False
    live: str | None = None
    shadow: str | None = None
    table: str | None = None
    odds: Mapping[str, float] | None = None
    sticky: str | None = None
    observed: tuple[tuple[str, float], ...] | None = None

    @property
    def learns(self) -> bool:
        """Whether rewards of this decision go to an arm."""
        return self.effective and self.cell is not None and self.arm is not None


@dataclass(slots=True)
class Outcome:  # not frozen, for the same reason
    """How one request ended. Times in seconds, `ttft` from our first byte in to the first byte of the answer.

    `completion` is the id that the upstream gave the answer. `text` is read for observed signals and dropped: it is
    never stored or logged. `prompt` is a fingerprint (not the text) of the last user message: the same one again in the
    same session is a regeneration. `label_task` says that a short, capped answer is what was wanted. `failed` says that the
    upstream failed on the request or refused it as it was; None where that says nothing about how it was asked.
    """

    decision: DecisionRecord
    surface: str
    completion: str | None
    status: int
    finish: str | None
    result: Result
    seconds: float
    upstream_seconds: float
    ttft: float | None
    prompt_tokens: int | None
    completion_tokens: int | None
    cost_usd: float | None
    text: str
    wants_json: bool
    label_task: bool
    prompt: str | None = None
    failed: bool | None = None


@dataclass(frozen=True, slots=True)
class Feedback:
    """One thing that a client says about an answer; `id` is a decision id or the upstream's completion id. Or about all
    answers of a `session` of its `tenant` together: then `id` is empty.

    With `tenant`, decisions of other tenants are unknown to it.
    """

    id: str
    signal: str
    value: float | bool | str
    at: float
    tenant: str | None = None
    session: str | None = None
