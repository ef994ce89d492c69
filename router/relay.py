"""The relay: one request on a surface, from its first byte to its outcome."""

import asyncio
import contextlib
import logging
from collections.abc import AsyncIterator, Awaitable, Callable, MutableMapping
from time import monotonic
from typing import Any

import orjson

from router.answers import read_answer
from router.errors import RequestError
from router.gate import ClientGoneError, read_body
from router.incoming import Incoming
from router.outcomes import Exchange, report
from router.pipeline import headers_of
from router.services import Services
from router.surfaces import Surface
from router.upstreams.seam import UpstreamAnswer, UpstreamCall
from router.wires import Pairs, client_headers, decoded, upstream_headers

log = logging.getLogger("setpoint")

Message = MutableMapping[str, Any]
Receive = Callable[[], Awaitable[Message]]
Send = Callable[[Message], Awaitable[None]]
JSON: Pairs = [(b"content-type", b"application/json")]


class SurfaceApp:
    """ASGI application of one surface: every call ends in exactly one outcome, also when the client hangs up."""

    def __init__(self, surface: Surface, services: Services) -> None:
        self._surface, self._services = surface, services

    async def __call__(self, scope: Message, receive: Receive, send: Send) -> None:
        """Serve one request."""
        exchange = Exchange(self._surface.name, monotonic())
        try:
            await self._serve(scope, receive, send, exchange)
        except RequestError as e:
            exchange.failed(e)
            await _fail(send, exchange, e)
        except ClientGoneError:
            exchange.result = "cancelled"
        except asyncio.CancelledError:
            exchange.result = "cancelled"
            if not exchange.client_gone:
                raise
        except Exception:
            log.exception("a request failed for a reason of our own")
            error = RequestError("internal_error", "Setpoint failed to handle this request; its log says why.")
            exchange.failed(error)
            await _fail(send, exchange, error)
        finally:
            report(self._services, exchange)

    async def _serve(self, scope: Message, receive: Receive, send: Send, exchange: Exchange) -> None:
        services, headers = self._services, decoded(scope["headers"])
        tenant = services.gate.tenant(headers)
        body = await read_body(receive, headers, services.body_limit)
        prepared = exchange.prepared = services.pipeline.prepare(Incoming(self._surface, body, headers), tenant)
        call = UpstreamCall(
            "POST",
            self._surface.path,
            upstream_headers(headers, keep_keys=not services.gate.closed),
            prepared.body,
            scope.get("query_string", b"").decode("latin-1"),
            prepared.incoming.json,
        )
        async with until_hang_up(receive, exchange):
            exchange.sent_at = monotonic()
            answer = await prepared.route.upstream.send(call)
            try:
                await self._relay(answer, send, exchange)
            finally:
                answer.close()

    async def _relay(self, answer: UpstreamAnswer, send: Send, exchange: Exchange) -> None:
        prepared = exchange.prepared
        assert prepared is not None
        exchange.status = answer.status
        headers = client_headers(answer.headers) + headers_of(prepared)
        if answer.status == 200 and answer.content_type.startswith("text/event-stream"):
            await _stream(answer.chunks, headers, send, exchange)
        else:
            await _whole(answer, headers, send, exchange)


async def _whole(answer: UpstreamAnswer, headers: Pairs, send: Send, exchange: Exchange) -> None:
    """A whole answer is sent once it is whole, so that a broken one becomes an error and not half a body."""
    body = b"".join([chunk async for chunk in answer.chunks])
    exchange.answered_at = exchange.first_byte_at = monotonic()
    if answer.status == 200:
        exchange.answered = read_answer(body, streamed=False)
        if exchange.answered is None:
            raise RequestError(
                "upstream_invalid", "The upstream answered 200 with something that is not a JSON object."
            )
    elif answer.status >= 400 and not _is_json(body):
        # An HTML page of a gateway in between is of no use to an OpenAI client; its status is.
        error = {
            "message": f"The upstream answered {answer.status} without an error body.",
            "type": "upstream_error",
            "param": None,
            "code": None,
        }
        body, headers = orjson.dumps({"error": error}), [h for h in headers if h[0] != b"content-type"] + JSON
    exchange.started = True
    await send(
        {
            "type": "http.response.start",
            "status": answer.status,
            "headers": [*headers, (b"content-length", b"%d" % len(body))],
        }
    )
    await send({"type": "http.response.body", "body": body})


async def _stream(chunks: AsyncIterator[bytes], headers: Pairs, send: Send, exchange: Exchange) -> None:
    """Bytes as they come; a copy is kept, up to a limit, to be read when the answer is over."""
    exchange.started = True
    await send({"type": "http.response.start", "status": 200, "headers": headers})
    try:
        async for chunk in chunks:
            exchange.keep(chunk)
            await send({"type": "http.response.body", "body": chunk, "more_body": True})
    except RequestError as e:
        exchange.failed(e)
        # A client that reads events sees an error event; the status line is long gone.
        await send({"type": "http.response.body", "body": b"\n\ndata: " + e.json() + b"\n\n", "more_body": True})
    exchange.answered_at = monotonic()
    await send({"type": "http.response.body", "body": b""})


async def _fail(send: Send, exchange: Exchange, error: RequestError) -> None:
    if exchange.started:
        return
    headers = JSON + [(k.encode(), v.encode()) for k, v in error.headers.items()]
    if exchange.prepared:
        headers = headers + headers_of(exchange.prepared)
    body = error.json()
    with contextlib.suppress(OSError):
        await send(
            {
                "type": "http.response.start",
                "status": error.status,
                "headers": [*headers, (b"content-length", b"%d" % len(body))],
            }
        )
        await send({"type": "http.response.body", "body": body})


def _is_json(body: bytes) -> bool:
    try:
        orjson.loads(body)
    except orjson.JSONDecodeError:
        return False
    return True


@contextlib.asynccontextmanager
async def until_hang_up(receive: Receive, exchange: Exchange) -> AsyncIterator[None]:
    """Cancels what happens inside when the client hangs up, and with it the upstream call."""
    task = asyncio.current_task()
    assert task is not None

    async def watch() -> None:
        while (await receive())["type"] != "http.disconnect":
            pass
        if exchange.answered_at is None:
            exchange.client_gone = True
            task.cancel()

    watcher = asyncio.create_task(watch())
    try:
        yield
    finally:
        watcher.cancel()
