"""What a gateway adds to the time of a request: one at a time, and at half of what it can take."""

import json
import os
import statistics
import subprocess
import sys
import time
from collections.abc import Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any

from bench import BenchError, spread, table
from bench.speed.bodies import KILOBYTE
from bench.speed.contestants import MODEL, ROOT, Contestant, setpoint, tensorzero
from bench.speed.ground import HEADROOM, Ground, ground, serving
from bench.speed.installing import install
from bench.speed.paced import Times
from bench.speed.reporting import Found, Part, Promise, progress, run_as_program

CONNECTIONS, WARM_UP, FULL, TURNS, HALF, DIRECT = 32, 2, 2, 3, 4, 1  # connections; the others are seconds
# Of a gateway's 99th percentile, or ms: what the client itself may be late there. A request is timed from when it was due, so that a
# late client makes a gateway look slower, and never faster.
LATE, LATE_MS = 0.25, 0.1


def paced(field: Ground, *arguments: object) -> list[Times]:
    """`bench.speed.paced` on the far core. Raises BenchError."""
    done = subprocess.run(
        [sys.executable, "-m", "bench.speed.paced", *map(str, arguments)],
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
        env={**os.environ, "PYTHONPATH": str(ROOT)},
        preexec_fn=lambda: os.sched_setaffinity(0, {field.far_core}),
    )
    if done.returncode:
        raise BenchError(f"the paced client failed: {done.stderr.strip()[-500:]}")
    return [Times(**each) for each in json.loads(done.stdout)]


def in_turn(field: Ground, url: str, model: str) -> tuple[Times, Times]:
    """Direct and through the gateway, block by block in turn."""
    ours, theirs = field.bodies(KILOBYTE, MODEL), field.bodies(KILOBYTE, model)
    direct, through = paced(field, "turns", TURNS, _first(), field.upstream, ours, url, theirs)
    return direct, through


def at_rate(field: Ground, url: str, model: str, rate: float, seconds: float) -> Times:
    """A constant rate of requests."""
    return paced(field, "rate", rate, seconds, _first(), url, field.bodies(KILOBYTE, model))[0]


def _first() -> int:
    return int(time.time() * 1e4) % 10**8  # as for the load: no prompt comes twice


def measured(field: Ground, contestant: Contestant) -> dict[str, Any]:
    """Start, warm up, one at a time, full, half of that, end."""
    with serving(field, contestant) as served:
        body = field.bodies(KILOBYTE, contestant.model)
        field.load(served.url, WARM_UP, CONNECTIONS, body)
        direct, through = in_turn(field, served.url, contestant.model)
        full = field.load(served.url, FULL, CONNECTIONS, body).rps
        half = at_rate(field, served.url, contestant.model, full / 2, HALF)
        also = contestant.check(served.url)
    without = at_rate(field, field.upstream, MODEL, HEADROOM * full / 2, DIRECT)
    return {
        "direct": asdict(direct),
        "through": asdict(through),
        "added_p50_ms": through.p50_ms - direct.p50_ms,
        "added_p99_ms": through.p99_ms - direct.p99_ms,
        "full_rps": full,
        "half": asdict(half),
        "half_ratio": half.p99_ms / half.p50_ms,
        "half_direct": asdict(without),
        "also": also,
    }


def measure(rounds: int) -> Found:
    """All rounds."""
    contestants = (setpoint(), tensorzero())
    for contestant in contestants:
        if contestant.package:
            install(contestant.package)
    samples: dict[str, list[dict[str, Any]]] = {c.name: [] for c in contestants}
    with ground() as field:
        for n in range(rounds):
            for contestant in contestants:
                progress(f"latency, round {n + 1}/{rounds}: {contestant.name}")
                samples[contestant.name].append(measured(field, contestant))
    return summary({c.name: c.what for c in contestants}, samples)


