"""A relay that decides nothing, on this project's seam for clients: what a server and a client cost by themselves."""

import os
from collections.abc import Awaitable, Callable, MutableMapping
from typing import Any
from urllib.parse import urlsplit

from router.settings import Limits
from router.upstreams.plain import PlainClient
from router.upstreams.seam import Client, Headers
from router.upstreams.secure import SecureClient

_HEADERS: Headers = [(b"content-type", b"application/json"), (b"accept-encoding", b"identity")]
_clients: list[Client] = []


def client() -> Client:
    """The one that BENCH_CLIENT names."""
    address = urlsplit(os.environ["BENCH_UPSTREAM"])
    if os.environ["BENCH_CLIENT"] == "plain":
        return PlainClient("far", address.hostname or "", address.port or 80, Limits())
    return SecureClient("far", f"http://{address.netloc}", Limits())


async def relay(
    scope: MutableMapping[str, Any],
    receive: Callable[[], Awaitable[MutableMapping[str, Any]]],
    send: Callable[[MutableMapping[str, Any]], Awaitable[None]],
) -> None:
    """An ASGI application: the body up, the whole answer down with eight headers more, as Setpoint's has."""
    if scope["type"] == "lifespan":
        await receive()
        _clients.append(client())
        await send({"type": "lifespan.startup.complete"})
        await receive()
        await _clients.pop().close()
        await send({"type": "lifespan.shutdown.complete"})
        return
    parts = []
    while True:
        message = await receive()
        parts.append(message.get("body", b""))
        if not message.get("more_body"):
            break
    answer = await _clients[0].send("POST", b"/v1/chat/completions", _HEADERS, b"".join(parts))
    body = await answer.whole()
    answer.close()
    headers = [(b"content-type", answer.content_type.encode()), (b"content-length", b"%d" % len(body))]
    headers += [(b"x-bench-%d" % n, b"as long as others are") for n in range(8)]
    await send({"type": "http.response.start", "status": answer.status, "headers": headers})
    await send({"type": "http.response.body", "body": body})
