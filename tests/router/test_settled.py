"""The second parameter is tuned where the first has settled: with the real engine, bandit and tables, in worlds of two parameters."""

import pytest

from bench.learning.two import FIRST, OWN, Ours, Surface, crossed, ridge, separable


@pytest.mark.parametrize("seed", range(3))
def test_two_parameters_that_do_not_interact_reach_their_joint_optimum(seed: int) -> None:
    world = Ours(separable, seed)
    world.live(8_000)
    assert world.live(2_000) >= 0.95 * separable(0.9, 0.5) > 1.4 * separable(*OWN)
    arm = world.table.settled[FIRST]
    second = f"{FIRST.replace('temperature', 'top_p')}@temperature={arm}"
    assert arm in ("0.9", "1.1")
    assert world.table.leads_to(second)
    before, beside = world.labels(FIRST), world.labels(second)
    world.live(1_000)
    assert 140 < world.labels(FIRST) - before < 260  # a fifth of the units goes on in the first cell
    assert world.labels(second) - beside > 500


@pytest.mark.parametrize("worth", [ridge, crossed])
@pytest.mark.parametrize("seed", range(2))
def test_where_parameters_interact_nothing_is_worse_than_the_policys_point(worth: Surface, seed: int) -> None:
    world = Ours(worth, seed)
    world.live(8_000)
    assert world.live(2_000) >= 0.98 * worth(*OWN)
    assert any("top_p" in cell for cell in world.statistics)
