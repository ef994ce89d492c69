"""Matching: lining rules up and indexing their cues finds the rules that hold, and no others."""

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from policies import matching
from policies.conditions import compile_when
from policies.context import Context
from policies.matching import Matching
from policies.policy import Block, Rule

PARTS = ["ab", "abc", "Abcd", "9", "_", " ", ".", "-", "é", "合", "合同", "法", "İ"]
texts = st.lists(st.sampled_from(PARTS), min_size=2, max_size=8).map("".join)
cues = st.lists(st.sampled_from(PARTS), min_size=1, max_size=2).map("".join)
contains = st.lists(cues, min_size=1, max_size=3)
mixed = st.fixed_dictionaries(
    {},
    optional={
        "contains": contains,
        "task": st.sampled_from(["code", ["code", "chat"]]),
        "turn": st.just({"min": 2}),
        "model": st.sampled_from(["gpt-*", "vendor/*"]),
        "regex": st.just("ab"),
        "stream": st.booleans(),
    },
)
whens = st.one_of(st.just({"turn": {"max": 9}}), contains.map(lambda cues: {"contains": cues}), mixed)
contexts = st.builds(
    Context,
    task=st.sampled_from(["code", "chat", "math"]),
    turn=st.integers(1, 3),
    model=st.sampled_from(["gpt-4", "vendor/x", "other"]),
    stream=st.booleans(),
    text=texts,
)


def rules(all_of: list[dict[str, Any]]) -> list[Rule]:
    return [Rule(f"r{i}", compile_when(when), Block("p.yaml")) for i, when in enumerate(all_of)]


@pytest.mark.parametrize("many", [1, 64])
@given(all_of=st.lists(whens, max_size=8), asked=st.lists(contexts, min_size=1, max_size=4))
def test_the_rules_that_match_are_those_that_hold(
    many: int, all_of: list[dict[str, Any]], asked: list[Context]
) -> None:
    made = rules(all_of)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(matching, "MANY", many)
        line_up = Matching(made)
        for context in asked:
            assert line_up.matched(context) == tuple(i for i, r in enumerate(made) if r.when.holds(context))


def test_of_many_cues_only_those_are_looked_for_that_the_words_and_characters_of_the_text_allow() -> None:
    looked: list[str] = []

    class Text(str):
        __slots__ = ()

        def lower(self) -> "Text":
            looked.append("lowered")
            return self

        def __contains__(self, cue: object) -> bool:
            looked.append(str(cue))
            return super().__contains__(str(cue))

    made = rules([{"contains": [f"{a}{b}word", f"合{a}{b}"]} for a in "abcdefghij" for b in "abcdefghij"])
    assert Matching(made).matched(Context(text=Text("abword and bcw, 合cc"))) == (1, 22)
    assert looked.count("lowered") == 1
    assert {cue for cue in looked if cue.isascii()} == {"lowered", "abword", "bcword"}
    assert "合jj" not in looked


def test_tasks_without_end_do_not_fill_it(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(matching, "MOST_TASKS", 4)
    line_up = Matching(rules([{"task": "t7"}, {"turn": 1}]))
    assert [line_up.matched(Context(task=f"t{n}")) for n in range(20)] == [
        (0, 1) if n == 7 else (1,) for n in range(20)
    ]
    assert len(line_up._lines) <= 4
