"""The second parameter is tuned where the first has settled: with the real engine, bandit and tables, in worlds of two parameters."""

from collections import defaultdict
from collections.abc import Callable

import numpy as np
import pytest

from metrics.tally import CellStatistics, Tally
from policies.allocation import Allocations
from policies.capability import Capabilities
from policies.context import Context
from policies.engine import Engine
from policies.loading import parse
from router.learning import allocations

POLICY = parse(
    {
        "p.yaml": """
version: 1
defaults: {set: {temperature: 0.5, top_p: 0.9}}
adapt:
  mode: apply
  arms: {temperature: [0.1, 0.3, 0.5, 0.7, 0.9, 1.1], top_p: [0.5, 0.7, 0.9, 1.0]}
  objective: {quality: 1, latency: 0, cost: 0}
"""
    },
    "p",
)
FIRST = "*|code|gpt-4.1|direct|1|temperature"
Surface = Callable[[float, float], float]


class World:
    """Requests that are all rated, and a table that is computed anew every hundred of them."""

    def __init__(self, worth: Surface, seed: int) -> None:
        self.worth, self.rng = worth, np.random.default_rng(seed)
        self.engine = Engine(POLICY, Capabilities.load())
        self.table: Allocations | None = None
        self.statistics: dict[str, CellStatistics] = {}
        self.count = 0

    def live(self, requests: int) -> float:
        """The mean worth of what was served."""
        served = 0.0
        for _ in range(requests):
            if self.count % 100 == 0:
                self.table = allocations(POLICY, self.statistics, self.table)
            served += self._request() / requests
        return served

    def labels(self, cell: str) -> float:
        return sum(t.n for signals in self.statistics[cell].arms.values() for t in signals.values())

    def _request(self) -> float:
        self.count += 1
        context = Context(task="code", model="gpt-4.1", provider="openai", id=f"dec_{self.rng.integers(1 << 40)}")
        decision = self.engine.decide(context, {}, self.table or Allocations())
        params, draw = decision.params, decision.draw
        assert draw is not None
        assert decision.effective
        worth = self.worth(float(params["temperature"]), float(params["top_p"]))  # type: ignore[arg-type]
        good = float(self.rng.random() < worth)
        meta = {"parameter": draw.parameter, "grid": list(draw.grid), "baseline": draw.baseline, "task": "code"}
        seen = self.statistics.setdefault(draw.cell, CellStatistics(meta, defaultdict(dict)))
        earned = seen.arms[draw.arm]
        assert isinstance(earned, dict)
        earned["rating"] = earned.get("rating", Tally()).plus(Tally(1, good, good))
        return worth


def separable(t: float, p: float) -> float:
    return 0.8 - 1.2 * (t - 0.9) ** 2 - 0.5 * (p - 0.5) ** 2


def ridge(t: float, p: float) -> float:
    """What is lost by one parameter is won back by the other: from the policy's point on, neither alone leads anywhere."""
    return 0.7 - 0.8 * (t + p - 1.4) ** 2 - 0.05 * (t - 0.9) ** 2


def crossed(t: float, p: float) -> float:
    """The best value of one depends on the other's, and both together are a hill."""
    return 0.75 - 0.6 * (t + p - 1.6) ** 2 - 0.2 * (t - p) ** 2


@pytest.mark.parametrize("seed", range(3))
def test_two_parameters_that_do_not_interact_reach_their_joint_optimum(seed: int) -> None:
    world = World(separable, seed)
    world.live(8_000)
    assert world.live(2_000) >= 0.95 * separable(0.9, 0.5) > 1.4 * separable(0.5, 0.9)
    assert world.table is not None
    assert world.table.settled[FIRST] in ("0.9", "1.1")
    assert world.table.leads_to(
        second := f"{FIRST.replace('temperature', 'top_p')}@temperature={world.table.settled[FIRST]}"
    )
    assert world.labels(second) > 0
    before = world.labels(FIRST)
    world.live(1_000)
    assert 140 < world.labels(FIRST) - before < 260  # a fifth of the units goes on in the first cell


@pytest.mark.parametrize("worth", [ridge, crossed])
@pytest.mark.parametrize("seed", range(2))
def test_where_parameters_interact_nothing_is_worse_than_the_policys_point(worth: Surface, seed: int) -> None:
    world = World(worth, seed)
    world.live(8_000)
    assert world.live(2_000) >= 0.98 * worth(0.5, 0.9)
    assert any("top_p" in cell for cell in world.statistics)
