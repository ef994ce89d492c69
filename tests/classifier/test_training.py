"""Training from task files and JSONL: small corpora, clear errors, the same artefact twice."""

import json
import re
import shutil
from collections.abc import Iterable
from pathlib import Path
from typing import Any

import pytest

from classifier import fitting, training
from classifier.ask import read_text
from classifier.envelope import opened
from classifier.errors import CorpusError, TasksError
from classifier.model import Classifier
from classifier.tasks import FOLDER, load_tasks
from classifier.training import train

TASKS = {
    "greet": ["hello there friend", "good morning to you", "hi hello again"],
    "sum": ["add two and three", "add seven and one", "add these numbers"],
}


def folder(tmp_path: Path, tasks: dict[str, list[str]]) -> Path:
    place = tmp_path / "tasks"
    place.mkdir()
    for name, texts in tasks.items():
        (place / f"{name}.yaml").write_text(
            json.dumps({"task": name, "description": name, "cues": {"en": [texts[0]]}, "examples": {"en": texts}})
        )
    return place


def test_two_tasks_of_three_examples_train(tmp_path: Path) -> None:
    report = train(folder(tmp_path, TASKS), [], tmp_path / "out")
    assert report.scores is None
    assert Classifier.load(tmp_path / "out").classify(read_text("add nine and four")).task == "sum"


def test_the_shipped_examples_train_without_any_other_data(tmp_path: Path) -> None:
    shutil.copytree(FOLDER, tmp_path / "tasks")  # beside the shipped prompts it would take half a minute
    train(tmp_path / "tasks", [], tmp_path / "out")
    assert Classifier.load(tmp_path / "out").classify(read_text("写一首关于春天的诗")).task == "creative_writing"


def test_training_twice_gives_the_same_bytes(tmp_path: Path) -> None:
    place = folder(tmp_path, TASKS)
    for out in ("a", "b"):
        train(place, [], tmp_path / out)
    for name in ("vocabulary.txt.gz", "manifest.json", "model.npz"):
        assert (tmp_path / "a" / name).read_bytes() == (tmp_path / "b" / name).read_bytes()


@pytest.mark.parametrize(
    ("line", "said"),
    [
        ("{", "data.jsonl:2: is not JSON"),
        ('{"task": "sum"}', 'lacks a "text"'),
        ('{"text": "x", "task": "smu"}', "has no file; the tasks are greet, sum"),
        ('{"text": "x", "task": "sum", "accept": "greet"}', 'its "accept" is not a list of tasks'),
    ],
)
def test_a_bad_row_is_named_by_file_and_line(tmp_path: Path, line: str, said: str) -> None:
    data = tmp_path / "data.jsonl"
    data.write_text('{"text": "add\u2028one", "task": "sum"}\n' + line, "utf-8")
    with pytest.raises(CorpusError, match=said):
        train(folder(tmp_path, TASKS), [data], tmp_path / "out")


def test_a_task_file_that_lacks_something_is_named(tmp_path: Path) -> None:
    place = folder(tmp_path, TASKS)
    (place / "bad.yaml").write_text("task: bad\ndescripton: x\n")
    with pytest.raises(TasksError, match=r"bad\.yaml: "):
        load_tasks(place)


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("task: [", "cannot be read"),
        ("task: 2024-99-99", "cannot be read"),
        ("task: " + "[" * 3_000, "cannot be read"),
        ("", "is not a mapping; write task, description and examples"),
        ("- task", "is not a mapping"),
        ("task: bad\ndescription: x\nexamples: {en: [hello, ' ']}", "examples.en: number 2 is blank"),
        ("task: bad\ndescription: x\nexamples: {zh: [好]}\ncues: {zh: ['']}", "cues.zh: number 1 is blank"),
        (
            "task: bad\ndescription: x\nexamples: {en: [<system-reminder>do it</system-reminder>]}",
            "examples.en: number 1 is nothing but what a program wraps around",
        ),
        ("task: 'a\n\n'\ndescription: x\nexamples: {en: [hello]}", "task: "),
    ],
)
def test_a_task_file_that_cannot_be_one_is_named_and_says_why(tmp_path: Path, text: str, said: str) -> None:
    place = folder(tmp_path, TASKS)
    (place / "bad.yaml").write_text(text, "utf-8")
    with pytest.raises(TasksError, match=rf"bad\.yaml: {re.escape(said)}"):
        load_tasks(place)


