"""One HTTP/1.1 connection to an upstream, and the answer that comes on it. httptools (llhttp, Node's parser) reads it."""

import asyncio
from collections.abc import AsyncIterator
from typing import Protocol, cast

import httptools

from router.errors import RequestError
from router.upstreams.seam import Failures, Headers

KEPT_SECONDS = 30  # that an idle connection is kept: most servers keep theirs for longer
MOST_UNREAD = 256 * 1024  # bytes of an answer, above which its upstream has to wait
MOST_HEADERS = 64 * 1024  # bytes
_DELIMITING = frozenset({b"content-length", b"transfer-encoding"})


class Owner(Protocol):
    """Who keeps connections, and is told what becomes of each."""

    @property
    def failures(self) -> Failures: ...

    def opened(self, connection: "Connection") -> None: ...

    def free(self, connection: "Connection") -> None: ...

    def lost(self, connection: "Connection") -> None: ...


class PlainAnswer:
    """An answer while it comes."""

    __slots__ = (
        "_connection", "_parts", "_size", "_waiter", "begun", "content_type", "error", "headers", "over", "status", "unheard",
    )  # fmt: skip

    def __init__(self, connection: "Connection") -> None:
        self._connection = connection
        self._parts: list[bytes] = []
        self._size = 0
        self._waiter: asyncio.Future[None] | None = None
        self.status, self.content_type = 0, ""
        self.headers: Headers = []
        self.error: RequestError | None = None
        self.begun = self.over = False
        self.unheard = True  # not a byte has come: what was asked may never have arrived

    async def whole(self) -> bytes:
        """All bytes together. Raises RequestError where they end too soon."""
        if self.over and self.error is None:
            parts = self._parts
            return parts[0] if len(parts) == 1 else b"".join(parts)
        return b"".join([chunk async for chunk in self])

    def __aiter__(self) -> AsyncIterator[bytes]:
        """The bytes as they come."""
        return self

    async def __anext__(self) -> bytes:
        while not self._parts:
            if self.over:
                if self.error is not None:
                    raise self.error
                raise StopAsyncIteration
            await self.more()
        parts = self._parts
        self._parts = []
        if self._size > MOST_UNREAD:
            self._connection.resume()
        self._size = 0
        return parts[0] if len(parts) == 1 else b"".join(parts)

    def close(self) -> None:
        """Gives the connection up, unless the answer is over."""
        if not self.over:
            self.over = True
            self._connection.abort()

    async def more(self) -> None:
        """Wait for the next thing to happen."""
        self._waiter = self._connection.loop.create_future()
        await self._waiter

    # What the connection tells

    def wake(self) -> None:
        """Something happened."""
        waiter = self._waiter
        if waiter is not None:
            self._waiter = None
            if not waiter.done():
                waiter.set_result(None)

    def begin(self, status: int, headers: Headers) -> None:
        """The head has come."""
        self.status, self.headers, self.begun = status, headers, True
        for name, value in headers:
            if name == b"content-type":
                self.content_type = value.decode("latin-1")
        self.wake()

    def take(self, part: bytes) -> bool:
        """A part of the body; whether the upstream may send more."""
        self._parts.append(part)
        self._size += len(part)
        if self._waiter is not None:
            self.wake()
        return self._size <= MOST_UNREAD

    def end(self, error: RequestError | None = None) -> None:
        """Nothing more will come."""
        self.error, self.over = error, True
        self.wake()


