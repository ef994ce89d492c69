"""What a request costs in Setpoint, with everything on, next to LiteLLM Proxy and a bare pass-through, one core each.

Gateway on one core; static upstream and load on another. In every round each contestant starts anew, warms up, is
measured and ends, so that whatever else the machine does meets all of them. Linux only: it reads /proc.
"""

import argparse
import hashlib
import json
import os
import signal
import statistics
import subprocess
import sys
import tempfile
import time
import urllib.error
import urllib.request
from collections.abc import Callable
from dataclasses import asdict, dataclass, field
from importlib.metadata import version
from pathlib import Path
from typing import Any

import yaml

from bench import (
    OUT,
    BenchError,
    bars,
    core_seconds,
    cpu_seconds,
    free_port,
    machine,
    rss_mib,
    running,
    spread,
    table,
    wait_until,
)
from bench.static_upstream import BODIES, CONTENT, Load, described, load, serving_command

HERE = Path(__file__).parent
PINS = HERE / "litellm-requirements.txt"
VENV = OUT / "venv-litellm"
MODEL = "gpt-4.1"
CONNECTIONS, WARM_UP, MEASURE, ALONE, DIRECT = 32, 2, 5, 2, 2  # requests in flight; the others are seconds
PROMISE = 10  # times LiteLLM Proxy's requests per second
HEADROOM = 2  # times the fastest gateway: what the upstream and the load must reach without one


@dataclass(frozen=True, slots=True)
class Contestant:
    """A gateway: the command that starts it, the files it reads, and what else must hold after it was measured.

    In command, files and env `{port}`, `{upstream}`, `{folder}` (its own, empty) and `{bin}` stand for what they say.
    """

    name: str
    what: str
    bin: Path
    command: tuple[str, ...]
    files: dict[str, str] = field(default_factory=dict)
    env: dict[str, str] = field(default_factory=dict)
    check: Callable[[str], dict[str, float]] = lambda _url: {}


def contestants() -> tuple[Contestant, ...]:
    """The table of what is compared."""
    ours = Path(sys.executable).parent
    return (
        Contestant(
            "Setpoint",
            f"{version('setpoint')}: classifier, shipped policy, learning applied, embedded store, metrics",
            ours,
            ("{bin}/setpoint", "serve", "--config", "{folder}/setpoint.yaml", "--port", "{port}", "--store", "embedded"),
            {"setpoint.yaml": SETPOINT, "policy.yaml": _shipped_policy_applied()},
            {"SETPOINT_DATA": "{folder}/data"},
            everything_was_on,
        ),
        Contestant(
            "LiteLLM Proxy",
            f"{_pinned('litellm')}: one worker, no keys, no database, no callbacks",
            VENV / "bin",
            ("{bin}/litellm", "--config", "{folder}/config.yaml", "--host", "127.0.0.1", "--port", "{port}"),
            {"config.yaml": LITELLM},
            # Without the first its start waits for a download; the others are its own advice for production.
            {"LITELLM_LOCAL_MODEL_COST_MAP": "True", "LITELLM_MODE": "PRODUCTION", "LITELLM_LOG": "ERROR"},
        ),
        Contestant(
            "FastAPI + httpx",
            f"{version('fastapi')} + {version('httpx')}: passes the bytes on, decides nothing",
            ours,
            ("{bin}/uvicorn", "bench.throughput:pass_through", "--factory", "--port", "{port}", "--no-access-log",
             "--log-level", "warning", "--loop", "uvloop", "--http", "httptools"),
            env={"BENCH_UPSTREAM": "{upstream}", "PYTHONPATH": str(HERE.parent)},
        ),
    )  # fmt: skip


SETPOINT = """
upstreams:
  - {{name: static, kind: openai, base_url: "{upstream}", api_key: none, models: ["gpt-*"], provider: openai}}
policies: policy.yaml
"""

LITELLM = """
model_list:
  - model_name: gpt-4.1
    litellm_params: {{model: openai/gpt-4.1, api_base: "{upstream}", api_key: none}}
general_settings: {{dangerously_permit_weak_or_unset_master_key: true}}
litellm_settings: {{telemetry: false, num_retries: 0, drop_params: true}}
"""


