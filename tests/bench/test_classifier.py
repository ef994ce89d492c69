"""The classifier's bench says what is worse than promised, and measures memory where only serving is loaded."""

import pytest

from bench.classifier import TIMED, Times, footprint, missed
from classifier.evaluation import Scores, score

GOOD: Times = {name: (t.median, t.p99 or 1e6) for name, t in TIMED.items()}


def scores(right: bool) -> Scores:
    return score(["a"], ["a" if right else "b"], [0.9])


def test_what_is_as_promised_is_not_missed() -> None:
    assert not list(missed([("x", scores(False), scores(True))], GOOD, 40.0))


@pytest.mark.parametrize(
    ("name", "times", "said"),
    [
        ("300 characters, English", (60.6, 100.0), "median 61 µs, promised 60"),
        ("300 characters, Chinese", (50.0, 151.0), "p99 151 µs, promised 150"),
        ("100 KB, Chinese", (301.0, 400.0), "median 301 µs, promised 300"),
    ],
)
def test_a_slow_verdict_is_missed(name: str, times: tuple[float, float], said: str) -> None:
    assert list(missed([], GOOD | {name: times}, 1.0)) == [f"{name}: {said}"]


def test_rules_that_are_as_right_and_too_much_memory_are_missed() -> None:
    assert list(missed([("validation, en", scores(True), scores(True))], GOOD, 40.06)) == [
        "validation, en: the model is right on 100.0%, the rules on 100.0%",
        "adds 40.1 MiB, promised 40",
    ]


def test_serving_loads_nothing_of_training() -> None:
    assert all(0 < mib < 200 for mib in footprint().values())
