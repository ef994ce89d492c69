"""The speed benches: what they ask, what their clients see, and when they refuse to publish."""

import contextlib
import json
import os
import socketserver
import threading
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from bench import BenchError, free_port, running, wait_until
from bench.__main__ import BENCHES, picked
from bench.speed import bodies, latency, paced, sse, sse_upstream, streaming, throughput, workers
from bench.speed.bodies import KILOBYTE
from bench.speed.checking import answers
from bench.speed.contestants import ROOT, compared, litellm, setpoint, tensorzero
from bench.speed.growth import AXES, Point, curve, exponent
from bench.speed.reporting import Part, Promise, publish
from bench.speed.steps import LATER, OTHER, step_of
from bench.static_upstream import DIGITS, KEY

CORE = min(os.sched_getaffinity(0))


@pytest.mark.parametrize("size", [KILOBYTE, 8 * KILOBYTE, 256 * KILOBYTE])
def test_bodies_have_their_size_and_are_all_different(size: int) -> None:
    lines = bodies.of_size(size)
    assert {len(line.encode()) for line in lines} == {size}
    assert len(set(lines)) == len(lines) >= 8
    assert lines == bodies.of_size(size)
    for line in lines:
        assert line.count(DIGITS) == 1
        assert json.loads(line)["messages"][-1]["role"] == "user"


def test_a_conversation_has_its_turns() -> None:
    for line in bodies.of_turns(50):
        roles = [m["role"] for m in json.loads(line)["messages"]]
        assert roles.count("user") == 50
        assert roles[-2:] == ["assistant", "user"]
    for line in bodies.conversation(8 * KILOBYTE):
        assert len(line.encode()) == 8 * KILOBYTE
        assert [m["role"] for m in json.loads(line)["messages"]].count("user") == 20


def test_what_the_contestants_read_is_whole_once_its_places_are_filled() -> None:
    places = {"port": 1, "upstream": "http://127.0.0.1:2/v1", "far": "127.0.0.1:2", "folder": "/f", "bin": "/b"}
    for contestant in compared():
        for text in contestant.files.values():
            filled = text.format(**places)
            assert "{{" not in filled
            assert "127.0.0.1:2" in filled or "version: 1" in filled
    settings = setpoint().files["setpoint.yaml"].format(**places)
    assert f"key: {KEY}" in settings


def test_locks_of_contestants_name_the_versions_and_no_registry() -> None:
    for contestant in (litellm(), tensorzero()):
        lock = (ROOT / "bench" / f"{contestant.package}-requirements.txt").read_text("utf-8")
        assert contestant.what.partition(":")[0] in lock
        assert "://" not in lock
        names = [line for line in lock.splitlines() if "==" in line]
        assert lock.count("--hash=sha256:") >= len(names)


@contextlib.contextmanager
def streaming_upstream(folder: Path) -> Iterator[str]:
    port = free_port()
    url = f"http://127.0.0.1:{port}/v1"
    with running(
        "it", sse_upstream.command(port), os.sched_getaffinity(0), folder, {"PYTHONPATH": str(ROOT)}
    ) as process:
        wait_until(lambda: answers(url, bodies.of_size(KILOBYTE)[0].encode(), KEY), process)
        yield url


def test_streams_are_counted_chunk_by_chunk(tmp_path: Path) -> None:
    with streaming_upstream(tmp_path) as url:
        seen = sse.load(url, CORE, 4, 0.1, 1.0, streaming.body("gpt-4.1", 5, 10), 10)
        assert seen.each == 10
        assert seen.streams * 10 - 40 <= seen.chunks <= seen.streams * 10 + 40
        assert seen.first_p50_ms > 0
        with pytest.raises(BenchError, match="the shortest of 10 chunks of 11"):
            sse.load(url, CORE, 1, 0, 0.5, streaming.body("gpt-4.1", 5, 10), 11)


@contextlib.contextmanager
def served(pieces: list[bytes]) -> Iterator[str]:
    """Answers each request with these pieces, 5 ms apart."""

    class Answering(socketserver.StreamRequestHandler):
        def handle(self) -> None:
            with contextlib.suppress(ConnectionError):
                self.answer()

        def answer(self) -> None:
            length = 0
            while line := self.rfile.readline():
                if line.lower().startswith(b"content-length:"):
                    length = int(line.partition(b":")[2])
                elif line == b"\r\n":
                    self.rfile.read(length)
                    for n, piece in enumerate(pieces):
                        time.sleep(0.005 if n else 0)
                        self.wfile.write(piece)

    class Server(socketserver.ThreadingTCPServer):
        request_queue_size = 128

    with Server(("127.0.0.1", 0), Answering) as server:
        threading.Thread(target=server.serve_forever).start()
        yield f"http://127.0.0.1:{server.server_address[1]}/v1"
        server.shutdown()


