"""Every client of upstreams keeps the seam's promises: against real sockets, with servers that say exactly what a test wants."""

import asyncio
import contextlib
import os
import ssl
from collections.abc import AsyncIterator, Awaitable, Callable
from pathlib import Path
from typing import Any

import pytest
import trustme
from hypercorn.asyncio import serve
from hypercorn.config import Config

from bench import free_port
from router.errors import RequestError
from router.settings import Limits
from router.upstreams.plain import PlainClient
from router.upstreams.seam import Client
from router.upstreams.secure import SecureClient

LIMITS = Limits(connect_seconds=5, read_seconds=1)
OK = b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\nContent-Type: application/json\r\n\r\n{}"
CHUNKED = b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\nContent-Type: text/event-stream\r\n\r\n"

Script = Callable[[asyncio.StreamReader, asyncio.StreamWriter], Awaitable[None]]


class Server:
    """A server that plays a script on each connection, after having read one request."""

    def __init__(self) -> None:
        self.script: Script = answering(OK)
        self.connections = 0
        self.requests: list[bytes] = []
        self.gone = asyncio.Event()
        self.port = 0
        self._tasks: set[asyncio.Task[None] | None] = set()

    async def connected(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.connections += 1
        self._tasks.add(asyncio.current_task())
        try:
            while True:
                head = await reader.readuntil(b"\r\n\r\n")
                length = next(
                    (int(li[15:]) for li in head.lower().split(b"\r\n") if li.startswith(b"content-length")), 0
                )
                self.requests.append(head + await reader.readexactly(length))
                await self.script(reader, writer)
        except (asyncio.IncompleteReadError, ConnectionError, asyncio.CancelledError):
            pass
        finally:
            self.gone.set()
            writer.transport.abort()

    @contextlib.asynccontextmanager
    async def listening(self, context: ssl.SSLContext | None = None) -> AsyncIterator[None]:
        """From now until the end of the test."""
        listener = await asyncio.start_server(self.connected, "127.0.0.1", 0, ssl=context)
        self.port = listener.sockets[0].getsockname()[1]
        try:
            yield
        finally:
            listener.close()
            for task in filter(None, self._tasks):
                task.cancel()
            await asyncio.gather(*filter(None, self._tasks), return_exceptions=True)
            await asyncio.sleep(0)


def answering(*parts: bytes, pause: float = 0.0, close: bool = False) -> Script:
    async def script(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        for part in parts:
            writer.write(part)
            await writer.drain()
            await asyncio.sleep(pause)
        if close:
            writer.close()
            await writer.wait_closed()
            raise ConnectionError

    return script


async def silent(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    await reader.read()
    raise ConnectionError


@pytest.fixture(scope="module")
def authority() -> trustme.CA:
    return trustme.CA()


@pytest.fixture(params=["plain", "plain over TLS", "secure", "secure without TLS"])
async def spoken(
    request: pytest.FixtureRequest, authority: trustme.CA, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> AsyncIterator[tuple[Server, Client]]:
    """(server, client): the second line of each kind of client is the one that is used less."""
    secured = request.param in ("plain over TLS", "secure")
    trusted = tmp_path / "ca.pem"
    authority.cert_pem.write_to_path(trusted)
    monkeypatch.setenv("SSL_CERT_FILE", str(trusted))
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    authority.issue_cert("127.0.0.1").configure_cert(context)
    server = Server()
    async with server.listening(context if secured else None):
        client: Client
        if request.param.startswith("plain"):
            trust = ssl.create_default_context() if secured else None
            client = PlainClient("up", "127.0.0.1", server.port, LIMITS, trust)
        else:
            client = SecureClient("up", f"{'https' if secured else 'http'}://127.0.0.1:{server.port}", LIMITS)
        yield server, client
        await client.close()


async def post(client: Client, body: bytes = b"{}") -> tuple[int, bytes]:
    answer = await client.send("POST", b"/v1/x?a=1", [(b"x-a", b"1"), (b"x-a", b"2")], body)
    try:
        return answer.status, await answer.whole()
    finally:
        answer.close()


async def test_a_call_arrives_as_it_was_made_and_its_answer_comes_back(spoken: Any) -> None:
    server, client = spoken
    server.script = answering(b"HTTP/1.1 418 No\r\nX-B: 1\r\nX-b: 2\r\nContent-Length: 3\r\n\r\nabc")
    answer = await client.send("POST", b"/v1/x?a=1", [(b"x-a", b"1"), (b"x-a", b"2")], b"body")
    assert (answer.status, await answer.whole()) == (418, b"abc")
    assert [v for k, v in answer.headers if k == b"x-b"] == [b"1", b"2"]
    answer.close()
    head, _, body = server.requests[0].partition(b"\r\n\r\n")
    lines = head.lower().split(b"\r\n")
    assert lines[0] == b"post /v1/x?a=1 http/1.1"
    assert [li for li in lines if li.startswith(b"x-a")] == [b"x-a: 1", b"x-a: 2"]
    assert f"host: 127.0.0.1:{server.port}".encode() in lines
    assert b"content-length: 4" in lines
    assert body == b"body"


async def test_a_connection_is_used_again(spoken: Any) -> None:
    server, client = spoken
    for _ in range(5):
        assert await post(client) == (200, b"{}")
    assert server.connections == 1


async def test_calls_at_once_have_connections_of_their_own(spoken: Any) -> None:
    server, client = spoken
    server.script = answering(CHUNKED, b"1\r\na\r\n", b"0\r\n\r\n", pause=0.05)
    assert await asyncio.gather(*(post(client) for _ in range(5))) == [(200, b"a")] * 5
    assert server.connections == 5


async def test_bytes_come_as_the_upstream_sends_them(spoken: Any) -> None:
    server, client = spoken
    server.script = answering(CHUNKED, b"3\r\none\r\n", b"3\r\ntwo\r\n", b"0\r\n\r\n", pause=0.1)
    answer = await client.send("POST", b"/", [], b"{}")
    assert [c async for c in answer] == [b"one", b"two"]
    answer.close()
    assert await post(client) == (200, b"onetwo")
    assert server.connections == 1


async def test_an_answer_without_a_length_ends_with_the_connection(spoken: Any) -> None:
    server, client = spoken
    server.script = answering(b"HTTP/1.1 200 OK\r\n\r\nall of it", close=True)
    assert await post(client) == (200, b"all of it")
    assert await post(client) == (200, b"all of it")


async def test_what_has_no_body_is_not_waited_for(spoken: Any) -> None:
    server, client = spoken
    server.script = answering(b"HTTP/1.1 204 No Content\r\n\r\n")
    assert await post(client) == (204, b"")
    server.script = answering(b"HTTP/1.1 200 OK\r\nContent-Length: 100\r\n\r\n")
    answer = await client.send("HEAD", b"/", [], b"")
    assert (answer.status, await answer.whole()) == (200, b"")
    answer.close()
    server.script = answering(OK)
    assert await post(client) == (200, b"{}")


async def test_an_interim_answer_is_not_the_answer(spoken: Any) -> None:
    server, client = spoken
    server.script = answering(b"HTTP/1.1 103 Early Hints\r\nLink: </a>\r\n\r\n" + OK)
    assert await post(client) == (200, b"{}")
    assert await post(client) == (200, b"{}")


async def test_a_connection_that_the_upstream_closes_is_not_used_again(spoken: Any) -> None:
    server, client = spoken
    server.script = answering(OK.replace(b"\r\n\r\n", b"\r\nConnection: close\r\n\r\n"), close=True)
    assert await post(client) == (200, b"{}")
    assert await post(client) == (200, b"{}")
    assert server.connections == 2


@pytest.mark.parametrize(
    "more",
    [b"H", OK[:10], OK.replace(b"{}", b"["), OK.replace(b"{}", b"[]"), CHUNKED, CHUNKED + b"5\r\nab", b"\r\n", b"...."],
)
@pytest.mark.parametrize("answer", [OK, CHUNKED + b"2\r\n{}\r\n0\r\n\r\n"], ids=["length", "chunks"])
async def test_what_comes_behind_an_answer_is_never_the_next_one(spoken: Any, answer: bytes, more: bytes) -> None:
    server, client = spoken
    server.script = answering(answer + more)
    assert await post(client) == (200, b"{}")
    server.script = answering(OK.replace(b"{}", b"me"))
    assert await post(client) == (200, b"me")


async def test_silence_on_a_kept_connection_is_no_reason_to_call_again(spoken: Any) -> None:
    server, client = spoken
    assert await post(client) == (200, b"{}")
    server.script = silent
    with pytest.raises(RequestError) as failed:
        await post(client)
    assert failed.value.code == "upstream_timeout"
    assert len(server.requests) == 2


async def test_headers_beyond_ascii_cost_nobody_an_answer(spoken: Any) -> None:
    server, client = spoken
    server.script = answering(OK.replace(b"{}", b"ok").replace(b"\r\n\r\n", "\r\nX-B: é\r\nX-C: 1\r\n\r\n".encode()))
    answer = await client.send("POST", b"/", [(b"x-a", "é".encode())], b"{}")
    assert (answer.status, answer.content_type, await answer.whole()) == (200, "application/json", b"ok")
    assert (b"x-c", b"1") in answer.headers
    answer.close()
    assert "x-a: é".encode() in server.requests[0].split(b"\r\n")


@pytest.mark.parametrize("head", [OK, CHUNKED + b"2\r\n{}\r\n0\r\n\r\n"], ids=["length", "chunks"])
async def test_a_connection_that_was_answered_before_it_was_heard_is_not_used_again(head: bytes) -> None:
    server = Server()

    async def hasty(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        server.connections += 1
        await reader.readuntil(b"\r\n\r\n")
        if server.connections == 1:  # the rest of the body is never read
            writer.transport.pause_reading()  # type: ignore[attr-defined] # a real transport has it
        writer.write(head)
        await server.gone.wait()
        writer.transport.abort()

    listener = await asyncio.start_server(hasty, "127.0.0.1", 0)
    client = PlainClient("up", "127.0.0.1", listener.sockets[0].getsockname()[1], LIMITS)
    assert await post(client, bytes(20_000_000)) == (200, b"{}")
    assert await post(client) == (200, b"{}")
    assert server.connections == 2
    server.gone.set()
    await client.close()
    listener.close()
    await asyncio.sleep(0.05)


@pytest.mark.parametrize(
    ("script", "code"),
    [
        (answering(close=True), {"upstream_cut"}),
        (answering(b"HTTP/1.1 200 OK\r\nContent-Length: 9\r\n\r\nab", close=True), {"upstream_cut"}),
        (answering(CHUNKED, b"3\r\none\r\n", close=True), {"upstream_cut"}),
        (answering(b"SSH-2.0-OpenSSH_9\r\n"), {"upstream_invalid", "upstream_cut"}),
        (answering(b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\nX: " + b"x" * 600_000 + b"\r\n\r\n{}"), {"upstream_invalid", "upstream_cut"}),
        (answering(b"HTTP/1.1 600 Odd\r\nContent-Length: 2\r\n\r\n{}"), {"upstream_invalid"}),
        (answering(b"HTTP/1.1 099 Odd\r\nContent-Length: 2\r\n\r\n{}"), {"upstream_invalid", "upstream_cut"}),
        (answering(b"HTTP/1.1 101 Odd\r\nUpgrade: x\r\nConnection: upgrade\r\n\r\n"), {"upstream_invalid"}),
        (silent, {"upstream_timeout"}),
        (answering(CHUNKED, b"3\r\none\r\n", pause=3), {"upstream_timeout"}),
    ],
    ids=["cut", "half a body", "half a stream", "no HTTP", "endless headers", "no status", "too low a status", "another protocol", "silence", "silence in mid-answer"],
)  # fmt: skip
async def test_what_goes_wrong_has_a_name(spoken: Any, script: Script, code: set[str]) -> None:
    server, client = spoken
    server.script = script
    with pytest.raises(RequestError) as failed:
        await post(client)
    assert failed.value.code in code
    server.script = answering(OK)
    assert await post(client) == (200, b"{}")


async def test_nobody_at_home() -> None:
    for nobody in (PlainClient("up", "127.0.0.1", 1, LIMITS), SecureClient("up", "https://127.0.0.1:1", LIMITS)):
        with pytest.raises(RequestError) as failed:
            await post(nobody)
        assert failed.value.code == "upstream_unreachable"
        await nobody.close()


async def test_a_certificate_that_nobody_vouches_for_is_refused(
    authority: trustme.CA, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv("SSL_CERT_FILE", raising=False)
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    authority.issue_cert("127.0.0.1").configure_cert(context)
    server, trust = Server(), ssl.create_default_context()
    async with server.listening(context):
        for client in (
            PlainClient("up", "127.0.0.1", server.port, LIMITS, trust),
            SecureClient("up", f"https://127.0.0.1:{server.port}", LIMITS),
        ):
            with pytest.raises(RequestError) as failed:
                await post(client)
            assert failed.value.code == "upstream_unreachable"
            await client.close()


async def test_closing_an_answer_that_is_not_over_gives_its_connection_up(spoken: Any) -> None:
    server, client = spoken
    server.script = answering(CHUNKED, *[b"3\r\none\r\n"] * 1000, pause=0.01)
    answer = await client.send("POST", b"/", [], b"{}")
    assert await anext(aiter(answer)) == b"one"
    answer.close()
    await asyncio.wait_for(server.gone.wait(), 5)


async def test_cancelling_a_call_gives_its_connection_up(spoken: Any) -> None:
    server, client = spoken
    server.script = silent
    call = asyncio.ensure_future(post(client))
    while not server.requests:
        await asyncio.sleep(0.01)
    call.cancel()
    with pytest.raises(asyncio.CancelledError):
        await call
    await asyncio.wait_for(server.gone.wait(), 5)


async def test_who_does_not_read_makes_the_upstream_wait(spoken: Any) -> None:
    server, client = spoken
    sent = 0

    async def endless(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        nonlocal sent
        writer.write(CHUNKED)
        for _ in range(1000):
            writer.write(b"10000\r\n" + bytes(65536) + b"\r\n")
            await writer.drain()
            sent += 65536
        writer.write(b"0\r\n\r\n")

    server.script = endless
    answer = await client.send("POST", b"/", [], b"{}")
    before = -1
    while before != sent:
        before = sent
        await asyncio.sleep(0.2)
    assert sent < 20 * 2**20  # what the kernel's buffers and ours take of 65 MB
    assert len(await answer.whole()) == 1000 * 65536
    answer.close()


async def test_a_large_body_arrives_whole(spoken: Any) -> None:
    server, client = spoken
    body = os.urandom(5_000_000)
    assert await post(client, body) == (200, b"{}")
    assert server.requests[0].endswith(body)


async def test_a_kept_connection_that_was_closed_meanwhile_costs_nobody_an_error() -> None:
    server = Server()

    async def once(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        server.script = answering(OK)
        raise ConnectionError  # as a server does that gives an idle connection up just when it is used

    async with server.listening():
        client = PlainClient("up", "127.0.0.1", server.port, LIMITS)
        assert await post(client) == (200, b"{}")
        server.script = once
        assert await post(client) == (200, b"{}")
        assert server.connections == 2
        await client.close()
        # One that was not kept was not closed for idleness: the upstream has seen the call.
        server.script = answering(close=True)
        with pytest.raises(RequestError, match="before it answered"):
            await post(client)
        await client.close()


async def test_http_2_is_spoken_where_it_is_offered(
    authority: trustme.CA, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    authority.cert_pem.write_to_path(tmp_path / "ca.pem")
    monkeypatch.setenv("SSL_CERT_FILE", str(tmp_path / "ca.pem"))
    leaf = authority.issue_cert("127.0.0.1")
    leaf.private_key_pem.write_to_path(tmp_path / "key.pem")
    leaf.cert_chain_pems[0].write_to_path(tmp_path / "cert.pem")
    seen = []

    async def app(scope: Any, receive: Any, send: Any) -> None:
        if scope["type"] != "http":
            return
        seen.append((scope["http_version"], scope["client"]))
        await send({"type": "http.response.start", "status": 200, "headers": []})
        for part in (b"a", b"b"):
            await send({"type": "http.response.body", "body": part, "more_body": True})
            await asyncio.sleep(0.05)
        await send({"type": "http.response.body", "body": b""})

    config, stop, port = Config(), asyncio.Event(), free_port()
    config.bind, config.certfile, config.keyfile = [f"127.0.0.1:{port}"], str(tmp_path / "cert.pem"), str(tmp_path / "key.pem")  # fmt: skip
    config.graceful_timeout = 0.5
    serving = asyncio.ensure_future(serve(app, config, shutdown_trigger=stop.wait))
    client = SecureClient("up", f"https://127.0.0.1:{port}", LIMITS)
    for _ in range(50):
        try:
            await post(client)
            break
        except RequestError:
            await asyncio.sleep(0.1)
    assert await asyncio.gather(*(post(client) for _ in range(5))) == [(200, b"ab")] * 5
    assert {version for version, _ in seen} == {"2"}
    assert len({address for _, address in seen}) == 1  # all on one connection
    await client.close()
    stop.set()
    await serving
