"""Where parameters stand in a body."""

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from policies.capability import Capabilities, Target
from policies.parameters import PARAMETERS, Value
from policies.wire import apply, edits, read

CAPABILITIES = Capabilities.load()


def written(
    body: dict[str, Any],
    after: dict[str, Value],
    model: str = "gpt-4.1",
    provider: str = "openai",
    surface: str = "chat",
) -> dict[str, Any]:
    target = Target(model, provider, surface)
    changed = dict(body)
    apply(changed, edits(read(body, surface), after, CAPABILITIES.names(target), surface, body))
    return changed


def test_the_limit_has_one_name_on_the_wire() -> None:
    assert written({"max_tokens": 5}, {"max_tokens": 5}, "o3") == {"max_completion_tokens": 5}
    assert written({"max_tokens": 5, "max_completion_tokens": 9}, {"max_tokens": 5}) == {"max_tokens": 5}
    assert written({"max_completion_tokens": 9}, {"max_tokens": 5}) == {"max_completion_tokens": 5}


@pytest.mark.parametrize(
    ("surface", "after", "body"),
    [
        (
            "responses",
            {"max_tokens": 5, "reasoning_effort": "low"},
            {"max_output_tokens": 5, "reasoning": {"effort": "low"}},
        ),
        ("messages", {"stop": ("a",)}, {"stop_sequences": ["a"]}),
        ("chat", {"stop": ("a",), "verbosity": "low"}, {"stop": ["a"], "verbosity": "low"}),
    ],
)
def test_each_surface_has_its_own_names(surface: str, after: dict[str, Value], body: dict[str, Any]) -> None:
    assert written({}, after, surface=surface) == body


@pytest.mark.parametrize(
    ("provider", "after", "body"),
    [
        ("llamacpp", {"repetition_penalty": 1.2}, {"repeat_penalty": 1.2}),
        ("mistral", {"seed": 7}, {"random_seed": 7}),
        ("deepseek", {"thinking": False}, {"thinking": {"type": "disabled"}}),
        (
            "vllm",
            {"thinking": True, "early_stopping": True},
            {
                "chat_template_kwargs": {"enable_thinking": True},
                "repetition_detection": {"max_pattern_size": 20, "min_count": 4},
            },
        ),
        ("anthropic", {"thinking_budget": 2_000}, {"thinking": {"budget_tokens": 2_000, "type": "enabled"}}),
        ("dashscope", {"thinking": True}, {"enable_thinking": True}),
    ],
)
def test_each_server_has_its_own_names(provider: str, after: dict[str, Value], body: dict[str, Any]) -> None:
    assert written({}, after, "m", provider) == body


def test_neighbours_in_a_nested_object_stay() -> None:
    body = {"chat_template_kwargs": {"x": 1}, "reasoning": {"effort": "high", "summary": "auto"}}
    assert written(body, {"thinking": False}, "m", "vllm") == {
        "chat_template_kwargs": {"x": 1, "enable_thinking": False},
        "reasoning": {"summary": "auto"},
    }
    assert body["chat_template_kwargs"] == {"x": 1}


@pytest.mark.parametrize(
    ("body", "values"),
    [
        ({"temperature": 0}, {"temperature": 0}),
        ({"temperature": None}, {}),
        ({"temperature": "0.5"}, {}),
        ({"temperature": True}, {}),
        ({"max_tokens": 5.5}, {}),
        ({"stop": "x"}, {"stop": ("x",)}),
        ({"stop": [1]}, {}),
        ({"thinking": {"type": "disabled"}}, {"thinking": False}),
        ({"repeat_penalty": 1.1}, {"repetition_penalty": 1.1}),
    ],
)
def test_only_values_of_the_right_type_are_read(body: dict[str, Any], values: dict[str, Value]) -> None:
    assert read(body, "chat") == values


bodies = st.dictionaries(st.text(), st.none() | st.integers() | st.text() | st.lists(st.integers()))


