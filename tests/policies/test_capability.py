"""What each model takes of one guide-like request, and the laws of fitting."""

from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from pydantic import ValidationError

from policies.capability import Capabilities, Fitted, Target
from policies.loading import LIBRARY, load
from policies.overlay import REASONS
from policies.parameters import PARAMETERS, Range, Value

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
def test_a_guide_like_request_is_made_legal(model: str, provider: str, names: str) -> None:
    assert set(sent(model, provider)) == set(names.split())


def test_thinking_decides_whether_deepseek_v4_hears_the_temperature() -> None:
    assert "temperature" not in sent("deepseek-v4-pro", "deepseek")
    assert "temperature" in sent("deepseek-v4-pro", "deepseek", thinking={"type": "disabled"})
    fitted = CAPABILITIES.fit(GUIDE, Target("deepseek-v4-pro", "deepseek"), {})
    assert {c.reason for c in fitted.changes if c.param == "temperature"} == {"ignored_while_thinking"}


def test_effort_decides_whether_gpt_5_1_takes_a_temperature() -> None:
    assert "temperature" not in sent("gpt-5.1", "openai", reasoning_effort="high")
    assert "temperature" in sent("gpt-5.2", "openai")


def test_claude_that_thinks_takes_temperature_1_alone() -> None:
    on = {"type": "enabled", "budget_tokens": 2_000}
    assert not {"temperature", "top_p", "top_k"} & sent("claude-sonnet-4-5", "anthropic", thinking=on).keys()
    assert sent("claude-sonnet-4-5", "anthropic", {"temperature": 1.0}, thinking=on) == {"temperature": 1.0}


def test_of_an_exclusive_pair_the_clients_own_wish_stays() -> None:
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
def test_a_temperature_out_of_the_models_range_is_clamped(
    model: str, provider: str, temperature: float, fits: float
) -> None:
    assert sent(model, provider, {"temperature": temperature})["temperature"] == fits


def test_more_stops_than_a_model_takes_are_cut() -> None:
    assert sent("gpt-4.1", "openai", {"stop": tuple("abcdef")})["stop"] == tuple("abcd")


def test_a_tiny_cap_of_the_policy_leaves_a_thinking_model_room() -> None:
    target = Target("o3", "openai")
    assert CAPABILITIES.fit({"max_tokens": 64}, target, {}).params["max_tokens"] == 64 + 1_024
    assert CAPABILITIES.fit({"max_tokens": 64}, target, {}, client=frozenset({"max_tokens"})).params["max_tokens"] == 64


def test_greedy_on_vllm_drops_what_it_resets() -> None:
    assert set(sent("m", "vllm", {"temperature": 0, "top_p": 0.5, "top_k": 5})) == {"temperature"}


def test_an_effort_that_a_model_lacks_becomes_the_nearest() -> None:
    assert sent("gpt-5.1", "openai", {"reasoning_effort": "xhigh"})["reasoning_effort"] == "high"


def test_what_a_model_ignores_is_no_arm() -> None:
    assert CAPABILITIES.honours("temperature", Target("deepseek-v4-pro", "deepseek"), {}, {}) is None
    assert CAPABILITIES.honours("temperature", Target("o3", "openai"), {}, {}) is None
    assert CAPABILITIES.honours("temperature", Target("gpt-4.1", "openai"), {}, {}) is not None
    assert CAPABILITIES.honours("reasoning_effort", Target("o3", "openai"), {}, {}) == ("low", "medium", "high")


def test_an_unknown_server_gets_the_clients_own_extras() -> None:
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
def test_fitting_adds_nothing_and_fits_at_once(given_params: dict[str, Value], target: Target) -> None:
    once = CAPABILITIES.fit(given_params, target, {})
    assert set(once.params) <= set(given_params)
    again = CAPABILITIES.fit(once.params, target, {})
    assert dict(again.params) == dict(once.params)


