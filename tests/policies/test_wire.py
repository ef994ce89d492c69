"""Where parameters stand in a body."""

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from policies.capability import Capabilities, Target
from policies.parameters import Value
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


def test_the_limit_has_one_name_on_the_wire():
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
def test_each_surface_has_its_own_names(surface: str, after: dict[str, Value], body: dict[str, Any]):
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
def test_each_server_has_its_own_names(provider: str, after: dict[str, Value], body: dict[str, Any]):
    assert written({}, after, "m", provider) == body


def test_neighbours_in_a_nested_object_stay():
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
def test_only_values_of_the_right_type_are_read(body: dict[str, Any], values: dict[str, Value]):
    assert read(body, "chat") == values


bodies = st.dictionaries(st.text(), st.none() | st.integers() | st.text() | st.lists(st.integers()))


@given(bodies, st.sampled_from(["temperature", "top_p"]), st.floats(0, 1))
def test_unknown_fields_survive_every_edit(body: dict[str, Any], param: str, value: float):
    body = {k: v for k, v in body.items() if k not in ("temperature", "top_p")}
    assert written(body, {param: value}) == body | {param: value}


@given(bodies)
def test_what_the_client_sent_stays_as_it_is_when_nothing_was_decided(body: dict[str, Any]):
    assert written(body, read(body, "chat")) == body
