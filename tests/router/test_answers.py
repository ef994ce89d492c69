"""Whole answers: the short way says what the long one says."""

from typing import Any

import orjson
from hypothesis import given
from hypothesis import strategies as st

from router.answers import read_events, read_whole

ANSWER: dict[str, Any] = {
    "id": "c-1",
    "object": "chat.completion",
    "choices": [{"index": 0, "message": {"role": "assistant", "content": "Hello."}, "finish_reason": "stop"}],
    "usage": {"prompt_tokens": 7, "completion_tokens": 2, "prompt_tokens_details": {"cached_tokens": 3}},
}
ODD = st.one_of(
    st.none(), st.booleans(), st.integers(-5, 5), st.text(max_size=3), st.just([]), st.just({}), st.floats(0, 1)
)
PLACES = ("id", "choices", "usage", "error", "choices.0", "choices.0.message", "choices.0.message.content", "choices.0.finish_reason",
          "choices.0.index", "choices.1", "usage.prompt_tokens", "usage.completion_tokens", "usage.prompt_tokens_details",
          "usage.prompt_tokens_details.cached_tokens")  # fmt: skip


def put(answer: Any, place: str, value: Any) -> Any:
    """The answer with something else, or more, in one place."""
    name, _, rest = place.partition(".")
    if isinstance(answer, list):
        at = int(name)
        inner = put(answer[at], rest, value) if rest else value
        return [*answer[:at], inner, *answer[at + 1 :]]
    return {**answer, name: put(answer[name], rest, value) if rest else value}


@given(st.sampled_from(PLACES), ODD)
def test_an_answer_with_something_odd_in_it_is_read_as_its_event_would_be(place: str, value: Any) -> None:
    whole = orjson.dumps(put(ANSWER, place, value))
    assert read_whole(whole) == read_events(b"data: " + whole)


def test_a_plain_answer_is_read() -> None:
    found = read_whole(orjson.dumps(ANSWER))
    assert found is not None
    assert (found.completion, found.finish, found.text, found.error) == ("c-1", "stop", "Hello.", False)
    assert (found.prompt_tokens, found.completion_tokens, found.cached_tokens) == (7, 2, 3)
    assert read_whole(b"[]") is None
    assert read_whole(b"{") is None