def reasons(
    params: dict[str, Value], model: str, provider: str, surface: str = "chat", body: dict[str, Any] | None = None
) -> dict[str, str]:
    changes = CAPABILITIES.fit(params, Target(model, provider, surface), body or {}).changes
    return {c.param: c.reason for c in changes}


@pytest.mark.parametrize(
    ("model", "provider", "params", "why"),
    [
        ("o3", "openai", {"temperature": 0.3, "top_p": 0.5}, {"temperature": "fixed_by_model", "top_p": "unsupported_by_model"}),
        ("o3", "openai", {"stop": ("a",), "top_k": 5}, {"stop": "unsupported_by_model", "top_k": "unsupported_by_provider"}),
        ("o3", "openai", {"temperature": 1}, {}),
        ("gpt-5.5", "openai", {"temperature": 0.3, "top_p": 0.5}, {"temperature": "fixed_by_model", "top_p": "refused_while_thinking"}),
        ("gpt-5.5", "openai", {"temperature": 0.3, "reasoning_effort": "none"}, {}),
        ("gpt-5-chat-latest", "openai", {"temperature": 0.3, "stop": ("a",)}, {}),
        ("gpt-4.1", "openai", {"reasoning_effort": "low", "verbosity": "low"}, {"reasoning_effort": "unsupported_by_model", "verbosity": "unsupported_by_model"}),
        ("gpt-oss-120b", "groq", {"temperature": 0.3, "reasoning_effort": "minimal"}, {"reasoning_effort": "out_of_range"}),
        ("claude-3-5-sonnet-latest", "anthropic", {"temperature": 0.3, "top_p": 0.5}, {}),
        ("claude-4.5-sonnet", "openrouter", {"temperature": 0.3, "top_p": 0.5}, {"top_p": "exclusive_with_temperature"}),
        ("claude-haiku-5-5", "anthropic", {"temperature": 0.3, "thinking_budget": 2_000}, {"temperature": "unsupported_by_model", "thinking_budget": "unsupported_by_model"}),
        ("claude-fable-5", "anthropic", {"thinking": False}, {"thinking": "unsupported_by_model"}),
        ("gemini-3-pro", "gemini", {"temperature": 1.0, "frequency_penalty": 0.1}, {"frequency_penalty": "unsupported_by_provider"}),
        ("gemini/gemini-3-pro", "gemini", {"temperature": 1.0, "frequency_penalty": 0.1}, {"frequency_penalty": "unsupported_by_model"}),
        ("gemini/gemini-3.6-flash", "gemini", {"temperature": 1.0, "top_k": 9}, {"temperature": "ignored_by_model", "top_k": "ignored_by_model"}),
        ("deepseek-v4-flash", "deepseek", {"reasoning_effort": "low"}, {"reasoning_effort": "out_of_range"}),
        ("deepseek-v4-flash", "deepseek", {"thinking": False, "reasoning_effort": "max"}, {"reasoning_effort": "ignored_without_thinking"}),
        ("deepseek-ai/DeepSeek-V4", "vllm", {"temperature": 0.3}, {}),
        ("kimi-k2.6", "moonshot", {"temperature": 1, "top_p": 0.9}, {"temperature": "fixed_by_model", "top_p": "fixed_by_model"}),
        ("moonshotai/Kimi-K2.6", "vllm", {"temperature": 0.3, "top_p": 0.9}, {}),
        ("kimi-k3", "moonshot", {"thinking": True, "reasoning_effort": "medium"}, {"thinking": "unsupported_by_model", "reasoning_effort": "out_of_range"}),
        ("mistral-large-latest", "mistral", {"temperature": 1.7, "top_p": 0.5}, {"temperature": "out_of_range", "top_p": "exclusive_with_temperature"}),
        ("glm-4.6", "zhipu", {"stop": ("a", "b")}, {"stop": "too_many_stops"}),
        ("grok-4", "xai", {"stop": ("a",), "frequency_penalty": 0.5, "reasoning_effort": "low"}, {"stop": "unsupported_by_model", "frequency_penalty": "unsupported_by_model", "reasoning_effort": "unsupported_by_model"}),
        ("grok-4.3", "xai", {"reasoning_effort": "none", "stop": ("a",)}, {"stop": "unsupported_by_model"}),
        ("llama-3.3-70b-versatile", "groq", {"frequency_penalty": 0.5, "reasoning_effort": "low"}, {"frequency_penalty": "unsupported_by_provider", "reasoning_effort": "unsupported_by_model"}),
        ("qwen-plus", "dashscope", {"temperature": 2.0, "top_p": 0, "min_p": 0.1}, {"temperature": "out_of_range", "top_p": "out_of_range", "min_p": "unsupported_by_provider"}),
        ("m", "vllm", {"top_p": 0, "stop": ("", "x")}, {"top_p": "out_of_range", "stop": "blank_stop"}),
        ("m", "sglang", {"repetition_penalty": 0, "min_p": 0.1}, {"repetition_penalty": "out_of_range"}),
        ("m", "llamacpp", {"dynatemp_range": 0.5, "repetition_penalty": 1.1}, {}),
        ("m", "ollama", {"repetition_penalty": 1.2, "top_k": 40}, {"repetition_penalty": "unsupported_by_provider", "top_k": "unsupported_by_provider"}),
        ("m", "ollama_translated", {"frequency_penalty": 0.7}, {"frequency_penalty": "unsupported_by_provider"}),
        ("claude-sonnet-4-6", "anthropic", {"stop": ("\n\n", "\nUser:")}, {"stop": "blank_stop"}),
        ("claude-sonnet-4-6", "anthropic", {"stop": ("\n\n",)}, {"stop": "blank_stop"}),
    ],
)  # fmt: skip
def test_each_change_says_why(model: str, provider: str, params: dict[str, Value], why: dict[str, str]) -> None:
    assert reasons(params, model, provider) == why


