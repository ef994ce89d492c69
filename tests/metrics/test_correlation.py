"""What observed signals are worth: measured beside explicit ones, within cells, counted once, and never taken for an arm."""

import math
import random
import time
from collections.abc import Callable, Sequence
from dataclasses import replace

import numpy as np
import pytest
import redis
from hypothesis import given
from hypothesis import strategies as st

from metrics.balance import balanced
from metrics.correlation import FLATTEST, OWN, PROOF, Moments, comparable, moments, paired, pooled, weighed, worth
from metrics.credits import Grant
from metrics.decisions import line
from metrics.embedded import EmbeddedServer
from metrics.episodes import Episode
from metrics.instruments import Instruments
from metrics.ledger import Ledger
from metrics.outcome import DecisionRecord, Feedback, Outcome
from metrics.rewards import combine
from metrics.signals import CONTROLS, SIGNALS
from metrics.store import Batch, Store
from metrics.tally import PAIRS, CellStatistics, Tally, Worth, growth

Decide = Callable[..., DecisionRecord]
Finish = Callable[..., Outcome]
NOW = 1_790_000_000.0
CELL = "team-a|code|m|1"
units = st.floats(0, 1)


def added(pairs: Sequence[tuple[float, float]], signal: str = "repetition") -> dict[str, Tally]:
    """The sums of pairs (observed, explicit), as a cell reads them just then."""
    sums: dict[str, Tally] = {}
    for x, y in pairs:
        for _, name, tally in paired(NOW, [(signal, x)], y):
            sums[name] = sums.get(name, Tally()).plus(tally, 1 / growth(NOW))
    return sums


def test_moments_are_those_of_the_pairs() -> None:
    rng = np.random.default_rng(4)
    x = rng.random(300)
    y = np.clip(0.5 * x + 0.3 * rng.random(300), 0, 1)
    found = moments(added(list(zip(x.tolist(), y.tolist(), strict=True))), "repetition")
    assert found.n == pytest.approx(300)
    assert found.r == pytest.approx(float(np.corrcoef(x, y)[0, 1]))
    assert found.interval is not None
    low, high = found.interval
    assert math.atanh(high) - math.atanh(low) == pytest.approx(2 * 1.645 / math.sqrt(297))


def test_how_cells_are_rated_says_nothing_only_what_moves_within_them() -> None:
    """A model that is rated better, and repeats itself less for reasons of its own."""
    rng = random.Random(3)
    good = CellStatistics(pairs=added([(0.9 + 0.1 * rng.random(), 0.9 + 0.1 * rng.random()) for _ in range(400)]))
    bad = CellStatistics(pairs=added([(0.1 * rng.random(), 0.1 * rng.random()) for _ in range(400)]))
    assert abs(pooled([good, bad], "repetition").r or 0) < 0.1
    assert pooled([good, bad], "repetition").cells == 2


@given(st.lists(st.tuples(units, units), max_size=40), st.lists(st.tuples(units, units), max_size=40))
def test_whatever_is_paired_the_numbers_can_be_used(
    one: list[tuple[float, float]], other: list[tuple[float, float]]
) -> None:
    found = pooled([CellStatistics(pairs=added(one)), CellStatistics(pairs=added(other))], "repetition")
    assert found.r is None or -1 <= found.r <= 1
    if found.interval is not None:
        low, high = found.interval
        assert -1 <= low <= (found.r or 0) + 1e-6
        assert (found.r or 0) - 1e-6 <= high <= 1
    for own in (1.0, 0.5, 0.2):
        assert 0 <= worth(found, own).weight <= min(2 * own, 1)


@given(st.floats(0, 1e6), st.floats(-1, 1), st.floats(0.5, 2), st.floats(0.05, 1))
def test_a_weight_goes_from_the_tables_to_the_measured_one_in_any_units(
    n: float, r: float, scale: float, own: float
) -> None:
    found = Moments(n, 1.0 * max(n, 1), 1.0 * max(n, 1), r * max(n, 1), 1)
    measured = min(max(r, 0) ** 2, 2 * own, 1)
    one = worth(found, own)
    assert -1e-9 <= one.weight <= max(own, measured) + 1e-9
    proven = found.interval is not None and found.interval[0] > 0 and n >= PROOF
    if proven and min(r, r * scale) > 1.01 * FLATTEST:
        assert one.weight == pytest.approx((OWN * own + n * measured) / (OWN + n))
        assert one.slope == pytest.approx(r)
        scaled = Moments(n, found.xx * scale * scale, found.yy, found.xy * scale, 1)
        assert worth(scaled, own).weight == pytest.approx(one.weight)
    if n >= PROOF and not proven:
        assert one.raw == pytest.approx(own * OWN / (OWN + n))
        assert one.told == 0


