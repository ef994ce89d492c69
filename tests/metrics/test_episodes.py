"""Feedback about a whole session: one label in each cell, once, on any replica, and only what came before it."""

import asyncio
import random
import time
from collections.abc import Callable
from typing import Any

import pytest
import redis
from hypothesis import given
from hypothesis import strategies as st

from metrics import keys
from metrics.decisions import line
from metrics.embedded import EmbeddedServer
from metrics.episodes import DUE, MOST, Episode, Opened, shared
from metrics.errors import SignalError
from metrics.instruments import Instruments
from metrics.ledger import Ledger
from metrics.outcome import DecisionRecord, Feedback, Outcome
from metrics.store import Batch, Store
from metrics.tally import Tally, decay

Decide = Callable[..., DecisionRecord]
Finish = Callable[..., Outcome]
NOW = 1_790_000_000.0
CELL = "team-a|code|m|1"
OTHER = "team-a|math|m|1"


def episode(**changes: Any) -> Episode:
    given = {"tenant": "team-a", "session": "s", "signal": "success", "reward": 1.0, "at": NOW, "window": 3600.0}
    return Episode(**(given | {"token": "t"} | changes))  # type: ignore[arg-type] # of the right types above


def said(at: float, session: str = "s", tenant: str = "team-a", value: float | bool = True) -> Feedback:
    return Feedback("", "success", value, at, tenant, session)


class Clock:
    """Time that a test moves."""

    def __init__(self) -> None:
        self.now = time.time()

    def __call__(self) -> float:
        return self.now


@pytest.fixture
def replica(server: EmbeddedServer, raw: "redis.Redis") -> Any:
    """Makes ledgers of their own on one store, all by one clock."""
    clock = Clock()
    return clock, lambda: Ledger(Store(server.url), Instruments(), clock=clock, steady=clock)


async def flush(ledger: Ledger) -> None:
    """One turn of the background task."""
    await ledger._tick()


@given(st.lists(st.tuples(st.sampled_from([CELL, OTHER]), st.sampled_from("abc"), st.floats(0, 3000)), max_size=30))
def test_an_episode_is_one_label_in_each_cell_whatever_it_decided(made: list[tuple[str, str, float]]) -> None:
    records = tuple(
        DecisionRecord(f"dec_{n}", "t", "k", "m", "u", 1, cell, "temperature", arm, 0.5, "apply", "p", "s", True, NOW - ago)
        for n, (cell, arm, ago) in enumerate(made)
    )  # fmt: skip
    parts = shared(episode(reward=0.5, decisions=records))
    assert {cell for cell, _ in parts} == {cell for cell, _, _ in made}
    for (_, epoch), arms in parts.items():
        n, s, q = (sum(t[i] for _, _, t in arms) * decay(epoch, NOW) for i in range(3))
        assert (n, s, q) == pytest.approx((1, 0.5, 0.25), rel=0.01)  # 3,000 s of a half-life of a week


def test_an_episode_concerns_what_learns_and_came_before(decide: Decide) -> None:
    one = episode()
    assert one.concerns(decide(at=NOW - 3600))
    assert not one.concerns(decide(at=NOW - 3601))
    assert not one.concerns(decide(at=NOW + 5))
    assert not one.concerns(decide(effective=False))
    assert not one.concerns(decide(cell=None, arm=None))


@pytest.mark.parametrize("reply", [["no json"], ["[1]"], ["7"], [None], ['["x", 1, "t"]'], ["[1, null, 2]"]])
def test_a_claim_that_makes_no_sense_is_none(reply: list[Any]) -> None:
    assert Opened.read(reply) is None


async def test_a_reward_is_shared_by_the_arms_and_counts_once(replica: Any, decide: Decide, finish: Finish) -> None:
    clock, make = replica
    a, b = make(), make()
    at = clock.now
    for arm in ("0.3", "0.3", "0.5", "0.7"):
        a.decided_and_done(finish(decide(session="s", at=at, arm=arm)))
    b.decided_and_done(finish(decide(session="s", at=at, cell=OTHER, task="math")))
    b.decided_and_done(finish(decide(session="s", at=at, effective=False)))
    b.decided_and_done(finish(decide(session="s", at=at, tenant="team-b")))
    await flush(a)
    assert await a.feedback([said(at)]) == ["queued"]  # b has not written yet
    assert await a.feedback([said(at)]) == ["duplicate"]
    await flush(b)
    assert await b.feedback([said(at, value=False)]) == ["duplicate"]
    await flush(a)
    assert "success" not in (await b.statistics())[CELL].arms["0.3"]
    clock.now += DUE
    for ledger in (a, b, a):
        await flush(ledger)
    cells = await b.statistics()
    arms = cells[CELL].arms
    assert {arm: arms[arm]["success"] for arm in arms} == {
        "0.3": pytest.approx(Tally(0.5, 0.5, 0.5), rel=1e-3),
        "0.5": pytest.approx(Tally(0.25, 0.25, 0.25), rel=1e-3),
        "0.7": pytest.approx(Tally(0.25, 0.25, 0.25), rel=1e-3),
    }
    assert cells[OTHER].arms["0.3"]["success"] == pytest.approx(Tally(1, 1, 1), rel=1e-3)
    assert await a.feedback([said(clock.now, tenant="team-c")]) == ["queued"]  # may turn up
    assert await b.feedback([said(clock.now)]) == ["duplicate"]
    clock.now += 60
    await flush(a)
    page = a._instruments.render()[0].decode()
    assert 'feedback_total{result="credited",signal="success"} 1.0' in page
    assert 'feedback_total{result="unknown",signal="success"} 1.0' in page
    for ledger in (a, b):
        await ledger.close()