@pytest.mark.parametrize("surface", ["chat", "messages"])
@pytest.mark.parametrize(
    ("model", "params", "sent_on"),
    [
        ("claude-sonnet-4-5", {"thinking": True}, {}),  # cannot be switched on without a budget
        ("claude-sonnet-4-6", {"thinking": True}, {"thinking": True}),
        ("claude-sonnet-4-5", {"thinking_budget": 100}, {"thinking_budget": 1_024}),
        ("claude-sonnet-4-5", {"thinking_budget": 0, "temperature": 0.3}, {"temperature": 0.3}),
        ("claude-sonnet-4-5", {"thinking": False, "thinking_budget": 2_000}, {"thinking": False}),
        ("claude-sonnet-4-5", {"thinking_budget": 4_000, "max_tokens": 3_000}, {"thinking_budget": 1_500, "max_tokens": 3_000}),
        ("claude-sonnet-4-5", {"thinking_budget": 2_000, "max_tokens": 100}, {"thinking_budget": 1_024, "max_tokens": 1_124}),
    ],
)  # fmt: skip
def test_a_thinking_budget_is_one_that_claude_takes(
    model: str, params: dict[str, Value], sent_on: dict[str, Value], surface: str
) -> None:
    assert sent(model, "anthropic", params, surface) == sent_on


def test_a_clients_small_cap_leaves_no_room_for_a_policys_budget() -> None:
    params: dict[str, Value] = {"thinking": True, "thinking_budget": 2_000, "max_tokens": 500}
    fitted = CAPABILITIES.fit(params, Target("claude-sonnet-4-5", "anthropic"), {}, client=frozenset({"max_tokens"}))
    assert dict(fitted.params) == {"max_tokens": 500}


@pytest.mark.parametrize("choice", ["required", {"type": "any"}, {"type": "function", "function": {"name": "f"}}])
def test_claude_does_not_think_where_the_client_forces_a_tool(choice: Any) -> None:
    params: dict[str, Value] = {"thinking_budget": 2_000, "temperature": 0.3}
    assert sent("claude-sonnet-4-5", "anthropic", params, tool_choice=choice) == {"temperature": 0.3}
    assert sent("claude-sonnet-4-5", "anthropic", params, tool_choice="auto") == {"thinking_budget": 2_000}


