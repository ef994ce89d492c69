"""Where the time of a request goes: µs a step of the running proxy, found by samples of what it is doing.

A tight loop around each function says about half: caches are warm there, and there is little to collect.
"""

import argparse
import gc
import json
import os
import signal
import statistics
import subprocess
import sys
import time
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from types import FrameType
from typing import Any

from bench import BenchError, spread, table
from bench.speed import bodies, inside
from bench.speed.contestants import MODEL, ROOT
from bench.speed.reporting import Found, Part, Promise, progress, run_as_program
from bench.static_upstream import load

CONNECTIONS, WARM_UP, MEASURE = 32, 2, 6  # connections; the others are seconds
SAMPLE = 0.001  # seconds of CPU time; kernels take 1 to 4 ms of it

# What runs in the background, by a function that is somewhere on the stack; then, from the innermost frame on, by file.
LATER = {"Ledger.run": "later: observed, records, store", "learn": "later: learning", "Audit.run": "later: audit"}
STEPS = (
    ("router/gate", "key, limits, body"),
    ("router/incoming", "parse"),
    ("router/surfaces", "what is asked"),
    ("classifier/ask", "what is asked"),
    ("classifier/conversation", "what is asked"),
    ("classifier/envelope", "what is asked"),
    ("classifier/", "classify"),
    ("policies/wire", "ids, context, rewrite, headers"),
    ("router/pipeline", "ids, context, rewrite, headers"),
    ("metrics/ids", "ids, context, rewrite, headers"),
    ("policies/", "decide"),
    ("router/upstreams/", "upstream: send and read"),
    ("/aiohttp/", "upstream: send and read"),
    ("/yarl/", "upstream: send and read"),
    ("router/answers", "read the answer"),
    ("router/transcript", "read the answer"),
    ("router/outcomes", "report"),
    ("router/recording", "report"),
    ("router/services", "report"),
    ("metrics/", "report"),
    ("/prometheus_client/", "report"),
    ("router/audit", "report"),
    ("router/relay", "relay"),
    ("router/hangup", "relay"),
    ("router/wires", "relay"),
    ("/uvicorn/", "HTTP server"),
    ("router/protocol", "HTTP server"),
    ("router/fastlane", "HTTP server"),
    ("/starlette/", "HTTP server"),
    ("/fastapi/", "HTTP server"),
)
OTHER = "event loop and other"


def step_of(stack: Sequence[tuple[str, str]]) -> str:
    """The step of a stack of (file, qualified function), innermost first."""
    for _, function in stack:
        if function in LATER:
            return LATER[function]
    for file, _ in stack:
        for part, step in STEPS:
            if part in file:
                return step
    return OTHER


@dataclass(slots=True)
class Sampler:
    """Notes the step at each tick of the process's CPU time, and how long garbage collections took."""

    on: bool = False
    seen: Counter[str] = field(default_factory=Counter)
    collecting: float = 0.0
    _since: float = 0.0

    def begin(self) -> None:
        """Takes over SIGPROF."""
        signal.signal(signal.SIGPROF, self._tick)
        signal.setitimer(signal.ITIMER_PROF, SAMPLE, SAMPLE)
        gc.callbacks.append(self._collected)

    def end(self) -> None:
        """Gives it back."""
        signal.setitimer(signal.ITIMER_PROF, 0)
        gc.callbacks.remove(self._collected)

    def _tick(self, number: int, frame: FrameType | None) -> None:
        if self.on:
            stack = []
            while frame is not None:
                stack.append((frame.f_code.co_filename, frame.f_code.co_qualname))
                frame = frame.f_back
            self.seen[step_of(stack)] += 1

    def _collected(self, phase: str, _: dict[str, int]) -> None:
        if phase == "start":
            self._since = time.perf_counter()
        elif self.on:
            self.collecting += time.perf_counter() - self._since


