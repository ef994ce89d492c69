"""The ledger against a real server: what was acknowledged stays, what cannot be kept is counted, nothing raises."""

import asyncio
import contextlib
import os
import random
import signal
import time
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import redis

from metrics import keys
from metrics.embedded import EmbeddedServer, start_embedded
from metrics.errors import SignalError
from metrics.instruments import Instruments
from metrics.ledger import Ledger
from metrics.outcome import DecisionRecord, Feedback, Outcome
from metrics.store import Store

Decide = Callable[..., DecisionRecord]
Finish = Callable[..., Outcome]
CELL = "team-a|code|m|1"


def sample(instruments: Instruments, series: str) -> float:
    for line in instruments.render()[0].decode().splitlines():
        if line.startswith(f"setpoint_{series} "):
            return float(line.rpartition(" ")[2])
    return 0.0


@asynccontextmanager
async def running(ledger: Ledger) -> AsyncIterator[Ledger]:
    task = asyncio.create_task(ledger.run())
    await asyncio.sleep(0)
    yield ledger
    task.cancel()
    with contextlib.suppress(asyncio.CancelledError):
        await task


async def until(condition: Callable[[], bool]) -> None:
    async with asyncio.timeout(20):
        while not condition():
            await asyncio.sleep(0.02)


def new(url: str, **options: Any) -> tuple[Ledger, Instruments, Store]:
    instruments, store = Instruments(), Store(url)
    return Ledger(store, instruments, **options), instruments, store


@pytest.fixture
def record(decide: Decide) -> Callable[..., DecisionRecord]:
    """Decisions made now."""
    return lambda **changes: decide(at=time.time(), **changes)


async def test_a_finished_request_becomes_observed_rewards_in_the_store(
    server: EmbeddedServer, raw: "redis.Redis", record: Decide, finish: Finish
) -> None:
    ledger, instruments, store = new(server.url)
    ledger.register_cell(CELL, {"parameter": "temperature"})
    async with running(ledger):
        for _ in range(3):
            ledger.decided_and_done(finish(record(), text='{"a": 1}', wants_json=True))
        ledger.decided_and_done(finish(record(effective=False), text="{"))
        ledger.decided_and_done(finish(record(), result="error"))
        ledger.decided_and_done(finish(record(), result="cancelled"))
    found = (await ledger.statistics())[CELL]
    assert found.meta == {"parameter": "temperature"}
    arm = found.arms["0.3"]
    assert set(arm) == {"json_valid", "truncated", "refusal", "latency"}
    assert arm["json_valid"].n == pytest.approx(3, rel=1e-3)
    assert arm["latency"].mean == pytest.approx(0.5)
    assert sample(instruments, 'requests_total{model="m",outcome="ok",surface="chat",task="code"}') == 4
    assert (
        sample(instruments, 'reward_count{arm="0.3",model="m",parameter="temperature",signal="json_valid",task="code"}')
        == 3
    )
    assert ledger.state.up
    assert ledger.state.buffered == 0
    await store.close()


async def test_feedback_works_before_the_flush_and_counts_once_under_either_id(
    server: EmbeddedServer, raw: "redis.Redis", record: Decide, finish: Finish
) -> None:
    ledger, instruments, store = new(server.url)
    one = record()
    ledger.decided_and_done(finish(one, completion="chatcmpl-1"))
    now = time.time()
    items = [
        Feedback(one.id, "rating", 5, now),
        Feedback("chatcmpl-1", "rating", 5, now),
        Feedback(one.id, "thumbs", "up", now),
    ]
    assert await ledger.feedback(items) == ["credited", "duplicate", "credited"]
    assert await ledger.feedback(items[:1]) == ["duplicate"]
    assert (await ledger.statistics())[CELL].arms["0.3"]["rating"].n == pytest.approx(1, rel=1e-3)
    assert sample(instruments, 'feedback_total{result="credited",signal="rating"}') == 1
    assert sample(instruments, 'feedback_total{result="duplicate",signal="rating"}') == 2
    await store.close()


async def test_feedback_reaches_decisions_of_another_replica(
    server: EmbeddedServer, raw: "redis.Redis", record: Decide, finish: Finish
) -> None:
    (here, _, one), (there, _, two) = new(server.url), new(server.url)
    decision, now = record(), time.time()
    async with running(here):
        here.decided_and_done(finish(decision, completion="chatcmpl-1"))
    assert await there.feedback([Feedback("chatcmpl-1", "score", 0.5, now)]) == ["credited"]
    assert await there.feedback([Feedback(decision.id, "score", 0.5, now)]) == ["duplicate"]
    await one.close()
    await two.close()


