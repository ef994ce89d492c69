"""The Prometheus page: right numbers, bounded labels, sums over workers."""

import os
import re
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from metrics import notes
from metrics.families import FAMILIES, PREFIX
from metrics.instruments import Instruments
from metrics.outcome import DecisionRecord, Outcome

Finish = Callable[..., Outcome]
Decide = Callable[..., DecisionRecord]
ROOT = Path(__file__).parents[2]


def series(page: bytes) -> dict[str, float]:
    lines = [line for line in page.decode().splitlines() if line and not line.startswith("#")]
    return {line.rpartition(" ")[0]: float(line.rpartition(" ")[2]) for line in lines}


def everything(instruments: Instruments, outcome: Outcome) -> None:
    record = outcome.decision
    instruments.finished(outcome)
    instruments.rejected("chat", "invalid_request")
    instruments.policy_failed()
    instruments.observed(record, {"truncated": True, "json_valid": False, "refusal": True, "repetition": 0.3})
    instruments.parameter("temperature", "code", 0.3)
    instruments.decided("temperature", "task")
    instruments.dropped("top_k", "unsupported")
    instruments.adjusted("temperature", "range")
    instruments.classified("code", 0.9)
    instruments.abstained()
    instruments.classifier_failed()
    instruments.classifier("live", "abc", "100")
    instruments.classifier_reloaded("live", ok=False)
    instruments.shadowed("code", "math")
    instruments.judged("math", "declared", "wrong", "right")
    instruments.not_audited("busy")
    instruments.drawn("code", "m", "temperature", "0.3", explored=True)
    instruments.allocated("code", "m", "1", "temperature", "0.3", 0.25)
    instruments.rewarded(record, "rating", 0.75)
    instruments.regenerated(record)
    instruments.learning_paused(True)
    instruments.rolled_back("code", "m", "reward fell")
    instruments.change_found("code", "m")
    instruments.feedback("rating", "credited", 5.0)
    instruments.store(up=True, buffered=3)
    instruments.store_down(1.5)
    instruments.shed("feedback", 2)
    instruments.corrupt(1)
    instruments.policy_reloaded(ok=False)
    instruments.policy("default", "abc")
    instruments.upstream_failed("u", "timeout")
    instruments.disconnected()
    instruments.learning_failed()


def test_every_event_shows_on_the_page_and_every_family_has_an_event(finish: Finish, decide: Decide) -> None:
    instruments = Instruments()
    everything(instruments, finish(decide(effective=False), ttft=0.5, cost_usd=0.02))
    page, content_type = instruments.render()
    assert content_type.startswith("text/plain")
    found = series(page)
    assert found['setpoint_requests_total{model="m",outcome="ok",surface="chat",task="code"}'] == 1
    assert found['setpoint_tokens_total{direction="output",model="m"}'] == 20
    assert found['setpoint_reward_sum{arm="0.3",model="m",parameter="temperature",signal="rating",task="code"}'] == 0.75
    assert found['setpoint_arm_probability{arm="0.3",model="m",parameter="temperature",task="code",turn="1"}'] == 0.25
    assert found["setpoint_policy_invalid"] == 1
    seen = {re.sub(r"(_total|_bucket|_sum|_count)?(\{.*)?$", "", name) for name in found if found[name]}
    assert {PREFIX + name for name in FAMILIES} <= seen


def test_names_keep_to_prometheus_habits() -> None:
    for family in FAMILIES.values():
        assert re.fullmatch(r"[a-z][a-z_]*[a-z]", family.name)
        assert not family.name.endswith("_total")
        assert not {"id", "session", "tenant", "prompt"} & set(family.labels)


def test_made_up_models_cannot_fill_the_page(finish: Finish, decide: Decide) -> None:
    instruments = Instruments()
    for n in range(1000):
        instruments.finished(finish(decide(model=f"model-{n}")))
    instruments.finished(finish(decide(model="x" * 10_000)))
    found = {k: v for k, v in series(instruments.render()[0]).items() if k.startswith("setpoint_requests_total")}
    assert len(found) == 101
    assert found['setpoint_requests_total{model="other",outcome="ok",surface="chat",task="code"}'] == 901


def test_labels_with_quotes_and_newlines_stay_one_line() -> None:
    instruments = Instruments()
    instruments.decided('tem"pe\nrature', "ta\\sk")
    assert b'parameter="tem\\"pe\\nrature"' in instruments.render()[0]


def test_a_new_policy_takes_the_place_of_the_old_one() -> None:
    instruments = Instruments()
    for digest in ("a", "b"):
        instruments.policy("default", digest)
    found = series(instruments.render()[0])
    assert found['setpoint_policy_info{digest="a",policy="default"}'] == 0
    assert found['setpoint_policy_info{digest="b",policy="default"}'] == 1


def test_a_new_artefact_takes_the_place_of_the_old_one_and_is_compared_anew() -> None:
    instruments = Instruments()
    for digest in ("a", "b"):
        instruments.classifier("live", digest, "10")
        instruments.shadowed("code", "math")
        instruments.judged("math", "feedback", "wrong", "right")
        instruments.abstained()
        instruments.compare_anew()
    instruments.shadowed("code", "code")
    found = series(instruments.render()[0])
    assert found['setpoint_classifier_info{digest="a",role="live",rows="10"}'] == 0
    assert found['setpoint_classifier_info{digest="b",role="live",rows="10"}'] == 1
    assert found['setpoint_classifier_shadow_total{same="no",shadow_task="math",task="code"}'] == 0
    assert found['setpoint_classifier_shadow_total{same="yes",shadow_task="code",task="code"}'] == 1
    assert found["setpoint_classifier_abstained_total"] == 2


