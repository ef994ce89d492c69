"""The server's protocol: uvicorn's, with a short way for requests that arrive in one piece.

Most do: a prompt is some kilobytes. For them a body is not waited for, an answer's head and body are one write, and whoever serves
them can be told at once when the client hangs up (the ASGI extension `setpoint.hang_up`, a function that takes a callback). Large
bodies, pipelined requests, upgrades and HTTP/1.0 take uvicorn's way. 30 µs a request become 15 (docs/decisions/0012-data-plane.md).
"""

import asyncio
import re
from collections.abc import Callable, Iterable
from typing import Any

from uvicorn.protocols.http.flow_control import FlowControl
from uvicorn.protocols.http.httptools_impl import STATUS_LINE, HttpToolsProtocol

MOST_AT_ONCE = 65_536  # bytes of a body that is waited for before its request is served
MOST_OF_A_HEAD = 65_536  # bytes that neither are of a body nor end a head: uvicorn would keep them all
HANG_UP = "setpoint.hang_up"
_UNFIT = re.compile(rb"[\x00-\x08\x0a-\x1f\x7f]")  # in a line of a head
_BODILESS = frozenset({204, 304})
_FAILED = b"%bcontent-length: 0\r\nconnection: close\r\n\r\n" % STATUS_LINE[500]
_TOO_LARGE = b"%bcontent-length: 0\r\nconnection: close\r\n\r\n" % STATUS_LINE[431]
_NONE: dict[str, Any] = {"type": "http.disconnect"}


class Protocol(HttpToolsProtocol):
    """One connection of a client."""

    _short: "Cycle | None" = None  # the request that arrives, if it takes the short way
    _stuck = 0  # bytes since a head ended or a part of a body came

    def data_received(self, data: bytes) -> None:
        """Bytes have come. A head or a trailer without end is refused: whoever sends one has not even shown a key."""
        self._stuck += len(data)
        super().data_received(data)
        if self._stuck > MOST_OF_A_HEAD and not self.transport.is_closing():
            if self.cycle is None or self.cycle.response_complete:
                self.transport.write(_TOO_LARGE)
            self.transport.close()

    def on_headers_complete(self) -> None:
        """A head is there: which way its request takes."""
        self._stuck = 0
        if self._fits():
            path, _, query = self.url.partition(b"?")
            text = path.decode("ascii")
            if "%" not in text:
                scope: Any = self.scope
                scope["method"], scope["path"], scope["raw_path"], scope["query_string"] = "POST", text, path, query
                self.cycle = self._short = Cycle(self, self.flow)  # type: ignore[assignment] # one in all but name
                scope["extensions"] = {HANG_UP: self._short.watch}
                return
        self._short = None
        super().on_headers_complete()

    def _fits(self) -> bool:
        """Whether its body will be here soon, and nothing about it is unusual."""
        parser = self.parser
        if parser.get_method() != b"POST" or parser.get_http_version() != "1.1" or parser.should_upgrade():
            return False
        if self.expect_100_continue or (self.cycle is not None and not self.cycle.response_complete):
            return False
        if not self.url.startswith(b"/") or b"#" in self.url or self.limit_concurrency is not None or self.root_path:
            return False
        for name, value in self.headers:
            if name == b"content-length":
                return len(value) < 6 and int(value) <= MOST_AT_ONCE
        return False

    def on_body(self, body: bytes) -> None:
        """A part of the body."""
        self._stuck = 0
        if self._short is not None:
            self._short.parts.append(body)
        else:
            super().on_body(body)

    def on_message_complete(self) -> None:
        """The request is whole."""
        self._stuck = 0
        cycle, self._short = self._short, None
        if cycle is None:
            super().on_message_complete()
            return
        cycle.keep_alive = cycle.keep_alive and self.parser.should_keep_alive()
        task = self.loop.create_task(cycle.run(self.app, self.scope))
        self.tasks.add(task)
        task.add_done_callback(self.tasks.discard)