@pytest.mark.parametrize(
    ("params", "body"),
    [
        ({"thinking": False}, {}),  # there is no such field, so it changes nothing
        ({}, {"thinking": {"type": "disabled"}}),
        ({}, {"chat_template_kwargs": {"enable_thinking": False}}),
        ({"reasoning_effort": "none"}, {}),  # not a level of this model: it becomes minimal
        ({}, {"reasoning_effort": "none"}),
    ],
)
def test_what_does_not_reach_gpt_5_does_not_stop_it_from_thinking(
    params: dict[str, Value], body: dict[str, Any]
) -> None:
    assert "temperature" not in sent("gpt-5", "openai", {"temperature": 0.3} | params, **body)


def test_no_effort_is_not_turned_into_some_and_so_into_thinking() -> None:
    params: dict[str, Value] = {"reasoning_effort": "none", "temperature": 0.3}
    assert sent("claude-sonnet-4-6", "anthropic", params) == {"temperature": 0.3}
    assert sent("claude-sonnet-4-6", "anthropic", params | {"reasoning_effort": "low"}) == {"reasoning_effort": "low"}


def test_the_effort_that_keeps_a_model_from_thinking_is_sent() -> None:
    params: dict[str, Value] = {"reasoning_effort": "none", "max_tokens": 64}
    assert sent("deepseek-v4-pro", "vllm", params) == params


@pytest.mark.parametrize(
    ("model", "provider", "tokens"),
    [
        ("gemini-2.5-flash", "gemini", 1_088),
        ("gemini-2.5-flash-lite", "gemini", 64),
        ("Qwen/Qwen3-8B", "vllm", 1_088),
        ("Qwen/Qwen3-30B-A3B-Instruct-2507", "vllm", 64),
        ("gpt-5.1", "openai", 64),
        ("gpt-4.1", "openai", 64),
        ("openai/gpt-oss-20b", "vllm", 1_088),
        ("grok-4.20-non-reasoning", "xai", 64),
    ],
)
def test_only_models_that_think_are_left_room(model: str, provider: str, tokens: int) -> None:
    assert sent(model, provider, {"max_tokens": 64}) == {"max_tokens": tokens}


def test_a_raw_completion_does_not_think() -> None:
    assert sent("Qwen/Qwen3-8B", "vllm", {"max_tokens": 64, "temperature": 0.3}, "completions") == {
        "max_tokens": 64,
        "temperature": 0.3,
    }


def test_a_cap_is_no_longer_than_the_model_can_answer() -> None:
    assert sent("gpt-4.1", "openai", {"max_tokens": 1_000_000}) == {"max_tokens": 32_768}


@pytest.mark.parametrize(
    ("provider", "top_k"),
    [("vllm", -1), ("sglang", -1), ("llamacpp", 0), ("openrouter", 0), ("dashscope", None), ("fireworks", None)],
)
def test_top_k_that_is_off_stays_off_and_never_becomes_greedy(provider: str, top_k: int | None) -> None:
    assert sent("m", provider, {"top_k": -1}) == ({} if top_k is None else {"top_k": top_k})


@pytest.mark.parametrize(("provider", "model", "least"), [("moonshot", "moonshot-v1-8k", 0.3), ("vllm", "m", 0.01)])
def test_several_answers_need_some_temperature(provider: str, model: str, least: float) -> None:
    assert sent(model, provider, {"temperature": 0}, n=1) == {"temperature": 0}
    assert sent(model, provider, {"temperature": 0}, n=3) == {"temperature": least}


def test_a_provider_that_nobody_listed_counts_as_compatible() -> None:
    assert sent("m", "together_ai", GUIDE) == sent("m", "compatible", GUIDE)


