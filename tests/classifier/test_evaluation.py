"""Scores by hand."""

import numpy as np
import pytest

from classifier.evaluation import confusion, score


def test_scores_are_what_they_are_by_hand() -> None:
    scores = score(["a", "a", "b", "b"], ["a", "b", "b", "b"], np.array([0.95, 0.75, 0.75, 0.25]))
    assert scores.accuracy == 0.75
    assert scores.macro_f1 == pytest.approx((2 / 3 + 4 / 5) / 2)
    assert scores.sure == 0.75
    assert scores.right_when_sure == pytest.approx(2 / 3)
    assert scores.ece == pytest.approx(0.05 / 4 + 0.25 / 2 + 0.75 / 4)


def test_the_confusion_table_has_a_row_a_label() -> None:
    lines = confusion(["a", "b"], ["b", "b"]).splitlines()
    assert [line.split() for line in lines] == [["a", "b"], ["a", ".", "1"], ["b", ".", "1"]]
