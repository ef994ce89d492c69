"""Relays that decide nothing: what FastAPI + httpx, and an ASGI function with aiohttp, cost by themselves."""

import os
from collections.abc import Awaitable, Callable, MutableMapping
from typing import Any

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


async def aiohttp_relay(
    scope: MutableMapping[str, Any],
    receive: Callable[[], Awaitable[MutableMapping[str, Any]]],
    send: Callable[[MutableMapping[str, Any]], Awaitable[None]],
) -> None:
    """An ASGI application: the body up, the chunks down as they come."""
    import aiohttp

    if scope["type"] == "lifespan":
        await receive()
        _sessions.append(aiohttp.ClientSession(connector=aiohttp.TCPConnector(limit=0), auto_decompress=False))
        await send({"type": "lifespan.startup.complete"})
        await receive()
        await _sessions.pop().close()
        await send({"type": "lifespan.shutdown.complete"})
        return
    parts = []
    while True:
        message = await receive()
        parts.append(message.get("body", b""))
        if not message.get("more_body"):
            break
    url = os.environ["BENCH_UPSTREAM"] + "/chat/completions"
    async with _sessions[0].post(url, data=b"".join(parts), headers=_JSON) as answer:
        kept = (b"content-type", b"content-length")
        headers = [(name.lower(), value) for name, value in answer.raw_headers if name.lower() in kept]
        await send({"type": "http.response.start", "status": answer.status, "headers": headers})
        async for chunk in answer.content.iter_any():
            await send({"type": "http.response.body", "body": chunk, "more_body": True})
    await send({"type": "http.response.body", "body": b""})
