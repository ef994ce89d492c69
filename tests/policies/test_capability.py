"""What each model takes of one guide-like request, and the laws of fitting."""

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from policies.capability import Capabilities, Target
from policies.parameters import PARAMETERS, Value

CAPABILITIES = Capabilities.load()
GUIDE: dict[str, Value] = {
    "temperature": 0.3, "top_p": 0.9, "frequency_penalty": 0.7, "presence_penalty": 0.5, "max_tokens": 2_000,
    "stop": ("\n用户:", "\n系统:"), "top_k": 40, "repetition_penalty": 1.2,
}  # fmt: skip


def sent(
    model: str, provider: str, params: dict[str, Value] = GUIDE, surface: str = "chat", **body: Any
) -> dict[str, Value]:
    return dict(CAPABILITIES.fit(params, Target(model, provider, surface), body).params)


@pytest.mark.parametrize(
    ("model", "provider", "names"),
    [
        ("o3", "openai", "max_tokens"),
        ("o1-mini", "openai", "max_tokens stop"),
        ("gpt-5", "openai", "max_tokens"),
        ("gpt-5.5", "openai", "max_tokens"),
        ("gpt-5.1", "openai", "temperature top_p max_tokens"),
        ("gpt-4.1", "openai", "temperature top_p frequency_penalty presence_penalty max_tokens stop"),
        ("claude-sonnet-4-5", "anthropic", "temperature top_k max_tokens stop"),
        ("claude-sonnet-4-6", "anthropic", "temperature top_k max_tokens stop"),
        ("anthropic/claude-haiku-4.5", "openrouter", "temperature top_k max_tokens stop"),
        ("us.anthropic.claude-sonnet-4-5-20250929-v1:0", "anthropic", "temperature top_k max_tokens stop"),
        ("claude-opus-4-7", "anthropic", "max_tokens stop"),
        ("claude-sonnet-5", "anthropic", "max_tokens stop"),
        (
            "gemini/gemini-2.5-pro",
            "gemini",
            "temperature top_p top_k frequency_penalty presence_penalty max_tokens stop",
        ),
        ("gemini-2.5-pro", "gemini", "temperature top_p max_tokens stop"),  # Google's own endpoint refuses other names
        ("gemini-3.8-flash", "gemini", "max_tokens stop"),
        ("deepseek-v4-pro", "deepseek", "max_tokens stop"),
        ("mistral-large-latest", "mistral", "temperature max_tokens stop"),
        ("glm-4.6", "zhipu", "temperature top_p max_tokens stop"),
        ("llama-3.3-70b-versatile", "groq", "temperature top_p max_tokens stop"),
        ("grok-4", "xai", "temperature top_p max_tokens"),
        ("moonshot-v1-8k", "moonshot", "temperature top_p frequency_penalty presence_penalty max_tokens stop"),
        ("kimi-k2.6", "moonshot", "max_tokens stop"),
        ("kimi-k2-thinking", "moonshot", "top_p frequency_penalty presence_penalty max_tokens stop"),
        ("qwen-plus", "dashscope", "temperature top_p top_k repetition_penalty presence_penalty max_tokens stop"),
        ("llama3.2", "ollama", "temperature top_p frequency_penalty presence_penalty max_tokens stop"),
        ("llama3.2", "ollama_translated", "temperature top_p max_tokens stop"),
        ("Qwen/Qwen3-8B", "vllm", " ".join(GUIDE)),
        ("smollm2", "llamacpp", " ".join(GUIDE)),
        ("who-knows", "compatible", "temperature top_p frequency_penalty presence_penalty max_tokens stop"),
    ],
)
def test_a_guide_like_request_is_made_legal(model: str, provider: str, names: str):
    assert set(sent(model, provider)) == set(names.split())


def test_thinking_decides_whether_deepseek_v4_hears_the_temperature():
    assert "temperature" not in sent("deepseek-v4-pro", "deepseek")
    assert "temperature" in sent("deepseek-v4-pro", "deepseek", thinking={"type": "disabled"})
    fitted = CAPABILITIES.fit(GUIDE, Target("deepseek-v4-pro", "deepseek"), {})
    assert {c.reason for c in fitted.changes if c.param == "temperature"} == {"ignored_while_thinking"}


def test_effort_decides_whether_gpt_5_1_takes_a_temperature():
    assert "temperature" not in sent("gpt-5.1", "openai", reasoning_effort="high")
    assert "temperature" in sent("gpt-5.2", "openai")


