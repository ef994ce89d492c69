"""Calibration: confidence that is honest, and the confidence from which on a verdict is worth giving."""

from collections import Counter
from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray
from scipy.optimize import minimize_scalar

from classifier.corpus import Row

WORTH = (
    0.25  # a verdict is given where so many are right by the strict labels of sources left out, and a third leniently
)
THRESHOLD = 0.35  # where there are too few sources to tell

Array = NDArray[np.float64]


def temperature_of(logits: Array, rows: Sequence[Row], labels: Sequence[str]) -> float:
    """The scale at which confidence is honest, by log-loss of whatever a fair judge grants. A source counts by the root of
    its size."""
    granted, weight = _granted(rows, labels), _weights(rows)

    def loss(temperature: float) -> float:
        p = (softmax(logits / temperature) * granted).sum(axis=1)
        return float(np.average(-np.log(np.maximum(p, 1e-12)), weights=weight))

    return float(minimize_scalar(loss, bounds=(0.2, 5), method="bounded").x)


def threshold_of(logits: Array, rows: Sequence[Row], labels: Sequence[str], temperature: float) -> float:
    """The lowest confidence, in steps of 0.05, around which verdicts are right often enough."""
    p, granted, weight = softmax(logits / temperature), _granted(rows, labels), _weights(rows)
    sure, right = p.max(axis=1), granted[np.arange(len(rows)), p.argmax(axis=1)]
    for step in range(3, 13):
        around = np.abs(sure - (step * 0.05 + 0.025)) <= 0.05
        if around.any() and np.average(right[around], weights=weight[around]) >= WORTH:
            return round(step * 0.05, 2)
    return THRESHOLD


def softmax(logits: Array) -> Array:
    """(rows, tasks) probabilities."""
    e = np.exp(logits - logits.max(axis=1, keepdims=True))
    p: Array = e / e.sum(axis=1, keepdims=True)
    return p


def _granted(rows: Sequence[Row], labels: Sequence[str]) -> Array:
    """(rows, tasks) 1 where a task is right."""
    return np.array([[float(t == r.task or t in r.accept) for t in labels] for r in rows])


def _weights(rows: Sequence[Row]) -> Array:
    size = Counter(r.source for r in rows)
    return np.array([size[r.source] ** -0.5 for r in rows])
