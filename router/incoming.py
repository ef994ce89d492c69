"""The client's request, read and never re-modelled."""

import hashlib
from collections.abc import Mapping
from typing import Any

import orjson

from policies.context import MODES, Mode
from router.errors import RequestError
from router.surfaces import Surface

MODE_HEADER, TASK_HEADER, SESSION_HEADER = "x-setpoint-mode", "x-setpoint-task", "x-setpoint-session"
_OBJECTS = {dict}
_LONGEST_SESSION = 200  # characters that are kept of one


class Incoming:
    """One request on a surface: its bytes, its JSON and what its headers ask of Setpoint."""

    __slots__ = ("body", "headers", "json", "mode", "model", "session", "stream", "surface", "task")

    def __init__(self, surface: Surface, body: bytes, headers: Mapping[str, str]) -> None:
        """Raises RequestError with what is wrong with the body or with one of our headers."""
        self.surface, self.body, self.headers = surface, body, headers
        self.json = _object(body)
        self.model = _model(self.json)
        self.stream = self.json.get("stream") is True
        self.task = headers.get(TASK_HEADER, "").strip() or None
        self.session = session_of(headers.get(SESSION_HEADER, ""))
        self.mode = _mode(headers.get(MODE_HEADER))
        _check(surface, self.json)


def session_of(header: str) -> str | None:
    """The session that a header names; None for a blank one. Of a long name the rest is a digest: two that only begin alike are
    two sessions."""
    name = header.strip()
    if len(name) > _LONGEST_SESSION:
        digest = hashlib.blake2b(name.encode(errors="replace"), digest_size=16).hexdigest()
        return f"{name[: _LONGEST_SESSION - len(digest)]}{digest}"
    return name or None


def _object(body: bytes) -> dict[str, Any]:
    try:
        parsed = orjson.loads(body)
    except orjson.JSONDecodeError as e:
        raise RequestError("invalid_json", f"The body is not JSON: {e}") from e
    if not isinstance(parsed, dict):
        raise RequestError("invalid_request", "The body is not a JSON object.")
    return parsed


def _model(body: Mapping[str, Any]) -> str:
    model = body.get("model")
    if not isinstance(model, str) or not model:
        raise RequestError(
            "invalid_request", "`model` is missing or not a text; GET /v1/models lists those that are served.", "model"
        )
    return model


def _mode(given: str | None) -> Mode | None:
    if given is None:
        return None
    if given not in MODES:
        raise RequestError(
            "invalid_request", f"The header {MODE_HEADER} is {given[:40]!r}, not bypass, observe or apply.", MODE_HEADER
        )
    return given


def _check(surface: Surface, body: Mapping[str, Any]) -> None:
    """Only what Setpoint itself relies on; the rest is the upstream's to judge."""
    prompt = body.get(surface.required)
    if prompt is None:
        if surface.name == "responses":  # a stored conversation may go on without a new input
            return
        raise RequestError("invalid_request", f"`{surface.required}` is missing.", surface.required)
    if surface.required == "messages" and not (
        isinstance(prompt, list) and prompt and set(map(type, prompt)) == _OBJECTS
    ):
        raise RequestError("invalid_request", "`messages` is not a list of at least one message object.", "messages")
    if "stream" in body and not isinstance(body["stream"], bool | None):
        raise RequestError("invalid_request", "`stream` is not true or false.", "stream")
