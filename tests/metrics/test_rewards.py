"""What learning compares arms by."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from metrics.rewards import combine
from metrics.signals import SIGNALS
from metrics.tally import Tally


def tally(*rewards: float) -> Tally:
    return Tally(len(rewards), sum(rewards), sum(r * r for r in rewards))


def test_quality_alone_is_the_mean_of_its_labels() -> None:
    found = combine({"rating": tally(1.0, 0.5)}, {"quality": 1.0})
    assert found.n == 2
    assert found.mean == pytest.approx(0.75)


def test_signals_of_a_group_count_by_their_weight() -> None:
    found = combine({"rating": tally(0.0), "repetition": tally(1.0, 1.0)}, {"quality": 1.0})
    assert (found.n, found.mean) == pytest.approx((2.0, 0.5))


def test_groups_mix_by_the_objective_and_evidence_counts_in_labels() -> None:
    signals = {"rating": tally(1.0), "latency": tally(*[0.5] * 100), "cost": tally(*[0.0] * 100)}
    found = combine(signals, {"quality": 0.7, "latency": 0.15, "cost": 0.15})
    assert found.n == 1
    assert found.mean == pytest.approx(0.7 + 0.075)


def test_an_arm_known_to_be_fast_and_not_known_to_be_good_is_unknown() -> None:
    assert combine({"latency": tally(1.0, 1.0)}, {"quality": 0.7, "latency": 0.3}) == (0.0, 0.5, 0.25)
    assert combine({}, {}) == (0.0, 0.5, 0.25)


def test_what_has_no_price_is_judged_by_the_rest() -> None:
    with_quality = {"rating": tally(0.8), "latency": tally(0.4)}
    assert combine(with_quality, {"quality": 0.5, "latency": 0.25, "cost": 0.25}).mean == pytest.approx(
        (0.8 * 2 + 0.4) / 3
    )


def test_guardrails_labels_and_signals_of_newer_versions_do_not_move_the_mean() -> None:
    more = {"rating": tally(1.0), "refusal": tally(0.0), "task": tally(0.0), "from_the_future": tally(0.0)}
    assert combine(more, {"quality": 1.0}).mean == 1.0


def test_two_equal_rewards_claim_no_certainty_and_many_do() -> None:
    few, many = combine({"score": tally(1, 1)}, {"quality": 1}), combine({"score": tally(*[1] * 1000)}, {"quality": 1})
    assert few.variance / few.n > 0.03
    assert many.variance / many.n < 1e-6


@given(
    st.dictionaries(st.sampled_from(sorted(SIGNALS)), st.lists(st.floats(0, 1), max_size=20)),
    st.dictionaries(st.sampled_from(["quality", "latency", "cost"]), st.floats(0, 1)),
)
def test_whatever_was_seen_the_numbers_are_usable(seen: dict[str, list[float]], objective: dict[str, float]) -> None:
    found = combine({k: tally(*v) for k, v in seen.items()}, objective)
    assert found.n >= 0
    assert 0 <= found.mean <= 1 + 1e-9
    assert found.variance > 0


def test_an_answer_that_was_not_cut_off_says_nothing_of_how_good_it_is() -> None:
    assert combine({"truncated": tally(*[1.0] * 100)}, {"quality": 1.0}).n == 0
