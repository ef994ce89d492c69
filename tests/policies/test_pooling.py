"""Pooling: a cell begins with what alike cells know, and unlike ones leave it alone."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from policies.bandits import Evidence
from policies.bandits.curve import kernel, posterior
from policies.bandits.pooling import Member, pool

PLACES = (0.0, 0.2, 0.4, 0.6, 0.8, 1.0)
BASELINE = 1


def member(best: float, level: float = 0.7, labels: float = 400.0, seed: int = 0, steep: float = 0.5) -> Member:
    """A cell whose rewards are what its curve gives, with the noise of so many labels an arm."""
    noise = np.random.default_rng(seed).normal(0, 0.45, len(PLACES)) / np.sqrt(max(labels, 1))
    means = np.clip(level - steep * (np.array(PLACES) - best) ** 2 + noise, 0, 1)
    arms = [Evidence(x, labels, float(m) if labels else 0.0, 0.2) for x, m in zip(PLACES, means, strict=True)]
    return Member(arms, BASELINE)


def fresh() -> Member:
    return member(0.8, labels=0)


def test_a_new_cell_begins_with_the_shape_that_all_others_have() -> None:
    prior = pool([*(member(0.8, level=0.5 + 0.05 * n, seed=n) for n in range(5)), fresh()])[-1]
    assert prior is not None
    mean, cov = posterior(fresh().arms, BASELINE, prior)
    alone, wide = posterior(fresh().arms, BASELINE)
    assert int(mean.argmax()) == PLACES.index(0.8)
    assert int(alone.argmax()) == BASELINE
    gap = np.zeros(len(PLACES))
    gap[[BASELINE, 4]] = -1, 1
    assert gap @ cov @ gap < 0.5 * (gap @ wide @ gap)


def test_the_level_of_others_says_nothing_of_ones_own() -> None:
    low, high = (pool([*(member(0.6, level=level, seed=n) for n in range(4)), fresh()])[-1] for level in (0.4, 0.8))
    assert low is not None
    assert high is not None
    assert np.allclose(low.mean, high.mean, atol=1e-9)


def test_cells_that_have_nothing_in_common_leave_one_another_alone() -> None:
    alike = pool([*(member(0.6, labels=3_000, seed=n) for n in range(8)), fresh()])[-1]
    rng = np.random.default_rng(5)
    odd = [
        Member([Evidence(x, 3_000, float(m), 0.2) for x, m in zip(PLACES, means, strict=True)], BASELINE)
        for means in 0.6 + rng.multivariate_normal(np.zeros(len(PLACES)), kernel(np.array(PLACES)), 8)
    ]
    unlike = pool([*odd, fresh()])[-1]
    assert alike is not None
    assert unlike is not None
    own = np.sqrt(np.diag(kernel(np.array(PLACES))))
    assert np.sqrt(np.diag(unlike.cov)).mean() > 0.9 * own.mean()
    assert np.sqrt(np.diag(alike.cov)).mean() < 0.8 * own.mean()
    assert unlike.n.sum() < 0.25 * alike.n.sum()


def test_nobody_tells_a_cell_what_it_told_them() -> None:
    """With one other cell that knows nothing, a cell's prior is as if it were alone."""
    prior = pool([member(0.8), fresh()])[0]
    assert prior is not None
    assert np.allclose(prior.mean, 0.0, atol=1e-9)
    assert np.allclose(prior.cov, kernel(np.array(PLACES)), atol=1e-9)
    assert prior.n.sum() == 0


def test_what_others_fell_over_is_known() -> None:
    fallen = [Member([Evidence(x, 100, 0.3 if x > 0.7 else 0.7, 0.2) for x in PLACES], BASELINE) for _ in range(3)]
    prior = pool([*fallen, fresh()])[-1]
    assert prior is not None
    assert prior.beside[4] == pytest.approx(-0.4)
    assert prior.beside[2] == pytest.approx(0.0)
    assert prior.n[4] > 50


def test_one_cell_or_nothing_known_gives_no_prior() -> None:
    assert pool([]) == []
    assert pool([member(0.6)]) == [None]
    assert pool([fresh(), fresh()]) == [None, None]


def test_cells_with_other_arms_meet_where_they_have_the_same() -> None:
    few = Member([Evidence(x) for x in (0.4, 0.8)], 0)
    prior = pool([*(member(0.8, seed=n) for n in range(4)), few])[-1]
    assert prior is not None
    assert prior.mean.shape == (2,)
    assert prior.mean[1] > prior.mean[0]


@given(
    st.lists(
        st.lists(
            st.builds(Evidence, st.sampled_from(PLACES), st.floats(0, 1e5), st.floats(0, 1), st.floats(0, 0.25)),
            min_size=1,
            max_size=6,
            unique_by=lambda arm: arm.position,
        ),
        max_size=5,
    )
)
def test_a_prior_is_finite_and_never_wider_than_what_is_believed_alone(cells: list[list[Evidence]]) -> None:
    for arms, prior in zip(cells, pool([Member(arms, 0) for arms in cells]), strict=True):
        if prior is None:
            continue
        assert np.isfinite(prior.mean).all()
        assert np.isfinite(prior.cov).all()
        assert np.linalg.eigvalsh(prior.cov).min() > -1e-9
        assert len(prior.mean) == len(prior.n) == len(arms)
