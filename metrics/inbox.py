"""The inbox: finished requests wait to be looked at, and leave as decisions and observed rewards."""

import asyncio
import logging
from collections import deque
from dataclasses import replace
from time import perf_counter

from metrics import observed
from metrics.earnings import Earnings
from metrics.failures import Failures
from metrics.instruments import Instruments
from metrics.outbox import Outbox, Recent
from metrics.outcome import DecisionRecord, Outcome
from metrics.records import pack
from metrics.signals import CONTROLS, SIGNALS
from metrics.tally import correction

_log = logging.getLogger(__name__)

# Looking takes this share of the time from one look to the next, in which requests had their turn, and at least so many seconds:
# enough to keep up under full load, and nothing that a request alone would feel.
_SHARE = 0.2
_LEAST = 0.00005
_ARMS = 50  # whose rewards are passed on in one go: another half of a millisecond
_LIMIT = 5_000  # outcomes with their texts
_FAILED = SIGNALS["failed"].normalise
_HELD = frozenset(CONTROLS)


class Inbox:
    """Requests that ended, with the texts of their answers, until they are looked at; decisions are known for feedback at once."""

    def __init__(self, instruments: Instruments, outbox: Outbox, recent: Recent) -> None:
        self._instruments = instruments
        self._outbox = outbox
        self._recent = recent
        self._outcomes: deque[Outcome] = deque()
        self._waiting: dict[str, Outcome] = {}  # those of them that were answered, by decision id and completion id
        self._reviewed: deque[tuple[DecisionRecord, str | None]] = deque(maxlen=_LIMIT)
        self._earnings = Earnings()
        self._repeats = observed.Repeats()
        self._failures = Failures()

    def __len__(self) -> int:
        return len(self._outcomes)

    def take(self, outcome: Outcome) -> None:
        """Takes a request that has ended. Of one that was not answered nothing is learned but that; of too many, the oldest is
        looked at now."""
        if outcome.result == "ok":
            self._waiting[outcome.decision.id] = outcome
            if outcome.completion:
                self._waiting[outcome.completion] = outcome
        elif outcome.failed is None:
            return
        self._outcomes.append(outcome)
        if len(self._outcomes) > _LIMIT:
            self._look(self._outcomes.popleft())
            self._earnings.pass_on(self._outbox, self._instruments)

    def get(self, either: str) -> DecisionRecord | None:
        """A decision of this process by decision id or completion id, with what its answer shows, also while that waits."""
        outcome = self._waiting.get(either)
        if outcome is None:
            return self._recent.get(either)
        return replace(outcome.decision, observed=_shown(observed.rewards(observed.observe(outcome))))

    def reviewed(self, record: DecisionRecord, completion: str | None, *, write: bool) -> None:
        """Takes a decision again, now with what the classifiers said of it."""
        waiting = self._waiting.get(record.id)
        if waiting is not None:
            waiting.decision = replace(record, observed=None)
            return
        known = self._recent.get(record.id)
        record = replace(record, observed=known.observed if known else None)
        self._recent.remember(record.id, pack(record), completion)
        if write:
            self._reviewed.append((record, completion))

    async def look(self) -> None:
        """Looks at all that wait, and lets requests have their turn in between."""
        try:
            left, waiting = perf_counter(), len(self._outcomes)  # and not what comes meanwhile: there would be no end
            while waiting > 0 and self._outcomes:
                came = perf_counter()
                waiting -= self._look_until(came + max(_LEAST, _SHARE * (came - left)))
                left = perf_counter()
                if len(self._earnings) > _ARMS:
                    self._earnings.pass_on(self._outbox, self._instruments)
                await asyncio.sleep(0)
        finally:
            self._earnings.pass_on(self._outbox, self._instruments)
        while self._reviewed:  # after the outcomes that they are about, which they replace
            record, completion = self._reviewed.popleft()
            self._outbox.decision(record, completion)

    def _look_until(self, until: float) -> int:
        """How many were looked at."""
        outcomes, count = self._outcomes, 0
        while outcomes:
            count += 1
            try:
                self._look(outcomes.popleft())
            except Exception:  # one odd answer must not cost the others
                _log.exception("metrics: looking at an answer failed; requests are not affected")
                self._instruments.learning_failed()
            if perf_counter() > until:
                break
        return count

    def _look(self, outcome: Outcome) -> None:
        record, excess = outcome.decision, self._failures.excess(outcome)
        failed = None if excess is None else _FAILED(excess)
        if outcome.result != "ok":
            self._earnings.add(record, {}, failed)
            return
        self._waiting.pop(record.id, None)
        if outcome.completion:
            self._waiting.pop(outcome.completion, None)
        seen = observed.observe(outcome)
        earned = observed.rewards(seen)
        text = self._outbox.decision(record, outcome.completion, _shown(earned))
        self._recent.remember(record.id, text, outcome.completion)
        self._instruments.observed(record, seen)
        if "regenerate" in seen:
            self._regenerated(self._repeats.previous(outcome))
        self._earnings.add(record, earned, failed)

    def _regenerated(self, before: DecisionRecord | None) -> None:
        if before is None:
            return
        self._instruments.regenerated(before)
        if before.cell is None or before.arm is None or not before.effective:
            return
        self._outbox.add(*correction(before.cell, before.arm, "regenerate", before.at, 1.0, 0.0))
        known = self._recent.get(before.id)
        if known is not None and known.observed is not None:
            shown = tuple((s, 0.0 if s == "regenerate" else x) for s, x in known.observed)
            self._recent.remember(known.id, self._outbox.decision(known, None, shown), None)


def _shown(earned: dict[str, float]) -> tuple[tuple[str, float], ...]:
    """What of it is held against explicit ratings."""
    return tuple([pair for pair in earned.items() if pair[0] in _HELD])
