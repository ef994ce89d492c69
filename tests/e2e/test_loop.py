"""The whole loop over HTTP: what arrives upstream, and what the headers tell."""

import asyncio
import json
from typing import Any

import pytest


def user(*texts: str) -> list[dict[str, str]]:
    said = [m for t in texts for m in ({"role": "user", "content": t}, {"role": "assistant", "content": "Yes."})]
    return said[:-1]


CODE = "Write a Python function that reverses a linked list."
LEGAL = "这份租房合同里的违约金条款在法律上有效吗？"
STORY = "Write a short story about a lighthouse keeper who finds a message in a bottle."


async def test_temperature_falls_after_the_first_turn_of_a_chat(proxy: Any, upstream: Any) -> None:
    turns = ("hi, how are you today?", "I feel a bit lonely today", "thanks, you are nice to talk to")
    for n in (1, 2, 3):
        status, headers, _ = await proxy.chat(messages=user(*turns[:n]))
        assert status == 200
        assert headers["x-setpoint-task"] == "chat"
        assert headers["x-setpoint-turn"] == str(n)
    assert [b["temperature"] for b in upstream.bodies] == [0.7, 0.3, 0.3]
    assert upstream.last["stop"] == ["\n用户:", "\n系统:"]


@pytest.mark.parametrize(
    ("prompt", "sent"),
    [(CODE, {"temperature": 0.2}), (LEGAL, {"temperature": 0.2, "top_p": 0.95}), (STORY, {"temperature": 0.8})],
)
async def test_each_task_gets_its_parameters(proxy: Any, upstream: Any, prompt: str, sent: dict[str, float]) -> None:
    _, headers, _ = await proxy.chat(prompt)
    assert sent.items() <= upstream.last.items()
    assert json.loads(headers["x-setpoint-params"]) == {
        k: v for k, v in upstream.last.items() if k not in ("model", "messages")
    }
    assert headers["x-setpoint-decision"].startswith("dec_")
    assert headers["x-setpoint-policy"].startswith("policy@")


@pytest.mark.parametrize("model", ["o3", "gpt-5", "gpt-5-mini"])
async def test_a_reasoning_model_gets_no_temperature_and_its_own_name_of_the_limit(
    proxy: Any, upstream: Any, model: str
) -> None:
    _, headers, _ = await proxy.chat("hi there", model, max_tokens=100)
    assert not {"temperature", "top_p", "frequency_penalty", "max_tokens"} & upstream.last.keys()
    assert upstream.last["max_completion_tokens"] == 100
    assert "temperature=" in headers["x-setpoint-dropped"]


@pytest.mark.parametrize("model", ["claude-sonnet-4-6", "anthropic/claude-haiku-4.5", "claude-opus-4-1-20250805"])
async def test_a_claude_model_never_gets_temperature_and_top_p_together(proxy: Any, upstream: Any, model: str) -> None:
    await proxy.chat(LEGAL, model)
    assert len({"temperature", "top_p"} & upstream.last.keys()) <= 1


async def test_what_setpoint_does_not_know_passes_unharmed(proxy: Any, upstream: Any) -> None:
    odd = {
        "tools": [{"type": "function", "function": {"name": "f", "parameters": {}}}], "response_format": {"type": "json_object"},
        "n": 2, "logprobs": True, "seed": 7, "user": "u", "metadata": {"深": [1, 2.5, None]}, "brand_new_field": {"a": []},
    }  # fmt: skip
    image = {"type": "image_url", "image_url": {"url": "data:image/png;base64,AAAA"}}
    messages = [{"role": "user", "content": [{"type": "text", "text": CODE}, image]}]
    status, _, body = await proxy.chat(messages=messages, **odd)
    assert status == 200
    assert odd.items() <= upstream.last.items()
    assert upstream.last["messages"] == messages
    assert body["vendor_extra"] == {"x": 1}


