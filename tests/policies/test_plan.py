"""Plans: what is kept between requests changes no decision, is bounded, and holds nothing of a request."""

import gc
from dataclasses import fields, replace
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from policies import engine as engine_module
from policies.allocation import Allocations
from policies.capability import Capabilities
from policies.context import MODES, Context
from policies.decision import Decision
from policies.engine import Engine
from policies.kept import Kept
from policies.loading import LIBRARY, parse
from policies.precedence import ParameterForbiddenError

CAPABILITIES = Capabilities.load()
POLICY = """
version: 1
defaults: {set: {temperature: 0.5, top_p: 0.9}, ignore_client_values: {temperature: [1]}}
tasks:
  code:
    set: {temperature: {first: 0.7, then: 0.3, over: 2}, max_tokens: 100}
    client: {max_tokens: clamp, temperature: override}
    bounds: {temperature: [0.1, 0.8]}
  chat:
    set: {temperature: {values: [0.2, 0.6, 0.9], by: attempt}, stop: [a, b]}
    client: {seed: forbid}
    models: [{match: ["gpt-4*"], set: {top_p: unset, reasoning_effort: low}}]
  math: {set: {thinking: true, thinking_budget: 300, max_tokens: 64}, blend: true}
rules:
  - {name: law, when: {contains: [legal, 合同]}, set: {temperature: 0.2}, bounds: {temperature: [0, 0.3], max_tokens: [10, 50]}}
  - {name: later, when: {task: code, turn: {min: 2}}, set: {presence_penalty: 0.5}}
  - {name: streams, when: {tenant: b, stream: true}, set: {top_k: 5, early_stopping: true}, client: override}
  - {name: warm, when: {regex: "ab+c"}, set: {temperature: {linear: [0.9, 0.3], over: 4}}}
adapt:
  mode: {default: apply, chat: observe}
  per_tenant: PER_TENANT
  sticky: STICKY
  arms: {temperature: [0.1, 0.3, 0.5, 0.7, unset], top_p: [0.5, 0.7, 0.9], reasoning_effort: [low, high]}
"""
GUIDE = (LIBRARY / "guide.yaml").read_text("utf-8").replace("mode: observe", "mode: apply")
TEXTS = [
    POLICY.replace("PER_TENANT", "true").replace("STICKY", "session"),
    POLICY.replace("PER_TENANT", "false").replace("STICKY", "request"),
    GUIDE,
]
ENGINES = [
    Engine(parse({"p.yaml": text}, "p"), CAPABILITIES) for text in TEXTS
]  # for all examples: what one keeps, others meet
MODELS = [("gpt-4.1", "openai"), ("o3", "openai"), ("claude-sonnet-4-5", "anthropic"), ("deepseek-chat", "deepseek"), ("Qwen/Qwen3-8B", "vllm"), ("any", "compatible")]  # fmt: skip
PREFIXES = [
    f"{tenant}|{task}|{model}|{mode}|{turns}|"
    for tenant in "*ab"
    for task in ("code", "math", "general")
    for model, _ in MODELS
    for mode in ("direct", "thinking")
    for turns in ("1", "2-3", "4+")
]


def table(version: str, first: dict[str, float], second: dict[str, float], settled: str | None) -> Allocations:
    """Every cell the same, and settled at the same arm."""
    cells = {f"{p}temperature": first for p in PREFIXES}
    if settled is None:
        return Allocations(version, cells)
    beside = {f"{p}top_p@temperature={settled}": second for p in PREFIXES}
    return Allocations(version, cells | beside, {f"{p}temperature": settled for p in PREFIXES})


TABLES = [
    Allocations(),
    table("1", {"0.1": 0.2, "0.5": 0.3, "unset": 0.5}, {}, None),
    table("2", {"0.3": 0.6, "0.7": 0.4}, {"0.5": 0.5, "0.9": 0.5}, "0.3"),
    table("3", {"0.3": 0.6, "0.7": 0.4}, {"0.5": 0.5, "0.9": 0.5}, "0.7"),
]

