"""What a request costs is held in calls and instructions, which are the same on every machine."""

import sys

import pytest

from bench import BenchError
from bench.speed.calls import SLACK, Counter, Counts, committed, exceeded, fewest


def test_a_request_takes_no_more_than_was_committed() -> None:
    """If this fails and the cost is worth it: `python -m bench.speed.calls --where`, then `--write`."""
    then = committed()
    if then is None:
        pytest.skip(f"no counts are committed for Python {sys.version_info[0]}.{sys.version_info[1]}")
    assert exceeded(fewest(then), then) == []


def test_a_fifth_more_calls_is_said() -> None:
    then = Counts(1000, 20_000, 100)
    assert exceeded(Counts(1040, 20_800, 190), then) == []
    assert exceeded(Counts(1200, 20_800, 190), then) == [
        "a request takes 1,200 calls, 20% more than the 1,000 in calls.json"
    ]
    assert len(exceeded(Counts(1200, 24_000, 250), then)) == 3
    assert max(SLACK["calls"], SLACK["instructions"]) < 1.2


def test_the_fewest_of_some_counts_is_what_a_request_takes(monkeypatch: pytest.MonkeyPatch) -> None:
    seen: list[Counts | None] = [Counts(1300, 20_500, 90), None, Counts(1010, 21_500, 80)]

    def counted() -> dict[str, float]:
        if (now := seen.pop(0)) is None:
            raise BenchError("the machine was too busy")
        return now._asdict()

    monkeypatch.setattr("bench.speed.calls.counted", counted)
    assert fewest(Counts(1000, 20_000, 100)) == Counts(1010, 20_500, 80)
    seen = [None] * 3
    with pytest.raises(BenchError, match="too busy"):
        fewest()


def test_calls_and_instructions_of_this_thread_are_counted() -> None:
    counter = Counter()

    def work() -> None:
        for _ in range(10):
            max(1, 2)

    before = sys.getprofile(), sys.gettrace()
    try:
        sys.setprofile(counter.profile)
        work()
        counter.phase = "calls"
        work()
        counter.phase = "instructions"
        work()  # from here on instructions, and of functions that begin from here on
        work()
        counter.phase = ""
        work()
    finally:
        sys.setprofile(before[0])
        sys.settrace(before[1])
    assert 11 <= counter.seen["calls"] <= 14
    assert 60 <= counter.seen["instructions"] <= 150
    assert counter.where[work.__code__] == 11
