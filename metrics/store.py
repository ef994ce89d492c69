"""The store: what all replicas share, in Redis and nothing else.

Everything written is an addition or can be written twice, so a caller that got no answer just writes again.
"""

import asyncio
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

from metrics import keys, records, scripts
from metrics.connect import Client
from metrics.correlation import weighed
from metrics.credits import CORRECTED, MARKER, Credits, number_of
from metrics.decisions import Decisions, Line
from metrics.door import WINDOW
from metrics.errors import SchemaError, StoreError
from metrics.marks import Marks
from metrics.stream import Earned, Stream
from metrics.tally import CellStatistics, Pause, Slot, Tally, decay, epoch_of

SCHEMA = 1
_CELLS_AT_ONCE = 25  # 2 ms to read
_NAMES_AT_ONCE = 1_000
# Decisions in one pipeline: where there are few, so many as take a third of a millisecond, in which no request gets its turn; where
# there are many, more, since each of them takes half as much time then.
_FEW, _MANY, _BUSY = 25, 150, 1_500


@dataclass(frozen=True, slots=True)
class Batch:
    """What one process flushes at once. A writer sends its batches in order, with growing numbers; again is harmless."""

    writer: str
    number: int
    decisions: Sequence[Line] = ()
    sums: Mapping[Slot, Tally] = field(default_factory=dict)
    cells: Mapping[str, Mapping[str, Any]] = field(default_factory=dict)
    earned: Sequence[Earned] = ()


