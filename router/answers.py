"""Reading an answer after it was relayed: id, finish reason, usage and text, on every surface, whole or of events."""

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any

import orjson


@dataclass(slots=True)
class Answered:
    """What an answer said. Tokens None: the upstream did not tell."""

    completion: str | None = None
    finish: str | None = None
    text: str = ""
    prompt_tokens: int | None = None
    completion_tokens: int | None = None
    cached_tokens: int | None = None
    error: bool = False


def read_whole(body: bytes) -> Answered | None:
    """A whole answer; None where the body is not a JSON object."""
    try:
        whole = orjson.loads(body)
    except orjson.JSONDecodeError:
        return None
    if not isinstance(whole, dict):
        return None
    return _plain_chat(whole) or _read((whole,))


def _plain_chat(whole: dict[str, Any]) -> Answered | None:
    """What nearly all whole answers are, read straight: a chat completion of one choice. None for any other."""
    try:
        choice, *others = whole["choices"]
        usage, content = whole["usage"], choice["message"]["content"]
        details = usage.get("prompt_tokens_details")
        cached = details.get("cached_tokens") if details else None
        found = (
            whole["id"],
            choice["finish_reason"],
            content,
            usage["prompt_tokens"],
            usage["completion_tokens"],
            cached,
        )
    except (KeyError, TypeError, ValueError, AttributeError):
        return None
    if (
        others
        or "error" in whole
        or choice.get("index", 0) != 0
        or tuple(map(type, found[:5])) != _PLAIN
        or not all(found[:3])
    ):
        return None
    return Answered(*found) if cached is None or type(cached) is int else None


_PLAIN = (str, str, str, int, int)


def read_events(body: bytes) -> Answered:
    """An answer in events, each of them looked at."""
    return _read(events(body))


def _read(objects: Iterable[dict[str, Any]]) -> Answered:
    answered, parts = Answered(), list[str]()
    for each in objects:
        _take(answered, each, parts)
    answered.text = "".join(parts)
    return answered


def events(body: bytes) -> Iterator[dict[str, Any]]:
    """The JSON objects of server-sent events; what is none is left out."""
    for line in body.split(b"\n"):
        if line.startswith(b"data:") and (data := line[5:].strip()) and data != b"[DONE]":
            try:
                event = orjson.loads(data)
            except orjson.JSONDecodeError:
                continue
            if isinstance(event, dict):
                yield event


def _take(answered: Answered, event: Mapping[str, Any], parts: list[str]) -> None:
    """Add one object, whole answer or event; the shapes of the surfaces do not overlap."""
    if event.get("error"):
        answered.error = True
    nested = event.get("response") or event.get("message")
    if isinstance(nested, dict):  # responses: response.completed; messages: message_start
        answered.completion = answered.completion or _text(nested.get("id"))
        _usage(answered, nested.get("usage"))
        answered.finish = _text(nested.get("status")) if event.get("type") in _ENDS else answered.finish
    answered.completion = answered.completion or _text(event.get("id"))
    _usage(answered, event.get("usage"))
    for choice in _list(event.get("choices")):
        _choice(answered, choice, parts)
    _block(answered, event, parts)


_ENDS = ("response.completed", "response.incomplete", "response.failed")


def _choice(answered: Answered, choice: Mapping[str, Any], parts: list[str]) -> None:
    answered.finish = _text(choice.get("finish_reason")) or answered.finish
    if choice.get("index", 0) != 0:
        return
    said = choice.get("delta") or choice.get("message")
    content = said.get("content") if isinstance(said, dict) else choice.get("text")
    if isinstance(content, str):
        parts.append(content)


def _block(answered: Answered, event: Mapping[str, Any], parts: list[str]) -> None:
    """Anthropic's and the Responses API's texts."""
    delta = event.get("delta")
    if isinstance(delta, str) and event.get("type") == "response.output_text.delta":
        parts.append(delta)
    elif isinstance(delta, dict):
        parts.append(_text(delta.get("text")) or "")
        answered.finish = _text(delta.get("stop_reason")) or answered.finish
    blocks = _list(event.get("content")) + [c for o in _list(event.get("output")) for c in _list(o.get("content"))]
    parts.extend(_text(block.get("text")) or "" for block in blocks)
    if event.get("object") == "response" or event.get("type") == "message":
        answered.finish = _text(event.get("stop_reason") or event.get("status")) or answered.finish


def _usage(answered: Answered, usage: Any) -> None:
    if not isinstance(usage, dict):
        return
    for field, names in (
        ("prompt_tokens", ("prompt_tokens", "input_tokens")),
        ("completion_tokens", ("completion_tokens", "output_tokens")),
    ):
        found = next((usage[n] for n in names if isinstance(usage.get(n), int)), None)
        if found is not None:
            setattr(answered, field, found)
    details = usage.get("prompt_tokens_details") or usage.get("input_tokens_details")
    if isinstance(details, dict) and isinstance(details.get("cached_tokens"), int):
        answered.cached_tokens = details["cached_tokens"]


# Every surface's word for "the token limit cut the answer off", as OpenAI's chat says it.
TRUNCATED = frozenset({"length", "max_tokens", "incomplete", "model_length"})


def _text(value: Any) -> str | None:
    return value if isinstance(value, str) and value else None


def _list(value: Any) -> list[dict[str, Any]]:
    return [v for v in value if isinstance(v, dict)] if isinstance(value, list) else []
