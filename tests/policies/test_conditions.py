"""Conditions of rules."""

import pytest

from policies.conditions import compile_when
from policies.context import Context

legal = Context(
    task="open_qa",
    text="这份合同是否有效？",
    language="zh",
    tenant="a",
    model="Qwen/Qwen3-8B",
    tags={"precision": "int8"},
    turn=2,
    headers={"x-team": "search"},
)


@pytest.mark.parametrize(
    ("when", "holds"),
    [
        ({"contains": ["法律", "合同"]}, True),
        ({"contains": "legal"}, False),
        ({"regex": "^这份"}, True),
        ({"language": "zh", "tenant": "b"}, False),
        ({"model": "qwen3*"}, True),
        ({"model": ["gpt-*", "QWEN/*"]}, True),
        ({"upstream": {"precision": "int8"}}, True),
        ({"upstream": {"precision": "fp16"}}, False),
        ({"upstream": {"precision": "int8", "zone": "b"}}, False),
        ({"turn": {"min": 2}}, True),
        ({"turn": 1}, False),
        ({"header": {"X-Team": "sea*"}}, True),
        ({"header": {"x-none": "*"}}, False),
        ({"tools": False, "images": False}, True),
        ({"length": {"max": 20}}, True),
    ],
)
def test_a_condition_holds_when_all_its_keys_do(when: dict[str, object], holds: bool) -> None:
    assert compile_when(when).holds(legal) is holds


@pytest.mark.parametrize(
    ("text", "holds"),
    [("Is it legal?", True), ("LEGALLY binding", True), ("illegal move", False), ("paralegal", False)],
)
def test_a_latin_cue_starts_where_a_word_starts(text: str, holds: bool) -> None:
    assert compile_when({"contains": ["legal"]}).holds(Context(text=text)) is holds


@pytest.mark.parametrize(
    "when",
    [
        {"turn": "2"},
        {"turn": {"from": 1}},
        {"tools": "yes"},
        {"header": "x"},
        {"contains": []},
        {"upstream": {}},
        {"turn": {"min": "a"}},
    ],
)
def test_a_condition_of_the_wrong_type_is_refused_by_its_key(when: dict[str, object]) -> None:
    with pytest.raises(ValueError, match=next(iter(when))):
        compile_when(when)
