"""Classifiers over HTTP: swapped while requests run, compared with a shadow, and held against what the app says."""

import asyncio
import shutil
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner

from classifier.model import FILES, Classifier
from metrics.embedded import EmbeddedServer
from metrics.families import FAMILIES
from metrics.page import series
from metrics.store import Store
from router.audit import WAITING
from router.classifiers import Judge
from router.cli import main
from router.settings import KeySettings

HELLO, SUM, TALE = "hello there friend", "add two and three", "tell a tale of a dragon"
POLICY = "version: 1\ntasks: {sum: {set: {temperature: 0.1}}, story: {set: {temperature: 0.9}}}"


def put(artefact: Path, folder: Path, *names: str) -> Path:
    """Copy an artefact, or some of its files."""
    folder.mkdir(exist_ok=True)
    for name in names or FILES:
        shutil.copyfile(artefact / name, folder / name)
    return folder


async def counted(proxy: Any, family: str) -> dict[tuple[str, ...], float]:
    """The series of a family by label values, without those at 0."""
    return {k: v for k, v in series([(await proxy.get("/metrics"))[1]], family).items() if v}


async def until(proxy: Any, family: str, good: Callable[[dict[tuple[str, ...], float]], bool]) -> Any:
    """Wait up to five seconds for what a family shows."""
    for _ in range(100):
        if good(found := await counted(proxy, family)):
            return found
        await asyncio.sleep(0.05)
    raise AssertionError(found)


async def task_of(proxy: Any, text: str) -> str:
    status, headers, _ = await proxy.chat(text)
    assert status == 200
    return str(headers["x-setpoint-task"])


async def test_a_new_artefact_serves_soon_and_no_request_fails(
    start: Any, artefacts: dict[str, Path], tmp_path: Path
) -> None:
    folder = put(artefacts["sum"], tmp_path / "live")
    proxy = await start(POLICY, classifier=folder)
    assert [await task_of(proxy, t) for t in (SUM, TALE)] == ["sum", "general"]

    async def steady() -> list[int]:
        return [(await proxy.chat(SUM))[0] for _ in range(300)]

    running = asyncio.gather(steady(), steady())
    put(artefacts["story"], folder)
    await until(proxy, "classifier_reloads", bool)
    assert {status for statuses in await running for status in statuses} == {200}
    assert [await task_of(proxy, t) for t in (SUM, TALE)] == ["general", "story"]
    digest = Classifier.load(folder).digest
    assert await counted(proxy, "classifier_reloads") == {("live", "ok"): 1}
    assert await counted(proxy, "classifier_info") == {("live", digest, "6"): 1}
    _, ready = await proxy.get("/readyz")
    assert ready["classifier"] == {"live": {"digest": digest, "problem": ""}}


