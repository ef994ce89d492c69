"""The simulated worlds are fair and say what they promise to say."""

import numpy as np
import pytest

from bench.learning.__main__ import measured, missed
from bench.learning.contestants import CONTESTANTS
from bench.learning.pooled import missed as missed_pooling
from bench.learning.pooled import models
from bench.learning.simulation import Run, against_static, ever_below, run
from bench.learning.worlds import ARMS, CHANGE, STEP, WORLDS

HALF = CHANGE // STEP


@pytest.mark.parametrize("who", CONTESTANTS)
def test_a_contestant_always_says_how_all_traffic_is_split(who: str) -> None:
    one, rng = CONTESTANTS[who](4, 7), np.random.default_rng(7)
    for _ in range(60):
        p = one.allocate()
        assert p.shape == ARMS.shape
        assert p.min() >= 0
        assert abs(p.sum() - 1) < 1e-9
        n = rng.integers(0, 3, len(ARMS)).astype(float)
        s = n * rng.random()
        one.learn(n, s, s)


def test_equal_seeds_are_equal_luck() -> None:
    one, again, other = (run(CONTESTANTS["Thompson"], WORLDS["main"], 3, seed) for seed in (1, 1, 2))
    assert one.worth.tolist() == again.worth.tolist() != other.worth.tolist()


def test_worlds_are_as_they_are_described() -> None:
    gaps = [float(t.before.max() - t.before[t.baseline]) for t in WORLDS["main"].tasks]
    assert sorted(round(gap, 3) for gap in gaps) == [0, 0, 0, 0.048, 0.048, 0.048]
    assert sum(t.changed for t in WORLDS["main"].tasks) == sum(t.changed for t in WORLDS["break"].tasks) == 3
    assert not any(t.changed for w in ("flat", "good", "multimodal") for t in WORLDS[w].tasks)
    assert all(np.ptp(t.before[ARMS < 1.3]) < 1e-9 for t in WORLDS["flat"].tasks)


def test_static_is_the_measure_and_ours_is_below_it() -> None:
    static, ours = ([run(CONTESTANTS[who], WORLDS["main"], n, 5) for n in (3, 4, 5)] for who in ("static", "ours"))
    assert against_static(static, slice(None)) == pytest.approx(1.0)
    assert ever_below(static) == 0.0
    assert against_static(ours, slice(0, HALF)) < 0.9


def test_a_loss_counts_from_the_beginning_and_only_when_it_is_one() -> None:
    worth, baseline = np.full(800, 0.5), np.full(800, 0.5)
    dip = worth.copy()
    dip[:40] = 0.45
    still = Run(0, worth, baseline, baseline, np.zeros((800, 2)), ())
    lost = Run(0, dip, baseline, baseline, np.zeros((800, 2)), ())
    assert ever_below([still, lost]) == 0.5


def test_what_is_missed_is_said() -> None:
    good = measured("ours", "flat", [[run(CONTESTANTS["ours"], WORLDS["flat"], 0, 3)]]) | {"lost": 0.0002}
    assert missed({"flat": {"ours": good}}) == []
    assert missed({"flat": {"ours": good | {"lost": 0.1}}}) == ["flat: lost is 0.1, promised 0.0003"]
    assert missed({"late": {"ours": good, "UCB1": good | {"lost": -1.0}}}) == [
        f"late: UCB1 loses -1.0000 a request, ours {good['lost']:.4f}"
    ]


def test_pooled_models_are_alike_or_not_as_their_world_says() -> None:
    alike, unlike = (
        [int(task.before.argmax()) for seed in range(5) for task in models(where, 3, seed)]
        for where in ("related", "unrelated")
    )
    assert np.ptp(alike) <= 2 < np.ptp(unlike)
    assert [t.before.tolist() for t in models("related", 3, 1)] == [t.before.tolist() for t in models("related", 3, 1)]


def test_what_pooling_misses_is_said() -> None:
    worse, better = np.full((3, 4), 0.03), np.full((3, 4), 0.02)
    good = {"static": worse, "ours alone": better, "ours pooled": better}
    assert missed_pooling(good, good) == []
    assert len(missed_pooling(good | {"ours pooled": worse}, good | {"ours pooled": worse})) == 4
