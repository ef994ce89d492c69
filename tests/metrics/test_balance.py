"""What is observed of every answer stands beside what few people say of theirs, and never before it."""

import numpy as np
import pytest

from metrics.balance import BESIDE, balanced
from metrics.correlation import moments, worth
from metrics.rewards import combine
from metrics.tally import CellStatistics, Tally

QUALITY = {"quality": 1.0}


def test_what_is_observed_of_every_answer_does_not_drown_what_few_people_say() -> None:
    def arm(mean: float) -> dict[str, Tally]:
        return {"thumbs": Tally(100, 100 * mean, 100 * mean), "repetition": Tally(1000, 1000, 1000)}

    arms = balanced(CellStatistics(arms={"a": arm(0.5), "b": arm(0.7)}))
    a, b = (combine(arms[name], {"quality": 1.0}) for name in "ab")
    assert b.mean - a.mean > 0.15
    assert 200 <= a.n + b.n <= 200 * (1 + BESIDE) + 1e-6
    assert arms["a"]["thumbs"] == Tally(100, 50, 50)


def test_without_labels_what_is_observed_counts_in_full_and_with_the_first_ones_little_less() -> None:
    seen: dict[str, dict[str, Tally]] = {"a": {"json_valid": Tally(300, 200, 200), "latency": Tally(300, 90, 30)}}
    assert balanced(CellStatistics(arms=seen)) == seen
    seen["b"] = {"rating": Tally(1, 1, 1)}
    assert balanced(CellStatistics(arms=seen))["a"]["json_valid"].n == pytest.approx(300, rel=0.06)
    assert balanced(CellStatistics(arms=seen))["a"]["json_valid"].mean == pytest.approx(2 / 3)
    assert balanced(CellStatistics(arms=seen))["a"]["latency"].n == 300


def cell(rng: np.random.Generator, truth: tuple[float, float], answers: int) -> CellStatistics:
    """Two arms; users like an answer with an arm's chance, and one in ten says so. Repetition follows what they like four times in
    ten, and is chance otherwise."""
    arms, pairs = {}, []
    for name, chance in zip("ab", truth, strict=True):
        y = (rng.random(answers) < chance).astype(float)
        x = np.where(rng.random(answers) < 0.4, y, (rng.random(answers) < 0.5).astype(float))
        said = rng.random(answers) < 0.1
        pairs.append((x[said], y[said]))
        arms[name] = {"thumbs": _tally(y[said]), "repetition": _tally(x)}
    x, y = (np.concatenate(both) for both in zip(*pairs, strict=True))
    sums = {"repetition:x": _tally(x), "repetition:y": _tally(y), "repetition:xy": _tally(x * y)}
    return CellStatistics(arms=arms, pairs=sums, weights={"repetition": worth(moments(sums, "repetition"), 0.5)})


def _tally(values: np.ndarray) -> Tally:
    return Tally(float(len(values)), float(values.sum()), float((values**2).sum()))


def test_a_proven_signal_sharpens_the_difference_of_two_arms_and_does_not_shrink_it() -> None:
    rng, truth = np.random.default_rng(3), (0.5, 0.65)
    found, alone, claimed = [], [], []
    for _ in range(300):
        one = cell(rng, truth, 4_000)
        a, b = (combine(balanced(one)[name], QUALITY) for name in "ab")
        found.append(b.mean - a.mean)
        claimed.append((a.variance / a.n + b.variance / b.n) ** 0.5)
        alone.append(one.arms["b"]["thumbs"].mean - one.arms["a"]["thumbs"].mean)
    assert np.mean(found) == pytest.approx(0.15, abs=0.01)
    assert np.std(found) < 0.8 * np.std(alone)
    assert np.mean(claimed) == pytest.approx(np.std(found), rel=0.25)


def test_what_ratings_say_nothing_of_counts_as_it_did() -> None:
    """A cell that nobody rated, of a task whose ratings prove a signal: there is no level to bring it to."""
    one = cell(np.random.default_rng(3), (0.5, 0.6), 4_000)
    unrated = CellStatistics(arms={"a": {"repetition": Tally(100, 60, 60)}}, weights=one.weights)
    raw = balanced(unrated)["a"]["repetition"]
    assert raw.mean == pytest.approx(0.6)
    assert raw.n == pytest.approx(100 * one.weights["repetition"].raw / 0.5)