def _inside() -> None:
    """Serve, sample, print."""
    cores, sampler = sorted(os.sched_getaffinity(0)), Sampler()
    found: dict[str, Any] = {}

    with inside.upstream() as (folder, far):
        os.sched_setaffinity(0, {cores[0]})
        file = bodies.written(folder, "bodies", bodies.of_size(bodies.KILOBYTE, MODEL))

        def ask(url: str) -> None:
            first = int(time.time() * 1e4) % 10**9
            load(f"{url}/chat/completions", CONNECTIONS, WARM_UP, first, cores[-1], file)
            begun, sampler.on = time.process_time(), True
            seen = load(f"{url}/chat/completions", CONNECTIONS, MEASURE, first + 10**8, cores[-1], file)
            sampler.on = False
            if seen.errors or not seen.requests:
                raise BenchError(f"{seen.errors} errors, {seen.requests} answers")
            found["requests"], found["cpu"] = seen.requests, time.process_time() - begun

        inside.serve(folder, far, ask, sampler.begin, sampler.end)
    all_of_them, micros = sum(sampler.seen.values()), found["cpu"] * 1e6 / found["requests"]
    steps = {name: n / all_of_them * micros for name, n in sampler.seen.items()}
    print(json.dumps({"steps": steps, "micros": micros, "collecting": sampler.collecting * 1e6 / found["requests"]}))


def measure(rounds: int) -> Found:
    """Each round in a process of its own."""
    each = []
    for n in range(rounds):
        progress(f"steps, round {n + 1}/{rounds}")
        env = {"PATH": os.environ["PATH"], "PYTHONPATH": str(ROOT)}
        command = [sys.executable, "-m", "bench.speed.steps", "--inside"]
        done = subprocess.run(command, capture_output=True, text=True, timeout=120, check=False, env=env)
        if done.returncode:
            raise BenchError(f"the proxy under the sampler failed: {done.stderr.strip()[-800:]}")
        each.append(json.loads(done.stdout.strip().splitlines()[-1]))
    return {"each": each}


def show(found: Found) -> str:
    """The published table."""
    each = found["each"]
    names = sorted({name for e in each for name in e["steps"]}, key=lambda name: _place(name))
    rows = [[name, spread([e["steps"].get(name, 0.0) for e in each], 1)] for name in names]
    rows += [
        ["the process, all of it", spread([e["micros"] for e in each], 0)],
        ["garbage collections, within the above", spread([e["collecting"] for e in each], 1)],
    ]
    note = (
        f"Medians (lowest-highest) of {found['rounds']} rounds, {found['date']}, {found['machine']}: samples of the running "
        "proxy at 1 KB and 32 connections. What the kernel does for a socket is in the step that reads or writes it; the "
        "store's own process is not in it."
    )
    return table(["step", "µs/request"], rows) + f"\n\n- {note}"


def _place(name: str) -> int:
    order = [*dict.fromkeys(step for _, step in STEPS), OTHER, *LATER.values()]
    return order.index(name)


def promises(found: Found) -> Sequence[Promise]:
    """What the process may take in all, sampled or not."""
    micros = statistics.median(e["micros"] for e in found["each"])
    return (Promise("µs of CPU a request", 165, micros, most=True),)


def plot(found: Found, path: Path) -> None:
    """The steps, one below the other."""
    import matplotlib

    matplotlib.use("Agg")
    from matplotlib import pyplot

    each = found["each"]
    names = sorted({name for e in each for name in e["steps"]}, key=_place)
    middle = [statistics.median(e["steps"].get(name, 0.0) for e in each) for name in names]
    figure, axes = pyplot.subplots(figsize=(7, 0.3 * len(names) + 0.8), layout="constrained")
    axes.barh(range(len(names)), middle, color="#2a6f97")
    axes.set_yticks(range(len(names)), names)
    axes.invert_yaxis()
    axes.set_title("µs a request, by step", fontsize=10)
    axes.spines[["top", "right"]].set_visible(False)
    figure.savefig(path, dpi=150)
    pyplot.close(figure)


PART = Part("steps", "Where the time of a request goes.", measure, show, promises, plot)

if __name__ == "__main__":
    asked = argparse.ArgumentParser(add_help=False)
    asked.add_argument("--inside", action="store_true")
    if asked.parse_known_args()[0].inside:
        _inside()
    else:
        run_as_program(PART)
