"""The ladder: which rung decides, in which order, and what is learned."""

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from policies.allocation import Allocations
from policies.capability import Capabilities
from policies.context import Context
from policies.decision import RUNGS, Decision
from policies.engine import Engine
from policies.loading import parse
from policies.precedence import ParameterForbiddenError

CAPABILITIES = Capabilities.load()


def decide(
    policy: str, body: dict[str, Any] | None = None, allocations: Allocations | None = None, **context: Any
) -> Decision:
    engine = Engine(parse({"p.yaml": "version: 1\n" + policy}, "p"), CAPABILITIES)
    given_context = {"task": "code", "model": "gpt-4.1", "provider": "openai", "id": "u"} | context
    return engine.decide(Context(**given_context), body or {}, allocations or Allocations())


def test_each_rung_stands_above_the_one_before() -> None:
    policy = """
vendors: [{match: ["gpt-4*"], set: {temperature: 0.1, top_p: 0.11}}]
defaults: {set: {temperature: 0.2, frequency_penalty: 0.2}}
tasks:
  code:
    set: {temperature: 0.3, presence_penalty: 0.3}
    models: [{match: ["gpt-4.1"], set: {temperature: 0.4, seed: 4}}]
rules:
  - {name: first, when: {language: en}, set: {temperature: 0.5, max_tokens: 5}}
  - {name: second, when: {language: en}, set: {temperature: 0.6}}
"""
    decision = decide(policy, language="en")
    assert dict(decision.params) == {
        "temperature": 0.6, "top_p": 0.11, "frequency_penalty": 0.2, "presence_penalty": 0.3, "seed": 4, "max_tokens": 5,
    }  # fmt: skip
    assert decision.decided_by["temperature"] == "rule"
    assert decision.decided_by["top_p"] == "vendor"
    assert decision.rules == ("first", "second")
    rungs = [RUNGS.index(s.rung) for s in decision.steps]
    assert rungs == sorted(rungs)


def test_unset_takes_a_value_away() -> None:
    assert (
        "temperature"
        not in decide("defaults: {set: {temperature: 0.2}}\ntasks: {code: {set: {temperature: unset}}}").params
    )


def test_a_plain_value_of_a_higher_rung_ends_a_schedule() -> None:
    policy = (
        "defaults: {set: {temperature: [0.9, 0.1]}}\nrules: [{name: r, when: {task: code}, set: {temperature: 0.5}}]"
    )
    assert decide(policy).params["temperature"] == 0.5
    assert decide(policy, task="chat", turn=2).params["temperature"] == 0.1


@pytest.mark.parametrize(("rule", "sent"), [("default", 1.5), ("override", 0.4), ("clamp", 0.8)])
def test_precedence_is_as_declared(rule: str, sent: float) -> None:
    policy = f"defaults: {{set: {{temperature: 0.4}}, client: {rule}}}\ntasks: {{code: {{bounds: {{temperature: [0.1, 0.8]}}}}}}"
    unbounded = policy.split("\n")[0]
    assert decide(policy if rule == "clamp" else unbounded, {"temperature": 1.5}).params["temperature"] == sent


def test_a_forbidden_parameter_raises() -> None:
    with pytest.raises(ParameterForbiddenError, match="temperature"):
        decide("defaults: {client: {temperature: forbid}}", {"temperature": 1})


def test_a_librarys_default_counts_as_not_sent() -> None:
    policy = "defaults: {set: {temperature: 0.4}, ignore_client_values: {temperature: [0, 1]}}"
    assert decide(policy, {"temperature": 0}).params["temperature"] == 0.4
    assert decide(policy, {"temperature": 0.2}).params["temperature"] == 0.2


def test_clamp_without_bounds_takes_the_policys_limit_as_ceiling() -> None:
    policy = "defaults: {set: {max_tokens: 100}, client: {max_tokens: clamp}}"
    assert decide(policy, {"max_completion_tokens": 999}).params["max_tokens"] == 100
    assert decide(policy, {"max_tokens": 50}).params["max_tokens"] == 50


LEARN = "defaults: {set: {temperature: 0.5}}\nadapt: {mode: apply, arms: {temperature: [0.1, 0.3, 0.5, 0.7, 0.9]}}\n"


def table(cell: str, arm: str) -> Allocations:
    return Allocations("v", {cell: {arm: 1.0}})


CELL = "*|code|gpt-4.1|direct|1|temperature"


