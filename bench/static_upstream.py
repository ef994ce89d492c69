"""The far side of the speed benches, on a core of its own: a static upstream, and the load that reaches it.

nginx and wrk where they are installed; otherwise small stand-ins written here, which are slower: the bench measures them
too and says when they, and not a gateway, would be what is measured.
"""

import asyncio
import json
import os
import shutil
import subprocess
import sys
import time
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import cast

from bench import BenchError

CONTENT = "A static answer: the same for every prompt, so that only the gateway in between is measured."
SCRIPT = Path(__file__).with_suffix(".lua")
BODIES = Path(__file__).with_name("static_upstream_bodies.jsonl")  # requests of 1 KB, of several tasks
KEY = "sk-bench"  # what every client sends, and static_upstream.lua
DIGITS = "0000000000"  # in every body; the load replaces them by a number

ANSWER = json.dumps(
    {
        "id": "chatcmpl-static",
        "object": "chat.completion",
        "created": 1760000000,
        "model": "gpt-4.1",
        "choices": [
            {
                "index": 0,
                "message": {"role": "assistant", "content": CONTENT, "refusal": None},
                "logprobs": None,
                "finish_reason": "stop",
            }
        ],
        "usage": {"prompt_tokens": 212, "completion_tokens": 18, "total_tokens": 230},
        "service_tier": "default",
    }
)

NGINX = """
daemon off;
worker_processes 1;
pid {folder}/nginx.pid;
error_log {folder}/nginx.log error;
events {{ worker_connections 16384; }}
http {{
  access_log off;
  client_body_temp_path {folder}/body; proxy_temp_path {folder}/proxy; fastcgi_temp_path {folder}/fastcgi;
  uwsgi_temp_path {folder}/uwsgi; scgi_temp_path {folder}/scgi;
  client_max_body_size 32m;
  keepalive_timeout 1h;
  keepalive_requests 1000000000;
  server {{
    listen 127.0.0.1:{port} backlog=1024;
    location / {{ default_type application/json; return 200 '{answer}'; }}
  }}
}}
"""


@dataclass(frozen=True, slots=True)
class Load:
    """What a stretch of load saw. `errors`: connections that failed, answers other than 2xx, time-outs."""

    requests: int
    seconds: float
    p50_ms: float
    p99_ms: float
    errors: int

    @property
    def rps(self) -> float:
        """Requests per second."""
        return self.requests / self.seconds


def serving_command(folder: Path, port: int) -> list[str]:
    """The command that serves the static answer on a port of 127.0.0.1."""
    if not (nginx := shutil.which("nginx")):
        return [sys.executable, "-m", "bench.static_upstream", "serve", str(port)]
    conf = folder / "nginx.conf"
    conf.write_text(NGINX.format(folder=folder, port=port, answer=ANSWER), "utf-8")
    return [nginx, "-e", str(folder / "nginx.log"), "-c", str(conf)]


def described() -> str:
    """Which upstream and which load these are."""
    return f"{'nginx' if shutil.which('nginx') else 'asyncio stand-in'}, {'wrk' if shutil.which('wrk') else 'asyncio load'}"


def load(url: str, connections: int, seconds: int, first: int, core: int, bodies: Path = BODIES) -> Load:
    """Keep `connections` requests in flight for some seconds. Raises BenchError when the load could not run."""
    own = [sys.executable, "-m", "bench.static_upstream", "load", url, str(connections), str(seconds)]
    wrk = ["wrk", "-t1", f"-c{connections}", f"-d{seconds}", "--timeout", "30s", "-s", str(SCRIPT), url, "--"]
    command = [*(wrk if shutil.which("wrk") else own), str(bodies), str(first)]
    done = subprocess.run(
        command,
        capture_output=True,
        text=True,
        timeout=seconds + 60,
        check=False,
        preexec_fn=lambda: os.sched_setaffinity(0, {core}),
    )
    if done.returncode:
        raise BenchError(f"the load on {url} failed: {(done.stderr or done.stdout).strip()[-500:]}")
    return Load(**json.loads(done.stdout.strip().splitlines()[-1]))