@pytest.mark.parametrize(
    ("param", "model", "provider", "params", "body"),
    [
        ("top_p", "claude-sonnet-4-6", "anthropic", {"temperature": 0.3}, {}),
        ("top_p", "claude-sonnet-4-6", "anthropic", {}, {"temperature": 0.3}),
        ("temperature", "claude-sonnet-4-6", "anthropic", {}, {"thinking": {"type": "adaptive"}}),
        ("top_p", "m", "vllm", {"temperature": 0}, {}),
        ("thinking_budget", "m", "vllm", {"thinking": False}, {}),
        ("reasoning_effort", "gpt-4.1", "openai", {}, {}),
        ("reasoning_effort", "deepseek-v4-pro", "deepseek", {}, {"thinking": {"type": "disabled"}}),
        ("top_k", "m", "compatible", {}, {}),
        ("temperature", "kimi-k2.6", "moonshot", {}, {}),
        ("seed", "gpt-4.1", "openai", {}, {}),
    ],
)
def test_a_parameter_that_would_not_act_is_not_honoured(
    param: str, model: str, provider: str, params: dict[str, Value], body: dict[str, Any]
) -> None:
    surface = "responses" if param == "seed" else "chat"
    assert CAPABILITIES.honours(param, Target(model, provider, surface), params, body) is None


def test_what_is_honoured_has_the_models_own_limits() -> None:
    assert CAPABILITIES.honours("temperature", Target("claude-sonnet-4-6", "anthropic"), {}, {}) == Range(0, 1)
    assert CAPABILITIES.honours("reasoning_effort", Target("deepseek-v4-pro", "deepseek"), {}, {}) == ("high", "max")
    assert CAPABILITIES.honours("verbosity", Target("gpt-5", "openai"), {}, {}) == ("low", "medium", "high")


def test_a_slip_in_the_overlay_is_named_with_what_was_meant(tmp_path: Path) -> None:
    slip = tmp_path / "capabilities.yaml"
    slip.write_text("surfaces: {}\nproviders: {compatible: {}}\nmodels: [{match: [m], drop: [temprature]}]\n")
    with pytest.raises(ValidationError, match="did you mean temperature"):
        Capabilities.load(slip)


@pytest.mark.parametrize(
    ("model", "provider"),
    [
        ("deepseek-v4-pro", "deepseek"),
        ("deepseek-ai/DeepSeek-V3-0324", "vllm"),
        ("Qwen/Qwen3.5-27B", "vllm"),
        ("Qwen/Qwen3-8B", "sglang"),
        ("openai/gpt-oss-20b", "vllm"),
        ("claude-sonnet-4-6", "anthropic"),
        ("gemini-3-pro", "gemini"),
        ("kimi-k2-0905-preview", "moonshot"),
        ("kimi-k2.6", "moonshot"),
        ("mistral-small-latest", "mistral"),
    ],
)
def test_what_a_maker_recommends_its_own_model_takes(model: str, provider: str) -> None:
    bare = model.rsplit("/", 1)[-1]
    vendor = next(v for v in load(LIBRARY).vendors if v.thinking is not True and v.match.match(bare))
    for task in ({}, *vendor.tasks.values()):
        values: dict[str, Value] = {k: v for k, v in {**vendor.set, **task}.items() if isinstance(v, int | float)}
        template = {"enable_thinking": False, "thinking": False}
        assert sent(model, provider, values, thinking={"type": "disabled"}, chat_template_kwargs=template) == values


def test_deepseeks_table_is_for_its_api_and_not_for_weights() -> None:
    def chat_temperature(model: str) -> Any:
        vendor = next(v for v in load(LIBRARY).vendors if v.thinking is not True and v.match.match(model))
        return {**vendor.set, **vendor.tasks.get("chat", {})}["temperature"]

    assert chat_temperature("deepseek-v4-flash") == 1.3
    assert chat_temperature("DeepSeek-V3-0324") == 0.3


