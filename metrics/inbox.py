"""The inbox: finished requests wait to be looked at, and leave as decisions and observed rewards."""

import asyncio
import logging
from collections import deque

from metrics import observed
from metrics.instruments import Instruments
from metrics.outbox import Outbox, Recent
from metrics.outcome import DecisionRecord, Outcome
from metrics.tally import correction, reward

_log = logging.getLogger(__name__)

_SLICE = 10  # outcomes looked at before requests get their turn: about 1 ms at 1,600 characters each
_LIMIT = 5_000  # outcomes with their texts


class Inbox:
    """Answered requests with their texts, until they are looked at; decisions are known for feedback at once."""

    def __init__(self, instruments: Instruments, outbox: Outbox, recent: Recent) -> None:
        self._instruments = instruments
        self._outbox = outbox
        self._recent = recent
        self._outcomes: deque[Outcome] = deque()
        self._reviewed: deque[tuple[DecisionRecord, str | None]] = deque(maxlen=_LIMIT)
        self._repeats = observed.Repeats()

    def __len__(self) -> int:
        return len(self._outcomes)

    def take(self, outcome: Outcome) -> None:
        """Takes a request that was answered; the oldest is looked at now when there are too many."""
        self._recent.remember(outcome.decision, outcome.completion)
        self._outcomes.append(outcome)
        if len(self._outcomes) > _LIMIT:
            self._look(self._outcomes.popleft())

    def reviewed(self, record: DecisionRecord, completion: str | None, *, write: bool) -> None:
        """Takes a decision again, now with what the classifiers said of it."""
        self._recent.remember(record, completion)
        if write:
            self._reviewed.append((record, completion))

    async def look(self) -> None:
        """Looks at all that wait, and lets requests have their turn in between."""
        while self._outcomes:
            for _ in range(min(_SLICE, len(self._outcomes))):
                try:
                    self._look(self._outcomes.popleft())
                except Exception:  # one odd answer must not cost the others
                    _log.exception("metrics: looking at an answer failed; requests are not affected")
                    self._instruments.learning_failed()
            await asyncio.sleep(0)
        while self._reviewed:  # after the outcomes that they are about, which they replace
            self._outbox.decision(*self._reviewed.popleft())

    def _look(self, outcome: Outcome) -> None:
        record = outcome.decision
        self._outbox.decision(record, outcome.completion)
        seen = observed.observe(outcome)
        self._instruments.observed(record, seen)
        self._regenerated(self._repeats.previous(outcome))
        if record.cell is None or record.arm is None or not record.effective:
            return
        for signal, value in observed.rewards(seen).items():
            self._outbox.add(*reward(record.cell, record.arm, signal, record.at, value))
            if signal != "regenerate":  # may be taken back, which a summary cannot
                self._instruments.rewarded(record, signal, value)

    def _regenerated(self, before: DecisionRecord | None) -> None:
        if before is None:
            return
        self._instruments.regenerated(before)
        if before.cell is not None and before.arm is not None and before.effective:
            self._outbox.add(*correction(before.cell, before.arm, "regenerate", before.at, 1.0, 0.0))