def test_every_shipped_task_has_both_languages_and_cues() -> None:
    for task in load_tasks():
        assert all(len(task.examples[lang]) >= 10 and task.cues[lang] for lang in ("en", "zh")), task.name


def test_with_enough_sources_the_report_scores_what_was_left_out(tmp_path: Path) -> None:
    data = tmp_path / "data.jsonl"
    rows = [
        {"text": f"{text} {word}", "task": task, "source": source}
        for source, word in [("a", "please"), ("b", "now"), ("c", "again"), ("d", "today"), ("e", "once more")]
        for task, texts in TASKS.items()
        for text in texts
    ]
    data.write_text("\n".join(json.dumps(r) for r in rows), "utf-8")
    report = train(folder(tmp_path, TASKS), [data], tmp_path / "out")
    assert report.scores is not None
    assert report.scores.accuracy > 0.9
    assert "accuracy" in str(report)
    assert 0.15 <= json.loads((tmp_path / "out" / "manifest.json").read_text())["threshold"] <= 0.6


def by_source(tmp_path: Path, rows: Iterable[tuple[str, str, str]]) -> Path:
    data = tmp_path / "data.jsonl"
    data.write_text("\n".join(json.dumps({"text": t, "task": k, "source": s}) for t, k, s in rows), "utf-8")
    return data


def test_scores_are_of_verdicts_as_they_are_served(tmp_path: Path) -> None:
    rows = [(f"{text} {s}", task, s) for s in "abcde" for task, texts in TASKS.items() for text in texts]
    rows += [(f"Как дела, друг {s} add", "sum", s) for s in "abcde"]  # no verdict is given on them
    heard: list[str] = []
    report = train(folder(tmp_path, TASKS), [by_source(tmp_path, rows)], tmp_path / "out", heard.append)
    assert report.scores is not None
    assert report.scores.rows == 35
    assert report.scores.abstained == pytest.approx(5 / 35)
    assert report.scores.accuracy <= 30 / 35
    assert report.languages["other"].abstained == 1
    assert "abstained 14%" in str(report)


def test_one_ask_is_never_both_learned_and_judged(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    rows = [(f"{text} {s}", task, s) for s in "abcde" for task, texts in TASKS.items() for text in texts]
    rows += [(f"<context>{s}</context> add up", "sum", s) for s in "abcde"] + [("add up", "greet", "a")]
    seen: list[list[str]] = []

    def fit(rows: Any, *more: Any) -> Any:
        seen.append([opened(r.text) for r in rows])
        return fitting.fit(rows, *more)

    monkeypatch.setattr(training, "fit", fit)
    heard: list[str] = []
    report = train(folder(tmp_path, TASKS), [by_source(tmp_path, rows)], tmp_path / "out", heard.append)
    assert report.rows == 30 + 6 + 2
    assert seen[-1].count("add up") == 2
    assert [some.count("add up") for some in seen[:-1]] in ([0, 0, 2, 2, 2], [2, 0, 2, 2, 0])
    assert any("1 asks stand there with different tasks" in line for line in heard)


def test_a_task_of_one_source_only_does_not_stop_training(tmp_path: Path) -> None:
    rows = [(f"{text} {s}", task, s) for s in "abcde" for task, texts in TASKS.items() for text in texts]
    rows += [(f"tell a tale of {what}", "story", "a") for what in ("kings", "the sea", "a dragon")]
    place = folder(tmp_path, TASKS)
    file = {"task": "story", "description": "x", "examples": {"en": []}}
    (place / "story.yaml").write_text(json.dumps(file))
    report = train(place, [by_source(tmp_path, rows)], tmp_path / "out")
    assert report.scores is not None
    assert Classifier.load(tmp_path / "out").classify(read_text("a tale of a queen")).task == "story"