async def test_replicas_that_are_told_at_once_credit_one(replica: Any, decide: Decide, finish: Finish) -> None:
    clock, make = replica
    ledgers = [make() for _ in range(3)]
    for n, ledger in enumerate(ledgers):
        for _ in range(4):
            ledger.decided_and_done(finish(decide(session="s", at=clock.now, arm=f"0.{n}")))
    items = [said(clock.now, value=v) for v in (True, False)] * 3
    random.Random(2).shuffle(items)
    await asyncio.gather(*(ledger.feedback(items) for ledger in ledgers))
    for _ in range(3):
        clock.now += 1
        await asyncio.gather(*(flush(ledger) for ledger in ledgers))
    arms = (await ledgers[0].statistics())[CELL].arms
    assert sum(signals["success"].n for signals in arms.values()) == pytest.approx(1, rel=1e-3)
    assert len({round(signals["success"].mean) for signals in arms.values()}) == 1  # one of the two, and not a mixture
    for ledger in ledgers:
        await ledger.close()


async def test_what_one_replica_began_and_did_not_end_is_ended_by_another(
    replica: Any, decide: Decide, finish: Finish
) -> None:
    clock, make = replica
    a, b = make(), make()
    a.decided_and_done(finish(decide(session="s", at=clock.now)))
    await flush(a)
    assert await a.feedback([said(clock.now)]) == ["queued"]
    await a.close()  # and is never heard of again
    clock.now += DUE
    assert await b.feedback([said(clock.now, value=False)]) == ["duplicate"]
    assert (await b.statistics())[CELL].arms["0.3"]["success"] == pytest.approx(Tally(1, 1, 1), rel=1e-3)
    await b.close()


async def test_a_session_without_anything_to_learn_is_known_and_one_of_long_ago_is_late(
    store: Store, decide: Decide
) -> None:
    old, idle = decide(session="old", at=NOW - 9_000), decide(session="idle", cell=None, arm=None)
    await store.write(Batch("w", 1, [line(old, None), line(idle, None)]))
    asked = [episode(session=name) for name in ("old", "idle", "other")]
    assert [o.state for o in await store.open(asked)] == ["late", "open", "unknown"]
    again = (await store.open([episode(session="old", window=10_000.0)]))[0]
    assert (again.state, again.ids) == ("open", (old.id,))  # being late has claimed nothing
    assert await store.credit([episode(session="idle")], "w", 2) == [True]


async def test_decisions_after_the_word_do_not_share_in_it(replica: Any, decide: Decide, finish: Finish) -> None:
    clock, make = replica
    ledger = make()
    ledger.decided_and_done(finish(decide(session="s", at=clock.now)))
    await flush(ledger)
    assert await ledger.feedback([said(clock.now)]) == ["queued"]
    clock.now += 60
    ledger.decided_and_done(finish(decide(session="s", at=clock.now, arm="0.9")))
    await flush(ledger)
    arms = (await ledger.statistics())[CELL].arms
    assert arms["0.3"]["success"].n == pytest.approx(1, rel=1e-3)
    assert "success" not in arms["0.9"]
    await ledger.close()


async def test_a_session_is_bounded_and_ends(store: Store, raw: "redis.Redis", decide: Decide) -> None:
    made = [line(decide(session="s", at=NOW - 1000 + n), None) for n in range(MOST + 50)]
    await store.write(Batch("w", 1, made))
    key = keys.session("team-a", "s")
    assert raw.zrange(key, 0, -1) == [decision for decision, *_ in made[50:]]
    assert 0 < raw.ttl(key) <= store.window
    (opened,) = await store.open([episode()])
    assert len(opened.ids) == MOST
    assert raw.ttl(keys.episode("team-a", "s", "success")) > 0


async def test_all_keys_of_a_step_share_one_hash_tag() -> None:
    def tag(key: str) -> str:
        return key[key.index("{") + 1 : key.index("}")]

    assert tag(keys.session("t|{x}", "s")) == tag(keys.episode("t|{x}", "s", "success"))
    assert tag(keys.earned("a|{b}", 3, "t", "s", "x")) == tag(keys.sums("a|{b}", 3))
    assert keys.session("a", "b|c") != keys.session("a|b", "c")


async def test_while_the_store_is_away_episodes_wait(decide: Decide) -> None:
    ledger = Ledger(Store("redis://127.0.0.1:1"), Instruments())
    assert await ledger.feedback([said(time.time()), said(time.time())]) == ["queued", "queued"]
    assert ledger.state.buffered == 2
    with pytest.raises(SignalError, match="by its id"):
        await ledger.feedback([Feedback("", "task", "code", NOW, "t", "s")])
    await ledger.close()


async def test_a_claim_of_another_type_is_counted_and_nothing_is_raised(
    store: Store, raw: "redis.Redis", decide: Decide
) -> None:
    raw.set(keys.session("team-a", "s"), "x")
    raw.hset(keys.episode("team-a", "t", "success"), "x", "y")
    raw.set(keys.episode("team-a", "u", "success"), "x")
    asked = [episode(session=name) for name in "stu"]
    assert [o.state for o in await store.open(asked)] == ["unknown"] * 3
    assert store.corrupt >= 2


async def test_many_sessions_at_once_take_turns(replica: Any, decide: Decide, finish: Finish) -> None:
    clock, make = replica
    ledger = make()
    for n in range(130):
        ledger.decided_and_done(finish(decide(session=f"s{n}", at=clock.now)))
    await flush(ledger)
    assert set(await ledger.feedback([said(clock.now, f"s{n}") for n in range(130)])) == {"queued"}
    for _ in range(8):
        clock.now += DUE
        await flush(ledger)
    assert ledger.state.buffered == 0
    assert (await ledger.statistics())[CELL].arms["0.3"]["success"].n == pytest.approx(130, rel=1e-3)
    await ledger.close()
