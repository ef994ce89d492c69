"""What has settled: the arm of each cell beside which a policy's next parameter is tuned."""

from collections import defaultdict
from collections.abc import Collection, Mapping

from metrics.balance import balanced
from metrics.rewards import combine
from metrics.tally import CellStatistics
from policies.allocation import Allocations
from policies.arms import origin
from policies.policy import Policy
from policies.settling import settled


def settled_arms(
    policy: Policy,
    statistics: Mapping[str, CellStatistics],
    cells: Mapping[str, Mapping[str, float]],
    before: Allocations | None,
) -> dict[str, str]:
    """Cell → arm, of those that have settled and go on to another parameter. `cells` are their allocations.

    What had settled before counts (`policies.settling`): in `before`; or, where nothing is known of that, as after a restart,
    where something was learned beside it.
    """
    remembered = _in_store(statistics) if before is None else {c: (arm,) for c, arm in before.settled.items()}
    found = {}
    for cell, learned in cells.items():
        arm = _settled(policy, statistics[cell], learned, remembered.get(cell, ()))
        if arm is not None:
            found[cell] = arm
    return found


def _in_store(statistics: Mapping[str, CellStatistics]) -> Mapping[str, Collection[str]]:
    found: dict[str, list[str]] = defaultdict(list)
    for cell, seen in statistics.items():
        if seen.arms and (start := origin(cell)) is not None:
            found[start[0]].append(start[1])
    return found


def _settled(policy: Policy, seen: CellStatistics, learned: Mapping[str, float], before: Collection[str]) -> str | None:
    adaptation = policy.adaptation_of(str(seen.meta.get("task")))
    if adaptation.mode != "apply" or len(adaptation.arms) < 2 or seen.held:
        return None
    arms = balanced(seen)
    labels = sum(combine(arms.get(arm, {}), adaptation.objective).n for arm in learned)
    return settled(learned, str(seen.meta["baseline"]), labels, before)
