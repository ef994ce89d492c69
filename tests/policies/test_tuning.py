"""Several parameters, one after the other: in which cell a request learns, and what is held meanwhile."""

from collections import Counter
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from policies.allocation import Allocations
from policies.arms import origin
from policies.capability import Capabilities
from policies.context import Context
from policies.decision import Decision
from policies.engine import Engine
from policies.loading import parse

CAPABILITIES = Capabilities.load()
POLICY = """
version: 1
defaults: {set: {temperature: 0.5, top_p: 0.9}}
adapt:
  mode: apply
  arms: {temperature: [0.1, 0.3, 0.5, 0.7, 0.9], top_p: [0.5, 0.7, 0.9], frequency_penalty: [0, 0.5]}
"""
START = "*|code|gpt-4.1|direct|1|"
FIRST, SECOND = START + "temperature", START + "top_p@temperature=0.7"
THIRD = START + "frequency_penalty@temperature=0.7,top_p=0.5"
CELLS = {FIRST: {"0.7": 1.0}, SECOND: {"0.5": 1.0}, THIRD: {"0.5": 1.0}}
SETTLED = Allocations("v", CELLS, {FIRST: "0.7"})


def decide(
    table: Allocations = SETTLED,
    unit: int = 0,
    policy: str = POLICY,
    body: dict[str, Any] | None = None,
    **context: Any,
) -> Decision:
    engine = Engine(parse({"p.yaml": policy}, "p"), CAPABILITIES)
    given_context = {"task": "code", "model": "gpt-4.1", "provider": "openai", "id": f"dec_{unit}"} | context
    return engine.decide(Context(**given_context), body or {}, table)


def cells(n: int = 200, **how: Any) -> Counter[str]:
    """Where that many requests learn."""
    draws = [decide(unit=unit, **how).draw for unit in range(n)]
    return Counter(d.cell for d in draws if d)


def onward(**how: Any) -> Decision:
    """A decision that learns beside temperature=0.7."""
    found = (decide(unit=unit, **how) for unit in range(100))
    return next(d for d in found if d.draw and d.draw.held)


def test_until_the_first_parameter_has_settled_it_alone_is_tuned() -> None:
    assert set(cells(50, table=Allocations("v", CELLS))) == {FIRST}


def test_most_units_go_on_to_the_second_and_the_rest_keeps_the_draw_of_the_first() -> None:
    found = cells(1_000)
    assert set(found) == {FIRST, SECOND}
    assert 750 < found[SECOND] < 850


def test_the_first_is_held_at_its_arm_while_the_second_is_drawn() -> None:
    arms: Counter[str] = Counter()
    for unit in range(300):
        decision = decide(unit=unit)
        assert decision.draw is not None
        if decision.draw.held:
            assert decision.draw.held == (("temperature", "0.7"),)
            assert decision.params["temperature"] == 0.7
            assert decision.params["top_p"] == float(decision.draw.arm)
            assert decision.draw.grid == ("0.5", "0.7", "0.9")
            assert decision.draw.propensity == (0.95 if decision.draw.arm == "0.5" else 0.05)
            assert decision.draw.explored
            assert decision.effective
            arms[decision.draw.arm] += 1
    assert arms.keys() == {"0.5", "0.9"}


def test_both_rungs_stand_on_the_ladder() -> None:
    steps = [(s.param, s.before, s.after, s.source) for s in onward().steps if s.rung == "arm"]
    assert steps == [
        ("temperature", 0.5, 0.7, "0.7 has settled, and top_p is tuned beside it"),
        ("top_p", 0.9, 0.5, "0.5 drawn with probability 0.95"),
    ]


def test_a_conversation_stays_in_its_cell() -> None:
    how = {"tenant": "t", "session": "s"}
    assert len(cells(20, **how)) == 1
    found = Counter(cell for n in range(60) for cell in cells(1, tenant="t", session=f"s{n}"))
    assert found.keys() == {FIRST, SECOND}


def test_a_third_parameter_is_tuned_beside_both() -> None:
    table = Allocations("v", CELLS, {FIRST: "0.7", SECOND: "0.5"})
    found = cells(1_000, table=table)
    assert set(found) == {FIRST, SECOND, THIRD}
    assert 590 < found[THIRD] < 690
    decision = next(d for u in range(99) if (d := decide(table, u)).draw and len(d.draw.held) == 2)
    assert dict(decision.params) == {"temperature": 0.7, "top_p": 0.5, "frequency_penalty": 0.5}


@pytest.mark.parametrize(
    "how",
    [
        {"body": {"top_p": 0.3}},
        {"policy": POLICY + "rules: [{name: r, when: {task: code}, bounds: {temperature: [0, 0.6]}}]"},
        {"mode": "observe"},
        {"table": Allocations("v", CELLS, {FIRST: "1.7"})},
    ],
)
def test_there_is_no_second_where_the_client_sets_it_or_the_first_may_not_be_held(how: dict[str, Any]) -> None:
    assert set(cells(50, **how)) == {FIRST}


def test_a_second_that_the_model_does_not_honour_is_passed_over() -> None:
    first = "*|code|claude-haiku-4-5|direct|1|temperature"
    third = "*|code|claude-haiku-4-5|direct|1|top_k@temperature=0.7"
    table = Allocations("v", {first: {"0.7": 1.0}}, {first: "0.7"})
    policy = POLICY.replace("frequency_penalty: [0, 0.5]", "top_k: [10, 40]")
    found = cells(50, table=table, policy=policy, model="claude-haiku-4-5", provider="anthropic")
    assert set(found) == {first, third}  # temperature or top_p, and not both


def test_bounds_hold_for_the_second_too() -> None:
    policy = POLICY + "rules: [{name: r, when: {task: code}, bounds: {top_p: [0.6, 0.95]}}]"
    decision = onward(policy=policy)
    assert decision.draw is not None
    assert decision.draw.grid == ("0.7", "0.9")


def test_what_is_held_and_does_not_reach_the_model_makes_the_draw_not_effective() -> None:
    policy = POLICY.replace("0.9], top_p", "0.9, unset], top_p").replace(
        "0.9}}", "0.9}, client: {temperature: override}}"
    )
    table = Allocations("v", {FIRST: {"unset": 1.0}}, {FIRST: "unset"})
    assert onward(policy=policy, table=table).effective
    assert not onward(policy=policy, table=table, body={"temperature": 1.3}).effective


def test_the_policys_own_value_may_be_what_is_held() -> None:
    second = START + "top_p@temperature=0.5"
    table = Allocations("v", {FIRST: {"0.5": 1.0}, second: {"0.9": 1.0}}, {FIRST: "0.5"})
    decision = onward(table=table)
    assert decision.draw is not None
    assert (decision.draw.cell, decision.draw.explored) == (second, False)
    assert "arm" not in decision.decided_by.values()


def test_a_cell_says_what_it_goes_on_from() -> None:
    assert origin(THIRD) == (SECOND, "0.5")
    assert origin(SECOND) == (FIRST, "0.7")
    assert origin(FIRST) is None
    table = Allocations("v", {}, {FIRST: "0.7", SECOND: "0.9"})
    assert [table.leads_to(cell) for cell in (FIRST, SECOND, THIRD)] == [True, True, False]


@given(st.text())
def test_any_name_of_a_cell_can_be_asked_for_its_origin(cell: str) -> None:
    found = origin(cell)
    assert found is None or len(found[0]) < len(cell)
    Allocations("v", {}, {}).leads_to(cell)
