"""Streams relayed on one core: 256 at once, 5 ms between chunks, next to other gateways and to the upstream itself."""

import json
import statistics
from collections.abc import Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any

from bench import BenchError, bars, core_seconds, cpu_seconds, free_port, rss_mib, spread, table
from bench.speed import sse, sse_upstream
from bench.speed.bodies import KILOBYTE, of_size
from bench.speed.contestants import MODEL, Contestant, streamed
from bench.speed.ground import Ground, ground, serving
from bench.speed.installing import install
from bench.speed.reporting import Found, Part, Promise, progress, run_as_program

STREAMS, EVERY_MS, CHUNKS = 256, 5, 50
RAMP, MEASURE, ALONE = 1.0, 3.0, 1.0  # seconds
OFFERED = STREAMS * 1000 / EVERY_MS  # chunks per second
ENOUGH = 0.95  # of what is offered: what must come without a gateway


def body(model: str, every_ms: int, chunks: int) -> str:
    """A 1 KB request that is answered by a stream at this pace."""
    asked = json.loads(of_size(KILOBYTE, model)[1])
    asked["messages"][-1]["content"] += sse_upstream.pace(every_ms, chunks)
    return json.dumps(asked | {"stream": True}, ensure_ascii=False)


def alone(field: Ground, url: str, model: str) -> float:
    """Median ms to the first chunk of one short stream after the other, where nothing waits for anything else."""
    return sse.load(url, field.far_core, 1, 0, ALONE, body(model, EVERY_MS, 3), 3).first_p50_ms


def measured(field: Ground, contestant: Contestant) -> dict[str, Any]:
    """Start, ask once, let all streams start, count, end."""
    with serving(field, contestant) as served:
        asked = body(contestant.model, EVERY_MS, CHUNKS)
        alone(field, served.url, contestant.model)
        first = alone(field, served.url, contestant.model)
        sse.load(served.url, field.far_core, contestant.streams, RAMP, 1, asked)
        cpu, far = cpu_seconds(served.pid), core_seconds(field.far_core)
        seen = sse.load(served.url, field.far_core, contestant.streams, RAMP, MEASURE, asked, CHUNKS)
        cpu, far = cpu_seconds(served.pid) - cpu, core_seconds(field.far_core) - far
        also = contestant.check(served.url)
        return asdict(seen) | {
            "chunks_s": seen.chunks_s,
            "alone_first_ms": first,
            "busy": cpu / (RAMP + MEASURE),
            "far_busy": far / (RAMP + MEASURE),
            "rss_mib": rss_mib(served.pid),
            "start_s": served.start_s,
            "also": also,
        }


def measure(rounds: int) -> Found:
    """All rounds, direct among them. Raises BenchError where the far side would be what was measured."""
    contestants = streamed()
    for contestant in contestants:
        if contestant.package:
            install(contestant.package)
    direct: dict[int, list[dict[str, Any]]] = {n: [] for n in {c.streams for c in contestants}}
    samples: dict[str, list[dict[str, Any]]] = {c.name: [] for c in contestants}
    port = free_port()
    with ground(sse_upstream.command(port), port) as field:
        for n in range(rounds):
            for count, each in direct.items():
                seen = sse.load(
                    field.upstream, field.far_core, count, RAMP, MEASURE / 2, body(MODEL, EVERY_MS, CHUNKS), CHUNKS
                )
                first = alone(field, field.upstream, MODEL)
                each.append(asdict(seen) | {"chunks_s": seen.chunks_s, "alone_first_ms": first})
            for contestant in contestants:
                progress(f"streaming, round {n + 1}/{rounds}: {contestant.name}")
                samples[contestant.name].append(measured(field, contestant))
    return summary({c.name: (c.what, c.streams) for c in contestants}, samples, direct)


