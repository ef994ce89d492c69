"""From statistics to allocations: what is held gets the policy's own value and nothing else."""

from collections.abc import Mapping
from dataclasses import replace

import pytest

from metrics.instruments import Instruments
from metrics.tally import CellStatistics, Tally, Worth
from policies.allocation import Allocations
from policies.loading import parse
from policies.policy import Policy
from router.allocating import allocations
from router.learning import served, show

CELL = "*|code|m|direct|1|temperature"
OTHER = "*|math|m|direct|1|temperature"
META = {"parameter": "temperature", "grid": ["0.1", "0.3", "0.5"], "baseline": "0.3", "task": "code"}
POLICY = parse({"p.yaml": "version: 1\nadapt: {mode: apply, arms: {temperature: [0.1, 0.3, 0.5]}}"}, "p")
EARNED = {"0.3": {"rating": Tally(200, 60, 30)}, "0.5": {"rating": Tally(200, 180, 170)}}


def test_a_better_arm_gets_the_traffic_until_its_cell_is_rolled_back() -> None:
    free = allocations(POLICY, {CELL: CellStatistics(META, EARNED), OTHER: CellStatistics(META, EARNED)})
    assert free.cells[CELL]["0.5"] > 0.5
    held = CellStatistics(META, EARNED, rolled_back="reward fell", rolled_back_until=1e9)
    table = allocations(POLICY, {CELL: held, OTHER: CellStatistics(META, EARNED)})
    assert table.cells[CELL] == {"0.1": 0.0, "0.3": 1.0, "0.5": 0.0}
    assert table.cells[OTHER] == free.cells[OTHER]
    assert table.version != free.version
    assert served(POLICY, held, table.cells[CELL])["0.3"] == 1.0


def test_while_paused_every_cell_gets_the_policys_own_value() -> None:
    paused = {cell: CellStatistics(META, EARNED, paused=True) for cell in (CELL, OTHER)}
    assert {frozenset(p.items()) for p in allocations(POLICY, paused).cells.values()} == {
        frozenset({("0.1", 0.0), ("0.3", 1.0), ("0.5", 0.0)})
    }


@pytest.mark.parametrize("meta", [{}, META | {"baseline": "0.9"}, META | {"grid": 7}])
def test_a_held_cell_that_makes_no_sense_has_no_allocation(meta: dict[str, object]) -> None:
    assert CELL not in allocations(POLICY, {CELL: CellStatistics(meta, {}, paused=True)}).cells


TWO = parse(
    {"p.yaml": "version: 1\nadapt: {mode: apply, arms: {temperature: [0.1, 0.3, 0.5], top_p: [0.5, 0.9]}}"}, "p"
)
BESIDE = "*|code|m|direct|1|top_p@temperature=0.5"
SECOND = CellStatistics(
    {"parameter": "top_p", "grid": ["0.5", "0.9"], "baseline": "0.9", "task": "code", "beside": {"temperature": "0.5"}},
    {"0.9": {"rating": Tally(100, 50, 50)}},
)
CLOSE = {"0.3": {"rating": Tally(100, 60, 60)}, "0.5": {"rating": Tally(100, 65, 65)}}


def test_a_cell_settles_where_it_goes_on_to_another_parameter() -> None:
    seen = {CELL: CellStatistics(META, EARNED)}
    assert allocations(TWO, seen).settled == {CELL: "0.5"}
    assert allocations(POLICY, seen).settled == {}
    held = {CELL: CellStatistics(META, EARNED, rolled_back="reward fell")}
    assert allocations(TWO, held, Allocations("1", {}, {CELL: "0.5"})).settled == {}
    paused = {CELL: CellStatistics(META, EARNED, paused=True)}
    assert allocations(TWO, paused, Allocations("1", {}, {CELL: "0.5"})).settled == {}


def test_what_had_settled_stays_so_through_a_weak_spell_and_after_a_restart() -> None:
    weak = {CELL: CellStatistics(META, CLOSE)}
    share = allocations(TWO, weak).cells[CELL]["0.5"]
    assert 0.45 <= share < 0.6
    assert allocations(TWO, weak).settled == {}
    assert allocations(TWO, weak, Allocations("1", {}, {CELL: "0.5"})).settled == {CELL: "0.5"}
    after_restart = allocations(TWO, weak | {BESIDE: SECOND})
    assert after_restart.settled == {CELL: "0.5"}
    assert allocations(TWO, weak | {BESIDE: SECOND}, Allocations("1")).settled == {}
    assert allocations(TWO, weak | {BESIDE: SECOND}, Allocations("1")).version != after_restart.version


