"""Transcripts: what is kept of an answer in events while it is relayed, and read once it is over.

Parsing every event costs as much as relaying it. What an answer says about itself stands in its first event and in its last few;
its text is found by one look for the surface's key. Where that could mislead (an error, a second choice), each event is parsed.
"""

import json
import re
from collections.abc import Mapping

import orjson

from router.answers import Answered, read_events

FOLDED = 64 * 1024  # bytes that are kept as they came; of what comes before, only the text
MOST_EVENT = 1_000_000  # bytes of one event: the Responses API says it all again in its last one
MOST_TEXT = 256 * 1024  # bytes of it
_LAST = 6  # events at the end that are parsed
_STRING = rb'"\s*:\s*"([^"\\]*(?:\\.[^"\\]*)*)"'
# Where each surface has the text. The Responses API has other deltas beside it, so an event's type is looked for ahead of its delta:
# keys stand in any order, and each byte is looked at a few times however often a type is said.
_TEXTS: Mapping[str, re.Pattern[bytes]] = {
    "chat": re.compile(rb'"content' + _STRING),
    "completions": re.compile(rb'"text' + _STRING),
    "messages": re.compile(rb'"text' + _STRING),
    "responses": re.compile(rb'^(?=data:[^\n]*"response\.output_text\.delta")[^\n]*?"delta' + _STRING, re.MULTILINE),
}
_MISLEADING = re.compile(
    rb'"error"\s*:\s*[^n\s]|"index"\s*:\s*[1-9]|"annotations"\s*:\s*\[\s*\{'
)  # errors, choices or tools beside the first, and what was cited


class Transcript:
    """Of one answer. Takes at most some 400 KB, however long the answer, and 1 MB more for an event that is."""

    __slots__ = ("_first", "_limit", "_parts", "_size", "_surface", "_text", "_text_size")

    def __init__(self, surface: str) -> None:
        self._surface = surface
        self._first = b""
        self._parts: list[bytes] = []
        self._size = self._text_size = 0
        self._limit = FOLDED
        self._text: list[bytes] = []

    def keep(self, chunk: bytes) -> None:
        """The next bytes of it."""
        self._parts.append(chunk)
        self._size += len(chunk)
        if self._size > self._limit:
            self._fold()

    def read(self) -> Answered:
        """What the answer said."""
        tail = b"".join(self._parts)
        if not self._first and (_MISLEADING.search(tail) or self._surface not in _TEXTS):
            return read_events(tail)
        lines = _data_lines(tail)
        answered = read_events(b"\n".join(([self._first] if self._first else lines[:1]) + lines[-_LAST:]))
        if answered.finish is None and not self._first:  # it broke off, or says so in the middle
            return read_events(tail)
        self._take_text(tail)
        answered.text = _unescaped(b"".join(self._text))
        return answered

    def _fold(self) -> None:
        """Of all but the last events the text is kept."""
        kept = b"".join(self._parts)
        end = kept.rfind(b"\n", 0, len(kept) - FOLDED // 2) + 1
        if not end and len(kept) < MOST_EVENT:
            self._parts, self._limit = [kept], 2 * len(kept)
            return
        end = end or len(kept) - FOLDED // 2
        folded, rest = kept[:end], kept[end:]
        if not self._first:
            self._first = b"\n".join(_data_lines(folded)[:1]) or b"data: {}"
        if not _MISLEADING.search(folded):
            self._take_text(folded)
        self._parts, self._size, self._limit = [rest], len(rest), len(rest) + FOLDED

    def _take_text(self, events: bytes) -> None:
        pattern = _TEXTS.get(self._surface)
        if pattern is not None and self._text_size < MOST_TEXT:
            found = pattern.findall(events)
            self._text += found
            self._text_size += sum(map(len, found))


def _data_lines(events: bytes) -> list[bytes]:
    return [line for line in events.split(b"\n") if line.startswith(b"data:") and line[5:].strip() != b"[DONE]"]


def _unescaped(text: bytes) -> str:
    """The inside of JSON strings as text."""
    quoted = b'"%s"' % text
    try:
        found = orjson.loads(quoted)
    except orjson.JSONDecodeError:  # half a surrogate pair, or what is no UTF-8
        try:
            found = json.loads(quoted.decode("utf-8", "replace"), strict=False)
        except ValueError:
            return ""
    return str(found)
