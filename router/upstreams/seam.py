"""The seam between the request path and whoever answers."""

from collections.abc import AsyncIterator, Mapping
from dataclasses import dataclass
from typing import Any, Protocol

from router.errors import RequestError

Headers = list[tuple[bytes, bytes]]


@dataclass(slots=True)
class UpstreamCall:
    """What is sent. `path` is below /v1, with its leading slash; names of headers are lower-case."""

    method: str
    path: str
    headers: Headers
    body: bytes = b""
    query: bytes = b""
    parsed: Mapping[str, Any] | None = None  # the JSON of `body`, for kinds that translate it


class UpstreamAnswer(Protocol):
    """What came back: status and headers at once, the bytes as they come or all of them together.

    Promise: RequestError (upstream_cut, upstream_timeout, upstream_invalid) and nothing else where the bytes end too soon. Whoever
    asked calls `close` at the end, however it ends; a connection with unread bytes is given up by it, one that was read to the
    end is kept. Names of headers are lower-case.
    """

    @property
    def status(self) -> int: ...

    @property
    def headers(self) -> Headers: ...

    @property
    def content_type(self) -> str: ...

    async def whole(self) -> bytes: ...

    def __aiter__(self) -> AsyncIterator[bytes]: ...

    def close(self) -> None: ...


class Upstream(Protocol):
    """Promise: `send` raises RequestError (upstream_unreachable, upstream_timeout, upstream_cut, upstream_invalid,
    surface_not_supported) and nothing else. Cancelling it, or closing its answer, gives the connection up at once."""

    @property
    def name(self) -> str: ...

    @property
    def provider(self) -> str: ...

    @property
    def tags(self) -> Mapping[str, Any]: ...

    async def send(self, call: UpstreamCall) -> UpstreamAnswer: ...

    async def models(self) -> list[dict[str, Any]]: ...

    async def close(self) -> None: ...


class Client(Protocol):
    """What speaks HTTP with one upstream. `target` is path and query as they are sent. Promises as `Upstream.send` does."""

    async def send(self, method: str, target: bytes, headers: Headers, body: bytes) -> UpstreamAnswer: ...

    async def close(self) -> None: ...


class Failures:
    """What can go wrong with an upstream, in words for its clients."""

    def __init__(self, upstream: str) -> None:
        self._upstream = upstream

    def unreachable(self) -> RequestError:
        """No connection was made."""
        return RequestError("upstream_unreachable", f"The upstream {self._upstream} cannot be reached.")

    def timeout(self, begun: bool) -> RequestError:
        """Nothing came for too long; `begun`: after a part of the answer."""
        what = "fell silent in mid-answer" if begun else "did not answer in time"
        return RequestError("upstream_timeout", f"The upstream {self._upstream} {what}.")

    def cut(self, begun: bool) -> RequestError:
        """The connection broke; `begun`: after a part of the answer."""
        what = "in mid-answer" if begun else "before it answered"
        return RequestError("upstream_cut", f"The upstream {self._upstream} broke off {what}.")

    def invalid(self, reason: str) -> RequestError:
        """What came is no HTTP."""
        return RequestError("upstream_invalid", f"The upstream {self._upstream} does not speak HTTP: {reason}.")

    def status(self, status: int) -> RequestError:
        """An answer came with a status that no answer has."""
        return self.invalid(f"its status is {status}")


class Given:
    """An answer that is made here: all bytes at once, or as an iterator gives them."""

    def __init__(self, status: int, content_type: str, body: bytes | AsyncIterator[bytes]) -> None:
        self.status, self.content_type = status, content_type
        self.headers: Headers = [(b"content-type", content_type.encode())]
        self._body = body

    async def whole(self) -> bytes:
        """All of it."""
        return b"".join([chunk async for chunk in self])

    async def __aiter__(self) -> AsyncIterator[bytes]:
        """The bytes as they come."""
        if isinstance(self._body, bytes):
            yield self._body
        else:
            async for chunk in self._body:
                yield chunk

    def close(self) -> None:
        """Nothing is held."""
