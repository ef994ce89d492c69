"""From statistics to allocations: what is held gets the policy's own value and nothing else."""

from dataclasses import replace

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


def test_what_an_observed_signal_is_worth_decides_what_is_learned_from_it() -> None:
    """Truncation says that 0.5 is better; ratings of 2,000 answers say that truncation is nothing to them."""
    arms = {"0.3": {"truncated": Tally(400, 200, 200)}, "0.5": {"truncated": Tally(400, 360, 360)}}
    seen = CellStatistics(META, arms)
    assert allocations(POLICY, {CELL: seen}).cells[CELL]["0.5"] > 0.5
    doubted = replace(seen, weights={"truncated": 0.0})
    assert allocations(POLICY, {CELL: doubted}).cells[CELL]["0.3"] > 0.7
