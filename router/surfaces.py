"""Surfaces: the API shapes that clients speak, each with how its prompt is read. A new one is one row."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from types import MappingProxyType
from typing import Any

from classifier.ask import Ask, read_messages, read_text

Body = Mapping[str, Any]


@dataclass(frozen=True, slots=True)
class Surface:
    """One API shape. `path` is below /v1; `required` must be in the body."""

    name: str
    path: str
    required: str
    ask: Callable[[Body], Ask]


def _messages(body: Body) -> list[Any]:
    messages = body.get("messages")
    return messages if isinstance(messages, list) else []


def wants_json(body: Body) -> bool:
    """Whether the answer is to be JSON, on any surface."""
    text = body.get("text")
    asked = body.get("response_format") or (text.get("format") if isinstance(text, dict) else None)
    return isinstance(asked, dict) and asked.get("type") in ("json_object", "json_schema")


def _chat(body: Body) -> Ask:
    return read_messages(_messages(body), bool(body.get("tools")), wants_json(body))


def _anthropic(body: Body) -> Ask:
    system = body.get("system")
    first = [{"role": "system", "content": system}] if system else []
    return read_messages([*first, *_messages(body)], bool(body.get("tools")), wants_json(body))


def _responses(body: Body) -> Ask:
    given, instructions = body.get("input"), body.get("instructions")
    items = given if isinstance(given, list) else [{"role": "user", "content": given}]
    first = [{"role": "system", "content": instructions}] if instructions else []
    return read_messages([*first, *items], bool(body.get("tools")), wants_json(body))


def _completions(body: Body) -> Ask:
    prompt = body.get("prompt")
    if isinstance(prompt, list):
        prompt = next((p for p in prompt if isinstance(p, str)), "")
    return read_text(prompt if isinstance(prompt, str) else "", wants_json(body))


SURFACES: Mapping[str, Surface] = MappingProxyType(
    {
        s.name: s
        for s in (
            Surface("chat", "/chat/completions", "messages", _chat),
            Surface("completions", "/completions", "prompt", _completions),
            Surface("responses", "/responses", "input", _responses),
            Surface("messages", "/messages", "messages", _anthropic),
        )
    }
)
