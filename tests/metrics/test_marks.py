"""The marks of safe learning against a real server: one discount for all replicas, rollbacks that end, a kill switch."""

import asyncio
import time
from collections.abc import Callable
from dataclasses import replace
from typing import Any

import pytest
import redis

from metrics import keys
from metrics.credits import Grant
from metrics.embedded import EmbeddedServer
from metrics.errors import StoreError
from metrics.instruments import Instruments
from metrics.ledger import Ledger
from metrics.outcome import DecisionRecord
from metrics.store import Batch, Store
from metrics.tally import EPOCH, CellStatistics, Pause, Sums, Tally, epoch_of, reward

Decide = Callable[..., DecisionRecord]
NOW = 1_790_000_000.0
CELL = "team-a|code|m|1"


async def earn(store: Store, at: float = NOW, number: int = 1, arm: str = "0.3", value: float = 0.5) -> None:
    sums = Sums(10)
    sums.add(*reward(CELL, arm, "rating", at, value))
    await store.write(Batch("w", number, sums=sums.take()))


def sample(instruments: Instruments, series: str) -> float:
    lines = (line.rpartition(" ") for line in instruments.render()[0].decode().splitlines())
    return next((float(value) for name, _, value in lines if name == f"setpoint_{series}"), 0.0)


async def test_a_discount_weakens_what_was_earned_and_not_what_it_says(store: Store, raw: "redis.Redis") -> None:
    edge = epoch_of(NOW) * EPOCH
    await earn(store, edge - 60)
    await earn(store, edge + 60, 2, "0.5", 1.0)
    assert await store.discount(CELL, 0.25, edge + 60, 3600)
    found = (await store.statistics(edge + 60))[CELL]
    assert found.arms["0.3"]["rating"] == pytest.approx(Tally(0.25, 0.125, 0.0625), rel=1e-3)
    assert found.arms["0.5"]["rating"] == pytest.approx(Tally(0.25, 0.25, 0.25), rel=1e-9)
    assert found.changed_at == edge + 60
    await earn(store, edge + 60, 3, "0.5", 1.0)
    assert (await store.statistics(edge + 60))[CELL].arms["0.5"]["rating"].n == pytest.approx(1.25)
    assert store.corrupt == 0


async def test_replicas_that_find_a_change_at_once_discount_once(server: EmbeddedServer, store: Store) -> None:
    await earn(store)
    replicas = [Store(server.url) for _ in range(4)]
    done = await asyncio.gather(*(r.discount(CELL, 0.5, NOW + n, 3600) for n, r in enumerate(replicas)))
    assert sorted(done) == [False, False, False, True]
    found = (await store.statistics(NOW))[CELL]
    assert found.arms["0.3"]["rating"].n == pytest.approx(0.5)
    assert found.changed_at == NOW + done.index(True)
    for replica in replicas:
        await replica.close()


async def test_after_the_pause_another_change_may_be_found_and_its_time_is_kept(
    store: Store, raw: "redis.Redis"
) -> None:
    await earn(store)
    assert await store.discount(CELL, 0.5, NOW, 0.2)
    assert raw.ttl(keys.changed(CELL)) == 1
    assert 0 < int(raw.ttl(keys.last_changed(CELL))) <= 30 * keys.DAY
    raw.delete(keys.changed(CELL))
    assert (await store.statistics(NOW))[CELL].changed_at == NOW
    assert await store.discount(CELL, 0.5, NOW + 5, 60)
    found = (await store.statistics(NOW))[CELL]
    assert found.arms["0.3"]["rating"].n == pytest.approx(0.25)
    assert found.changed_at == NOW + 5


