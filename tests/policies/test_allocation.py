"""Draws: the logged propensity is the one used."""

from collections import Counter
from itertools import pairwise

from hypothesis import given
from hypothesis import strategies as st

from policies.allocation import WHOLE, Allocations, draw, shares, unit_of
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
    assert got["0.3"] >= control - 1 / WHOLE
    assert all(float(f"{v:.6f}") == v for v in got.values())  # what is logged in six digits is what was drawn with


def test_without_anything_learned_the_policys_value_is_served() -> None:
    assert shares(None, GRID, 0.05) == {"0.3": 1.0}


def test_draws_match_their_propensity() -> None:
    table = Allocations("v1", {"c": {"0.1": 0.2, "0.3": 0.3, "0.5": 0.5}})
    draws = [draw("c", GRID, table, 0.05, f"unit-{i}") for i in range(20_000)]
    seen = Counter(d.arm for d in draws)
    for d in {d.arm: d for d in draws}.values():
        assert abs(seen[d.arm] / len(draws) - d.propensity) < 0.015


def test_units_keep_their_arms_over_small_changes_of_the_table_and_into_the_next_turns() -> None:
    tables = [
        Allocations(
            f"v{n}",
            {
                "1": {"0.1": 0.3 + n / 100, "0.3": 0.4 - n / 100, "0.5": 0.3},
                "2-3": {"0.1": 0.3, "0.3": 0.4, "0.5": 0.3},
            },
        )
        for n in range(5)
    ]
    draws = [[draw("1", GRID, t, 0.05, f"s{i}").arm for i in range(2_000)] for t in tables]
    later = [draw("2-3", GRID, tables[4], 0.05, f"s{i}").arm for i in range(2_000)]
    assert draws[0] == later
    for before, after in pairwise(draws):
        assert sum(a != b for a, b in zip(before, after, strict=True)) < 2_000 * 0.04


def test_two_replicas_with_the_same_table_give_a_session_the_same_arm() -> None:
    cells = {"c": {"0.1": 0.5, "0.5": 0.5}}
    one, two = Allocations("v1", cells), Allocations("v1", {"c": dict(reversed(cells["c"].items()))})
    other = Grid(GRID.parameter, dict(GRID.values), GRID.baseline)
    for n in range(200):
        assert draw("c", GRID, one, 0.05, f"s{n}") == draw("c", other, two, 0.05, f"s{n}")


def test_a_unit_is_a_tenants_session_unless_the_policy_says_request() -> None:
    assert unit_of("session", "a/b", "c", "dec_1") != unit_of("session", "a", "b/c", "dec_1")
    assert unit_of("session", "a", "c", "dec_1") == unit_of("session", "a", "c", "dec_2")
    assert unit_of("session", "a", None, "dec_1") == unit_of("request", "a", "c", "dec_1") == "dec_1"


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
