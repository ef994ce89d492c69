"""What was acknowledged is in the store exactly once, whoever is killed meanwhile."""

import json
from pathlib import Path

import pytest

from bench.learning.clients import Item, Size
from bench.learning.exactly_once import count, run
from bench.learning.writers import ARMS, CELLS, UNFLUSHED, Machine, record
from metrics.credits import Grant
from metrics.decisions import line
from metrics.embedded import start_embedded
from metrics.ids import new_decision_id
from metrics.store import Batch, Store

AT = 1_790_000_000.0


async def test_a_writer_and_redis_are_killed_and_every_acknowledged_credit_counts_once() -> None:
    # Decisions of a minute ago: what is nowhere is unknown at once, and waited for by nobody.
    found, answers, machine = await run(Size(writers=2, credits=300, seconds=6.0, age=60.0), rounds=1)
    assert (machine.outages, len(machine.killed)) == (1, 1)
    assert found.acknowledged + found.given_up >= 600
    assert found.acknowledged > 400
    assert answers["duplicate"] > 0
    assert answers["no answer"] + answers["queued"] > 0
    assert found.error <= 1e-9
    assert found.twice == found.unexplained == 0
    assert found.oldest <= UNFLUSHED
    assert found.good


async def test_what_is_missing_doubled_or_made_up_is_found(tmp_path: Path) -> None:
    server = start_embedded(tmp_path / "redis")
    store, machine, file = Store(server.url), Machine(tmp_path, server, [0]), tmp_path / "acknowledged.jsonl"
    items = [Item(record(new_decision_id(AT, bytes([n] * 10)), CELLS[0], ARMS[0], AT), "thumbs", 1.0, AT, (0, 0), True, 1) for n in range(4)]  # fmt: skip
    lines = [json.dumps([i.record.cell, i.record.arm, i.signal, i.record.at, i.value]) for i in items]
    grants = [Grant(i.record, "thumbs", True, 1.0) for i in items]
    await store.write(Batch("w", 1, [line(i.record, None) for i in items]))
    await store.credit(grants[:3], "w", 2)
    file.write_text("\n".join(lines[:3]))
    assert count(machine, items[:3], file).error < 1e-9
    file.write_text("\n".join(lines))
    assert count(machine, items, file).error == pytest.approx(0.25)  # one that was acknowledged is not there
    file.write_text("\n".join(lines[:2]))
    assert count(machine, items, file).error == pytest.approx(0.5)  # and one that was not is
    items[0].credited = 2
    items.append(Item(record(new_decision_id(AT, b"nobody took it"), CELLS[0], ARMS[0], AT), "score", 1.0, AT, (0, 0)))
    found = count(machine, items, file)
    assert (found.twice, found.lost, found.unexplained, found.good) == (1, 1, 1, False)
    await store.close()
    server.stop()
