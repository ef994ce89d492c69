"""Splicing: a client's bytes with the decided parameters put in, where that needs no second writing of all that it said."""

import re
from collections.abc import Mapping
from typing import Any, NamedTuple

import orjson

from policies.wire import Edit, apply

_MODEL = b'"model"'
_NAMED = re.compile(rb'"model"[ \t\r\n]*:[ \t\r\n]*("(?:[^"\\]|\\.)*")')
_ESCAPED_ASCII = b"\\u00"


class Added(NamedTuple):
    """Edits that only add: the keys of the body that must not be there yet, and what comes after its first brace."""

    keys: frozenset[str]
    text: bytes


def added(changes: tuple[Edit, ...]) -> Added | None:
    """Edits as an addition; None where they take something away, or where there are none."""
    if not changes or any(edit.remove for edit in changes):
        return None
    new: dict[str, Any] = {}
    apply(new, changes)
    return Added(frozenset(new), orjson.dumps(new)[1:-1] + b",")


def insert(raw: bytes, body: Mapping[str, Any], addition: Added) -> bytes | None:
    """The bytes with an addition. `body` is what they parse to; None where one of the keys is in it, or nothing at all.

    A key that stood there twice would be JSON that no two servers read alike.
    """
    if not body or not addition.keys.isdisjoint(body):
        return None
    start = raw.index(b"{") + 1
    return b"".join((raw[:start], addition.text, memoryview(raw)[start:]))


def rename(raw: bytes, name: str) -> bytes | None:
    """The bytes of an object that has a `model`, with another name there; None where the place is not certain.

    Without escapes of ASCII a key is written in one way only, and a text that stands there once is that key.
    """
    if raw.count(_MODEL) != 1 or _ESCAPED_ASCII in raw:
        return None
    found = _NAMED.match(raw, raw.index(_MODEL))
    if found is None:
        return None
    view = memoryview(raw)
    return b"".join((view[: found.start(1)], orjson.dumps(name), view[found.end(1) :]))
