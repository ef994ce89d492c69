"""Texts that are read together get what each of them gets alone."""

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from classifier.ask import Ask, read_messages, read_text
from classifier.model import SEVERAL, Classifier
from classifier.together import MOST, read_together

MODEL = Classifier.load()
WORDS = st.sampled_from(
    [
        "write",
        "a",
        "function",
        "summarize",
        "this",
        "translate",
        "翻译",
        "写一个",
        "函数",
        "总结",
        "这篇",
        "文章",
        "poem",
        "2024",
        "3.14",
        "?!",
        "\n",
        "email",
        "😀",
        "naïve",
        "Привет",
    ]
)
TEXTS = st.one_of(
    st.text(max_size=80),
    st.lists(WORDS, max_size=60).map(" ".join),
    st.sampled_from(["", " ", ".", "x" * 5_000, "的" * 3_000]),
)


@settings(max_examples=150, deadline=None)
@given(st.lists(TEXTS, min_size=1, max_size=12))
def test_probabilities_are_the_same_but_for_rounding(texts: list[str]) -> None:
    together = read_together(MODEL.linear, [MODEL._mended(text) for text in texts], MODEL._scale)
    for text, found in zip(texts, together, strict=True):
        alone = MODEL.probabilities(text)
        assert (found is None) == (alone is None), text
        if found is not None and alone is not None:
            assert found == pytest.approx(alone, abs=1e-5)


@settings(max_examples=60, deadline=None)
@given(st.lists(TEXTS, min_size=SEVERAL, max_size=20), st.data())
def test_so_are_verdicts_in_conversations(texts: list[str], data: st.DataObject) -> None:
    asks: list[Ask] = []
    for text in texts:
        system = {"role": "system", "content": data.draw(st.sampled_from(["You are a translator.", "Be kind.", ""]))}
        before = {"role": "user", "content": data.draw(TEXTS)}
        asks.append(
            read_messages([system, before, {"role": "assistant", "content": "ok"}, {"role": "user", "content": text}])
        )
    one_by_one, together = Classifier.load(), Classifier.load()
    for found, alone in zip(together.classify_all(asks), [one_by_one.classify(a) for a in asks], strict=True):
        assert (found.task, found.source) == (alone.task, alone.source)
        assert found.confidence == pytest.approx(alone.confidence, abs=1e-5)


def test_more_texts_than_are_read_at_once() -> None:
    asks = [read_text(f"Write a function that sorts a list of {n} dates.") for n in range(2 * MOST + 3)]
    assert {verdict.task for verdict in MODEL.classify_all(asks)} == {"code"}
    assert MODEL.classify_all([]) == []
