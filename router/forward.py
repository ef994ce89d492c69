"""Every other /v1 path: forwarded untouched, both ways, to the upstream that serves its model or to the default one."""

from collections.abc import AsyncIterator
from time import monotonic
from urllib.parse import unquote

import orjson

from router.errors import RequestError
from router.gate import ClientGoneError, read_body
from router.outcomes import Exchange
from router.relay import JSON, Message, Receive, Send, until_hang_up
from router.services import Services
from router.upstreams.seam import UpstreamCall
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
            body = e.json()
            length = (b"content-length", b"%d" % len(body))
            extra = [(k.encode(), v.encode()) for k, v in e.headers.items()]
            await send({"type": "http.response.start", "status": e.status, "headers": [*JSON, *extra, length]})
            await send({"type": "http.response.body", "body": body})
        except ClientGoneError:
            return

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
        path = _path(scope)
        query = scope.get("query_string", b"").decode("latin-1")
        sent = upstream_headers(headers, keep_keys=not services.gate.closed)
        async with until_hang_up(receive, exchange):
            exchange.sent_at = monotonic()
            answer = await upstream.send(UpstreamCall(scope["method"], path, sent, body, query, parsed))
            try:
                exchange.started = True
                headers_back = client_headers(answer.headers)
                await send({"type": "http.response.start", "status": answer.status, "headers": headers_back})
                await _relay(answer.chunks, send)
                exchange.answered_at = monotonic()
            finally:
                answer.close()


def _path(scope: Message) -> str:
    """The path below /v1 as the client wrote it, escapes and all. One that climbs out of /v1 is refused."""
    raw: str = scope["raw_path"].decode("latin-1")
    if not raw.startswith("/v1/") or {".", ".."} & set(unquote(raw).replace("\\", "/").split("/")):
        raise RequestError("unknown_path", "The path leads out of /v1.")
    return raw.removeprefix("/v1")


async def _relay(chunks: AsyncIterator[bytes], send: Send) -> None:
    async for chunk in chunks:
        await send({"type": "http.response.body", "body": chunk, "more_body": True})
    await send({"type": "http.response.body", "body": b""})


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
