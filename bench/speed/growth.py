"""How cost grows: with the body, the conversation, the rules, the cells, the connections and the streams at once."""

import asyncio
import contextlib
import math
import statistics
import time
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any, NamedTuple

from bench import BenchError, cpu_seconds, free_port, rss_mib, table
from bench.speed import bodies, sse, sse_upstream
from bench.speed.bodies import KILOBYTE
from bench.speed.contestants import MODEL, setpoint, shipped_policy_applied
from bench.speed.ground import Ground, Served, ground, serving
from bench.speed.reporting import Found, Part, Promise, progress, run_as_program
from bench.speed.streaming import body as streamed

CONNECTIONS, WARM_UP, MEASURE = 32, 1, 1  # connections; the others are seconds
CHUNKS_S, CHUNKS, STARTED = 8_000, 60, 1_250  # of all streams a second, in one stream; streams started a second
TRIES = 5  # at writing cells
MANY = 1_000  # connections from which on a second is not enough: each of them waits for all others
SEEN = 0.25  # of the cost at the smallest: what growth must come to before its shape is asked for
MOST = 1.2  # the exponent of growth from which on it is more than linear


class Point(NamedTuple):
    """What a request (of streams: a chunk) cost, and the memory afterwards, of the whole process tree."""

    at: int
    cpu_us: float
    p99_ms: float
    rss_mib: float


class Axis(NamedTuple):
    """Something that grows: at which sizes it is measured, and why it costs what it costs."""

    name: str
    unit: str
    sizes: tuple[int, ...]
    why: str


AXES = (
    Axis("body", "bytes", (KILOBYTE, 16 * KILOBYTE, 128 * KILOBYTE, 1024 * KILOBYTE),
         "read, parsed and sent once each; the classifier looks at a bounded part"),
    Axis("conversation", "turns", (1, 10, 100, 500),
         "bytes as above, and one look at each message for the turn; only the last few are opened"),
    Axis("policy", "rules", (1, 10, 100, 1_000), "a rule that cannot match is passed over; one that looks for words reads the ask"),
    Axis("learning", "cells", (10, 1_000, 100_000),
         "a decision finds its cell by name; looking at all cells has a sixtieth of a core at most"),
    Axis("connections", "at once", (1, 32, 256, 2_000), "nothing is looked through; more wait, and memory is theirs"),
    Axis("streams", "at once", (1, 64, 1_000, 5_000), "a chunk is relayed by itself; memory is that of connections and of what is kept of each answer"),
)  # fmt: skip


def point(field: Ground, served: Served, at: int, body: Path, connections: int = CONNECTIONS) -> Point:
    """Some load, after some to warm up."""
    longer = 4 if connections >= MANY else 1
    field.load(served.url, WARM_UP * longer, connections, body)
    cost = field.cost(served, MEASURE * longer, connections, body)
    return Point(at, cost.cpu_us, cost.p99_ms, cost.rss_mib)


def by_bodies(field: Ground, sizes: Sequence[int], lines: Callable[[int], list[str]]) -> list[Point]:
    """Bodies of each kind through one proxy, the smallest first."""
    with serving(field, setpoint()) as served:
        return [point(field, served, at, bodies.written(field.folder, f"grown-{at}", lines(at))) for at in sizes]


def by_rules(field: Ground, sizes: Sequence[int]) -> list[Point]:
    """Rules that look for words which are not in the prompts, but for the last one."""
    found = []
    for at in sizes:
        rules = "".join(
            f"  - {{name: r{n}, when: {{contains: [word{n}a, word{n}b, 词{n}]}}, set: {{temperature: 0.{n % 9 + 1}}}}}\n"
            for n in range(at)
        )
        policy = shipped_policy_applied()
        assert "rules:\n" in policy
        with serving(
            field, setpoint(policy=policy.replace("rules:\n", f"rules:\n{_dedented(policy, rules)}"))
        ) as served:
            found.append(point(field, served, at, field.bodies(KILOBYTE, MODEL)))
    return found


def _dedented(policy: str, rules: str) -> str:
    """As the policy's own list stands: PyYAML does not indent lists."""
    return rules.replace("  - ", "- ") if "rules:\n- " in policy else rules


