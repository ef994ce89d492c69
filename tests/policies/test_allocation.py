"""Draws: the logged propensity is the one used."""

from collections import Counter

from hypothesis import given
from hypothesis import strategies as st

from policies.allocation import Allocations, draw, shares
from policies.arms import Grid, grid, name_of, value_of
from policies.parameters import Range

GRID = Grid("temperature", {"0.1": 0.1, "0.3": 0.3, "0.5": 0.5}, "0.3")
learned = st.dictionaries(st.sampled_from(["0.1", "0.3", "0.5", "0.9"]), st.floats(allow_nan=True, allow_infinity=True))


@given(learned, st.floats(0.01, 0.5))
def test_shares_are_a_distribution_with_a_control_share_whatever_was_learned(
    p: dict[str, float], control: float
) -> None:
    got = shares(p, GRID, control)
    assert abs(sum(got.values()) - 1) < 1e-9
    assert all(0 <= v <= 1 for v in got.values())
    assert got["0.3"] >= control - 1e-12


def test_without_anything_learned_the_policys_value_is_served() -> None:
    assert shares(None, GRID, 0.05) == {"0.3": 1.0}


def test_draws_match_their_propensity() -> None:
    table = Allocations("v1", {"c": {"0.1": 0.2, "0.3": 0.3, "0.5": 0.5}})
    draws = [draw("c", GRID, table, 0.05, f"unit-{i}") for i in range(20_000)]
    seen = Counter(d.arm for d in draws)
    for d in {d.arm: d for d in draws}.values():
        assert abs(seen[d.arm] / len(draws) - d.propensity) < 0.015


def test_a_unit_keeps_its_arm_while_the_allocation_stands() -> None:
    table = Allocations("v1", {"c": {"0.1": 0.5, "0.5": 0.5}})
    assert len({draw("c", GRID, table, 0.05, "session-7").arm for _ in range(9)}) == 1


def test_arms_outside_the_bounds_are_not_open_and_the_policys_value_always_is() -> None:
    got = grid("temperature", (0.1, 0.3, 0.5, 0.9, None), 0.25, Range(0, 0.3), Range(0, 1))
    assert list(got.values) == ["0.1", "0.25", "0.3", "unset"]
    assert got.baseline == "0.25"


def test_an_arms_name_gives_its_value_back() -> None:
    for parameter, value in (
        ("temperature", 0.3),
        ("max_tokens", 64),
        ("reasoning_effort", "low"),
        ("thinking", True),
        ("temperature", None),
    ):
        assert value_of(parameter, name_of(value)) == value
