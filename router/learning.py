"""Learning in the background: from the store's statistics to the allocation that all replicas serve."""

import asyncio
import logging
import sys
from collections.abc import Mapping, Set
from time import monotonic, thread_time

from metrics.instruments import Instruments
from metrics.tally import CellStatistics
from policies.allocation import Allocations, shares
from policies.arms import Grid
from policies.policy import Policy
from router.allocating import allocations, sensible
from router.services import Services
from router.watching import Finding, Watch, act

log = logging.getLogger("setpoint")

SHARE = 1 / 60  # of a core that learning may take; with many cells it looks less often
READ = 400e-6  # seconds of CPU that it takes to read a cell of seven arms and nine signals from the store (bench.learning.cost)
# Seconds after which the thread of a look lets requests have the interpreter: with Python's 5 ms, 500 cells held the slowest
# request in a hundred up by 36 ms, and with this by 8.
HANDOVER = 0.0005

Series = tuple[str, str, str, str, str]  # labels of a probability: task, model, turn, parameter, arm


async def learn(services: Services) -> None:
    """Recompute allocations every few seconds until cancelled; a failure keeps the last ones and is counted."""
    me, watch, cost = asyncio.current_task(), Watch(), 0.0
    before, shown = None, frozenset[Series]()
    sys.setswitchinterval(HANDOVER)
    # Asked, and not only interrupted: a wait inside redis-py can swallow a cancellation on Python 3.11.
    while me is None or not me.cancelling():
        await asyncio.sleep(max(services.settings.refresh_seconds, cost / SHARE))
        try:
            statistics = await services.ledger.statistics()
            policy = services.book.policy
            table, found, cost = await asyncio.to_thread(_look, policy, statistics, before, watch)
            cost += READ * len(statistics)
            services.pipeline.allocations = before = table
            shown = show(services.instruments, policy, statistics, table, shown)
            _mend(services, statistics)
            await act(services.ledger, found)
        except Exception:
            log.warning("allocations could not be computed anew; the last ones stay", exc_info=True)
            services.instruments.learning_failed()


def _look(
    policy: Policy, statistics: Mapping[str, CellStatistics], before: Allocations | None, watch: Watch
) -> tuple[Allocations, list[Finding], float]:
    """New allocations, what was found, and the seconds of CPU that both took."""
    began = thread_time()
    table = allocations(policy, statistics, before)
    found = watch.look(policy, statistics, table, monotonic())
    return table, found, thread_time() - began


def _mend(services: Services, statistics: Mapping[str, CellStatistics]) -> None:
    """What is stored of a cell and makes no sense is counted, and replaced where a request of this process had the cell."""
    for cell, seen in statistics.items():
        if not sensible(cell, seen.meta):
            services.instruments.corrupt(1)
            services.ledger.renew_cell(cell)


def show(
    instruments: Instruments,
    policy: Policy,
    statistics: Mapping[str, CellStatistics],
    table: Allocations,
    before: Set[Series] = frozenset(),
) -> frozenset[Series]:
    """What is served: what was learned, and the control share on top. What was shown `before` and is gone falls to 0.

    A parameter's cells beside several arms share their labels; the one that requests get to has the last word.
    """
    shown = set()
    for cell, p in sorted(table.cells.items(), key=lambda item: table.leads_to(item[0])):
        _, task, model, _, turn, _ = cell.split("|")
        seen = statistics[cell]
        parameter, baseline = str(seen.meta["parameter"]), seen.meta["baseline"]
        own = {arm: float(arm == baseline) for arm in p}
        for arm, share in (served(policy, seen, p) if table.leads_to(cell) else own).items():
            instruments.allocated(task, model, turn, parameter, arm, share)
            shown.add((task, model, turn, parameter, arm))
    for gone in before - shown:
        instruments.allocated(*gone, 0.0)
    return frozenset(shown)


def served(policy: Policy, seen: CellStatistics, learned: Mapping[str, float]) -> Mapping[str, float]:
    """The probability of each arm of a cell as requests without bounds of their own get it."""
    adaptation = policy.adaptation_of(str(seen.meta.get("task")))
    if adaptation.mode != "apply":
        return {arm: float(arm == seen.meta["baseline"]) for arm in learned}
    grid = Grid(str(seen.meta["parameter"]), dict.fromkeys(learned), str(seen.meta["baseline"]))
    return shares(learned, grid, adaptation.control)
