"""The relay: one request on a surface, from its first byte to its outcome."""

import asyncio
import contextlib
import logging
from collections.abc import Awaitable, Callable, MutableMapping
from time import monotonic
from typing import Any

import orjson

from router.answers import read_whole
from router.errors import RequestError
from router.gate import ClientGoneError, read_body
from router.hangup import HangUp
from router.incoming import Incoming
from router.outcomes import Exchange, Reports
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
        self._surface, self._services, self._reports = surface, services, Reports(services)

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
            self._reports.take(exchange)

    async def _serve(self, scope: Message, receive: Receive, send: Send, exchange: Exchange) -> None:
        services, raw = self._services, scope["headers"]
        headers = decoded(raw)
        gate = services.gate
        tenant = gate.tenant(headers)
        body = await read_body(receive, headers, services.body_limit)
        prepared = exchange.prepared = await services.together.prepare(Incoming(self._surface, body, headers), tenant)
        sent = upstream_headers(raw, keep_keys=not gate.closed)
        query, parsed = scope.get("query_string", b""), prepared.incoming.json
        call = UpstreamCall("POST", self._surface.path, sent, prepared.body, query, parsed)
        hang_up = HangUp(scope, receive)
        exchange.sent_at = monotonic()
        try:
            answer = await prepared.route.upstream.send(call)
            try:
                await _relay(answer, send, exchange, headers_of(prepared))
            finally:
                answer.close()
        finally:
            hang_up.stop()
            exchange.client_gone = hang_up.happened


async def _relay(answer: UpstreamAnswer, send: Send, exchange: Exchange, ours: Pairs) -> None:
    exchange.status = answer.status
    headers = client_headers(answer.headers) + ours
    if answer.status == 200 and answer.content_type.startswith("text/event-stream"):
        await _stream(answer, headers, send, exchange)
    else:
        await _whole(answer, headers, send, exchange)


async def _whole(answer: UpstreamAnswer, headers: Pairs, send: Send, exchange: Exchange) -> None:
    """A whole answer is sent once it is whole, so that a broken one becomes an error and not half a body."""
    body = await answer.whole()
    exchange.answered_at = exchange.first_byte_at = monotonic()
    if answer.status == 200:
        exchange.answered = read_whole(body)
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
    await send_whole(send, answer.status, headers, body)


async def _stream(answer: UpstreamAnswer, headers: Pairs, send: Send, exchange: Exchange) -> None:
    """Bytes as they come; a copy is kept, up to a limit, to be read when the answer is over."""
    exchange.started = True
    await send({"type": "http.response.start", "status": 200, "headers": headers})
    try:
        async for chunk in answer:
            exchange.keep(chunk)
            await send({"type": "http.response.body", "body": chunk, "more_body": True})
    except RequestError as e:
        exchange.failed(e)
        # A client that reads events sees an error event; the status line is long gone.
        await send({"type": "http.response.body", "body": b"\n\ndata: " + e.json() + b"\n\n", "more_body": True})
    exchange.answered_at = monotonic()
    await send({"type": "http.response.body", "body": b""})


async def send_whole(send: Send, status: int, headers: Pairs, body: bytes) -> None:
    """An answer in one piece; a status that has no body says nothing of one."""
    if status not in (204, 304):
        headers.append((b"content-length", b"%d" % len(body)))
    await send({"type": "http.response.start", "status": status, "headers": headers})
    await send({"type": "http.response.body", "body": body})


async def _fail(send: Send, exchange: Exchange, error: RequestError) -> None:
    if exchange.started:
        return
    headers = error_headers(error)
    if exchange.prepared:
        headers += headers_of(exchange.prepared)
    with contextlib.suppress(OSError):
        await send_whole(send, error.status, headers, error.json())


def error_headers(error: RequestError) -> Pairs:
    """Those of an error's answer."""
    return JSON + [(k.encode(), v.encode()) for k, v in error.headers.items()]


def _is_json(body: bytes) -> bool:
    try:
        orjson.loads(body)
    except orjson.JSONDecodeError:
        return False
    return True
