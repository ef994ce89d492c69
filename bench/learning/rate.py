"""The simulated main world over HTTP: `python -m bench.learning.rate [--models 6] [--requests 3000] [--rate 560]`.

Two `setpoint serve` share one Redis. Six declared tasks, nine temperatures, baselines and label rates are those of bench/learning/worlds.py
before its change, and every model is one more copy of the six cells. Requests come at a fixed rate to both replicas; a label comes 200
requests of its cell later on average; replicas look as often as the simulator does, in requests. Regret is that of the arms served,
as a multiple of the static baseline's, beside the simulator's over as many requests. Half-way and in the end traffic stops until both replicas
have the same table; then the same session must get the same arm from both. It ends with 1 below 500 requests/s, if a request failed, if the
replicas differ, or if regret is neither within 10 % of the simulator's nor within the noise of both.
"""

import argparse
import asyncio
import contextlib
import heapq
import json
import os
import random
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator, Sequence
from concurrent.futures import ProcessPoolExecutor
from dataclasses import dataclass, field
from pathlib import Path

from bench import free_port, machine, running, table
from bench.learning.contestants import CONTESTANTS
from bench.learning.faults import ready
from bench.learning.lean import Answer, Client
from bench.learning.simulation import run as simulated
from bench.learning.worlds import ARMS, STEP, WORLDS, Task
from bench.static_upstream import serving_command
from metrics.embedded import start_embedded
from policies.arms import name_of

WORLD = WORLDS["main"]
LEAST, WITHIN, NOISE = 500.0, 0.10, 2.0  # requests a second; share of the simulator's regret; standard errors
PROBES, PATIENCE = 200, 60.0  # sessions asked of both replicas; seconds until they have the same table
TICK = 0.01  # seconds
FIRST_SEED, SEEDS = 300, 40  # of the simulator's runs


def policy() -> str:
    """The world's tasks with their baselines, and its temperatures as arms."""
    arms = [float(a) for a in ARMS]
    tasks = {f"task_{n}": {"set": {"temperature": arms[t.baseline]}} for n, t in enumerate(WORLD.tasks)}
    objective = {"quality": 1, "latency": 0, "cost": 0}
    # The simulator's cells are by themselves, and so are these: copies of one task would learn from one another.
    adapt = {"mode": "apply", "arms": {"temperature": arms}, "objective": objective, "pool": False}
    return json.dumps({"version": 1, "tasks": tasks, "adapt": adapt})


@dataclass(slots=True)
class Cell:
    """One task of one model: how often each arm was served, and labels on their way, by the request that they come with."""

    number: int
    task: Task
    model: str
    rng: random.Random
    served: list[int] = field(default_factory=lambda: [0] * len(ARMS))
    waiting: list[tuple[float, str, bool]] = field(default_factory=list)
    sent: int = 0

    @property
    def headers(self) -> bytes:
        return f"x-setpoint-task: task_{self.number}\r\n".encode()

    @property
    def body(self) -> bytes:
        return json.dumps({"model": self.model, "messages": [{"role": "user", "content": "Go on."}]}).encode()

    def take(self, at: int, answer: Answer) -> None:
        """What request `at` got; with luck it will be labelled."""
        arm = NAMES[answer.header(b"x-setpoint-arm").removeprefix(b"temperature=").decode()]
        self.served[arm] += 1
        if self.rng.random() < self.task.rate:
            good = self.rng.random() < float(self.task.before[arm])
            due = at + self.rng.expovariate(1 / WORLD.delay)
            heapq.heappush(self.waiting, (due, answer.header(b"x-setpoint-decision").decode(), good))

    def due(self) -> Iterator[dict[str, object]]:
        """Labels whose time has come."""
        while self.waiting and self.waiting[0][0] <= self.sent:
            _, decision, good = heapq.heappop(self.waiting)
            yield {"id": decision, "signal": "thumbs", "value": good}

    @property
    def regret(self) -> float:
        """Lost against the best arm, a request."""
        means = self.task.before
        return float(sum(n * (means.max() - m) for n, m in zip(self.served, means, strict=True)) / sum(self.served))

    @property
    def static(self) -> float:
        """The same of the baseline alone."""
        return float(self.task.before.max() - self.task.before[self.task.baseline])


