"""Stores of every kind, each a real server."""

import socket
import subprocess
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path

import pytest
import redis

from metrics.connect import connect
from metrics.credits import Grant
from metrics.decisions import line
from metrics.embedded import find_server
from metrics.episodes import Episode
from metrics.errors import StoreError
from metrics.outcome import DecisionRecord
from metrics.store import Batch, Store
from metrics.tally import reward

NOW = 1_790_000_000.0


def free_port() -> int:
    with socket.socket() as sock:
        sock.bind(("127.0.0.1", 0))
        return int(sock.getsockname()[1])


def await_port(port: int) -> None:
    for _ in range(500):
        with socket.socket() as sock:
            if sock.connect_ex(("127.0.0.1", port)) == 0:
                return
        time.sleep(0.01)
    raise AssertionError(f"nothing listens on {port}")


@contextmanager
def running(folder: Path, port: int, *arguments: str) -> Iterator["redis.Redis"]:
    command = [str(find_server()), *arguments, "--port", str(port), "--bind", "127.0.0.1", "--dir", str(folder)]
    process = subprocess.Popen([*command, "--save", ""], stdout=subprocess.DEVNULL)
    client = redis.Redis("127.0.0.1", port, decode_responses=True)
    try:
        await_port(port)
        yield client
    finally:
        client.close()
        process.kill()
        process.wait()


async def exercise(url: str, decide: Callable[..., DecisionRecord]) -> None:
    store, records = Store(url), [decide(cell=f"cell{n}") for n in range(20)]
    assert await store.begin("w") == 0
    sums = dict(reward(f"cell{n}", "a", "latency", NOW, 1.0) for n in range(20))
    for _ in range(2):
        await store.write(Batch("w", 1, [line(r, f"c{n}") for n, r in enumerate(records)], sums, {"cell0": {"x": 1}}))
    assert await store.begin("w") == 1
    assert len(await store.find([f"c{n}" for n in range(20)], NOW)) == 20
    grants = [Grant(r, "rating", 5, 1.0) for r in records]
    assert await store.credit(grants, "w", 2) == [True] * 20
    assert await store.credit(grants, "w", 2) == [False] * 20
    episode = Episode("team-a", "s", "success", 1.0, NOW, 60.0, "t", tuple(records))
    assert (await store.open([episode]))[0].state == "unknown"
    await store.write(Batch("w", 3, [line(replace(r, session="s"), None) for r in records]))
    assert len((await store.open([episode]))[0].ids) == 20
    assert [await store.credit([episode], "w", n) for n in (4, 5)] == [[True], [False]]
    found = await store.statistics(NOW)
    assert [round(found[f"cell{n}"].arms["0.3"]["success"].n, 6) for n in range(20)] == [1.0] * 20
    assert [round(found[f"cell{n}"].arms["0.3"]["rating"].n, 6) for n in range(20)] == [1.0] * 20
    assert found["cell0"].meta == {"x": 1}
    assert store.corrupt == 0
    await store.close()


async def test_redis_over_tcp(tmp_path: Path, decide: Callable[..., DecisionRecord]) -> None:
    port = free_port()
    with running(tmp_path, port, "--requirepass", "s3cret@"):
        await exercise(f"redis://:s3cret%40@127.0.0.1:{port}/2", decide)


async def test_redis_cluster(tmp_path: Path, decide: Callable[..., DecisionRecord]) -> None:
    port = free_port()
    with running(tmp_path, port, "--cluster-enabled", "yes", "--cluster-port", str(free_port())) as raw:
        raw.execute_command("CLUSTER", "ADDSLOTSRANGE", 0, 16383)  # type: ignore[no-untyped-call]
        for _ in range(500):
            if "state:ok" in str(raw.execute_command("CLUSTER", "INFO")):  # type: ignore[no-untyped-call]
                break
            time.sleep(0.01)
        await exercise(f"redis+cluster://127.0.0.1:{port}", decide)


async def test_redis_sentinel(tmp_path: Path, decide: Callable[..., DecisionRecord]) -> None:
    port, watch = free_port(), free_port()
    config = tmp_path / "sentinel.conf"
    config.write_text(f"port {watch}\nbind 127.0.0.1\nsentinel monitor main 127.0.0.1 {port} 1\n")
    with running(tmp_path, port):
        process = subprocess.Popen([str(find_server()), str(config), "--sentinel"], stdout=subprocess.DEVNULL)
        try:
            await_port(watch)
            await exercise(f"redis+sentinel://127.0.0.1:{watch},127.0.0.1:1/main?db=0", decide)
        finally:
            process.kill()
            process.wait()


@pytest.mark.parametrize(
    "url",
    ["", "postgres://x", "redis", "redis://", "redis+sentinel://h:26379", "redis+sentinel:///main", "redis://h:port",
     "redis+sentinel://h:port/main"],
)  # fmt: skip
def test_a_url_that_names_no_store_is_refused_with_what_is_allowed(url: str) -> None:
    with pytest.raises(StoreError, match=r"rediss://|Sentinel"):
        connect(url)
