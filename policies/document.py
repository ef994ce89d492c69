"""What a policy file may say: strict, unknown keys refused. `loading` turns it into the policy that the engine runs."""

from typing import Annotated, Any, Literal

from pydantic import BaseModel, ConfigDict, Field, StrictBool

ClientRule = Literal["default", "override", "clamp", "forbid"]
Globs = Annotated[list[str], Field(min_length=1)]
Sticky = Literal["session", "request"]
ModeName = Literal["bypass", "observe", "apply"]
Bound = Annotated[list[float | None], Field(min_length=2, max_length=2)]


class _Strict(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True)


class Objective(_Strict):
    """What learning maximises: weights of quality, latency and cost; only their ratios count."""

    quality: float = Field(0.7, ge=0)
    latency: float = Field(0.15, ge=0)
    cost: float = Field(0.15, ge=0)


class Adapt(_Strict):
    """Learning: which parameter may move, over which values, and how boldly."""

    mode: ModeName | dict[str, ModeName] | None = Field(None, description="One mode, or one per task with `default`.")
    arms: dict[str, list[Any]] | None = Field(
        None,
        description="Values to try, by parameter. The first that the model honours is tuned; where it has settled, the next one "
        "beside it.",
    )
    objective: Objective | None = Field(
        None, description="What learning maximises: weights of quality, latency and cost; only their ratios count."
    )
    explore: float | None = Field(None, ge=0, le=0.5, description="Most traffic for arms not yet proven, 0 to 0.5.")
    control: float | None = Field(None, ge=0.01, le=0.5, description="Share that always gets the policy's own value.")
    per_tenant: bool | None = Field(None, description="Learn for each tenant apart.")
    pool: StrictBool | None = Field(
        None,
        description="Whether a cell begins with what the same task has taught on other models and for other tenants, as far as they "
        "prove alike; true if not said.",
    )
    sticky: Sticky | None = Field(
        None, description="What keeps its arm: a session (if not said; a request that names none is alone), or nothing."
    )


class Block(_Strict):
    """Parameters and how they are guarded; the same in defaults, tasks and rules."""

    set: dict[str, Any] = Field(default_factory=dict, description="Parameter: value, schedule, or unset.")
    client: ClientRule | dict[str, ClientRule] | None = Field(
        None, description="Who wins when the client sent the parameter: one word, or one per parameter."
    )
    ignore_client_values: dict[str, list[Any]] = Field(
        default_factory=dict, description="Client values that count as not sent: a library's defaults."
    )
    bounds: dict[str, Bound] = Field(default_factory=dict, description="Parameter: [lowest, highest]; null is open.")


class ModelBlock(Block):
    """Parameters of a task on some models."""

    match: Globs


class Task(Block):
    """Parameters of one task."""

    models: list[ModelBlock] = Field(default_factory=list, description="What differs by model; later entries win.")
    blend: StrictBool | None = Field(
        None, description="Whether requests of this task are blended; else as the whole file says."
    )
    adapt: Adapt | None = None


class Rule(Block):
    """Parameters for requests that meet a condition; rules apply in file order."""

    name: str = Field(min_length=1)
    when: dict[str, Any] = Field(min_length=1)


class Vendor(_Strict):
    """What a model's maker recommends."""

    match: Globs
    mode: Literal["thinking", "direct"] | None = None
    set: dict[str, Any] = Field(default_factory=dict)
    tasks: dict[str, dict[str, Any]] = Field(default_factory=dict)


class Document(_Strict):
    """One policy file."""

    version: Literal[1]
    vendors: list[Vendor] = Field(default_factory=list)
    defaults: Block = Field(default_factory=Block)
    tasks: dict[str, Task] = Field(default_factory=dict)
    blend: StrictBool | None = Field(
        None,
        description="Numbers become the mean of what the likely tasks would get, by probability; false if not said.",
    )
    rules: list[Rule] = Field(default_factory=list)
    adapt: Adapt = Field(default_factory=Adapt)