@given(bodies, st.sampled_from(["temperature", "top_p"]), st.floats(0, 1))
def test_unknown_fields_survive_every_edit(body: dict[str, Any], param: str, value: float) -> None:
    governed = {path.split(".")[0] for p in PARAMETERS.values() for path in p.paths or (p.name,)}
    body = {k: v for k, v in body.items() if k not in governed}
    assert written(body, {param: value}) == body | {param: value}


@given(bodies)
def test_what_the_client_sent_stays_as_it_is_when_nothing_was_decided(body: dict[str, Any]) -> None:
    assert written(body, read(body, "chat")) == body


@pytest.mark.parametrize(
    ("model", "body", "after", "sent"),
    [
        ("claude-opus-4-7", {}, {"thinking": True}, {"type": "adaptive"}),
        ("claude-opus-4-7", {"type": "enabled", "budget_tokens": 2_000}, {"thinking": True}, {"type": "adaptive"}),
        ("claude-sonnet-4-6", {}, {"thinking": True}, {"type": "adaptive"}),
        ("claude-sonnet-4-6", {"type": "adaptive"}, {"thinking": True}, {"type": "adaptive"}),
        (
            "claude-sonnet-4-6",
            {"type": "adaptive"},
            {"thinking": True, "thinking_budget": 2_000},
            {"type": "enabled", "budget_tokens": 2_000},
        ),
        ("claude-sonnet-4-5", {"type": "enabled", "budget_tokens": 2_000}, {}, None),
        ("claude-sonnet-4-5", {"type": "enabled", "budget_tokens": 2_000}, {"thinking": False}, {"type": "disabled"}),
        (
            "claude-sonnet-4-5",
            {"type": "enabled", "budget_tokens": 5, "display": "omitted"},
            {"thinking": True, "thinking_budget": 1_024},
            {"type": "enabled", "budget_tokens": 1_024, "display": "omitted"},
        ),
    ],
)
@pytest.mark.parametrize("surface", ["chat", "messages"])
def test_a_thinking_object_is_one_that_the_model_takes(
    model: str, body: dict[str, Any], after: dict[str, Value], sent: dict[str, Any] | None, surface: str
) -> None:
    changed = written({"thinking": body} if body else {}, after, model, "anthropic", surface)
    assert changed == ({"thinking": sent} if sent else {})


def test_the_surface_names_the_limit_before_the_model_does() -> None:
    assert written({"max_output_tokens": 9}, {"max_tokens": 9}, "gpt-5", "openai", "responses") == {
        "max_output_tokens": 9
    }
    assert written({}, {"max_tokens": 9}, "gpt-5", "openai", "responses") == {"max_output_tokens": 9}
    assert written({}, {"max_tokens": 9}, "gpt-5", "openai", "chat") == {"max_completion_tokens": 9}


def test_openrouter_gathers_reasoning_in_one_object() -> None:
    after: dict[str, Value] = {"thinking": True, "thinking_budget": 2_000}
    assert written({"reasoning": {"exclude": True}, "thinking": {"type": "enabled"}}, after, "m", "openrouter") == {
        "reasoning": {"exclude": True, "enabled": True, "max_tokens": 2_000}
    }


@pytest.mark.parametrize("model", ["deepseek-ai/DeepSeek-V3.1", "ibm-granite/granite-3.2-8b-instruct"])
def test_some_templates_call_it_thinking(model: str) -> None:
    assert written({}, {"thinking": True}, model, "vllm") == {"chat_template_kwargs": {"thinking": True}}


def test_a_server_that_may_end_loops_is_told_so_or_nothing() -> None:
    looped = {"repetition_detection": {"max_pattern_size": 5, "min_count": 9}}
    assert written(looped, {"early_stopping": True}, "m", "vllm") == looped
    assert written(looped, {"early_stopping": False}, "m", "vllm") == {}
    assert written({}, {"early_stopping": False}, "m", "vllm") == {}