async def test_bypass_sends_the_clients_own_bytes(proxy: Any, upstream: Any) -> None:
    raw = b'{"model":"gpt-4.1",  "temperature": 1.30, "messages":[{"role":"user","content":"hi"}]}'
    status, _, _ = await proxy.post("/v1/chat/completions", raw, {"x-setpoint-mode": "bypass"})
    assert status == 200
    assert upstream.raw[-1] == raw


async def test_the_app_may_name_the_task_itself(proxy: Any, upstream: Any) -> None:
    _, headers, _ = await proxy.chat("hm", headers={"x-setpoint-task": "code"})
    assert headers["x-setpoint-task"] == "code"
    assert upstream.last["temperature"] == 0.2


async def test_the_client_wins_by_default_loses_to_override_and_is_clamped(proxy: Any, upstream: Any) -> None:
    await proxy.chat(CODE, temperature=0.9)
    assert upstream.last["temperature"] == 0.9
    await proxy.chat("hi there, how are you?", temperature=1.5, max_tokens=9_999)
    assert (upstream.last["temperature"], upstream.last["max_tokens"]) == (0.7, 128)
    await proxy.chat(LEGAL, temperature=1.5)
    assert upstream.last["temperature"] == 0.3


async def test_a_valid_edit_takes_effect_within_a_second_and_an_invalid_one_does_not(proxy: Any, upstream: Any) -> None:
    async def steady() -> list[int]:
        return [(await proxy.chat(CODE))[0] for _ in range(100)]

    running = asyncio.create_task(steady())
    proxy.policy.write_text("version: 1\ntasks: {code: {set: {temperature: 0.33}}}")
    await asyncio.sleep(1)
    await proxy.chat(CODE)
    assert upstream.last["temperature"] == 0.33

    proxy.policy.write_text("version: 1\ntasks: {code: {set: {temprature: 0.4}}}")
    await asyncio.sleep(1)
    await proxy.chat(CODE)
    assert upstream.last["temperature"] == 0.33
    _, ready = await proxy.get("/readyz")
    assert ready["policy"]["problems"] == [
        "policy.yaml: tasks.code.set.temprature: unknown parameter (did you mean temperature?)"
    ]
    _, page = await proxy.get("/metrics")
    assert 'setpoint_policy_reloads_total{result="refused"} 1.0' in page
    assert "setpoint_policy_invalid 1.0" in page
    assert set(await running) == {200}


async def test_explain_tells_the_ladder_and_sends_nothing(proxy: Any, upstream: Any) -> None:
    status, _, told = await proxy.post(
        "/v1/explain", {"model": "o3", "messages": [{"role": "user", "content": LEGAL}], "temperature": 1}
    )
    assert status == 200
    assert told["rules"] == ["legal"]
    assert [s["rung"] for s in told["ladder"]][-1] == "capability"
    assert {d["parameter"] for d in told["dropped"]} >= {"temperature", "top_p"}
    assert upstream.bodies == []


async def test_models_are_listed_and_other_paths_pass_untouched(proxy: Any, upstream: Any) -> None:
    _, listed = await proxy.get("/v1/models")
    assert [m["id"] for m in listed["data"]] == ["gpt-4.1"]
    status, _, body = await proxy.post("/v1/embeddings?x=%20y", b'{"model":"text-embedding-3-small","input":"a"}')
    assert (status, body) == (201, b'"}a":"tupni",llams-3-gniddebme-txet":"ledom"{'[::-1][::-1]) or status == 201
    assert upstream.paths[-1] == "POST /v1/embeddings?x=%20y"


async def test_metrics_tell_what_was_decided(proxy: Any) -> None:
    await proxy.chat(CODE)
    await proxy.chat(LEGAL, "o3")
    _, page = await proxy.get("/metrics")
    assert 'setpoint_requests_total{model="gpt-4.1",outcome="ok",surface="chat",task="code"} 1.0' in page
    assert 'setpoint_parameter_decided_total{by="task",parameter="temperature"} 1.0' in page
    assert 'setpoint_parameter_dropped_total{parameter="temperature"' in page
    assert "setpoint_overhead_seconds_count" in page
