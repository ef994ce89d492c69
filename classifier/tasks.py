"""Task files: one YAML a task, with its description, cues and examples in English and Chinese."""

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

import yaml
from pydantic import BaseModel, ConfigDict, Field, ValidationError

from classifier.envelope import opened
from classifier.errors import TasksError
from classifier.tables import printable, shortened
from classifier.verdict import GENERAL, TASK

FOLDER = Path(__file__).parent / "tasks"


class _File(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True)

    task: str = Field(pattern=TASK)
    description: str = Field(min_length=1)
    cues: dict[str, list[str]] = Field(default_factory=dict)
    examples: dict[str, list[str]] = Field(min_length=1)


@dataclass(frozen=True, slots=True)
class Task:
    """What people ask for with one name. Cues and examples by language."""

    name: str
    description: str
    cues: Mapping[str, tuple[str, ...]]
    examples: Mapping[str, tuple[str, ...]]


def load_tasks(folder: Path | None = None, least: int = 2) -> tuple[Task, ...]:
    """The tasks of a folder, by name; `least` so many. Raises TasksError naming the file and the key."""
    folder = folder or FOLDER
    files = sorted(folder.glob("*.yaml")) if folder.is_dir() else []
    if len(files) < least:
        number = "a task file" if least == 1 else "at least two task files"
        raise TasksError(f"{folder}: needs {number}, *.yaml with task, description and examples")
    tasks = [_load(file) for file in files]
    names = [t.name for t in tasks]
    twice = next((n for n in names if names.count(n) > 1), None)
    if twice or GENERAL in names:
        raise TasksError(
            f"{folder}: the task {twice or GENERAL} {'stands in two files' if twice else 'is what abstaining is called; choose another name'}"
        )
    return tuple(sorted(tasks, key=lambda t: t.name))


def _load(file: Path) -> Task:
    try:
        raw = yaml.safe_load(file.read_text("utf-8"))
    # A date that is none is a ValueError, and what is nested without end a RecursionError.
    except (OSError, ValueError, RecursionError, yaml.YAMLError) as e:
        raise TasksError(f"{file}: cannot be read: {e}") from e
    if not isinstance(raw, dict):
        raise TasksError(f"{file}: is not a mapping; write task, description and examples")
    try:
        found = _File.model_validate(raw)
    except ValidationError as e:
        first = e.errors()[0]
        raise TasksError(f"{file}: {'.'.join(map(str, first['loc']))}: {first['msg']}") from e
    for key, given in (("cues", found.cues), ("examples", found.examples)):
        _require_asks(file, key, given)
    cues = {lang: tuple(c.lower() for c in words) for lang, words in found.cues.items()}
    return Task(found.task, found.description, cues, {lang: tuple(x) for lang, x in found.examples.items()})


def _require_asks(file: Path, key: str, given: Mapping[str, list[str]]) -> None:
    """Each must say something to those who read it: training, and rules that look for it in a text."""
    for lang, texts in given.items():
        for number, text in enumerate(texts, 1):
            if not text.strip():
                raise TasksError(f"{file}: {key}.{lang}: number {number} is blank")
            if not opened(text):
                raise TasksError(
                    f"{file}: {key}.{lang}: number {number} is nothing but what a program wraps around an ask, and that is "
                    f"taken off: {shortened(printable(text), 60)}"
                )