def test_the_page_shows_a_second_parameter_where_requests_get_to_it() -> None:
    other = BESIDE.replace("0.5", "0.1")
    seen = {CELL: CellStatistics(META, EARNED), BESIDE: SECOND, other: SECOND}
    table = Allocations(
        "1",
        {CELL: {"0.1": 0.0, "0.3": 0.0, "0.5": 1.0}, BESIDE: {"0.5": 0.6, "0.9": 0.4}, other: {"0.5": 0.1, "0.9": 0.9}},
        {CELL: "0.5"},
    )
    shown = {arm: _shown(TWO, seen, table, "top_p", arm) for arm in ("0.5", "0.9")}
    assert shown == {"0.5": pytest.approx(0.57), "0.9": pytest.approx(0.43)}
    assert _shown(TWO, seen, Allocations("2", table.cells), "top_p", "0.9") == 1.0
    assert _shown(TWO, seen, table, "top_p@temperature=0.5", "0.9") is None


def _shown(
    policy: Policy, seen: Mapping[str, CellStatistics], table: Allocations, parameter: str, arm: str
) -> float | None:
    instruments = Instruments()
    show(instruments, policy, seen, table)
    series = f'setpoint_arm_probability{{arm="{arm}",model="m",parameter="{parameter}",task="code",turn="1"}} '
    lines = [line for line in instruments.render()[0].decode().splitlines() if line.startswith(series)]
    return float(lines[0].removeprefix(series)) if lines else None


def test_what_is_observed_of_every_answer_hides_little_of_what_people_say() -> None:
    def served_share(answers: float) -> float:
        def arm(mean: float, n: float) -> dict[str, Tally]:
            return {"thumbs": Tally(n, n * mean, n * mean), "repetition": Tally(n * answers, n * answers, n * answers)}

        seen = CellStatistics(META, {"0.1": arm(0.6, 500), "0.3": arm(0.7, 1000), "0.5": arm(0.6, 500)})
        return allocations(POLICY, {CELL: seen}).cells[CELL]["0.3"]

    assert served_share(10) == pytest.approx(served_share(0), abs=0.08)


@pytest.mark.parametrize(
    "more", [{"grid": ["hot", "0.3"]}, {"parameter": []}, {"parameter": "heat"}, {"task": None}, {"grid": []}]
)
def test_meta_that_is_none_has_no_allocation(more: dict[str, object]) -> None:
    seen = CellStatistics(META | more, {"0.3": {"thumbs": Tally(9, 5, 5)}})
    assert allocations(POLICY, {CELL: seen}).cells == {}


def test_a_new_model_begins_with_what_the_same_task_taught_on_others() -> None:
    def rated(mean: float) -> dict[str, Tally]:
        return {"rating": Tally(400, 400 * mean, 400 * mean)}

    known = {"0.1": rated(0.5), "0.3": rated(0.6), "0.5": rated(0.75)}
    seen = {CELL.replace("|m|", f"|m{n}|"): CellStatistics(META, known) for n in range(6)}
    few = {"0.3": {"rating": Tally(60, 36, 36)}, "0.5": {"rating": Tally(4, 3, 3)}}
    new, other_turn = CELL.replace("|m|", "|new|"), "*|code|new|direct|4+|temperature"
    seen |= {new: CellStatistics(META, few), other_turn: CellStatistics(META, few)}
    alone = parse(
        {"p.yaml": "version: 1\nadapt: {mode: apply, pool: false, arms: {temperature: [0.1, 0.3, 0.5]}}"}, "p"
    )
    pooled, apart = allocations(POLICY, seen).cells, allocations(alone, seen).cells
    assert pooled[new]["0.5"] > 1.5 * apart[new]["0.5"]
    assert pooled[other_turn] == apart[other_turn]


def test_what_an_observed_signal_is_worth_decides_what_is_learned_from_it() -> None:
    """Repetition says that 0.5 is better; ratings said that repetition is nothing to them."""
    arms = {"0.3": {"repetition": Tally(400, 200, 200)}, "0.5": {"repetition": Tally(400, 360, 360)}}
    seen = CellStatistics(META, arms)
    assert allocations(POLICY, {CELL: seen}).cells[CELL]["0.5"] > 0.5
    doubted = replace(seen, weights={"repetition": Worth(0.0)})
    assert allocations(POLICY, {CELL: doubted}).cells[CELL]["0.3"] > 0.7