any_target = st.builds(
    Target,
    st.sampled_from(
        ["o3", "gpt-5", "gpt-5.1", "gpt-4.1", "claude-3-5-haiku-latest", "claude-sonnet-4-5", "claude-sonnet-4-6", "claude-opus-4-7",
         "claude-fable-5", "deepseek-v4-pro", "deepseek-r1", "kimi-k2.6", "kimi-k3", "glm-4.6", "grok-4.3", "gemini-2.5-flash",
         "gemini/gemini-3.8-flash", "mistral-small-latest", "gpt-oss-20b", "Qwen/Qwen3-8B", "x"]
    ),
    st.sampled_from(
        ["openai", "azure", "anthropic", "deepseek", "gemini", "mistral", "groq", "xai", "moonshot", "zhipu", "dashscope", "openrouter",
         "fireworks", "vllm", "sglang", "llamacpp", "ollama", "ollama_translated", "compatible"]
    ),
    st.sampled_from(["chat", "responses", "messages", "completions"]),
)  # fmt: skip
contexts = st.fixed_dictionaries(
    {},
    optional={
        "thinking": st.sampled_from([{"type": "enabled", "budget_tokens": 2_000}, {"type": "disabled"}, "x"]),
        "reasoning_effort": st.sampled_from(["none", "high", "weird"]),
        "chat_template_kwargs": st.sampled_from([{"enable_thinking": False}, {}]),
        "n": st.sampled_from([1, 3, "2"]),
        "tool_choice": st.sampled_from(["auto", "required", {"type": "tool", "name": "f"}]),
    },
)
owned = st.frozensets(st.sampled_from(sorted(PARAMETERS)))


def test_an_effort_of_none_that_is_thinking_here_goes_with_a_forced_tool_at_once() -> None:
    target = Target("claude-sonnet-4-5", "openai", "responses")
    body = {"thinking": {"type": "enabled", "budget_tokens": 2_000}, "tool_choice": "required"}
    fitted = CAPABILITIES.fit({"thinking": False, "reasoning_effort": "none"}, target, body)
    assert "reasoning_effort" not in fitted.params
    assert CAPABILITIES.fit(fitted.params, target, body) == Fitted(fitted.params)


@settings(max_examples=400)
@given(params, any_target, contexts, owned)
def test_fitting_is_settled_adds_nothing_and_accounts_for_every_change(
    given_params: dict[str, Value], target: Target, body: dict[str, Any], client: frozenset[str]
) -> None:
    fitted = CAPABILITIES.fit(given_params, target, body, client)
    assert set(fitted.params) <= set(given_params)
    assert {c.reason for c in fitted.changes} <= REASONS
    replayed = dict(given_params)
    for change in fitted.changes:
        assert replayed.pop(change.param) == change.before
        assert change.effective == (change.after is not None)
        if change.after is not None:
            replayed[change.param] = change.after
    assert replayed == dict(fitted.params)
    assert CAPABILITIES.fit(fitted.params, target, body, client) == Fitted(fitted.params)


@settings(max_examples=400)
@given(params, any_target, contexts)
def test_what_is_sent_is_within_what_the_target_honours(
    given_params: dict[str, Value], target: Target, body: dict[str, Any]
) -> None:
    fitted = dict(CAPABILITIES.fit(given_params, target, body).params)
    for param, value in fitted.items():
        others = {k: v for k, v in fitted.items() if k != param}
        honoured = CAPABILITIES.honours(param, target, others, {})
        if isinstance(honoured, Range) and isinstance(value, int | float):
            assert value in honoured or (param == "top_k" and value <= 0)
        if isinstance(honoured, tuple):
            assert value in honoured


@given(params, any_target)
def test_no_two_that_exclude_each_other_are_sent(given_params: dict[str, Value], target: Target) -> None:
    fitted = CAPABILITIES.fit(given_params, target, {}).params
    if target.model.startswith("claude-sonnet-4") or target.provider == "mistral":
        assert not {"temperature", "top_p"} <= fitted.keys()
    budget, cap = fitted.get("thinking_budget"), fitted.get("max_tokens")
    if isinstance(budget, int) and isinstance(cap, int) and budget:
        assert budget < cap
