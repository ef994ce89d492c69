"""Evaluation: how right, how well calibrated, and where the mistakes are."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray


@dataclass(frozen=True, slots=True)
class Scores:
    """Scores of predictions against labels, each in [0, 1]. `ece` is the expected calibration error over ten bins."""

    rows: int
    accuracy: float
    macro_f1: float
    ece: float
    sure: float  # share of rows with confidence ≥ 0.7
    right_when_sure: float

    def __str__(self) -> str:
        return (
            f"{self.rows} rows: accuracy {self.accuracy:.3f}, macro-F1 {self.macro_f1:.3f}, calibration error {self.ece:.3f}, "
            f"at confidence ≥ 0.7 {self.right_when_sure:.3f} right on {self.sure:.0%}"
        )


def score(truth: Sequence[str], said: Sequence[str], confidence: NDArray[np.float64]) -> Scores:
    """Compare predictions with labels."""
    t, s = np.asarray(truth), np.asarray(said)
    right = t == s
    sure = confidence >= 0.7
    return Scores(
        len(t),
        float(right.mean()),
        float(np.mean([_f1(t == label, s == label) for label in sorted(set(truth))])),
        _ece(right, confidence),
        float(sure.mean()),
        float(right[sure].mean()) if sure.any() else 0.0,
    )


def confusion(truth: Sequence[str], said: Sequence[str]) -> str:
    """The confusion matrix as text: a row a label, a column a prediction."""
    labels = sorted(set(truth) | set(said))
    width = max(map(len, labels))
    counts = {(a, b): 0 for a in labels for b in labels}
    for pair in zip(truth, said, strict=True):
        counts[pair] += 1
    top = " " * width + "".join(f"{label[:5]:>7}" for label in labels)
    return "\n".join([top, *(f"{a:<{width}}" + "".join(f"{counts[a, b] or '.':>7}" for b in labels) for a in labels)])


def _f1(truth: NDArray[np.bool_], said: NDArray[np.bool_]) -> float:
    both = float((truth & said).sum())
    return 2 * both / float(truth.sum() + said.sum()) if both else 0.0


def _ece(right: NDArray[np.bool_], confidence: NDArray[np.float64]) -> float:
    bins = np.minimum((confidence * 10).astype(int), 9)
    return float(
        sum(
            abs(right[bins == b].mean() - confidence[bins == b].mean()) * (bins == b).mean()
            for b in range(10)
            if (bins == b).any()
        )
    )