class Connection(asyncio.Protocol):
    """One connection, and the answer that it waits for, if any."""

    def __init__(self, client: Owner, loop: asyncio.AbstractEventLoop) -> None:
        self.loop = loop
        self.used = 0
        self._client = client
        self._parser = httptools.HttpResponseParser(self)
        self._transport: asyncio.Transport | None = None
        self._answer: PlainAnswer | None = None
        self._headers: Headers = []
        self._size = 0  # of what has come before the head was complete
        self._interim = self._head_only = self._paused = self._delimited = False
        self._heard_at = 0.0

    @property
    def usable(self) -> bool:
        """Whether a call can be made on it now."""
        return self._answer is None and self._transport is not None and not self._transport.is_closing()

    @property
    def _unsent(self) -> bool:
        """Whether the answer came before all of the request was gone: its server may never read the rest."""
        return self._transport is None or self._transport.get_write_buffer_size() > 0

    def ask(self, message: bytes, *, head_only: bool) -> PlainAnswer:
        """Send a request."""
        assert self._transport is not None
        self.used += 1
        self._head_only, self._size = head_only, 0
        self._heard_at = self.loop.time()
        self._answer = answer = PlainAnswer(self)
        self._transport.write(message)
        return answer

    def abort(self) -> None:
        """Give it up at once."""
        self._answer = None
        if self._transport is not None:
            self._transport.abort()

    def resume(self) -> None:
        """The answer was read: more may come."""
        if self._paused and self._transport is not None and not self._transport.is_closing():
            self._paused = False
            self._heard_at = self.loop.time()
            self._transport.resume_reading()

    def look(self, now: float, patience: float) -> None:
        """End it, if it was silent for too long."""
        silent = now - self._heard_at
        if self._answer is None:
            if silent > KEPT_SECONDS:
                self.abort()
        elif silent > patience and not self._paused:
            self._fail(self._client.failures.timeout(self._answer.begun))

    # asyncio.Protocol

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """It can be used."""
        self._transport = cast(asyncio.Transport, transport)  # uvloop's is one in all but name
        self._heard_at = self.loop.time()
        self._client.opened(self)

    def data_received(self, data: bytes) -> None:
        """Bytes have come."""
        answer = self._answer
        if answer is None:  # nobody asked for them
            self.abort()
            return
        answer.unheard = False
        self._heard_at = self.loop.time()
        if not answer.begun:
            self._size += len(data)
            if self._size > MOST_HEADERS and not self._fits(data):
                self._fail(self._client.failures.invalid("its headers are too large"))
                return
        try:
            self._parser.feed_data(data)
        except (httptools.HttpParserError, httptools.HttpParserUpgrade) as e:
            self._fail(self._client.failures.invalid(str(e) or type(e).__name__))

    def _fits(self, data: bytes) -> bool:
        """Whether a head ends in what came, all of which may also be a body in one piece with its head."""
        end = data.find(b"\r\n\r\n")
        return end >= 0 and self._size - len(data) + end <= MOST_HEADERS

    def connection_lost(self, exc: Exception | None) -> None:
        """It is no more; an answer without a length ends so."""
        self._client.lost(self)
        self._transport = None
        answer, self._answer = self._answer, None
        if answer is None or answer.over:
            return
        whole = answer.begun and not self._delimited and exc is None
        answer.end(None if whole else self._client.failures.cut(answer.begun))

    def _fail(self, error: RequestError) -> None:
        answer = self._answer
        self.abort()
        if answer is not None:
            answer.end(error)

    # httptools

    def on_message_begin(self) -> None:
        """A head comes. Behind an answer that nobody waits for it would be taken for the next one: none of them can be trusted."""
        self._headers, self._delimited = [], False
        if self._answer is None:
            self.abort()

    def on_header(self, name: bytes, value: bytes) -> None:
        """One line of it."""
        self._headers.append((name, value))

    def on_headers_complete(self) -> None:
        """The head is there."""
        status = self._parser.get_status_code()
        self._interim = 100 <= status < 200
        if self._answer is None or self._interim:
            return
        if not 200 <= status < 600:
            self._fail(self._client.failures.status(status))
            return
        headers = [(name.lower(), value) for name, value in self._headers]
        self._delimited = not _DELIMITING.isdisjoint([name for name, _ in headers])
        self._answer.begin(status, headers)
        if self._head_only:  # the parser would wait for the body that its length promises
            answer, self._answer = self._answer, None
            answer.end()
            self.abort()

    def on_body(self, body: bytes) -> None:
        """A part of the body."""
        if self._answer is not None and not self._answer.take(body) and not self._paused:
            self._paused = True
            assert self._transport is not None
            self._transport.pause_reading()

    def on_message_complete(self) -> None:
        """The answer is over, and the connection free for the next one."""
        if self._interim or self._answer is None:
            return
        answer, self._answer = self._answer, None
        if self._paused:
            assert self._transport is not None
            self._paused = False
            self._transport.resume_reading()
        if self._parser.should_keep_alive() and not self._unsent:
            self._client.free(self)
        else:
            self.abort()
        answer.end()
