"""Requests per second and CPU time per request at 1 KB and 8 KB, next to other gateways.

8 KB are a conversation of twenty turns, or one long text: gateways differ in which of them costs.
"""

import statistics
from collections.abc import Callable, Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any

from bench import BenchError, bars, spread, table
from bench.speed import bodies
from bench.speed.bodies import KILOBYTE
from bench.speed.contestants import MODEL, Contestant, compared
from bench.speed.ground import HEADROOM, Ground, ground, serving
from bench.speed.installing import install
from bench.speed.reporting import Found, Part, Promise, progress, run_as_program
from bench.static_upstream import described

CONNECTIONS, WARM_UP, MEASURE, DIRECT = 32, 2, 3, 2  # requests in flight; the others are seconds
SMALL, TALK, TEXT = "1 KB", "8 KB, a conversation", "8 KB, a text"
SIZES: dict[str, Callable[[str], list[str]]] = {
    SMALL: lambda model: bodies.of_size(KILOBYTE, model),
    TALK: lambda model: bodies.conversation(8 * KILOBYTE, model=model),
    TEXT: lambda model: bodies.of_size(8 * KILOBYTE, model),
}
OTHERS = 0.25  # of the gateway's core: what other programs may take of it meanwhile
LIMIT = "nginx"


def measured(field: Ground, contestant: Contestant) -> dict[str, Any]:
    """Start, ask once, warm up, measure at each size, end."""
    with serving(field, contestant) as served:
        seen: dict[str, Any] = {"start_s": served.start_s}
        for size, lines in SIZES.items():
            body = field.written(f"{contestant.model} {size}", lines(contestant.model))
            field.load(served.url, WARM_UP if size == SMALL else 1, CONNECTIONS, body)
            seen[size] = asdict(field.cost(served, MEASURE, CONNECTIONS, body))
        return seen | {"also": contestant.check(served.url)}


def measure(rounds: int) -> Found:
    """All rounds. Raises BenchError where the far side, and not a gateway, would be what was measured."""
    all_of_them = compared()
    for contestant in all_of_them:
        if contestant.package:
            install(contestant.package)
    direct: dict[str, list[float]] = {size: [] for size in SIZES}
    samples: dict[str, list[dict[str, Any]]] = {c.name: [] for c in all_of_them}
    with ground() as field:
        for n in range(rounds):
            for size, lines in SIZES.items():
                body = field.written(size, lines(MODEL))
                direct[size].append(field.load(field.upstream, DIRECT, CONNECTIONS, body).rps)
            for contestant in all_of_them:
                progress(f"throughput, round {n + 1}/{rounds}: {contestant.name}")
                samples[contestant.name].append(measured(field, contestant))
    return summary({c.name: c.what for c in all_of_them}, samples, direct)


def summary(
    what: dict[str, str], samples: dict[str, list[dict[str, Any]]], direct: dict[str, list[float]]
) -> dict[str, Any]:
    """What is published. Raises BenchError where the far side had too little headroom."""
    rps = {
        name: {size: statistics.median(_reached(name, r[size]) for r in each) for size in SIZES}
        for name, each in samples.items()
    }
    for size in SIZES:
        far = statistics.median(direct[size])
        name = max((n for n in rps if n != LIMIT), key=lambda n: rps[n][size])
        if far < HEADROOM * rps[name][size]:
            raise BenchError(
                f"upstream and load alone reach {far:,.0f} requests/s at {size}, less than {HEADROOM} x {name}'s "
                f"{rps[name][size]:,.0f}: they would be what is measured (here: {described()}); install nginx and wrk, "
                "or quieten the machine"
            )
    others = {
        name: max(statistics.median(r[size]["others"] for r in each) for size in SIZES)
        for name, each in samples.items()
    }
    if (name := max(others, key=lambda n: others[n])) and others[name] > OTHERS:
        raise BenchError(
            f"other programs took {others[name]:.0%} of the core that {name} was to have for itself; quieten the machine"
        )
    ours = rps["Setpoint"]
    return {
        "far_side": described(),
        "settings": {"connections": CONNECTIONS, "warm_up_s": WARM_UP, "measure_s": MEASURE},
        "direct_rps": direct,
        "contestants": {n: {"what": what[n], "median_rps": rps[n], "rounds": samples[n]} for n in samples},
        "times": {n: {size: ours[size] / rps[n][size] for size in SIZES} for n in rps},
    }


