"""The corpus: labelled prompts from the task files and from JSONL, each with the source it came from."""

import hashlib
import json
import os
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from classifier.ask import Ask, read_messages, read_text
from classifier.envelope import opened
from classifier.errors import CorpusError
from classifier.language import language_of
from classifier.tables import printable, shortened
from classifier.tasks import Task
from classifier.verdict import GENERAL, is_task

PROMPTS = Path(__file__).parent / "prompts"  # written for this project, each by hand and with its task
VALIDATION = Path(__file__).parent / "validation"
OWN_EXAMPLES = "setpoint_examples"
OWN_LICENCE = "MIT"
TOLD_EVERY = 20_000  # lines; with a verdict each, a second or two

Progress = Callable[[str], None]


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
    place: str = ""  # its file and line


@dataclass(frozen=True, slots=True)
class Labelled:
    """One ask with its label, to judge verdicts by. `place` is its file and line."""

    ask: Ask
    task: str
    accept: tuple[str, ...]
    lang: str
    source: str
    place: str


def examples(tasks: Iterable[Task]) -> list[Row]:
    """The examples of the task files."""
    return [
        Row(text, task.name, lang, OWN_EXAMPLES, OWN_LICENCE, own=True, place=f"the examples of {task.name}")
        for task in tasks
        for lang, texts in task.examples.items()
        for text in texts
    ]


def cues(tasks: Iterable[Task]) -> list[Row]:
    """The cues of the task files as prompts of a few words."""
    return [
        Row(cue, task.name, lang, OWN_EXAMPLES, OWN_LICENCE, own=True, place=f"the cues of {task.name}")
        for task in tasks
        for lang, words in task.cues.items()
        for cue in words
    ]


def read(paths: Sequence[Path], tasks: frozenset[str] | None) -> list[Row]:
    """Rows of JSONL files: {"text", "task"} and optionally accept, lang, source, license. Raises CorpusError by file and line.

    Where `tasks` is None, any task is taken that can be one.
    """
    return [row for path in paths for row in _rows(path, lambda task: _refused(task, tasks))]


def shipped(tasks: frozenset[str]) -> list[Row]:
    """The prompts that are shipped, as far as their tasks are known."""
    rows = [row for path in sorted(PROMPTS.glob("*.jsonl")) for row in _rows(path)]
    return [replace(row, own=True, license=OWN_LICENCE) for row in rows if row.task in tasks]


def validation() -> list[Row]:
    """The prompts that models are judged by: written and labelled before any was tuned on them, never trained on."""
    return [row for lang in ("en", "zh") for row in _rows(VALIDATION / f"{lang}.jsonl")]


def distinct(rows: Iterable[Row], progress: Progress = lambda said: None) -> tuple[list[Row], list[str]]:
    """(rows, what each asks out of its envelope): each ask once a task, the last row of it. Says what else there was."""
    found: dict[tuple[str, str], Row] = {}
    empty: list[Row] = []
    for row in rows:
        if ask := opened(row.text):
            found[ask, row.task] = row
        else:
            empty.append(row)
    if empty:
        progress(
            f"{len(empty):,} rows left out that say nothing but what programs wrap around an ask, such as {printable(empty[0].place)}"
        )
    by_ask: dict[str, list[Row]] = {}
    for (ask, _), row in found.items():
        by_ask.setdefault(ask, []).append(row)
    torn = [
        some
        for some in by_ask.values()
        if len(some) > 1 and not any(set(r.accept) & {o.task for o in some} for r in some)
    ]
    if torn:
        one, other = (f"{printable(r.place)} ({r.task})" for r in torn[0][:2])
        progress(
            f"{len(torn):,} asks stand there with different tasks, such as {one} and {other}: one of them teaches the wrong thing"
        )
    return list(found.values()), [ask for ask, _ in found]


def digest(rows: Iterable[Row]) -> str:
    """Identifies a corpus, whatever the order of its rows."""
    return hashlib.sha256(
        "\n".join(sorted(f"{r.task}\t{r.text}" for r in rows)).encode("utf-8", "surrogatepass")
    ).hexdigest()[:16]


def labelled(path: Path, progress: Progress = lambda said: None) -> Iterator[Labelled]:
    """Labelled asks of a JSONL file, one by one: {"text" or "messages", "task"} and optionally accept, lang, source.

    `tools` and `wants_json` are true of a request that brings tools or wants an answer as JSON. Raises CorpusError by file
    and line. The task may be any: whoever reads it knows which tasks there are.
    """
    for number, line in _lines(path, progress):
        place = f"{path}:{number}"
        raw = _object(line, place)
        ask, task = _ask(raw, place), _word(raw, "task", place)
        if task is None:
            raise CorpusError(f'{place}: lacks a "task"')
        yield Labelled(
            ask,
            task,
            _accepted(raw, place),
            _word(raw, "lang", place) or ask.language,
            _word(raw, "source", place) or path.stem,
            place,
        )


