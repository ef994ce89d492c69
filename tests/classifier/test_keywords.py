"""Keyword rules: what stands in when the trained model cannot be used."""

import pytest

from classifier.ask import read_text
from classifier.keywords import CONFIDENCE, Keywords


@pytest.mark.parametrize(
    ("text", "task"),
    [
        ("Summarize this article", "summarization"),
        ("write a python function that sorts", "code"),
        ("把下面这句话翻译成英文:早上好", "translation"),
    ],
)
def test_the_first_cue_says_the_task(text: str, task: str) -> None:
    verdict = Keywords.load().classify(read_text(text))
    assert (verdict.task, verdict.confidence, verdict.source) == (task, CONFIDENCE, "keywords")


def test_a_cue_inside_a_longer_word_is_none() -> None:
    assert Keywords.load().classify(read_text("chivalry")).task == "general"  # not "hi"


def test_without_a_cue_the_rules_abstain() -> None:
    verdict = Keywords.load().classify(read_text("zzz"))
    assert (verdict.task, verdict.confidence, verdict.source) == ("general", 0.0, "abstained")