@contextlib.contextmanager
def stores(sizes: Sequence[int], folder: Path) -> Iterator[dict[int, str]]:
    """Stores that have learned about so many cells."""
    from metrics.embedded import start_embedded

    with contextlib.ExitStack() as started:
        urls = {}
        for at in sizes:
            progress(f"a store with {at:,} cells")
            server = start_embedded(folder / f"store-{at}")
            started.callback(server.stop)
            asyncio.run(seeded(server.url, at))
            urls[at] = server.url
        yield urls


async def seeded(url: str, cells: int) -> None:
    """Cells of as many models, with rewards of three arms."""
    from metrics.errors import StoreError
    from metrics.store import Store
    from metrics.tally import CellStatistics, Tally
    from router.exchange import Export, add

    now, store = time.time(), Store(url)
    meta = {"parameter": "temperature", "grid": ["0.2", "0.5", "0.8"], "baseline": "0.5", "task": "code"}
    arms = {arm: {"rating": Tally(20.0, 12.0, 8.0)} for arm in ("0.2", "0.5", "0.8")}
    made = {f"*|code|gpt-{n}|direct|first|temperature": CellStatistics.of(meta, arms) for n in range(cells)}
    try:
        for left in reversed(range(TRIES)):
            try:
                await add(Export(f"bench-{cells}", now, made), store, now)
                break
            except StoreError as e:  # a server that rewrites its file is slow; what is there is not added twice
                if not left:
                    raise BenchError(f"{cells:,} cells could not be stored: {e}") from e
    finally:
        await store.close()


def by_cells(field: Ground, urls: dict[int, str]) -> list[Point]:
    """A proxy beside each of these stores."""
    found = []
    for at, url in urls.items():
        with serving(field, setpoint("--store", url)) as served:
            found.append(point(field, served, at, field.bodies(KILOBYTE, MODEL)))
    return found


def by_connections(field: Ground, sizes: Sequence[int]) -> list[Point]:
    """Ever more connections to one proxy."""
    with serving(field, setpoint()) as served:
        return [point(field, served, at, field.bodies(KILOBYTE, MODEL), at) for at in sizes]


