"""Standing: where learning stands in a cell, and why, in a line for an operator."""

from collections.abc import Mapping
from datetime import UTC, datetime

from metrics.rewards import combine
from metrics.tally import CellStatistics
from policies.policy import Policy
from router.learning import served

FEW = 10.0  # labels
TRIED, MOST = 0.05, 0.6  # shares of traffic


def standing(policy: Policy, seen: CellStatistics, learned: Mapping[str, float] | None) -> str:
    """One of: bypassed, unreadable, rolled back, observing, collecting, committed, exploring, at the policy's value."""
    adaptation = policy.adaptation_of(str(seen.meta.get("task")))
    if adaptation.mode == "bypass":
        return "bypassed: the policy wants no learning here"
    if learned is None:
        return "unreadable: what is stored about it makes no sense"
    return _stage(policy, seen, learned) + _change(seen)


def _stage(policy: Policy, seen: CellStatistics, learned: Mapping[str, float]) -> str:
    adaptation, baseline = policy.adaptation_of(str(seen.meta.get("task"))), str(seen.meta["baseline"])
    if seen.rolled_back:
        return f"rolled back: {seen.rolled_back} was worse than with the policy's value, beyond doubt; tried again within the hour"
    if adaptation.mode == "observe":
        return "observing: the policy's value is served; `adapt: {mode: apply}` lets learning move it"
    labels = sum(combine(signals, adaptation.objective).n for signals in seen.arms.values())
    if labels < FEW:
        return f"collecting: {labels:.0f} labels so far, {FEW:.0f} are a beginning"
    shares = served(policy, seen, learned)
    best = max(shares, key=lambda arm: shares[arm])
    tried = [arm for arm, share in shares.items() if share > TRIED and arm != best]
    if best != baseline and shares[best] >= MOST:
        return f"committed: {best} gets {shares[best]:.0%}"
    if tried:
        return f"exploring: {', '.join(tried)} beside {best}"
    return "at the policy's value: no other is worth trying by what is known"


def _change(seen: CellStatistics) -> str:
    if seen.changed_at is None:
        return ""
    try:
        return f"; its world was found changed on {datetime.fromtimestamp(seen.changed_at, UTC):%Y-%m-%d %H:%M} UTC"
    except (ValueError, OverflowError, OSError):
        return ""
