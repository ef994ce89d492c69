"""What a fault of the store costs a request: `python -m bench.learning.faults [--rounds 6]`.

One `setpoint serve` with learning applied and 200 cells learned, at 150 requests/s, every fifth of which is rated. Rounds without a fault,
with it, and after it take turns; the added time is the median over rounds of the difference of their 99th percentiles. It ends with 1 if
that is more than 5 ms for any fault or after it, or if a request failed.
"""

import argparse
import asyncio
import contextlib
import json
import os
import signal
import statistics
import sys
import tempfile
import time
from collections.abc import AsyncIterator, Callable
from dataclasses import dataclass, field
from pathlib import Path

import redis

from bench import free_port, machine, running, table
from bench.learning.http import PROMPT, replica
from bench.learning.lean import Client
from bench.learning.relay import Relay
from bench.static_upstream import serving_command
from metrics import keys
from metrics.embedded import EmbeddedServer, start_embedded
from metrics.store import Batch, Store
from metrics.tally import Slot, Tally, epoch_of, growth

RATE, RATED, CELLS = 150, 5, 200  # requests a second; one in so many is rated
PHASE, BACK = 3.0, 2.0  # seconds with and without the fault, and after it
EVERY = 0.3  # seconds after which a fault of what is stored is made again
PROMISE = 5.0  # ms at the 99th percentile
ARMS = ("0.2", "0.4", "0.5", "0.6", "0.8", "1")
BODY = json.dumps({"model": "gpt-4.1", "messages": [{"role": "user", "content": PROMPT}]}).encode()


@dataclass(slots=True)
class World:
    """Redis behind a relay, and the proxy."""

    folder: Path
    server: EmbeddedServer
    relay: Relay
    client: Client


@dataclass(slots=True)
class Phase:
    """Milliseconds of requests and of ratings."""

    requests: list[float] = field(default_factory=list)
    ratings: list[float] = field(default_factory=list)
    failed: int = 0

    @property
    def p99(self) -> float:
        return at(self.requests, 0.99)


def at(values: list[float], share: float) -> float:
    """A quantile."""
    return sorted(values)[int(len(values) * share)]


def _cells() -> list[str]:
    return [f"*|task{n}|m|direct|1|temperature" for n in range(CELLS)]


async def learned(url: str) -> None:
    """As many cells as a busy installation has."""
    store, now = Store(url), time.time()
    w = 300 * growth(now)
    meta = {"parameter": "temperature", "grid": list(ARMS), "baseline": "0.5"}
    sums = {
        Slot(cell, epoch_of(now), arm, said): Tally(w, w * 0.5, w * 0.4)
        for cell in _cells()
        for arm in ARMS
        for said in ("thumbs", "truncated", "refusal", "latency")
    }
    cells = {cell: meta | {"task": cell.split("|")[1]} for cell in _cells()}
    await store.write(Batch("bench", 1, sums=sums, cells=cells))
    await store.close()


def _spoilt(client: "redis.Redis") -> None:
    for cell in _cells():
        name = keys.sums(cell, epoch_of(time.time()))
        if fields := client.hkeys(name):
            client.hset(name, mapping=dict.fromkeys(fields, "nan"))
        client.set(keys.meta(cell), "{")


def _other_types(client: "redis.Redis") -> None:
    names = [
        keys.CELLS,
        *(keys.sums(cell, epoch_of(time.time())) for cell in _cells()),
        *client.scan_iter("setpoint:decisions:*"),
    ]
    for name in names:
        client.delete(name)
        client.lpush(name, "a list")


def _stored(spoil: Callable[["redis.Redis"], object]) -> Callable[[World], None]:
    def do(world: World) -> None:
        with redis.Redis.from_url(world.server.url, decode_responses=True) as client:
            spoil(client)

    return do


def _kill(world: World) -> None:
    os.kill(world.server.pid, signal.SIGKILL)
    world.server.stop()


def _start(world: World) -> None:
    world.server = start_embedded(world.folder / "redis")


def _anew(world: World) -> None:
    _stored(lambda client: client.flushall())(world)
    asyncio.run(learned(world.server.url))


def _nothing(world: World) -> None:
    pass


@dataclass(frozen=True, slots=True)
class Fault:
    """`again`: made anew all the time."""

    do: Callable[[World], None]
    undo: Callable[[World], None] = _nothing
    again: bool = False


FAULTS = {
    "nothing": Fault(_nothing),
    "Redis killed": Fault(_kill, _start),
    "Redis stands still (SIGSTOP)": Fault(
        lambda w: os.kill(w.server.pid, signal.SIGSTOP), lambda w: os.kill(w.server.pid, signal.SIGCONT)
    ),
    "network accepts and never answers": Fault(
        lambda w: setattr(w.relay, "silent", True), lambda w: setattr(w.relay, "silent", False)
    ),
    "emptied, again and again": Fault(_stored(lambda c: c.flushall()), _anew, again=True),
    "all sums nan, all meta cut off": Fault(_stored(_spoilt), _anew, again=True),
    "keys of another type": Fault(_stored(_other_types), _anew, again=True),
    "of a newer layout": Fault(_stored(lambda c: c.set(keys.SCHEMA, "2")), _stored(lambda c: c.set(keys.SCHEMA, "1"))),
}


