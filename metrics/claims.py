"""Feedback on its way to an arm: which decision it is about, whether it still counts, whether it is new."""

from collections import deque
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass

from metrics.ids import decision_time
from metrics.outcome import Credit, DecisionRecord, Feedback
from metrics.signals import SIGNALS, reward

PATIENCE = 10.0  # seconds that an id may be unknown: another replica flushes within one, or after a short outage
_YOUNG = 30.0  # seconds after which a decision that is not in the store never will be


@dataclass(slots=True)
class Claim:
    """A valid feedback item. `reward` is None for labels; `deadline` is set when the store first did not know the id."""

    item: Feedback
    reward: float | None
    window: float
    deadline: float | None = None

    def standing(self, record: DecisionRecord) -> Credit | None:
        """Why it does not count; None if it does."""
        if self.item.tenant is not None and self.item.tenant != record.tenant:
            return "unknown"
        return "late" if self.item.at - record.at > self.window else None

    def unfound(self, now: float, steady: float) -> Credit | None:
        """What to say of an id that is nowhere; None while it may still turn up. `steady` is of a clock that nobody sets."""
        made = decision_time(self.item.id)
        if made is not None and self.item.at - made > self.window:
            return "late"
        if self.deadline is None:
            if made is not None and not -_YOUNG <= now - made <= _YOUNG:
                return "unknown"
            self.deadline = steady + PATIENCE
        return "unknown" if steady > self.deadline else None


def claim(item: Feedback, longest: float) -> Claim:
    """Checks an item. Raises SignalError, saying what is allowed."""
    number = reward(item.signal, item.value)
    return Claim(item, number, min(SIGNALS[item.signal].window, longest))


class Queue:
    """Claims that wait for the store; `shed` is told when the oldest had to go."""

    def __init__(self, limit: int, shed: Callable[[str, int], None]) -> None:
        self._limit = limit
        self._shed = shed
        self._claims: deque[Claim] = deque()

    def __len__(self) -> int:
        return len(self._claims)

    def extend(self, claims: Sequence[Claim]) -> None:
        """Takes claims at the end."""
        self._claims.extend(claims)
        self._trim()

    def back(self, claims: Sequence[Claim]) -> None:
        """Takes claims back where they were."""
        self._claims.extendleft(reversed(claims))
        self._trim()

    def take(self, size: int) -> Iterator[list[Claim]]:
        """All that wait now, in lists of at most `size`."""
        left = len(self._claims)
        while left > 0 and self._claims:
            count = min(size, left, len(self._claims))
            left -= count
            yield [self._claims.popleft() for _ in range(count)]

    def _trim(self) -> None:
        over = len(self._claims) - self._limit
        if over > 0:
            for _ in range(over):
                self._claims.popleft()
            self._shed("feedback", over)
