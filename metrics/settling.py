"""Settling: feedback finds its decision, is judged, and is credited."""

import logging
from collections import Counter
from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import replace

from metrics.claims import Claim
from metrics.correlation import comparable
from metrics.credits import Grant
from metrics.episodes import DUE, Episode, Opened
from metrics.inbox import Inbox
from metrics.instruments import Instruments
from metrics.outbox import Outbox
from metrics.outcome import Credit, DecisionRecord
from metrics.store import Store
from metrics.stream import Earned

_log = logging.getLogger(__name__)

_EPISODES = 50  # sessions in one round trip, of up to 200 decisions each


class Settling:
    """Raises StoreError where the store does not answer: then nothing is known of any of the claims."""

    def __init__(
        self,
        store: Store,
        instruments: Instruments,
        outbox: Outbox,
        inbox: Inbox,
        clock: Callable[[], float],
        steady: Callable[[], float],
        resend: Callable[[int], Awaitable[None]],
    ) -> None:
        self._store = store
        self._instruments = instruments
        self._outbox = outbox
        self._inbox = inbox
        self._clock = clock
        self._steady = steady
        self._resend = resend  # what the store lost, given the number of the last write that it had
        # Told of every decision whose task a feedback item names, once.
        self.labelled: Callable[[DecisionRecord, str], None] = lambda record, task: None

    async def settle(self, claims: Sequence[Claim]) -> list[Credit | None]:
        """Looks up, judges and credits; None for what may still turn up, or is not due yet."""
        now = self._clock()
        results: list[Credit | None] = [None] * len(claims)
        said = [(n, c, c.episode) for n, c in enumerate(claims) if c.episode is not None and c.due <= now][:_EPISODES]
        opened = await self._store.open([e for _, _, e in said]) if said else []
        ids = await self._known(claims, opened, now)
        grants: list[tuple[int, Grant | Episode]] = []
        for n, one in enumerate(claims):
            if one.episode is not None:
                continue
            record = ids.get(one.item.id)
            results[n] = one.standing(record) if record else one.unfound(now, self._steady())
            if record is not None and results[n] is None:
                value = one.reward if record.learns else None
                grants.append(
                    (n, Grant(record, one.item.signal, one.item.value, value, comparable(record, one.item.at)))
                )
        for (n, one, episode), found in zip(said, opened, strict=True):
            results[n] = _judged(one, found, now, self._steady())
            if found.due(now):
                meant = replace(episode, at=found.at, reward=found.reward, token=found.token)
                shares = tuple(r for i in found.ids if (r := ids.get(i)) and meant.concerns(r))
                grants.append((n, replace(meant, decisions=shares)))
        await self._credit(grants, results)
        for one, result in zip(claims, results, strict=True):
            if result is not None:
                record = ids.get(one.item.id)
                self._instruments.feedback(one.item.signal, result, one.item.at - record.at if record else None)
        return results

    async def _known(
        self, claims: Sequence[Claim], opened: Sequence[Opened], now: float
    ) -> Mapping[str, DecisionRecord]:
        """The decisions that all this is about, by the ids that name them."""
        named = [c.item.id for c in claims if c.episode is None]
        named += [i for o in opened if o.due(now) for i in o.ids if i != "-"]
        known = {i: record for i in named if (record := self._inbox.get(i))}
        return known | await self._store.find((i for i in named if i not in known), now)

    async def _credit(self, grants: Sequence[tuple[int, Grant | Episode]], results: list[Credit | None]) -> None:
        if not grants:
            return
        number = self._outbox.next_number()
        only = [grant for _, grant in grants]
        new = await self._store.credit(only, self._outbox.writer, number)
        await self._resend(self._store.before)
        self._outbox.confirmed((number, only), self._steady())
        for (n, grant), fresh in zip(grants, new, strict=True):
            results[n] = results[n] or ("credited" if fresh else "duplicate")
            if isinstance(grant, Episode):
                self._rewarded(grant, fresh)
                continue
            if fresh and grant.reward is not None:
                self._instruments.rewarded(grant.decision, grant.signal, grant.reward)
                self._outbox.earned(Earned(grant.decision.id, grant.signal, grant.reward))
            if fresh and grant.signal == "task":
                self._label(grant.decision, str(grant.value))

    def _rewarded(self, episode: Episode, fresh: bool) -> None:
        if not fresh:
            return
        for record in {(r.cell, r.arm): r for r in episode.decisions}.values():
            self._instruments.rewarded(record, episode.signal, episode.reward)
        k = Counter(r.cell for r in episode.decisions)
        for record in episode.decisions:
            self._outbox.earned(Earned(record.id, episode.signal, episode.reward, 1 / k[record.cell]))

    def _label(self, record: DecisionRecord, task: str) -> None:
        try:
            self.labelled(record, task)
        except Exception:  # the item is credited all the same
            _log.exception("metrics: counting a label failed")
            self._instruments.learning_failed()


def _judged(claim: Claim, found: Opened, now: float, steady: float) -> Credit | None:
    """What to say of a session; None for one that may still turn up, or waits for what other replicas have not written yet."""
    assert claim.episode is not None
    if found.state != "open":
        return claim.unfound(now, steady) if found.state == "unknown" else "late"
    if found.token != claim.episode.token:
        return "duplicate"
    claim.due = found.at + DUE
    return None
