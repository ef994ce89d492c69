"""Learning in the background: from the store's statistics to the allocation that all replicas serve."""

import asyncio
import hashlib
import logging
from collections.abc import Iterable, Mapping
from time import monotonic
from typing import NamedTuple

from metrics.rewards import combine
from metrics.tally import CellStatistics
from policies.allocation import Allocations, shares
from policies.arms import Grid, position, solid, value_of
from policies.bandits import BANDITS, Evidence, Prior
from policies.bandits.pooling import Member, pool
from policies.policy import Adaptation, Policy
from router.services import Services
from router.watching import Watch, act

log = logging.getLogger("setpoint")

BANDIT = "safe_gp"


async def learn(services: Services) -> None:
    """Recompute allocations every few seconds until cancelled; a failure keeps the last ones and is counted."""
    me, watch = asyncio.current_task(), Watch()
    # Asked, and not only interrupted: a wait inside redis-py can swallow a cancellation on Python 3.11.
    while me is None or not me.cancelling():
        await asyncio.sleep(services.settings.refresh_seconds)
        try:
            statistics = await services.ledger.statistics()
            policy = services.book.policy
            table = services.pipeline.allocations = await asyncio.to_thread(allocations, policy, statistics)
            found = await asyncio.to_thread(watch.look, policy, statistics, table, monotonic())
            _show(services, statistics)
            await act(services.ledger, found)
        except Exception:
            log.warning("allocations could not be computed anew; the last ones stay", exc_info=True)
            services.instruments.learning_failed()


def allocations(policy: Policy, statistics: Mapping[str, CellStatistics]) -> Allocations:
    """The probabilities of all cells. Depends on nothing but the arguments, so replicas that see the same agree."""
    cells = {}
    for learnt in _groups(policy, statistics):
        members = [Member(one.evidence, one.grid.index(one.baseline)) for one in learnt]
        for one, member, prior in zip(learnt, members, pool(members), strict=True):
            if (p := _shares(one, member, prior)) is not None:
                cells[one.cell] = p
    cells = dict(sorted(cells.items()))
    digest = hashlib.blake2b(repr([(c, sorted(p.items())) for c, p in cells.items()]).encode(), digest_size=8)
    return Allocations(digest.hexdigest(), cells)


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
    parameter, grid, baseline, task = (seen.meta.get(k) for k in ("parameter", "grid", "baseline", "task"))
    if cell.count("|") != 5 or not isinstance(grid, list) or baseline not in grid or not isinstance(parameter, str):
        return None
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
    except (ValueError, ArithmeticError):
        log.warning("cell %s cannot be allocated; it keeps the policy's value", one.cell)
        return None
    # Four digits: replicas that read a moment apart differ in the last ones, and the version must not.
    return {arm: round(share, 4) for arm, share in zip(one.grid, p, strict=True)}


def _evidence(
    parameter: str, arm: str, baseline: str, seen: CellStatistics, objective: Mapping[str, float]
) -> Evidence:
    value, own = value_of(parameter, arm), value_of(parameter, baseline)
    earned = combine(seen.arms.get(arm, {}), objective)
    return Evidence(position(parameter, value), *earned, solid=solid(parameter, value, own))


def _seed(cell: str) -> int:
    return int.from_bytes(hashlib.blake2b(cell.encode(), digest_size=4).digest(), "big")


def _show(services: Services, statistics: Mapping[str, CellStatistics]) -> None:
    """What is served: what was learned, and the control share on top."""
    for cell, p in services.pipeline.allocations.cells.items():
        _, task, model, _, turn, parameter = cell.split("|")
        for arm, share in served(services.book.policy, statistics[cell], p).items():
            services.instruments.allocated(task, model, turn, parameter, arm, share)


def served(policy: Policy, seen: CellStatistics, learned: Mapping[str, float]) -> Mapping[str, float]:
    """The probability of each arm of a cell as requests without bounds of their own get it."""
    adaptation = policy.adaptation_of(str(seen.meta.get("task")))
    if adaptation.mode != "apply":
        return {arm: float(arm == seen.meta["baseline"]) for arm in learned}
    grid = Grid(str(seen.meta["parameter"]), dict.fromkeys(learned), str(seen.meta["baseline"]))
    return shares(learned, grid, adaptation.control)
