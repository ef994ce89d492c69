"""Feedback values as rewards, and what is refused."""

import math

import pytest
from hypothesis import given
from hypothesis import strategies as st

from metrics.errors import SignalError
from metrics.signals import EXPLICIT, SIGNALS, Raw, explicit


@pytest.mark.parametrize(
    ("signal", "value", "reward"),
    [
        ("rating", 1, 0.0),
        ("rating", 4, 0.75),
        ("rating", 5.0, 1.0),
        ("thumbs", True, 1.0),
        ("thumbs", "Down", 0.0),
        ("thumbs", -1, 0.0),
        ("score", 0.25, 0.25),
        ("success", False, 0.0),
        ("accepted", "true", 1.0),
        ("edited", 0.2, 0.8),
        ("regenerated", True, 0.0),
        ("regenerated", False, 1.0),
        ("task", "code", 1.0),
    ],
)
def test_a_value_becomes_a_reward(signal: str, value: Raw, reward: float) -> None:
    assert explicit(signal, value)[1] == pytest.approx(reward)


@pytest.mark.parametrize(
    ("signal", "value"),
    [
        ("rating", 0),
        ("rating", True),
        ("rating", "5"),
        ("rating", math.nan),
        ("score", 1.01),
        ("score", math.inf),
        ("edited", -0.1),
        ("thumbs", "sideways"),
        ("thumbs", 2),
        ("success", None),
        ("accepted", [1]),
        ("task", "no task!"),
        ("task", True),
    ],
)
def test_a_value_that_means_nothing_is_refused_with_what_is_allowed(signal: str, value: Raw) -> None:
    with pytest.raises(SignalError, match="allowed: "):
        explicit(signal, value)


@pytest.mark.parametrize("signal", ["stars", "", "latency", "x" * 10_000])
def test_an_unknown_or_observed_signal_is_refused_with_those_that_exist(signal: str) -> None:
    with pytest.raises(SignalError, match="rating, thumbs, score") as caught:
        explicit(signal, 1)
    assert len(str(caught.value)) < 300


@given(st.sampled_from(EXPLICIT), st.one_of(st.floats(), st.booleans(), st.text(), st.integers()))
def test_whatever_is_sent_gives_a_reward_in_0_to_1_or_a_signal_error(signal: str, value: Raw) -> None:
    try:
        _, reward = explicit(signal, value)
    except SignalError:
        return
    assert 0 <= reward <= 1


@given(st.sampled_from(["latency", "ttft", "cost"]), st.floats(0, 1e9), st.floats(0, 1e9))
def test_less_is_better_for_times_and_costs(signal: str, a: float, b: float) -> None:
    low, high = (SIGNALS[signal].normalise(x) for x in sorted((a, b)))
    assert low is not None
    assert high is not None
    assert 0 <= high <= low <= 1


def test_every_row_says_what_it_takes_and_is_for() -> None:
    for row in SIGNALS.values():
        assert row.help
        assert row.takes
        assert row.weight >= 0
        assert row.window > 0 or row.source == "observed"
