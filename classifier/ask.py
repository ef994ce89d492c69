"""The ask: from a conversation in any API's shape to the text that counts and where it stands. Never raises."""

from collections.abc import Sequence
from itertools import islice
from typing import Any, NamedTuple

from classifier.envelope import is_harness, opened, speaks
from classifier.language import language_of

_REMEMBERED = 4  # earlier asks that a follow-up may take its task from
_LOOKED_BACK = 12  # earlier messages that are opened for them: a conversation may have thousands, each long
_SYSTEM = 2_000  # characters of the system prompt
# Tuples: what stands in their place may be any JSON, also what cannot be hashed.
_SYSTEM_ROLES, _TOOL_ROLES = ("system", "developer"), ("tool", "function")
_TOOL_TYPES = ("tool_result", "function_call_output", "computer_call_output")
_TEXT_TYPES = ("text", "input_text", "output_text")
_IMAGE_TYPES = ("image_url", "image", "input_image")


class Ask(NamedTuple):  # made for every request, in a third of a dataclass's time
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


def read_text(text: str, wants_json: bool = False) -> Ask:
    """The ask of a bare prompt."""
    ask = opened(text)
    return Ask(ask, language_of(ask), wants_json=wants_json)


def read_messages(messages: Sequence[Any], tools: bool = False, wants_json: bool = False) -> Ask:
    """The ask of a conversation: chat completions, Anthropic's messages, or items of the Responses API."""
    said: list[Any] = []  # contents of the user's messages, still in their envelopes
    turn, system, images, loop = 0, "", False, False
    for message in messages:  # perhaps thousands: each is looked at once, and none is copied
        if not isinstance(message, dict):
            continue
        role, kind = message.get("role"), message.get("type")
        if kind is not None and kind in _TOOL_TYPES and role not in _SYSTEM_ROLES:
            loop = True
        elif role == "user":
            content = message.get("content")
            if isinstance(content, str):
                asks, loop = not is_harness(content), False
                turn += asks
            else:
                texts, image, result = _parts(content)
                asks = bool(texts) and (speaks(texts[0]) or not is_harness("\n".join(texts)))
                # Anthropic's shape of a tool result; harnesses add reminders to it, which nobody asked.
                loop = result and not asks
                images = images or image
                turn += asks or (image and not loop)
            if asks:
                said.append(content)
        elif role == "assistant":
            loop = False
        elif role in _SYSTEM_ROLES:
            system = system or _text(message.get("content"))[:_SYSTEM]
        else:
            loop = role in _TOOL_ROLES
    text, attempt, previous = _latest(said)
    return Ask(text, language_of(text), turn or 1, attempt, previous, loop, images, system, tools, wants_json)


def _latest(said: Sequence[Any]) -> tuple[str, int, tuple[str, ...]]:
    """(the last ask, how often it was asked in a row, asks before it)."""
    if not said:
        return "", 1, ()
    last = _text(said[-1])
    text, attempt = opened(last), 1
    if len(said) == 1:
        return text, 1, ()
    to_open = _LOOKED_BACK
    for content in reversed(said[:-1]):
        again = _text(content)
        if again != last:  # what was sent again is mostly the same to the byte
            to_open -= 1
            if to_open < 0 or opened(again) != text:
                break
        attempt += 1
    earlier = (opened(_text(c)) for c in said[-1 - attempt : -1 - attempt - _LOOKED_BACK : -1])
    return text, attempt, tuple(islice((a for a in earlier if a != text), _REMEMBERED))


def _text(content: Any) -> str:
    return content if isinstance(content, str) else "\n".join(_parts(content)[0])


def _parts(content: Any) -> tuple[list[str], bool, bool]:
    """(texts, whether there is an image, whether there is a tool's result) of a message's parts."""
    texts: list[str] = []
    image = result = False
    for part in content if isinstance(content, list) else ():
        if isinstance(part, str):
            texts.append(part)
        elif isinstance(part, dict):
            kind = part.get("type")
            if kind in _TEXT_TYPES:
                if isinstance(text := part.get("text"), str):
                    texts.append(text)
            elif kind in _IMAGE_TYPES:
                image = True
            elif kind in _TOOL_TYPES:
                result = True
    return texts, image, result
