"""Exactly once: four ledgers in processes of their own, a real Redis, and SIGKILL for all of them: `python -m bench.learning.exactly_once`.

Clients have decisions taken down and send feedback on them, reordered, a fifth of it again, some of that to another process, while
writers and Redis are killed and come back. What a client got no `credited` or `duplicate` for, it sends again with the same id, anywhere.
They keep a file of what was acknowledged; in the end Redis must hold just that, to a relative 1e-9. What a killed writer takes along is
what it had not flushed: a second, or the outage that it died in.
"""

import argparse
import asyncio
import contextlib
import json
import math
import sys
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import redis

from bench import table
from bench.learning.clients import Client, Item, Size
from bench.learning.writers import UNFLUSHED, Killing, Machine, running, trouble
from metrics import keys
from metrics.tally import Slot, Tally, reward

OBSERVED = "latency"  # the signal that every answer shows here


@dataclass(slots=True)
class Found:
    """What was counted in the end; `error` relative, `oldest` and `oldest_in_outage` in seconds before a writer's end."""

    acknowledged: int = 0
    unanswered: int = 0
    given_up: int = 0
    twice: int = 0
    error: float = 0.0
    lost: int = 0
    unexplained: int = 0
    oldest: float = 0.0
    oldest_in_outage: float = 0.0
    observed_off: float = 0.0
    observed_most: int = 0

    @property
    def good(self) -> bool:
        """Whether everything promised holds."""
        return (
            self.error <= 1e-9 and not self.twice and not self.unexplained and self.acknowledged > 0
            and self.oldest <= UNFLUSHED and -self.observed_most <= self.observed_off <= 0.5
        )  # fmt: skip


def count(machine: Machine, items: Sequence[Item], acknowledged: Path) -> Found:
    """Hold the store against the file of what was acknowledged, and against what writers had taken down."""
    with redis.Redis.from_url(machine.redis.url, decode_responses=True) as client:
        pipe = client.pipeline(transaction=False)
        for i in items:
            pipe.hexists(keys.decisions(i.record.id, i.record.at), i.record.id)
            pipe.exists(keys.credited(i.record, i.signal))
        replies = pipe.execute()
        kept, marked = replies[::2], replies[1::2]
        found, sums = Found(), _expected(acknowledged)
        for item, there, mark in zip(items, kept, marked, strict=True):
            found.acknowledged += item.acknowledged
            found.twice += item.credited > 1
            if mark and not item.acknowledged:  # its answer was lost with the writer, and so was the decision
                found.unanswered += 1
                _put(sums, item.record.cell or "", item.record.arm or "", item.signal, item.record.at, item.value)
            found.given_up += not (item.acknowledged or mark or item.by is None)
            if item.by is not None and not there:
                _lose(found, machine.killed.get(item.by), item.made)
        stored = {
            (cell, epoch): client.hgetall(keys.sums(cell, epoch))
            for cell, epoch in {(slot.cell, slot.epoch) for slot in sums}
        }
    found.error = _error(sums, stored)
    weights = [reward("", "", "", i.record.at, 0.0)[1].n for i, there in zip(items, kept, strict=True) if there]
    seen = math.fsum(float(v) for f in stored.values() for k, v in f.items() if k.startswith(f"n|{OBSERVED}|"))
    found.observed_off = (seen - math.fsum(weights)) / (math.fsum(weights) / len(weights))
    found.observed_most = sum(
        any(k.since <= i.made <= k.at and by[0] == (i.by or by)[0] for by, k in machine.killed.items()) for i in items
    )
    return found


def _lose(found: Found, end: Killing | None, made: float) -> None:
    found.lost += 1
    if end is None or made < end.since:
        found.unexplained += 1
    elif end.at - end.since > UNFLUSHED + 0.01:
        found.oldest_in_outage = max(found.oldest_in_outage, end.at - made)
    else:
        found.oldest = max(found.oldest, end.at - made)


Parts = dict[Slot, list[Tally]]