WHOLE = [b"HTTP/1.1 200 OK\r\ncontent-", b"length: 5\r\n\r\nhe", b"llo"]


@contextlib.contextmanager
def target(url: str) -> Iterator[paced.Target]:
    found = paced.Target(url, bodies.of_size(KILOBYTE), 0)
    try:
        yield found
    finally:
        found.close()


def test_a_constant_rate_is_kept_although_answers_take_longer() -> None:
    with served(WHOLE) as url, target(url) as asked:
        seen = paced.at_rate(asked, 400, 0.5)
    assert (seen.requests, seen.missing) == (200, 0)
    assert seen.p50_ms > 9  # two pauses of 5 ms, and 400 a second all the same


def test_one_at_a_time_takes_turns_block_by_block() -> None:
    with served(WHOLE) as slow, served([b"".join(WHOLE)]) as quick, target(quick) as one, target(slow) as other:
        first, second = paced.in_turn([one, other], 0.1)
    assert first.requests == second.requests
    assert first.requests % paced.BLOCK == 0
    assert first.p50_ms < second.p50_ms


def test_an_answer_that_is_no_success_is_not_timed() -> None:
    refused = [b"HTTP/1.1 500 No\r\ncontent-length: 0\r\n\r\n"]
    with served(refused) as url, target(url) as asked, pytest.raises(ValueError, match="500 No"):
        paced.at_rate(asked, 100, 0.1)


def cost(rps: float, cpu_us: float) -> dict[str, float]:
    return {"rps": rps, "p50_ms": 1.0, "p99_ms": 2.0, "cpu_us": cpu_us, "rss_mib": 50.0, "busy": 1.0, "others": 0.0}


def sample(rps: float, cpu_us: float) -> dict[str, Any]:
    each = {size: cost(rps, cpu_us) for size in throughput.SIZES}
    return each | {"start_s": 1.0, "also": {"store_shed_total": 0.0}}


SAMPLES = {
    "Setpoint": [sample(6_000, 165)] * 3,
    "TensorZero": [sample(3_000, 330)] * 3,
    "LiteLLM Proxy": [sample(100, 10_000)] * 3,
    "nginx": [sample(30_000, 20)] * 3,
}


def test_throughput_is_refused_where_the_far_side_is_the_bottleneck() -> None:
    what = dict.fromkeys(SAMPLES, "it")
    with pytest.raises(BenchError, match=r"less than 2 x Setpoint's 6,000"):
        throughput.summary(what, SAMPLES, {size: [11_000.0] * 3 for size in throughput.SIZES})
    found = throughput.summary(what, SAMPLES, {size: [50_000.0] * 3 for size in throughput.SIZES})
    found |= {"rounds": 3, "date": "d", "machine": "m"}
    # nginx was held back by the far side: it is what it would have reached by its CPU time that counts.
    assert found["times"]["nginx"]["1 KB"] == pytest.approx(6_000 / 50_000)
    assert [p.kept for p in throughput.promises(found)] == [True, True, True, True, True]
    assert "| Setpoint | 6,000 (6,000-6,000)" in throughput.show(found)
    slower = SAMPLES | {"Setpoint": [sample(4_000, 250)] * 3}
    found = throughput.summary(what, slower, {size: [50_000.0] * 3 for size in throughput.SIZES})
    assert [p.kept for p in throughput.promises(found)] == [False, False, False, True, False]
    busy = SAMPLES | {
        "TensorZero": [{k: v | {"others": 0.5} if k in throughput.SIZES else v for k, v in sample(1, 1).items()}] * 3
    }
    with pytest.raises(BenchError, match="50% of the core that TensorZero"):
        throughput.summary(what, busy, {size: [50_000.0] * 3 for size in throughput.SIZES})


def half(p50: float, late: float, missing: int = 0) -> dict[str, Any]:
    return {"p50_ms": p50, "p99_ms": 2.5 * p50, "late_p99_ms": late, "missing": missing, "requests": 9}


@pytest.mark.parametrize(
    ("at_half", "without"),
    [(half(1, 0.7), half(0.1, 0)), (half(1, 0.1, 3), half(0.1, 0)), (half(1, 0.1), half(0.5, 0))],
)
def test_latency_is_refused_where_the_client_is_late(at_half: dict[str, Any], without: dict[str, Any]) -> None:
    rounds = [{"half": at_half, "half_direct": without, "full_rps": 6_000.0}] * 3
    with pytest.raises(BenchError, match="would be what is measured"):
        latency.summary({"Setpoint": "it"}, {"Setpoint": rounds})
    good = [{"half": half(1, 0.1), "half_direct": half(0.1, 0), "full_rps": 6_000.0}] * 3
    assert latency.summary({"Setpoint": "it"}, {"Setpoint": good})["contestants"]["Setpoint"]["rounds"] == good


