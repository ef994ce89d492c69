"""The store against a real server: nothing lost, nothing twice, nothing corrupt that hurts."""

import asyncio
import random
from collections.abc import Callable

import pytest
import redis

from metrics import keys
from metrics.credits import Grant
from metrics.decisions import line
from metrics.embedded import EmbeddedServer
from metrics.errors import SchemaError, StoreError
from metrics.outcome import DecisionRecord
from metrics.store import Batch, Store
from metrics.tally import EPOCH, HALF_LIFE, Sums, Tally, epoch_of, reward

Decide = Callable[..., DecisionRecord]
NOW = 1_790_000_000.0
CELL = "team-a|code|m|1"


def batch(writer: str, number: int, *events: tuple[str, float, float]) -> Batch:
    sums = Sums(1000)
    for arm, at, value in events:
        sums.add(*reward(CELL, arm, "latency", at, value))
    return Batch(writer, number, sums=sums.take())


async def test_a_batch_sent_twice_counts_once(store: Store) -> None:
    first, second = batch("w", 1, ("0.3", NOW, 1.0)), batch("w", 2, ("0.3", NOW, 0.5))
    for one in (first, first, second, first, second):
        await store.write(one)
    cell = (await store.statistics(NOW))[CELL]
    assert cell.arms["0.3"]["latency"] == pytest.approx(Tally(2, 1.5, 1.25))


async def test_replicas_that_write_and_repeat_at_once_lose_and_double_nothing(
    server: EmbeddedServer, raw: "redis.Redis"
) -> None:
    rng = random.Random(5)
    events = [(rng.choice(["0.1", "0.3", "0.5"]), NOW - rng.uniform(0, 6e5), rng.random()) for _ in range(600)]

    async def replica(n: int) -> None:
        replica_store, own_rng = Store(server.url), random.Random(n)
        mine = events[n::3]
        for number, start in enumerate(range(0, len(mine), 10), 1):
            one = batch(f"w{n}", number, *mine[start : start + 10])
            for _ in range(own_rng.choice([1, 1, 2, 3])):
                await replica_store.write(one)
        await replica_store.close()

    await asyncio.gather(*(replica(n) for n in range(3)))
    alone = Store(server.url)
    found = (await alone.statistics(NOW))[CELL]
    await alone.close()
    for arm in ("0.1", "0.3", "0.5"):
        weights = [(2 ** (-(NOW - at) / HALF_LIFE), value) for a, at, value in events if a == arm]
        expected = Tally(sum(w for w, _ in weights), sum(w * v for w, v in weights), sum(w * v * v for w, v in weights))
        assert found.arms[arm]["latency"] == pytest.approx(expected, rel=1e-9)


async def test_a_signal_is_credited_once_per_decision_whoever_asks_and_how_often(
    server: EmbeddedServer, raw: "redis.Redis", decide: Decide
) -> None:
    records = [decide() for _ in range(50)]
    grants = [Grant(r, s, 1, 1.0) for r in records for s in ("rating", "thumbs")]

    async def replica(n: int) -> int:
        replica_store, mine = Store(server.url), [*grants, *grants[:30]]
        random.Random(n).shuffle(mine)
        new = 0
        for number, start in enumerate(range(0, len(mine), 7), 1):
            new += sum(await replica_store.credit(mine[start : start + 7], f"w{n}", number))
        await replica_store.close()
        return new

    assert sum(await asyncio.gather(*(replica(n) for n in range(3)))) == 100
    alone = Store(server.url)
    arm = (await alone.statistics(NOW))[CELL].arms["0.3"]
    await alone.close()
    assert arm["rating"] == pytest.approx(Tally(50, 50, 50))
    assert arm["thumbs"] == pytest.approx(Tally(50, 50, 50))


async def test_a_decision_is_found_by_its_id_and_by_its_completion_id(store: Store, decide: Decide) -> None:
    one, other = decide(session="s", cell=None, arm=None), decide(at=NOW - 6 * 86_400)
    await store.write(Batch("w", 1, [line(one, "chatcmpl-1"), line(other, "chatcmpl-2")]))
    found = await store.find([one.id, "chatcmpl-2", "chatcmpl-3", "dec_", "dec_nothing", ""], NOW)
    assert found == {one.id: one, "chatcmpl-2": other}


