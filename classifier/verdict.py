"""The verdict: what a prompt asks for, and how sure that is."""

from dataclasses import dataclass
from typing import Literal

GENERAL = "general"
Source = Literal["model", "conversation", "keywords", "abstained", "declared"]


@dataclass(frozen=True, slots=True)
class Verdict:
    """A task with its calibrated probability in [0, 1]; `general` where there is no evidence or too little.

    `runners_up` are the next tasks, the likeliest first; of an abstention, those that it could have been.
    """

    task: str
    confidence: float
    runners_up: tuple[tuple[str, float], ...]
    source: Source
