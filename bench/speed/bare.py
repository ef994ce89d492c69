"""Relays that decide nothing: what FastAPI + httpx, and an ASGI function with aiohttp, cost by themselves."""

import os
from collections.abc import Awaitable, Callable, MutableMapping
from typing import Any

Message = MutableMapping[str, Any]
Receive = Callable[[], Awaitable[Message]]
Send = Callable[[Message], Awaitable[None]]

_JSON = {"content-type": "application/json"}
_sessions: list[Any] = []


def fastapi_httpx() -> Any:
    """FastAPI + httpx, as the first result of a search would write it."""
    import httpx
    from fastapi import FastAPI, Request, Response

    client = httpx.AsyncClient(limits=httpx.Limits(max_connections=None, max_keepalive_connections=None))
    app = FastAPI()

    @app.post("/v1/chat/completions")
    async def chat(request: Request) -> Response:
        url = os.environ["BENCH_UPSTREAM"] + "/chat/completions"
        answer = await client.post(url, content=await request.body(), headers=_JSON)
        return Response(answer.content, answer.status_code, media_type="application/json")

    return app


async def lifespan(receive: Receive, send: Send, begin: Callable[[], None], end: Callable[[], Awaitable[None]]) -> None:
    """A relay's life: what its client takes to begin, and to end."""
    await receive()
    begin()
    await send({"type": "lifespan.startup.complete"})
    await receive()
    await end()
    await send({"type": "lifespan.shutdown.complete"})


async def body_of(receive: Receive) -> bytes:
    """The whole body of a request."""
    parts = []
    while True:
        message = await receive()
        parts.append(message.get("body", b""))
        if not message.get("more_body"):
            return b"".join(parts)


async def aiohttp_relay(scope: Message, receive: Receive, send: Send) -> None:
    """An ASGI application: the body up, the chunks down as they come."""
    import aiohttp

    def begin() -> None:
        _sessions.append(aiohttp.ClientSession(connector=aiohttp.TCPConnector(limit=0), auto_decompress=False))

    if scope["type"] == "lifespan":
        await lifespan(receive, send, begin, lambda: _sessions.pop().close())
        return
    body = await body_of(receive)
    url = os.environ["BENCH_UPSTREAM"] + "/chat/completions"
    async with _sessions[0].post(url, data=body, headers=_JSON) as answer:
        kept = (b"content-type", b"content-length")
        headers = [(name.lower(), value) for name, value in answer.raw_headers if name.lower() in kept]
        await send({"type": "http.response.start", "status": answer.status, "headers": headers})
        async for chunk in answer.content.iter_any():
            await send({"type": "http.response.body", "body": chunk, "more_body": True})
    await send({"type": "http.response.body", "body": b""})
