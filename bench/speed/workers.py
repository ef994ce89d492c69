"""Two workers beside one, and the memory of a worker: after it has warmed up, and 100,000 requests later."""

import os
import statistics
from collections.abc import Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any

from bench import cpu_seconds, rss_mib, spread, table, tree
from bench.speed.bodies import KILOBYTE
from bench.speed.contestants import MODEL, setpoint
from bench.speed.ground import HEADROOM, Ground, ground, serving
from bench.speed.reporting import Found, Part, Promise, progress, run_as_program

CONNECTIONS, WARM_UP, MEASURE, STRETCH = 64, 2, 4, 2  # connections; the others are seconds
EARLY, LATE = 10_000, 100_000  # requests
STORES = ("valkey-server", "redis-server")
MIB = 2**20 / 1e6  # MB


def rates(field: Ground, workers: int) -> dict[str, Any]:
    """Requests per second and CPU time a request of so many workers.

    With four cores or more each worker and the far side have their own. With fewer all share all of them, also when there is
    only one worker: only the CPU time says something then.
    """
    cores = sorted(os.sched_getaffinity(0))
    own = len(cores) >= 4
    where = cores[:workers] if own else cores
    body = field.bodies(KILOBYTE, MODEL)
    with serving(field, setpoint("--workers", str(workers)), where) as served:
        # Connections are dealt out by the kernel: more of them, and each worker has its share.
        field.load(served.url, WARM_UP, CONNECTIONS, body)
        before = {pid: cpu_seconds_of(pid) for pid in tree(served.pid)}
        cpu = cpu_seconds(served.pid)
        seen = field.load(served.url, MEASURE, CONNECTIONS, body)
        cpu = cpu_seconds(served.pid) - cpu
        each = sorted(cpu_seconds_of(pid) - then for pid, then in before.items())
        served.contestant.check(served.url)
        memory = workers_mib(served.pid)
    return asdict(seen) | {
        "rps": seen.rps,
        "cpu_us": cpu * 1e6 / seen.requests,
        "share_of_least": each[-workers] / max(sum(each[-workers:]), 1e-9) * workers,
        "own_cores": own,
        "worker_mib": memory,
    }


def cpu_seconds_of(pid: int) -> float:
    """CPU time of one process alone; 0 if it has ended."""
    try:
        fields = Path(f"/proc/{pid}/stat").read_text("utf-8").rpartition(")")[2].split()
    except OSError:
        return 0.0
    return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")


def workers_mib(pid: int) -> float:
    """Resident memory of the largest process that is not the store, MiB."""
    each = []
    for process in tree(pid):
        try:
            name = Path(f"/proc/{process}/comm").read_text("utf-8").strip()
            pages = int(Path(f"/proc/{process}/statm").read_text("ascii").split()[1])
        except OSError:
            continue
        if name not in STORES:
            each.append(pages * os.sysconf("SC_PAGE_SIZE") / 2**20)
    return max(each)


def memory(field: Ground) -> dict[str, Any]:
    """Memory of one worker, and of it with its store, after some requests and after ten times as many."""
    body, done, seen = field.bodies(KILOBYTE, MODEL), 0, []
    with serving(field, setpoint()) as served:
        for upto in (EARLY, LATE):
            while done < upto:
                done += field.load(served.url, STRETCH, 32, body).requests
            seen.append({"requests": done, "worker_mib": workers_mib(served.pid), "all_mib": rss_mib(served.pid)})
        served.contestant.check(served.url)
    return {"after": seen, "growth": seen[1]["worker_mib"] / seen[0]["worker_mib"] - 1}


def measure(rounds: int) -> Found:
    """All rounds of the rates; memory once."""
    each: dict[int, list[dict[str, Any]]] = {1: [], 2: []}
    with ground() as field:
        for n in range(rounds):
            for workers, samples in each.items():
                progress(f"workers, round {n + 1}/{rounds}: {workers}")
                samples.append(rates(field, workers))
        progress(f"memory after {LATE:,} requests")
        kept = memory(field)
        alone = field.load(field.upstream, 2, CONNECTIONS, field.bodies(KILOBYTE, MODEL)).rps
    return summary(each, kept, alone)


def summary(each: dict[int, list[dict[str, Any]]], kept: dict[str, Any], alone: float) -> Found:
    """What is published. `by_rate` where the far side has the headroom for it and cores of its own, or else by CPU time."""
    one, two = each[1], each[2]
    rate = _median(two, "rps") / _median(one, "rps")
    own = all(r["own_cores"] for r in one + two) and alone >= HEADROOM * _median(two, "rps")
    return {
        "workers": {str(n): rounds for n, rounds in each.items()},
        "by_rate": own,
        "times_rate": rate,
        "times": rate if own else 2 * _median(one, "cpu_us") / _median(two, "cpu_us"),
        "alone_rps": alone,
        "memory": kept,
    }


def _median(rounds: Sequence[dict[str, Any]], key: str) -> float:
    return float(statistics.median(r[key] for r in rounds))


def show(found: Found) -> str:
    """The published tables."""
    columns = {"requests/s": ("rps", 0), "CPU µs/request": ("cpu_us", 0), "share of the less busy": ("share_of_least", 2),
               "largest worker, MiB": ("worker_mib", 0)}  # fmt: skip
    rows = [
        [f"{n}", *(spread([r[key] for r in rounds], digits) for key, digits in columns.values())]
        for n, rounds in found["workers"].items()
    ]
    kept = [[f"{a['requests']:,}", f"{a['worker_mib']:.1f}", f"{a['all_mib']:.1f}"] for a in found["memory"]["after"]]
    how = (
        "Each worker and the far side have cores of their own."
        if found["by_rate"]
        else "Workers and far side share two cores, in both rows: how two workers do beside one is told by the CPU time of a "
        "request, which is all that keeps a core from answering more."
    )
    note = f"Medians (lowest-highest) of {found['rounds']} rounds, {found['date']}, {found['machine']}, 1 KB. {how}"
    return "\n\n".join(
        [
            table(["workers", *columns], rows),
            f"- {note}",
            table(["requests", "worker MiB", "with its store, MiB"], kept),
        ]
    )


def promises(found: Found) -> Sequence[Promise]:
    """What the README promises of these numbers."""
    early, late = found["memory"]["after"]
    return (
        Promise("two workers, x one" + ("" if found["by_rate"] else ", by CPU time"), 1.8, found["times"]),
        Promise(f"MB of a worker after {early['requests']:,} requests", 120, early["worker_mib"] * MIB, most=True),
        Promise(f"MB of a worker after {late['requests']:,} requests", 120, late["worker_mib"] * MIB, most=True),
        Promise(f"growth from {EARLY:,} to {LATE:,} requests", 0.05, found["memory"]["growth"], most=True),
    )


PART = Part("workers", "Two workers beside one, and the memory of a worker.", measure, show, promises)

if __name__ == "__main__":
    run_as_program(PART)
