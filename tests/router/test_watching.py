"""Watching over learning: what is found, what follows from it, and that nothing in a store can stop it."""

from pathlib import Path
from time import time
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from metrics.embedded import start_embedded
from metrics.instruments import Instruments
from metrics.ledger import Ledger
from metrics.store import Batch, Store
from metrics.tally import CellStatistics, Sums, Tally, reward
from policies.allocation import Allocations
from policies.policy import Adaptation, Policy
from router.allocating import allocations
from router.watching import Finding, Watch, act

CELL = "*|code|m|direct|1|temperature"
META = {"parameter": "temperature", "grid": ["0.2", "0.4", "0.6"], "baseline": "0.4", "task": "code"}
POLICY = Policy("p", "d", adaptation=Adaptation(mode="apply"))

SERVED = Allocations("1", {CELL: {"0.2": 0.0, "0.4": 0.4, "0.6": 0.6}})
LEFT = Allocations("2", {CELL: {"0.2": 0.0, "0.4": 1.0, "0.6": 0.0}})


def tally(n: float, mean: float) -> Tally:
    return Tally(n, n * mean, n * mean)


def cell(
    signal: str = "thumbs", changed_at: float | None = None, rolled_back: str = "", **arms: Tally
) -> CellStatistics:
    by = {"0." + name[1:]: {signal: t} for name, t in arms.items()}
    return CellStatistics(META, by, changed_at, rolled_back)


def test_what_is_served_and_worse_than_the_policys_value_is_a_rollback() -> None:
    worse = {CELL: cell(a4=tally(400, 0.8), a6=tally(400, 0.5))}
    assert Watch().look(POLICY, worse, SERVED, 0.0) == [Finding(CELL, "reward")]
    assert Watch().look(POLICY, worse, LEFT, 0.0) == []
    assert Watch().look(Policy("p", "d"), worse, SERVED, 0.0) == []  # observed only
    assert Watch().look(POLICY, {CELL: cell(a4=tally(400, 0.8), a6=tally(400, 0.8))}, SERVED, 0.0) == []
    again = {CELL: cell(rolled_back="reward", a4=tally(400, 0.8), a6=tally(400, 0.5))}
    assert Watch().look(POLICY, again, SERVED, 0.0) == []


def test_arms_that_learning_itself_has_left_are_no_rollback() -> None:
    worse = {CELL: cell(a2=tally(900, 0.4), a4=tally(900, 0.8), a6=tally(900, 0.5))}
    assert Watch().look(POLICY, worse, allocations(POLICY, worse), 0.0) == []


def test_a_guarded_signal_is_a_cause_of_its_own() -> None:
    refused = {CELL: cell("refusal", a4=tally(400, 1.0), a6=tally(400, 0.8))}
    assert Watch().look(POLICY, refused, SERVED, 0.0) == [Finding(CELL, "refusal")]


def test_a_world_that_changes_is_found_and_after_the_mark_forgotten() -> None:
    watch = Watch()
    assert watch.look(POLICY, {CELL: cell(a4=tally(600, 0.8))}, LEFT, 0.0) == []
    changed = {CELL: cell(a4=Tally(700, 0.8 * 600 + 20, 0.8 * 600 + 20))}
    assert watch.look(POLICY, changed, LEFT, 1.0) == [Finding(CELL)]
    marked = {CELL: cell(changed_at=1.0, a4=Tally(70, 50, 50))}
    assert watch.look(POLICY, marked, LEFT, 2.0) == []


def test_a_cell_that_is_rolled_back_gets_the_policys_value_alone() -> None:
    seen = cell(rolled_back="refusal", a2=tally(300, 0.9), a4=tally(300, 0.5))
    assert allocations(POLICY, {CELL: seen}).cells[CELL] == {"0.2": 0.0, "0.4": 1.0, "0.6": 0.0}
    free = cell(a2=tally(300, 0.9), a4=tally(300, 0.5))
    assert allocations(POLICY, {CELL: free}).cells[CELL]["0.4"] < 0.2


async def test_what_is_found_is_marked_for_all_replicas(tmp_path: Path) -> None:
    server = start_embedded(tmp_path)
    store = Store(server.url)
    ledger = Ledger(store, Instruments())
    try:
        sums = Sums(10)
        for value in (0.0, 1.0):
            sums.add(*reward(CELL, "0.6", "thumbs", time(), value))
        await store.write(Batch("w", 1, sums=sums.take(), cells={CELL: META}))
        await act(ledger, [Finding(CELL, "refusal"), Finding(CELL), Finding(CELL)])
        seen = (await ledger.statistics())[CELL]
        assert seen.rolled_back == "refusal"
        assert seen.changed_at is not None
        assert seen.arms["0.6"]["thumbs"].n == pytest.approx(0.2, rel=1e-3)
    finally:
        server.stop()
    await act(ledger, [Finding(CELL, "refusal"), Finding(CELL)])  # the store is away: nothing is raised
    await ledger.close()


nonsense: st.SearchStrategy[Any] = st.recursive(
    st.none() | st.floats() | st.text(max_size=5) | st.booleans(), lambda x: st.lists(x, max_size=3), max_leaves=5
)
metas = st.dictionaries(st.sampled_from(["grid", "baseline", "parameter", "task", "x"]), nonsense, max_size=5)
sums = st.builds(Tally, *[st.floats(0, 1e9) for _ in range(3)])


@given(
    st.sampled_from([CELL, "a|b", ""]),
    metas,
    st.dictionaries(st.text(max_size=3), st.dictionaries(st.text(max_size=8), sums)),
)
def test_whatever_a_store_says_nothing_is_raised(name: str, meta: dict[str, Any], arms: Any) -> None:
    for said in (meta, META | meta, META):
        found = {name: CellStatistics(said, arms)}
        Watch().look(POLICY, found, allocations(POLICY, found), 0.0)


def test_a_change_of_what_people_say_is_found_behind_what_is_observed_of_every_answer() -> None:
    def rated(good: float, labels: float) -> CellStatistics:
        answers = 20 * labels
        return CellStatistics(
            META, {"0.4": {"thumbs": Tally(labels, good, good), "repetition": Tally(answers, answers, answers)}}
        )

    watch = Watch()
    assert watch.look(POLICY, {CELL: rated(480, 600)}, LEFT, 0.0) == []
    assert watch.look(POLICY, {CELL: rated(500, 660)}, LEFT, 1.0) == [Finding(CELL)]