def test_a_signal_that_moves_with_ratings_gains_one_that_does_not_loses_and_one_against_them_counts_nothing() -> None:
    rng = random.Random(1)
    ratings = [rng.random() for _ in range(20_000)]
    close = [(min(max(y + 0.1 * rng.gauss(0, 1), 0), 1), y) for y in ratings]
    others = ([(rng.random(), y) for y in ratings], [(1 - y, y) for y in ratings], [(1.0, y) for y in ratings])
    assert worth(moments(added(close), "repetition"), 0.5).weight > 0.9 * 0.8
    assert all(worth(moments(added(pairs), "repetition"), 0.5).weight < 0.01 for pairs in others)
    assert worth(moments(added([(1.0, y) for y in ratings[:20]]), "repetition"), 0.5) == Worth(0.5)


def test_a_weight_is_what_a_signal_is_worth_in_labels() -> None:
    """Means of `n` observed rewards tell two arms apart as well as means of `weight x n` labels: the errors of both estimates
    of one difference have that ratio."""
    rng = np.random.default_rng(7)
    y = (rng.random(200_000) < 0.6).astype(float)
    x = np.where(rng.random(200_000) < 0.4, y, rng.random(200_000) < 0.6).astype(float)  # follows y four times in ten
    slope = np.cov(x, y)[0, 1] / y.var()
    found = moments(added(list(zip(x[:20_000].tolist(), y[:20_000].tolist(), strict=True))), "repetition")
    assert (found.r or 0) ** 2 == pytest.approx(slope**2 * y.var() / x.var(), abs=0.02)
    assert worth(found, 0.5).weight == pytest.approx(0.16, abs=0.02)


async def test_a_pair_counts_once_with_its_credit(store: Store, decide: Decide) -> None:
    one = decide(observed=(("truncated", 0.0), ("repetition", 0.5)))
    grant = Grant(one, "score", 0.8, 0.8, comparable(one, NOW))
    assert [await store.credit([grant], "w", n) for n in (1, 2)] == [[True], [False]]
    cell = (await store.statistics(NOW))[CELL]
    assert list(cell.arms) == ["0.3"]
    assert cell.pairs["repetition:x"] == pytest.approx(Tally(1, 0.5, 0.25))
    assert cell.pairs["repetition:y"] == pytest.approx(Tally(1, 0.8, 0.64))
    assert cell.pairs["repetition:xy"] == pytest.approx(Tally(1, 0.4, 0.16))
    assert cell.pairs["truncated:xy"] == pytest.approx(Tally(1, 0, 0))
    assert await store.discount(CELL, 0.1, NOW, 60)
    assert (await store.statistics(NOW))[CELL].pairs["repetition:x"].n == pytest.approx(0.1)


async def test_the_pairs_of_an_episode_weigh_one_together(store: Store, decide: Decide) -> None:
    made = tuple(decide(session="s", arm=arm, observed=(("truncated", 1.0),)) for arm in ("0.3", "0.5", "0.5"))
    one = Episode("team-a", "s", "success", 0.0, NOW, 60.0, "t", made)
    assert [await store.credit([one], "w", n) for n in (1, 2)] == [[True], [False]]
    cell = (await store.statistics(NOW))[CELL]
    assert cell.pairs["truncated:x"] == pytest.approx(Tally(1, 1, 1))
    assert cell.arms["0.5"]["success"].n == pytest.approx(2 / 3)


async def test_feedback_is_held_against_what_the_answer_showed_also_before_that_was_written(
    server: EmbeddedServer, raw: "redis.Redis", decide: Decide, finish: Finish
) -> None:
    here, there, now = Ledger(Store(server.url), Instruments()), Ledger(Store(server.url), Instruments()), time.time()
    first, second = decide(at=now), decide(at=now)
    for one in (first, second):
        here.decided_and_done(finish(one, finish="length"))
    assert await here.feedback([Feedback(first.id, "rating", 1, now)]) == ["credited"]
    await here._tick()
    assert await there.feedback([Feedback(second.id, "rating", 5, now)]) == ["credited"]
    pairs = (await there.statistics())[CELL].pairs
    assert pairs["truncated:x"] == pytest.approx(Tally(2, 0, 0), rel=1e-3)
    assert pairs["truncated:y"] == pytest.approx(Tally(2, 1, 1), rel=1e-3)
    for ledger in (here, there):
        await ledger.close()


