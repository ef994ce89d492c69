"""Where things run: a gateway on its core, the static upstream and the load on another."""

import contextlib
import json
import os
import tempfile
import time
import urllib.request
from collections.abc import Collection, Iterator
from dataclasses import dataclass
from pathlib import Path

from bench import BenchError, core_seconds, cpu_seconds, free_port, rss_mib, running, tail, wait_until
from bench.speed import bodies
from bench.speed.checking import answers
from bench.speed.contestants import ROOT, Contestant
from bench.static_upstream import KEY, Load, load, serving_command

HEADROOM = 2  # times a gateway's rate: what the upstream and the load must reach without one


@dataclass(frozen=True, slots=True)
class Served:
    """A gateway that answers. `start_s`: seconds from its start to its first answer."""

    contestant: Contestant
    url: str
    pid: int
    start_s: float


@dataclass(frozen=True, slots=True)
class Cost:
    """A stretch of load. CPU and memory are those of the gateway's whole process tree.

    `busy`, `others`: shares of the gateway's core that went to it, and to other programs.
    """

    rps: float
    p50_ms: float
    p99_ms: float
    cpu_us: float
    rss_mib: float
    busy: float
    others: float


@dataclass(frozen=True, slots=True)
class Ground:
    """The gateway's core, that of upstream and load, a folder for bodies, and the upstream's address."""

    gateway_core: int
    far_core: int
    folder: Path
    upstream: str

    def load(self, url: str, seconds: int, connections: int, body: Path) -> Load:
        """Load that is answered without an error, or BenchError."""
        # From the clock, so that no stretch of load repeats the prompts of another and no cache of them can help.
        first = int(time.time() * 1e4) % 10**9
        seen = load(f"{url}/chat/completions", connections, seconds, first, self.far_core, body)
        if seen.errors or not seen.requests:
            raise BenchError(f"{url}: {seen.errors} errors, {seen.requests} answers; nothing is published")
        return seen

    def cost(self, served: Served, seconds: int, connections: int, body: Path) -> Cost:
        """What a request costs the gateway under this load."""
        before, core = cpu_seconds(served.pid), core_seconds(self.gateway_core)
        seen = self.load(served.url, seconds, connections, body)
        cpu, core = cpu_seconds(served.pid) - before, core_seconds(self.gateway_core) - core
        return Cost(
            seen.rps,
            seen.p50_ms,
            seen.p99_ms,
            cpu * 1e6 / seen.requests,
            rss_mib(served.pid),
            cpu / seen.seconds,
            max(0.0, core - cpu) / seen.seconds,
        )

    def bodies(self, size: int, model: str) -> Path:
        """A file of requests of so many bytes."""
        return self.written(f"{model}-{size}", bodies.of_size(size, model))

    def written(self, name: str, lines: list[str]) -> Path:
        """A file of these requests."""
        return bodies.written(self.folder, name.replace(":", "-").replace(" ", "-"), lines)


@contextlib.contextmanager
def ground(command: list[str] | None = None, port: int | None = None) -> Iterator[Ground]:
    """A ground with an upstream that answers; `command` starts another one than the static upstream on `port`."""
    cores = sorted(os.sched_getaffinity(0))
    with tempfile.TemporaryDirectory(prefix="bench-") as name:
        folder, port = Path(name), port or free_port()
        found = Ground(cores[0], cores[1], folder, f"http://127.0.0.1:{port}/v1")
        command = command or serving_command(folder, port)
        with running("the upstream", command, cores[1], folder, {"PYTHONPATH": str(ROOT)}) as upstream:
            wait_until(lambda: _listens(found.upstream), upstream)
            yield found


@contextlib.contextmanager
def serving(ground: Ground, contestant: Contestant, cores: int | Collection[int] | None = None) -> Iterator[Served]:
    """A gateway that has answered once, on its core; it ends with the block."""
    with tempfile.TemporaryDirectory(prefix="bench-") as name:
        folder, port = Path(name), free_port()
        far = ground.upstream.removeprefix("http://").removesuffix("/v1")
        places = {"port": port, "upstream": ground.upstream, "far": far, "folder": folder, "bin": contestant.bin}
        for file, text in contestant.files.items():
            (folder / file).write_text(text.format(**places), "utf-8")
        command = [part if "\n" in part else part.format(**places) for part in contestant.command]
        env = {key: value.format(**places) for key, value in contestant.env.items()}
        first = bodies.of_size(bodies.KILOBYTE, contestant.model)[0].encode()
        begun = time.perf_counter()
        where = ground.gateway_core if cores is None else cores
        with running(contestant.name, command, where, folder, env) as process:

            def url() -> str:
                printed = (line for line in tail(folder).splitlines() if line.startswith("http://"))
                return contestant.url.format(**places) or next(printed, "")

            wait_until(lambda: bool(url()) and answers(url(), first, KEY), process)
            yield Served(contestant, url(), process.pid, time.perf_counter() - begun)


def _listens(url: str) -> bool:
    body = json.dumps({"messages": []}).encode()
    try:
        with urllib.request.urlopen(urllib.request.Request(f"{url}/chat/completions", body), timeout=10) as answer:
            return bool(answer.status == 200)
    except OSError:
        return False
