"""Ledgers in processes of their own, with a real Redis, and what kills them: the machinery of bench/learning/exactly_once.py."""

import asyncio
import contextlib
import json
import os
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import AsyncIterator
from dataclasses import dataclass, field
from pathlib import Path

from metrics.embedded import EmbeddedServer, start_embedded
from metrics.instruments import Instruments
from metrics.ledger import Ledger
from metrics.outcome import DecisionRecord, Feedback, Outcome
from metrics.store import Store

CELLS = [f"*|{task}|m|direct|1|temperature" for task in ("code", "math", "chat")]
ARMS = ("0.1", "0.3", "0.5", "0.7", "0.9")
UNFLUSHED = 1.0  # seconds that a killed writer may take along
APART = 3.5  # seconds from a writer's death to Redis's: both within three are a double fault, which is no promise
RECOVERY = 2.0  # seconds after Redis is back in which writers still hold what came meanwhile
LIMIT = 1 << 20  # bytes of a line


def record(decision: str, cell: str, arm: str, at: float) -> DecisionRecord:
    return DecisionRecord(
        decision, "*", "task", "m", "u", 1, cell, "temperature", arm, 0.5, "apply", "p", None, True, at
    )  # fmt: skip


# A writer: a ledger behind a socket.


async def write(url: str, path: str) -> None:
    """Serve one ledger until killed, a JSON line for a JSON line: {"decide": [...]} and {"feedback": [...]}."""
    ledger = Ledger(Store(url), Instruments())
    for cell in CELLS:
        ledger.register_cell(cell, {"parameter": "temperature", "grid": ARMS, "baseline": ARMS[2], "task": "task"})

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        while line := await reader.readline():
            asked = json.loads(line)
            for row in asked.get("decide", ()):
                ledger.decided_and_done(
                    Outcome(record(*row), "chat", None, 200, "stop", "ok", 10.0, 9.0, None, 1, 1, None, "", False, False)
                )  # fmt: skip
            items = [Feedback(i, s, v, time.time()) for i, s, v in asked.get("feedback", ())]
            writer.write(json.dumps(await ledger.feedback(items) if items else []).encode() + b"\n")

    async with await asyncio.start_unix_server(serve, path, limit=LIMIT):
        await ledger.run()


@dataclass(slots=True)
class Killing:
    """A writer's end. `since`: from when on it may not have flushed."""

    at: float
    since: float


@dataclass(slots=True)
class Machine:
    """The processes, and what became of them."""

    folder: Path
    redis: EmbeddedServer
    lives: list[int]
    processes: list["subprocess.Popen[bytes]"] = field(default_factory=list)
    killed: dict[tuple[int, int], Killing] = field(default_factory=dict)
    down_since: float | None = None
    back_at: float = 0.0
    outages: int = 0
    up: asyncio.Event = field(default_factory=asyncio.Event)  # Redis is

    def path(self, slot: int) -> str:
        return str(self.folder / f"{slot}.sock")

    def spawn(self, slot: int) -> "subprocess.Popen[bytes]":
        """Start a writer; its clients wait for its socket."""
        Path(self.path(slot)).unlink(missing_ok=True)
        return subprocess.Popen([sys.executable, "-m", "bench.learning.writers", self.redis.url, self.path(slot)])

    def await_writers(self) -> None:
        """Blocks until all of them listen."""
        while not all(Path(self.path(slot)).exists() for slot in range(len(self.lives))):
            time.sleep(0.05)

    def kill_writer(self, slot: int) -> None:
        """SIGKILL, and another one in its place."""
        process, now = self.processes[slot], time.time()
        since = now
        if self.down_since is not None and (self.back_at < self.down_since or now < self.back_at + RECOVERY):
            since = self.down_since
        process.kill()
        process.wait()
        self.killed[slot, self.lives[slot]] = Killing(now, since - UNFLUSHED)
        self.lives[slot] += 1
        self.processes[slot] = self.spawn(slot)

    async def kill_redis(self, seconds: float) -> None:
        """SIGKILL, and back after so long."""
        self.outages += 1
        self.up.clear()
        self.down_since = time.time()
        os.kill(self.redis.pid, signal.SIGKILL)
        self.redis.stop()
        await asyncio.sleep(seconds)
        self.redis = await asyncio.to_thread(start_embedded, self.folder / "redis")
        self.back_at = time.time()
        self.up.set()


async def trouble(machine: Machine, calm: asyncio.Event, rounds: int | None) -> None:
    """Kill, again and again; every second time a writer dies while Redis is away, with nothing acknowledged just before."""
    slot = 0
    while rounds is None or machine.outages < rounds:
        for _ in range(1 if rounds else 2):
            await asyncio.sleep(RECOVERY + 0.1)
            machine.kill_writer(slot := (slot + 1) % len(machine.lives))
        if machine.outages % 2 == 0:
            await asyncio.sleep(APART)
            await machine.kill_redis(1.5)
        else:
            await asyncio.sleep(APART - 1.5)
            calm.clear()
            await asyncio.sleep(1.5)
            down = asyncio.create_task(machine.kill_redis(3.0))
            calm.set()
            await asyncio.sleep(1.5)
            machine.kill_writer(slot := (slot + 1) % len(machine.lives))
            await down


@contextlib.asynccontextmanager
async def running(count: int) -> AsyncIterator[Machine]:
    """Redis and the writers, ended in the end."""
    with tempfile.TemporaryDirectory() as temp:
        folder = Path(temp)
        machine = Machine(folder, start_embedded(folder / "redis"), [0] * count)
        machine.up.set()
        machine.processes = [machine.spawn(slot) for slot in range(count)]
        try:
            yield machine
        finally:
            for process in machine.processes:
                process.kill()
                process.wait()
            machine.redis.stop()


if __name__ == "__main__":
    asyncio.run(write(*sys.argv[1:]))
