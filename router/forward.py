"""Every other /v1 path: forwarded untouched, both ways, to the upstream that serves its model or to the default one."""

import asyncio
from time import monotonic
from urllib.parse import unquote

import orjson

from router.errors import RequestError
from router.gate import ClientGoneError, read_body
from router.hangup import HangUp
from router.outcomes import Exchange
from router.relay import Message, Receive, Send, error_headers, send_whole
from router.services import Services
from router.upstreams.seam import UpstreamAnswer, UpstreamCall
from router.wires import client_headers, decoded, upstream_headers

OWN = frozenset({"/v1/feedback", "/v1/explain"})


class ForwardApp:
    """ASGI application of the paths that no policy governs."""

    def __init__(self, services: Services) -> None:
        self._services = services

    async def __call__(self, scope: Message, receive: Receive, send: Send) -> None:
        """Serve one request."""
        exchange = Exchange("forward", monotonic())
        try:
            await self._serve(scope, receive, send, exchange)
        except RequestError as e:
            exchange.failed(e)
            if exchange.started:
                raise  # the connection breaks, as the upstream's did: half a file must not look whole
            await send_whole(send, e.status, error_headers(e), e.json())
        except ClientGoneError:
            return
        except asyncio.CancelledError:
            if not exchange.client_gone:
                raise

    async def _serve(self, scope: Message, receive: Receive, send: Send, exchange: Exchange) -> None:
        services, headers = self._services, decoded(scope["headers"])
        services.gate.tenant(headers)
        if scope["path"] in OWN:
            raise RequestError("method_not_allowed", f"{scope['method']} is not a method of {scope['path']}.")
        body = await read_body(receive, headers, services.body_limit)
        model = _model(body, headers.get("content-type", ""))
        routes = services.pipeline.routes
        upstream = routes.of(model).upstream if model else routes.upstreams[0]
        if model and (target := routes.of(model).model) != model:
            body = orjson.dumps({**orjson.loads(body), "model": target})
        parsed = orjson.loads(body) if model else None
        sent = upstream_headers(scope["headers"], keep_keys=not services.gate.closed)
        call = UpstreamCall(scope["method"], _path(scope), sent, body, scope.get("query_string", b""), parsed)
        hang_up = HangUp(scope, receive)
        exchange.sent_at = monotonic()
        try:
            answer = await upstream.send(call)
            try:
                await _relay(answer, send, exchange)
            finally:
                answer.close()
        finally:
            hang_up.stop()
            exchange.client_gone = hang_up.happened


async def _relay(answer: UpstreamAnswer, send: Send, exchange: Exchange) -> None:
    exchange.started = True
    headers = client_headers(answer.headers)
    if answer.status in (204, 304):
        await send_whole(send, answer.status, headers, b"")
    else:
        await send({"type": "http.response.start", "status": answer.status, "headers": headers})
        async for chunk in answer:
            await send({"type": "http.response.body", "body": chunk, "more_body": True})
        await send({"type": "http.response.body", "body": b""})
    exchange.answered_at = monotonic()


def _path(scope: Message) -> str:
    """The path below /v1 as the client wrote it, escapes and all. One that climbs out of /v1 is refused."""
    raw: str = scope["raw_path"].decode("latin-1")
    if not raw.startswith("/v1/") or {".", ".."} & set(unquote(raw).replace("\\", "/").split("/")):
        raise RequestError("unknown_path", "The path leads out of /v1.")
    return raw.removeprefix("/v1")


def _model(body: bytes, content_type: str) -> str | None:
    """The model that a JSON body names; other bodies name none that could be read."""
    if not body or "json" not in content_type:
        return None
    try:
        parsed = orjson.loads(body)
    except orjson.JSONDecodeError:
        return None
    model = parsed.get("model") if isinstance(parsed, dict) else None
    return model if isinstance(model, str) and model else None