def test_instances_do_not_share_numbers() -> None:
    one, other = Instruments(), Instruments()
    one.abstained()
    assert series(other.render()[0])["setpoint_classifier_abstained_total"] == 0


WORKER = """
import sys
from metrics.instruments import Instruments
i = Instruments()
n = int(sys.argv[1])
for _ in range(n):
    i.decided("temperature", "task")
    i.parameter("temperature", "code", 0.3)
i.store(up=n < 5, buffered=n)
i.allocated("code", "m", "1", "temperature", "0.3", n / 10)
print("done", flush=True)
sys.stdin.read()
"""


def test_several_workers_are_summed_on_any_worker_s_page(tmp_path: Path) -> None:
    environment = {**os.environ, "PROMETHEUS_MULTIPROC_DIR": str(tmp_path), "PYTHONPATH": str(ROOT)}

    def start(code: str, argument: str) -> "subprocess.Popen[str]":
        return subprocess.Popen(
            [sys.executable, "-c", code, argument],
            env=environment,
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
        )

    workers = []
    for n in (3, 7):
        worker = start(WORKER, str(n))
        assert worker.stdout is not None
        worker.stdout.readline()
        workers.append(worker)
    reader = start(
        "import sys; from metrics.instruments import Instruments; print(Instruments().render()[0].decode())", ""
    )
    found = series(reader.communicate()[0].encode())
    for worker in workers:
        worker.communicate()
    assert found['setpoint_parameter_decided_total{by="task",parameter="temperature"}'] == 10
    assert found['setpoint_parameter_value_count{parameter="temperature",task="code"}'] == 10
    assert found['setpoint_arm_probability{arm="0.3",model="m",parameter="temperature",task="code",turn="1"}'] == 0.7
    assert found["setpoint_store_up"] == 0
    assert found["setpoint_store_buffered_events"] == 10
    assert not [name for name in found if "pid=" in name]


@pytest.mark.parametrize("value", [-1, 0, None])
def test_odd_token_counts_do_not_raise(value: int | None, finish: Finish) -> None:
    Instruments().finished(finish(prompt_tokens=value, completion_tokens=value, cost_usd=value))


def buckets(page: bytes, family: str) -> dict[str, float]:
    return {k: v for k, v in series(page).items() if k.startswith(f"setpoint_{family}")}


@given(st.lists(st.sampled_from([0.0, 0.1, 0.15, 0.95, 1.0, 1.5]), min_size=1, max_size=50))
def test_what_is_noted_first_and_brought_in_at_once_is_what_observing_one_by_one_gives(amounts: list[float]) -> None:
    noted, observed = Instruments(), Instruments()
    for amount in amounts:
        noted.classified("code", amount)
        observed._families["classifier_confidence"].labels("code").observe(amount)
    found = buckets(noted.render()[0], "classifier_confidence")
    assert found == pytest.approx(buckets(observed.render()[0], "classifier_confidence"))
    assert buckets(noted.render()[0], "classifier_confidence") == found  # and once only


def test_a_request_is_counted_as_it_was_with_what_it_does_not_have_left_out(finish: Finish, decide: Decide) -> None:
    instruments = Instruments()
    for changes in (
        {"ttft": 0.5, "cost_usd": 0.25},
        {"prompt_tokens": None, "completion_tokens": 3},
        {"result": "error"},
    ):
        instruments.finished(finish(decide(), seconds=2.0, upstream_seconds=2.5, **changes))
    before = series(instruments.page()[0])
    assert not [name for name in before if name.startswith("setpoint_requests_total")]
    found = series(instruments.render()[0])
    assert found['setpoint_requests_total{model="m",outcome="ok",surface="chat",task="code"}'] == 2
    assert found['setpoint_request_seconds_sum{model="m"}'] == 6
    assert found['setpoint_request_seconds_bucket{le="1.28",model="m"}'] == 0
    assert found['setpoint_request_seconds_bucket{le="2.56",model="m"}'] == 3
    assert (found["setpoint_overhead_seconds_count"], found["setpoint_overhead_seconds_sum"]) == (3, 0)
    assert found['setpoint_time_to_first_token_seconds_count{model="m"}'] == 1
    assert found['setpoint_tokens_total{direction="input",model="m"}'] == 20
    assert found['setpoint_tokens_total{direction="output",model="m"}'] == 43
    assert found['setpoint_cost_usd_total{model="m"}'] == 0.25
    assert not [name for name in found if name.startswith("setpoint_not_effective_total")]


def test_notes_are_brought_in_also_where_nobody_asks(
    finish: Finish, decide: Decide, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(notes, "_FULL", 100)
    instruments = Instruments()
    for _ in range(3):
        instruments.finished(finish(decide()))
    assert series(instruments.page()[0])["setpoint_overhead_seconds_count"] == 3
