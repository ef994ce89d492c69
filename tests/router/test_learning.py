"""From statistics to allocations: what is held gets the policy's own value and nothing else."""

import pytest

from metrics.tally import CellStatistics, Tally
from policies.loading import parse
from router.learning import allocations, served

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