def _shipped_policy_applied() -> str:
    from policies.loading import LIBRARY

    policy = yaml.safe_load((LIBRARY / "guide.yaml").read_text("utf-8"))
    policy["adapt"]["mode"] = "apply"  # as shipped it only observes
    return str(yaml.safe_dump(policy, allow_unicode=True)).replace("{", "{{").replace("}", "}}")


def _pinned(package: str) -> str:
    line = next(li for li in PINS.read_text("utf-8").splitlines() if li.startswith(f"{package}=="))
    return line.split()[0].partition("==")[2]


def pass_through() -> Any:
    """FastAPI + httpx, as the first result of a search would write it."""
    import httpx
    from fastapi import FastAPI, Request, Response

    client = httpx.AsyncClient(limits=httpx.Limits(max_connections=None, max_keepalive_connections=None))
    app = FastAPI()

    @app.post("/v1/chat/completions")
    async def chat(request: Request) -> Response:
        url = os.environ["BENCH_UPSTREAM"] + "/chat/completions"
        answer = await client.post(url, content=await request.body(), headers={"content-type": "application/json"})
        return Response(answer.content, answer.status_code, media_type="application/json")

    return app


def everything_was_on(url: str) -> dict[str, float]:
    """Setpoint's own counters, summed by metric. Raises BenchError where a part of it did not take part."""
    with urllib.request.urlopen(url + "/metrics", timeout=10) as answer:
        lines = [li.rsplit(" ", 1) for li in answer.read().decode().splitlines() if li and not li.startswith("#")]
    seen: dict[str, float] = {}
    for series, value in lines:
        name = series.partition("{")[0].removeprefix("setpoint_")
        seen[name] = seen.get(name, 0.0) + float(value)
    kept = (
        "requests_total",
        "decided_total",
        "explored_total",
        "store_up",
        "store_buffered_events",
        "store_shed_total",
    )
    broken = ("classifier_failures_total", "policy_failures_total", "learning_failures_total")
    for name in broken:
        if seen.get(name):
            raise BenchError(f"Setpoint's {name} is {seen[name]:.0f}: it was not whole while it was measured")
    if not seen.get("store_up") or not seen.get("decided_total"):
        raise BenchError("Setpoint's store or its learning took no part; see /metrics")
    return {name: seen.get(name, 0.0) for name in kept}


@dataclass(frozen=True, slots=True)
class Sample:
    """One contestant in one round; CPU and memory are those of its whole process tree.

    `alone`: one request in flight. `others`: share of the gateway's core that went to other programs meanwhile.
    """

    rps: float
    p50_ms: float
    p99_ms: float
    alone_p50_ms: float
    cpu_us: float
    rss_mib: float
    start_s: float
    others: float
    also: dict[str, float]


@dataclass(frozen=True, slots=True)
class Ground:
    """Where things run: the gateway's core, that of upstream and load, and the upstream's address."""

    gateway_core: int
    far_core: int
    upstream: str

    def load(self, url: str, seconds: int, connections: int = CONNECTIONS) -> Load:
        """Load that is answered without an error, or BenchError."""
        # From the clock, so that no stretch of load repeats the prompts of another and no cache of them can help.
        first = int(time.time() * 1e4) % 10**9
        seen = load(f"{url}/chat/completions", connections, seconds, first, self.far_core)
        if seen.errors or not seen.requests:
            raise BenchError(f"{url}: {seen.errors} errors, {seen.requests} answers; nothing is published")
        return seen


def measured(ground: Ground, contestant: Contestant) -> Sample:
    """Start, ask once, warm up, measure, end."""
    with tempfile.TemporaryDirectory(prefix="bench-") as name:
        folder, port = Path(name), free_port()
        url = f"http://127.0.0.1:{port}/v1"
        places = {"port": port, "upstream": ground.upstream, "folder": folder, "bin": contestant.bin}
        for file, text in contestant.files.items():
            (folder / file).write_text(text.format(**places), "utf-8")
        command = [part.format(**places) for part in contestant.command]
        env = {key: value.format(**places) for key, value in contestant.env.items()}
        begun = time.perf_counter()
        with running(contestant.name, command, ground.gateway_core, folder, env) as process:
            wait_until(lambda: answers(url), process)
            return _sample(ground, contestant, url, process.pid, time.perf_counter() - begun)


