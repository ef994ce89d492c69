"""The race: everybody wins with his share, and who is overtaken by nobody stays."""

import math
from collections import Counter

import pytest
from hypothesis import given
from hypothesis import strategies as st

from policies.race import uniform, winner

ARMS = ("0.1", "0.3", "0.5", "0.7", "0.9", "unset")
UNITS = [f"team\0session-{n}" for n in range(20_000)]
shares = st.lists(st.integers(0, 1_000), min_size=2, max_size=6).filter(any)
unit = st.text(max_size=40)


def odds(weights: list[int]) -> dict[str, float]:
    total = sum(weights)
    return {arm: w / total for arm, w in zip(ARMS, weights, strict=False) if w}


def between(p: dict[str, float], q: dict[str, float]) -> float:
    """Total variation."""
    return sum(abs(p.get(a, 0) - q.get(a, 0)) for a in ARMS) / 2


@pytest.mark.parametrize("weights", [[1, 1], [2, 8, 20, 40, 20, 10], [1, 0, 999], [1, 2, 3, 4, 5, 6]])
def test_every_arm_wins_with_its_share(weights: list[int]) -> None:
    p = odds(weights)
    won = Counter(winner(p, u) for u in UNITS)
    assert won.keys() <= p.keys()
    for arm, share in p.items():
        assert abs(won[arm] / len(UNITS) - share) < 4.5 * math.sqrt(share * (1 - share) / len(UNITS)) + 1e-9


@given(shares, unit)
def test_the_order_of_the_arms_and_the_scale_of_their_shares_are_nothing_to_it(weights: list[int], unit: str) -> None:
    p = odds(weights)
    assert winner(p, unit) == winner(dict(reversed(p.items())), unit) == winner({a: 8 * s for a, s in p.items()}, unit)


@given(shares, shares, unit)
def test_nobody_leaves_an_arm_that_no_other_has_gained_on(before: list[int], after: list[int], unit: str) -> None:
    p, q = odds(before), odds(after)
    won, now = winner(p, unit), winner(q, unit)
    if won in q and won != now:
        assert q[now] / q[won] > p.get(now, 0) / p[won]


@pytest.mark.parametrize(
    ("before", "after"),
    [
        ([20, 60, 20], [22, 58, 20]),
        ([5, 90, 5], [5, 60, 35]),
        ([10, 20, 40, 20, 10], [10, 20, 0, 60, 10]),
        ([50, 50], [50, 45, 5]),
        ([100, 0], [0, 100]),
    ],
)
def test_hardly_more_units_move_than_the_shares_do(before: list[int], after: list[int]) -> None:
    p, q = odds(before), odds(after)
    d = between(p, q)
    moved = sum(winner(p, u) != winner(q, u) for u in UNITS) / len(UNITS)
    noise = 4.5 * 0.5 / math.sqrt(len(UNITS))
    assert d - noise <= moved <= 2 * d / (1 + d) + noise


def test_an_arm_that_bounds_exclude_leaves_the_others_units_alone() -> None:
    p = odds([1, 2, 3, 4])
    for u in UNITS[:2_000]:
        if (won := winner(p, u)) != "0.7":
            assert winner({a: s for a, s in p.items() if a != "0.7"}, u) == won


def test_units_of_two_tenants_have_nothing_to_do_with_each_other() -> None:
    p = odds([1, 1, 1, 1])
    pairs = Counter((winner(p, f"a\0{n}"), winner(p, f"b\0{n}")) for n in range(len(UNITS)))
    off = sum((pairs[x, y] - len(UNITS) / 16) ** 2 / (len(UNITS) / 16) for x in p for y in p)
    assert off < 37.7  # chi-square, 15 degrees of freedom: one in a thousand


@given(st.lists(st.text(), max_size=4))
def test_a_uniform_number_is_its_arguments_alone(parts: list[str]) -> None:
    assert 0 <= uniform(*parts) < 1
    assert uniform(*parts) == uniform(*parts)


def test_a_race_without_arms_is_refused() -> None:
    with pytest.raises(ValueError, match="without arms"):
        winner({}, "u")
