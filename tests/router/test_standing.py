"""Where a cell stands, in one word that follows from what is stored and what is served."""

from collections.abc import Mapping
from dataclasses import replace

import pytest

from metrics.rewards import Combined
from metrics.tally import CellStatistics, Tally
from policies.loading import parse
from policies.policy import Policy
from router.standing import lift, standing, when

META = {"parameter": "temperature", "grid": ["0.1", "0.3", "0.5"], "baseline": "0.3", "task": "code"}
RATED = {"0.3": {"rating": Tally(8, 4, 2)}, "0.5": {"rating": Tally(4, 2, 1)}}
SEEN = CellStatistics(META, RATED)
OWN = {"0.1": 0.0, "0.3": 1.0, "0.5": 0.0}


def policy(mode: str) -> Policy:
    return parse({"p.yaml": f"version: 1\nadapt: {{mode: {mode}}}"}, "p")


@pytest.mark.parametrize(
    ("learned", "word", "reason"),
    [
        ({"0.1": 0.0, "0.3": 0.2, "0.5": 0.8}, "committed", "0.5 gets 80%"),
        ({"0.1": 0.1, "0.3": 0.2, "0.5": 0.6}, "committed", "0.5 gets 60%"),
        ({"0.1": 0.1, "0.3": 0.31, "0.5": 0.59}, "exploring", "0.5 gets 59%, 0.3 gets 31%, 0.1 gets 10%"),
        ({"0.1": 0.0, "0.3": 0.94, "0.5": 0.06}, "exploring", "0.3 gets 94%, 0.5 gets 6%"),
        ({"0.1": 0.05, "0.3": 0.9, "0.5": 0.05}, "baseline", "no arm has done better than 0.3, which gets 90%"),
        (OWN, "baseline", "no arm has done better than 0.3, which gets 100%"),
        (None, "baseline", "what is stored makes no sense here; the policy's own value is served"),
    ],
)
def test_what_is_served_says_where_a_cell_stands(learned: Mapping[str, float] | None, word: str, reason: str) -> None:
    found = standing(policy("apply"), SEEN, learned)
    assert (found.word, found.reason) == (word, reason)


@pytest.mark.parametrize("mode", ["observe", "bypass"])
def test_a_mode_that_does_not_apply_is_observing(mode: str) -> None:
    found = standing(policy(mode), SEEN, OWN)
    assert found.word == "observing"
    assert mode in found.reason


def test_too_little_evidence_is_said_before_what_is_served() -> None:
    applied = policy("apply")
    few = replace(SEEN, arms={"0.3": {"rating": Tally(9.5, 4, 2)}})
    found = standing(applied, few, {"0.1": 0.3, "0.3": 0.4, "0.5": 0.3})
    assert (found.word, found.reason) == ("collecting", "9.5 labels of the 10 that anything can be said with")
    fast = replace(SEEN, arms={"0.3": {"latency": Tally(500, 250, 125)}})
    assert standing(applied, fast, OWN).word == "collecting"
    assert standing(applied, replace(SEEN, arms={}), OWN).word == "no effect"


def test_a_pause_stands_above_a_rollback_and_a_rollback_above_the_mode() -> None:
    observed = policy("observe")
    held = replace(SEEN, rolled_back="reward fell", rolled_back_until=1_790_000_000.0)
    found = standing(observed, held, OWN)
    assert (found.word, found.reason) == ("rolled back", "reward fell, until 2026-09-21 14:13 UTC")
    assert standing(observed, replace(held, rolled_back_until=None), OWN).reason == "reward fell, until released"
    assert standing(observed, replace(held, paused=True), OWN).word == "paused"


def test_a_cell_beside_a_place_that_nobody_is_at_is_waiting() -> None:
    seen = replace(SEEN, meta=META | {"parameter": "top_p", "beside": {"temperature": "0.8", "min_p": "0.1"}})
    found = standing(policy("apply"), seen, OWN, reached=False)
    assert (found.word, "until temperature=0.8, min_p=0.1 has settled again" in found.reason) == ("waiting", True)
    assert standing(policy("apply"), seen, OWN).word == "baseline"
    assert standing(policy("apply"), replace(seen, paused=True), OWN, reached=False).word == "paused"


def test_odd_meta_has_a_standing_too() -> None:
    applied = policy("apply")
    for meta in ({}, {"grid": 7}, {"grid": [], "task": ["x"]}, {"beside": 7}):
        assert standing(applied, CellStatistics(meta, RATED), None).word == "baseline"


def test_a_lift_is_the_difference_with_both_errors_in_it() -> None:
    found = lift(Combined(100, 0.8, 0.16), Combined(25, 0.5, 0.25))
    assert found is not None
    assert found.mean == pytest.approx(0.3)
    half = 1.645 * (0.16 / 100 + 0.25 / 25) ** 0.5
    assert found.low == pytest.approx(0.3 - half)
    assert found.high == pytest.approx(0.3 + half)
    assert lift(Combined(0, 0.5, 0.25), Combined(25, 0.5, 0.25)) is None
    assert lift(Combined(25, 0.5, 0.25), Combined(0, 0.5, 0.25)) is None


@pytest.mark.parametrize("at", [None, 1e300, -1e300])
def test_a_time_that_is_none_is_said_to_be_unknown(at: float | None) -> None:
    assert when(at) == "an unknown time"
