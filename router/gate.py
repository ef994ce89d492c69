"""The gate: whose key it is, how many requests a minute it may make, and how large a body may be."""

import hmac
from collections.abc import Awaitable, Callable, Mapping, Sequence
from typing import Any

from router.errors import RequestError
from router.settings import KeySettings

Receive = Callable[[], Awaitable[Mapping[str, Any]]]
DEFAULT_TENANT = "default"


class ClientGoneError(Exception):
    """The client hung up before its request was complete."""


class Gate:
    """Checks keys in constant time and keeps one bucket of tokens per key; a clock in seconds comes in."""

    def __init__(self, keys: Sequence[KeySettings], clock: Callable[[], float]) -> None:
        self._keys = [(k.key.encode(), k) for k in keys]
        self._clock = clock
        self._buckets: dict[str, tuple[float, float]] = {}

    @property
    def closed(self) -> bool:
        """Whether a key is needed at all."""
        return bool(self._keys)

    def tenant(self, headers: Mapping[str, str]) -> str:
        """The tenant of a request. Raises RequestError: invalid_api_key, rate_limited."""
        if not self._keys:
            return DEFAULT_TENANT
        given = _key(headers).encode()
        found = [k for secret, k in self._keys if hmac.compare_digest(secret, given)]
        if not given or not found:
            reason = "is not known" if given else "is missing; send `Authorization: Bearer <key>`"
            raise RequestError("invalid_api_key", f"The API key {reason}.", headers={"www-authenticate": "Bearer"})
        self._take(found[0])
        return found[0].tenant

    def _take(self, key: KeySettings) -> None:
        if key.requests_per_minute is None:
            return
        now, most = self._clock(), float(key.requests_per_minute)
        left, then = self._buckets.get(key.key, (most, now))
        left = min(most, left + (now - then) * most / 60)
        if left < 1:
            wait = max(1, round((1 - left) * 60 / most))
            raise RequestError(
                "rate_limited",
                f"More than {most:g} requests a minute; try again in {wait} s.",
                headers={"retry-after": str(wait)},
            )
        self._buckets[key.key] = (left - 1, now)


def _key(headers: Mapping[str, str]) -> str:
    scheme, _, token = headers.get("authorization", "").partition(" ")
    return token.strip() if scheme.lower() == "bearer" else headers.get("x-api-key", "")


async def read_body(receive: Receive, headers: Mapping[str, str], limit: int) -> bytes:
    """The whole body. Raises RequestError body_too_large as soon as that is known, ClientGoneError on a hang-up."""
    length = headers.get("content-length", "")
    if length.isdigit() and int(length) > limit:
        raise _too_large(limit)
    parts: list[bytes] = []
    size = 0
    while True:
        message = await receive()
        if message["type"] == "http.disconnect":
            raise ClientGoneError
        part = message.get("body", b"")
        size += len(part)
        if size > limit:
            raise _too_large(limit)
        if not message.get("more_body"):
            return part if not parts else b"".join([*parts, part])
        parts.append(part)


def _too_large(limit: int) -> RequestError:
    return RequestError(
        "body_too_large", f"The body is larger than {limit / 1e6:g} MB; raise `limits.body_mb` if it should pass."
    )