def summary(
    about: dict[str, tuple[str, int]], samples: dict[str, list[dict[str, Any]]], direct: dict[int, list[dict[str, Any]]]
) -> Found:
    """What is published. Raises BenchError where what the upstream offers does not come even without a gateway."""
    for count, each in direct.items():
        offered, came = count * 1000 / EVERY_MS, _median(each, "chunks_s")
        if came < ENOUGH * offered:
            raise BenchError(
                f"of {offered:,.0f} chunks/s on {count} streams {came:,.0f} come without a gateway: upstream and clients "
                "would be what is measured; quieten the machine"
            )
    return {
        "settings": {"streams": STREAMS, "every_ms": EVERY_MS, "chunks": CHUNKS, "measure_s": MEASURE},
        "direct": {str(count): each for count, each in direct.items()},
        "contestants": {
            name: {
                "what": what,
                "streams": count,
                "chunks_s": _median(samples[name], "chunks_s"),
                "added_first_ms": _median(samples[name], "alone_first_ms") - _median(direct[count], "alone_first_ms"),
                "rounds": samples[name],
            }
            for name, (what, count) in about.items()
        },
    }


def _median(rounds: Sequence[dict[str, Any]], key: str) -> float:
    return float(statistics.median(r[key] for r in rounds))


def show(found: Found) -> str:
    """The published table."""
    rows = []
    for name, each in found["contestants"].items():
        rounds = each["rounds"]
        rows.append(
            [
                f"{name}, {each['streams']} streams",
                spread([r["chunks_s"] for r in rounds], 0),
                f"{each['added_first_ms']:.2f}",
                spread([r["first_p50_ms"] for r in rounds], 1),
                spread([r["busy"] * r["seconds"] * 1e6 / max(r["chunks"], 1) for r in rounds], 1),
                spread([r["rss_mib"] for r in rounds], 0),
            ]
        )
    columns = [
        "one worker, one core",
        "chunks/s",
        "ms added to first chunk, alone",
        "ms to first chunk, all at once",
        "CPU µs/chunk",
        "RSS MiB",
    ]
    notes = [
        f"Medians (lowest-highest) of {found['rounds']} rounds, {found['date']}, {found['machine']}; {EVERY_MS} ms between "
        f"chunks, {CHUNKS} in a stream, the next stream as soon as one has ended. Times to the first chunk are medians; "
        "alone is one stream at a time, and where a gateway is full, first chunks of all at once wait for their turn.",
        *(
            f"Without a gateway {_median(each, 'chunks_s'):,.0f} of {int(count) * 1000 / EVERY_MS:,.0f} chunks/s come on "
            f"{count} streams, the first after {_median(each, 'first_p50_ms'):.2f} ms, and alone after {_median(each, 'alone_first_ms'):.2f} ms."
            for count, each in found["direct"].items()
        ),
        *(f"{name} {each['what']}." for name, each in found["contestants"].items()),
    ]
    return table(columns, rows) + "\n\n" + "\n".join(f"- {note}" for note in notes)


def promises(found: Found) -> Sequence[Promise]:
    """What the README promises of these numbers."""
    ours = found["contestants"]["Setpoint"]
    return (
        Promise(f"chunks/s of {OFFERED:,.0f} offered", 40_000, ours["chunks_s"]),
        Promise("ms added to the first chunk at the median", 0.8, ours["added_first_ms"], most=True),
    )


def plot(found: Found, path: Path) -> None:
    """Chunks per second of each."""
    import matplotlib

    matplotlib.use("Agg")
    from matplotlib import pyplot

    figure, axes = pyplot.subplots(figsize=(7, 2.4), layout="constrained")
    each = {name: [r["chunks_s"] for r in c["rounds"]] for name, c in found["contestants"].items()}
    bars(axes, f"chunks/s relayed on one core, {OFFERED:,.0f} offered", each)
    figure.savefig(path, dpi=150)
    pyplot.close(figure)


PART = Part("streaming", "Streams relayed on one core, side by side.", measure, show, promises, plot)

if __name__ == "__main__":
    run_as_program(PART)
