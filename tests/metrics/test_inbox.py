"""The inbox: requests get their turn, rewards are the same however they are added up, and little is kept."""

import asyncio
import time
from collections.abc import Callable

import pytest

from metrics import inbox as module
from metrics.earnings import Earnings
from metrics.inbox import Inbox
from metrics.instruments import Instruments
from metrics.outbox import Outbox, Recent
from metrics.outcome import DecisionRecord, Outcome
from metrics.records import pack
from metrics.tally import Slot, Tally, reward

Decide = Callable[..., DecisionRecord]
Finish = Callable[..., Outcome]


def outbox(limit: int = 1_000) -> Outbox:
    return Outbox("w", limit, lambda kind, count: None)


async def test_requests_get_their_turn_while_answers_are_looked_at(
    decide: Decide, finish: Finish, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(module, "_LEAST", 0.0)
    monkeypatch.setattr(module, "_SHARE", 0.0)
    inbox = Inbox(Instruments(), outbox(), Recent(1_000))
    for _ in range(20):
        inbox.take(finish(decide()))
    turns = []

    async def request() -> None:
        while len(inbox):
            turns.append(len(inbox))
            await asyncio.sleep(0)

    await asyncio.gather(inbox.look(), request())
    assert turns == list(range(19, 0, -1))


def test_rewards_added_up_first_are_those_that_one_by_one_would_be_added(decide: Decide) -> None:
    earnings, instruments, box = Earnings(), Instruments(), outbox()
    expected: dict[Slot, Tally] = {}
    now = time.time()
    for n in range(60):
        record = decide(at=now + n, arm=str(n % 3), model=f"m{n % 2}")
        rewards = {"latency": n / 60, "regenerate": 1.0} if n % 2 else {"latency": 0.5}
        earnings.add(record, rewards, 0.75 if n % 5 else None)
        given = [(signal, value, 1.0) for signal, value in rewards.items()] + [("failed", 0.75, 0.5)] * bool(n % 5)
        for signal, value, part in given:
            slot, tally = reward("team-a|code|m|1", record.arm or "", signal, record.at, value, part)
            expected[slot] = expected.get(slot, Tally()).plus(tally)
    earnings.add(decide(at=now, effective=False), {"latency": 1.0})
    earnings.add(decide(at=now, cell=None), {"latency": 1.0})
    for _ in range(2):  # what was passed on is not passed on again
        earnings.pass_on(box, instruments)
    batch = box.next_batch()
    assert batch is not None
    assert batch.sums.keys() == expected.keys()
    for slot, tally in expected.items():
        assert batch.sums[slot] == pytest.approx(tally)
    page = instruments.render()[0].decode()
    rows = [line for line in page.splitlines() if line.startswith("setpoint_reward_count")]
    assert sum(float(row.rpartition(" ")[2]) for row in rows) == 60 + 48
    assert 'signal="regenerate"' not in page


def test_rewards_that_find_no_room_are_counted_one_by_one(decide: Decide) -> None:
    shed: list[tuple[str, int]] = []
    box, earnings = Outbox("w", 1, lambda kind, count: shed.append((kind, count))), Earnings()
    for arm in ("0.3", "0.5", "0.5"):
        earnings.add(decide(arm=arm), {"latency": 0.5})
    earnings.pass_on(box, Instruments())
    assert shed == [("rewards", 2)]


def test_the_latest_decisions_are_known_by_both_ids_and_older_ones_are_dropped(decide: Decide) -> None:
    recent, made = Recent(20), [decide(session="s", odds={"0.3": 1.0}) for _ in range(100)]
    for n, one in enumerate(made):
        recent.remember(one.id, pack(one), f"c{n}")
        assert recent.get(f"c{n}") == recent.get(one.id) == one
    known = [one for n, one in enumerate(made) if recent.get(one.id) and recent.get(f"c{n}")]
    assert 5 <= len(known) <= 10
    assert known == made[-len(known) :]
    assert recent.get("c0") is recent.get("nobody") is None


async def test_what_the_classifiers_say_of_a_decision_that_waits_is_written_with_it(
    decide: Decide, finish: Finish
) -> None:
    box, recent = outbox(), Recent(10)
    inbox, one = Inbox(Instruments(), box, recent), decide(live="code@a")
    inbox.take(finish(one, completion="c"))
    inbox.reviewed(decide(id=one.id, shadow="math@b"), "c", write=True)
    await inbox.look()
    batch = box.next_batch()
    assert batch is not None
    assert [written[0] for written in batch.decisions] == [one.id]
    found = inbox.get("c")
    assert found is not None
    assert (found.shadow, found.observed) == ("math@b", (("truncated", 1.0),))
