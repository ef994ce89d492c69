"""The stream: what learns and what was earned, in order, bounded, read with suspicion."""

import time
from collections.abc import Callable
from typing import Any

import pytest
import redis

from metrics import keys, stream
from metrics.embedded import EmbeddedServer
from metrics.episodes import DUE
from metrics.instruments import Instruments
from metrics.ledger import Ledger
from metrics.outcome import DecisionRecord, Feedback, Outcome
from metrics.store import Batch, Store
from metrics.stream import Earned

Decide = Callable[..., DecisionRecord]
Finish = Callable[..., Outcome]


async def told(store: Store) -> list[dict[str, Any]]:
    return [entry async for page, _ in store.streamed() for entry in page]


async def test_decisions_that_learn_and_what_they_earn_are_told_in_order(
    server: EmbeddedServer, raw: "redis.Redis", decide: Decide, finish: Finish
) -> None:
    now = [time.time()]
    store = Store(server.url)
    ledger = Ledger(store, Instruments(), clock=lambda: now[0], steady=lambda: now[0])
    one = decide(at=now[0], session="s", features="en..", odds={"0.3": 0.5, "0.5": 0.5}, table="v1", sticky="session")
    other = decide(at=now[0], session="s", arm="0.5")
    for record in (one, other, decide(at=now[0], effective=False), decide(at=now[0], cell=None, arm=None)):
        ledger.decided_and_done(finish(record, finish="length"))
    await ledger._tick()
    said = [
        Feedback(one.id, "score", 0.25, now[0]),
        Feedback(one.id, "score", 0.25, now[0]),
        Feedback(one.id, "task", "math", now[0]),
        Feedback("", "success", True, now[0], "team-a", "s"),
    ]
    assert await ledger.feedback(said) == ["credited", "duplicate", "credited", "queued"]
    now[0] += DUE
    await ledger._tick()
    await ledger._tick()
    assert ledger.state.buffered == 0
    first, second, *earned = await told(store)
    assert (first["kind"], first["id"], first["arm"], first["propensity"]) == ("decision", one.id, "0.3", 0.5)
    assert (first["odds"], first["table"], first["observed"]) == ({"0.3": 0.5, "0.5": 0.5}, "v1", {"truncated": 0.0})
    assert not {"features", "session"} & first.keys()
    assert second["id"] == other.id
    assert {(e["kind"], e["id"], e["signal"], e["reward"], e["weight"]) for e in earned} == {
        ("reward", one.id, "score", 0.25, 1.0),
        ("reward", one.id, "success", 1.0, 0.5),
        ("reward", other.id, "success", 1.0, 0.5),
    }
    assert len(earned) == 3
    assert earned[0]["at"] == pytest.approx(time.time(), abs=60)
    assert not {'"s"', '"en.."'} & set(str(raw.xrange(keys.STREAM)).replace("[", ",").split(","))  # nor in the store
    await ledger.close()


async def test_the_stream_is_bounded_and_read_in_pages(
    store: Store, raw: "redis.Redis", monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(stream, "MOST", 2_000)
    for number in range(1, 31):
        earned = [Earned(f"dec_{number}_{n}", "rating", 0.5) for n in range(100)]
        await store.write(Batch("w", number, earned=earned))
    kept = int(raw.xlen(keys.STREAM))
    assert 2_000 <= kept < 2_200  # a node of the stream is taken off whole
    pages = [(len(page), total) async for page, total in store.streamed()]
    assert [count for count, _ in pages] == [1_000] * (kept // 1_000) + ([kept % 1_000] if kept % 1_000 else [])
    assert {total for _, total in pages} == {kept}
    assert sum(count for count, _ in pages) == kept
    assert (await told(store))[-1]["id"] == "dec_30_99"


async def test_what_makes_no_sense_in_the_stream_is_left_out_and_counted(store: Store, raw: "redis.Redis") -> None:
    await store.write(Batch("w", 1, earned=[Earned("dec_1", "rating", 0.5)]))
    bad: list[dict[Any, Any]] = [
        {"d": "dec_2", "r": "no json"},
        {"e": "dec_3"},
        {"x": "y"},
        {"e": "d", "v": "[1]"},
        {"d": "dec_4"},
    ]
    for entry in bad:
        raw.xadd(keys.STREAM, entry)
    assert [entry["id"] for entry in await told(store)] == ["dec_1"]
    assert store.corrupt == 5
    raw.delete(keys.STREAM)
    raw.set(keys.STREAM, "x")
    assert await told(store) == []
    await store.write(Batch("w", 2, earned=[Earned("dec_1", "rating", 0.5)]))  # nothing else is held up by it


async def test_what_waits_for_the_stream_is_bounded_too(server: EmbeddedServer, raw: "redis.Redis") -> None:
    store = Store(server.url)
    ledger = Ledger(store, Instruments(), limit=3)
    for n in range(5):
        ledger._outbox.earned(Earned(f"dec_{n}", "rating", 1.0))
    assert (ledger.state.buffered, ledger.state.shed) == (3, 2)
    await ledger._tick()
    assert [entry["id"] for entry in await told(store)] == ["dec_2", "dec_3", "dec_4"]
    await ledger.close()