contexts = st.builds(
    lambda target, **given: Context(model=target[0], provider=target[1], **given),
    st.sampled_from(MODELS),
    task=st.sampled_from(["code", "chat", "math", "general", "closed_qa"]),
    candidates=st.sampled_from([(), (("math", 0.6), ("code", 0.4)), (("math", 1.0), ("code", 0.001))]),
    turn=st.integers(1, 6),
    attempt=st.integers(1, 3),
    surface=st.sampled_from(["chat", "responses", "messages"]),
    tenant=st.sampled_from("ab"),
    text=st.sampled_from(["Is it legal?", "abbbc", "这份合同", "hello"]),
    session=st.sampled_from([None, "s1", "s2"]),
    tool_loop=st.booleans(),
    stream=st.booleans(),
    mode=st.sampled_from([None, *MODES]),
    id=st.sampled_from(["dec_1", "dec_2", "dec_3"]),
)
bodies = st.fixed_dictionaries(
    {"model": st.just("m")},
    optional={
        "temperature": st.sampled_from([0, 0.0, 1, 1.0, True, None, "0.5", 0.3, 1.7]),
        "top_p": st.sampled_from([1, 0.5]),
        "max_tokens": st.sampled_from([10, 5_000, 2**63]),
        "max_completion_tokens": st.just(20),
        "stop": st.sampled_from(["x", ["a", "b", "c", "d", "e"], [" "], ["long" * 200]]),
        "seed": st.just(1),
        "n": st.sampled_from([1, 2]),
        "tool_choice": st.sampled_from(["auto", "required", {"type": "tool", "name": "x"}]),
        "reasoning_effort": st.sampled_from(["none", "high"]),
        "thinking": st.sampled_from([{"type": "enabled", "budget_tokens": 1_000}, {"type": "disabled"}, True]),
        "chat_template_kwargs": st.sampled_from([{"enable_thinking": False, "z": 1}, {"thinking": True}]),
        "response_format": st.just({"type": "json_object"}),
    },
)


def plain(decision: Decision) -> list[object]:
    """All that it says, types included."""
    named = {f.name: getattr(decision, f.name) for f in fields(decision) if f.name != "shared"}
    return [repr(named), decision.steps, decision.shared.params, decision.shared.adjusted]


def outcome(decide: Any, *given: Any) -> object:
    try:
        return plain(decide(*given))
    except ParameterForbiddenError as e:
        return str(e)


VARIED = ("task", "candidates", "turn", "attempt", "model", "provider", "surface", "tenant", "text", "session", "tool_loop", "stream", "mode", "id")  # fmt: skip


@given(st.sampled_from(ENGINES), contexts, contexts, bodies, bodies, st.sampled_from(TABLES), st.sampled_from(TABLES))
def test_what_is_kept_changes_no_decision(
    engine: Engine,
    one: Context,
    other: Context,
    body: dict[str, Any],
    second: dict[str, Any],
    before: Allocations,
    after: Allocations,
) -> None:
    """Each request differs from the first in one thing, so that it meets what the first has left behind."""
    changed = [replace(one, **{name: getattr(other, name)}) for name in VARIED]
    in_body = [body | {key: second[key]} for key in second] + [
        {k: v for k, v in body.items() if k != key} for key in body
    ]
    for context, sent, table in (
        *[(one, body, before)] * 3,  # what comes twice is kept
        *((context, body, before) for context in changed),
        *((one, sent, before) for sent in in_body),
        (one, body, after),
    ):
        assert outcome(engine.decide, context, sent, table) == outcome(engine.climb, context, sent, table)


CODE = Context(task="code", model="gpt-4.1", provider="openai", id="u")


def apply(text: str = TEXTS[1]) -> Engine:
    return Engine(parse({"p.yaml": text}, "p"), CAPABILITIES)


