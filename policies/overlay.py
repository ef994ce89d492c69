"""The overlay: what `capabilities.yaml` may say, and all of its rows that apply to one target, merged."""

from collections.abc import Iterable
from dataclasses import dataclass, field
from fnmatch import fnmatchcase
from typing import Annotated, Literal

from pydantic import AfterValidator, BaseModel, ConfigDict, Field

from policies.catalog import ModelFacts, base_name
from policies.errors import did_you_mean
from policies.parameters import EFFORTS, PARAMETERS, Range
from policies.wire import Place

# Every reason that headers and metrics can show. `exclusive_with_<parameter>` is the one family among them.
PROVIDER, MODEL, SURFACE = "unsupported_by_provider", "unsupported_by_model", "unsupported_on_surface"
IGNORED, IGNORED_THINKING = "ignored_by_model", "ignored_while_thinking"
WHILE_THINKING, NOT_THINKING, FIXED = "refused_while_thinking", "ignored_without_thinking", "fixed_by_model"
RANGE, STOPS, BLANK, GREEDY = "out_of_range", "too_many_stops", "blank_stop", "inert_when_greedy"
BUDGET, ALLOWANCE, TOOLS = "too_small_for_thinking", "thinking_allowance", "refused_with_forced_tool"
EXCLUSIVE = "exclusive_with_"
REASONS = frozenset(
    {
        PROVIDER, MODEL, SURFACE, IGNORED, IGNORED_THINKING, WHILE_THINKING, NOT_THINKING, FIXED, RANGE, STOPS, BLANK,
        GREEDY, BUDGET, ALLOWANCE, TOOLS, *(EXCLUSIVE + name for name in PARAMETERS),
    }
)  # fmt: skip

SAMPLING = tuple(p.name for p in PARAMETERS.values() if p.sampling)
REASONING = ("reasoning_effort", "thinking", "thinking_budget")
# Whose rows in litellm's table say reliably which models reason; elsewhere a missing flag tells nothing.
_FLAGGED = frozenset({"openai", "azure", "anthropic", "gemini", "mistral", "groq", "xai"})


def _known(name: str) -> str:
    if name not in PARAMETERS:
        raise ValueError(f"unknown parameter {name!r} ({did_you_mean(name, PARAMETERS)})")
    return name


def _spelt_out(names: list[str]) -> list[str]:
    return [_known(n) for name in names for n in (SAMPLING if name == "sampling" else (name,))]


Name = Annotated[str, AfterValidator(_known)]
Names = Annotated[list[str], AfterValidator(_spelt_out)]
Effort = Literal["none", "minimal", "low", "medium", "high", "xhigh", "max"]


class Row(BaseModel):
    """What one row may say. In a list, `sampling` stands for all sampling parameters.

    `match` and `unless` are globs on the model's bare name, or on the whole name where they have a slash.
    """

    model_config = ConfigDict(extra="forbid", frozen=True)

    match: list[str] = []
    unless: list[str] = []
    providers: list[str] = []
    surfaces: list[str] = []
    fields: Names | None = None  # all that the wire knows; None leaves what an earlier row said
    extras: bool | None = None  # a client's own parameter passes although the wire may not know it
    names: dict[Name, str] = {}  # where a parameter stands: `path`, or `path=word` for what a flag says when it is on
    ranges: dict[Name, tuple[float | None, float | None]] = {}
    unlimited: dict[Name, int] = {}  # how "no limit" is spelt, for a range that begins above it
    drop: Names = []
    ignore: Names = []
    fixed: dict[Name, float | None] = {}  # the one value that is taken; null: none at all
    exclusive: list[tuple[Name, Name]] = []  # the first of each pair is kept
    stops: int | None = None
    blank_stops: bool | None = None
    greedy: bool | None = None  # temperature 0 makes top_p, top_k and min_p inert
    many: dict[Name, float] = {}  # least value when several answers are asked for (n > 1)
    efforts: list[Effort] | None = None
    default_effort: Effort | None = None
    # What the model does when nobody says: think, not think, or think unless its effort is `none`.
    thinking: Literal["on", "off", "effort"] | None = None
    thinking_drop: Names = []
    thinking_ignore: Names = []
    thinking_fixed: dict[Name, float] = {}
    direct_ignore: Names = []  # inert while thinking is off
    min_budget: int | None = None
    needs_budget: bool | None = None  # thinking cannot be switched on without a budget
    forced_tools: bool | None = None  # false: thinking and a forced tool choice exclude each other

    def applies(self, model: str, bare: str, provider: str, surface: str) -> bool:
        """Whether this row is about such a target."""
        return (
            (not self.match or _any(self.match, model, bare))
            and not _any(self.unless, model, bare)
            and (not self.providers or provider in self.providers)
            and (not self.surfaces or surface in self.surfaces)
        )


