"""The inbox: finished requests wait to be looked at, and leave as decisions and observed rewards."""

import asyncio
import logging
from collections import deque
from collections.abc import Mapping
from dataclasses import replace

from metrics import observed
from metrics.failures import WEIGHT, Failures
from metrics.instruments import Instruments
from metrics.outbox import Outbox, Recent
from metrics.outcome import DecisionRecord, Outcome
from metrics.signals import CONTROLS
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
        self._waiting: dict[str, Outcome] = {}  # the same by decision id
        self._reviewed: deque[tuple[DecisionRecord, str | None]] = deque(maxlen=_LIMIT)
        self._repeats = observed.Repeats()
        self._failures = Failures()

    def __len__(self) -> int:
        return len(self._outcomes)

    def take(self, outcome: Outcome) -> None:
        """Takes a request that has ended. Of one that was not answered nothing is learned but that; of too many, the oldest is
        looked at now."""
        self._failing(outcome)
        if outcome.result != "ok":
            return
        self._recent.remember(outcome.decision, outcome.completion)
        self._outcomes.append(outcome)
        self._waiting[outcome.decision.id] = outcome
        if len(self._outcomes) > _LIMIT:
            self._look(self._outcomes.popleft())

    def looked_at(self, record: DecisionRecord) -> DecisionRecord:
        """A decision with what its answer shows, also while that waits."""
        outcome = self._waiting.get(record.id)
        if record.observed is not None or outcome is None:
            return record
        return replace(record, observed=_controls(observed.rewards(observed.observe(outcome))))

    def reviewed(self, record: DecisionRecord, completion: str | None, *, write: bool) -> None:
        """Takes a decision again, now with what the classifiers said of it."""
        known = self._recent.get(record.id)
        record = replace(record, observed=known.observed if known else None)
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
            record, completion = self._reviewed.popleft()
            self._outbox.decision(self._recent.get(record.id) or record, completion)

    def _look(self, outcome: Outcome) -> None:
        self._waiting.pop(outcome.decision.id, None)
        seen = observed.observe(outcome)
        earned = observed.rewards(seen)
        record = replace(self._recent.get(outcome.decision.id) or outcome.decision, observed=_controls(earned))
        self._recent.remember(record, outcome.completion)
        self._outbox.decision(record, outcome.completion)
        self._instruments.observed(record, seen)
        self._regenerated(self._repeats.previous(outcome))
        if record.cell is None or record.arm is None or not record.effective:
            return
        for signal, value in earned.items():
            self._outbox.add(*reward(record.cell, record.arm, signal, record.at, value))
            if signal != "regenerate":  # may be taken back, which a summary cannot
                self._instruments.rewarded(record, signal, value)

    def _failing(self, outcome: Outcome) -> None:
        record, excess = outcome.decision, self._failures.excess(outcome)
        if excess is None or record.cell is None or record.arm is None or not record.effective:
            return
        for signal, value in observed.rewards({"failed": excess}).items():
            self._outbox.add(*reward(record.cell, record.arm, signal, record.at, value, WEIGHT))
            self._instruments.rewarded(record, signal, value)

    def _regenerated(self, before: DecisionRecord | None) -> None:
        if before is None:
            return
        self._instruments.regenerated(before)
        if before.cell is None or before.arm is None or not before.effective:
            return
        self._outbox.add(*correction(before.cell, before.arm, "regenerate", before.at, 1.0, 0.0))
        known = self._recent.get(before.id)
        if known is not None and known.observed is not None:
            known = replace(known, observed=tuple((s, 0.0 if s == "regenerate" else x) for s, x in known.observed))
            self._recent.remember(known, None)
            self._outbox.decision(known, None)


def _controls(earned: Mapping[str, float]) -> tuple[tuple[str, float], ...]:
    return tuple((signal, value) for signal, value in earned.items() if signal in CONTROLS)
