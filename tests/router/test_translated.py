"""Upstreams through litellm: the real litellm against the recorded-shape upstream."""

from typing import Any

import pytest

from router.settings import UpstreamSettings


@pytest.fixture
async def translated(start: Any, upstream: Any) -> Any:
    models = {
        "claude-sonnet": "openai/some-model",
        "busy": "openai/limited",
        "gone": "openai/html-error",
        "broken": "openai/cut",
    }
    settings = UpstreamSettings(name="llm", kind="litellm", base_url=upstream.url, api_key="sk-up", models=models)
    return await start(upstreams=[settings])


@pytest.mark.filterwarnings("ignore")  # litellm's own
async def test_a_completion_comes_back_in_openais_shape(translated: Any, upstream: Any) -> None:
    status, headers, answer = await translated.chat("hi, how are you?", "claude-sonnet")
    assert (status, answer["choices"][0]["message"]["content"]) == (200, "Hello there.")
    assert upstream.last["model"] == "some-model"
    assert upstream.last["temperature"] == 0.7
    assert upstream.headers[-1]["authorization"] == "Bearer sk-up"
    assert headers["x-setpoint-task"] == "chat"


@pytest.mark.filterwarnings("ignore")
async def test_a_stream_comes_as_events(translated: Any) -> None:
    status, _, raw = await translated.chat("hi", "claude-sonnet", stream=True)
    events = [e for e in raw.decode().split("\n\n") if e]
    assert status == 200
    assert events[-1] == "data: [DONE]"
    assert "Hel" in raw.decode()


@pytest.mark.filterwarnings("ignore")
async def test_an_apis_error_keeps_its_status(translated: Any) -> None:
    status, _, answer = await translated.chat("hi", "busy")
    assert status == 429
    assert "slow down" in answer["error"]["message"]
    status, _, answer = await translated.chat("hi", "gone")
    assert status == 503
    assert set(answer["error"]) == {"message", "type", "param", "code"}


async def test_what_litellm_cannot_serve_says_so(translated: Any) -> None:
    status, _, answer = await translated.post(
        "/v1/messages", {"model": "claude-sonnet", "max_tokens": 5, "messages": [{"role": "user", "content": "x"}]}
    )
    assert (status, answer["error"]["code"]) == (501, "surface_not_supported")


async def test_its_models_are_listed_by_the_names_of_the_settings(translated: Any) -> None:
    _, listed = await translated.get("/v1/models")
    assert [m["id"] for m in listed["data"]] == ["claude-sonnet", "busy", "gone", "broken"]


@pytest.mark.filterwarnings("ignore")
async def test_a_client_cannot_steer_litellm(translated: Any, upstream: Any) -> None:
    steering = {
        "api_base": "http://127.0.0.1:9",
        "base_url": "http://127.0.0.1:9",
        "api_key": "sk-mine",
        "mock_response": "fake",
        "timeout": 1e-6,
        "custom_llm_provider": "x",
    }
    status, _, answer = await translated.chat("hi", "claude-sonnet", **steering)
    assert (status, answer["choices"][0]["message"]["content"]) == (200, "Hello there.")
    assert upstream.headers[-1]["authorization"] == "Bearer sk-up"
