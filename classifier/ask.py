"""The ask: from a conversation in any API's shape to the text that counts and where it stands. Never raises."""

import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any

from classifier.envelope import bounded, opened

_CJK = re.compile(r"[\u3400-\u9fff]")
_LETTER = re.compile(r"[A-Za-z]")
_REMEMBERED = 4  # earlier asks that a follow-up may take its task from
# Tuples: what stands in their place may be any JSON, also what cannot be hashed.
_TOOL_TYPES = ("tool_result", "function_call_output", "computer_call_output")
_TEXT_TYPES = ("text", "input_text", "output_text")


@dataclass(frozen=True, slots=True)
class Ask:
    """The latest human ask. `turn` counts user messages from 1, tool results aside; `attempt` how often the same was asked
    in a row; `previous` are earlier asks, the latest first; `in_tool_loop`: the model is working through tool results."""

    text: str
    language: str = "other"
    turn: int = 1
    attempt: int = 1
    previous: tuple[str, ...] = ()
    in_tool_loop: bool = False
    images: bool = False
    system: str = ""
    tools: bool = False
    wants_json: bool = False


def read_text(text: str) -> Ask:
    """The ask of a bare prompt."""
    ask = opened(text)
    return Ask(ask, language_of(ask))


def read_messages(messages: Sequence[Any], tools: bool = False, wants_json: bool = False) -> Ask:
    """The ask of a conversation: chat completions, Anthropic's messages, or items of the Responses API."""
    asks: list[str] = []
    system, images, loop = "", False, False
    for message in messages:
        if not isinstance(message, dict):
            continue
        role, content = message.get("role"), message.get("content")
        loop = (
            role in ("tool", "function")
            or message.get("type") in _TOOL_TYPES
            or (role == "user" and _is_tool_result(content))
        )
        if loop:
            continue
        if role in ("system", "developer"):
            system = system or bounded("\n".join(_texts(content)))[:2_000]
        elif role == "user":
            images = images or _has_image(content)
            text = opened("\n".join(_texts(content)))
            if text or not asks:
                asks.append(text)
    text = asks[-1] if asks else ""
    attempt = next((n for n, a in enumerate(reversed(asks)) if a != text), len(asks))
    return Ask(
        text=text,
        language=language_of(text),
        turn=max(len(asks), 1),
        attempt=max(attempt, 1),
        previous=tuple(a for a in reversed(asks[:-1]) if a != text)[:_REMEMBERED],
        in_tool_loop=loop,
        images=images,
        system=system,
        tools=tools,
        wants_json=wants_json,
    )


def language_of(text: str) -> str:
    """`zh`, `en` or `other`, by script: a Chinese ask stays Chinese with code or names in it."""
    if text.isascii():
        return "en" if _LETTER.search(text) else "other"
    sample = text[:500]
    chinese, latin = len(_CJK.findall(sample)), len(_LETTER.findall(sample))
    if chinese * 4 > latin:
        return "zh"
    return "en" if latin else "other"


def _texts(content: Any) -> Iterator[str]:
    if isinstance(content, str):
        yield content
    elif isinstance(content, list):
        for part in content:
            if isinstance(part, str):
                yield part
            elif isinstance(part, dict) and part.get("type") in _TEXT_TYPES and isinstance(part.get("text"), str):
                yield part["text"]


def _is_tool_result(content: Any) -> bool:
    """Anthropic's shape: a user message that brings nothing but results of tools."""
    parts = [p for p in content if isinstance(p, dict)] if isinstance(content, list) else []
    return (
        bool(parts)
        and any(p.get("type") in _TOOL_TYPES for p in parts)
        and not any(p.get("type") == "text" for p in parts)
    )


def _has_image(content: Any) -> bool:
    return isinstance(content, list) and any(
        isinstance(p, dict) and p.get("type") in ("image_url", "image", "input_image") for p in content
    )