def _sample(ground: Ground, contestant: Contestant, url: str, pid: int, start_s: float) -> Sample:
    ground.load(url, WARM_UP)
    before, core = cpu_seconds(pid), core_seconds(ground.gateway_core)
    seen = ground.load(url, MEASURE)
    cpu, core = cpu_seconds(pid) - before, core_seconds(ground.gateway_core) - core
    others = max(0.0, core - cpu) / seen.seconds
    rss = rss_mib(pid)
    alone = ground.load(url, ALONE, connections=1)
    also = contestant.check(url.removesuffix("/v1"))
    return Sample(
        seen.rps, seen.p50_ms, seen.p99_ms, alone.p50_ms, cpu * 1e6 / seen.requests, rss, start_s, others, also
    )


def answers(url: str) -> bool:
    """Whether somebody answers, and with the upstream's answer. Raises BenchError for any other answer."""
    body = BODIES.read_bytes().splitlines()[0]
    request = urllib.request.Request(f"{url}/chat/completions", body, {"Content-Type": "application/json"})
    try:
        with urllib.request.urlopen(request, timeout=60) as answer:
            said = json.load(answer)["choices"][0]["message"]["content"]
    except urllib.error.HTTPError as e:
        raise BenchError(f"{url} answers {e.code}: {e.read()[:500].decode(errors='replace')}") from e
    except OSError:
        return False
    if said != CONTENT:
        raise BenchError(f"{url} answers {said!r}, which is not what the upstream said")
    return True


def install_litellm() -> None:
    """LiteLLM Proxy in an environment of its own, from hashed pins, once per set of pins."""
    pins, stamp = hashlib.sha256(PINS.read_bytes()).hexdigest(), VENV / "pins"
    if stamp.is_file() and stamp.read_text("ascii") == pins:
        return
    print("Installing LiteLLM Proxy for comparison (once, a minute or two) ...", file=sys.stderr, flush=True)
    pip = [str(VENV / "bin" / "python"), "-m", "pip", "install", "--quiet", "--disable-pip-version-check"]
    for command in (
        [sys.executable, "-m", "venv", "--clear", str(VENV)],
        [*pip, "--require-hashes", "--no-deps", "-r", str(PINS)],
    ):
        done = subprocess.run(command, capture_output=True, text=True, check=False)
        if done.returncode:
            raise BenchError(f"LiteLLM Proxy could not be installed: {done.stderr.strip()[-800:]}")
    stamp.write_text(pins, "ascii")


def run(rounds: int) -> dict[str, Any]:
    """All rounds. Raises BenchError where the far side, and not a gateway, would be what was measured."""
    cores = sorted(os.sched_getaffinity(0))
    if len(cores) < 2:
        raise BenchError("throughput needs two cores: one for the gateway, one for upstream and load")
    compared = contestants()
    direct: list[float] = []
    samples: dict[str, list[Sample]] = {c.name: [] for c in compared}
    with tempfile.TemporaryDirectory(prefix="bench-") as name:
        folder, port = Path(name), free_port()
        ground = Ground(cores[0], cores[1], f"http://127.0.0.1:{port}/v1")
        env = {"PYTHONPATH": str(HERE.parent)}
        with running("the upstream", serving_command(folder, port), cores[1], folder, env) as upstream:
            wait_until(lambda: answers(ground.upstream), upstream)
            for n in range(rounds):
                direct.append(ground.load(ground.upstream, DIRECT).rps)
                for contestant in compared:
                    print(f"round {n + 1}/{rounds}: {contestant.name} ...", file=sys.stderr, flush=True)
                    samples[contestant.name].append(measured(ground, contestant))
    return summary(compared, samples, direct)


def summary(compared: tuple[Contestant, ...], samples: dict[str, list[Sample]], direct: list[float]) -> dict[str, Any]:
    """What is published. Raises BenchError where the far side had too little headroom."""
    rps = {name: statistics.median(s.rps for s in each) for name, each in samples.items()}
    fastest, far = max(rps, key=lambda name: rps[name]), statistics.median(direct)
    if far < HEADROOM * rps[fastest]:
        raise BenchError(
            f"upstream and load alone reach {far:,.0f} requests/s, less than {HEADROOM} x {fastest}'s {rps[fastest]:,.0f}: "
            f"they would be what is measured (here: {described()}); install nginx and wrk, or quieten the machine"
        )
    return {
        "date": time.strftime("%Y-%m-%d"),
        "machine": machine(),
        "far_side": described(),
        "settings": {"connections": CONNECTIONS, "warm_up_s": WARM_UP, "measure_s": MEASURE, "body_bytes": 1024},
        "direct_rps": direct,
        "contestants": {
            c.name: {"what": c.what, "median_rps": rps[c.name], "rounds": [asdict(s) for s in samples[c.name]]}
            for c in compared
        },
        "times_litellm": rps["Setpoint"] / rps["LiteLLM Proxy"],
    }


