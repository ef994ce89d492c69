"""Ids that carry their time."""

from hypothesis import given
from hypothesis import strategies as st

from metrics.ids import decision_time, new_decision_id


@given(st.floats(0, 1e11), st.binary(min_size=10, max_size=16))
def test_an_id_tells_when_it_was_made(now: float, random: bytes) -> None:
    made = decision_time(new_decision_id(now, random))
    assert made is not None
    assert abs(made - now) <= 0.001


@given(st.text())
def test_other_ids_tell_nothing_and_do_no_harm(text: str) -> None:
    assert decision_time(text) is None or text.startswith("dec_")
    decision_time("dec_" + text)


def test_ids_sort_by_time() -> None:
    ids = [new_decision_id(t, b"0123456789") for t in (5.0, 1e9, 1.79e9, 1e10)]
    assert ids == sorted(ids)
