"""Learning in the background: from the store's statistics to the allocation that all replicas serve."""

import asyncio
import hashlib
import logging
import math
from collections.abc import Iterable, Mapping, Set
from functools import lru_cache
from time import monotonic
from typing import Any, NamedTuple

from metrics.instruments import Instruments
from metrics.rewards import combine
from metrics.tally import CellStatistics
from policies.allocation import Allocations, shares
from policies.arms import Grid, position, solid, value_of
from policies.bandits import BANDITS, Evidence, Prior
from policies.bandits.pooling import Member, pool
from policies.policy import Adaptation, Policy
from router.services import Services
from router.settled import settled_arms
from router.watching import Watch, act

log = logging.getLogger("setpoint")

BANDIT = "safe_gp"
Series = tuple[str, str, str, str, str]  # labels of a probability: task, model, turn, parameter, arm
_META = ("parameter", "grid", "baseline", "task")
_LONGEST = 100  # arms: a policy has a dozen, and the time of a look grows with their cube


async def learn(services: Services) -> None:
    """Recompute allocations every few seconds until cancelled; a failure keeps the last ones and is counted."""
    me, watch, before, shown = asyncio.current_task(), Watch(), None, frozenset[Series]()
    # Asked, and not only interrupted: a wait inside redis-py can swallow a cancellation on Python 3.11.
    while me is None or not me.cancelling():
        await asyncio.sleep(services.settings.refresh_seconds)
        try:
            statistics = await services.ledger.statistics()
            policy = services.book.policy
            table = await asyncio.to_thread(allocations, policy, statistics, before)
            services.pipeline.allocations = before = table
            found = await asyncio.to_thread(watch.look, policy, statistics, table, monotonic())
            shown = show(services.instruments, policy, statistics, table, shown)
            _mend(services, statistics)
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
    for learnt in _groups(policy, statistics):
        members = [Member(one.evidence, one.grid.index(one.baseline)) for one in learnt]
        for one, member, prior in zip(learnt, members, pool(members), strict=True):
            if (p := _shares(one, member, prior)) is not None:
                cells[one.cell] = p
    cells = dict(sorted(cells.items()))
    found = settled_arms(policy, statistics, cells, before)
    told = repr(([(c, sorted(p.items())) for c, p in cells.items()], sorted(found.items())))
    return Allocations(hashlib.blake2b(told.encode(), digest_size=8).hexdigest(), cells, found)


class _Learnt(NamedTuple):
    """One cell as a bandit sees it. `held`: nothing but the baseline may be served."""

    cell: str
    grid: list[str]
    baseline: str
    evidence: list[Evidence]
    adaptation: Adaptation
    held: bool


def _groups(policy: Policy, statistics: Mapping[str, CellStatistics]) -> Iterable[list[_Learnt]]:
    """Cells that differ in nothing but model and tenant, together where the policy pools; each other one by itself."""
    groups: dict[str, list[_Learnt]] = {}
    for cell, seen in sorted(statistics.items()):
        if (one := _learnt(policy, cell, seen)) is not None:
            _, task, _, mode, turn, parameter = cell.split("|")
            key = f"{task}|{mode}|{turn}|{parameter}" if one.adaptation.pool else cell
            groups.setdefault(key, []).append(one)
    return groups.values()


def _learnt(policy: Policy, cell: str, seen: CellStatistics) -> _Learnt | None:
    """What is known of a cell; None where what is stored about it makes no sense any more."""
    if not _sensible(cell, seen.meta):
        return None
    parameter, grid, baseline, task = (seen.meta[k] for k in _META)
    adaptation = policy.adaptation_of(str(task))
    if adaptation.mode == "bypass":
        return None
    arms = [str(arm) for arm in grid]
    try:
        evidence = [_evidence(parameter, arm, str(baseline), seen, adaptation.objective) for arm in arms]
    except (ValueError, KeyError, ArithmeticError):
        log.warning("the statistics of cell %s make no sense; it keeps the policy's value", cell)
        return None
    return _Learnt(cell, arms, str(baseline), evidence, adaptation, seen.held)


def _shares(one: _Learnt, member: Member, prior: Prior | None) -> Mapping[str, float] | None:
    if one.held:
        return {arm: float(arm == one.baseline) for arm in one.grid}
    try:
        p = BANDITS[BANDIT](member.arms, member.baseline, one.adaptation.explore, _seed(one.cell), prior)
        if not all(map(math.isfinite, p)):
            raise ValueError("no probabilities")
    except (ValueError, ArithmeticError):
        log.warning("cell %s cannot be allocated; it keeps the policy's value", one.cell)
        return None
    # Four digits: replicas that read a moment apart differ in the last ones, and the version must not.
    return {arm: round(share, 4) for arm, share in zip(one.grid, p, strict=True)}


def _sensible(cell: str, meta: Mapping[str, Any]) -> bool:
    """Whether this can be what a cell is about. The store may say anything."""
    parameter, grid, baseline, task = (meta.get(k) for k in _META)
    return (
        cell.count("|") == 5
        and isinstance(grid, list)
        and 0 < len(grid) <= _LONGEST
        and baseline in grid
        and isinstance(parameter, str)
        and isinstance(task, str)
        and all(isinstance(arm, str) and math.isfinite(_place(parameter, arm)) for arm in grid)
    )


@lru_cache(4_096)  # the same few arms at every look
def _place(parameter: str, arm: str) -> float:
    """An arm's position; nan for what is none."""
    try:
        return position(parameter, value_of(parameter, arm))
    except (ValueError, KeyError, OverflowError):
        return math.nan


@lru_cache(4_096)  # as above
def _solid(parameter: str, arm: str, baseline: str) -> bool:
    return solid(parameter, value_of(parameter, arm), value_of(parameter, baseline))


def _mend(services: Services, statistics: Mapping[str, CellStatistics]) -> None:
    """What is stored of a cell and makes no sense is counted, and replaced where a request of this process had the cell."""
    for cell, seen in statistics.items():
        if not _sensible(cell, seen.meta):
            services.instruments.corrupt(1)
            services.ledger.renew_cell(cell)


def _evidence(
    parameter: str, arm: str, baseline: str, seen: CellStatistics, objective: Mapping[str, float]
) -> Evidence:
    earned = combine(seen.arms.get(arm, {}), objective)
    return Evidence(_place(parameter, arm), *earned, solid=_solid(parameter, arm, baseline))


def _seed(cell: str) -> int:
    return int.from_bytes(hashlib.blake2b(cell.encode(), digest_size=4).digest(), "big")


def show(
    instruments: Instruments,
    policy: Policy,
    statistics: Mapping[str, CellStatistics],
    table: Allocations,
    before: Set[Series] = frozenset(),
) -> frozenset[Series]:
    """What is served: what was learned, and the control share on top. What was shown `before` and is gone falls to 0.

    A parameter's cells beside several arms share their labels: the one that requests get to is shown.
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