def asked(line: bytes, place: str) -> Ask:
    """The ask of a line of JSON, {"text" or "messages"} and optionally tools, wants_json. Raises CorpusError."""
    try:
        raw = _object(line.decode("utf-8-sig"), place)
    except UnicodeDecodeError as e:
        raise CorpusError(f"{place}: is not UTF-8: {e}") from e
    if raw.get("text") == "" and raw.get("messages") is None:
        return read_text("")
    return _ask(raw, place)


def _rows(path: Path, refused: Callable[[str], str] = lambda task: "") -> Iterator[Row]:
    """The rows of a file; `refused` says why a task is none, empty where it is one."""
    for number, line in _lines(path):
        yield _row(line, f"{path}:{number}", path.stem, refused)


def _refused(task: str, tasks: frozenset[str] | None) -> str:
    if tasks is not None:
        return "" if task in tasks else f"has no file; the tasks are {', '.join(sorted(tasks))}"
    if task == GENERAL:
        return "is what abstaining is called; leave such rows out, or choose another name"
    return "" if is_task(task) else "is no name for one: two to 41 small letters, digits and _, a letter first"


def _lines(path: Path, progress: Progress = lambda said: None) -> Iterator[tuple[int, str]]:
    """(number, text) of the lines that say something, as they are read: a file may be larger than memory."""
    number = 0
    try:
        with path.open("rb") as file:  # bytes end lines at \n only: U+2028 may stand inside a JSON string
            size = os.fstat(file.fileno()).st_size  # 0 of a pipe
            for number, line in enumerate(file, 1):
                if line.strip():
                    yield number, line.decode("utf-8-sig" if number == 1 else "utf-8")
                if number % TOLD_EVERY == 0:
                    progress(f"{path}: {number:,} lines" + (f", {file.tell() / size:.0%}" if size else ""))
    except UnicodeDecodeError as e:
        raise CorpusError(f"{path}:{number}: is not UTF-8: {e}") from e
    except OSError as e:
        raise CorpusError(f"{path}: cannot be read: {e.strerror or e}") from e


def _object(line: str, place: str) -> dict[str, Any]:
    try:
        raw: Any = json.loads(line)
    except (ValueError, RecursionError) as e:
        raise CorpusError(f"{place}: is not JSON: {e}") from e
    if not isinstance(raw, dict):
        raise CorpusError(f"{place}: is not a JSON object")
    return raw


def _row(line: str, place: str, source: str, refused: Callable[[str], str]) -> Row:
    raw = _object(line, place)
    if raw.get("messages") is not None:
        raise CorpusError(
            f'{place}: has "messages"; training takes a "text": what the user asks last, as it stands there'
        )
    text, task = _text(raw, place), raw.get("task")
    if not isinstance(task, str):
        raise CorpusError(f'{place}: lacks a "task" that is a name')
    if why := refused(task):
        raise CorpusError(f"{place}: the task {shortened(json.dumps(task), 60)} {why}")
    return Row(
        text,
        task,
        _word(raw, "lang", place) or language_of(text),
        _word(raw, "source", place) or source,
        _word(raw, "license", place) or "not given",
        _accepted(raw, place),
        place=place,
    )


def _ask(raw: Mapping[str, Any], place: str) -> Ask:
    messages, tools, wants_json = raw.get("messages"), _flag(raw, "tools", place), _flag(raw, "wants_json", place)
    if messages is None:
        text = _text(raw, place, 'a "text" or "messages"')
        return read_text(text)._replace(tools=tools, wants_json=wants_json)
    if raw.get("text") is not None:
        raise CorpusError(f'{place}: has a "text" and "messages"; one of them is the prompt')
    if not isinstance(messages, list) or not any(isinstance(m, dict) and m.get("role") == "user" for m in messages):
        raise CorpusError(f'{place}: its "messages" are not a list with a message of the user')
    return read_messages(messages, tools, wants_json)


def _flag(raw: Mapping[str, Any], key: str, place: str) -> bool:
    value = raw.get(key)
    if value is not None and not isinstance(value, bool):
        raise CorpusError(f'{place}: its "{key}" is neither true nor false')
    return bool(value)


def _text(raw: Mapping[str, Any], place: str, what: str = 'a "text"') -> str:
    text = raw.get("text")
    if not isinstance(text, str) or not text.strip():
        raise CorpusError(f"{place}: lacks {what} that says something")
    return text


def _word(raw: Mapping[str, Any], key: str, place: str) -> str | None:
    """A name, printable as it is; None where there is none."""
    value = raw.get(key)
    if value is None or value == "":
        return None
    if not isinstance(value, str) or not value.strip():
        raise CorpusError(f'{place}: its "{key}" is not a name: {shortened(json.dumps(value), 40)}')
    return printable(value)


def _accepted(raw: Mapping[str, Any], place: str) -> tuple[str, ...]:
    accept = raw.get("accept")
    if accept is None:
        return ()
    if not isinstance(accept, list) or not all(isinstance(a, str) for a in accept):
        raise CorpusError(f'{place}: its "accept" is not a list of tasks: {shortened(json.dumps(accept), 40)}')
    return tuple(map(printable, accept))