@pytest.mark.parametrize("junk", [[], "high", 7, None, {"effort": {}}, {"type": 3}])
def test_objects_of_another_shape_are_left_to_the_upstream(junk: Any) -> None:
    body = {"reasoning": junk, "thinking": junk, "chat_template_kwargs": junk, "output_config": junk}
    assert read(body, "chat") == {}
    assert written(body, {"temperature": 0.5}) == body | {"temperature": 0.5}


@pytest.mark.parametrize("junk", [[], "high", 7, None])
def test_what_cannot_be_read_gives_way_to_what_a_policy_sets(junk: Any) -> None:
    assert written({"temperature": "0.5", "reasoning": junk}, {"temperature": 0.2}, surface="responses") == {
        "temperature": 0.2,
        "reasoning": junk,
    }
    assert written({"reasoning": junk}, {"reasoning_effort": "low"}, surface="responses") == {
        "reasoning": {"effort": "low"}
    }


MODELS = ("gpt-4.1", "gpt-5.1", "o3", "claude-sonnet-4-5", "claude-opus-4-7", "deepseek-v4-pro", "qwen3-8b", "m")
PROVIDERS = ("openai", "anthropic", "deepseek", "mistral", "vllm", "llamacpp", "openrouter", "dashscope", "compatible")
targets = st.builds(
    Target, st.sampled_from(MODELS), st.sampled_from(PROVIDERS), st.sampled_from(["chat", "responses", "messages"])
)
decided: st.SearchStrategy[dict[str, Value]] = st.fixed_dictionaries(
    {},
    optional={
        "temperature": st.floats(0, 2), "max_tokens": st.integers(1, 9_999), "stop": st.just(("a", "b")),
        "seed": st.integers(0, 9), "reasoning_effort": st.sampled_from(["none", "low", "high"]),
        "thinking": st.booleans(), "thinking_budget": st.integers(0, 9_999), "repetition_penalty": st.floats(0.5, 2),
        "verbosity": st.sampled_from(["low", "high"]), "early_stopping": st.just(True),
    },
)  # fmt: skip
sent_by_clients = st.fixed_dictionaries(
    {"model": st.just("x"), "metadata": st.just({"keep": [1]})},
    optional={
        "temperature": st.floats(0, 2) | st.none(), "max_tokens": st.integers(1, 9), "max_completion_tokens": st.integers(1, 9),
        "max_output_tokens": st.integers(1, 9), "stop": st.just("z"), "stop_sequences": st.just(["z"]),
        "repeat_penalty": st.floats(1, 2), "reasoning_effort": st.just("medium"),
        "reasoning": st.fixed_dictionaries({"summary": st.just("auto")}, optional={"effort": st.just("high"), "enabled": st.booleans()}),
        "thinking": st.fixed_dictionaries({"type": st.sampled_from(["enabled", "disabled", "adaptive"])}, optional={"budget_tokens": st.just(1_500)}),
        "chat_template_kwargs": st.fixed_dictionaries({"x": st.just(1)}, optional={"enable_thinking": st.booleans()}),
    },
)  # fmt: skip


@given(sent_by_clients, decided, targets)
def test_what_was_decided_is_what_a_reader_of_the_new_body_finds(
    body: dict[str, Any], given_params: dict[str, Value], target: Target
) -> None:
    fitted = CAPABILITIES.fit(read(body, target.surface) | given_params, target, body)
    changed = dict(body)
    apply(changed, edits(read(body, target.surface), fitted.params, CAPABILITIES.names(target), target.surface, body))
    expected, found = dict(fitted.params), read(changed, target.surface)
    if "thinking_budget" in expected and "thinking" not in expected:
        found.pop("thinking", None)  # the word that goes with a budget
    assert found == expected
    assert changed["metadata"] == {"keep": [1]}
    names = ("max_tokens", "max_completion_tokens", "max_output_tokens")
    assert sum(name in changed for name in names) <= 1


@given(sent_by_clients, decided, targets)
def test_edits_are_settled_after_one_round(
    body: dict[str, Any], given_params: dict[str, Value], target: Target
) -> None:
    once = written(body, given_params, target.model, target.provider, target.surface)
    assert written(once, given_params, target.model, target.provider, target.surface) == once
