"""Scores by hand."""

from dataclasses import astuple

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from classifier.evaluation import Scores, by_task, calibration, confusion, score
from classifier.temperatures import TEMPERATURE, is_right
from classifier.verdict import GENERAL


def test_scores_are_what_they_are_by_hand() -> None:
    scores = score(["a", "a", "b", "b"], ["a", "b", "b", "b"], np.array([0.95, 0.75, 0.75, 0.25]))
    assert scores.accuracy == scores.lenient == 0.75
    assert scores.macro_f1 == pytest.approx((2 / 3 + 4 / 5) / 2)
    assert scores.sure == 0.75
    assert scores.right_when_sure == pytest.approx(2 / 3)
    assert scores.ece == pytest.approx(0.05 / 4 + 0.25 / 2 + 0.75 / 4)
    assert scores.abstained == 0


def test_an_accepted_task_is_right_but_for_the_strict_score_and_macro_f1() -> None:
    scores = score(["a", "b"], ["b", "c"], [0.9, 0.8], [("b", "x"), ("a",)])
    assert (scores.accuracy, scores.lenient, scores.macro_f1, scores.right_when_sure) == (0, 0.5, 0, 0.5)
    assert scores.ece == pytest.approx(0.1 / 2 + 0.8 / 2)


def test_abstaining_is_right_where_the_label_says_so_and_claims_nothing() -> None:
    scores = score([GENERAL, "a", "a"], [GENERAL, GENERAL, "a"], [0.0, 0.3, 0.6])
    assert scores.accuracy == scores.abstained == pytest.approx(2 / 3)
    assert scores.ece == pytest.approx(0.4)  # of the one verdict
    assert score(["a"], [GENERAL], [0.9]).sure == 0  # a threshold above 0.9: it was not given


def test_what_cannot_be_told_is_none() -> None:
    scores = score(["mine"], [GENERAL], [0.2])
    assert (scores.right_temperature, scores.right_when_sure, scores.ece) == (None, None, 0)
    assert "0%" in str(scores)


def test_the_temperature_is_right_if_the_tasks_share_it() -> None:
    assert is_right("math", "code")
    assert not is_right("chat", "code")
    assert is_right("chat", "code", ["translation"])  # an accepted task has the verdict's temperature
    assert is_right(GENERAL, "summarization")
    assert is_right("mine", "code") is None
    assert is_right("code", "mine") is None
    assert is_right("code", "math", ["mine"])
    assert score(["code", "mine", "chat"], ["math", "mine", "code"], [0.5] * 3).right_temperature == 0.5


def test_every_shipped_task_has_a_temperature_to_be_judged_by() -> None:
    from classifier.tasks import load_tasks

    assert set(TEMPERATURE) == {t.name for t in load_tasks()} | {GENERAL}


def test_precision_and_recall_by_task() -> None:
    tasks = by_task(["a", "a", "b"], ["a", "c", "a"])
    assert (tasks["a"].rows, tasks["a"].verdicts) == (2, 2)
    assert (tasks["a"].precision, tasks["a"].recall, tasks["a"].f1) == (0.5, 0.5, 0.5)
    assert (tasks["b"].precision, tasks["b"].recall, tasks["b"].f1) == (None, 0, 0)
    assert (tasks["c"].precision, tasks["c"].recall, tasks["c"].f1) == (0, None, 0)


def test_calibration_counts_verdicts_by_their_confidence() -> None:
    bins = calibration(["a", "a", "b", "b"], ["a", "b", "b", GENERAL], [1.0, 0.95, 0.31, 0.31], [(), ("b",), (), ()])
    assert [b.rows for b in bins] == [0, 0, 0, 1, 0, 0, 0, 0, 0, 2]
    assert (bins[9].low, bins[9].high, bins[9].right) == (0.9, 1.0, 1)
    assert bins[9].confidence == pytest.approx(0.975)
    assert bins[0].confidence is bins[0].right is None


def test_the_confusion_table_has_a_row_a_label() -> None:
    lines = confusion(["a", "b"], ["b", "b"]).splitlines()
    assert [line.split() for line in lines] == [["a", "b"], ["a", ".", "1"], ["b", ".", "1"]]


names = st.sampled_from([*list(TEMPERATURE)[:6], GENERAL, "mine"])
rows = st.lists(st.tuples(names, names, st.floats(0, 1), st.lists(names, max_size=2)), min_size=1)


@given(rows)
def test_scores_are_shares_and_the_order_of_rows_is_nothing(found: list[tuple[str, str, float, list[str]]]) -> None:
    def scored(some: list[tuple[str, str, float, list[str]]]) -> Scores:
        return score([r[0] for r in some], [r[1] for r in some], [r[2] for r in some], [r[3] for r in some])

    scores, again = scored(found), scored(found[::-1])
    values = (scores.accuracy, scores.lenient, scores.macro_f1, scores.ece, scores.sure, scores.abstained)
    assert all(0 <= v <= 1 for v in values)
    assert scores.lenient >= scores.accuracy
    assert astuple(again) == pytest.approx(astuple(scores))
