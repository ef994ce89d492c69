"""What an evaluation of the classifier looks like: as JSON, and as text for a terminal."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import asdict
from typing import Any

from classifier.evaluation import SURE, Scores
from classifier.marking import Evaluation, Mistake
from classifier.tables import aligned, matrix, shortened

SHOWN = 40  # rows of a table in the terminal; --json has all
_HEADER = ("", "rows", "strict", "lenient", "macro-F1", "temp.", "ECE", f"≥ {SURE}", "right", "abstained")
_LEGEND = f"""\
strict: the verdict is the label; lenient: it is the label or an accepted task; so count temp., ECE and right too
temp.: its task has the right temperature on DeepSeek's scale; ECE: expected calibration error, abstentions aside
≥ {SURE}: share of verdicts with such a confidence, and how many of them are right"""


def as_json(evaluation: Evaluation, artefact: str) -> dict[str, Any]:
    """All of it, as one document."""
    return {
        "artefact": artefact,
        "all": asdict(evaluation.scores),
        "languages": {name: asdict(s) for name, s in evaluation.languages.items()},
        "sources": {name: asdict(s) for name, s in evaluation.sources.items()},
        "tasks": {name: asdict(s) for name, s in evaluation.tasks.items()},
        "confusion": {"tasks": list(evaluation.names), "counts": evaluation.counts.tolist()},
        "calibration": [asdict(b) for b in evaluation.calibration],
        "mistakes": [asdict(m) for m in evaluation.mistakes],
        "not_answerable": {"rows": sum(evaluation.unanswerable.values()), "tasks": dict(evaluation.unanswerable)},
        "never_granted": dict(evaluation.never_granted),
    }


def as_text(evaluation: Evaluation, artefact: str, width: int) -> str:
    """Tables, the confusion matrix and the worst mistakes, at most `width` columns where that can be."""
    return "\n\n".join(_parts(evaluation, artefact, width)) + "\n"


def _parts(e: Evaluation, artefact: str, width: int) -> Iterator[str]:
    yield "\n".join([f"{e.scores.rows:,} rows judged by the classifier {artefact}", *_left_out(e)])
    yield aligned(
        _HEADER,
        [_line("all", e.scores), *(_line(f"language {n}", s) for n, s in _most(e.languages))],
    )
    yield aligned(_HEADER, [_line(name, s) for name, s in _most(e.sources)]) + _rest("sources", e.sources)
    yield _LEGEND
    yield aligned(
        ("task", "labels", "verdicts", "precision", "recall", "F1"),
        [
            (name, f"{t.rows:,}", f"{t.verdicts:,}", _share(t.precision), _share(t.recall), _share(t.f1))
            for name, t in e.tasks.items()
        ],
    )
    yield f"A row a label, a column a verdict:\n{matrix(e.names, e.counts, width)}"
    if e.mistakes:
        yield "\n".join(["The most confident mistakes:", *(line for m in e.mistakes for line in _mistake(m, width))])


def _left_out(e: Evaluation) -> Iterator[str]:
    if e.unanswerable:
        rows = sum(e.unanswerable.values())
        yield (
            f"not answerable, left out: {rows:,} of {rows + e.scores.rows:,} rows; the classifier has no task "
            f"{_counts(e.unanswerable)}"
        )
    if e.never_granted:
        yield f"accepted in vain: the classifier has no task {_counts(e.never_granted)}"


def _line(name: str, s: Scores) -> tuple[str, ...]:
    return (
        name,
        f"{s.rows:,}",
        _share(s.accuracy),
        _share(s.lenient),
        _share(s.macro_f1),
        _share(s.right_temperature),
        _share(s.ece),
        f"{s.sure:.0%}",
        _share(s.right_when_sure),
        f"{s.abstained:.0%}",
    )


def _share(value: float | None) -> str:
    return "-" if value is None else f"{value:.3f}"


def _most(scores: Mapping[str, Scores]) -> Sequence[tuple[str, Scores]]:
    """Those with the most rows, by name."""
    return sorted(sorted(scores.items(), key=lambda item: -item[1].rows)[:SHOWN])


def _rest(what: str, scores: Mapping[str, Scores]) -> str:
    return f"\n... and {len(scores) - SHOWN:,} {what} with fewer rows; --json has all" if len(scores) > SHOWN else ""


def _counts(tasks: Mapping[str, int]) -> str:
    shown = [f"{shortened(name, 40)} ({n:,})" for name, n in list(tasks.items())[:8]]
    return ", ".join(shown) + (f" and {len(tasks) - 8:,} more" if len(tasks) > 8 else "")


def _mistake(m: Mistake, width: int) -> Iterator[str]:
    yield f"{m.confidence:.3f}  {m.task} → {m.verdict}  {shortened(m.source, 40)}, {m.place}"
    yield f"       {shortened(m.text, max(width - 7, 20))}"
