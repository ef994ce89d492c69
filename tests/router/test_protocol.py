"""The server's protocol: on a real socket, what is asked in one piece is answered as anything else is."""

import asyncio
import contextlib
import socket
from collections.abc import AsyncIterator
from itertools import pairwise
from typing import Any

import pytest
import uvicorn
from hypothesis import given, settings
from hypothesis import strategies as st

from router.hangup import HangUp
from router.protocol import HANG_UP, MOST_AT_ONCE, Protocol


async def echo(scope: Any, receive: Any, send: Any) -> None:
    """Answers with what it was asked: method, path, query and body; in two parts where the path says so."""
    body = b""
    while True:
        message = await receive()
        body += message.get("body", b"")
        if not message.get("more_body"):
            break
    said = b" ".join([scope["method"].encode(), scope["path"].encode(), scope["query_string"], body])
    parts = [said[:7], said[7:]] if scope["path"] == "/parts" else [said]
    headers = [(b"content-length", b"%d" % len(said))] if scope["path"] != "/parts" else []
    await send({"type": "http.response.start", "status": 200, "headers": headers})
    for n, part in enumerate(parts):
        await send({"type": "http.response.body", "body": part, "more_body": n + 1 < len(parts)})


@contextlib.asynccontextmanager
async def serving(app: Any) -> AsyncIterator[int]:
    config = uvicorn.Config(app, http=Protocol, lifespan="off", log_level="critical", access_log=False)
    server = uvicorn.Server(config)
    with socket.create_server(("127.0.0.1", 0)) as listener:
        task = asyncio.ensure_future(server.serve([listener]))
        while not server.started:
            await asyncio.sleep(0.01)
        yield listener.getsockname()[1]
        server.should_exit = True
        await task


async def talk(port: int, *pieces: bytes, pause: float = 0.0) -> bytes:
    """All that comes back for these bytes until the server closes the connection."""
    reader, writer = await asyncio.open_connection("127.0.0.1", port)
    for piece in pieces:
        writer.write(piece)
        await writer.drain()
        await asyncio.sleep(pause)
    found = await asyncio.wait_for(reader.read(), 10)
    writer.close()
    return found


def post(path: bytes, body: bytes, *headers: bytes) -> bytes:
    lines = [b"POST " + path + b" HTTP/1.1", b"Host: x", b"Content-Length: %d" % len(body), *headers]
    return b"\r\n".join(lines) + b"\r\n\r\n" + body


CLOSE = b"Connection: close"


async def test_a_request_is_answered_and_its_connection_used_again() -> None:
    async with serving(echo) as port:
        answers = await talk(port, post(b"/a?b=c", b"one"), post(b"/a", b""), post(b"/a", b"two", CLOSE), pause=0.1)
    assert answers.count(b"HTTP/1.1 200 OK") == 3
    assert [li for li in answers.split(b"\r\n") if li.startswith(b"POST")] == [
        b"POST /a b=c oneHTTP/1.1 200 OK", b"POST /a  HTTP/1.1 200 OK", b"POST /a  two",
    ]  # fmt: skip
    assert answers.count(b"connection: close") == 1


async def test_an_answer_without_a_length_is_chunked() -> None:
    async with serving(echo) as port:
        assert (await talk(port, post(b"/parts", b"x", CLOSE))).endswith(
            b"transfer-encoding: chunked\r\n\r\n7\r\nPOST /p\r\n7\r\narts  x\r\n0\r\n\r\n"
        )


async def test_requests_sent_at_once_are_answered_in_turn() -> None:
    async with serving(echo) as port:
        requests = [post(b"/parts", b"%d" % n) for n in range(3)] + [
            b"GET /get HTTP/1.1\r\nHost: x\r\n\r\n",
            post(b"/a", b"3", CLOSE),
        ]
        answers = await talk(port, b"".join(requests))
    assert [
        answers.find(said) for said in (b"arts  0", b"arts  1", b"arts  2", b"GET /get  ", b"POST /a  3")
    ] == sorted(answers.find(said) for said in (b"arts  0", b"arts  1", b"arts  2", b"GET /get  ", b"POST /a  3"))
    assert answers.count(b"HTTP/1.1 200 OK") == 5


@pytest.mark.parametrize(
    "request_",
    [
        post(b"/a", b"x" * (MOST_AT_ONCE + 1), CLOSE),
        b"POST /a HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\nConnection: close\r\n\r\n1\r\nx\r\n0\r\n\r\n",
        b"POST /a HTTP/1.0\r\nContent-Length: 1\r\n\r\nx",
        post(b"/%61", b"x", CLOSE),
        post(b"http://host/a", b"x", CLOSE),
        post(b"/a", b"x", b"Expect: 100-continue", CLOSE),
    ],
    ids=["large", "chunked", "HTTP/1.0", "escapes", "a whole address", "expects to continue"],
)
async def test_what_is_unusual_is_answered_too(request_: bytes) -> None:
    async with serving(echo) as port:
        assert b"POST /a  x" in await talk(port, request_)


async def test_what_is_no_http_is_refused() -> None:
    async with serving(echo) as port:
        assert (await talk(port, b"SSH-2.0-OpenSSH\r\n\r\n")).startswith(b"HTTP/1.1 400")
        twice = post(b"/a", b"x", b"Content-Length: 2")
        assert (await talk(port, twice)).startswith(b"HTTP/1.1 400")


