"""Transcripts: what a stream said, read without parsing each event, is what parsing each event says."""

import json
import time
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from router.answers import read_events
from router.transcript import FOLDED, MOST_EVENT, MOST_TEXT, Transcript

TEXTS = st.lists(st.text(st.characters(exclude_categories=["Cs"]), max_size=8), min_size=1, max_size=30)


def chat(texts: list[str]) -> list[dict[str, Any]]:
    base = {"id": "c-1", "object": "chat.completion.chunk"}
    deltas = [{**base, "choices": [{"index": 0, "delta": {"content": t}, "finish_reason": None}]} for t in texts]
    thought = {**base, "choices": [{"index": 0, "delta": {"reasoning_content": 'so "content": "x"'}}]}
    tool = {"index": 0, "function": {"arguments": '{"content": "no"}'}}
    called = {**base, "choices": [{"index": 0, "delta": {"tool_calls": [tool]}, "finish_reason": None}]}
    end = {**base, "choices": [{"index": 0, "delta": {}, "finish_reason": "stop"}]}
    return [
        thought,
        *deltas,
        called,
        end,
        {**base, "choices": [], "usage": {"prompt_tokens": 7, "completion_tokens": 9}},
    ]


def completions(texts: list[str]) -> list[dict[str, Any]]:
    deltas = [{"id": "c-2", "choices": [{"index": 0, "text": t, "finish_reason": None}]} for t in texts]
    return [*deltas, {"id": "c-2", "choices": [{"index": 0, "text": "", "finish_reason": "length"}]}]


def messages(texts: list[str]) -> list[dict[str, Any]]:
    start = {
        "type": "message_start",
        "message": {"id": "m-1", "content": [], "usage": {"input_tokens": 5, "output_tokens": 1}},
    }
    thought = {"type": "content_block_delta", "index": 0, "delta": {"type": "thinking_delta", "thinking": "hm"}}
    deltas = [{"type": "content_block_delta", "index": 0, "delta": {"type": "text_delta", "text": t}} for t in texts]
    end = {"type": "message_delta", "delta": {"stop_reason": "end_turn"}, "usage": {"output_tokens": 4}}
    return [start, thought, *deltas, {"type": "content_block_stop", "index": 0}, end, {"type": "message_stop"}]


def responses(texts: list[str]) -> list[dict[str, Any]]:
    start = {"type": "response.created", "response": {"id": "r-1", "status": "in_progress", "error": None}}
    thought = {"type": "response.reasoning_summary_text.delta", "delta": "hm"}
    deltas = [{"type": "response.output_text.delta", "output_index": 0, "delta": t} for t in texts]
    said = [{"content": [{"type": "output_text", "text": "".join(texts)}]}]
    done = {"type": "response.output_text.done", "text": "".join(texts)}
    usage = {"input_tokens": 3, "output_tokens": 2}
    end = {
        "type": "response.completed",
        "response": {"id": "r-1", "status": "completed", "output": said, "usage": usage, "error": None},
    }
    return [start, thought, *deltas, done, end]


SURFACES = {"chat": chat, "completions": completions, "messages": messages, "responses": responses}


def sse(events: list[dict[str, Any]], compact: bool, ascii_only: bool) -> bytes:
    separators = (",", ":") if compact else (", ", ": ")
    lines = [json.dumps(e, separators=separators, ensure_ascii=ascii_only) for e in events]
    return "".join(f"data: {line}\n\n" for line in [*lines, "[DONE]"]).encode()


def read(surface: str, stream: bytes, cuts: list[int] | None = None) -> Any:
    transcript = Transcript(surface)
    at = 0
    for cut in [*sorted(c for c in cuts or [] if c < len(stream)), len(stream)]:
        transcript.keep(stream[at:cut])
        at = cut
    return transcript.read()


@settings(max_examples=300)
@given(st.sampled_from(sorted(SURFACES)), TEXTS, st.booleans(), st.booleans(), st.lists(st.integers(0, 5000)))
def test_a_transcript_says_what_the_events_say(
    surface: str, texts: list[str], compact: bool, ascii_only: bool, cuts: list[int]
) -> None:
    stream = sse(SURFACES[surface](texts), compact, ascii_only)
    found = read(surface, stream, cuts)
    assert found == read_events(stream)
    assert found.text == "".join(texts)
    assert found.finish
    assert surface == "completions" or found.completion_tokens


@given(st.binary(max_size=400), st.sampled_from([*SURFACES, "new"]))
def test_no_bytes_are_too_odd_to_be_read(stream: bytes, surface: str) -> None:
    read(surface, stream)


def test_errors_and_further_choices_are_read_event_by_event() -> None:
    two = [{"choices": [{"index": n, "delta": {"content": str(n)}, "finish_reason": "stop"}]} for n in (0, 1, 0)]
    assert read("chat", sse(two, True, True)).text == "00"
    broken = [*chat(["a"])[:2], {"error": {"message": "overloaded"}}]
    assert read("chat", sse(broken, True, True)).error
    assert not read("chat", sse(chat(["a"]), True, True)).error


def test_half_of_a_surrogate_pair_is_no_reason_to_lose_the_text() -> None:
    stream = sse(chat(["ab", "\ud83d", "cd"]), True, True)
    assert read("chat", stream).text.startswith("ab")
    assert read("chat", sse(chat(["\ud83d", "\ude00"]), True, True)).text == "\U0001f600"


@pytest.mark.parametrize("surface", sorted(SURFACES))
def test_of_a_long_answer_the_text_and_both_ends_are_kept(surface: str) -> None:
    texts = [f"word {n} " for n in range(20_000)]
    stream = sse(SURFACES[surface](texts), False, True)
    assert len(stream) > 20 * FOLDED
    transcript = Transcript(surface)
    for at in range(0, len(stream), 1_000):
        transcript.keep(stream[at : at + 1_000])
        assert sum(map(len, transcript._parts)) <= MOST_EVENT
    assert sum(map(len, transcript._text)) < MOST_TEXT + FOLDED
    found, whole = transcript.read(), read_events(stream)
    assert "".join(texts).startswith(found.text[:200_000])
    assert len(found.text) > 150_000
    found.text = whole.text
    assert found == whole


@pytest.mark.parametrize("surface", sorted(SURFACES))
def test_keys_stand_in_any_order(surface: str) -> None:
    events = [dict(reversed(e.items())) for e in SURFACES[surface](["a", "b", "c"])]
    assert read(surface, sse(events, compact=True, ascii_only=True)).text == "abc"


def test_what_an_answer_cites_is_not_its_text() -> None:
    events = chat(["a", "b"])
    events[1]["choices"][0]["delta"]["annotations"] = [{"type": "url_citation", "url_citation": {"content": "a page"}}]
    assert read("chat", sse(events, compact=True, ascii_only=True)).text == "ab"


def test_an_event_that_says_its_type_again_and_again_is_read_in_linear_time() -> None:
    odd = b'data: {%b"x": 1}\n\n' % (b'"type": "response.output_text.delta", ' * 8_000)
    stream = odd + sse(responses(["a"]), compact=True, ascii_only=True)
    began = time.process_time()
    assert read("responses", stream).text == "a"
    assert time.process_time() - began < 5  # linear: some 0.01 s; it was 13


def test_an_event_that_never_ends_takes_no_more_than_another() -> None:
    transcript, began = Transcript("chat"), time.process_time()
    for _ in range(500):
        transcript.keep(b'data: {"content": "' + b"x" * 10_000)
    assert sum(map(len, transcript._parts)) <= 2 * MOST_EVENT
    transcript.read()
    assert time.process_time() - began < 5  # linear: some 0.05 s
