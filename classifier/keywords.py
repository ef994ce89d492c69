"""Keyword rules from the tasks' cues: what the trained model is measured against, and what stands in for it."""

import re
from collections.abc import Sequence
from pathlib import Path

from classifier.ask import Ask
from classifier.tasks import Task, load_tasks
from classifier.verdict import GENERAL, Verdict

CONFIDENCE = 0.5  # how often the rules are right, about; they cannot tell one case from another


class Keywords:
    """The task whose cue stands first in the ask; `general` without any."""

    def __init__(self, tasks: Sequence[Task]) -> None:
        self._patterns = [
            (t.name, re.compile("|".join(map(_pattern, cues))))
            for t in tasks
            if (cues := [c for w in t.cues.values() for c in w])
        ]

    @classmethod
    def load(cls, folder: Path | None = None) -> "Keywords":
        """From task files. Raises TasksError."""
        return cls(load_tasks(folder))

    def classify(self, ask: Ask) -> Verdict:
        """The task by the earliest cue."""
        text = ask.text.lower()
        found = sorted((m.start(), name) for name, pattern in self._patterns if (m := pattern.search(text)))
        if not found:
            return Verdict(GENERAL, 0.0, (), "abstained")
        others = tuple((name, 0.0) for _, name in found[1:3])
        return Verdict(found[0][1], CONFIDENCE, others, "keywords")


def _pattern(cue: str) -> str:
    """A Latin cue is a whole word or phrase; Chinese has no word breaks."""
    return rf"\b{re.escape(cue)}\b" if cue.isascii() and cue[0].isalnum() and cue[-1].isalnum() else re.escape(cue)
