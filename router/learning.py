"""Learning in the background: from the store's statistics to the allocation that all replicas serve."""

import asyncio
import hashlib
import logging
from collections.abc import Mapping
from time import monotonic

from metrics.instruments import Instruments
from metrics.rewards import combine
from metrics.tally import CellStatistics
from policies.allocation import Allocations, shares
from policies.arms import Grid, position, value_of
from policies.bandits import BANDITS, Evidence
from policies.policy import Policy
from router.services import Services
from router.settled import settled_arms
from router.watching import Watch, act

log = logging.getLogger("setpoint")

BANDIT = "safe_gp"


async def learn(services: Services) -> None:
    """Recompute allocations every few seconds until cancelled; a failure keeps the last ones and is counted."""
    me, watch, before = asyncio.current_task(), Watch(), None
    # Asked, and not only interrupted: a wait inside redis-py can swallow a cancellation on Python 3.11.
    while me is None or not me.cancelling():
        await asyncio.sleep(services.settings.refresh_seconds)
        try:
            statistics = await services.ledger.statistics()
            policy = services.book.policy
            table = await asyncio.to_thread(allocations, policy, statistics, before)
            services.pipeline.allocations = before = table
            found = await asyncio.to_thread(watch.look, policy, statistics, table, monotonic())
            show(services.instruments, policy, statistics, table)
            await act(services.ledger, found)
        except Exception:
            log.warning("allocations could not be computed anew; the last ones stay", exc_info=True)
            services.instruments.learning_failed()


def allocations(
    policy: Policy, statistics: Mapping[str, CellStatistics], before: Allocations | None = None
) -> Allocations:
    """The probabilities of all cells. Depends on nothing but the arguments, so replicas that see the same agree.

    `before`: the last ones, of which those that have settled are kept in mind; who has none goes by what is stored.
    """
    cells = {}
    for cell, seen in sorted(statistics.items()):
        if (p := _cell(policy, cell, seen)) is not None:
            cells[cell] = p
    found = settled_arms(policy, statistics, cells, before)
    told = repr(([(c, sorted(p.items())) for c, p in cells.items()], sorted(found.items())))
    return Allocations(hashlib.blake2b(told.encode(), digest_size=8).hexdigest(), cells, found)


def _cell(policy: Policy, cell: str, seen: CellStatistics) -> Mapping[str, float] | None:
    """One cell's probabilities; None where what is stored about it makes no sense any more."""
    parameter, grid, baseline, task = (seen.meta.get(k) for k in ("parameter", "grid", "baseline", "task"))
    if cell.count("|") != 5 or not isinstance(grid, list) or baseline not in grid or not isinstance(parameter, str):
        return None
    adaptation = policy.adaptation_of(str(task))
    if adaptation.mode == "bypass":
        return None
    if seen.held:
        return {str(arm): float(arm == baseline) for arm in grid}
    try:
        evidence = [_evidence(parameter, str(arm), seen, adaptation.objective) for arm in grid]
        p = BANDITS[BANDIT](evidence, grid.index(baseline), adaptation.explore, _seed(cell))
    except (ValueError, KeyError, ArithmeticError):
        log.warning("the statistics of cell %s make no sense; it keeps the policy's value", cell)
        return None
    # Four digits: replicas that read a moment apart differ in the last ones, and the version must not.
    return {str(arm): round(share, 4) for arm, share in zip(grid, p, strict=True)}


def _evidence(parameter: str, arm: str, seen: CellStatistics, objective: Mapping[str, float]) -> Evidence:
    place = position(parameter, value_of(parameter, arm))
    signals = seen.arms.get(arm)
    if not signals:
        return Evidence(place)
    earned = combine(signals, objective)
    return Evidence(place, earned.n, earned.mean, earned.variance)


def _seed(cell: str) -> int:
    return int.from_bytes(hashlib.blake2b(cell.encode(), digest_size=4).digest(), "big")


def show(
    instruments: Instruments, policy: Policy, statistics: Mapping[str, CellStatistics], table: Allocations
) -> None:
    """What is served: what was learned, and the control share on top. A parameter's cells beside several arms share their
    labels; the one that requests get to has the last word."""
    for cell, p in sorted(table.cells.items(), key=lambda item: table.leads_to(item[0])):
        _, task, model, _, turn, _ = cell.split("|")
        seen = statistics[cell]
        parameter, baseline = str(seen.meta["parameter"]), seen.meta["baseline"]
        own = {arm: float(arm == baseline) for arm in p}
        for arm, share in (served(policy, seen, p) if table.leads_to(cell) else own).items():
            instruments.allocated(task, model, turn, parameter, arm, share)


def served(policy: Policy, seen: CellStatistics, learned: Mapping[str, float]) -> Mapping[str, float]:
    """The probability of each arm of a cell as requests without bounds of their own get it."""
    adaptation = policy.adaptation_of(str(seen.meta.get("task")))
    if adaptation.mode != "apply":
        return {arm: float(arm == seen.meta["baseline"]) for arm in learned}
    grid = Grid(str(seen.meta["parameter"]), dict.fromkeys(learned), str(seen.meta["baseline"]))
    return shares(learned, grid, adaptation.control)