def test_streaming_is_refused_where_the_offer_does_not_come_even_directly() -> None:
    rounds = [{"chunks_s": 45_000.0, "first_p50_ms": 1.0, "alone_first_ms": 0.9}] * 3
    direct = [{"chunks_s": 51_000.0, "first_p50_ms": 0.5, "alone_first_ms": 0.2}] * 3
    found = streaming.summary({"Setpoint": ("it", 256)}, {"Setpoint": rounds}, {256: direct})
    assert [(p.found, p.kept) for p in streaming.promises(found)] == [(45_000, True), (pytest.approx(0.7), True)]
    with pytest.raises(BenchError, match="come without a gateway"):
        streaming.summary(
            {"Setpoint": ("it", 256)}, {"Setpoint": rounds}, {256: [r | {"chunks_s": 45e3} for r in direct]}
        )


def test_two_workers_are_told_by_rate_only_where_each_has_a_core() -> None:
    kept = {"after": [{"requests": 10_000, "worker_mib": 100.0}] * 2, "growth": 0.0}
    one, two = (
        {"rps": 5_000.0, "cpu_us": 160.0, "own_cores": True},
        {"rps": 9_500.0, "cpu_us": 164.0, "own_cores": True},
    )
    assert workers.summary({1: [one], 2: [two]}, kept, 40_000)["times"] == pytest.approx(1.9)
    crowded = workers.summary({1: [one], 2: [two]}, kept, 12_000)
    assert (crowded["by_rate"], crowded["times"]) == (False, pytest.approx(2 * 160 / 164))
    assert [p.kept for p in workers.promises(crowded)] == [True] * 4


@pytest.mark.parametrize("power", [0.5, 1, 2])
def test_growth_that_is_more_than_linear_is_found(power: float) -> None:
    points = [Point(at, 100 + 0.01 * at**power, 1.0, 1.0) for at in (1, 10, 1_000, 100_000)]
    assert exponent(points) == pytest.approx(power if power > 0.5 else 0, abs=0.05)
    alone = [Point(0, 5_000, 1.0, 1.0), *points]  # dearer than some at once
    assert exponent(alone) == pytest.approx(exponent(points))


def test_a_flat_cost_has_no_growth_and_a_missing_point_is_an_error() -> None:
    axis = AXES[0]
    flat = [Point(at, 100 + n, 1.0, 1.0) for n, at in enumerate(axis.sizes)]
    assert curve(axis, [flat])["exponent"] == 0
    with pytest.raises(BenchError, match="not every point"):
        curve(axis, [flat[:-1]])


def test_a_sample_belongs_to_the_innermost_step_and_to_what_runs_later() -> None:
    pipeline = ("/x/router/pipeline.py", "Pipeline.prepare")
    assert step_of([("/x/classifier/model.py", "Classifier.classify"), pipeline]) == "classify"
    assert step_of([("/lib/json/decoder.py", "decode"), pipeline]) == "ids, context, rewrite, headers"
    flush = [
        ("/x/redis/connection.py", "pack"),
        ("/x/metrics/store.py", "Store.write"),
        ("/x/metrics/ledger.py", "Ledger.run"),
    ]
    assert step_of(flush) == LATER["Ledger.run"]
    assert step_of([("/lib/asyncio/runners.py", "run")]) == OTHER


def test_a_missed_promise_fails_and_is_written_down(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("bench.speed.reporting.OUT", tmp_path)
    kept, missed = Promise("good", 2, 3), Promise("slow", 0.5, 0.7, most=True)
    for code in (0, 1):
        part = Part("it", "", lambda _: {"code": code}, str, lambda found: [kept, missed][: 1 + found["code"]])  # noqa: B023
        assert publish(part, ["--rounds", "1"]) == code
    written = json.loads((tmp_path / "speed-it.json").read_text("utf-8"))
    assert [p["kept"] for p in written["promises"]] == [True, False]


def test_a_group_of_benches_runs_by_its_name() -> None:
    assert picked("speed", BENCHES) == [name for name in BENCHES if name.startswith("speed.")]
    assert picked("learning", BENCHES) == ["learning"]
    assert picked("", BENCHES) == list(BENCHES)
    assert picked("nothing", BENCHES) == []
