"""The ledger: takes down what happens while requests run, and brings it to the store in the background."""

import asyncio
import contextlib
import logging
import os
import time
from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from metrics.claims import Claim, Queue, claim
from metrics.credits import Grant
from metrics.episodes import Episode
from metrics.errors import SchemaError, StoreError
from metrics.health import Health
from metrics.ids import base36
from metrics.inbox import Inbox
from metrics.instruments import Instruments
from metrics.outbox import Outbox, Recent
from metrics.outcome import Credit, DecisionRecord, Feedback, Outcome
from metrics.settling import Settling
from metrics.store import Batch, Store
from metrics.tally import CellStatistics, Pause

_log = logging.getLogger(__name__)

_INTERVAL = 0.5  # seconds from one flush to the next
_PAUSE = 0.05  # and at least so many between them
_PATIENCE = 0.05  # seconds that a feedback request waits for the store
_EACH = 0.0005  # and for long lists, so much an item
_RECENT = 10_000  # ids of the latest decisions: what is older is in the store
_LAST = 2.0  # seconds for the flush at the end
_CLAIMS = 100  # feedback items in one round trip: requests get their turn in between


@dataclass(frozen=True, slots=True)
class StoreState:
    """`down_seconds` of the present outage; `buffered` and `shed` in events; `error` is why, for the operator."""

    up: bool
    down_seconds: float
    buffered: int
    shed: int
    error: str = ""