async def test_a_discount_leaves_corrupt_values_alone_and_counts_them(store: Store, raw: "redis.Redis") -> None:
    await earn(store)
    sums = keys.sums(CELL, epoch_of(NOW))
    bad: dict[Any, Any] = {
        "n|rating|a": "nan",
        "s|rating|a": "0x10",
        "q|rating|a": "many",
        "n|rating|b": "inf",
        "garbage": "7",
    }
    raw.hset(sums, mapping=bad)
    raw.set(keys.sums(CELL, epoch_of(NOW) - 1), "a string")
    raw.lpush(keys.last_changed(CELL), "a list")
    assert await store.discount(CELL, 0.5, NOW, 60)
    assert store.corrupt == 6
    stored: Any = raw.hgetall(sums)
    assert bad.items() <= stored.items()
    assert (await store.statistics(NOW))[CELL].arms["0.3"]["rating"].n == pytest.approx(0.5)


async def test_a_discount_is_exact_over_many_fields_and_magnitudes(store: Store) -> None:
    sums = Sums(1000)
    for n in range(300):
        sums.add(*reward(CELL, f"a{n}", "latency", NOW - n * 3_000, 1 / (n + 3)))
    await store.write(Batch("w", 1, sums=sums.take()))
    before = (await store.statistics(NOW))[CELL].arms
    assert await store.discount(CELL, 0.1, NOW, 60)
    after = (await store.statistics(NOW))[CELL].arms
    assert len(after) == 300
    for arm, signals in before.items():
        assert after[arm]["latency"] == pytest.approx(Tally(*(0.1 * x for x in signals["latency"])), rel=1e-12)


@pytest.mark.parametrize("factor", [-0.1, 1.1, float("nan")])
async def test_a_discount_is_no_bonus(store: Store, factor: float) -> None:
    with pytest.raises(ValueError, match="from 0 to 1"):
        await store.discount(CELL, factor, NOW, 60)


async def test_a_store_that_is_full_discounts_nothing_rather_than_half(store: Store, raw: "redis.Redis") -> None:
    await earn(store)
    raw.config_set("maxmemory-policy", "noeviction")
    raw.config_set("maxmemory", "1")
    try:
        with pytest.raises(StoreError, match="memory"):
            await store.discount(CELL, 0.5, NOW, 60)
    finally:
        raw.config_set("maxmemory", "512mb")
        raw.config_set("maxmemory-policy", "volatile-ttl")
    assert not raw.exists(keys.changed(CELL))
    assert (await store.statistics(NOW))[CELL].arms["0.3"]["rating"].n == pytest.approx(1)


async def test_a_rollback_holds_until_it_ends_or_is_released(store: Store, raw: "redis.Redis") -> None:
    await earn(store)
    assert await store.roll_back(CELL, "reward fell", NOW, 600)
    assert not await store.roll_back(CELL, "another", NOW, 6_000)
    found = (await store.statistics(NOW))[CELL]
    assert (found.rolled_back, found.held) == ("reward fell", True)
    assert found.rolled_back_until == pytest.approx(NOW + 600, abs=2)
    assert raw.get(keys.rolled_back(CELL)) == '{"cause":"reward fell","at":1790000000.0}'
    raw.pexpire(keys.rolled_back(CELL), 1)
    await asyncio.sleep(0.01)
    assert (await store.statistics(NOW))[CELL] == replace(found, rolled_back="", rolled_back_until=None)
    assert await store.roll_back(CELL, "again", NOW, 600)
    assert await store.release(CELL)
    assert not await store.release(CELL)
    assert not (await store.statistics(NOW))[CELL].held


async def test_the_kill_switch_is_read_with_every_look_at_the_cells(store: Store) -> None:
    await earn(store)
    assert (await store.statistics(NOW))[CELL].paused is False
    assert store.paused is None
    assert await store.pause_learning("audit", NOW)
    assert not await store.pause_learning("a longer audit", NOW + 1)
    assert (await store.statistics(NOW))[CELL].held
    assert store.paused == Pause("a longer audit", NOW + 1)
    assert await store.resume_learning()
    assert not await store.resume_learning()
    assert not (await store.statistics(NOW))[CELL].held
    assert store.paused is None


