"""A relay that decides nothing, on this project's seam for clients: what a server and a client cost by themselves."""

import os
from urllib.parse import urlsplit

from bench.speed.bare import Message, Receive, Send, body_of, lifespan
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


async def relay(scope: Message, receive: Receive, send: Send) -> None:
    """An ASGI application: the body up, the whole answer down with eight headers more, as Setpoint's has."""
    if scope["type"] == "lifespan":
        await lifespan(receive, send, lambda: _clients.append(client()), lambda: _clients.pop().close())
        return
    asked = await body_of(receive)
    answer = await _clients[0].send("POST", b"/v1/chat/completions", _HEADERS, asked)
    body = await answer.whole()
    answer.close()
    headers = [(b"content-type", answer.content_type.encode()), (b"content-length", b"%d" % len(body))]
    headers += [(b"x-bench-%d" % n, b"as long as others are") for n in range(8)]
    await send({"type": "http.response.start", "status": answer.status, "headers": headers})
    await send({"type": "http.response.body", "body": body})
