"""Blending over HTTP: the real classifier's doubt becomes a middle temperature upstream."""

from typing import Any

import pytest

from classifier.verdict import Verdict
from policies.blending import likely

POLICY = """
version: 1
blend: true
defaults: {set: {temperature: 0.5}}
tasks:
  code: {set: {temperature: 0.2}}
  creative_writing: {set: {temperature: 0.8}}
"""
VALUES = {"code": 0.2, "creative_writing": 0.8}
UNCLEAR = "Write a poem in the form of a Python function"


async def test_a_creative_or_code_prompt_gets_a_middle_temperature_and_explain_says_why(
    start: Any, upstream: Any
) -> None:
    proxy = await start(POLICY)
    _, headers, _ = await proxy.chat(UNCLEAR)
    sent = upstream.last["temperature"]
    assert 0.2 < sent < 0.8
    assert f'"temperature":{sent}' in headers["x-setpoint-params"]

    _, _, told = await proxy.post(
        "/v1/explain", {"model": "gpt-4.1", "messages": [{"role": "user", "content": UNCLEAR}]}
    )
    assert told["params"]["temperature"] == sent
    assert told["decided_by"]["temperature"] == "blend"
    (step,) = [s for s in told["ladder"] if s["rung"] == "blend"]
    assert step["after"] == sent
    assert f"{told['task']} {VALUES[told['task']]} × " in step["source"]
    verdict = [(told["task"], told["confidence"]), *((r["task"], r["confidence"]) for r in told["runners_up"])]
    mean = sum(VALUES.get(task, 0.5) * share for task, share in likely(verdict))
    assert sent == pytest.approx(mean, abs=1e-3)

    _, page = await proxy.get("/metrics")
    assert 'setpoint_parameter_decided_total{by="blend",parameter="temperature"} 1.0' in page


async def test_a_task_that_the_app_declares_is_never_blended(start: Any, upstream: Any) -> None:
    proxy = await start(POLICY)
    await proxy.chat(UNCLEAR, headers={"x-setpoint-task": "creative_writing"})
    assert upstream.last["temperature"] == 0.8


async def test_an_abstention_is_blended_and_a_failing_classifier_is_not(start: Any, upstream: Any) -> None:
    proxy = await start(POLICY)
    maybe = Verdict("general", 0.3, (("creative_writing", 0.3), ("code", 0.2)), "abstained")
    proxy.services.pipeline.classify = lambda ask: maybe
    _, headers, _ = await proxy.chat(UNCLEAR)
    assert (headers["x-setpoint-task"], upstream.last["temperature"]) == ("general", 0.56)

    proxy.services.pipeline.classify = lambda ask: 1 / 0
    await proxy.chat(UNCLEAR)
    assert upstream.last["temperature"] == 0.5


async def test_the_value_between_two_tasks_is_no_arm(start: Any, upstream: Any) -> None:
    proxy = await start(POLICY + "adapt: {mode: apply, arms: {temperature: [0.1, 0.3, 0.5, 0.7, 0.9]}}")
    proxy.services.pipeline.classify = lambda ask: Verdict("code", 0.55, (("creative_writing", 0.45),), "model")
    _, headers, _ = await proxy.chat(UNCLEAR)
    assert (headers["x-setpoint-arm"], upstream.last["temperature"]) == ("none", 0.47)

    proxy.services.pipeline.classify = lambda ask: Verdict("code", 0.97, (("creative_writing", 0.03),), "model")
    _, headers, _ = await proxy.chat(UNCLEAR)
    assert (headers["x-setpoint-arm"], upstream.last["temperature"]) == ("temperature=0.2", 0.2)