def length_of(head: bytes) -> int:
    """The Content-Length that a head names; 0 where it names none."""
    for line in head.split(b"\r\n"):
        name, _, value = line.partition(b":")
        if name.lower() == b"content-length":
            return int(value)
    return 0


class _Messages(asyncio.Protocol):
    """Cuts a connection's bytes into HTTP/1.1 messages that have a Content-Length."""

    transport: asyncio.Transport
    _buffer = b""

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self.transport = cast(asyncio.Transport, transport)  # uvloop's is one in all but name

    def data_received(self, data: bytes) -> None:
        self._buffer += data
        while (end := self._buffer.find(b"\r\n\r\n")) >= 0:
            whole = end + 4 + length_of(self._buffer[:end])
            if len(self._buffer) < whole:
                return
            head, self._buffer = self._buffer[:end], self._buffer[whole:]
            self.message(head)

    def message(self, head: bytes) -> None:
        """One whole message has arrived."""


class _Server(_Messages):
    _answer = b"HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nContent-Length: %d\r\n\r\n%s" % (
        len(ANSWER),
        ANSWER.encode(),
    )

    def message(self, head: bytes) -> None:
        self.transport.write(self._answer)


class _Client(_Messages):
    """Sends the next request as soon as an answer is there."""

    def __init__(self, url: str, bodies: list[str], numbers: Iterable[int]) -> None:
        address, _, path = url.removeprefix("http://").partition("/")
        self._head = (
            f"POST /{path} HTTP/1.1\r\nHost: {address}\r\nContent-Type: application/json\r\n"
            f"Authorization: Bearer {KEY}\r\nContent-Length: "
        )
        self._bodies, self._numbers = bodies, iter(numbers)
        self.seconds: list[float] = []
        self.errors = 0
        self._sent = 0.0
        self.ended = False

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        super().connection_made(transport)
        self._send()

    def _send(self) -> None:
        number = next(self._numbers)
        body = self._bodies[number % len(self._bodies)].replace(DIGITS, f"{number:010d}").encode()
        self._sent = time.perf_counter()
        self.transport.write(f"{self._head}{len(body)}\r\n\r\n".encode() + body)

    def message(self, head: bytes) -> None:
        self.seconds.append(time.perf_counter() - self._sent)
        self.errors += not head.startswith(b"HTTP/1.1 2")
        self._send()

    def connection_lost(self, exc: Exception | None) -> None:
        self.errors += not self.ended


async def _serve(port: int) -> None:
    server = await asyncio.get_running_loop().create_server(_Server, "127.0.0.1", port)
    await server.serve_forever()


async def _load(url: str, connections: int, seconds: int, bodies: list[str], first: int) -> Load:
    host, _, port = url.removeprefix("http://").partition("/")[0].partition(":")
    loop, started = asyncio.get_running_loop(), time.perf_counter()
    clients = []
    for i in range(connections):
        numbers = range(first + i, 10 ** len(DIGITS), connections)
        _, client = await loop.create_connection(lambda n=numbers: _Client(url, bodies, n), host, int(port))  # type: ignore[misc]
        clients.append(client)
    await asyncio.sleep(seconds)
    took = time.perf_counter() - started
    for client in clients:
        client.ended = True
        client.transport.abort()
    each = sorted(s * 1000 for client in clients for s in client.seconds) or [0.0]
    p50, p99 = (each[int(len(each) * q)] for q in (0.5, 0.99))
    return Load(sum(len(c.seconds) for c in clients), took, p50, p99, sum(c.errors for c in clients))


def main(arguments: list[str]) -> None:
    """The stand-ins as programs: `serve PORT` and `load URL CONNECTIONS SECONDS BODIES FIRST`."""
    import uvloop

    if arguments[0] == "serve":
        uvloop.run(_serve(int(arguments[1])))
    else:
        url, connections, seconds, bodies, first = arguments[1:]
        lines = Path(bodies).read_text("utf-8").splitlines()
        seen = uvloop.run(_load(url, int(connections), int(seconds), lines, int(first)))
        print(json.dumps({name: getattr(seen, name) for name in Load.__slots__}))


if __name__ == "__main__":
    main(sys.argv[1:])
