"""The run over HTTP counts as the simulator does, and its client reads answers however they are cut."""

import asyncio
import random

import numpy as np
import pytest

from bench.learning.lean import Answer, Client
from bench.learning.rate import NAMES, Cell, multiple, policy
from bench.learning.worlds import ARMS, WORLDS
from policies.loading import parse

TASKS = WORLDS["main"].tasks


def answer(arm: str, decision: str) -> Answer:
    return Answer(
        200,
        f"HTTP/1.1 200 OK\r\nx-setpoint-decision: {decision}\r\nx-setpoint-arm: temperature={arm}\r\n".encode(),
        b"",
    )


def test_the_policy_is_the_world() -> None:
    found = parse({"p.yaml": policy()}, "p")
    assert found.adaptation_of("task_3").arms["temperature"] == tuple(float(a) for a in ARMS)
    assert [found.tasks[f"task_{n}"][0].set["temperature"] for n in range(6)] == [
        float(ARMS[t.baseline]) for t in TASKS
    ]


def test_regret_is_that_of_the_arms_served() -> None:
    cell = Cell(3, TASKS[3], "m", random.Random(1))
    best, baseline = int(np.argmax(TASKS[3].before)), TASKS[3].baseline
    for n, arm in enumerate((best, baseline, baseline)):
        cell.take(n, answer(next(name for name, i in NAMES.items() if i == arm), f"dec_{n}"))
    assert cell.regret == pytest.approx(cell.static * 2 / 3)
    assert cell.static == pytest.approx(0.048, abs=0.001)


def test_labels_come_late_and_at_their_rate() -> None:
    cell = Cell(4, TASKS[4], "m", random.Random(2))
    told = []
    for n in range(4_000):
        cell.sent = n
        cell.take(n, answer("0.5625", f"dec_{n}"))
        told += [(n - int(str(item["id"])[4:]), item["value"]) for item in cell.due()]
    assert len(told) / 4_000 == pytest.approx(TASKS[4].rate, abs=0.04)
    assert float(np.mean([late for late, _ in told])) == pytest.approx(200, rel=0.15)
    assert float(np.mean([value for _, value in told])) == pytest.approx(TASKS[4].before[NAMES["0.5625"]], abs=0.06)


def test_a_multiple_of_static_regret_has_its_error_over_copies() -> None:
    static = [float(t.before.max() - t.before[t.baseline]) for t in TASKS]
    assert multiple([static, [0.5 * s for s in static]]) == pytest.approx((0.75, 0.25))


async def test_the_client_reads_answers_in_pieces_and_keeps_its_connection() -> None:
    seen, ended = [], asyncio.Event()

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            while head := await reader.readuntil(b"\r\n\r\n"):
                seen.append((writer, head))
                for piece in (b"HTTP/1.1 20", b"1 Created\r\ncontent-le", b"ngth: 5\r\nx-y: z\r\n\r\nhe", b"llo"):
                    writer.write(piece)
                    await writer.drain()
                    await asyncio.sleep(0.01)
        except asyncio.IncompleteReadError:
            writer.close()
            await writer.wait_closed()
            ended.set()

    server = await asyncio.start_server(serve, "127.0.0.1", 0)
    client = Client(f"http://127.0.0.1:{server.sockets[0].getsockname()[1]}")
    for _ in range(2):
        found = await client.ask("GET", "/p", headers=b"a: b\r\n")
        assert (found.status, found.header(b"x-y"), found.header(b"no"), found.body) == (201, b"z", b"", b"hello")
    assert len({id(writer) for writer, _ in seen}) == 1
    assert seen[0][1].startswith(b"GET /p HTTP/1.1\r\n")
    client.close()
    await ended.wait()
    server.close()
    await server.wait_closed()
