"""Clients that rate answers, late, in any order, twice, and again wherever they got no answer: of bench/learning/exactly_once.py."""

import asyncio
import contextlib
import heapq
import json
import math
import random
import time
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from bench.learning.writers import ARMS, CELLS, LIMIT, Machine, record
from metrics.ids import new_decision_id
from metrics.outcome import DecisionRecord

BLOCK, DUPLICATES, ELSEWHERE = (
    40,
    0.2,
    0.5,
)  # decisions at once; share of feedback sent again, and of that to another writer
AGAIN = {"queued": 3.0, "unknown": 5.0, "late": 5.0, "no answer": 0.1}  # seconds until a client sends it again


@dataclass(frozen=True, slots=True)
class Size:
    """`age`: how old decisions claim to be, in seconds; of young ones an unknown id is waited for."""

    writers: int = 4
    credits: int = 25_000
    seconds: float = 60.0
    age: float = 0.0
    seed: int = 1


@dataclass(slots=True)
class Item:
    """One decision and what is said of it; `by`: the writer's slot and life that took it down, None while that is not known."""

    record: DecisionRecord
    signal: str
    value: float
    made: float
    by: tuple[int, int] | None = None
    acknowledged: bool = False
    credited: int = 0  # answers "credited": never more than one


class Client:
    """Talks to all writers; one of them is its home, which takes its decisions down."""

    def __init__(self, home: int, machine: Machine, size: Size, acknowledged: Any, calm: asyncio.Event) -> None:
        self._home, self._machine, self._size, self._calm = home, machine, size, calm
        self._file = acknowledged
        self._rng = random.Random(size.seed * 100 + home)
        self._connections: dict[int, tuple[int, asyncio.StreamReader, asyncio.StreamWriter]] = {}
        self._later: list[tuple[float, str, Item]] = []
        self.items: list[Item] = []
        self.answers: Counter[str] = Counter()

    async def ask(self, slot: int, what: dict[str, Any]) -> list[str]:
        """Raises OSError where the writer is dead, or dies meanwhile."""
        life, known = self._machine.lives[slot], self._connections.get(slot)
        if known is None or known[0] != life:
            self._hang_up(slot)
            reader, writer = await asyncio.open_unix_connection(self._machine.path(slot), limit=LIMIT)
            known = self._connections[slot] = (life, reader, writer)
        _, reader, writer = known
        writer.write(json.dumps(what).encode() + b"\n")
        if not (line := await reader.readline()):
            raise ConnectionResetError("the writer died")
        found: list[str] = json.loads(line)
        return found

    async def run(self) -> None:
        """All decisions, and feedback on them as it comes."""
        waiting: list[tuple[Item, int | None]] = []
        began, pause = time.monotonic(), self._size.seconds / (self._size.credits / BLOCK)
        for n in range(math.ceil(self._size.credits / BLOCK)):
            await asyncio.sleep(began + n * pause - time.monotonic())
            await self._calm.wait()
            fresh = await self._decide(min(BLOCK, self._size.credits - n * BLOCK))
            for item in fresh:
                waiting.append((item, None))
                if self._rng.random() < DUPLICATES:
                    waiting.append((item, self._other() if self._rng.random() < ELSEWHERE else None))
            while self._later and self._later[0][0] < time.monotonic():
                waiting.append((heapq.heappop(self._later)[2], None))
            self._rng.shuffle(waiting)
            half = len(waiting) // 2
            await self._tell(waiting[half:])
            waiting = waiting[:half]
        await self._tell(waiting)

    async def settle(self) -> None:
        """Send again what was not acknowledged, until nothing is queued any more."""
        deadline = time.monotonic() + 60
        while left := [i for i in self.items if i.by and not i.acknowledged]:
            before = self.answers["queued"] + self.answers["no answer"]
            for start in range(0, len(left), 200):
                await self._tell([(item, None) for item in left[start : start + 200]])
            if self.answers["queued"] + self.answers["no answer"] == before or time.monotonic() > deadline:
                break
            await asyncio.sleep(1.0)
        for slot in range(self._size.writers):
            self._hang_up(slot)

    def _hang_up(self, slot: int) -> None:
        if known := self._connections.pop(slot, None):
            known[2].close()

    def _other(self) -> int:
        return (self._home + self._rng.randrange(1, self._size.writers)) % self._size.writers

    async def _decide(self, count: int) -> list[Item]:
        while True:
            now, rng = time.time(), self._rng
            at = now - self._size.age
            items = [
                Item(
                    record(new_decision_id(at, rng.randbytes(10)), rng.choice(CELLS), rng.choice(ARMS), at),
                    *(("score", round(rng.random(), 3)) if rng.random() < 0.5 else ("thumbs", float(rng.random() < 0.6))),
                    now,
                )
                for _ in range(count)
            ]  # fmt: skip
            self.items += items
            life = self._machine.lives[self._home]
            with contextlib.suppress(OSError):
                await self.ask(
                    self._home, {"decide": [[i.record.id, i.record.cell, i.record.arm, i.record.at] for i in items]}
                )
                for item in items:
                    item.by = (self._home, life)
                return items
            await asyncio.sleep(0.05)  # the app's request failed; it makes another one

    async def _tell(self, told: Sequence[tuple[Item, int | None]]) -> None:
        """Send feedback; what is not acknowledged is sent again later."""
        by_slot: dict[int, list[Item]] = {}
        for item, slot in told:
            by_slot.setdefault(self._home if slot is None else slot, []).append(item)
        for slot, items in by_slot.items():
            try:
                rows = [[i.record.id, i.signal, i.value if i.signal == "score" else bool(i.value)] for i in items]
                answers = await self.ask(slot, {"feedback": rows})
            except OSError:
                answers = ["no answer"] * len(items)
                await asyncio.sleep(0.02)
            self.answers.update(answers)
            for item, answer in zip(items, answers, strict=True):
                item.credited += answer == "credited"
                if answer in ("credited", "duplicate") and not item.acknowledged:
                    item.acknowledged = True
                    r = item.record
                    self._file.write(json.dumps([r.cell, r.arm, item.signal, r.at, item.value]) + "\n")
                elif not item.acknowledged:
                    heapq.heappush(self._later, (time.monotonic() + AGAIN[answer], item.record.id, item))