def test_an_arm_is_drawn_and_says_with_which_probability() -> None:
    decision = decide(LEARN, allocations=table(CELL, "0.7"))
    assert decision.draw is not None
    assert (decision.params["temperature"], decision.draw.arm, decision.draw.cell) == (0.7, "0.7", CELL)
    assert decision.draw.propensity == pytest.approx(0.95)
    assert decision.decided_by["temperature"] == "arm"
    assert decision.effective


@pytest.mark.parametrize(("sticky", "arms"), [("session", 1), ("request", 5)])
def test_a_session_keeps_its_arm_unless_the_policy_says_otherwise(sticky: str, arms: int) -> None:
    policy = LEARN.replace("mode: apply", f"mode: apply, sticky: {sticky}")
    even = Allocations("v", {CELL: dict.fromkeys(("0.1", "0.3", "0.5", "0.7", "0.9"), 0.2)})
    draws = [decide(policy, allocations=even, tenant="t", session="s", id=f"dec_{n}").draw for n in range(60)]
    assert len({d.arm for d in draws if d}) == arms


def test_two_engines_with_the_same_table_draw_alike() -> None:
    even = {CELL: dict.fromkeys(("0.1", "0.3", "0.5", "0.7", "0.9"), 0.2)}
    for n in range(20):
        one, two = (decide(LEARN, allocations=Allocations("v", even), session=f"s{n}", id=i).draw for i in "ab")
        assert one == two


def test_observe_serves_the_policys_value_and_learns_from_it() -> None:
    decision = decide(LEARN.replace("apply", "observe"), allocations=table(CELL, "0.7"))
    assert decision.params["temperature"] == 0.5
    assert decision.draw is not None
    assert (decision.draw.arm, decision.draw.propensity) == ("0.5", 1.0)


@pytest.mark.parametrize("context", [{"tool_loop": True}, {"model": "o3"}, {"mode": "bypass"}])
def test_nothing_is_tried_where_it_must_not_or_cannot_act(context: dict[str, Any]) -> None:
    assert decide(LEARN, allocations=table(CELL, "0.7"), **context).draw is None


def test_no_arm_crosses_the_bounds() -> None:
    policy = LEARN + "tasks: {code: {bounds: {temperature: [0, 0.5]}}}"
    decision = decide(policy, allocations=table(CELL, "0.9"))
    assert decision.params["temperature"] == 0.5
    assert decision.draw is not None
    assert decision.draw.grid == ("0.1", "0.3", "0.5")


def test_where_no_temperature_acts_the_next_parameter_is_tuned() -> None:
    decision = decide(LEARN + "  \n", model="o3")
    assert decision.draw is None
    both = LEARN.replace("0.9]}", "0.9], reasoning_effort: [low, medium, high]}")
    drawn = decide(both, model="o3").draw
    assert drawn is not None
    assert drawn.parameter == "reasoning_effort"


@given(
    st.floats(0, 2),
    st.floats(0, 2) | st.integers(0, 2),
    st.sampled_from(["default", "override", "clamp"]),
    st.sampled_from(["0.1", "0.9"]),
    st.booleans(),
)
def test_a_bound_is_never_crossed_by_anyone(
    policy_value: float, client_value: float, rule: str, arm: str, sent: bool
) -> None:
    policy = f"""
defaults: {{set: {{temperature: {policy_value:.9f}}}, client: {rule}, bounds: {{temperature: [0.25, 0.6]}}}}
adapt: {{mode: apply, arms: {{temperature: [0.1, 0.3, 0.5, 0.9]}}}}
"""
    decision = decide(policy, {"temperature": client_value} if sent else {}, table(CELL, arm))
    temperature = decision.params["temperature"]
    assert isinstance(temperature, int | float)
    assert 0.25 <= temperature <= 0.6


@pytest.mark.parametrize(("asked", "sent"), [(2, 0.6), (0, 0.25)])
def test_a_bound_with_a_fraction_holds_for_a_whole_number(asked: int, sent: float) -> None:
    policy = "defaults: {bounds: {temperature: [0.25, 0.6]}}"
    assert decide(policy, {"temperature": asked}).params["temperature"] == sent


def test_room_for_thinking_does_not_cross_a_bound() -> None:
    policy = "defaults: {set: {max_tokens: 64}}"
    assert decide(policy, model="o3").params["max_tokens"] == 64 + 1_024
    assert (
        decide(policy + "\nrules: [{name: r, when: {task: code}, bounds: {max_tokens: [1, 200]}}]", model="o3").params[
            "max_tokens"
        ]
        == 64
    )
