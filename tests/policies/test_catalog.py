"""What the two tables say about models, by all the names that people give them."""

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from policies.catalog import SELF_HOSTED, Catalog, ModelFacts, base_name
from policies.parameters import Range

CATALOG = Catalog.load()
SONNET: dict[str, Any] = {"supports_reasoning": True, "input_cost_per_token": 3e-06, "max_output_tokens": 64_000}


@pytest.mark.parametrize(
    ("name", "provider"),
    [
        ("claude-sonnet-4-5", "anthropic"),
        ("claude-sonnet-4-5-20250929", "anthropic"),
        ("anthropic/claude-sonnet-4-5", "anthropic"),
        ("anthropic/claude-sonnet-4.5", "openrouter"),
        ("openrouter/anthropic/claude-sonnet-4.5", "openrouter"),
        ("us.anthropic.claude-sonnet-4-5-20250929-v1:0", "anthropic"),
        ("bedrock/eu.anthropic.claude-sonnet-4-5-20250929-v1:0", "anthropic"),
        ("vertex_ai/claude-sonnet-4-5@20250929", "anthropic"),
        ("claude-sonnet-4-5@default", "anthropic"),
        ("Claude-Sonnet-4-5", "compatible"),
    ],
)
def test_a_model_is_found_by_every_name_that_people_give_it(name: str, provider: str) -> None:
    assert Catalog({"claude-sonnet-4-5": SONNET}, []).facts(name, provider).input_cost == 3e-06


@pytest.mark.parametrize(
    ("name", "provider"),
    [("kimi-k2.6", "moonshot"), ("glm-4.7", "zhipu"), ("gemini-3.8-flash", "gemini"), ("gpt-5.1", "azure")],
)
def test_the_real_table_knows_models_by_their_providers_prefix(name: str, provider: str) -> None:
    facts = CATALOG.facts(name, provider)
    assert facts.known
    assert facts.reasoning
    assert facts.input_cost is not None


def test_a_providers_own_row_comes_before_the_makers() -> None:
    catalog = Catalog({"m": {"input_cost_per_token": 1.0}, "groq/m": {"input_cost_per_token": 2.0}}, [])
    assert catalog.facts("m", "groq").input_cost == 2.0
    assert catalog.facts("m", "openai").input_cost == 1.0


@pytest.mark.parametrize("provider", sorted(SELF_HOSTED))
def test_weights_on_ones_own_machine_have_no_price_and_no_apis_limits(provider: str) -> None:
    assert CATALOG.facts("deepseek-r1", provider) == ModelFacts()


def test_the_real_table_says_which_models_take_no_sampling_and_which_think_unasked() -> None:
    assert CATALOG.facts("claude-opus-4-7", "anthropic").sampling is False
    assert CATALOG.facts("claude-sonnet-4-6", "anthropic").sampling is None
    assert CATALOG.facts("gpt-5.1", "openai").default_effort == "none"
    assert CATALOG.facts("gpt-5", "openai").default_effort is None


@pytest.mark.parametrize(
    ("row", "listed", "efforts"),
    [
        ({"supports_reasoning": True}, None, ("low", "medium", "high")),
        ({"supports_reasoning": True, "supports_low_reasoning_effort": False}, None, ("medium", "high")),
        ({"supports_reasoning": True, "supports_none_reasoning_effort": True}, None, ("none", "low", "medium", "high")),
        ({"reasoning_effort_levels": ["none", "high"]}, ["low", "high"], ("none", "high")),
        ({}, ["max", "high"], ("high", "max")),
        ({"supports_reasoning": True}, ["none", "default"], ("low", "medium", "high")),  # not levels that we know
        ({"supports_reasoning": True, "litellm_provider": "openai"}, ["high", "xhigh"], ("low", "medium", "high")),
        ({"supports_reasoning": False}, None, ()),
        ({}, None, ()),
    ],
)
def test_effort_levels_come_from_lists_or_flags(
    row: dict[str, Any], listed: list[str] | None, efforts: tuple[str, ...]
) -> None:
    entry = {"provider": "p", "model": "m", "params": [{"path": "reasoning_effort", "values": listed}]}
    assert Catalog({"m": row}, [entry]).facts("m", "p").efforts == efforts


def test_ranges_are_the_providers_own() -> None:
    def entry(provider: str, high: float) -> dict[str, Any]:
        params = [{"path": "temperature", "range": {"min": 0, "max": high}}, {"path": "generationConfig.topK"}]
        return {"provider": provider, "model": "m", "params": params}

    catalog = Catalog({}, [entry("alibaba", 1.9), entry("google", 1.0)])
    assert catalog.facts("m", "dashscope").ranges == {"temperature": Range(0.0, 1.9)}
    assert catalog.facts("m", "gemini").ranges == {"temperature": Range(0.0, 1.0)}
    assert catalog.facts("m", "compatible").ranges == {}


json = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.sampled_from(["m", "temperature", "high", "x"]),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(max_size=3), inner, max_size=4),
    max_leaves=12,
)
fields = st.sampled_from(["supports_reasoning", "max_output_tokens", "input_cost_per_token", "reasoning_effort_levels"])
entries = st.fixed_dictionaries({"model": st.just("m") | json, "params": json, "provider": json})


@given(st.dictionaries(fields, json) | json, st.lists(entries | json, max_size=4))
def test_a_table_that_changed_its_shape_gives_fewer_facts_and_no_error(row: Any, listed: list[Any]) -> None:
    facts = Catalog({"m": row}, listed).facts("m", "p")
    assert facts.max_output_tokens is None or facts.max_output_tokens >= 1


@given(st.text())
def test_any_text_is_a_name_that_may_be_looked_up(name: str) -> None:
    assert isinstance(CATALOG.facts(name, "openai"), ModelFacts)
    assert base_name(base_name(name)) == base_name(base_name(base_name(name)))
