"""Calibration: confidence that is honest, and the confidence from which on a verdict is worth giving."""

from collections import Counter
from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray
from scipy.optimize import minimize_scalar

from classifier.corpus import Row

WORTH = 0.3  # a verdict is given where at least so many are right, out of source: two guesses in thirteen would be 0.15
THRESHOLD = 0.35  # where there are too few sources to tell

Array = NDArray[np.float64]


def calibrated(logits: Array, rows: Sequence[Row], labels: Sequence[str]) -> tuple[float, float]:
    """(temperature, threshold): the scale at which confidence is honest on sources not seen, and from where a verdict is
    worth giving. Each source counts by the root of its size."""
    y = np.array([labels.index(r.task) for r in rows])
    size = Counter(r.source for r in rows)
    weight = np.array([size[r.source] ** -0.5 for r in rows])

    def loss(temperature: float) -> float:
        p = softmax(logits / temperature)[np.arange(len(y)), y]
        return float(np.average(-np.log(np.maximum(p, 1e-12)), weights=weight))

    temperature = float(minimize_scalar(loss, bounds=(0.2, 5), method="bounded").x)
    p = softmax(logits / temperature)
    return temperature, _threshold(p.max(axis=1), p.argmax(axis=1) == y, weight)


def softmax(logits: Array) -> Array:
    """(rows, tasks) probabilities."""
    e = np.exp(logits - logits.max(axis=1, keepdims=True))
    p: Array = e / e.sum(axis=1, keepdims=True)
    return p


def _threshold(sure: Array, right: NDArray[np.bool_], weight: Array) -> float:
    """The lowest confidence, in steps of 0.05, around which verdicts are right often enough."""
    for step in range(3, 13):
        around = np.abs(sure - (step * 0.05 + 0.025)) <= 0.05
        if around.any() and np.average(right[around], weights=weight[around]) >= WORTH:
            return round(step * 0.05, 2)
    return THRESHOLD
