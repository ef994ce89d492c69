"""Schedules: values per turn or attempt."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from policies.parameters import PARAMETERS
from policies.schedule import SHAPES, Curve, Schedule, Steps
from policies.values import parse

TEMPERATURE, MAX_TOKENS = PARAMETERS["temperature"], PARAMETERS["max_tokens"]
values = st.floats(0, 2)
schedules = st.one_of(
    st.builds(Steps, st.lists(values, min_size=1, max_size=9).map(tuple)),
    st.builds(Curve, st.sampled_from(SHAPES), values, values, st.integers(1, 20)),
)


def at(raw: object, turns: range, attempt: int = 1) -> list[float]:
    schedule = parse(TEMPERATURE, raw)
    assert isinstance(schedule, Steps | Curve)
    return [round(schedule.at(turn, attempt), 3) for turn in turns]


def test_first_then_changes_after_the_first_turn() -> None:
    assert at({"first": 0.7, "then": 0.3, "over": 1}, range(1, 4)) == [0.7, 0.3, 0.3]


def test_first_holds_for_as_many_turns_as_over_says() -> None:
    assert at({"first": 0.7, "then": 0.3, "over": 2}, range(1, 5)) == [0.7, 0.7, 0.3, 0.3]


def test_a_list_gives_one_value_a_turn_and_the_last_one_stays() -> None:
    assert at([0.9, 0.5, 0.1], range(1, 6)) == [0.9, 0.5, 0.1, 0.1, 0.1]


def test_a_linear_schedule_arrives_after_its_turns() -> None:
    assert at({"linear": [1.0, 0.2], "over": 4}, range(1, 7)) == [1.0, 0.8, 0.6, 0.4, 0.2, 0.2]


def test_a_cosine_schedule_is_half_way_in_the_middle() -> None:
    assert at({"cosine": [1.0, 0.0], "over": 4}, range(3, 4)) == [0.5]


def test_an_exponential_schedule_goes_most_of_the_way_early() -> None:
    first, second, *_, last = at({"exponential": [1.0, 0.0], "over": 4}, range(1, 6))
    assert (first, last) == (1.0, 0.0)
    assert second < 0.5


def test_a_schedule_by_attempt_warms_a_retry_and_ignores_the_turn() -> None:
    schedule = parse(TEMPERATURE, {"first": 0.2, "then": 0.8, "by": "attempt"})
    assert isinstance(schedule, Steps)
    assert [schedule.at(turn=5, attempt=a) for a in (1, 2, 3)] == [0.2, 0.8, 0.8]


@given(schedules, st.integers(-3, 2_000), st.integers(-3, 2_000))
def test_a_schedule_stays_between_its_limits(schedule: Schedule, turn: int, attempt: int) -> None:
    low, high = schedule.limits
    assert low <= schedule.at(turn, attempt) <= high


@pytest.mark.parametrize(
    ("raw", "said"),
    [
        ({"first": 0.7}, "lacks 'then'"),
        ({"first": 0.7, "thn": 0.3}, "did you mean then?"),
        ({"linear": [0.7], "over": 1}, "two ends"),
        ({"first": 0.7, "then": 0.3, "over": 0}, "over is 0"),
        ({"first": 0.7, "then": 0.3, "by": "day"}, "not turn or attempt"),
        ([], "1 to 1000 values"),
        ([0.1, 9], "outside"),
        (float("nan"), "not a number"),
        (True, "not a number"),
        ("0.3", "not a number"),
    ],
)
def test_a_wrong_schedule_says_what_is_wrong(raw: object, said: str) -> None:
    with pytest.raises(ValueError, match=said.replace("?", r"\?")):
        parse(TEMPERATURE, raw)


def test_a_whole_number_stays_whole() -> None:
    assert parse(MAX_TOKENS, 64) == 64
    with pytest.raises(ValueError, match="whole number"):
        parse(MAX_TOKENS, 64.5)