def by_streams(field: Ground, sizes: Sequence[int]) -> list[Point]:
    """Ever more streams through one proxy, all together with the same number of chunks a second. Memory while they are open."""
    found = []
    with serving(field, setpoint()) as served, ThreadPoolExecutor(1) as beside:
        for at in sizes:
            every, ramp = max(1, at * 1000 // CHUNKS_S), max(0.2, at / STARTED)
            asked = streamed(MODEL, every, CHUNKS)
            load = beside.submit(sse.load, served.url, field.far_core, at, ramp, MEASURE + 2, asked)
            time.sleep(ramp + 1.5)
            cpu, begun = cpu_seconds(served.pid), time.perf_counter()
            time.sleep(MEASURE)
            cpu, took = cpu_seconds(served.pid) - cpu, time.perf_counter() - begun
            rss = rss_mib(served.pid)
            seen = load.result()
            found.append(Point(at, cpu / took / seen.chunks_s * 1e6, seen.first_p99_ms, rss))
    return found


def measure(rounds: int) -> Found:
    """All rounds of all axes."""
    each: dict[str, list[list[Point]]] = {axis.name: [] for axis in AXES}
    sizes = {axis.name: axis.sizes for axis in AXES}
    port = free_port()
    with (
        ground() as field,
        ground(sse_upstream.command(port), port) as far,
        stores(sizes["learning"], field.folder) as urls,
    ):
        kinds: dict[str, Callable[[], list[Point]]] = {
            "body": lambda: by_bodies(field, sizes["body"], bodies.of_size),
            "conversation": lambda: by_bodies(field, sizes["conversation"], bodies.of_turns),
            "policy": lambda: by_rules(field, sizes["policy"]),
            "learning": lambda: by_cells(field, urls),
            "connections": lambda: by_connections(field, sizes["connections"]),
            "streams": lambda: by_streams(far, sizes["streams"]),
        }
        for n in range(rounds):
            for name, kind in kinds.items():
                progress(f"growth, round {n + 1}/{rounds}: {name}")
                each[name].append(kind())
    return {"axes": {axis.name: curve(axis, each[axis.name]) for axis in AXES}}


def curve(axis: Axis, rounds: Sequence[Sequence[Point]]) -> dict[str, Any]:
    """The medians of each point, the slope between the ends and the exponent of growth."""
    if any([p.at for p in points] != list(axis.sizes) for points in rounds):
        raise BenchError(f"growth with {axis.name}: not every point was measured")
    middle = [Point(*map(statistics.median, zip(*points, strict=True))) for points in zip(*rounds, strict=True)]
    return {
        "unit": axis.unit,
        "points": [p._asdict() for p in middle],
        "rounds": [[p._asdict() for p in points] for points in rounds],
        "slope_us": max(0.0, middle[-1].cpu_us - middle[0].cpu_us) / (middle[-1].at - middle[0].at),
        "exponent": exponent(middle),
        "why": axis.why,
    }


def exponent(points: Sequence[Point]) -> float:
    """How what is added to the cheapest point's cost grows over the last at which it shows: 1 is linear, 0 not at all.

    The cheapest need not be the first: a single connection or stream shares the cost of waking up with no other.
    """
    cheapest = min(points, key=lambda p: p.cpu_us)
    least = cheapest.cpu_us
    added = [(p.at, p.cpu_us - least) for p in points if p.at > cheapest.at and p.cpu_us - least > SEEN * least]
    if len(added) < 2:
        return 1.0 if added else 0.0
    (a, before), (b, after) = added[-2:]
    return math.log(after / before) / math.log(b / a)


def show(found: Found) -> str:
    """The published table."""
    rows = []
    for name, axis in found["axes"].items():
        first, last = axis["points"][0], axis["points"][-1]
        per = 1024 if axis["unit"] == "bytes" else 1
        rows.append(
            [
                f"{name}: {first['at']:,.0f} to {last['at']:,.0f} {axis['unit']}",
                f"{first['cpu_us']:,.0f} to {last['cpu_us']:,.0f}",
                f"{axis['slope_us'] * per:,.2g}" + (" a KB" if per > 1 else ""),
                f"{axis['exponent']:.1f}",
                f"{first['rss_mib']:,.0f} to {last['rss_mib']:,.0f}",
                axis["why"],
            ]
        )
    columns = ["what grows", "CPU µs", "µs more for each", "exponent", "MiB", "why"]
    note = (
        f"Medians of {found['rounds']} rounds, {found['date']}, {found['machine']}: one worker, one core, everything on. CPU µs a "
        "request, of streams a chunk; memory with the embedded store (of cells without it, of streams while they are open). Exponent: of what is added, over the last sizes at which "
        "it shows; 1 is linear, 0 is flat."
    )
    return table(columns, rows) + f"\n\n- {note}"


def promises(found: Found) -> Sequence[Promise]:
    """Nothing is more than linear."""
    return [Promise(f"exponent of {name}", MOST, axis["exponent"], most=True) for name, axis in found["axes"].items()]


def plot(found: Found, path: Path) -> None:
    """One curve for each."""
    import matplotlib

    matplotlib.use("Agg")
    from matplotlib import pyplot

    figure, panels = pyplot.subplots(2, 3, figsize=(11, 5.6), layout="constrained")
    for axes, (name, axis) in zip(panels.flat, found["axes"].items(), strict=True):
        at = [p["at"] for p in axis["points"]]
        for points in axis["rounds"]:
            axes.plot(at, [p["cpu_us"] for p in points], ".", color="#888888", markersize=4)
        axes.plot(at, [p["cpu_us"] for p in axis["points"]], "-o", color="#2a6f97", markersize=4)
        axes.set_xscale("log")
        axes.set_ylim(bottom=0)
        axes.set_title(f"{name} ({axis['unit']}): CPU µs", fontsize=10)
        axes.grid(alpha=0.3)
    figure.savefig(path, dpi=150)
    pyplot.close(figure)


PART = Part("growth", "How cost grows, and why.", measure, show, promises, plot)

if __name__ == "__main__":
    run_as_program(PART)
