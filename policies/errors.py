"""What can be wrong with a policy.

PolicyError
└── InvalidPolicyError    a file was refused: the caller keeps the policy that it has
"""

import difflib
from collections.abc import Iterable
from dataclasses import dataclass


class PolicyError(Exception):
    """Root of everything that this package raises on purpose."""


@dataclass(frozen=True, slots=True)
class Problem:
    """One thing wrong in one place: `file: key: reason (suggestion)`."""

    file: str
    key: str
    reason: str
    suggestion: str = ""

    def __str__(self) -> str:
        place = f"{self.file}: {self.key}" if self.key else self.file
        hint = f" ({self.suggestion})" if self.suggestion else ""
        return f"{place}: {self.reason}{hint}"


class InvalidPolicyError(PolicyError):
    """Raised when policy files do not say something that can be run; carries every problem found."""

    def __init__(self, problems: Iterable[Problem]) -> None:
        self.problems = tuple(problems)
        super().__init__("\n".join(str(p) for p in self.problems))


def did_you_mean(word: str, known: Iterable[str]) -> str:
    """A suggestion for a misspelt word, or the list of what is allowed."""
    names = sorted(known)
    close = difflib.get_close_matches(word, names, n=1, cutoff=0.6)
    return f"did you mean {close[0]}?" if close else f"allowed: {', '.join(names)}"