async def test_feedback_on_what_another_replica_has_not_flushed_yet_waits_for_it(
    server: EmbeddedServer, raw: "redis.Redis", record: Decide, finish: Finish
) -> None:
    (here, _, one), (there, instruments, two) = new(server.url), new(server.url)
    decision, now = record(), time.time()
    async with running(there):
        items = [Feedback(decision.id, "success", True, now), Feedback("chatcmpl-9", "success", True, now)]
        assert await there.feedback(items) == ["queued", "queued"]
        async with running(here):
            here.decided_and_done(finish(decision, completion="chatcmpl-9"))
        await until(lambda: there.state.buffered == 0)
    assert sample(instruments, 'feedback_total{result="credited",signal="success"}') == 1
    assert sample(instruments, 'feedback_total{result="duplicate",signal="success"}') == 1
    await one.close()
    await two.close()


async def test_ids_that_never_turn_up_are_counted_unknown(
    server: EmbeddedServer, raw: "redis.Redis", decide: Decide
) -> None:
    now = time.time()
    times = [now]
    store, instruments = Store(server.url), Instruments()
    ledger = Ledger(store, instruments, clock=lambda: times[0], steady=lambda: times[0])
    items = [
        Feedback("nobody", "success", True, now),
        Feedback(decide(at=now - 3600).id, "success", True, now),
        Feedback(decide(at=now - 8 * 86_400).id, "success", True, now),
        Feedback(decide(at=now + 3600).id, "success", True, now),
    ]
    assert await ledger.feedback(items) == ["queued", "unknown", "late", "unknown"]
    async with running(ledger):
        await until(lambda: ledger.state.up)
        assert ledger.state.buffered == 1
        times[0] += 11
        await until(lambda: ledger.state.buffered == 0)
    assert sample(instruments, 'feedback_total{result="unknown",signal="success"}') == 3
    await store.close()


async def test_feedback_after_a_signal_s_window_is_late(
    server: EmbeddedServer, raw: "redis.Redis", decide: Decide, finish: Finish
) -> None:
    ledger, _, store = new(server.url)
    now = time.time()
    old = decide(at=now - 2 * 86_400)
    ledger.decided_and_done(finish(old))
    items = [Feedback(old.id, "regenerated", True, now), Feedback(old.id, "rating", 5, now)]
    assert await ledger.feedback(items) == ["late", "credited"]
    await store.close()


async def test_one_tenant_cannot_rate_the_answers_of_another(
    server: EmbeddedServer, raw: "redis.Redis", record: Decide, finish: Finish
) -> None:
    ledger, _, store = new(server.url)
    one, now = record(), time.time()
    ledger.decided_and_done(finish(one))
    assert await ledger.feedback([Feedback(one.id, "rating", 1, now, tenant="team-b")]) == ["unknown"]
    assert await ledger.feedback([Feedback(one.id, "rating", 1, now, tenant="team-a")]) == ["credited"]
    await store.close()


async def test_one_bad_item_refuses_the_whole_list_before_anything_counts(
    server: EmbeddedServer, raw: "redis.Redis", record: Decide, finish: Finish
) -> None:
    ledger, _, store = new(server.url)
    one, now = record(), time.time()
    ledger.decided_and_done(finish(one))
    with pytest.raises(SignalError):
        await ledger.feedback([Feedback(one.id, "rating", 5, now), Feedback(one.id, "rating", 6, now)])
    assert await ledger.feedback([Feedback(one.id, "rating", 5, now)]) == ["credited"]
    await store.close()


async def test_what_was_not_effective_or_has_no_cell_is_taken_and_credits_no_arm(
    server: EmbeddedServer, raw: "redis.Redis", record: Decide, finish: Finish
) -> None:
    ledger, _, store = new(server.url)
    records, now = [record(effective=False), record(cell=None, arm=None)], time.time()
    for one in records:
        ledger.decided_and_done(finish(one))
    items = [
        Feedback(one.id, signal, value, now) for one in records for signal, value in (("rating", 5), ("task", "math"))
    ]
    assert await ledger.feedback(items) == ["credited"] * 4
    assert await ledger.feedback(items) == ["duplicate"] * 4
    assert await ledger.statistics() == {}
    assert await store.labels() == {("code", "math"): 2}
    await store.close()


