"""The corpus: labelled prompts from the task files and from JSONL, each with the source it came from."""

import hashlib
import json
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from classifier.errors import CorpusError
from classifier.language import language_of
from classifier.tasks import Task

PROMPTS = Path(__file__).parent / "prompts"  # written for this project, each by hand and with its task
VALIDATION = Path(__file__).parent / "validation"
OWN_EXAMPLES = "setpoint_examples"
OWN_LICENCE = "MIT"


@dataclass(frozen=True, slots=True)
class Row:
    """One labelled prompt."""

    text: str
    task: str
    lang: str
    source: str
    license: str
    accept: tuple[str, ...] = ()  # other tasks that a fair judge would grant
    own: bool = False  # written for its task, one by one


def examples(tasks: Iterable[Task]) -> list[Row]:
    """The examples of the task files."""
    return [
        Row(text, task.name, lang, OWN_EXAMPLES, OWN_LICENCE, own=True)
        for task in tasks
        for lang, texts in task.examples.items()
        for text in texts
    ]


def cues(tasks: Iterable[Task]) -> list[Row]:
    """The cues of the task files as prompts of a few words."""
    return [
        Row(cue, task.name, lang, OWN_EXAMPLES, OWN_LICENCE, own=True)
        for task in tasks
        for lang, words in task.cues.items()
        for cue in words
    ]


def read(paths: Sequence[Path], tasks: frozenset[str] | None) -> list[Row]:
    """Rows of JSONL files: {"text", "task"} and optionally accept, lang, source, license. Raises CorpusError by file and line.

    Any name of a task is taken where `tasks` is None.
    """
    return [row for path in paths for row in _rows(path, tasks)]


def shipped(tasks: frozenset[str]) -> list[Row]:
    """The prompts that are shipped, as far as their tasks are known."""
    rows = [row for path in sorted(PROMPTS.glob("*.jsonl")) for row in _rows(path, None)]
    return [replace(row, own=True, license=OWN_LICENCE) for row in rows if row.task in tasks]


def validation() -> list[Row]:
    """The prompts that models are judged by: written and labelled before any was tuned on them, never trained on."""
    return [row for lang in ("en", "zh") for row in _rows(VALIDATION / f"{lang}.jsonl", None)]


def digest(rows: Iterable[Row]) -> str:
    """Identifies a corpus, whatever the order of its rows."""
    return hashlib.sha256("\n".join(sorted(f"{r.task}\t{r.text}" for r in rows)).encode()).hexdigest()[:16]


def _rows(path: Path, tasks: frozenset[str] | None) -> Iterable[Row]:
    try:
        lines = path.read_text("utf-8").split("\n")  # not splitlines: U+2028 may stand inside a JSON string
    except (OSError, UnicodeDecodeError) as e:
        raise CorpusError(f"{path}: cannot be read: {e}") from e
    for number, line in enumerate(lines, 1):
        if line.strip():
            yield _row(line, f"{path}:{number}", path.stem, tasks)


def _row(line: str, place: str, source: str, tasks: frozenset[str] | None) -> Row:
    try:
        raw: Any = json.loads(line)
    except ValueError as e:
        raise CorpusError(f"{place}: is not JSON: {e}") from e
    text, task = (raw.get("text"), raw.get("task")) if isinstance(raw, dict) else (None, None)
    if not isinstance(text, str) or not text.strip():
        raise CorpusError(f'{place}: lacks a "text" that says something')
    if not isinstance(task, str) or (tasks is not None and task not in tasks):
        raise CorpusError(f"{place}: the task {task!r} has no file; the tasks are {', '.join(sorted(tasks or ()))}")
    return Row(
        text,
        task,
        str(raw.get("lang") or language_of(text)),
        str(raw.get("source") or source),
        str(raw.get("license") or "not given"),
        tuple(a for a in raw["accept"] if isinstance(a, str)) if isinstance(raw.get("accept"), list) else (),
    )
