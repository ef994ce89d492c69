"""The seam between the request path and whoever answers."""

from collections.abc import AsyncIterator, Callable, Mapping
from dataclasses import dataclass
from typing import Any, Protocol

Headers = list[tuple[bytes, bytes]]


@dataclass(frozen=True, slots=True)
class UpstreamCall:
    """What is sent. `path` is below /v1, with its leading slash."""

    method: str
    path: str
    headers: Mapping[str, str]
    body: bytes = b""
    query: str = ""
    parsed: Mapping[str, Any] | None = None  # the JSON of `body`, for kinds that translate it


@dataclass(frozen=True, slots=True)
class UpstreamAnswer:
    """What came back: status and headers at once, the bytes as they come. Whoever asked calls `close` at the end, however it
    ends; a connection with unread bytes is given up by it, one that was read to the end is kept."""

    status: int
    headers: Headers
    content_type: str
    chunks: AsyncIterator[bytes]
    close: Callable[[], object] = lambda: None


class Upstream(Protocol):
    """Promise: `send` raises RequestError (upstream_unreachable, upstream_timeout, surface_not_supported) and nothing else;
    so do the chunks (upstream_cut, upstream_timeout). Cancelling either gives the connection up at once."""

    @property
    def name(self) -> str: ...

    @property
    def provider(self) -> str: ...

    @property
    def tags(self) -> Mapping[str, Any]: ...

    async def send(self, call: UpstreamCall) -> UpstreamAnswer: ...

    async def models(self) -> list[dict[str, Any]]: ...


async def once(body: bytes) -> AsyncIterator[bytes]:
    """All bytes at once."""
    yield body