async def test_what_the_classifiers_said_is_kept_with_the_decision_and_a_label_is_told_once(
    server: EmbeddedServer, raw: "redis.Redis", record: Decide, finish: Finish
) -> None:
    ledger, _, store = new(server.url)
    told: list[tuple[DecisionRecord, str]] = []
    ledger.settling.labelled = lambda *label: told.append(label)
    async with running(ledger):
        first, second = record(live="code@a"), record()
        for one, completion in ((first, "c1"), (second, None)):
            ledger.decided_and_done(finish(one, completion=completion))
        reviewed = replace(first, shadow="math@b")
        ledger.reviewed(reviewed, "c1")
    shown = (("truncated", 1.0),)
    reviewed, second = replace(reviewed, observed=shown), replace(second, observed=shown)
    assert await store.find(["c1", second.id], time.time()) == {"c1": reviewed, second.id: second}

    other, _, _ = new(server.url)
    other.settling.labelled = lambda *label: told.append(label)
    items = [Feedback(i, "task", "math", time.time()) for i in ("c1", "c1", first.id)]
    assert await ledger.feedback(items[:1]) == ["credited"]
    assert await other.feedback(items) == ["duplicate"] * 3
    assert told == [(reviewed, "math")]
    await store.close()
    await other.close()


async def test_a_label_that_cannot_be_counted_is_credited_all_the_same(
    server: EmbeddedServer, raw: "redis.Redis", record: Decide, finish: Finish
) -> None:
    ledger, instruments, store = new(server.url)

    def broken(record: DecisionRecord, task: str) -> None:
        raise RuntimeError("no")

    ledger.settling.labelled = broken
    one = record()
    ledger.decided_and_done(finish(one))
    assert await ledger.feedback([Feedback(one.id, "task", "math", time.time())]) == ["credited"]
    assert sample(instruments, "learning_failures_total") == 1
    await store.close()


async def test_asking_again_takes_the_reward_of_the_first_answer_back(
    server: EmbeddedServer, raw: "redis.Redis", record: Decide, finish: Finish
) -> None:
    ledger, instruments, store = new(server.url)
    async with running(ledger):
        for prompt in ("a", "a", "b", "c"):
            ledger.decided_and_done(finish(record(session="s"), prompt=prompt))
    tally = (await ledger.statistics())[CELL].arms["0.3"]["regenerate"]
    assert (tally.n, tally.s) == pytest.approx((4, 3), rel=1e-3)
    assert sample(instruments, 'regenerations_total{model="m"}') == 1
    await store.close()


async def test_two_replicas_with_duplicates_and_shuffles_count_exactly_once(
    server: EmbeddedServer, raw: "redis.Redis", record: Decide, finish: Finish
) -> None:
    replicas = [new(server.url) for _ in range(2)]
    records, rng = [record() for _ in range(60)], random.Random(3)
    async with running(replicas[0][0]) as left, running(replicas[1][0]) as right:
        for n, one in enumerate(records):
            (left, right)[n % 2].decided_and_done(finish(one, completion=f"c{n}"))
        for ledger in (left, right):
            items = [Feedback(one.id, "score", 0.5, time.time()) for one in records]
            items += [Feedback(f"c{n}", "score", 0.5, time.time()) for n in range(60)]
            rng.shuffle(items)
            for start in range(0, len(items), 9):
                await ledger.feedback(items[start : start + 9])
        await until(lambda: left.state.buffered == right.state.buffered == 0)
    arm = (await left.statistics())[CELL].arms["0.3"]
    assert arm["score"].n == pytest.approx(60, rel=1e-3)
    assert arm["latency"].n == pytest.approx(60, rel=1e-3)
    credited = sum(sample(i, 'feedback_total{result="credited",signal="score"}') for _, i, _ in replicas)
    assert credited == 60
    for _, _, store in replicas:
        await store.close()


async def test_acknowledged_feedback_is_all_there_after_the_server_was_killed(
    own_folder: Path, record: Decide, finish: Finish
) -> None:
    server = start_embedded(own_folder)
    ledger, instruments, store = new(server.url)
    records, answers = [record() for _ in range(200)], []
    async with running(ledger):
        await until(lambda: ledger.state.up)
        for n, one in enumerate(records):
            ledger.decided_and_done(finish(one))
            answers += await ledger.feedback([Feedback(one.id, "rating", 5, time.time())])
            if n == 120:
                os.kill(server.pid, signal.SIGKILL)
                server.stop()
        assert set(answers) == {"credited", "queued"}
        await until(lambda: not ledger.state.up)
        server = start_embedded(own_folder)
        await until(lambda: ledger.state.up and ledger.state.buffered == 0)
    arm = (await ledger.statistics())[CELL].arms["0.3"]
    assert arm["rating"].n == pytest.approx(200, rel=1e-3)
    assert arm["latency"].n == pytest.approx(200, rel=1e-3)
    assert sample(instruments, "store_down_seconds_total") > 0
    assert ledger.state.shed == 0
    await store.close()
    server.stop()