@pytest.mark.parametrize(
    ("begun", "more"),
    [
        (b"POST /a HTTP/1.1\r\nX: ", b"x" * 8_000),
        (b"POST /a HTTP/1.1\r\n", b"X: y\r\n" * 1_500),
        (b"", b"\r\n" * 4_000),
        (b"POST /a HTTP/1.1\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n", b"X: y\r\n" * 1_500),
    ],
    ids=["one line", "many lines", "empty lines", "lines behind the body"],
)
async def test_what_never_ends_is_not_kept(begun: bytes, more: bytes) -> None:
    async with serving(echo) as port:
        _, writer = await asyncio.open_connection("127.0.0.1", port)
        writer.write(begun)
        with contextlib.suppress(ConnectionError):
            for _ in range(1_000):  # 10 MB
                writer.write(more)
                await writer.drain()
            pytest.fail("all of it was taken")
        writer.transport.abort()


async def test_a_head_that_is_too_large_is_answered() -> None:
    async with serving(echo) as port:
        reader, writer = await asyncio.open_connection("127.0.0.1", port)
        for part in (b"POST /a HTTP/1.1\r\nX: ", *[b"x" * 10_000] * 7):  # a little more, and it would be read
            writer.write(part)
            await writer.drain()
            await asyncio.sleep(0.02)
        assert (await asyncio.wait_for(reader.read(), 10)).startswith(b"HTTP/1.1 431")
        writer.close()
        assert b"POST /a  x" in await talk(port, *([post(b"/a", b"x")] * 400), post(b"/a", b"x", CLOSE))


@settings(max_examples=40, deadline=None)
@given(st.lists(st.integers(1, 160), max_size=6), st.binary(max_size=40))
def test_it_makes_no_difference_in_which_pieces_a_request_arrives(cuts: list[int], body: bytes) -> None:
    request = post(b"/a?b=c", body, CLOSE)
    edges = sorted({0, *(c for c in cuts if c < len(request)), len(request)})

    async def answered() -> bytes:
        async with serving(echo) as port:
            return await talk(port, *(request[a:b] for a, b in pairwise(edges)), pause=0.002)

    assert asyncio.run(answered()).endswith(b"\r\n\r\nPOST /a b=c " + body)


async def test_an_application_that_fails_is_a_500_and_the_next_request_another_connection() -> None:
    async def failing(scope: Any, receive: Any, send: Any) -> None:
        if scope["path"] == "/late":
            await send({"type": "http.response.start", "status": 200, "headers": []})
            await send({"type": "http.response.body", "body": b"half", "more_body": True})
        raise RuntimeError("no")

    async def silent(scope: Any, receive: Any, send: Any) -> None:
        return

    async with serving(failing) as port:
        assert (await talk(port, post(b"/a", b"x"))).startswith(b"HTTP/1.1 500 ")
        assert (await talk(port, post(b"/late", b"x"))).endswith(b"4\r\nhalf\r\n")
    async with serving(silent) as port:
        assert await talk(port, post(b"/a", b"x")) == b""


async def test_a_header_cannot_be_two() -> None:
    async def splitting(scope: Any, receive: Any, send: Any) -> None:
        await send({"type": "http.response.start", "status": 200, "headers": [(b"x", b"a\r\nset-cookie: b")]})
        await send({"type": "http.response.body", "body": b""})

    async with serving(splitting) as port:
        assert b"cookie" not in await talk(port, post(b"/a", b"x"))


async def test_a_body_shorter_than_was_said_ends_the_connection() -> None:
    async def short(scope: Any, receive: Any, send: Any) -> None:
        await send({"type": "http.response.start", "status": 200, "headers": [(b"content-length", b"9")]})
        await send({"type": "http.response.body", "body": b"half"})

    async with serving(short) as port:
        assert (await talk(port, post(b"/a", b"x"))).endswith(b"half")


@pytest.mark.parametrize("way", ["short", "long"])
async def test_a_hang_up_cancels_what_it_is_for_at_once(way: str) -> None:
    seen: list[str] = []
    started, ended = asyncio.Event(), asyncio.Event()

    async def slow(scope: Any, receive: Any, send: Any) -> None:
        await receive()
        seen.append("told" if HANG_UP in scope.get("extensions", {}) else "watched")
        hang_up = HangUp(scope, receive)
        started.set()
        try:
            await asyncio.sleep(30)
        except asyncio.CancelledError:
            seen.append(str(hang_up.happened))
        finally:
            hang_up.stop()
            ended.set()

    async with serving(slow) as port:
        _, writer = await asyncio.open_connection("127.0.0.1", port)
        writer.write(post(b"/a" if way == "short" else b"/%61", b"x"))
        await started.wait()
        writer.close()
        await asyncio.wait_for(ended.wait(), 5)
    assert seen == ["told" if way == "short" else "watched", "True"]


async def test_who_reads_slowly_holds_the_application_up() -> None:
    sent = 0

    async def endless(scope: Any, receive: Any, send: Any) -> None:
        nonlocal sent
        await send({"type": "http.response.start", "status": 200, "headers": []})
        while sent < 200 * 2**20:
            await send({"type": "http.response.body", "body": bytes(65536), "more_body": True})
            sent += 65536
            await asyncio.sleep(0)

    async with serving(endless) as port:
        _, writer = await asyncio.open_connection("127.0.0.1", port)
        writer.write(post(b"/a", b"x"))
        before = -1
        while before != sent:
            before = sent
            await asyncio.sleep(0.2)
        assert 0 < sent < 50 * 2**20
        writer.close()
