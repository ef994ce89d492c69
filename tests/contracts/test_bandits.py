"""Every bandit holds the promise of the protocol."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from policies.bandits import BANDITS, Bandit, Evidence

evidence = st.builds(Evidence, st.floats(0, 2), st.floats(0, 1e5), st.floats(0, 1), st.floats(0, 0.25))


@pytest.fixture(params=BANDITS, ids=str)
def bandit(request: pytest.FixtureRequest) -> Bandit:
    return BANDITS[request.param]


@pytest.mark.parametrize("name", BANDITS)
@given(arms=st.lists(evidence, min_size=1, max_size=9), data=st.data())
def test_an_allocation_is_a_distribution(name: str, arms: list[Evidence], data: st.DataObject) -> None:
    baseline = data.draw(st.integers(0, len(arms) - 1))
    p = BANDITS[name](arms, baseline, 0.25, 7)
    assert len(p) == len(arms)
    assert all(np.isfinite(p))
    assert min(p) >= 0
    assert abs(sum(p) - 1) < 1e-9


def test_the_same_evidence_gives_the_same_allocation(bandit: Bandit) -> None:
    arms = [Evidence(x / 5, 40, 0.5 + x / 20) for x in range(5)]
    assert bandit(arms, 2, 0.25, 3) == bandit(arms, 2, 0.25, 3)


def test_nothing_known_leaves_most_traffic_with_the_baseline(bandit: Bandit) -> None:
    p = bandit([Evidence(x / 5) for x in range(5)], 2, 0.25, 3)
    assert p[2] >= 0.7


def test_a_bad_world_is_never_entered_boldly(bandit: Bandit) -> None:
    arms = [Evidence(x / 5, 200, 0.7 if x == 2 else 0.3) for x in range(5)]
    assert bandit(arms, 2, 0.25, 3)[2] >= 0.95