async def test_what_the_server_forgot_between_two_flushes_is_sent_again(
    server: EmbeddedServer, raw: "redis.Redis", record: Decide, finish: Finish
) -> None:
    ledger, _, store = new(server.url)
    ledger.register_cell(CELL, {"x": 1})
    one = record()
    async with running(ledger):
        ledger.decided_and_done(finish(one))
        await until(lambda: ledger.state.up and ledger.state.buffered == 0)
        assert await ledger.feedback([Feedback(one.id, "rating", 5, time.time())]) == ["credited"]
        raw.flushall()  # as a failover to a replica that had not got it yet
        await until(lambda: bool(raw.exists(keys.meta(CELL))))
    found = (await ledger.statistics())[CELL]
    assert found.arms["0.3"]["rating"].n == pytest.approx(1, rel=1e-3)
    assert found.arms["0.3"]["latency"].n == pytest.approx(1, rel=1e-3)
    assert found.meta == {"x": 1}
    assert (await store.find([one.id], time.time()))[one.id].observed == (("truncated", 1.0),)
    await store.close()


async def test_without_a_store_at_the_start_nothing_raises_and_it_catches_up(
    own_folder: Path, record: Decide, finish: Finish
) -> None:
    ledger, instruments, store = new(f"unix://{own_folder}/redis/redis.sock")
    one = record()
    async with running(ledger):
        ledger.decided_and_done(finish(one))
        assert await ledger.feedback([Feedback(one.id, "rating", 5, time.time())]) == ["queued"]
        assert await ledger.statistics() == {}
        assert "store" in ledger.state.error
        await until(lambda: ledger.state.buffered > 1)
        server = start_embedded(own_folder)
        await until(lambda: ledger.state.up and ledger.state.buffered == 0)
    assert (await ledger.statistics())[CELL].arms["0.3"]["rating"].n == pytest.approx(1, rel=1e-3)
    assert sample(instruments, "store_up") == 1
    await store.close()
    server.stop()


async def test_buffers_are_bounded_and_what_goes_is_counted(record: Decide, finish: Finish) -> None:
    ledger, instruments, store = new("redis://127.0.0.1:1", limit=100, feedback_limit=50)
    for n in range(300):
        ledger.decided_and_done(finish(record(cell=f"cell{n}"), text="x" * 100))
        await ledger.feedback([Feedback(f"c{n}", "success", True, time.time())])
    async with running(ledger):
        await until(lambda: bool(sample(instruments, "store_buffered_events")))
    assert ledger.state.buffered == 100 + 100 + 50
    assert sample(instruments, 'store_shed_total{kind="feedback"}') == 250
    assert sample(instruments, 'store_shed_total{kind="decisions"}') == 200
    assert ledger.state.shed == 250 + 200 + sample(instruments, 'store_shed_total{kind="rewards"}')
    await store.close()