def _reached(name: str, cost: dict[str, float]) -> float:
    """Requests per second. The limit's core is not full, since the far side's is: it would reach more."""
    return max(cost["rps"], 1e6 / cost["cpu_us"]) if name == LIMIT else cost["rps"]


def show(found: Found) -> str:
    """The published tables."""
    columns = {
        "requests/s": ("rps", 0), f"p50 ms, {CONNECTIONS} at once": ("p50_ms", 1), "p99 ms": ("p99_ms", 1),
        "CPU µs/request": ("cpu_us", 0), "RSS MiB": ("rss_mib", 0),
    }  # fmt: skip
    contestants, said = found["contestants"], []
    for size in SIZES:
        rows = [
            [
                name,
                *(spread([r[size][key] for r in each["rounds"]], digits) for key, digits in columns.values()),
                spread([r["start_s"] for r in each["rounds"]], 1),
            ]
            for name, each in contestants.items()
        ]
        said += [table([f"{size}, one worker, one core", *columns, "start s"], rows), ""]
    costs = [r[size] for each in contestants.values() for r in each["rounds"] for size in SIZES]
    alone = ", ".join(f"{statistics.median(found['direct_rps'][size]):,.0f} at {size}" for size in SIZES)
    notes = (
        f"Medians (lowest-highest) of {found['rounds']} rounds, {found['date']}, {found['machine']}. Each gateway has one "
        f"worker on one core, where other programs took at most {max(c['others'] for c in costs):.0%} of the time "
        "meanwhile, and every client sends a key.",
        f"{found['far_side']} have another core; alone they reach {alone} requests/s. nginx's core is not full: what it "
        "is compared by is what it would reach, by its CPU time per request.",
        *(f"{name} {each['what']}." for name, each in contestants.items()),
        f"Setpoint shed {max(r['also']['store_shed_total'] for r in contestants['Setpoint']['rounds']):,.0f} records from "
        "its bounded buffers.",
        "x TensorZero: " + ", ".join(f"{found['times']['TensorZero'][size]:.2f} at {size}" for size in SIZES) + ".",
    )
    return "\n".join([*said, *(f"- {note}" for note in notes)])


def promises(found: Found) -> Sequence[Promise]:
    """What the README promises of these numbers."""
    times = found["times"]
    kept = [
        Promise("x TensorZero at 1 KB", 1.4, times["TensorZero"][SMALL]),
        Promise(f"x TensorZero at {TALK}", 2, times["TensorZero"][TALK]),
        Promise("x LiteLLM Proxy at 1 KB", 55, times["LiteLLM Proxy"][SMALL]),
        Promise("seconds to the first answer", 1.5, _start(found), most=True),
    ]
    return [*kept, Promise("x nginx at 1 KB", 0.10, times[LIMIT][SMALL])] if LIMIT in times else kept


def _start(found: Found) -> float:
    return float(statistics.median(r["start_s"] for r in found["contestants"]["Setpoint"]["rounds"]))


def plot(found: Found, path: Path) -> None:
    """Requests per second and CPU time of each, without the limit, beside which the others would not be seen."""
    import matplotlib

    matplotlib.use("Agg")
    from matplotlib import pyplot

    figure, panels = pyplot.subplots(len(SIZES), 2, figsize=(10, 2.4 * len(SIZES)), sharey=True, layout="constrained")
    for row, size in zip(panels, SIZES, strict=True):
        for axes, key, title in zip(row, ("rps", "cpu_us"), ("requests/s", "CPU µs per request"), strict=True):
            each = {n: [r[size][key] for r in c["rounds"]] for n, c in found["contestants"].items() if n != LIMIT}
            bars(axes, f"{title}, {size}", each)
    figure.savefig(path, dpi=150)
    pyplot.close(figure)


PART = Part("throughput", "Requests per second on one core, side by side.", measure, show, promises, plot)

if __name__ == "__main__":
    run_as_program(PART)