NAMES = {name_of(float(a)): n for n, a in enumerate(ARMS)}


@dataclass(slots=True)
class Traffic:
    """What was seen; `seconds` of traffic, without the stops."""

    cells: list[Cell]
    clients: list[Client]
    rng: random.Random = field(default_factory=lambda: random.Random(11))
    answered: int = 0
    failed: int = 0
    labels: int = 0
    counted: int = 0
    seconds: float = 0.0
    same: int = 0
    probed: int = 0

    async def send(self, requests: int, rate: float) -> None:
        """So many requests to every cell, in any order, at this rate."""
        began, order, flying = time.perf_counter(), self._order(requests), set[asyncio.Task[None]]()
        total = requests * len(self.cells)
        n = 0
        while n < total:
            due = min(int((time.perf_counter() - began) * rate) + 1, total, n + 200)
            for _ in range(n, due):
                task = asyncio.create_task(self._one(next(order)))
                flying.add(task)
                task.add_done_callback(flying.discard)
            n = due
            await self._tell()
            await asyncio.sleep(TICK)
        await asyncio.gather(*flying)
        await self._tell()
        self.seconds += time.perf_counter() - began

    def _order(self, requests: int) -> Iterator[Cell]:
        for _ in range(requests):
            yield from self.rng.sample(self.cells, len(self.cells))

    async def _one(self, cell: Cell) -> None:
        at, cell.sent = cell.sent, cell.sent + 1
        try:
            answer = await self.rng.choice(self.clients).ask("POST", "/v1/chat/completions", cell.body, cell.headers)
        except OSError:
            self.failed += 1
            return
        self.answered += 1
        if answer.status == 200:
            cell.take(at, answer)
        else:
            self.failed += 1

    async def _tell(self) -> None:
        items = [item for cell in self.cells for item in cell.due()]
        if items:
            answer = await self.rng.choice(self.clients).ask("POST", "/v1/feedback", json.dumps(items).encode())
            self.failed += answer.status != 200
            self.labels += len(items)
            self.counted += sum(row["result"] in ("credited", "queued") for row in json.loads(answer.body)["data"])

    async def _tables(self) -> set[str]:
        answers = [await client.ask("GET", "/readyz") for client in self.clients]
        return {json.loads(a.body)["allocation"] for a in answers}

    async def probe(self) -> None:
        """Wait for the replicas to agree, and ask both for the arms of the same sessions."""
        deadline = time.monotonic() + PATIENCE
        while time.monotonic() < deadline:
            before = await self._tables()
            if len(before) == 1:
                same = sum([await self._pair(n) for n in range(PROBES)])
                if await self._tables() == before:
                    self.same, self.probed = self.same + same, self.probed + PROBES
                    return
            await asyncio.sleep(0.2)
        self.probed += PROBES

    async def _pair(self, n: int) -> bool:
        cell = self.rng.choice(self.cells)
        headers = cell.headers + f"x-setpoint-session: {self.probed + n}\r\n".encode()
        answers = await asyncio.gather(
            *(c.ask("POST", "/v1/chat/completions", cell.body, headers) for c in self.clients)
        )
        return len({a.header(b"x-setpoint-arm") for a in answers}) == 1


@contextlib.contextmanager
def replica(folder: Path, name: str, upstream: str, store: str, refresh: float) -> Iterator[str]:
    """One `setpoint serve`."""
    port, config = free_port(), folder / f"{name}.yaml"
    (folder / "policy.yaml").write_text(policy())
    config.write_text(
        json.dumps(
            {
                "upstreams": [{"name": "static", "base_url": upstream, "provider": "openai"}], "store": store,
                "policies": str(folder / "policy.yaml"), "port": port, "data": str(folder / name), "refresh_seconds": refresh,
            }
        )
    )  # fmt: skip
    with (folder / f"{name}.log").open("w") as log:
        process = subprocess.Popen(
            [sys.executable, "-m", "router", "serve", "--config", str(config)], stderr=log, stdout=log
        )
        try:
            yield f"http://127.0.0.1:{port}"
        finally:
            process.terminate()
            process.wait(20)


