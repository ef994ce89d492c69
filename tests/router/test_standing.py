"""Standing: every state of a cell is told, with its reason."""

import pytest

from metrics.tally import CellStatistics, Tally
from policies.policy import Adaptation, Policy
from router.learning import allocations
from router.standing import standing

CELL = "*|code|m|direct|1|temperature"
META = {"parameter": "temperature", "grid": ["0.2", "0.4", "0.6"], "baseline": "0.4", "task": "code"}


def told(
    mode: str, arms: dict[str, tuple[float, float]], changed_at: float | None = None, rolled_back: str = ""
) -> str:
    policy = Policy("p", "d", adaptation=Adaptation(mode=mode))  # type: ignore[arg-type] # a word of the parametrisation
    by = {arm: {"thumbs": Tally(n, n * mean, n * mean)} for arm, (n, mean) in arms.items()}
    seen = CellStatistics(META, by, changed_at, rolled_back)
    return standing(policy, seen, allocations(policy, {CELL: seen}).cells.get(CELL))


@pytest.mark.parametrize(
    ("mode", "arms", "begins"),
    [
        ("bypass", {}, "bypassed"),
        ("observe", {"0.4": (500.0, 0.5)}, "observing"),
        ("apply", {"0.4": (3.0, 0.5)}, "collecting: 3 labels"),
        ("apply", {"0.2": (900.0, 0.9), "0.4": (900.0, 0.5), "0.6": (900.0, 0.3)}, "committed: 0.2"),
        ("apply", {"0.2": (50.0, 0.72), "0.4": (50.0, 0.72), "0.6": (50.0, 0.72)}, "exploring"),
        ("apply", {"0.2": (900.0, 0.4), "0.4": (900.0, 0.8), "0.6": (900.0, 0.4)}, "at the policy's value"),
    ],
)
def test_every_stage_is_told(mode: str, arms: dict[str, tuple[float, float]], begins: str) -> None:
    assert told(mode, arms).startswith(begins)


def test_a_rollback_and_a_change_are_told_with_cause_and_time() -> None:
    assert "rolled back: refusal" in told("apply", {"0.4": (500.0, 0.5)}, rolled_back="refusal")
    assert "changed on 2026-09-21" in told("apply", {"0.4": (500.0, 0.5)}, changed_at=1_790_000_000.0)
    assert told("apply", {"0.4": (500.0, 0.5)}, changed_at=1e300).startswith("at the policy's value")


def test_what_makes_no_sense_is_said_to() -> None:
    policy = Policy("p", "d", adaptation=Adaptation(mode="apply"))
    assert standing(policy, CellStatistics({}, {}), None).startswith("unreadable")