def test_claude_that_thinks_takes_temperature_1_alone():
    on = {"type": "enabled", "budget_tokens": 2_000}
    assert not {"temperature", "top_p", "top_k"} & sent("claude-sonnet-4-5", "anthropic", thinking=on).keys()
    assert sent("claude-sonnet-4-5", "anthropic", {"temperature": 1.0}, thinking=on) == {"temperature": 1.0}


def test_of_an_exclusive_pair_the_clients_own_wish_stays():
    target = Target("claude-sonnet-4-6", "anthropic")
    fitted = CAPABILITIES.fit({"temperature": 0.3, "top_p": 0.5}, target, {}, client=frozenset({"top_p"}))
    assert dict(fitted.params) == {"top_p": 0.5}
    assert [c.reason for c in fitted.changes] == ["exclusive_with_top_p"]


@pytest.mark.parametrize(
    ("model", "provider", "temperature", "fits"),
    [
        ("claude-3-5-haiku-latest", "anthropic", 1.7, 1),
        ("moonshot-v1-8k", "moonshot", 1.7, 1),
        ("glm-4.6", "zhipu", 0, 0.01),
        ("glm-4.6", "zhipu", 1, 0.99),
        ("gpt-4.1", "openai", 2.5, 2),
        ("smollm2", "llamacpp", -1.0, 0),
    ],
)
def test_a_temperature_out_of_the_models_range_is_clamped(model: str, provider: str, temperature: float, fits: float):
    assert sent(model, provider, {"temperature": temperature})["temperature"] == fits


def test_more_stops_than_a_model_takes_are_cut():
    assert sent("gpt-4.1", "openai", {"stop": tuple("abcdef")})["stop"] == tuple("abcd")


def test_a_tiny_cap_of_the_policy_leaves_a_thinking_model_room():
    target = Target("o3", "openai")
    assert CAPABILITIES.fit({"max_tokens": 64}, target, {}).params["max_tokens"] == 64 + 1_024
    assert CAPABILITIES.fit({"max_tokens": 64}, target, {}, client=frozenset({"max_tokens"})).params["max_tokens"] == 64


def test_greedy_on_vllm_drops_what_it_resets():
    assert set(sent("m", "vllm", {"temperature": 0, "top_p": 0.5, "top_k": 5})) == {"temperature"}


def test_an_effort_that_a_model_lacks_becomes_the_nearest():
    assert sent("gpt-5.1", "openai", {"reasoning_effort": "xhigh"})["reasoning_effort"] == "high"


def test_what_a_model_ignores_is_no_arm():
    assert CAPABILITIES.honours("temperature", Target("deepseek-v4-pro", "deepseek"), {}, {}) is None
    assert CAPABILITIES.honours("temperature", Target("o3", "openai"), {}, {}) is None
    assert CAPABILITIES.honours("temperature", Target("gpt-4.1", "openai"), {}, {}) is not None
    assert CAPABILITIES.honours("reasoning_effort", Target("o3", "openai"), {}, {}) == ("low", "medium", "high")


def test_an_unknown_server_gets_the_clients_own_extras():
    fitted = CAPABILITIES.fit({"top_k": 5, "min_p": 0.1}, Target("m", "compatible"), {}, client=frozenset({"top_k"}))
    assert dict(fitted.params) == {"top_k": 5}


values: dict[str, st.SearchStrategy[Any]] = {
    "number": st.floats(-3, 5), "integer": st.integers(-2, 100_000), "flag": st.booleans(),
    "strings": st.lists(st.text(min_size=1), min_size=1, max_size=20).map(tuple),
}  # fmt: skip
params = st.fixed_dictionaries(
    {}, optional={p.name: st.sampled_from(p.choices) if p.choices else values[p.kind] for p in PARAMETERS.values()}
)
targets = st.builds(
    Target,
    st.sampled_from(
        [
            "o3",
            "gpt-5",
            "gpt-5.1",
            "gpt-4.1",
            "claude-sonnet-4-6",
            "claude-opus-4-7",
            "deepseek-v4-pro",
            "kimi-k2.6",
            "glm-4.6",
            "Qwen/Qwen3-8B",
            "x",
        ]
    ),
    st.sampled_from(["openai", "anthropic", "deepseek", "vllm", "llamacpp", "zhipu", "openrouter", "compatible"]),
    st.sampled_from(["chat", "responses", "messages", "completions"]),
)


@given(params, targets)
def test_fitting_adds_nothing_and_fits_at_once(given_params: dict[str, Value], target: Target):
    once = CAPABILITIES.fit(given_params, target, {})
    assert set(once.params) <= set(given_params)
    again = CAPABILITIES.fit(once.params, target, {})
    assert dict(again.params) == dict(once.params)
