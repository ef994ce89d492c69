"""Marking: labelled prompts from files, the verdict that each gets, and what all of them come to."""

import heapq
from collections import Counter
from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from sys import intern

import numpy as np
from numpy.typing import NDArray

from classifier.ask import Ask
from classifier.corpus import Labelled, Progress, labelled
from classifier.errors import CorpusError
from classifier.evaluation import Bin, Scores, TaskScores, by_task, calibration, counted, lenient, score
from classifier.tables import printable, shortened
from classifier.verdict import GENERAL, Verdict

EXCERPT = 100  # columns of a text's beginning

Judge = Callable[[Ask], Verdict]


@dataclass(frozen=True, slots=True)
class Mistake:
    """A row whose verdict is neither its label nor an accepted task. `text` is how the ask begins."""

    place: str
    source: str
    task: str
    verdict: str
    confidence: float
    text: str


@dataclass(frozen=True, slots=True)
class Evaluation:
    """What verdicts on labelled prompts come to; `scores` is of all rows that could be answered.

    `unanswerable` are labels that the classifier does not know, and how many rows have them; `never_granted` are accepted
    tasks that it does not know. Of `mistakes`, the most confident stands first.
    """

    scores: Scores
    languages: Mapping[str, Scores]
    sources: Mapping[str, Scores]
    tasks: Mapping[str, TaskScores]
    names: Sequence[str]
    counts: NDArray[np.int64]  # (names, names): a row a label, a column a verdict
    calibration: Sequence[Bin]
    mistakes: Sequence[Mistake]
    unanswerable: Mapping[str, int]
    never_granted: Mapping[str, int]


def evaluate(
    paths: Sequence[Path],
    judge: Judge,
    tasks: Collection[str],
    mistakes: int = 10,
    progress: Progress = lambda said: None,
) -> Evaluation:
    """Judge every row of JSONL files; `tasks` are those that `judge` can tell. Raises CorpusError by file and line.

    One pass: of a row only its names and numbers are kept, and of the mistakes the worst.
    """
    known, marks, worst = frozenset((*tasks, GENERAL)), _Marks(), _Worst(mistakes)
    unanswerable: Counter[str] = Counter()
    never_granted: Counter[str] = Counter()
    for row in (row for path in paths for row in labelled(path, progress)):
        if row.task not in known:
            unanswerable[row.task] += 1
            continue
        never_granted.update(task for task in row.accept if task not in known)
        verdict = judge(row.ask)
        marks.add(row, verdict)
        worst.add(row, verdict)
    if not marks.truth:
        raise CorpusError(_nothing(paths, tasks, unanswerable))
    return Evaluation(
        marks.score(range(len(marks.truth))),
        marks.score_by(marks.lang),
        marks.score_by(marks.source),
        by_task(marks.truth, marks.said),
        *counted(marks.truth, marks.said),
        calibration(marks.truth, marks.said, marks.confidence, marks.accept),
        worst.first(),
        dict(unanswerable.most_common()),
        dict(never_granted.most_common()),
    )


@dataclass(slots=True)
class _Marks:
    """Columns; equal names are one object, so that a million rows are a few pointers each."""

    truth: list[str] = field(default_factory=list)
    said: list[str] = field(default_factory=list)
    confidence: list[float] = field(default_factory=list)
    accept: list[tuple[str, ...]] = field(default_factory=list)
    lang: list[str] = field(default_factory=list)
    source: list[str] = field(default_factory=list)
    _accepts: dict[tuple[str, ...], tuple[str, ...]] = field(default_factory=dict)

    def add(self, row: Labelled, verdict: Verdict) -> None:
        self.truth.append(intern(row.task))
        self.said.append(intern(verdict.task))
        self.confidence.append(verdict.confidence)
        self.accept.append(self._accepts.setdefault(row.accept, row.accept))
        self.lang.append(intern(row.lang))
        self.source.append(intern(row.source))

    def score(self, rows: Sequence[int]) -> Scores:
        return score(
            [self.truth[i] for i in rows],
            [self.said[i] for i in rows],
            [self.confidence[i] for i in rows],
            [self.accept[i] for i in rows],
        )

    def score_by(self, names: Sequence[str]) -> dict[str, Scores]:
        rows: dict[str, list[int]] = {}
        for i, name in enumerate(names):
            rows.setdefault(name, []).append(i)
        return {name: self.score(rows[name]) for name in sorted(rows)}


class _Worst:
    """The most confident mistakes; of equals, those that came first."""

    def __init__(self, most: int) -> None:
        self._most = most
        self._heap: list[tuple[float, int, Mistake]] = []
        self._count = 0

    def add(self, row: Labelled, verdict: Verdict) -> None:
        if verdict.task == GENERAL or lenient(row.task, verdict.task, row.accept):
            return
        self._count += 1
        if len(self._heap) < self._most:
            heapq.heappush(self._heap, (verdict.confidence, -self._count, _mistake(row, verdict)))
        elif self._heap and verdict.confidence > self._heap[0][0]:
            heapq.heapreplace(self._heap, (verdict.confidence, -self._count, _mistake(row, verdict)))

    def first(self) -> list[Mistake]:
        return [mistake for *_, mistake in sorted(self._heap, reverse=True)]


def _mistake(row: Labelled, verdict: Verdict) -> Mistake:
    text = shortened(printable(row.ask.text[: 4 * EXCERPT]), EXCERPT)
    return Mistake(printable(row.place), row.source, row.task, verdict.task, verdict.confidence, text)


def _nothing(paths: Sequence[Path], tasks: Collection[str], unanswerable: Mapping[str, int]) -> str:
    where = ", ".join(map(str, paths))
    if not unanswerable:
        return f"{where}: has no rows"
    labels = shortened(", ".join(unanswerable), 80)
    return f"{where}: none of its labels ({labels}) is a task of this classifier; it knows {', '.join(sorted(tasks))}"
