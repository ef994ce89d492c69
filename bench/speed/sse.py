"""Clients that keep many streams open and count what comes: raw asyncio protocols, in a process of their own."""

import asyncio
import json
import os
import subprocess
import sys
import time
from dataclasses import asdict, dataclass, field
from typing import cast

from bench import BenchError
from bench.static_upstream import KEY

EVENT = b"data: {"
END = b"\r\n0\r\n\r\n"


@dataclass(frozen=True, slots=True)
class Streams:
    """What a stretch of so many seconds saw: chunks, streams that ended, ms from request to first chunk where that came.

    `each`: the fewest chunks that a whole stream had. `errors`: streams that broke.
    """

    seconds: float
    chunks: int
    streams: int
    each: int
    first_p50_ms: float
    first_p99_ms: float
    errors: int

    @property
    def chunks_s(self) -> float:
        """Chunks per second."""
        return self.chunks / self.seconds


def load(url: str, core: int, streams: int, ramp: float, seconds: float, body: str, chunks: int = 0) -> Streams:
    """Keep `streams` open, started one by one within `ramp` seconds, and then count for `seconds`.

    Raises BenchError where streams break, or where none ends or one has not `chunks`, which is what the upstream sends.
    """
    done = subprocess.run(
        [sys.executable, "-m", "bench.speed.sse", url, str(streams), str(ramp), str(seconds)],
        input=body,
        capture_output=True,
        text=True,
        timeout=seconds + ramp + 60,
        check=False,
        preexec_fn=lambda: os.sched_setaffinity(0, {core}),
    )
    if done.returncode:
        raise BenchError(f"the streams from {url} failed: {done.stderr.strip()[-500:]}")
    seen = Streams(**json.loads(done.stdout))
    if seen.errors or seen.each < chunks:
        raise BenchError(
            f"{url}: {seen.errors} broken streams, {seen.streams} whole ones, the shortest of {seen.each} chunks of "
            f"{chunks}; nothing is published"
        )
    return seen


@dataclass(slots=True)
class _Seen:
    """What all clients of a process have seen since `counting` began."""

    counting: bool = False
    ended: bool = False
    chunks: int = 0
    errors: int = 0
    each: list[int] = field(default_factory=list)
    first: list[float] = field(default_factory=list)


class _Reader(asyncio.Protocol):
    """Asks again as soon as its stream has ended."""

    _transport: asyncio.Transport

    def __init__(self, request: bytes, seen: _Seen) -> None:
        self._request, self._seen = request, seen

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = cast(asyncio.Transport, transport)  # uvloop's is one in all but name
        self._ask()

    def _ask(self) -> None:
        self._tail, self._chunks = b"", 0
        self._asked = time.perf_counter()
        self._transport.write(self._request)

    def data_received(self, data: bytes) -> None:
        seen, text = self._seen, self._tail + data
        more = text.count(EVENT)  # one that was cut in two is found with the second part
        if more:
            if not self._chunks and seen.counting:
                seen.first.append(time.perf_counter() - self._asked)
            self._chunks += more
            if seen.counting:
                seen.chunks += more
        elif not self._chunks and text.startswith(b"HTTP/1.1 ") and not text.startswith(b"HTTP/1.1 200"):
            seen.errors += 1
        self._tail = text[1 - len(EVENT) :]
        if text.endswith(END):
            if seen.counting:
                seen.each.append(self._chunks)
            self._ask()

    def connection_lost(self, exc: Exception | None) -> None:
        self._seen.errors += not self._seen.ended


async def _load(url: str, streams: int, ramp: float, seconds: float, body: bytes) -> Streams:
    address, _, path = url.removeprefix("http://").partition("/")
    host, _, port = address.partition(":")
    request = (
        f"POST /{path}/chat/completions HTTP/1.1\r\nHost: {address}\r\nContent-Type: application/json\r\n"
        f"Authorization: Bearer {KEY}\r\nContent-Length: {len(body)}\r\n\r\n"
    ).encode() + body
    loop, seen = asyncio.get_running_loop(), _Seen()
    readers = []
    for _ in range(streams):
        readers.append(await loop.create_connection(lambda: _Reader(request, seen), host, int(port)))
        await asyncio.sleep(ramp / streams)
    seen.counting, begun = True, time.perf_counter()
    await asyncio.sleep(seconds)
    seen.counting, took = False, time.perf_counter() - begun
    seen.ended = True
    for transport, _ in readers:
        transport.abort()
    first = sorted(s * 1000 for s in seen.first) or [0.0]
    p50, p99 = (first[int(len(first) * q)] for q in (0.5, 0.99))
    return Streams(took, seen.chunks, len(seen.each), min(seen.each, default=0), p50, p99, seen.errors)


if __name__ == "__main__":
    import uvloop

    at, count, ramp_s, count_s = sys.argv[1:]
    print(json.dumps(asdict(uvloop.run(_load(at, int(count), float(ramp_s), float(count_s), sys.stdin.buffer.read())))))
