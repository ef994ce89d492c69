"""An upstream that streams at the pace its prompt names: `python -m bench.speed.sse_upstream PORT`.

A raw asyncio protocol and one timer for all streams: it shares a core with those who read them, and must not be what is
measured.
"""

import asyncio
import json
import re
import sys
from collections.abc import Callable
from typing import cast

from bench.static_upstream import ANSWER, length_of

TICK = 0.001  # seconds: as exact as chunks are on time
_PACE = re.compile(rb"pace (\d+) ms x (\d+)")
_USAGE = {"prompt_tokens": 212, "completion_tokens": 50, "total_tokens": 262}


def pace(ms: int, chunks: int) -> str:
    """Words for a prompt, which pass through every gateway: so many chunks, so many ms apart."""
    return f"(pace {ms} ms x {chunks})"


def command(port: int) -> list[str]:
    """The command that serves on a port of 127.0.0.1."""
    return [sys.executable, "-m", "bench.speed.sse_upstream", str(port)]


def _event(delta: dict[str, str], finish: str | None = None, **more: object) -> bytes:
    choice = {"index": 0, "delta": delta, "logprobs": None, "finish_reason": finish}
    whole = {"id": "chatcmpl-static", "object": "chat.completion.chunk", "created": 1760000000, "model": "gpt-4.1"}
    return b"data: " + json.dumps(whole | {"choices": [choice]} | more).encode() + b"\n\n"


def _framed(data: bytes) -> bytes:
    return b"%x\r\n%s\r\n" % (len(data), data)


_HEAD = b"HTTP/1.1 200 OK\r\nContent-Type: text/event-stream; charset=utf-8\r\nTransfer-Encoding: chunked\r\n\r\n"
_FIRST = _HEAD + _framed(_event({"role": "assistant", "content": "A"}))
_NEXT = _framed(_event({"content": " word"}))
_LAST = _framed(_event({"content": "."}, "stop", usage=_USAGE) + b"data: [DONE]\n\n") + b"0\r\n\r\n"
_WHOLE = b"HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nContent-Length: %d\r\n\r\n%s" % (
    len(ANSWER),
    ANSWER.encode(),
)


class Wheel:
    """Whose chunk is due in which millisecond."""

    def __init__(self) -> None:
        self._due: dict[int, list[Callable[[], None]]] = {}
        self._loop = asyncio.get_running_loop()
        self._now = int(self._loop.time() / TICK)
        self._turn()

    def after(self, ticks: int, call: Callable[[], None]) -> None:
        """Call in so many ticks."""
        self._due.setdefault(self._now + ticks, []).append(call)

    def _turn(self) -> None:
        until = int(self._loop.time() / TICK)
        while self._now < until:  # each tick that has passed: a late timer makes no stream slower
            for call in self._due.pop(self._now, ()):
                call()
            self._now += 1
        self._loop.call_later(TICK, self._turn)


class _Streaming(asyncio.Protocol):
    """Answers a request that names a pace with a stream, and any other at once."""

    _transport: asyncio.Transport
    _write: Callable[[bytes], None]

    def __init__(self, wheel: Wheel) -> None:
        self._wheel, self._buffer = wheel, b""
        self._ticks = self._left = 0

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = cast(asyncio.Transport, transport)  # uvloop's is one in all but name
        self._write = self._transport.write

    def data_received(self, data: bytes) -> None:
        self._buffer += data
        end = self._buffer.find(b"\r\n\r\n")
        if end < 0 or len(self._buffer) < end + 4 + length_of(self._buffer[:end]):
            return
        found, self._buffer = _PACE.search(self._buffer), b""
        if found is None:
            self._write(_WHOLE)
            return
        self._ticks, self._left = int(found[1]), int(found[2]) - 1
        self._write(_FIRST)
        self._wheel.after(self._ticks, self._chunk)

    def _chunk(self) -> None:
        if self._transport.is_closing():
            return
        self._left -= 1
        if self._left > 0:
            self._write(_NEXT)
            self._wheel.after(self._ticks, self._chunk)
        else:
            self._write(_LAST)


async def _serve(port: int) -> None:
    wheel = Wheel()
    server = await asyncio.get_running_loop().create_server(lambda: _Streaming(wheel), "127.0.0.1", port, backlog=8192)
    await server.serve_forever()


if __name__ == "__main__":
    import uvloop

    uvloop.run(_serve(int(sys.argv[1])))
