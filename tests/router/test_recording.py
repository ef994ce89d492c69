"""What each request counts, added up by what requests have in common: the numbers are those of counting one by one."""

from collections.abc import Mapping
from types import SimpleNamespace
from typing import Any, cast

from classifier.verdict import Verdict
from metrics.instruments import Instruments
from policies.decision import Decision, Draw, Shared
from router.pipeline import Prepared
from router.recording import Recorder


def prepared(decision: Decision, verdict: Verdict) -> Prepared:
    return cast("Prepared", SimpleNamespace(decision=decision, verdict=verdict, context=SimpleNamespace(model="m")))


def drawn(arm: str, *, held: tuple[tuple[str, str], ...] = ()) -> Draw:
    return Draw(
        "*|code|m|direct|1|temperature",
        "temperature",
        arm,
        0.5,
        "0.2",
        ("0.2", "0.7"),
        arm != "0.2",
        {},
        "1",
        "session",
        held,
    )


def decided(value: float, draw: Draw | None = None) -> Decision:
    shared = Shared(
        {"temperature": value, "stop": ("x",), "thinking": True, "max_tokens": 64},
        {"temperature": "arm", "stop": "task", "thinking": "task"},
        (("top_k", "refused"),),
        (("temperature", "bounds"), ("max_tokens", "renamed")),
    )
    return Decision("p@1", "apply", shared.params, draw=draw, shared=shared)


def series(instruments: Instruments) -> dict[str, float]:
    rows = [r for r in instruments.render()[0].decode().splitlines() if r and not r.startswith("#")]
    return {r.rpartition(" ")[0].removeprefix("setpoint_"): float(r.rpartition(" ")[2]) for r in rows}


def test_the_counts_of_many_requests_are_told_together() -> None:
    instruments, cells = Instruments(), list[tuple[str, Mapping[str, Any]]]()
    recorder = Recorder(instruments, lambda cell, meta: cells.append((cell, meta)))
    sure, unsure = Verdict("code", 0.9, (), "model"), Verdict("code", 0.3, (), "abstained")
    told = Verdict("code", 1.0, (), "declared")
    alike = decided(0.2, drawn("0.2"))
    for decision in (alike, alike, decided(0.2, drawn("0.2"))):
        recorder.record(prepared(decision, sure), "ok")
    recorder.record(prepared(decided(0.7, drawn("0.7")), unsure), "cancelled")
    recorder.record(prepared(decided(0.7), told), "error")
    found = series(instruments)
    assert found['parameter_value_count{parameter="temperature",task="code"}'] == 5
    assert found['parameter_value_bucket{le="0.2",parameter="temperature",task="code"}'] == 3
    assert found['parameter_value_count{parameter="max_tokens",task="code"}'] == 5
    assert not [name for name in found if "thinking" in name and name.startswith("parameter_value")]
    assert found['parameter_decided_total{by="arm",parameter="temperature"}'] == 5
    assert found['parameter_decided_total{by="client",parameter="max_tokens"}'] == 5
    assert found['parameter_dropped_total{parameter="top_k",reason="refused"}'] == 5
    assert found['parameter_adjusted_total{parameter="temperature",reason="bounds"}'] == 5
    assert found['parameter_adjusted_total{parameter="max_tokens",reason="renamed"}'] == 5
    assert found['arm_draws_total{arm="0.2",model="m",parameter="temperature",task="code"}'] == 3
    assert (found["decided_total"], found["explored_total"]) == (4, 1)
    assert (found["classifier_abstained_total"], found["client_disconnects_total"]) == (1, 1)
    assert found['classifier_confidence_count{task="code"}'] == 3
    assert series(instruments) == found  # each is told once
    cell = "*|code|m|direct|1|temperature"
    assert dict(cells) == {
        cell: {"parameter": "temperature", "grid": ["0.2", "0.7"], "baseline": "0.2", "task": "code"}
    }
    recorder.record(prepared(decided(0.7, drawn("0.7", held=(("top_p", "0.9"),))), sure), "ok")
    assert cells[-1][1]["beside"] == {"top_p": "0.9"}