async def test_a_server_that_accepts_and_never_answers_costs_a_request_no_more_than_its_patience(
    record: Decide, finish: Finish
) -> None:
    async def silent(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.read()
        writer.close()

    listener = await asyncio.start_server(silent, "127.0.0.1", 0)
    ledger, _, store = new(f"redis://127.0.0.1:{listener.sockets[0].getsockname()[1]}")
    one = record()
    ledger.decided_and_done(finish(one))
    async with asyncio.timeout(0.4):  # the client's own timeout is 0.5 s
        assert await ledger.feedback([Feedback(one.id, "rating", 5, time.time())]) == ["queued"]
    await store.close()
    listener.close()


async def test_a_store_of_a_newer_version_is_read_and_left_alone(
    server: EmbeddedServer, raw: "redis.Redis", record: Decide, finish: Finish
) -> None:
    raw.set(keys.SCHEMA, "2")
    raw.sadd(keys.CELLS, "theirs")
    ledger, _, store = new(server.url)
    one = record()
    async with running(ledger):
        ledger.decided_and_done(finish(one))
        assert await ledger.feedback([Feedback(one.id, "rating", 5, time.time())]) == ["queued"]
        assert "upgrade" in ledger.state.error
        assert set(await ledger.statistics()) == {"theirs"}
    assert sorted(raw.keys("*")) == [keys.CELLS, keys.SCHEMA]
    await store.close()


async def test_an_odd_outcome_harms_nothing(
    server: EmbeddedServer, raw: "redis.Redis", record: Decide, finish: Finish
) -> None:
    ledger, instruments, store = new(server.url)
    odd = finish(record(), text=None)
    async with running(ledger):
        ledger.decided_and_done(odd)
        ledger.decided_and_done(finish(record(), seconds="soon"))
        ledger.decided_and_done(finish(record(session="\ud800", model="\ud800")))
        ledger.decided_and_done(finish(record()))
    assert sample(instruments, "learning_failures_total") >= 2
    assert (await ledger.statistics())[CELL].arms["0.3"]["latency"].n >= 1
    await store.close()


async def test_what_the_server_forgot_is_sent_again_also_where_a_later_credit_hides_the_gap(
    server: EmbeddedServer, raw: "redis.Redis", record: Decide, finish: Finish
) -> None:
    ledger, _, store = new(server.url)
    one, two = record(), record()
    async with running(ledger):
        await until(lambda: ledger.state.up)
        ledger.decided_and_done(finish(one))
        ledger.decided_and_done(finish(two))
        assert await ledger.feedback([Feedback(one.id, "rating", 5, time.time())]) == ["credited"]
        raw.flushall()
        assert await ledger.feedback([Feedback(two.id, "rating", 5, time.time())]) == ["credited"]
        await until(lambda: ledger.state.up and ledger.state.buffered == 0)
    assert (await ledger.statistics())[CELL].arms["0.3"]["rating"].n == pytest.approx(2, rel=1e-3)
    await store.close()


async def test_what_cells_are_about_is_told_again_to_a_server_that_was_emptied_while_nothing_happened(
    server: EmbeddedServer, raw: "redis.Redis"
) -> None:
    at = [1_000.0]
    ledger, _, store = new(server.url, steady=lambda: at[0])
    ledger.register_cell(CELL, {"x": 1})
    async with running(ledger):
        await until(lambda: bool(raw.exists(keys.meta(CELL))))
        at[0] += 60  # long enough to be on any disk
        await until(lambda: not ledger._outbox._sent)
        raw.flushall()
        await until(lambda: bool(raw.exists(keys.meta(CELL))))
    assert (await ledger.statistics())[CELL].meta == {"x": 1}
    await store.close()


async def test_a_clock_that_is_set_back_prolongs_no_outage_and_counts_none(own_folder: Path) -> None:
    at = [time.time()]
    ledger, instruments, store = new(f"unix://{own_folder}/redis/redis.sock", clock=lambda: at[0])
    async with running(ledger):
        await until(lambda: "store" in ledger.state.error)
        at[0] -= 6 * 3_600
        server = start_embedded(own_folder)
        await until(lambda: ledger.state.up)
        at[0] += 12 * 3_600
        await asyncio.sleep(0.6)  # a flush
    assert ledger.state.up
    assert sample(instruments, "store_down_seconds_total") < 60
    await store.close()
    server.stop()


async def test_all_that_is_kept_of_decisions_expires_whatever_the_server_lost_or_refused(
    server: EmbeddedServer, raw: "redis.Redis", record: Decide, finish: Finish
) -> None:
    at = [1_000.0]
    ledger, _, store = new(server.url, steady=lambda: at[0])

    def kept() -> list[str]:
        return [k for k in raw.scan_iter("setpoint:*") if ":decisions:" in k or ":completions:" in k]

    async def flush() -> set[int]:
        """Whether what a flush wrote expires."""
        ledger.decided_and_done(finish(record(), completion="c"))
        at[0] += 2
        await ledger._tick()
        return {int(raw.ttl(k)) > 0 for k in kept()}

    assert await flush() == {True}
    raw.flushall()
    assert await flush() == {True}
    try:
        raw.acl_setuser("default", enabled=True, nopass=True, keys=["*"], channels=["*"], commands=["+@all", "-hset"])
        raw.delete(*kept())
        await flush()
        assert not ledger.state.up
    finally:
        raw.acl_setuser("default", enabled=True, nopass=True, keys=["*"], channels=["*"], commands=["+@all"])
    assert await flush() == {True}
    await store.close()