async def test_decisions_expire_and_sums_do_not(store: Store, raw: "redis.Redis", decide: Decide) -> None:
    record = decide()
    await store.write(
        Batch("w", 1, [line(record, "c")], batch("w", 1, ("0.3", NOW, 1.0)).sums, {CELL: {"grid": [0.1]}})
    )
    assert 0 < int(raw.ttl(keys.decisions(record.id, 0))) <= store.window + keys.BUCKET
    assert int(raw.ttl(keys.completions("c", int(NOW) // keys.DAY))) > 0
    assert raw.ttl(keys.sums(CELL, epoch_of(NOW))) == -1
    assert raw.ttl(keys.meta(CELL)) == -1


async def test_statistics_add_the_epoch_before_and_forget_the_one_before_that(store: Store, raw: "redis.Redis") -> None:
    edge = (epoch_of(NOW) + 1) * EPOCH
    await store.write(batch("w", 1, ("a", edge - EPOCH - 5, 1.0)))
    await store.write(batch("w", 2, ("a", edge - 5, 1.0)))
    await store.write(batch("w", 3, ("a", edge + 5, 1.0)))
    tally = (await store.statistics(edge + 5))[CELL].arms["a"]["latency"]
    assert tally.n == pytest.approx(2, rel=1e-4)
    assert not raw.exists(keys.sums(CELL, epoch_of(edge) - 2))


async def test_meta_comes_back_as_it_went(store: Store) -> None:
    await store.write(Batch("w", 1, cells={"a": {"parameter": "temperature", "grid": [0.1, 0.3]}, "b|}{%": {}}))
    found = await store.statistics(NOW)
    assert found["a"].meta == {"parameter": "temperature", "grid": [0.1, 0.3]}
    assert found["b|}{%"].arms == {}


async def test_all_keys_of_a_cell_share_one_hash_tag(decide: Decide) -> None:
    for cell in ("plain", "}", "{}", "a{b}c", "%7D"):
        names = [keys.sums(cell, 1), keys.meta(cell), keys.applied(cell, 1, "w"), keys.credited(decide(cell=cell), "s")]
        tags = {name[name.index("{") + 1 : name.index("}")] for name in names}
        assert len(tags) == 1
        assert tags != {""}
    assert keys.sums("}", 1) != keys.sums("%7D", 1)


async def test_corrupt_values_are_skipped_and_counted(store: Store, raw: "redis.Redis", decide: Decide) -> None:
    record, lost = decide(), decide()
    await store.write(
        Batch("w", 1, [line(record, None), line(lost, None)], batch("w", 1, ("a", NOW, 1.0)).sums, {CELL: {"x": 1}})
    )
    sums = keys.sums(CELL, epoch_of(NOW))
    for field, value in (("n|latency|a", "nan"), ("s|latency|b", "1"), ("garbage", "1"), ("n|rating|c", "-5")):
        raw.hset(sums, field, value)
    raw.set(keys.meta(CELL), "[1, 2")
    raw.hset(keys.decisions(lost.id, 0), lost.id, '["too", "short"]')
    raw.sadd(keys.CELLS, "ghost")
    raw.lpush(keys.sums("ghost", epoch_of(NOW)), "a list")
    found = await store.statistics(NOW)
    assert found[CELL].arms == {}
    assert found[CELL].meta == {}
    assert found["ghost"].arms == {}
    assert await store.find([record.id, lost.id], NOW) == {record.id: record}
    assert store.corrupt >= 6


async def test_a_corrupt_sum_is_replaced_by_the_next_reward(store: Store, raw: "redis.Redis") -> None:
    raw.hset(keys.sums(CELL, epoch_of(NOW)), mapping={"n|latency|a": "many", "s|latency|a": "7", "q|latency|a": "7"})
    await store.write(batch("w", 1, ("a", NOW, 0.5), ("b", NOW, 1.0)))
    arms = (await store.statistics(NOW))[CELL].arms
    assert arms["a"]["latency"] == pytest.approx(Tally(1, 0.5, 0.25))
    assert arms["b"]["latency"] == pytest.approx(Tally(1, 1, 1))
    assert store.corrupt == 1


async def test_keys_of_another_type_do_not_stop_a_batch(store: Store, raw: "redis.Redis", decide: Decide) -> None:
    record = decide()
    raw.set(keys.decisions(record.id, 0), "a string")
    raw.set(keys.sums(CELL, epoch_of(NOW)), "a string")
    await store.write(Batch("w", 1, [line(record, "c")], batch("w", 1, ("a", NOW, 1.0)).sums))
    assert await store.find(["c"], NOW) == {}
    assert store.corrupt > 0


async def test_a_store_that_is_full_is_an_error_and_nothing_is_half_written(
    store: Store, raw: "redis.Redis", decide: Decide
) -> None:
    raw.config_set("maxmemory-policy", "noeviction")
    raw.config_set("maxmemory", "1")
    try:
        with pytest.raises(StoreError, match="memory"):
            await store.credit([Grant(decide(), "rating", 5, 1.0)], "w", 1)
        with pytest.raises(StoreError, match="memory"):
            await store.write(batch("w", 1, ("a", NOW, 1.0)))
    finally:
        raw.config_set("maxmemory", "512mb")
        raw.config_set("maxmemory-policy", "volatile-ttl")
    await store.write(batch("w", 1, ("a", NOW, 1.0)))
    assert (await store.statistics(NOW))[CELL].arms["a"]["latency"].n == pytest.approx(1)


async def test_a_newer_layout_is_read_and_not_written(store: Store, raw: "redis.Redis") -> None:
    assert await store.begin("w") == 0
    assert raw.get(keys.SCHEMA) == "1"
    raw.set(keys.SCHEMA, "2")
    with pytest.raises(SchemaError, match="upgrade"):
        await store.begin("w")
    assert await store.statistics(NOW) == {}


async def test_labels_are_counted_by_pairs_of_tasks(store: Store, decide: Decide) -> None:
    await store.credit([Grant(decide(), "task", "math", None), Grant(decide(), "task", "math", None)], "w", 1)
    await store.credit([Grant(decide(cell=None), "task", "code", None)], "w", 2)
    assert await store.labels() == {("code", "math"): 2, ("code", "code"): 1}
    assert CELL not in await store.statistics(NOW)


async def test_no_server_is_a_store_error() -> None:
    store = Store("redis://127.0.0.1:1/0")
    for call in (store.ping(), store.begin("w"), store.statistics(NOW), store.find(["x"], NOW), store.labels()):
        with pytest.raises(StoreError, match="store: "):
            await call
    await store.close()


async def test_a_key_of_another_type_gives_way_to_the_next_reward(store: Store, raw: "redis.Redis") -> None:
    raw.set(keys.sums(CELL, epoch_of(NOW)), "a string")
    await store.write(batch("w", 1, ("a", NOW, 1.0)))
    assert (await store.statistics(NOW))[CELL].arms["a"]["latency"].n == pytest.approx(1)
    assert store.corrupt == 1
    raw.delete(keys.CELLS)
    raw.set(keys.CELLS, "a string")
    with pytest.raises(StoreError, match="made anew"):
        await store.statistics(NOW)
    await store.write(batch("w", 2, ("a", NOW, 1.0)))
    assert (await store.statistics(NOW))[CELL].arms["a"]["latency"].n == pytest.approx(2)


async def test_a_completion_of_a_replica_whose_day_has_begun_is_found(store: Store, decide: Decide) -> None:
    tomorrow = decide(at=NOW + 86_400)
    await store.write(Batch("w", 1, [line(tomorrow, "chatcmpl-1")]))
    assert await store.find(["chatcmpl-1"], NOW) == {"chatcmpl-1": tomorrow}


@pytest.mark.parametrize(
    "wrong", [{"n": "0"}, {"n": "-3"}, {"s": "1e9"}, {"q": "-1e9"}, {"n": "1", "s": "2", "q": "2"}]
)
async def test_sums_that_cannot_be_of_rewards_are_replaced_by_the_next_one(
    store: Store, raw: "redis.Redis", wrong: dict[str, str]
) -> None:
    await store.write(batch("w", 1, *[("a", NOW, 0.5)] * 40))
    raw.hset(keys.sums(CELL, epoch_of(NOW)), mapping={f"{kind}|latency|a": value for kind, value in wrong.items()})
    await store.write(batch("w", 2, ("a", NOW, 1.0)))
    assert (await store.statistics(NOW))[CELL].arms["a"]["latency"] == pytest.approx(Tally(1, 1, 1))
    assert store.corrupt == 1