def test_requests_that_get_the_same_share_one_object_also_under_the_next_table() -> None:
    engine = apply()
    for _ in range(2):
        engine.decide(CODE, {"model": "a"}, Allocations())
    one = engine.decide(CODE, {"model": "a"}, table("1", {"0.3": 1.0}, {}, None))
    two = engine.decide(CODE, {"model": "b", "messages": []}, table("2", {"0.3": 0.99, "0.1": 0.01}, {}, None))
    assert one.draw is not None
    assert two.draw is not None
    assert (one.draw.arm, one.draw.table, two.draw.arm, two.draw.table) == ("0.3", "1", "0.3", "2")
    assert one.shared is two.shared
    still = [engine.decide(replace(CODE, tool_loop=True), {}, table(v, {"0.3": 1.0}, {}, None)).shared for v in "1234"]
    assert still[1] is still[2] is still[3]
    told = [d.steps[-1].source for d in (one, two)]
    assert told == ["0.3 drawn with probability 0.95", "0.3 drawn with probability 0.941"]
    assert dict(one.shared.params) == dict(one.params)
    assert engine.decide(CODE, {"temperature": 0.3, "seed": 1}, Allocations()).shared is not one.shared


def test_what_bounds_and_capability_changed_and_kept_can_be_counted() -> None:
    text = "version: 1\ndefaults: {set: {temperature: 1.5, stop: [a, b, c, d, e]}, bounds: {temperature: [0, 1]}}"
    shared = apply(text).decide(CODE, {}, Allocations()).shared
    assert shared.adjusted == (("temperature", "bounds"), ("stop", "too_many_stops"))


def test_a_client_that_sends_another_value_each_time_fills_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(engine_module, "MOST_PLANS", 8)
    monkeypatch.setattr(engine_module, "MOST_ONCE", 32)
    engine, steady = apply(), {"seed": 1_000}
    engine.decide(CODE, steady, TABLES[0])
    first = engine.decide(CODE, steady, TABLES[0]).shared
    for n in range(100):
        engine.decide(CODE, {"seed": n}, TABLES[0])
        assert len(engine._plans) == 1
    for n in range(100):
        for _ in range(1 + n % 3):
            engine.decide(CODE, {"seed": n}, TABLES[0])
        assert engine.decide(CODE, steady, TABLES[0]).shared is first
    assert len(engine._plans) <= 16
    assert len(engine._once) <= 32


class Body(dict[str, Any]):
    """Can be looked for."""


def test_no_body_and_no_table_outlives_its_turn() -> None:
    engine = apply()
    for n in range(20):
        body = Body(model="m", messages=[Body()], tool_choice=Body(type="tool"), stop=["x" * n * 40])
        for _ in range(3):
            engine.decide(CODE, body, table(f"gone {n}", {"0.3": 1.0}, {}, None))
    del body
    gc.collect()
    assert not [o for o in gc.get_objects() if isinstance(o, Body)]
    assert len([o for o in gc.get_objects() if isinstance(o, Allocations) and o.version.startswith("gone")]) <= 1


def test_a_plan_knows_every_key_of_a_body_that_it_depends_on() -> None:
    asked: set[str] = set()

    class Spy(dict[str, Any]):
        def __contains__(self, key: object) -> bool:
            asked.add(str(key))
            return super().__contains__(key)

        def __getitem__(self, key: str) -> Any:
            asked.add(key)
            return super().__getitem__(key)

        def get(self, key: str, default: Any = None) -> Any:
            asked.add(key)
            return super().get(key, default)

    body = Spy(
        model="m", messages=[], stream=True, thinking={"type": "enabled"}, n=2, stop=["x"], max_tokens=5, top_p=1
    )
    for engine in ENGINES:
        for model, provider in MODELS:
            for task in ("code", "chat", "math"):
                engine.climb(Context(task=task, model=model, provider=provider, id="u"), body, TABLES[2])
    assert "tool_choice" in asked
    assert asked <= CAPABILITIES.looked_at


@given(st.lists(st.integers(0, 12)), st.integers(1, 4))
def test_what_is_kept_is_bounded_and_true(keys: list[int], most: int) -> None:
    kept: Kept[int, str] = Kept(most)
    for key in keys:
        found = kept.get(key)
        assert found in (None, str(key))
        if found is None:
            kept.put(key, str(key))
        assert kept.get(key) == str(key)
        assert len(kept) <= 2 * most
