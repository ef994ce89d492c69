"""When a cell has settled, and when it no longer has."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from policies.settling import ENOUGH, LEFT, SETTLED, settled

ARMS = ("0.1", "0.3", "0.5")
weights = st.lists(st.integers(0, 1_000), min_size=3, max_size=3).filter(any)


@pytest.mark.parametrize(
    ("share", "before", "arm"),
    [(0.6, (), "0.5"), (0.59, (), None), (0.46, ("0.5",), "0.5"), (0.44, ("0.5",), None), (0.46, ("0.1",), None)],
)
def test_an_arm_settles_at_a_large_share_and_leaves_at_a_smaller_one(
    share: float, before: tuple[str, ...], arm: str | None
) -> None:
    assert settled({"0.1": 0.0, "0.3": 1 - share, "0.5": share}, "0.1", 1_000, before) == (
        arm or ("0.3" if 1 - share >= SETTLED else None)
    )


def test_the_policys_own_value_settles_on_many_labels_only() -> None:
    own = {"0.1": 0.0, "0.3": 0.9, "0.5": 0.1}
    assert settled(own, "0.3", ENOUGH - 1) is None
    assert settled(own, "0.3", ENOUGH) == "0.3"
    assert settled(own, "0.3", ENOUGH / 2, {"0.3"}) == "0.3"
    assert settled({"0.1": 0.0, "0.3": 0.1, "0.5": 0.9}, "0.3", 20) == "0.5"


def test_a_share_that_wobbles_does_not_flap() -> None:
    arm, changes = None, 0
    for n in range(100):
        share = 0.55 + (0.06 if n % 2 else -0.06)
        now = settled({"0.3": 1 - share, "0.5": share}, "0.3", 1_000, () if arm is None else (arm,))
        changes += now != arm
        arm = now
    assert changes == 1


@given(weights, st.lists(st.sampled_from(ARMS)), st.floats(0, 1e4))
def test_what_has_settled_has_much_of_the_traffic_and_stays(raw: list[int], before: list[str], labels: float) -> None:
    learned = {arm: w / sum(raw) for arm, w in zip(ARMS, raw, strict=True)}
    arm = settled(learned, "0.3", labels, before)
    if arm is not None:
        assert learned[arm] >= (LEFT if arm in before else SETTLED)
        assert settled(learned, "0.3", 0, (arm,)) == arm