class Overlay(BaseModel):
    """The whole file."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    surfaces: dict[str, Names]
    providers: dict[str, Row] = Field(min_length=1)
    models: list[Row]


def _any(globs: list[str], model: str, bare: str) -> bool:
    return any(fnmatchcase(model if "/" in glob else bare, glob) for glob in globs)


@dataclass(slots=True)
class Limits:
    """All rows that apply to one target, merged over the catalog's facts."""

    facts: ModelFacts
    fields: frozenset[str] | None = None
    extras: bool = False
    names: dict[str, Place] = field(default_factory=dict)
    ranges: dict[str, Range] = field(default_factory=dict)
    unlimited: dict[str, int] = field(default_factory=dict)
    refused: dict[str, str] = field(default_factory=dict)  # → why, whoever asks
    refused_policy: dict[str, str] = field(default_factory=dict)  # → why, unless the value is the client's own
    fixed: dict[str, float | None] = field(default_factory=dict)
    exclusive: list[tuple[str, str]] = field(default_factory=list)
    stops: int | None = None
    blank_stops: bool = True
    greedy: bool = False
    many: dict[str, float] = field(default_factory=dict)
    efforts: tuple[str, ...] = ()
    default_effort: str = "medium"
    thinking: str = "off"
    thinking_refused: dict[str, str] = field(default_factory=dict)
    thinking_fixed: dict[str, float | None] = field(default_factory=dict)
    direct_refused: dict[str, str] = field(default_factory=dict)
    min_budget: int = 0
    needs_budget: bool = False
    forced_tools: bool = True

    def refusal(self, param: str, *, of_client: bool = False) -> str | None:
        """Why a parameter cannot be sent at all; None when it can."""
        return self.refused.get(param) or (None if of_client else self.refused_policy.get(param))

    def level(self, effort: str) -> str:
        """The effort level taken here that is nearest to the one asked for; `none` stays where no effort is the habit."""
        if not self.efforts or effort in self.efforts or effort not in EFFORTS:
            return effort
        if effort == self.default_effort == "none":
            return effort
        place = EFFORTS.index(effort)
        return min(self.efforts, key=lambda level: abs(EFFORTS.index(level) - place))


def merged(overlay: Overlay, facts: ModelFacts, model: str, provider: str, surface: str) -> Limits:
    """What applies to one target. A provider that has no row counts as `compatible`."""
    limits = Limits(facts, ranges=dict(facts.ranges), efforts=facts.efforts)
    limits.default_effort = facts.default_effort or limits.default_effort
    if facts.sampling is False:
        _refuse(limits.refused, SAMPLING, MODEL)
    if facts.max_output_tokens:
        limits.ranges["max_tokens"] = Range(1, facts.max_output_tokens)
    lower, bare = model.lower(), base_name(model)
    for row in (overlay.providers.get(provider) or overlay.providers["compatible"], *overlay.models):
        if row.applies(lower, bare, provider, surface):
            _merge(limits, row)
    _settle(limits, provider, overlay.surfaces.get(surface))
    return limits


_REPLACED = (
    "extras", "stops", "blank_stops", "greedy", "default_effort", "thinking", "min_budget", "needs_budget", "forced_tools",
)  # fmt: skip


def _merge(limits: Limits, row: Row) -> None:
    for name in _REPLACED:
        said = getattr(row, name)
        if said is not None:
            setattr(limits, name, said)
    limits.fields = limits.fields if row.fields is None else frozenset(row.fields)
    limits.efforts = limits.efforts if row.efforts is None else tuple(e for e in EFFORTS if e in row.efforts)
    limits.names |= {param: Place.parse(text) for param, text in row.names.items()}
    for param, (low, high) in row.ranges.items():
        limits.ranges[param] = limits.ranges.get(param, Range()).narrowed(Range(low, high))
    limits.unlimited |= row.unlimited
    limits.many |= row.many
    limits.fixed |= row.fixed
    limits.thinking_fixed |= row.thinking_fixed
    limits.exclusive += [pair for pair in row.exclusive if pair not in limits.exclusive]
    _refuse(limits.refused, row.drop, MODEL)
    _refuse(limits.refused, row.ignore, IGNORED)
    _refuse(limits.thinking_refused, row.thinking_drop, WHILE_THINKING)
    _refuse(limits.thinking_refused, row.thinking_ignore, IGNORED_THINKING)
    _refuse(limits.direct_refused, row.direct_ignore, NOT_THINKING)


def _refuse(refused: dict[str, str], params: Iterable[str], reason: str) -> None:
    refused |= dict.fromkeys(params, reason)


def _settle(limits: Limits, provider: str, surface: list[str] | None) -> None:
    """Turn what is *not* listed into refusals; the widest reason is the one that is told."""
    if provider in _FLAGGED and limits.facts.known and not limits.facts.reasoning and limits.thinking == "off":
        _refuse(limits.refused_policy, REASONING, MODEL)
    if limits.fields is not None:
        unknown = [p for p in PARAMETERS if p not in limits.fields]
        _refuse(limits.refused_policy if limits.extras else limits.refused, unknown, PROVIDER)
    if surface is not None:
        _refuse(limits.refused, (p for p in PARAMETERS if p not in surface), SURFACE)
