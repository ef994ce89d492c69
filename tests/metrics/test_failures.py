"""Failures against those of others: an arm that makes the upstream fail stands out, an outage does not."""

import time
from collections.abc import Callable

import pytest
import redis
from hypothesis import given
from hypothesis import strategies as st

from metrics.embedded import EmbeddedServer
from metrics.failures import RECENT, Failures
from metrics.instruments import Instruments
from metrics.ledger import Ledger
from metrics.outcome import DecisionRecord, Outcome
from metrics.store import Store

Decide = Callable[..., DecisionRecord]
Finish = Callable[..., Outcome]
NOW = 1_790_000_000.0


def test_a_failure_counts_less_what_the_others_met(decide: Decide, finish: Finish) -> None:
    failures = Failures()

    def excess(arm: str, failed: bool | None, at: float = NOW, model: str = "m") -> float | None:
        return failures.excess(finish(decide(arm=arm, at=at, model=model), failed=failed))

    assert excess("0.3", False) is None  # nobody to compare with
    assert excess("0.3", True) is None
    assert excess("0.9", True) == 0.5
    assert excess("0.9", True) is None  # nobody new
    assert excess("0.9", None) is None
    assert excess("0.3", False) == -1.0
    assert excess("0.5", True, model="n") is None
    assert excess("0.5", True, at=NOW + 700) is None  # what was met ten minutes ago says nothing
    for _ in range(RECENT):
        excess("0.9", False)
    assert excess("0.5", True) == 1.0


@given(st.lists(st.tuples(st.sampled_from("abc"), st.none() | st.booleans()), max_size=200))
def test_whatever_happens_the_excess_is_in_range(met: list[tuple[str, bool | None]]) -> None:
    failures = Failures()
    for arm, failed in met:
        record = DecisionRecord("d", "t", "k", "m", "u", 1, "c", "p", arm, 0.5, "apply", "p", None, True, NOW)
        ended = Outcome(
            record, "chat", None, 200, None, "ok", 1, 1, None, None, None, None, "", False, False, None, failed
        )
        excess = failures.excess(ended)
        assert excess is None or -1 <= excess <= 1
        assert failed is not None or excess is None


async def test_of_a_failed_answer_nothing_is_learned_but_that_it_failed(
    server: EmbeddedServer, raw: "redis.Redis", decide: Decide, finish: Finish
) -> None:
    store, now = Store(server.url), time.time()
    ledger = Ledger(store, Instruments())
    for arm in ("0.3", "0.9"):
        for _ in range(3):
            record = decide(at=now, arm=arm)
            failed = arm == "0.9"
            ledger.decided_and_done(finish(record, failed=failed, result="error" if failed else "ok", text="x" * 400))
    ledger.decided_and_done(finish(decide(at=now, arm="0.9", effective=False), failed=True, result="error"))
    ledger.decided_and_done(finish(decide(at=now, arm="0.9"), result="cancelled"))
    await ledger._tick()
    arms = (await ledger.statistics())[decide().cell or ""].arms
    assert set(arms["0.9"]) == {"failed"}
    assert arms["0.9"]["failed"].n == pytest.approx(0.5, rel=1e-3)  # one comparison, counted on both sides
    assert arms["0.9"]["failed"].mean == 0.0
    assert "truncated" in arms["0.3"]
    assert await store.find([decide(at=now).id], now) == {}
    await ledger.close()