class Store(Decisions, Credits, Marks, Stream):
    """Promises: idempotent writes, atomic credits, StoreError for whatever keeps Redis from answering.

    Stored values that make no sense are skipped and counted in `corrupt`; they never raise.
    """

    def __init__(self, where: "str | Client", *, window: int = WINDOW, timeout: float = 0.5) -> None:
        super().__init__(where, window=window, timeout=timeout)
        self.paused: Pause | None = None  # the kill switch as `statistics` last read it
        self.before = 0  # number of the writer's write before its last one, as the server had it; 0 for none

    async def ping(self) -> None:
        """Raises StoreError when Redis does not answer."""
        pipe = self._pipe()
        pipe.get(keys.SCHEMA)
        await self._run(pipe)

    async def begin(self, writer: str) -> int:
        """Checks the layout; gives the number of this writer's last write that the server still has, 0 for none.

        Raises SchemaError if a newer Setpoint wrote the store.
        """
        pipe = self._pipe()
        pipe.set(keys.SCHEMA, SCHEMA, nx=True)
        pipe.get(keys.SCHEMA)
        pipe.get(keys.progress(writer))
        _, schema, number = await self._run(pipe)
        if schema != str(SCHEMA):
            raise SchemaError(
                f"store: {keys.SCHEMA} is {schema!r} and this Setpoint writes {SCHEMA}: upgrade it, or give it another "
                "store or database; until then it reads and learns nothing"
            )
        return number_of(number)

    async def write(self, batch: Batch) -> None:
        """Adds a batch. In doubt (StoreError) send the same one again: what is there already is not added twice."""
        step = _FEW if len(batch.decisions) < _BUSY else _MANY
        for start in range(0, len(batch.decisions), step):
            pipe, chunk = self._pipe(), batch.decisions[start : start + step]
            self._put_decisions(pipe, chunk)
            self._put_completions(pipe, chunk)
            self._put_stream(pipe, chunk, ())
            for decision, at, *_, label in chunk:
                if label is not None:
                    self._keep(pipe, decision, at, label, replace=False)
            await self._run(pipe)
        pipe = self._pipe()
        self._put_stream(pipe, (), batch.earned)
        for cell, meta in batch.cells.items():
            pipe.set(keys.meta(cell), records.pack_meta(meta))
        cells = {*batch.cells, *(slot.cell for slot in batch.sums)}
        if cells:
            pipe.sadd(keys.CELLS, *cells)
        groups: dict[tuple[str, int], list[tuple[str, str, Tally]]] = {}
        for slot, tally in batch.sums.items():
            groups.setdefault((slot.cell, slot.epoch), []).append((slot.arm, slot.signal, tally))
        for (cell, epoch), sums in groups.items():
            self._script(
                pipe,
                scripts.APPLY,
                (keys.applied(cell, epoch, batch.writer), keys.sums(cell, epoch), keys.sums(cell, epoch - 2)),
                (batch.number, MARKER, *records.fields(sums)),
            )
        self._progress(pipe, batch.writer, batch.number)
        replies = await self._run(pipe)
        self.before = number_of(replies[-2])
        self.corrupt += sum(max(r or 0, 0) for r in replies[-2 - len(groups) : -2])

    async def statistics(self, now: float) -> dict[str, CellStatistics]:
        """All cells, decayed to `now`: the sums of this epoch and of the one before; observed signals weighed by task."""
        cells = sorted(await self._cells())
        pipe = self._pipe()
        pipe.get(keys.PAUSED)
        paused = (await self._run(pipe))[0]
        self.paused = None if paused is None else self._understood(records.unpack_pause(paused), Pause())
        out: dict[str, CellStatistics] = {}
        for start in range(0, len(cells), _CELLS_AT_ONCE):
            chunk = cells[start : start + _CELLS_AT_ONCE]
            out |= await self._read(chunk, now)
            if (
                task := asyncio.current_task()
            ) and task.cancelling():  # Python 3.11 may have swallowed it within redis-py
                raise asyncio.CancelledError
        return weighed(out)

    async def _cells(self) -> set[str]:
        """In pages: the names of 100,000 cells in one reply would keep the server, and us, for longer than a time-out."""
        found: set[str] = set()
        cursor = 0
        while True:
            pipe = self._pipe()
            pipe.sscan(keys.CELLS, cursor, count=_NAMES_AT_ONCE)
            reply = (await self._run(pipe))[0]
            if reply is None:
                await self._delete(keys.CELLS)
                raise StoreError(f"store: {keys.CELLS} was no set; it is made anew with the next rewards")
            cursor, names = int(reply[0]), reply[1]
            found.update(names)
            if not cursor:
                return found

    async def labels(self) -> dict[tuple[str, str], int]:
        """How often a task was labelled as another one: (decided, labelled) to count."""
        pipe = self._pipe()
        pipe.hgetall(keys.LABELS)
        stored: dict[str, str] = (await self._run(pipe))[0] or {}
        pairs = {(k.partition("|")[0], k.partition("|")[2]): v for k, v in stored.items()}
        return {pair: int(v) for pair, v in pairs.items() if v.isdecimal()}

    async def corrections(self, now: float) -> list[tuple[str, str]]:
        """(task, features) of asks whose task an app declared or feedback gave, of the last CORRECTED days."""
        pipe = self._pipe()
        for day in range(int(now) // keys.DAY - CORRECTED, int(now) // keys.DAY + 1):
            pipe.hvals(keys.corrections(day))
        out = []
        for stored in await self._run(pipe):
            for text in stored or ():
                found = records.unpack_label(text)
                self.corrupt += found is None
                if found is not None:
                    out.append(found)
        return out

    async def _read(self, cells: Sequence[str], now: float) -> dict[str, CellStatistics]:
        epoch = epoch_of(now)
        pipe = self._pipe()
        for cell in cells:
            pipe.get(keys.meta(cell))
            pipe.hgetall(keys.sums(cell, epoch))
            pipe.hgetall(keys.sums(cell, epoch - 1))
            pipe.get(keys.last_changed(cell))
            pipe.get(keys.rolled_back(cell))
            pipe.pttl(keys.rolled_back(cell))
        replies = await self._run(pipe)
        out: dict[str, CellStatistics] = {}
        for i, cell in enumerate(cells):
            stored_meta, *sums, changed, mark, left = replies[6 * i : 6 * i + 6]
            meta = records.unpack_meta(stored_meta)
            arms: dict[str, dict[str, Tally]] = {}
            for back in (0, 1):
                stored, bad = records.tallies(sums[back] or {})
                self.corrupt += bad
                for (arm, signal), tally in stored.items():
                    signals = arms.setdefault(arm, {})
                    signals[signal] = signals.get(signal, Tally()).plus(tally, decay(epoch - back, now))
            self.corrupt += meta is None
            changed_at = records.time_of(changed)
            self.corrupt += changed is not None and changed_at is None
            cause = "" if mark is None else self._understood(records.unpack_rollback(mark), "unreadable")
            until = now + left / 1000 if cause and left > 0 else None
            found = CellStatistics.of(meta or {}, arms)
            out[cell] = replace(
                found, changed_at=changed_at, rolled_back=cause, rolled_back_until=until, paused=self.paused is not None
            )
        return out