@pytest.mark.parametrize("text", ["", "{", "[]", '{"cause": 7}', '{"why": null}', "\x00"])
async def test_marks_that_cannot_be_read_hold_and_never_raise(store: Store, raw: "redis.Redis", text: str) -> None:
    await earn(store)
    for key in (keys.last_changed(CELL), keys.rolled_back(CELL), keys.PAUSED):
        raw.set(key, text)
    found = (await store.statistics(NOW))[CELL]
    assert (found.changed_at, found.rolled_back, found.rolled_back_until) == (None, "unreadable", None)
    assert found.paused
    assert store.paused == Pause()
    assert store.corrupt == 3


async def test_marks_of_another_type_are_counted_and_cleared(store: Store, raw: "redis.Redis") -> None:
    await earn(store)
    for key in (keys.last_changed(CELL), keys.rolled_back(CELL), keys.PAUSED):
        raw.lpush(key, "a list")
    assert not (await store.statistics(NOW))[CELL].held
    assert store.corrupt == 3
    assert await store.release(CELL)
    assert await store.resume_learning()


def test_the_marks_of_a_cell_have_its_hash_tag() -> None:
    names = [f(CELL) for f in (keys.changed, keys.last_changed, keys.rolled_back)]
    assert all(name.startswith(keys.meta(CELL).removesuffix("meta")) for name in names)
    assert len({*names}) == 3


async def test_the_ledger_passes_marks_on_counts_them_and_remembers_the_pause(
    server: EmbeddedServer, raw: "redis.Redis", decide: Decide
) -> None:
    store, instruments = Store(server.url), Instruments()
    ledger = Ledger(store, instruments)
    at = time.time()
    await store.credit([Grant(decide(at=at), "rating", 5, 1.0)], "w", 1)
    assert await ledger.discount(CELL, 0.5, at, 60)
    assert not await ledger.discount(CELL, 0.5, at, 60)
    assert await ledger.roll_back(CELL, "reward fell", at, 60)
    assert not await ledger.roll_back(CELL, "reward fell", at, 60)
    await store.pause_learning("audit", at)
    found = (await ledger.statistics())[CELL]
    assert (found.changed_at, found.rolled_back, ledger.paused) == (at, "reward fell", Pause("audit", at))
    assert sample(instruments, 'changes_found_total{model="m",task="code"}') == 1
    assert sample(instruments, 'rollbacks_total{cause="reward fell",model="m",task="code"}') == 1
    assert sample(instruments, "learning_paused") == 1
    await store.resume_learning()
    assert await ledger.release(CELL)
    assert not (await ledger.statistics())[CELL].held
    assert sample(instruments, "learning_paused") == 0
    await store.close()


async def test_marks_never_raise_into_learning(server: EmbeddedServer, raw: "redis.Redis") -> None:
    instruments, away = Instruments(), Store("redis://127.0.0.1:1")
    ledger = Ledger(away, instruments)
    assert not await ledger.discount(CELL, 0.5, NOW, 60)
    assert not await ledger.roll_back(CELL, "c", NOW, 60)
    assert not await ledger.release(CELL)
    assert "store" in ledger.state.error
    here = Store(server.url)
    ledger = Ledger(here, instruments)
    assert not await ledger.discount(CELL, 7.0, NOW, 60)
    assert not await ledger.roll_back(CELL, "c", NOW, float("nan"))
    assert sample(instruments, "learning_failures_total") == 2
    raw.set(keys.SCHEMA, "2")
    newer = Ledger(here, instruments)
    assert not await newer.roll_back(CELL, "c", NOW, 60)
    assert raw.keys("*") == [keys.SCHEMA]
    for store in (away, here):
        await store.close()


def test_nothing_is_held_unless_somebody_says_so() -> None:
    assert not CellStatistics(changed_at=NOW).held
    assert CellStatistics(paused=True).held
    assert CellStatistics(rolled_back="c").held
