"""Where learning stands in a cell: one word, the reason, and how its arms compare with the policy's own value."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Literal

from metrics.balance import balanced
from metrics.rewards import Combined, combine
from metrics.tally import CellStatistics
from policies.policy import Policy
from policies.settling import SETTLED

Word = Literal[
    "paused", "rolled back", "observing", "waiting", "no effect", "collecting", "committed", "exploring", "baseline"
]  # fmt: skip
ENOUGH = 10  # labels, below which nothing is said about arms
TRIED = 0.05  # an arm with a larger share is being tried
_NINETY = 1.645  # standard errors to either side that hold 90 %


@dataclass(frozen=True, slots=True)
class Standing:
    """Of one cell: the word for it, and the reason in words for the operator."""

    word: Word
    reason: str


@dataclass(frozen=True, slots=True)
class Lift:
    """How much more reward, in [-1, 1], an arm earns than the baseline, with a 90 % interval."""

    mean: float
    low: float
    high: float


def standing(
    policy: Policy, seen: CellStatistics, learned: Mapping[str, float] | None, *, reached: bool = True
) -> Standing:
    """Why a cell is where it is. `learned` is its allocation without the control share, None where there is none; `reached`
    says whether requests get to it: beside what it was learned, the parameters before it have settled."""
    return _stopped(policy, seen) or _waiting(seen, reached) or _wanting(policy, seen) or _weighed(seen, learned)


def lift(arm: Combined, baseline: Combined) -> Lift | None:
    """None where one of them has no labels."""
    if arm.n <= 0 or baseline.n <= 0:
        return None
    mean = arm.mean - baseline.mean
    half = _NINETY * (arm.variance / arm.n + baseline.variance / baseline.n) ** 0.5
    return Lift(mean, mean - half, mean + half)


def grid_of(seen: CellStatistics) -> Sequence[str]:
    """The arms of a cell in order; those that have earned something where its meta says none."""
    grid = seen.meta.get("grid")
    return [str(arm) for arm in grid] if isinstance(grid, list) and grid else sorted(seen.arms)


def when(at: float | None) -> str:
    """A time for people, to the minute."""
    try:
        moment = datetime.fromtimestamp(at, UTC) if at is not None else None
    except (ValueError, OverflowError, OSError):
        moment = None
    return f"{moment:%Y-%m-%d %H:%M} UTC" if moment else "an unknown time"


def _stopped(policy: Policy, seen: CellStatistics) -> Standing | None:
    if seen.paused:
        return Standing("paused", "all learning is paused; `setpoint learning resume` ends it")
    if seen.rolled_back:
        until = "released" if seen.rolled_back_until is None else when(seen.rolled_back_until)
        return Standing("rolled back", f"{seen.rolled_back}, until {until}")
    mode = policy.adaptation_of(str(seen.meta.get("task"))).mode
    if mode != "apply":
        return Standing("observing", f"adapt.mode is {mode}: the policy's own value is served")
    return None


def _waiting(seen: CellStatistics, reached: bool) -> Standing | None:
    return (
        None if reached else Standing("waiting", f"nothing is served from here until {beside(seen)} has settled again")
    )


def beside(seen: CellStatistics) -> str:
    """What is held where a cell learns, as `temperature=0.8, top_p=0.9`; "" for a first parameter's cell."""
    held = seen.meta.get("beside")
    return ", ".join(f"{p}={arm}" for p, arm in held.items()) if isinstance(held, dict) else ""


def _wanting(policy: Policy, seen: CellStatistics) -> Standing | None:
    if not any(tally.n > 0 for signals in seen.arms.values() for tally in signals.values()):
        return Standing("no effect", "no answer has counted yet: does the parameter reach the model?")
    objective = policy.adaptation_of(str(seen.meta.get("task"))).objective
    arms = balanced(seen)
    labels = sum(combine(arms.get(arm, {}), objective).n for arm in grid_of(seen))
    if labels < ENOUGH:
        return Standing("collecting", f"{labels:.3g} labels of the {ENOUGH} that anything can be said with")
    return None


def _weighed(seen: CellStatistics, learned: Mapping[str, float] | None) -> Standing:
    if not learned:
        return Standing("baseline", "what is stored makes no sense here; the policy's own value is served")
    baseline = str(seen.meta.get("baseline"))
    best = max(learned, key=lambda arm: learned[arm])
    if best != baseline and learned[best] >= SETTLED:
        return Standing("committed", f"{best} gets {learned[best]:.0%}")
    tried = sorted((arm for arm, share in learned.items() if share > TRIED), key=lambda arm: -learned[arm])
    if len(tried) > 1 or best != baseline or learned[best] < SETTLED:
        return Standing("exploring", ", ".join(f"{arm} gets {learned[arm]:.0%}" for arm in tried or [best]))
    return Standing("baseline", f"no arm has done better than {baseline}, which gets {learned[best]:.0%}")