def _put(sums: Parts, cell: str, arm: str, said: str, at: float, value: float) -> None:
    slot, tally = reward(cell, arm, said, at, value)
    sums.setdefault(slot, []).append(tally)


def _expected(acknowledged: Path) -> Parts:
    sums: Parts = {}
    for line in acknowledged.read_text().splitlines():
        _put(sums, *json.loads(line))
    return sums


def _error(sums: Parts, stored: dict[tuple[str, int], dict[str, str]]) -> float:
    """The largest relative difference of a sum; infinite where one is missing, or is there and should not be."""
    worst = 0.0
    for slot, parts in sums.items():
        for n, kind in enumerate("nsq"):
            want = math.fsum(part[n] for part in parts)
            got = float(stored[slot.cell, slot.epoch].get(f"{kind}|{slot.signal}|{slot.arm}", "inf"))
            worst = max(worst, abs(got - want) / max(abs(want), 1e-300) if got != want else 0.0)
    names = {(s.cell, s.epoch, f"n|{s.signal}|{s.arm}") for s in sums}
    more = {
        (*where, name)
        for where, fields in stored.items()
        for name in fields
        if name.startswith(("n|score|", "n|thumbs|"))
    }
    return worst if more <= names else math.inf


async def run(size: Size, rounds: int | None = None) -> tuple[Found, Counter[str], Machine]:
    """All of it. `rounds`: as many outages; as many as fit for None."""
    calm = asyncio.Event()
    calm.set()
    async with running(size.writers) as machine:
        file = machine.folder / "acknowledged.jsonl"
        await asyncio.to_thread(machine.await_writers)
        with file.open("w") as acknowledged:
            clients = [Client(slot, machine, size, acknowledged, calm) for slot in range(size.writers)]
            killer = asyncio.create_task(trouble(machine, calm, rounds))
            work = asyncio.gather(*(c.run() for c in clients))
            await work
            if rounds is None:
                await machine.up.wait()
                killer.cancel()
            with contextlib.suppress(asyncio.CancelledError):
                await killer
            calm.set()
            await asyncio.sleep(2.0)  # a breaker of one second and a flush
            await asyncio.gather(*(c.settle() for c in clients))
            await asyncio.sleep(1.0)
        answers = sum((c.answers for c in clients), Counter[str]())
        items = [item for c in clients for item in c.items]
        return await asyncio.to_thread(count, machine, items, file), answers, machine


def main() -> int:
    """Run, print, and say whether every promise was kept."""
    options = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    options.add_argument("--credits", type=int, default=25_000, help="of each of the four writers")
    options.add_argument("--seconds", type=float, default=60.0)
    asked = options.parse_args()
    size = Size(credits=asked.credits, seconds=asked.seconds)
    found, answers, machine = asyncio.run(run(size))
    in_outage = sum(k.at - k.since > UNFLUSHED + 0.01 for k in machine.killed.values())
    rows = [
        ("decisions, writers", f"{size.writers * size.credits:,}, {size.writers}"),
        ("SIGKILL: writers (in an outage), Redis", f"{len(machine.killed)} ({in_outage}), {machine.outages}"),
        ("feedback sent, answers " + " / ".join(answers), f"{answers.total():,}, " + " / ".join(f"{n:,}" for n in answers.values())),
        ("credits acknowledged, largest relative error of a sum", f"{found.acknowledged:,}, {found.error:.1e}"),
        ("counted twice", f"{found.twice}"),
        ("counted, answer and decision lost with the writer", f"{found.unanswered}"),
        ("never acknowledged: the decision was lost with its writer", f"{found.given_up}"),
        ("decisions lost with killed writers; by nobody's death", f"{found.lost}; {found.unexplained}"),
        ("the oldest of them before its writer's end; in an outage", f"{found.oldest:.2f} s; {found.oldest_in_outage:.2f} s"),
        ("observed rewards beside the decisions kept (may be short by)", f"{found.observed_off:+.0f} ({found.observed_most})"),
    ]  # fmt: skip
    print(table(("what", "measured"), rows))
    return 0 if found.good else 1


if __name__ == "__main__":
    sys.exit(main())