async def served(models: int, requests: int, rate: float) -> Traffic:
    """All of it, over HTTP."""
    cells = [
        Cell(n, task, f"gpt-4.1-copy{m}", random.Random(f"{m} {n}")) for m in range(models) for n, task in enumerate(WORLD.tasks)
    ]  # fmt: skip
    refresh = round(STEP * len(cells) / rate, 2)
    with tempfile.TemporaryDirectory() as temp, contextlib.ExitStack() as ended:
        folder, port = Path(temp), free_port()
        (folder / "upstream").mkdir()
        store = start_embedded(folder / "redis")
        ended.callback(store.stop)
        up, python = f"http://127.0.0.1:{port}/v1", {"PYTHONPATH": os.pathsep.join(sys.path)}
        with (
            running("upstream", serving_command(folder / "upstream", port), 1, folder / "upstream", python),
            replica(folder, "a", up, store.url, refresh) as a,
            replica(folder, "b", up, store.url, refresh) as b,
        ):
            traffic = Traffic(cells, [Client(a), Client(b)])
            for client in traffic.clients:
                await ready(client)
            for half in (requests // 2, requests - requests // 2):
                await traffic.send(half, rate)
                await traffic.probe()
            for client in traffic.clients:
                client.close()
    return traffic


def lost(job: tuple[int, int, int]) -> float:
    """A request of the simulator's run of our own contestant: (task, seed, requests)."""
    number, seed, requests = job
    found = simulated(CONTESTANTS["ours"], WORLD, number, seed)
    return float((found.best - found.worth)[: requests // STEP].mean())


def multiple(by_copy: Sequence[Sequence[float]]) -> tuple[float, float]:
    """Regret over static regret, and its standard error over copies of the world; by copy and task."""
    static = statistics.fmean(float(t.before.max() - t.before[t.baseline]) for t in WORLD.tasks)
    each = [statistics.fmean(regrets) / static for regrets in by_copy]
    return statistics.fmean(each), statistics.stdev(each) / len(each) ** 0.5


def main() -> int:
    """Run both, print the table, and say whether the promise was kept."""
    import uvloop  # Linux and macOS: where the proxy runs too

    options = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    options.add_argument("--models", type=int, default=6)
    options.add_argument("--requests", type=int, default=3_000, help="of each cell")
    options.add_argument("--rate", type=float, default=560.0, help="requests a second, of both replicas together")
    options.add_argument("--seeds", type=int, default=SEEDS, help="of the simulator")
    asked = options.parse_args()
    os.environ.setdefault("OPENBLAS_NUM_THREADS", "1")
    traffic = uvloop.run(served(asked.models, asked.requests, asked.rate))
    tasks = len(WORLD.tasks)
    http, http_se = multiple(
        [[c.regret for c in traffic.cells[start : start + tasks]] for start in range(0, len(traffic.cells), tasks)]
    )
    jobs = [(n, FIRST_SEED + s, asked.requests) for s in range(asked.seeds) for n in range(tasks)]
    with ProcessPoolExecutor() as pool:
        regrets = list(pool.map(lost, jobs, chunksize=tasks))
    sim, sim_se = multiple([regrets[start : start + tasks] for start in range(0, len(regrets), tasks)])
    rate, noise = traffic.answered / traffic.seconds, (http_se**2 + sim_se**2) ** 0.5
    rows = [
        ("requests, failed", f"{traffic.answered:,}, {traffic.failed}"),
        ("requests a second, both replicas", f"{rate:,.0f}"),
        ("cells, requests each, labels, counted", f"{len(traffic.cells)}, {asked.requests:,}, {traffic.labels:,}, {traffic.counted:,}"),
        ("regret over HTTP, x static (s.e.)", f"{http:.3f} ({http_se:.3f})"),
        ("regret of the simulator, x static (s.e.)", f"{sim:.3f} ({sim_se:.3f})"),
        ("the difference; in standard errors", f"{http / sim - 1:+.1%}; {(http - sim) / noise:+.1f}"),
        ("sessions that got the same arm from both replicas", f"{traffic.same} of {traffic.probed}"),
    ]  # fmt: skip
    print(f"{table(('what', 'measured'), rows)}\n\n{machine()}")
    close = abs(http / sim - 1) <= WITHIN or abs(http - sim) <= NOISE * noise
    good = close and rate >= LEAST and not traffic.failed and traffic.same == traffic.probed
    return 0 if good and traffic.counted == traffic.labels else 1


if __name__ == "__main__":
    sys.exit(main())
