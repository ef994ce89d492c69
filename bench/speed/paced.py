"""Clients that measure time and not throughput: one request after the other, and a constant rate whatever the answers do.

Plain sockets and select, whose timeouts are exact to microseconds where those of event loops are to milliseconds.
"""

import json
import select
import socket
import sys
import time
from dataclasses import asdict, dataclass
from pathlib import Path

from bench.static_upstream import DIGITS, KEY, length_of

BLOCK = 20  # requests to one side before the other one's turn
_AT_FIRST, _MOST = 64, 900  # connections; select takes 1,024
_LATEST = 2.0  # seconds that answers are waited for at the end


@dataclass(frozen=True, slots=True)
class Times:
    """ms; `late_p99_ms` is how late the generator itself was in sending, `missing` what had no answer in the end."""

    requests: int
    p50_ms: float
    p99_ms: float
    late_p99_ms: float = 0.0
    missing: int = 0


class Target:
    """Requests to one address, each another one, and the answers to them."""

    def __init__(self, url: str, bodies: list[str], first: int) -> None:
        address, _, path = url.removeprefix("http://").partition("/")
        host, _, port = address.partition(":")
        self._address = (host, int(port))
        self._head = (
            f"POST /{path}/chat/completions HTTP/1.1\r\nHost: {address}\r\nContent-Type: application/json\r\n"
            f"Authorization: Bearer {KEY}\r\nContent-Length: "
        )
        self._bodies, self._number = bodies, first
        self._opened: list[socket.socket] = []

    def connect(self) -> socket.socket:
        """A new connection."""
        connection = socket.create_connection(self._address)
        connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        self._opened.append(connection)
        return connection

    def close(self) -> None:
        """Ends all connections."""
        for connection in self._opened:
            connection.close()

    def request(self) -> bytes:
        """The next one, whole."""
        self._number += 1
        body = self._bodies[self._number % len(self._bodies)].replace(DIGITS, f"{self._number:010d}").encode()
        return f"{self._head}{len(body)}\r\n\r\n".encode() + body


def is_whole(answer: bytes) -> bool:
    """Whether all of an answer with a Content-Length has come. Raises ValueError for one that is no success."""
    end = answer.find(b"\r\n\r\n")
    if end < 0:
        return False
    if not answer.startswith(b"HTTP/1.1 200"):
        raise ValueError(f"answered {answer[:400].decode(errors='replace')}")
    return len(answer) >= end + 4 + length_of(answer[:end])


def one(connection: socket.socket, request: bytes) -> float:
    """Seconds that an answer takes. Raises ValueError where there is none, or no success."""
    begun, answer = time.perf_counter(), b""
    connection.sendall(request)
    while not is_whole(answer):
        if not (more := connection.recv(65536)):
            raise ValueError("the connection was closed")
        answer += more
    return time.perf_counter() - begun


def in_turn(targets: list[Target], seconds: float) -> list[Times]:
    """One connection to each, one request in flight in all, block by block in turn."""
    connections = [target.connect() for target in targets]
    seen: list[list[float]] = [[] for _ in targets]
    end = time.perf_counter() + seconds
    while time.perf_counter() < end:
        for target, connection, times in zip(targets, connections, seen, strict=True):
            times += [one(connection, target.request()) for _ in range(BLOCK)]
    return [Times(len(times), *_quantiles(times)) for times in seen]


def at_rate(target: Target, rate: float, seconds: float) -> Times:
    """A request every 1 / `rate` seconds; each is timed from when it was due, so that no answer can delay the next one."""
    free = [target.connect() for _ in range(_AT_FIRST)]
    busy: dict[socket.socket, tuple[float, bytes]] = {}
    times: list[float] = []
    late: list[float] = []
    begun, number, count = time.perf_counter() + 0.01, 0, int(rate * seconds)
    while number < count or (busy and time.perf_counter() < begun + seconds + _LATEST):
        now, due = time.perf_counter(), begun + number / rate
        if number < count and now >= due and (free or len(busy) < _MOST):
            connection = free.pop() if free else target.connect()
            connection.sendall(target.request())
            late.append(time.perf_counter() - due)
            busy[connection] = (due, b"")
            number += 1
            continue
        wait = max(0.0, due - now) if number < count else 0.1
        for connection in select.select(list(busy), (), (), wait)[0]:
            was_due, answer = busy.pop(connection)
            answer += connection.recv(65536)
            if not answer:
                raise ValueError("a connection was closed")
            if is_whole(answer):
                times.append(time.perf_counter() - was_due)
                free.append(connection)
            else:
                busy[connection] = (was_due, answer)
    return Times(len(times), *_quantiles(times), _quantiles(late)[1], len(busy))


def _quantiles(times: list[float]) -> tuple[float, float]:
    each = sorted(times) or [0.0]
    return each[int(len(each) * 0.5)] * 1000, each[int(len(each) * 0.99)] * 1000


def main(arguments: list[str]) -> None:
    """`turns SECONDS FIRST URL BODIES [URL BODIES]` or `rate RATE SECONDS FIRST URL BODIES`; prints JSON."""
    kind, *numbers = arguments[:3] if arguments[0] == "turns" else arguments[:4]
    rest, first = arguments[len(numbers) + 1 :], int(numbers[-1])
    targets = [
        Target(url, Path(bodies).read_text("utf-8").splitlines(), first + n * 10**8)
        for n, (url, bodies) in enumerate(zip(rest[::2], rest[1::2], strict=True))
    ]
    if kind == "turns":
        found = in_turn(targets, float(numbers[0]))
    else:
        found = [at_rate(targets[0], float(numbers[0]), float(numbers[1]))]
    for target in targets:
        target.close()
    print(json.dumps([asdict(times) for times in found]))


if __name__ == "__main__":
    main(sys.argv[1:])
