"""Judging: the verdicts that rows would get where the model serves: slips mended, other languages and doubt left aside."""

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from classifier.calibration import softmax
from classifier.language import is_foreign, language_of
from classifier.model import Classifier
from classifier.verdict import GENERAL
from classifier.vocabulary import Document

Array = NDArray[np.float64]
_NONE = np.empty(0, np.uint64)


def document_of(model: Classifier, ask: str) -> Document:
    """The features of an ask as a verdict reads it; none of one in another language."""
    if is_foreign(ask, language_of(ask)):
        return _NONE, _NONE
    found, body = model.hashes(ask)
    return np.unique(found[:body]), np.unique(found[body:])


def logits_of(model: Classifier, documents: Sequence[Document]) -> Array:
    """(documents, tasks) log-odds before the temperature; NaN where nothing says anything."""
    linear = model.linear
    found = [linear.scores(*linear.places(np.concatenate(d))) for d in documents]
    return np.array([s or [np.nan] * len(model.tasks) for s in found]).reshape(len(found), len(model.tasks))


def verdicts(
    logits: Array, tasks: Sequence[str], temperature: float, threshold: float
) -> tuple[list[str], list[float]]:
    """(tasks, confidences) of the rows: `general` below the threshold, and where nothing says anything."""
    p = softmax(np.nan_to_num(logits) / temperature)
    sure = np.where(is_known(logits), p.max(axis=1), -1.0)
    said = [tasks[i] if c >= threshold else GENERAL for i, c in zip(p.argmax(axis=1), sure, strict=True)]
    return said, np.maximum(sure, 0.0).tolist()


def is_known(logits: Array) -> NDArray[np.bool_]:
    """(rows,) whether anything in a row says something."""
    return np.asarray(~np.isnan(logits).any(axis=1))