class Cycle:
    """A request and its answer. What uvicorn's protocol asks of its own cycle, this one has too."""

    __slots__ = (
        "_asked", "_begun", "_chunked", "_flow", "_head", "_left", "_protocol", "_told", "_waiter", "disconnected", "keep_alive", "message_event",
        "parts", "response_complete",
    )  # fmt: skip

    def __init__(self, protocol: Protocol, flow: FlowControl) -> None:
        self._protocol, self._flow = protocol, flow
        self.parts: list[bytes] = []
        self.message_event = self  # uvicorn's protocol sets it when the connection is lost
        self.disconnected = self.response_complete = False
        self.keep_alive = True
        self._head: Any = None
        self._asked = self._begun = False
        self._chunked, self._left = False, 0
        self._told: Callable[[], object] | None = None
        self._waiter: asyncio.Future[None] | None = None

    def watch(self, told: Callable[[], object]) -> None:
        """Call this, once, if the client hangs up before its answer is complete."""
        self._told = told
        if self.disconnected:
            told()

    def set(self) -> None:
        """The connection is lost."""
        if self.disconnected and self._told is not None:
            self._told()
        if self._waiter is not None and not self._waiter.done():
            self._waiter.set_result(None)

    async def run(self, app: Any, scope: Any) -> None:
        """Serve it."""
        protocol = self._protocol
        try:
            await app(scope, self.receive, self.send)
        except BaseException as e:
            protocol.logger.error("Exception in ASGI application\n", exc_info=e)
            if not self._begun:
                self._write(_FAILED)
            self._give_up()
        else:
            if not self.response_complete and not self.disconnected:
                protocol.logger.error("ASGI callable returned without completing response.")
                self._give_up()

    async def receive(self) -> dict[str, Any]:
        """The body; after it, when that comes, the end."""
        if not self._asked:
            self._asked = True
            parts, self.parts = self.parts, []
            return {
                "type": "http.request",
                "body": parts[0] if len(parts) == 1 else b"".join(parts),
                "more_body": False,
            }
        if not self.disconnected and not self.response_complete:
            self._waiter = asyncio.get_running_loop().create_future()
            await self._waiter
        return _NONE

    async def send(self, message: Any) -> None:
        """The head, which waits for the first of the body; then the body."""
        if self.disconnected:
            return
        if self._flow.write_paused:
            await self._flow.drain()
            if self.disconnected:
                return
        if message["type"] == "http.response.start":
            self._head = message
            return
        body, more = message.get("body", b""), message.get("more_body", False)
        head, self._head = self._head, None
        if head is not None:
            self._begin(head, body, more)
        elif self._chunked:
            end = b"" if more else b"0\r\n\r\n"
            self._write(b"%x\r\n%b\r\n%b" % (len(body), body, end) if body else end)
        else:
            self._left -= len(body)
            self._write(body)
        if not more:
            self._end()

    def _begin(self, head: Any, body: bytes, more: bool) -> None:
        status, self._begun = head["status"], True
        lines, delimited = _lines(head["headers"])
        if not self.keep_alive:
            lines.append(b"connection: close")
        if delimited is not None:
            self._left = delimited - len(body)
        elif status not in _BODILESS:
            self._chunked = True
            lines.append(b"transfer-encoding: chunked")
            body = (b"%x\r\n%b\r\n" % (len(body), body) if body else b"") + (b"" if more else b"0\r\n\r\n")
        self._write(b"%b%b\r\n\r\n%b" % (STATUS_LINE[status], b"\r\n".join(lines), body))

    def _write(self, data: bytes) -> None:
        if data:
            self._protocol.transport.write(data)

    def _end(self) -> None:
        protocol = self._protocol
        self.response_complete = True
        self._told = None
        self.set()
        if self._left or not self.keep_alive:  # a body of another length than was said leaves nothing to go on with
            protocol.transport.close()
        protocol.on_response_complete()

    def _give_up(self) -> None:
        self._told = None
        self._protocol.transport.close()


def _lines(headers: Iterable[tuple[bytes, bytes]]) -> tuple[list[bytes], int | None]:
    """(the lines of a head, the length that they give). Raises RuntimeError for a header that would be another line."""
    lines, length = [], None
    for name, value in headers:
        if name == b"content-length":
            length = int(value)
        lines.append(b"%b: %b" % (name, value))
    if _UNFIT.search(b"".join(lines)):
        raise RuntimeError("invalid character in a header")
    return lines, length
