"""Blending: what a prompt gets that may be one of several tasks."""

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from policies.allocation import Allocations
from policies.arms import nearest
from policies.capability import Capabilities
from policies.context import Context
from policies.decision import RUNGS, Decision
from policies.engine import Engine
from policies.loading import parse

CAPABILITIES = Capabilities.load()
UNCLEAR = (("creative_writing", 0.55), ("code", 0.45))


def decide(
    policy: str, body: dict[str, Any] | None = None, allocations: Allocations | None = None, **context: Any
) -> Decision:
    engine = Engine(parse({"p.yaml": "version: 1\n" + policy}, "p"), CAPABILITIES)
    given_context: dict[str, Any] = {
        "candidates": UNCLEAR,
        "model": "gpt-4.1",
        "provider": "openai",
        "id": "u",
    } | context
    given_context.setdefault("task", next((task for task, _ in given_context["candidates"]), "creative_writing"))
    return engine.decide(Context(**given_context), body or {}, allocations or Allocations())


POLICY = """
blend: true
defaults: {set: {temperature: 0.5}}
tasks:
  code: {set: {temperature: 0.2}}
  creative_writing: {set: {temperature: 0.8}}
"""


def test_an_unclear_prompt_gets_a_value_between_its_tasks_and_the_ladder_says_why() -> None:
    decision = decide(POLICY)
    assert decision.params["temperature"] == 0.53
    assert decision.decided_by["temperature"] == "blend"
    (step,) = [s for s in decision.steps if s.rung == "blend"]
    assert (step.before, step.after) == (0.8, 0.53)
    assert step.source == "creative_writing 0.8 × 0.55, code 0.2 × 0.45"


def test_an_abstention_lies_between_the_tasks_that_it_could_have_been() -> None:
    maybe = (("creative_writing", 0.3), ("code", 0.1))
    assert decide(POLICY, task="general", candidates=maybe).params["temperature"] == 0.65
    assert decide(POLICY, task="general", candidates=()).params["temperature"] == 0.5


def test_nothing_is_blended_unless_the_policy_says_so() -> None:
    assert decide(POLICY.replace("blend: true", "")).params["temperature"] == 0.8
    assert decide(POLICY.replace("blend: true", "blend: false")).params["temperature"] == 0.8


def test_a_task_can_differ_and_still_lends_its_value_to_others() -> None:
    without = POLICY.replace("code: {", "code: {blend: false, ")
    code = (("code", 0.6), ("creative_writing", 0.4))
    assert decide(without, candidates=code).params["temperature"] == 0.2
    assert decide(without).params["temperature"] == 0.53
    only = POLICY.replace("blend: true", "").replace("code: {", "code: {blend: true, ")
    assert decide(only, candidates=code).params["temperature"] == 0.44
    assert decide(only).params["temperature"] == 0.8


def test_a_declared_or_a_sure_task_is_not_blended() -> None:
    declared = decide(POLICY, candidates=())
    sure = decide(POLICY, candidates=(("creative_writing", 0.99), ("code", 0.009)))
    assert declared.params["temperature"] == sure.params["temperature"] == 0.8
    assert "blend" not in {s.rung for s in (*declared.steps, *sure.steps)}


def test_whole_numbers_stay_whole() -> None:
    tasks = "tasks: {code: {set: {max_tokens: 64}}, creative_writing: {set: {max_tokens: 2048}}}"
    sent = decide("blend: true\n" + tasks).params["max_tokens"]
    assert (sent, type(sent)) == (1155, int)  # 0.55 × 2048 + 0.45 × 64 = 1155.2


@pytest.mark.parametrize(
    ("one", "other"),
    [
        ("max_tokens: 900", ""),  # not set by every candidate
        ("max_tokens: 900", "max_tokens: unset"),
        ("reasoning_effort: high", "reasoning_effort: low"),  # not a number
        ("stop: [x]", "stop: [y]"),
        ("seed: 7", "seed: 8"),  # a number, and not an amount
        ("top_k: 40", "top_k: -1"),  # off, which is far above 40 and not below it
        ("top_k: 0", "top_k: 40"),
    ],
)
def test_what_has_no_mean_is_as_the_verdicts_task_has_it(one: str, other: str) -> None:
    tasks = f"tasks: {{creative_writing: {{set: {{{one}}}}}, code: {{set: {{{other}}}}}}}"
    vllm: dict[str, Any] = {"model": "qwen3-8b", "provider": "vllm"}
    assert decide("blend: true\n" + tasks, **vllm).params == decide("blend: false\n" + tasks, **vllm).params


def test_an_abstention_takes_no_limit_or_word_from_a_task_that_is_not_likely_enough() -> None:
    policy = POLICY + "  classification: {set: {max_tokens: 64, stop: [x]}}\n"
    decision = decide(policy, task="general", candidates=(("classification", 0.3), ("code", 0.2)))
    assert dict(decision.params) == {"temperature": 0.38}


def test_an_abstention_gets_what_all_that_it_could_be_would_get() -> None:
    tasks = "tasks: {code: {set: {max_tokens: 1000}}, math: {set: {max_tokens: 500}}}"
    decision = decide("blend: true\n" + tasks, task="general", candidates=(("code", 0.3), ("math", 0.2)))
    assert dict(decision.params) == {"max_tokens": 800}


