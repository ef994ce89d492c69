"""Two parameters at once: `python -m bench.learning.two`. One after the other, as Setpoint does, beside all pairs at once.

Rated requests in small worlds of temperature and top_p: where they do not interact, where the best value of one depends on the other's,
and on a ridge where neither alone leads anywhere. The engine, the bandit and the tables are those that serve; the pairs are 24 arms
of a Thompson sampler. It ends with 1 if ours is below 95 % of what two parameters that do not interact could give, or below
98 % of the policy's own point anywhere.
"""

import sys
from collections import defaultdict
from collections.abc import Callable
from itertools import product

import numpy as np

from bench import machine, table
from metrics.tally import CellStatistics, Tally
from policies.allocation import Allocations
from policies.capability import Capabilities
from policies.context import Context
from policies.engine import Engine
from policies.loading import parse
from router.allocating import allocations

TEMPERATURES, TOP_PS = (0.1, 0.3, 0.5, 0.7, 0.9, 1.1), (0.5, 0.7, 0.9, 1.0)
OWN = (0.5, 0.9)
FIRST = "*|code|gpt-4.1|direct|1|temperature"
REQUESTS, BLOCK, SEEDS = 10_000, 100, 6
Surface = Callable[[float, float], float]


def separable(t: float, p: float) -> float:
    """Each has its own best value."""
    return 0.8 - 1.2 * (t - 0.9) ** 2 - 0.5 * (p - 0.5) ** 2


def crossed(t: float, p: float) -> float:
    """The best value of one depends on the other's."""
    return 0.75 - 0.6 * (t + p - 1.6) ** 2 - 0.2 * (t - p) ** 2


def ridge(t: float, p: float) -> float:
    """What is lost by one is won back by the other: from the policy's point on, neither alone leads anywhere."""
    return 0.7 - 0.8 * (t + p - 1.4) ** 2 - 0.05 * (t - 0.9) ** 2


SURFACES: tuple[Surface, ...] = (separable, crossed, ridge)


class Ours:
    """The engine with a table that is computed anew every BLOCK requests; `parameters` that are tuned, in that order."""

    def __init__(self, worth: Surface, seed: int, parameters: int = 2) -> None:
        arms = (f"temperature: {list(TEMPERATURES)}", f"top_p: {list(TOP_PS)}")[:parameters]
        adapt = f"{{mode: apply, arms: {{{', '.join(arms)}}}, objective: {{quality: 1, latency: 0, cost: 0}}}}"
        own = f"{{set: {{temperature: {OWN[0]}, top_p: {OWN[1]}}}}}"
        self.policy = parse({"p.yaml": f"version: 1\ndefaults: {own}\nadapt: {adapt}\n"}, "p")
        self.engine = Engine(self.policy, Capabilities.load())
        self.worth, self.rng = worth, np.random.default_rng(seed)
        self.table = Allocations()
        self.statistics: dict[str, CellStatistics] = {}
        self._earned: dict[str, dict[str, dict[str, Tally]]] = {}

    def live(self, requests: int) -> float:
        """The mean worth of what was served to so many requests, all of them rated."""
        served = 0.0
        for n in range(requests):
            if n % BLOCK == 0:
                self.table = allocations(self.policy, self.statistics, self.table)
            served += self._request() / requests
        return served

    def labels(self, cell: str) -> float:
        """Rewards that a cell has got."""
        return sum(tally.n for signals in self.statistics[cell].arms.values() for tally in signals.values())

    def _request(self) -> float:
        context = Context(task="code", model="gpt-4.1", provider="openai", id=f"dec_{self.rng.integers(1 << 40)}")
        decision = self.engine.decide(context, {}, self.table)
        draw, params = decision.draw, decision.params
        if draw is None or not decision.effective:
            raise RuntimeError("nothing was tuned in a world where everything can be")
        worth = self.worth(float(str(params["temperature"])), float(str(params["top_p"])))
        good = float(self.rng.random() < worth)
        meta = {"parameter": draw.parameter, "grid": list(draw.grid), "baseline": draw.baseline, "task": "code"}
        earned = self._earned.setdefault(draw.cell, defaultdict(dict))
        self.statistics.setdefault(draw.cell, CellStatistics(meta, earned))
        earned[draw.arm]["rating"] = earned[draw.arm].get("rating", Tally()).plus(Tally(1, good, good))
        return worth


class Pairs:
    """Thompson sampling, Beta(1, 1), over every pair."""

    def __init__(self, worth: Surface, seed: int) -> None:
        self.means = np.array([worth(t, p) for t, p in product(TEMPERATURES, TOP_PS)])
        self.rng = np.random.default_rng(seed)
        self.good, self.bad = np.ones_like(self.means), np.ones_like(self.means)

    def live(self, requests: int) -> float:
        """As of ours."""
        served = 0.0
        for _ in range(requests // BLOCK):
            arms = self.rng.beta(self.good, self.bad, (BLOCK, len(self.means))).argmax(axis=1)
            good = self.rng.random(BLOCK) < self.means[arms]
            np.add.at(self.good, arms, good)
            np.add.at(self.bad, arms, ~good)
            served += float(self.means[arms].sum()) / requests
        return served


MAKE: dict[str, Callable[[Surface, int], Ours | Pairs]] = {
    "temperature alone": lambda worth, seed: Ours(worth, seed, parameters=1),
    "one after the other": Ours,
    "all pairs at once": Pairs,
}


def main() -> int:
    """Print the table; 1 if ours misses what is promised."""
    rows, missed = [], False
    for worth in SURFACES:
        own, best = worth(*OWN), max(worth(t, p) for t, p in product(TEMPERATURES, TOP_PS))
        for who, make in MAKE.items():
            lives = [make(worth, seed) for seed in range(SEEDS)]
            parts = np.array([[one.live(n) for n in (1_000, 3_000, REQUESTS - 6_000, 2_000)] for one in lives])
            early, middle, _, late = parts.mean(axis=0)
            rows.append(
                (worth.__name__, who, f"{own:.3f}", f"{best:.3f}", f"{early:.3f}", f"{middle:.3f}", f"{late:.3f}")
            )
            if who == "one after the other":
                missed |= late < (0.95 * best if worth is separable else 0.98 * own)
    header = (
        "world",
        "tuned",
        "policy's point",
        "best pair",
        "requests to 1,000",
        "to 4,000",
        f"last 2,000 of {REQUESTS:,}",
    )
    print(f"{table(header, rows)}\n\n{machine()}")
    return int(missed)


if __name__ == "__main__":
    sys.exit(main())