def show(found: dict[str, Any]) -> str:
    """The published table."""
    columns = {
        "requests/s": ("rps", 0), f"p50 ms, {CONNECTIONS} at once": ("p50_ms", 1), "p99 ms": ("p99_ms", 1),
        "p50 ms, alone": ("alone_p50_ms", 2), "CPU µs/request": ("cpu_us", 0), "RSS MiB": ("rss_mib", 0),
        "start s": ("start_s", 1),
    }  # fmt: skip
    contestants = found["contestants"]
    rows = [
        [name, *(spread([r[key] for r in each["rounds"]], digits) for key, digits in columns.values())]
        for name, each in contestants.items()
    ]
    others = max(r["others"] for each in contestants.values() for r in each["rounds"])
    shed = max(r["also"]["store_shed_total"] for r in contestants["Setpoint"]["rounds"])
    notes = (
        f"Medians (lowest-highest) of {len(found['direct_rps'])} rounds, {found['date']}, {found['machine']}. Each "
        f"gateway has one worker on one core, where other programs took at most {others:.0%} of the time meanwhile.",
        f"{found['far_side']} have another core; alone they reach {statistics.median(found['direct_rps']):,.0f} "
        "requests/s. Each request is a different chat completion of 1 KB.",
        *(f"{name} {each['what']}." for name, each in contestants.items()),
        f"Setpoint answers {found['times_litellm']:.1f} times as many requests as LiteLLM Proxy (promised: {PROMISE}), "
        f"and shed {shed:,.0f} records from its bounded buffers.",
    )
    return table(["one worker, one core", *columns], rows) + "\n\n" + "\n".join(f"- {note}" for note in notes)


def plot(found: dict[str, Any], path: Path) -> None:
    """Requests per second and CPU time of each."""
    import matplotlib

    matplotlib.use("Agg")
    from matplotlib import pyplot

    figure, panels = pyplot.subplots(1, 2, figsize=(10, 2.6), sharey=True, layout="constrained")
    for axes, key, title in zip(panels, ("rps", "cpu_us"), ("requests/s, one core", "CPU µs per request"), strict=True):
        bars(axes, title, {name: [r[key] for r in each["rounds"]] for name, each in found["contestants"].items()})
    figure.savefig(path, dpi=150)
    pyplot.close(figure)


def main(arguments: list[str] | None = None) -> int:
    """Measure, print, write `out/throughput.json` and `.png`; 1 where nothing can be published or the promise is missed."""
    parser = argparse.ArgumentParser("bench.throughput", description="Requests per second on one core.")
    parser.add_argument("--rounds", type=int, default=3, choices=range(1, 21), metavar="N", help="default: 3")
    rounds = parser.parse_args(arguments).rounds
    signal.signal(signal.SIGTERM, _terminated)
    try:
        if sys.platform != "linux":
            raise BenchError("throughput runs on Linux only: it pins cores and reads /proc")
        OUT.mkdir(exist_ok=True)
        install_litellm()
        found = run(rounds)
    except BenchError as e:
        print(f"bench: throughput: {e}", file=sys.stderr)
        return 1
    (OUT / "throughput.json").write_text(json.dumps(found, indent=1, ensure_ascii=False) + "\n", "utf-8")
    plot(found, OUT / "throughput.png")
    print(show(found))
    if found["times_litellm"] < PROMISE:
        print(
            f"bench: throughput: Setpoint is {found['times_litellm']:.1f} x LiteLLM Proxy, promised {PROMISE} x",
            file=sys.stderr,
        )
        return 1
    return 0


def _terminated(*_: object) -> None:
    """As Ctrl-C, and once: what was started is ended on the way out."""
    signal.signal(signal.SIGTERM, signal.SIG_IGN)
    raise KeyboardInterrupt


if __name__ == "__main__":
    try:
        sys.exit(main())
    except KeyboardInterrupt:
        sys.exit(130)
