"""The verdict: what a prompt asks for, and how sure that is."""

import re
from typing import Literal, NamedTuple

GENERAL = "general"
TASK = r"^[a-z][a-z0-9_]{1,40}$"  # the name of a task: it stands in headers, keys and labels of metrics
Source = Literal["model", "conversation", "keywords", "abstained", "declared"]


class Verdict(NamedTuple):  # made for every request, in a third of a dataclass's time
    """A task with its calibrated probability in [0, 1]; `general` where there is no evidence or too little.

    `runners_up` are the next tasks, the likeliest first; of an abstention, those that it could have been.
    """

    task: str
    confidence: float
    runners_up: tuple[tuple[str, float], ...]
    source: Source


def is_task(name: object) -> bool:
    """Whether it can be the name of a task that a verdict gives."""
    return isinstance(name, str) and name != GENERAL and re.fullmatch(TASK, name) is not None
