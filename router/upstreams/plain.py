"""HTTP/1.1: connections to one upstream, kept and used again. httptools (llhttp, Node's parser) reads the answers.

What most self-hosted models are reached by, and where an answer may come within a millisecond: general clients cost 35 to 1,500 µs
of CPU a call, this one 14 (docs/decisions/0012-data-plane.md).
"""

import asyncio
import ssl

from router.settings import Limits
from router.upstreams.connection import Connection, PlainAnswer
from router.upstreams.seam import Failures, Headers

_SWEEPS = 1.0  # seconds between two looks for silent and idle connections
_BODILESS = frozenset({b"GET", b"HEAD", b"DELETE"})


class PlainClient:
    """Connections to one host and port. For one event loop."""

    def __init__(
        self, upstream: str, host: str, port: int, limits: Limits, secured: ssl.SSLContext | None = None
    ) -> None:
        self.failures = Failures(upstream)
        self._host, self._port, self._limits, self._secured = host, port, limits, secured
        shown = f"[{host}]" if ":" in host else host.encode("idna").decode()
        usual = 443 if secured else 80
        self._host_line = f"host: {shown}{'' if port == usual else f':{port}'}\r\n".encode()
        self._idle: list[Connection] = []
        self._all: set[Connection] = set()
        self._sweeper: asyncio.TimerHandle | None = None

    async def send(self, method: str, target: bytes, headers: Headers, body: bytes) -> "PlainAnswer":
        """One call. A kept connection that turns out to have been closed meanwhile is replaced, and the call made again."""
        message = self._message(method.encode(), target, headers, body)
        while True:
            connection = self._kept() or await self._connect()
            answer = connection.ask(message, head_only=method == "HEAD")
            try:
                if not answer.begun:
                    await answer.more()
            except BaseException:
                answer.close()
                raise
            if answer.begun:
                return answer
            assert answer.error is not None
            if not (connection.used > 1 and answer.unheard and answer.error.code == "upstream_cut"):
                raise answer.error

    async def close(self) -> None:
        """Gives all connections up."""
        if self._sweeper is not None:
            self._sweeper.cancel()
        for connection in list(self._all):
            connection.abort()

    def _message(self, method: bytes, target: bytes, headers: Headers, body: bytes) -> bytes:
        lines = [method, b" ", target, b" HTTP/1.1\r\n", self._host_line]
        for name, value in headers:
            lines += (name, b": ", value, b"\r\n")
        if body or method not in _BODILESS:
            lines.append(b"content-length: %d\r\n\r\n" % len(body))
            lines.append(body)
        else:
            lines.append(b"\r\n")
        return b"".join(lines)

    def _kept(self) -> "Connection | None":
        while self._idle:
            connection = self._idle.pop()  # the one that was used last: the others may go
            if connection.usable:
                return connection
        return None

    async def _connect(self) -> "Connection":
        loop = asyncio.get_running_loop()
        try:
            async with asyncio.timeout(self._limits.connect_seconds):
                _, connection = await loop.create_connection(
                    lambda: Connection(self, loop), self._host, self._port, ssl=self._secured
                )
        except TimeoutError as e:
            raise self.failures.timeout(begun=False) from e
        except (OSError, UnicodeError) as e:
            raise self.failures.unreachable() from e
        if self._sweeper is None:
            self._sweep(loop)
        return connection

    # What connections tell

    def opened(self, connection: "Connection") -> None:
        """A connection was made."""
        self._all.add(connection)

    def free(self, connection: "Connection") -> None:
        """An answer was read to its end."""
        self._idle.append(connection)

    def lost(self, connection: "Connection") -> None:
        """A connection is no more."""
        self._all.discard(connection)

    def _sweep(self, loop: asyncio.AbstractEventLoop) -> None:
        """Give up connections that were silent for too long; cheaper than a timer for each call."""
        now, patience = loop.time(), self._limits.read_seconds
        for connection in list(self._all):
            connection.look(now, patience)
        self._idle = [c for c in self._idle if c.usable]
        self._sweeper = loop.call_later(min(_SWEEPS, patience / 4), self._sweep, loop) if self._all else None
