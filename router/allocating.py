"""Allocating: from what all replicas know to how each cell's traffic is split. Pure."""

import hashlib
import logging
import math
from collections.abc import Iterable, Mapping
from functools import lru_cache
from typing import Any, NamedTuple

from metrics.balance import balanced
from metrics.rewards import combine
from metrics.tally import CellStatistics, Tally
from policies.allocation import Allocations
from policies.arms import position, solid, value_of
from policies.bandits import BANDITS, Evidence, Prior
from policies.bandits.pooling import Member, pool
from policies.policy import Adaptation, Policy
from router.settled import settled_arms

log = logging.getLogger("setpoint")

BANDIT = "safe_gp"
_META = ("parameter", "grid", "baseline", "task")
_LONGEST = 100  # arms: a policy has a dozen, and the time of a look grows with their cube


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
    if not sensible(cell, seen.meta):
        return None
    parameter, grid, baseline, task = (seen.meta[k] for k in _META)
    adaptation = policy.adaptation_of(str(task))
    if adaptation.mode == "bypass":
        return None
    arms = [str(arm) for arm in grid]
    try:
        toned = balanced(seen)
        evidence = [_evidence(parameter, arm, str(baseline), toned, adaptation.objective) for arm in arms]
        if not all(map(math.isfinite, (x for one in evidence for x in (one.n, one.mean, one.variance)))):
            raise ValueError("no finite evidence")  # which would spoil what other cells learn from it, too
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


def sensible(cell: str, meta: Mapping[str, Any]) -> bool:
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


def _evidence(
    parameter: str, arm: str, baseline: str, arms: Mapping[str, Mapping[str, Tally]], objective: Mapping[str, float]
) -> Evidence:
    earned = combine(arms.get(arm, {}), objective)
    return Evidence(_place(parameter, arm), *earned, solid=_solid(parameter, arm, baseline))


def _seed(cell: str) -> int:
    return int.from_bytes(hashlib.blake2b(cell.encode(), digest_size=4).digest(), "big")