async def phase(world: World, seconds: float) -> Phase:
    """Requests at their times, whether or not those before them have been answered."""
    seen, began = Phase(), time.perf_counter()

    async def one(n: int) -> None:
        due = began + n / RATE
        await asyncio.sleep(due - time.perf_counter())
        answer = await world.client.ask("POST", "/v1/chat/completions", BODY)
        seen.requests.append((time.perf_counter() - due) * 1000)
        seen.failed += answer.status != 200
        if n % RATED == 0:
            rating = {"id": answer.header(b"x-setpoint-decision").decode(), "signal": "thumbs", "value": True}
            sent = time.perf_counter()
            answer = await world.client.ask("POST", "/v1/feedback", json.dumps(rating).encode())
            seen.ratings.append((time.perf_counter() - sent) * 1000)
            seen.failed += answer.status != 200

    await asyncio.gather(*(one(n) for n in range(int(seconds * RATE))))
    return seen


async def rounds(world: World, fault: Fault, count: int) -> list[tuple[Phase, Phase, Phase]]:
    """(without, with, after) of each."""

    async def keep() -> None:
        while True:
            await asyncio.to_thread(fault.do, world)
            await asyncio.sleep(EVERY)

    out = []
    for _ in range(count):
        without = await phase(world, PHASE)
        making = asyncio.create_task(keep()) if fault.again else None
        if making is None:
            await asyncio.to_thread(fault.do, world)
        faulty = await phase(world, PHASE)
        if making is not None:
            making.cancel()
            await asyncio.wait([making])
        await asyncio.to_thread(fault.undo, world)
        out.append((without, faulty, await phase(world, BACK)))
    return out


@contextlib.asynccontextmanager
async def world() -> AsyncIterator[World]:
    """Redis, the relay, a static upstream and the proxy, all started."""
    with tempfile.TemporaryDirectory() as temp:
        folder, port = Path(temp), free_port()
        (folder / "upstream").mkdir()
        server = start_embedded(folder / "redis")
        await learned(server.url)
        relay = Relay(server.url)
        command = serving_command(folder / "upstream", port)
        python = {"PYTHONPATH": os.pathsep.join(sys.path)}
        with (
            running("upstream", command, 1, folder / "upstream", python),
            replica(folder, "a", f"http://127.0.0.1:{port}/v1", await relay.start(), free_port()) as url,
        ):
            client = Client(url)
            made = World(folder, server, relay, client)
            await ready(client)
            await phase(made, 1.0)
            try:
                yield made
            finally:
                client.close()
                await relay.stop()
                made.server.stop()


async def ready(client: Client) -> None:
    """Waits for a proxy."""
    for _ in range(300):
        with contextlib.suppress(OSError):
            if (await client.ask("GET", "/readyz")).status == 200:
                return
        await asyncio.sleep(0.1)
    raise SystemExit("the proxy did not get ready")


def row(name: str, found: list[tuple[Phase, Phase, Phase]]) -> tuple[tuple[str, ...], bool]:
    """Of the table, and whether the promise is kept."""
    added = [faulty.p99 - without.p99 for without, faulty, _ in found]
    back = [after.p99 - without.p99 for without, _, after in found]
    ratings = [ms for _, faulty, _ in found for ms in faulty.ratings]
    failed = sum(p.failed for phases in found for p in phases)
    return (
        name,
        f"{statistics.median(without.p99 for without, _, _ in found):.1f}",
        f"{statistics.median(faulty.p99 for _, faulty, _ in found):.1f}",
        f"{statistics.median(added):+.1f} ({min(added):+.1f} to {max(added):+.1f})",
        f"{statistics.median(back):+.1f} ({min(back):+.1f} to {max(back):+.1f})",
        f"{at(ratings, 0.99):.0f}",
        str(failed),
    ), statistics.median(added) <= PROMISE and statistics.median(back) <= PROMISE and not failed


async def measured(names: list[str], count: int) -> list[tuple[tuple[str, ...], bool]]:
    """These faults, one after another."""
    out = []
    async with world() as made:
        for name in names:
            print(f"{name} ...", file=sys.stderr)
            out.append(row(name, await rounds(made, FAULTS[name], count)))
    return out


HEAD = ("fault", "p99 ms without", "with", "added", "added after it", "p99 ms of a rating meanwhile", "failed")


def main() -> int:
    """Print the table; 1 if the promise is not kept."""
    options = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    options.add_argument("--rounds", type=int, default=6)
    options.add_argument(
        "--faults", type=int, nargs="*", help="by their place in the table, from 0; all of them if none is given"
    )
    asked = options.parse_args()
    names = [name for n, name in enumerate(FAULTS) if not asked.faults or n in asked.faults]
    found = asyncio.run(measured(names, asked.rounds))
    print(f"{table(HEAD, [cells for cells, _ in found])}\n\n{machine()}")
    return 0 if all(good for _, good in found) else 1


if __name__ == "__main__":
    sys.exit(main())