class Ledger:
    """One per process. Nothing here raises into a request, and nothing but `feedback` waits for the store."""

    def __init__(
        self,
        store: Store,
        instruments: Instruments,
        *,
        clock: Callable[[], float] = time.time,
        steady: Callable[[], float] = time.monotonic,
        limit: int = 50_000,
        feedback_limit: int = 10_000,
    ) -> None:
        self._store = store
        self._instruments = instruments
        self._clock = clock
        self._steady = steady  # for how long something takes or may take: the other one may be set back and forth
        self._shed = 0
        self._outbox = Outbox(f"{os.getpid()}-{base36(int.from_bytes(os.urandom(8), 'big'))}", limit, self._drop)
        self._queue = Queue(feedback_limit, self._drop)
        self._inbox = Inbox(instruments, self._outbox, Recent(min(limit, _RECENT)))
        self._lock = asyncio.Lock()
        self._statistics: Mapping[str, CellStatistics] = {}
        self.paused: Pause | None = None  # the kill switch as it was last read
        self._health = Health(instruments, steady)
        self._checked = False  # whether the layout of the store that we are connected to is ours
        self._corrupt = 0
        self.settling = Settling(store, instruments, self._outbox, self._inbox, clock, steady, self._resend)

    @property
    def state(self) -> StoreState:
        """How the store is, as readiness and the console show it."""
        health = self._health
        return StoreState(health.up, health.down_seconds, self._buffered, self._shed, str(health.error or ""))

    def decided_and_done(self, outcome: Outcome) -> None:
        """Takes down a finished request. Its text is looked at within half a second and then forgotten."""
        try:
            self._instruments.finished(outcome)
            self._inbox.take(outcome)
        except Exception:  # a completion never fails because its metrics did
            self._stumbled("taking down an outcome")

    def reviewed(self, record: DecisionRecord, completion: str | None) -> None:
        """Takes a decision down again, now with what the classifiers said of it; while the store is away, in memory only."""
        self._inbox.reviewed(record, completion, write=not self._health.open)

    async def feedback(self, items: Sequence[Feedback]) -> list[Credit]:
        """What became of each item, after at most 50 ms (half a second for 1,000): "queued" where the store did not say.

        Raises SignalError, before anything is credited, for an item that means nothing.
        """
        claims = [claim(item, self._store.window) for item in items]
        results: list[Credit | None] = [None] * len(claims)
        if not self._health.open and not self._outbox.waiting:
            try:
                async with asyncio.timeout(max(_PATIENCE, _EACH * len(claims))), self._lock:
                    await self._check()
                    results = await self.settling.settle(claims)
            except TimeoutError:
                pass  # slow is not down: the flush will tell
            except StoreError as error:
                self._failed(error)
        self._queue.extend([c for c, result in zip(claims, results, strict=True) if result is None])
        return [result or "queued" for result in results]

    def register_cell(self, cell: str, meta: Mapping[str, Any]) -> None:
        """Tells other replicas what a cell is about: its parameter, grid, baseline. Any JSON; cheap when unchanged."""
        self._outbox.cell(cell, meta)

    def renew_cell(self, cell: str) -> None:
        """Tells it again: what the store says of the cell makes no sense. Nothing where no request of this process had it."""
        self._outbox.renew(cell)

    async def statistics(self) -> Mapping[str, CellStatistics]:
        """All cells as all replicas know them; the last known ones while the store is away."""
        if self._health.open and not isinstance(self._health.error, SchemaError):
            return self._statistics
        try:
            self._statistics = await self._store.statistics(self._clock())
            self.paused = self._store.paused
            self._instruments.learning_paused(self.paused is not None)
        except StoreError as error:
            self._failed(error)
        except Exception:  # whatever was stored, allocation goes on
            self._stumbled("reading statistics")
        self._count_corrupt()
        return self._statistics

    async def discount(self, cell: str, factor: float, at: float, pause: float) -> bool:
        """`Store.discount`; False where the store did not do it. Counted as a change found."""
        done = await self._marked(lambda: self._store.discount(cell, factor, at, pause))
        if done:
            self._instruments.change_found(*_task_and_model(cell))
        return done

    async def roll_back(self, cell: str, cause: str, at: float, seconds: float) -> bool:
        """`Store.roll_back`; False where the store did not do it. Counted by its cause, which should be one of a few words."""
        done = await self._marked(lambda: self._store.roll_back(cell, cause, at, seconds))
        if done:
            self._instruments.rolled_back(*_task_and_model(cell), cause)
        return done

    async def release(self, cell: str) -> bool:
        """`Store.release`; False where the store did not do it."""
        return await self._marked(lambda: self._store.release(cell))

    async def close(self) -> None:
        """Gives the connections back; call it when `run` and all readers are done."""
        await self._store.close()

    async def run(self) -> None:
        """Flushes twice a second until cancelled, and once more then."""
        me, began = asyncio.current_task(), self._steady()
        try:
            # Asked, and not only interrupted: asyncio.wait_for of Python 3.11, in redis-py's sending, swallows a
            # cancellation that comes just as it is done.
            while me is None or not me.cancelling():
                await self._tick()
                await asyncio.sleep(max(_PAUSE, began + _INTERVAL - self._steady()))
                began = self._steady()
        finally:
            self._health.try_now()
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(_LAST):
                    await self._tick()

    @property
    def _buffered(self) -> int:
        return len(self._inbox) + len(self._outbox) + len(self._queue)

    def _drop(self, kind: str, count: int) -> None:
        self._shed += count
        self._instruments.shed(kind, count)

    def _stumbled(self, doing: str) -> None:
        _log.exception("metrics: %s failed; requests are not affected", doing)
        self._instruments.learning_failed()

    # Talking to the store

    async def _tick(self) -> None:
        try:
            await self._inbox.look()
            self._instruments.fold()
            if not self._health.open:
                async with self._lock:
                    await self._flush()
                self._health.succeeded()
        except StoreError as error:
            self._failed(error)
        except Exception:  # the next tick may do better
            self._stumbled("flushing")
        self._count_corrupt()
        self._health.count()
        self._instruments.store(up=self._health.up, buffered=self._buffered)

    async def _flush(self) -> None:
        await self._begin()
        for _ in range(self._outbox.batches):  # and not what comes meanwhile: under full load there would be no end
            batch = self._outbox.next_batch()
            if batch is None:
                break
            await self._store.write(batch)
            await self._resend(self._store.before)
            self._outbox.confirmed(batch, self._steady())
        for claims in self._queue.take(_CLAIMS):
            await self._settle_queued(claims)
        self._outbox.settle(self._steady())

    async def _begin(self) -> None:
        number = await self._store.begin(self._outbox.writer)
        self._checked = True
        await self._resend(number)

    async def _resend(self, number: int) -> None:
        """Sends again what the store lost, given the number of the last write that it had."""
        if self._outbox.behind(number):
            self._store.expire_anew()
            for sent in self._outbox.lost():
                await self._send(sent)
            self._outbox.resent(self._steady())

    async def _send(self, sent: "Batch | tuple[int, Sequence[Grant | Episode]]") -> None:
        if isinstance(sent, Batch):
            await self._store.write(sent)
        else:
            await self._store.credit(sent[1], self._outbox.writer, sent[0])

    async def _check(self) -> None:
        if not self._checked:
            await self._begin()

    async def _marked(self, mark: Callable[[], Awaitable[bool]]) -> bool:
        """What a mark came to; False while the store is away, or of a newer version. Never raises."""
        if self._health.open:
            return False
        done = False
        try:
            async with self._lock:
                await self._check()
                done = await mark()
        except StoreError as error:
            self._failed(error)
        except Exception:  # learning goes on without this mark
            self._stumbled("marking a cell")
        self._count_corrupt()
        return done

    async def _settle_queued(self, claims: list[Claim]) -> None:
        try:
            results = await self.settling.settle(claims)
        except BaseException:
            self._queue.back(claims)
            raise
        self._queue.extend([c for c, result in zip(claims, results, strict=True) if result is None])

    def _failed(self, error: StoreError) -> None:
        self._checked = False
        self._store.expire_anew()
        self._health.failed(error)

    def _count_corrupt(self) -> None:
        fresh = self._store.corrupt - self._corrupt
        if fresh:
            self._instruments.corrupt(fresh)
            self._corrupt += fresh


def _task_and_model(cell: str) -> tuple[str, str]:
    """Of a cell's name, tenant|task|model|...; "other" for one that is none."""
    parts = cell.split("|")
    return (parts[1], parts[2]) if len(parts) > 2 else ("other", "other")
