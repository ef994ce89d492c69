"""The parameter table: every request parameter that a policy may govern, with its bounds and its names on the wire.

YAML keys, bounds, the JSON Schema, the reference page and the checks are all derived from `PARAMETERS`.
"""

import math
from collections.abc import Mapping
from dataclasses import dataclass
from types import MappingProxyType
from typing import Literal

Scalar = float | int | str | bool
Value = Scalar | tuple[str, ...]
Kind = Literal["number", "integer", "choice", "flag", "strings"]

EFFORTS = ("none", "minimal", "low", "medium", "high", "xhigh", "max")


@dataclass(frozen=True, slots=True)
class Param:
    """One governed parameter.

    `low`/`high` are inclusive and apply to numbers and integers (None: open). `paths` are the dotted places in a request
    body where a client may have put it, the canonical one first; which of them is written depends on the surface and the
    provider (`policies/wire.py`, `policies/capabilities.yaml`).
    """

    name: str
    kind: Kind
    help: str
    low: float | None = None
    high: float | None = None
    choices: tuple[str, ...] = ()
    paths: tuple[str, ...] = ()
    ceiling: bool = False  # `client: clamp` without bounds: the policy's own value is the upper limit
    sampling: bool = False  # shapes how the next token is drawn; what reasoning models refuse
    edge: float | None = (
        None  # values up to here, or to the policy's own, do not make answers fall apart; None: nobody knows
    )
    amounts_from: float = -math.inf  # numbers from here on are amounts, which have a mean; inf: all are names

    @property
    def numeric(self) -> bool:
        """Whether schedules, bounds and arms over a numeric grid apply."""
        return self.kind in ("number", "integer")


_TABLE: tuple[Param, ...] = (
    # Quality is flat between 0 and 1 (arXiv 2402.05201) and falls apart somewhere above, the sooner the smaller the model (2506.07295).
    Param("temperature", "number", "Randomness of sampling; 0 is greedy.", 0.0, 2.0, sampling=True, edge=1.0),
    Param(
        "top_p",
        "number",
        "Nucleus sampling: the smallest set of tokens with this much probability.",
        0.0,
        1.0,
        sampling=True,
    ),
    Param(
        "top_k",
        "integer",
        "Only the k likeliest tokens; 0 or -1 is off.",
        -1,
        None,
        sampling=True,
        amounts_from=1,  # off is the far end of the scale, not one below 1
    ),
    Param("min_p", "number", "Only tokens at least this likely relative to the likeliest.", 0.0, 1.0, sampling=True),
    Param(
        "max_tokens",
        "integer",
        "Longest answer, in tokens.",
        1,
        None,
        paths=("max_tokens", "max_completion_tokens", "max_output_tokens"),
        ceiling=True,
    ),
    Param(
        "frequency_penalty",
        "number",
        "Lowers a token's logit by this for each time it has occurred.",
        -2.0,
        2.0,
        sampling=True,
    ),
    Param(
        "presence_penalty", "number", "Lowers a token's logit by this once it has occurred.", -2.0, 2.0, sampling=True
    ),
    Param(
        "repetition_penalty",
        "number",
        "Divides the logits of tokens that occurred; 1 is off, below 1 rewards repetition.",
        0.01,
        2.0,
        paths=("repetition_penalty", "repeat_penalty"),
        sampling=True,
    ),
    Param("stop", "strings", "Strings that end the answer.", paths=("stop", "stop_sequences")),
    Param("seed", "integer", "Seed of the sampler.", 0, None, paths=("seed", "random_seed"), amounts_from=math.inf),
    Param(
        "reasoning_effort",
        "choice",
        "How much a reasoning model thinks.",
        choices=EFFORTS,
        paths=("reasoning_effort", "reasoning.effort", "output_config.effort"),
    ),
    Param(
        "thinking",
        "flag",
        "Thinking before the answer, on or off.",
        paths=(
            "thinking.type",
            "chat_template_kwargs.enable_thinking",
            "chat_template_kwargs.thinking",
            "enable_thinking",
            "reasoning.enabled",
        ),
    ),
    Param(
        "thinking_budget",
        "integer",
        "Longest thinking, in tokens.",
        0,
        None,
        paths=("thinking.budget_tokens", "thinking_token_budget", "thinking_budget", "reasoning.max_tokens"),
        ceiling=True,
    ),
    Param(
        "verbosity",
        "choice",
        "How long-winded the answer is.",
        choices=("low", "medium", "high"),
        paths=("verbosity", "text.verbosity"),
    ),
    Param(
        "early_stopping",
        "flag",
        "Let the server end an answer that loops, where it can (vLLM's repetition_detection).",
        paths=("repetition_detection",),
    ),
    Param(
        "dynatemp_range",
        "number",
        "llama.cpp: temperature follows the token's entropy within this range.",
        0.0,
        2.0,
        sampling=True,
    ),
)

PARAMETERS: Mapping[str, Param] = MappingProxyType({p.name: p for p in _TABLE})


@dataclass(frozen=True, slots=True)
class Range:
    """Inclusive limits of a numeric parameter; None is open."""

    low: float | None = None
    high: float | None = None

    def clamp(self, value: float) -> float:
        """The value within the limits that is nearest to `value`."""
        if self.low is not None and value < self.low:
            return self.low
        if self.high is not None and value > self.high:
            return self.high
        return value

    def narrowed(self, other: "Range") -> "Range":
        """Both limits at once. Where they do not overlap, `other`'s side nearest to this range is kept."""
        low = max((x for x in (self.low, other.low) if x is not None), default=None)
        high = min((x for x in (self.high, other.high) if x is not None), default=None)
        if low is not None and high is not None and low > high:
            point = other.clamp(low)
            return Range(point, point)
        return Range(low, high)

    def __contains__(self, value: float) -> bool:
        return self.clamp(value) == value


@dataclass(frozen=True, slots=True)
class Change:
    """One thing that was done to a parameter, with the reason that `explain` and the headers show."""

    param: str
    before: Value | None
    after: Value | None
    reason: str
    effective: bool = True  # False: the value was asked for and will not act
