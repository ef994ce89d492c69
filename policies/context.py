"""The context of a decision: all that a policy may look at, gathered before the ladder is climbed."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Literal

Mode = Literal["bypass", "observe", "apply"]
MODES: tuple[Mode, ...] = ("bypass", "observe", "apply")


@dataclass(slots=True)  # not frozen: one is made for every request, and that would take five times as long
class Context:
    """One request, as policies see it; nobody changes it. `text` is the human ask only; `headers` have lower-case names."""

    task: str = "general"
    confidence: float = 0.0
    candidates: tuple[tuple[str, float], ...] = ()  # (task, probability), the likeliest first; empty: nothing to weigh
    turn: int = 1
    attempt: int = 1
    model: str = ""  # as it is sent upstream
    upstream: str = ""
    provider: str = "compatible"
    surface: str = "chat"
    tags: Mapping[str, Any] = field(default_factory=dict)
    tenant: str = "default"
    language: str = "other"
    text: str = ""
    headers: Mapping[str, str] = field(default_factory=dict)
    session: str | None = None
    tools: bool = False
    tool_loop: bool = False
    images: bool = False
    stream: bool = False
    wants_json: bool = False
    mode: Mode | None = None  # asked for by the request; None: the policy's own
    id: str = ""  # the decision's own

    @property
    def turn_bucket(self) -> str:
        """The turns that learn together: 1, 2-3, 4+."""
        return "1" if self.turn <= 1 else "2-3" if self.turn <= 3 else "4+"