async def test_half_an_artefact_is_refused_and_the_old_one_serves(
    start: Any, artefacts: dict[str, Path], tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    folder = put(artefacts["sum"], tmp_path / "live")
    proxy = await start(POLICY, classifier=folder)
    put(artefacts["story"], folder, "model.npz")
    assert await until(proxy, "classifier_invalid", bool) == {("live",): 1}
    assert await task_of(proxy, SUM) == "sum"
    assert await counted(proxy, "classifier_reloads") == {("live", "refused"): 1}
    assert "the live classifier on disk is refused, the old one stays" in caplog.text
    assert "one of them is still to come" in (await proxy.get("/readyz"))[1]["classifier"]["live"]["problem"]
    put(artefacts["story"], folder, "manifest.json")
    assert await until(proxy, "classifier_invalid", lambda found: not found) == {}
    assert await task_of(proxy, TALE) == "story"


async def test_a_live_artefact_that_cannot_be_used_at_the_start_is_said(start: Any, tmp_path: Path) -> None:
    said = CliRunner().invoke(main, ["serve", "--config", str(_config(tmp_path, "classifier: nowhere"))])
    assert said.exit_code == 1
    assert "is not a classifier artefact" in said.output
    said = CliRunner().invoke(main, ["check", str(_config(tmp_path, "classifier_shadow: nowhere"))])
    assert said.exit_code == 1
    assert "is not a classifier artefact" in said.output


def _config(folder: Path, line: str) -> Path:
    file = folder / "setpoint.yaml"
    file.write_text(f"upstreams: [{{name: a, base_url: 'http://127.0.0.1:9/v1'}}]\n{line}\n")
    return file


async def test_a_shadow_sees_the_same_asks_and_decides_nothing(start: Any, artefacts: dict[str, Path]) -> None:
    proxy = await start(POLICY, classifier=artefacts["sum"], classifier_shadow=artefacts["story"])
    for text in (HELLO, HELLO, SUM, TALE):
        await proxy.chat(text)
    assert [await task_of(proxy, t) for t in (SUM, TALE)] == ["sum", "general"]
    await until(proxy, "classifier_shadow", lambda found: sum(found.values()) == 6)
    assert await counted(proxy, "classifier_shadow") == {
        ("greet", "greet", "yes"): 2,
        ("sum", "general", "no"): 2,
        ("general", "story", "no"): 2,
    }
    assert await counted(proxy, "classifier_judged") == {}


async def test_a_declared_task_tells_who_is_right(start: Any, artefacts: dict[str, Path]) -> None:
    proxy = await start(POLICY, classifier=artefacts["sum"], classifier_shadow=artefacts["both"])
    for text, task in ((SUM, "sum"), (TALE, "story"), (HELLO, "sum"), ("zebra", "story"), (HELLO, "general")):
        _, headers, _ = await proxy.chat(text, headers={"x-setpoint-task": task})
        assert headers["x-setpoint-task"] == task
    await until(proxy, "classifier_shadow", lambda found: sum(found.values()) == 5)
    assert await counted(proxy, "classifier_judged") == {
        ("sum", "declared", "right", "right"): 1,
        ("story", "declared", "abstained", "right"): 1,
        ("sum", "declared", "wrong", "wrong"): 1,
        ("story", "declared", "abstained", "abstained"): 1,
    }


async def test_without_a_shadow_a_declared_task_still_tells_how_right_the_classifier_is(
    start: Any, artefacts: dict[str, Path]
) -> None:
    proxy = await start(POLICY, classifier=artefacts["sum"])
    await proxy.chat(HELLO, headers={"x-setpoint-task": "sum"})
    await proxy.chat(TALE, headers={"x-setpoint-task": "story"})  # known to the policy, and to no classifier
    await proxy.chat(SUM)
    found = await until(proxy, "classifier_judged", bool)
    assert found == {("sum", "declared", "wrong", "none"): 1}
    assert await counted(proxy, "classifier_confidence") == {}


async def feedback(proxy: Any, decision: str, task: str) -> None:
    for _ in range(60):
        _, _, told = await proxy.post("/v1/feedback", {"id": decision, "signal": "task", "value": task})
        if told.get("result") in ("credited", "duplicate"):
            return
        await asyncio.sleep(0.1)
    raise AssertionError(told)


async def test_feedback_tells_who_was_right_on_any_replica_and_once(
    start: Any, artefacts: dict[str, Path], store: EmbeddedServer
) -> None:
    given = {"classifier": artefacts["sum"], "classifier_shadow": artefacts["both"]}
    one, other = await start(POLICY, **given), await start(POLICY, **given)
    _, headers, _ = await one.chat(TALE)
    decision = headers["x-setpoint-decision"]
    kept = Store(store.url)
    for _ in range(100):
        found = (await kept.find([decision], time.time())).get(decision)
        if found and found.shadow:
            break
        await asyncio.sleep(0.05)
    await kept.close()
    for proxy in (other, one):
        await feedback(proxy, decision, "story")
    assert await counted(other, "classifier_judged") == {("story", "feedback", "abstained", "right"): 1}
    assert await counted(one, "classifier_judged") == {}


async def test_feedback_on_the_answer_of_an_artefact_that_is_gone_judges_nobody(
    start: Any, artefacts: dict[str, Path], tmp_path: Path
) -> None:
    folder = put(artefacts["sum"], tmp_path / "live")
    proxy = await start(POLICY, classifier=folder)
    _, old, _ = await proxy.chat(SUM)
    put(artefacts["both"], folder)
    await until(proxy, "classifier_reloads", bool)
    _, new, _ = await proxy.chat(SUM)
    for headers in (old, new):
        await feedback(proxy, headers["x-setpoint-decision"], "story")
    assert await counted(proxy, "classifier_judged") == {("story", "feedback", "wrong", "none"): 1}


async def test_a_task_that_feedback_makes_up_is_no_label(start: Any, artefacts: dict[str, Path]) -> None:
    proxy = await start(POLICY, classifier=artefacts["sum"])
    _, headers, _ = await proxy.chat(SUM)
    await feedback(proxy, headers["x-setpoint-decision"], "made_up")
    assert await counted(proxy, "classifier_judged") == {}


async def test_a_shadow_is_swapped_like_the_live_one_and_compared_anew(
    start: Any, artefacts: dict[str, Path], tmp_path: Path
) -> None:
    folder = put(artefacts["story"], tmp_path / "shadow")
    proxy = await start(POLICY, classifier=artefacts["sum"], classifier_shadow=folder)
    await proxy.chat(SUM, headers={"x-setpoint-task": "sum"})
    assert await until(proxy, "classifier_judged", bool) == {("sum", "declared", "right", "abstained"): 1}
    put(artefacts["both"], folder)
    await until(proxy, "classifier_reloads", bool)
    assert await counted(proxy, "classifier_judged") == await counted(proxy, "classifier_shadow") == {}
    await proxy.chat(SUM)
    assert await until(proxy, "classifier_shadow", bool) == {("sum", "sum", "yes"): 1}


async def test_a_shadow_that_is_not_there_yet_is_waited_for(
    start: Any, artefacts: dict[str, Path], tmp_path: Path
) -> None:
    proxy = await start(POLICY, classifier=artefacts["sum"], classifier_shadow=tmp_path / "later")
    assert await counted(proxy, "classifier_invalid") == {("shadow",): 1}
    assert (await proxy.get("/readyz"))[1]["classifier"]["shadow"]["digest"] == ""
    assert await task_of(proxy, SUM) == "sum"
    put(artefacts["both"], tmp_path / "later")
    await until(proxy, "classifier_invalid", lambda found: not found)
    await proxy.chat(SUM)
    assert await until(proxy, "classifier_shadow", bool) == {("sum", "sum", "yes"): 1}


def _replace_shadow(proxy: Any, classify: Any) -> None:
    proxy.services.classifiers.shadow = Judge(classify, frozenset({"sum"}), "broken")


async def test_a_shadow_that_fails_costs_no_request_and_one_traceback(
    start: Any, artefacts: dict[str, Path], caplog: pytest.LogCaptureFixture
) -> None:
    proxy = await start(POLICY, classifier=artefacts["sum"], classifier_shadow=artefacts["both"])

    def broken(ask: object) -> Any:
        raise RuntimeError("no")

    _replace_shadow(proxy, broken)
    for _ in range(3):
        assert await task_of(proxy, SUM) == "sum"
    await until(proxy, "classifier_not_audited", lambda found: found == {("failed",): 3})
    assert caplog.text.count("Traceback") == 1
    assert await counted(proxy, "classifier_failures") == {}


async def test_a_slow_shadow_takes_a_tenth_of_the_time_and_what_does_not_fit_is_counted(
    start: Any, artefacts: dict[str, Path]
) -> None:
    proxy = await start(POLICY, classifier=artefacts["sum"], classifier_shadow=artefacts["both"])
    began, worked = time.perf_counter(), []
    real = proxy.services.classifiers.shadow.classify

    def slow(ask: Any) -> Any:
        time.sleep(0.02)
        worked.append(0.02)
        return real(ask)

    _replace_shadow(proxy, slow)
    answers = []
    for _ in range(4):
        answers += await asyncio.gather(*(proxy.chat(SUM) for _ in range(WAITING // 2)))
    assert {status for status, _, _ in answers} == {200}
    assert sum(worked) <= 0.1 * (time.perf_counter() - began) + 0.02
    skipped = (await counted(proxy, "classifier_not_audited"))["busy",]
    assert skipped >= 2 * WAITING - len(worked) - WAITING - 1


@pytest.mark.parametrize("task", ["made-up", "SUM", "general2", "x" * 300, "None"])
async def test_a_task_that_nobody_knows_is_refused_and_makes_no_label(
    start: Any, artefacts: dict[str, Path], upstream: Any, task: str
) -> None:
    proxy = await start("version: 1\ntasks: {story: {}}", classifier=artefacts["sum"])
    for path, body in (
        ("/v1/chat/completions", {"model": "m", "messages": [{"role": "user", "content": "x"}]}),
        ("/v1/explain", {"model": "m", "messages": [{"role": "user", "content": "x"}]}),
        ("/v1/completions", {"model": "m", "prompt": "x"}),
    ):
        status, _, answer = await proxy.post(path, body, {"x-setpoint-task": task})
        assert (status, answer["error"]["code"], answer["error"]["param"]) == (400, "unknown_task", "x-setpoint-task")
        known = answer["error"]["message"].partition("They know ")[2].rstrip(".").split(", ")
        assert {"general", "greet", "story", "sum", "math"} <= {*known}  # math: a vendor recommends something for it
        assert len(answer["error"]["message"]) < 600
    assert upstream.bodies == []
    page = (await proxy.get("/metrics"))[1]
    assert f'task="{task[:20]}' not in page
    assert 'setpoint_rejected_total{code="unknown_task",surface="chat"} 1.0' in page


async def test_whatever_the_policy_is_about_may_be_declared_until_it_is_not(start: Any, upstream: Any) -> None:
    proxy = await start(
        "version: 1\n"
        "tasks: {review: {set: {temperature: 0.1}}}\n"
        "rules: [{name: r, when: {task: [poetry, limerick]}, set: {temperature: 0.9}}]\n"
        "adapt: {mode: {default: observe, triage: bypass}}\n"
    )
    for task in ("review", "poetry", "limerick", "triage", "general", "code", " code "):
        status, headers, _ = await proxy.chat("hm", headers={"x-setpoint-task": task})
        assert (status, headers["x-setpoint-task"]) == (200, task.strip())
    assert (await proxy.chat("hm", headers={"x-setpoint-task": "default"}))[0] == 400
    proxy.policy.write_text("version: 1\ntasks: {other: {set: {temperature: 0.2}}}")
    await asyncio.sleep(1)
    assert (await proxy.chat("hm", headers={"x-setpoint-task": "review"}))[0] == 400
    assert (await proxy.chat("hm", headers={"x-setpoint-task": "other"}))[0] == 200


async def test_a_swap_changes_which_tasks_may_be_declared(
    start: Any, artefacts: dict[str, Path], tmp_path: Path
) -> None:
    folder = put(artefacts["sum"], tmp_path / "live")
    proxy = await start("version: 1", classifier=folder)
    assert (await proxy.chat(headers={"x-setpoint-task": "story"}))[0] == 400
    put(artefacts["both"], folder)
    await until(proxy, "classifier_reloads", bool)
    assert (await proxy.chat(headers={"x-setpoint-task": "story"}))[0] == 200


async def test_compare_tells_people_and_programs_how_the_two_differ(start: Any, artefacts: dict[str, Path]) -> None:
    given = {"classifier": artefacts["sum"], "classifier_shadow": artefacts["both"]}
    replicas = [await start(POLICY, **given), await start(POLICY, **given)]
    for proxy in replicas:
        for _ in range(8):
            await proxy.chat(TALE, headers={"x-setpoint-task": "story"})
            await proxy.chat(SUM, headers={"x-setpoint-task": "sum"})
        await until(proxy, "classifier_shadow", lambda found: sum(found.values()) == 16)
    said = await _compare(*(p.url for p in replicas))
    assert "32 asks compared, 50.0% of them with the same verdict" in said
    assert "general story 16 50.0%" in " ".join(said.split())
    assert "the shadow is better: +50.0 points" in said
    assert '"only_shadow_right": 16' in await _compare("--json", *(p.url for p in replicas))


async def test_compare_says_what_is_missing(start: Any) -> None:
    proxy = await start(POLICY)
    assert "There is no shadow" in await _compare(proxy.url)
    assert "no proxy answers there" in await _compare("http://127.0.0.1:9", code=1)


async def _compare(*arguments: str, code: int = 0) -> str:
    result = await asyncio.to_thread(CliRunner().invoke, main, ["compare", *arguments])
    assert result.exit_code == code, result.output
    return result.output


async def test_no_prompt_reaches_the_log_or_the_page(
    start: Any, artefacts: dict[str, Path], caplog: pytest.LogCaptureFixture
) -> None:
    proxy = await start(
        POLICY,
        classifier=artefacts["sum"],
        classifier_shadow=artefacts["both"],
        keys=[KeySettings(tenant="a", key="sk")],
    )

    def broken(ask: object) -> Any:
        raise RuntimeError("no")

    _replace_shadow(proxy, broken)
    await proxy.chat("add the treasure to two", headers={"authorization": "Bearer sk"})
    await until(proxy, "classifier_not_audited", bool)
    assert "treasure" not in caplog.text + (await proxy.get("/metrics"))[1]


def _families() -> Iterator[str]:
    return (name for name in FAMILIES if name.startswith("classifier_"))


async def test_labels_of_the_comparison_are_tasks_that_are_known(start: Any, artefacts: dict[str, Path]) -> None:
    proxy = await start(POLICY, classifier=artefacts["sum"], classifier_shadow=artefacts["both"])
    for n in range(40):
        await proxy.chat(f"add {n} to {TALE}", headers={"x-setpoint-task": "sum"} if n % 2 else {})
    await until(proxy, "classifier_shadow", lambda found: sum(found.values()) == 40)
    known = {"general", "greet", "sum", "story"}
    for family in _families():
        for labels in await counted(proxy, family):
            named = dict(zip(FAMILIES[family].labels, labels, strict=True))
            assert {v for k, v in named.items() if k.endswith("task")} <= known
