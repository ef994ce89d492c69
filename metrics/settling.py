"""Settling: feedback finds its decision, is judged, and is credited."""

import logging
from collections.abc import Awaitable, Callable, Sequence

from metrics.claims import Claim
from metrics.instruments import Instruments
from metrics.outbox import Outbox, Recent
from metrics.outcome import Credit, DecisionRecord
from metrics.store import Grant, Store

_log = logging.getLogger(__name__)


class Settling:
    """Raises StoreError where the store does not answer: then nothing is known of any of the claims."""

    def __init__(
        self,
        store: Store,
        instruments: Instruments,
        outbox: Outbox,
        recent: Recent,
        clock: Callable[[], float],
        steady: Callable[[], float],
        resend: Callable[[int], Awaitable[None]],
    ) -> None:
        self._store = store
        self._instruments = instruments
        self._outbox = outbox
        self._recent = recent
        self._clock = clock
        self._steady = steady
        self._resend = resend  # what the store lost, given the number of the last write that it had
        # Told of every decision whose task a feedback item names, once.
        self.labelled: Callable[[DecisionRecord, str], None] = lambda record, task: None

    async def settle(self, claims: Sequence[Claim]) -> list[Credit | None]:
        """Looks up, judges and credits; None for ids that may still turn up."""
        now = self._clock()
        known = {c.item.id: self._recent.get(c.item.id) for c in claims}
        found = await self._store.find((i for i, record in known.items() if record is None), now)
        results: list[Credit | None] = []
        grants: list[tuple[int, Grant]] = []
        for n, one in enumerate(claims):
            record = known[one.item.id] or found.get(one.item.id)
            results.append(one.standing(record) if record else one.unfound(now, self._steady()))
            if record is not None and results[n] is None:
                value = one.reward if record.learns else None
                grants.append((n, Grant(record, one.item.signal, one.item.value, value)))
        await self._credit(grants, results)
        for one, result in zip(claims, results, strict=True):
            if result is not None:
                record = known[one.item.id] or found.get(one.item.id)
                self._instruments.feedback(one.item.signal, result, one.item.at - record.at if record else None)
        return results

    async def _credit(self, grants: Sequence[tuple[int, Grant]], results: list[Credit | None]) -> None:
        if not grants:
            return
        number = self._outbox.next_number()
        only = [grant for _, grant in grants]
        new = await self._store.credit(only, self._outbox.writer, number)
        await self._resend(self._store.before)
        self._outbox.confirmed((number, only), self._steady())
        for (n, grant), fresh in zip(grants, new, strict=True):
            results[n] = "credited" if fresh else "duplicate"
            if fresh and grant.reward is not None:
                self._instruments.rewarded(grant.decision, grant.signal, grant.reward)
            if fresh and grant.signal == "task":
                self._label(grant.decision, str(grant.value))

    def _label(self, record: DecisionRecord, task: str) -> None:
        try:
            self.labelled(record, task)
        except Exception:  # the item is credited all the same
            _log.exception("metrics: counting a label failed")
            self._instruments.learning_failed()