def test_values_of_vendor_and_model_rungs_take_part() -> None:
    policy = """
blend: true
vendors: [{match: ["gpt-4*"], set: {temperature: 1.0}, tasks: {creative_writing: {temperature: 1.5}}}]
tasks: {code: {models: [{match: ["gpt-4.1"], set: {temperature: 0.5}}]}}
"""
    decision = decide(policy, candidates=(("creative_writing", 0.5), ("code", 0.25), ("math", 0.25)))
    assert decision.params["temperature"] == 1.125


def test_a_schedule_takes_part_with_its_value_for_this_turn() -> None:
    policy = POLICY + "  chat: {set: {temperature: {first: 0.7, then: 0.3, over: 1}}}\n"
    chat = (("chat", 0.5), ("code", 0.5))
    assert decide(policy, candidates=chat).params["temperature"] == 0.45
    second = decide(policy, candidates=chat, turn=2)
    assert second.params["temperature"] == 0.25
    assert "schedule" not in {s.rung for s in second.steps}
    assert decide(policy, candidates=(("code", 0.5), ("chat", 0.5)), turn=9).params["temperature"] == 0.25


def test_rules_schedules_clients_and_bounds_stand_above_the_blend() -> None:
    rule = "rules: [{name: r, when: {language: en}, set: {temperature: %s}}]"
    assert decide(POLICY + rule % 0.1, language="en").params["temperature"] == 0.1
    assert decide(POLICY + rule % "[0.9, 0.4]", language="en", turn=2).params["temperature"] == 0.4
    assert decide(POLICY, {"temperature": 1.5}).params["temperature"] == 1.5
    decision = decide(
        POLICY.replace("{set: {temperature: 0.8}", "{set: {temperature: 0.8}, bounds: {temperature: [0.6, 1]}")
    )
    assert decision.params["temperature"] == 0.6
    rungs = [RUNGS.index(s.rung) for s in decision.steps]
    assert rungs == sorted(rungs)


ADAPT = "adapt: {mode: apply, arms: {temperature: [0.1, 0.3, 0.5, 0.7, 0.9]}}\n"
CELL = "*|creative_writing|gpt-4.1|direct|1|temperature"
ALWAYS = Allocations("v", {CELL: {"0.1": 1.0}})


@pytest.mark.parametrize("mode", ["apply", "observe"])
def test_nothing_is_tried_or_learned_between_tasks(mode: str) -> None:
    decision = decide(POLICY + ADAPT, allocations=ALWAYS, mode=mode)
    assert decision.params["temperature"] == 0.53
    assert decision.draw is None


def test_a_mean_that_is_nearest_to_the_tasks_own_value_learns_as_that() -> None:
    nearly = (("creative_writing", 0.95), ("code", 0.05))
    decision = decide(POLICY + ADAPT.replace("apply", "observe"), candidates=nearly)
    assert decision.params["temperature"] == 0.8
    assert decision.decided_by["temperature"] == "task"
    assert decision.draw == decide(POLICY + ADAPT.replace("apply", "observe"), candidates=()).draw
    (step,) = [s for s in decision.steps if s.rung == "blend"]
    assert step.source.endswith("0.77 is nearest to the arm 0.8, which stays")
    assert decide(POLICY + ADAPT, allocations=ALWAYS, candidates=nearly).draw is not None


def test_where_nothing_is_learned_a_mean_is_served_as_it_is() -> None:
    nearly = (("creative_writing", 0.95), ("code", 0.05))
    assert decide(POLICY + ADAPT.replace("apply", "bypass"), candidates=nearly).params["temperature"] == 0.77


def test_where_a_rule_has_the_last_word_its_value_is_learned_from() -> None:
    rule = "rules: [{name: r, when: {language: en}, set: {temperature: 0.4}}]\n"
    drawn = decide(POLICY + rule + ADAPT, language="en").draw
    assert drawn is not None
    assert drawn.baseline == "0.4"


@given(st.floats(0, 1))
def test_no_probability_makes_a_new_arm_or_cell(p: float) -> None:
    candidates = (("creative_writing", p), ("code", 1 - p))
    usual = decide(POLICY + ADAPT, candidates=()).draw
    drawn = decide(POLICY + ADAPT, task="creative_writing", candidates=candidates).draw
    assert drawn is None or drawn == usual


@given(st.floats(0, 2), st.floats(0, 2), st.floats(0, 2), st.floats(0, 1), st.floats(0, 1))
def test_a_blend_never_leaves_what_its_candidates_have(a: float, b: float, c: float, p: float, q: float) -> None:
    tasks = f"tasks: {{code: {{set: {{temperature: {a:.9f}}}}}, math: {{set: {{temperature: {b:.9f}}}}}, chat: {{set: {{temperature: {c:.9f}}}}}}}"
    candidates = (("code", p), ("math", q), ("chat", 0.5))
    temperature = decide("blend: true\n" + tasks, candidates=candidates).params["temperature"]
    assert isinstance(temperature, int | float)
    values = [float(f"{x:.9f}") for x in (a, b, c)]
    assert min(values) <= temperature <= max(values)
    mean = sum(v * w for v, w in zip(values, (p, q, 0.5), strict=True)) / (p + q + 0.5)
    assert abs(temperature - mean) < 0.06  # what is below 1 % is left out


def test_the_nearest_arm_is_found_on_its_own_axis() -> None:
    assert nearest("temperature", 0.29, (0.1, 0.3, None)) == 0.3
    assert nearest("temperature", 0.9, (0.1, 0.3, None)) is None  # unset is about 1
    assert nearest("max_tokens", 700, (512, 64, 4096)) == 512
