"""A client that costs little: HTTP/1.1 on kept connections, for what shares two cores with the proxies that it measures."""

import asyncio
from typing import NamedTuple
from urllib.parse import urlsplit


class Answer(NamedTuple):
    """`head` is the status line with the headers."""

    status: int
    head: bytes
    body: bytes

    def header(self, name: bytes) -> bytes:
        """Of a lower-case name; empty where there is none."""
        _, _, rest = self.head.partition(b"\r\n" + name + b": ")
        return rest.partition(b"\r\n")[0]


class _Connection(asyncio.Protocol):
    def __init__(self) -> None:
        self.transport: asyncio.Transport | None = None
        self.waiting: asyncio.Future[Answer] | None = None
        self._buffer = b""

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self.transport = transport  # type: ignore[assignment] # a Transport, or uvloop's, which is one in all but name

    def data_received(self, data: bytes) -> None:
        self._buffer += data
        end = self._buffer.find(b"\r\n\r\n")
        if end < 0 or self.waiting is None:
            return
        head = self._buffer[: end + 2]
        length = int(Answer(0, head, b"").header(b"content-length") or 0)
        if len(self._buffer) < end + 4 + length:
            return
        body, self._buffer = self._buffer[end + 4 : end + 4 + length], self._buffer[end + 4 + length :]
        waiting, self.waiting = self.waiting, None
        if not waiting.done():
            waiting.set_result(Answer(int(head[9:12]), head, body))

    def connection_lost(self, exc: Exception | None) -> None:
        self.transport = None
        if self.waiting is not None and not self.waiting.done():
            self.waiting.set_exception(exc or ConnectionResetError("closed"))


class Client:
    """To one server; opens as many connections as there are requests at once."""

    def __init__(self, url: str) -> None:
        parts = urlsplit(url)
        self._host, self._port = str(parts.hostname), int(parts.port or 80)
        self._free: list[_Connection] = []

    async def ask(self, method: str, path: str, body: bytes = b"", headers: bytes = b"") -> Answer:
        """`headers` as lines that end with CRLF. Raises OSError where the connection breaks."""
        while self._free:
            kept = self._free.pop()
            try:
                return await self._on(kept, method, path, body, headers)
            except OSError:
                continue  # the server closed it just as we were about to use it
        _, fresh = await asyncio.get_running_loop().create_connection(_Connection, self._host, self._port)
        return await self._on(fresh, method, path, body, headers)

    async def _on(self, connection: _Connection, method: str, path: str, body: bytes, headers: bytes) -> Answer:
        if connection.transport is None:
            raise ConnectionResetError("closed")
        connection.waiting = asyncio.get_running_loop().create_future()
        connection.transport.write(
            b"%s %s HTTP/1.1\r\nHost: x\r\nContent-Type: application/json\r\nContent-Length: %d\r\n%s\r\n%s"
            % (method.encode(), path.encode(), len(body), headers, body)
        )
        answer = await connection.waiting
        self._free.append(connection)
        return answer

    def close(self) -> None:
        """All connections that are not in use."""
        for connection in self._free:
            if connection.transport is not None:
                connection.transport.close()
        self._free.clear()
