"""Evaluation: how right, how well calibrated, and where the mistakes are."""

import itertools
from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from classifier import tables
from classifier.temperatures import is_right
from classifier.verdict import GENERAL

SURE = 0.7  # confidence from which on a verdict is called sure
BINS = 10  # of confidence, of the same width
WIDTH = 120  # columns of a confusion matrix

Confidences = Sequence[float] | NDArray[np.float64]


@dataclass(frozen=True, slots=True)
class Scores:
    """Scores of verdicts against labels, each in [0, 1]; None where there is nothing to tell it from.

    `lenient` grants the accepted tasks beside the label, and so do all that follow it but `macro_f1`. Abstaining gives
    `general`, which is right where that is the label; it claims nothing, so `ece` and `sure` are about the other verdicts.
    """

    rows: int
    accuracy: float  # the label itself
    lenient: float
    macro_f1: float  # over the labels that occur
    right_temperature: float | None  # the verdict's task has the label's temperature; of tasks that have one
    ece: float  # expected calibration error over ten bins
    sure: float  # share of rows with confidence ≥ 0.7
    right_when_sure: float | None
    abstained: float

    def __str__(self) -> str:
        lenient = "" if self.lenient == self.accuracy else f", lenient {self.lenient:.3f}"
        when_sure = "" if self.right_when_sure is None else f"{self.right_when_sure:.3f} right on "
        return (
            f"{self.rows} rows: accuracy {self.accuracy:.3f}{lenient}, macro-F1 {self.macro_f1:.3f}, calibration error "
            f"{self.ece:.3f}, at confidence ≥ {SURE} {when_sure}{self.sure:.0%}, abstained {self.abstained:.0%}"
        )


@dataclass(frozen=True, slots=True)
class TaskScores:
    """Of one task: how many rows have it as their label, how many as their verdict, and the two set against each other."""

    rows: int
    verdicts: int
    precision: float | None
    recall: float | None
    f1: float


@dataclass(frozen=True, slots=True)
class Bin:
    """The verdicts whose confidence is in [low, high): how many, how sure on average, and which share is right (lenient)."""

    low: float
    high: float
    rows: int
    confidence: float | None
    right: float | None


def score(
    truth: Sequence[str], said: Sequence[str], confidence: Confidences, accept: Sequence[Iterable[str]] | None = None
) -> Scores:
    """Compare verdicts with labels, of at least one row; `accept` are the other tasks that are granted, by row."""
    rows = len(truth)
    granted = [()] * rows if accept is None else accept
    right = [lenient(t, s, also) for t, s, also in zip(truth, said, granted, strict=True)]
    temperature = [is_right(s, t, also) for t, s, also in zip(truth, said, granted, strict=True)]
    known = [r for r in temperature if r is not None]
    f1 = [of.f1 for of in by_task(truth, said).values() if of.rows]
    claims = [(r, float(c)) for r, s, c in zip(right, said, confidence, strict=True) if s != GENERAL]
    sure = [r for r, c in claims if c >= SURE]
    return Scores(
        rows,
        sum(map(str.__eq__, truth, said)) / rows,
        sum(right) / rows,
        sum(f1) / len(f1),
        sum(known) / len(known) if known else None,
        _ece(_binned(claims)),
        len(sure) / rows,
        sum(sure) / len(sure) if sure else None,
        sum(s == GENERAL for s in said) / rows,
    )


def lenient(truth: str, said: str, accept: Iterable[str]) -> bool:
    """Whether a verdict is the label or an accepted task."""
    return said == truth or said in accept


def by_task(truth: Sequence[str], said: Sequence[str]) -> dict[str, TaskScores]:
    """The scores of each task that is a label or a verdict, by name."""
    labels, verdicts = Counter(truth), Counter(said)
    both = Counter(t for t, s in zip(truth, said, strict=True) if t == s)
    return {
        task: TaskScores(
            labels[task],
            verdicts[task],
            both[task] / verdicts[task] if verdicts[task] else None,
            both[task] / labels[task] if labels[task] else None,
            2 * both[task] / (labels[task] + verdicts[task]),
        )
        for task in sorted(labels | verdicts)
    }


def calibration(
    truth: Sequence[str], said: Sequence[str], confidence: Confidences, accept: Sequence[Iterable[str]]
) -> list[Bin]:
    """Confidence against what it came to, in ten bins. Abstentions are in none."""
    rows = zip(truth, said, confidence, accept, strict=True)
    return _binned((lenient(t, s, also), float(c)) for t, s, c, also in rows if s != GENERAL)


def counted(truth: Sequence[str], said: Sequence[str]) -> tuple[list[str], NDArray[np.int64]]:
    """(names, counts): how often the task of a row's name got the verdict of a column's."""
    names = sorted({*truth, *said})
    place = {name: i for i, name in enumerate(names)}
    counts = np.zeros((len(names), len(names)), np.int64)
    for (t, s), n in Counter(zip(truth, said, strict=True)).items():
        counts[place[t], place[s]] = n
    return names, counts


def confusion(truth: Sequence[str], said: Sequence[str], width: int = WIDTH) -> str:
    """The confusion matrix as text: a row a label, a column a verdict, in the same order."""
    return tables.matrix(*counted(truth, said), width)


def _binned(claims: Iterable[tuple[bool, float]]) -> list[Bin]:
    rows, right, confidence = [0] * BINS, [0] * BINS, [0.0] * BINS
    for is_so, sure in claims:
        place = min(int(sure * BINS), BINS - 1)
        rows[place] += 1
        right[place] += is_so
        confidence[place] += sure
    edges = itertools.pairwise(i / BINS for i in range(BINS + 1))
    return [
        Bin(low, high, n, c / n if n else None, r / n if n else None)
        for (low, high), n, r, c in zip(edges, rows, right, confidence, strict=True)
    ]


def _ece(bins: Sequence[Bin]) -> float:
    full = [(b.rows, abs(b.right - b.confidence)) for b in bins if b.right is not None and b.confidence is not None]
    return sum(n * gap for n, gap in full) / sum(n for n, _ in full) if full else 0.0