def summary(what: dict[str, str], samples: dict[str, list[dict[str, Any]]]) -> Found:
    """What is published. Raises BenchError where the client or the upstream is what takes the time."""
    for name, rounds in samples.items():
        half, without = [r["half"] for r in rounds], [r["half_direct"] for r in rounds]
        missing = sum(r["missing"] for r in half + without)
        late, median, slow = (_median(half, key) for key in ("late_p99_ms", "p50_ms", "p99_ms"))
        alone = _median(without, "p99_ms")
        if missing or late > max(LATE * slow, LATE_MS) or alone > max(median, LATE_MS):
            raise BenchError(
                f"{name} at half of {_median(rounds, 'full_rps'):,.0f} requests/s: {missing} without an answer, the client "
                f"late by {late:.2f} ms (p99), and without a gateway at {HEADROOM} x that rate p99 is {alone:.2f} ms beside "
                f"a median of {median:.2f} ms: the client, the upstream or other programs would be what is measured"
            )
    return {"contestants": {name: {"what": what[name], "rounds": samples[name]} for name in samples}}


def show(found: Found) -> str:
    """The published table."""
    rows = []
    for name, each in found["contestants"].items():
        rounds = each["rounds"]
        half = {key: spread([r["half"][key] for r in rounds], 2) for key in ("p50_ms", "p99_ms")}
        rows.append(
            [
                name,
                spread([r["added_p50_ms"] for r in rounds], 2),
                spread([r["added_p99_ms"] for r in rounds], 2),
                spread([r["full_rps"] / 2 for r in rounds], 0),
                half["p50_ms"],
                half["p99_ms"],
            ]
        )
    direct = [r["direct"] for each in found["contestants"].values() for r in each["rounds"]]
    notes = (
        f"Medians (lowest-highest) of {found['rounds']} rounds, {found['date']}, {found['machine']}, 1 KB.",
        f"Added: one connection, direct and through the gateway in turn; direct takes {_median(direct, 'p50_ms'):.2f} ms, "
        f"p99 {_median(direct, 'p99_ms'):.2f} ms.",
        "Half: requests at a constant rate, half of what the gateway reached just before, each timed from when it was due.",
    )
    columns = ["one worker, one core", "added ms, p50", "added ms, p99", "half: requests/s", "p50 ms", "p99 ms"]
    return table(columns, rows) + "\n\n" + "\n".join(f"- {note}" for note in notes)


def _median(rounds: Sequence[dict[str, Any]], key: str) -> float:
    return float(statistics.median(r[key] for r in rounds))


def promises(found: Found) -> Sequence[Promise]:
    """What the README promises of these numbers."""
    rounds = found["contestants"]["Setpoint"]["rounds"]
    return (
        Promise("ms added at the median, one connection", 0.35, _median(rounds, "added_p50_ms"), most=True),
        Promise("ms added at the 99th percentile, one connection", 0.8, _median(rounds, "added_p99_ms"), most=True),
        Promise("p99 / median at half of what it can take", 3, _median(rounds, "half_ratio"), most=True),
    )


def plot(found: Found, path: Path) -> None:
    """Median and 99th percentile of what is added, and of a request at half load."""
    import matplotlib

    matplotlib.use("Agg")
    from matplotlib import pyplot

    names = list(found["contestants"])
    figure, panels = pyplot.subplots(1, 2, figsize=(10, 2.4), sharey=True, layout="constrained")
    for axes, title, keys in (
        (panels[0], "ms added, one connection", ("added_p50_ms", "added_p99_ms")),
        (panels[1], "ms of a request at half load", ("half.p50_ms", "half.p99_ms")),
    ):
        for key, mark in zip(keys, "o|", strict=True):
            values = [_at(found["contestants"][name]["rounds"], key) for name in names]
            axes.plot(values, range(len(names)), mark, markersize=9, color="#2a6f97", label=key[-6:-3])
        axes.set_xscale("log")
        axes.set_yticks(range(len(names)), names)
        axes.set_ylim(len(names) - 0.4, -0.6)
        axes.set_title(title, fontsize=10)
        axes.grid(axis="x", alpha=0.3)
        axes.legend(fontsize=8)
    figure.savefig(path, dpi=150)
    pyplot.close(figure)


def _at(rounds: Sequence[dict[str, Any]], key: str) -> float:
    outer, _, inner = key.rpartition(".")
    return max(0.001, _median([r[outer] for r in rounds] if outer else rounds, inner))


PART = Part("latency", "What a gateway adds to the time of a request.", measure, show, promises, plot)

if __name__ == "__main__":
    run_as_program(PART)