async def test_regeneration_is_compared_when_its_ten_minutes_are_over(
    server: EmbeddedServer, raw: "redis.Redis", decide: Decide, finish: Finish
) -> None:
    ledger, now = Ledger(Store(server.url), Instruments()), time.time()
    liked, again = decide(at=now - 700, session="s"), decide(at=now - 650, session="t")
    for one in (liked, again, decide(at=now - 640, session="t")):
        ledger.decided_and_done(finish(one, prompt=one.session))
    young = decide(at=now - 60, session="u")
    ledger.decided_and_done(finish(young, prompt="u"))
    await ledger._tick()
    await ledger.close()
    other = Ledger(Store(server.url), Instruments())
    said = [Feedback(i.id, "thumbs", up, now) for i, up in ((liked, True), (again, False), (young, True))]
    assert await other.feedback(said) == ["credited"] * 3
    pairs = (await other.statistics())[CELL].pairs
    assert pairs["regenerate:x"] == pytest.approx(Tally(2, 1, 1), rel=2e-3)
    assert pairs["regenerate:xy"] == pytest.approx(Tally(2, 1, 1), rel=2e-3)
    await other.close()


async def test_what_the_classifiers_said_later_keeps_what_the_answer_showed(
    server: EmbeddedServer, raw: "redis.Redis", decide: Decide, finish: Finish
) -> None:
    ledger, store, now = Ledger(Store(server.url), Instruments()), Store(server.url), time.time()
    before, after = decide(at=now, live="code@a"), decide(at=now, live="code@a")
    for one in (before, after):
        ledger.decided_and_done(finish(one))
    ledger.reviewed(decide(id=before.id, at=now, shadow="math@b"), None)
    await ledger._tick()
    ledger.reviewed(decide(id=after.id, at=now, shadow="math@b"), None)
    await ledger._tick()
    found = await store.find([before.id, after.id], now)
    assert [(r.shadow, r.observed) for r in found.values()] == [("math@b", (("truncated", 1.0),))] * 2
    await ledger.close()
    await store.close()


async def test_measured_weights_are_read_with_the_cells_of_a_task_and_learned_with(store: Store) -> None:
    rng = random.Random(2)
    useless = [(float(rng.random() < 0.5), float(rng.random() < 0.5)) for _ in range(3_000)]
    cells = {f"t|{task}|m|direct|1|temperature": CellStatistics() for task in ("code", "math")}
    pairs = added(useless, "repetition") | added(useless, "truncated")
    cells["t|code|n|direct|1|temperature"] = CellStatistics(pairs=pairs)
    found = weighed(cells)
    assert found["t|math|m|direct|1|temperature"].weights == {}
    weights = found["t|code|m|direct|1|temperature"].weights  # of another model, but the same task
    assert weights.keys() == {"repetition"}  # a guardrail is shown, and rewards nothing
    assert weights["repetition"].weight < 0.02
    cell = CellStatistics(arms={"a": {"rating": Tally(10, 8, 8), "repetition": Tally(100, 10, 10)}})
    assert combine(balanced(cell)["a"], {"quality": 1.0}).mean < 0.5
    told = combine(balanced(replace(cell, weights=weights))["a"], {"quality": 1.0})
    assert told.mean > 0.7
    assert told.n == pytest.approx(10 + 100 * weights["repetition"].weight)


async def test_no_arm_is_called_as_the_pairs_are(store: Store, decide: Decide) -> None:
    one = decide(observed=(("truncated", 1.0),))
    await store.write(Batch("w", 1, [line(one, None)], cells={CELL: {}}))
    await store.credit([Grant(one, "score", 0.5, 0.5, one.observed or ())], "w", 2)
    cell = (await store.statistics(NOW))[CELL]
    assert PAIRS not in cell.arms
    assert PAIRS in cell.sums
    assert CellStatistics.of({}, cell.sums).pairs == cell.pairs
    assert set(CONTROLS) == {"json_valid", "repetition", "truncated", "regenerate"}
    assert all(":" not in name for name in SIGNALS)
