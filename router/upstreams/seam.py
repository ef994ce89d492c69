"""The seam between the request path and whoever answers."""

from collections.abc import AsyncIterator, Mapping
from dataclasses import dataclass, field
from typing import Any, Protocol

Headers = list[tuple[bytes, bytes]]


@dataclass(frozen=True, slots=True)
class UpstreamCall:
    """What is sent. `path` is below /v1, with its leading slash; `body` is None for a stream of `chunks`."""

    method: str
    path: str
    headers: Mapping[str, str]
    body: bytes | None = None
    query: str = ""
    parsed: Mapping[str, Any] | None = None  # the JSON of `body`, for kinds that translate it
    chunks: AsyncIterator[bytes] | None = None


@dataclass(frozen=True, slots=True)
class UpstreamAnswer:
    """What came back: status and headers at once, the bytes as they come. `close` gives the connection up."""

    status: int
    headers: Headers = field(default_factory=list)
    content_type: str = ""
    chunks: AsyncIterator[bytes] = field(default_factory=lambda: nothing())
    close: Any = None


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


async def nothing() -> AsyncIterator[bytes]:
    """No bytes at all."""
    return
    yield b""


async def once(body: bytes) -> AsyncIterator[bytes]:
    """All bytes at once."""
    yield body
