"""HTTPS with HTTP/2 where the upstream offers it, and proxies that the environment names: all by reqwest, through pyreqwest."""

import asyncio
import contextlib
from collections.abc import AsyncIterator, Coroutine
from datetime import timedelta
from typing import Any

from pyreqwest.client import ClientBuilder
from pyreqwest.exceptions import BuilderError, ConnectError, ConnectTimeoutError, PyreqwestError, RequestTimeoutError
from pyreqwest.http import HeaderMap
from pyreqwest.request import StreamRequest
from pyreqwest.response import Response

from router.settings import Limits
from router.upstreams.seam import Failures, Headers

KEPT_SECONDS = 30  # that an idle connection is kept
_WINDOW = 2**20  # bytes that an HTTP/2 stream may send unread: with the standard's 64 KB a long answer waits for us


class SecureClient:
    """Connections to one origin, as `https://host:port`. It trusts what the system does, and the file in SSL_CERT_FILE."""

    def __init__(self, upstream: str, origin: str, limits: Limits) -> None:
        self._failures = Failures(upstream)
        self._origin = origin
        builder = ClientBuilder().http2(True).http1_lower_case_headers().follow_redirects(False).referer(False)
        builder = builder.gzip(False).brotli(False).zstd(False).deflate(False).user_agent("setpoint")
        builder = builder.connect_timeout(timedelta(seconds=limits.connect_seconds))
        builder = builder.read_timeout(timedelta(seconds=limits.read_seconds))
        builder = builder.pool_idle_timeout(timedelta(seconds=KEPT_SECONDS))
        self._client = builder.http2_initial_stream_window_size(_WINDOW).http2_adaptive_window(True).build()
        self._closing: set[asyncio.Task[None]] = set()

    async def send(self, method: str, target: bytes, headers: Headers, body: bytes) -> "SecureAnswer":
        """One call."""
        try:
            call = self._client.request(method, self._origin + target.decode("latin-1"))
            call = call.headers([(k.decode("latin-1"), _text(v)) for k, v in headers])
            # Nothing is read ahead: with its default the head of a stream would wait for the first 64 KB of it.
            call = call.streamed_read_buffer_limit(0)
            request = (call.body_bytes(body) if body else call).build_streamed()
            response = await request.__aenter__()
        except (ConnectTimeoutError, RequestTimeoutError) as e:
            raise self._failures.timeout(begun=False) from e
        except BuilderError as e:
            raise self._failures.unreachable() from e
        except PyreqwestError as e:
            raise (self._failures.unreachable() if _never_sent(e) else self._failures.cut(begun=False)) from e
        answer = SecureAnswer(request, response, self._failures, self._later)
        if not 200 <= answer.status < 600:
            answer.close()
            raise self._failures.status(answer.status)
        return answer

    async def close(self) -> None:
        """Gives all connections up."""
        await asyncio.gather(*self._closing, return_exceptions=True)
        await self._client.close()

    def _later(self, work: Coroutine[Any, Any, None]) -> None:
        task = asyncio.create_task(work)
        self._closing.add(task)
        task.add_done_callback(self._closing.discard)


class SecureAnswer:
    """An answer while it comes."""

    def __init__(self, request: StreamRequest, response: Response, failures: Failures, later: Any) -> None:
        self._request, self._reader, self._failures, self._later = request, response.body_reader, failures, later
        self._closed = False
        self.status = response.status
        self.headers = _read(response.headers)
        self.content_type = next((v.decode() for k, v in self.headers if k == b"content-type"), "")

    async def whole(self) -> bytes:
        """All bytes together. Raises RequestError where they end too soon."""
        return b"".join([chunk async for chunk in self])

    async def __aiter__(self) -> AsyncIterator[bytes]:
        """The bytes as they come."""
        try:
            while (chunk := await self._reader.read_chunk()) is not None:
                yield chunk.to_bytes()
        except RequestTimeoutError as e:
            raise self._failures.timeout(begun=True) from e
        except PyreqwestError as e:
            raise self._failures.cut(begun=True) from e

    def close(self) -> None:
        """Gives the connection up, unless the answer is over."""
        if not self._closed:
            self._closed = True
            self._later(self._request.__aexit__(None, None, None))


def _text(value: bytes) -> str:
    """A header's value; it is sent as UTF-8, and so the bytes stay what they were where they are that."""
    try:
        return value.decode()
    except UnicodeDecodeError:
        return value.decode("latin-1")


def _read(found: HeaderMap) -> Headers:
    """The headers of an answer. A value beyond ASCII is not to be had here: its header is left out, and the answer is not lost for it."""
    headers: Headers = []
    for name in dict.fromkeys(found):
        with contextlib.suppress(ValueError):
            headers += [(name.encode(), value.encode()) for value in found.getall(name)]
    return headers


def _never_sent(e: PyreqwestError) -> bool:
    """Whether no connection was made. A ConnectError is also said of one that broke before it answered; hyper tells them apart."""
    return isinstance(e, ConnectError) and "(Connect)" in str(e)
