"""Labelled prompts against verdicts: files in, what they come to out."""

import json
import re
from pathlib import Path
from typing import Any

import pytest

from classifier.ask import Ask
from classifier.errors import CorpusError
from classifier.marking import Evaluation, evaluate
from classifier.verdict import GENERAL, Verdict

TASKS = ("code", "math", "chat")


def judge(ask: Ask) -> Verdict:
    """A prompt says its own verdict: `code 0.9 ...`."""
    task, confidence, *_ = ask.text.split()
    return Verdict(task, float(confidence), (), "abstained" if task == GENERAL else "model")


def write(folder: Path, *rows: Any, name: str = "data.jsonl") -> Path:
    file = folder / name
    file.write_text("\n".join(r if isinstance(r, str) else json.dumps(r) for r in rows), "utf-8")
    return file


def row(text: str, task: str, *accept: str, **more: Any) -> dict[str, Any]:
    return {"text": text, "task": task, **({"accept": accept} if accept else {}), **more}


def evaluated(*files: Path, mistakes: int = 10) -> Evaluation:
    return evaluate(files, judge, TASKS, mistakes)


def test_scores_are_given_for_all_and_by_language_and_source(tmp_path: Path) -> None:
    found = evaluated(
        write(tmp_path, row("code 0.9", "code"), row("chat 0.8 你好你好", "code", "chat"), name="first.jsonl"),
        write(tmp_path, row("chat 0.6", "math", lang="xx", source="mine"), name="second.jsonl"),
    )
    assert found.scores.rows == 3
    assert found.scores.accuracy == pytest.approx(1 / 3)
    assert found.scores.lenient == pytest.approx(2 / 3)
    assert {name: s.lenient for name, s in found.languages.items()} == {"en": 1, "xx": 0, "zh": 1}
    assert {name: (s.rows, s.lenient) for name, s in found.sources.items()} == {"first": (2, 1), "mine": (1, 0)}
    assert found.counts[list(found.names).index("code")].tolist() == [1, 1, 0]
    assert found.tasks["chat"].precision == 0


def test_a_conversation_is_judged_by_its_last_ask(tmp_path: Path) -> None:
    messages = [{"role": "user", "content": "math 0.9"}, {"role": "assistant", "content": "4"}]
    last = {"role": "user", "content": [{"type": "text", "text": "code 0.8"}]}
    found = evaluated(write(tmp_path, {"messages": [*messages, last], "task": "code"}))
    assert found.scores.accuracy == 1


def test_a_row_says_what_a_request_brings_beside_its_prompt(tmp_path: Path) -> None:
    asks: list[Ask] = []
    messages = [{"role": "system", "content": "Be brief."}, {"role": "user", "content": "code 0.9"}]

    def seen(ask: Ask) -> Verdict:
        asks.append(ask)
        return judge(ask)

    evaluate(
        [
            write(
                tmp_path,
                row("code 0.9", "code", wants_json=True),
                {"messages": messages, "task": "code", "tools": True},
            )
        ],
        seen,
        TASKS,
    )
    assert [(a.wants_json, a.tools, a.system) for a in asks] == [(True, False, ""), (False, True, "Be brief.")]


def test_abstaining_is_right_where_that_is_the_label(tmp_path: Path) -> None:
    found = evaluated(
        write(tmp_path, row("general 0.2", GENERAL), row("general 0.2 x", "code"), row("code 0.9", GENERAL))
    )
    assert found.scores.accuracy == pytest.approx(1 / 3)
    assert [m.verdict for m in found.mistakes] == ["code"]  # who abstains is not confident


def test_a_task_that_the_classifier_does_not_know_is_left_out_and_told(tmp_path: Path) -> None:
    found = evaluated(
        write(
            tmp_path,
            row("code 0.9", "sql"),
            row("code 0.9", "sql"),
            row("code 0.9", "tax"),
            row("code 0.9", "code", "law"),
        )
    )
    assert found.unanswerable == {"sql": 2, "tax": 1}
    assert found.never_granted == {"law": 1}
    assert (found.scores.rows, found.scores.accuracy) == (1, 1)


def test_the_most_confident_mistakes_come_first(tmp_path: Path) -> None:
    file = write(
        tmp_path,
        row("code 0.5 a", "math"),
        row("code 0.9 b", "math", "code"),
        row("code 0.8\nc " + "很" * 200, "math", source="mine"),
        row("chat 0.8 d", "math"),
        row("chat 0.6 e", "math"),
    )
    first, second = evaluated(file, mistakes=2).mistakes
    assert (first.place, first.source, first.task, first.verdict, first.confidence) == (
        f"{file}:3",
        "mine",
        "math",
        "code",
        0.8,
    )
    assert first.text.startswith("code 0.8 c 很很")
    assert first.text.endswith("…")
    assert len(first.text) < 100
    assert second.place == f"{file}:4"
    assert not evaluated(file, mistakes=0).mistakes


@pytest.mark.parametrize(
    ("line", "said"),
    [
        ("{", "is not JSON"),
        ("[" * 100_000, "is not JSON"),
        ("[]", "is not a JSON object"),
        ('{"task": "code"}', 'lacks a "text" or "messages" that says something'),
        ('{"text": " ", "task": "code"}', 'lacks a "text" or "messages"'),
        ('{"text": 5, "task": "code"}', 'lacks a "text" or "messages"'),
        ('{"text": "x", "messages": [], "task": "code"}', 'has a "text" and "messages"'),
        ('{"messages": [], "task": "code"}', "a message of the user"),
        ('{"messages": [{"role": "system", "content": "x"}], "task": "code"}', "a message of the user"),
        ('{"messages": "x", "task": "code"}', "a message of the user"),
        ('{"text": "x"}', 'lacks a "task"'),
        ('{"text": "x", "task": 5}', 'its "task" is not a name: 5'),
        ('{"text": "x", "task": "code", "accept": "math"}', 'its "accept" is not a list of tasks: "math"'),
        ('{"text": "x", "task": "code", "accept": [1]}', 'its "accept" is not a list of tasks'),
        ('{"text": "x", "task": "code", "tools": "yes"}', 'its "tools" is neither true nor false'),
        ('{"text": "x", "task": "code", "lang": ["en"]}', 'its "lang" is not a name'),
        ('{"text": "x", "task": "code", "source": {}}', 'its "source" is not a name'),
    ],
)
def test_a_bad_row_is_named_by_file_and_line(tmp_path: Path, line: str, said: str) -> None:
    file = write(tmp_path, row("code 0.9 \u2028", "code"), "", line)
    with pytest.raises(CorpusError, match=re.escape(f"{file}:3: ") + ".*" + re.escape(said)):
        evaluated(file)


def test_a_file_that_cannot_be_read_or_says_nothing_is_named(tmp_path: Path) -> None:
    with pytest.raises(CorpusError, match=r"nope\.jsonl: cannot be read: No such file"):
        evaluated(tmp_path / "nope.jsonl")
    with pytest.raises(CorpusError, match="cannot be read: Is a directory"):
        evaluated(tmp_path)
    with pytest.raises(CorpusError, match="has no rows"):
        evaluated(write(tmp_path, ""))
    with pytest.raises(CorpusError, match=r"none of its labels \(sql\) is a task of this classifier"):
        evaluated(write(tmp_path, row("code 0.9", "sql")))
    (tmp_path / "latin.jsonl").write_bytes(b'{"text": "caf\xe9"}')
    with pytest.raises(CorpusError, match=r"latin\.jsonl:1: is not UTF-8"):
        evaluated(tmp_path / "latin.jsonl")


def test_a_byte_order_mark_is_no_part_of_the_first_row(tmp_path: Path) -> None:
    assert evaluated(write(tmp_path, "\ufeff" + json.dumps(row("code 0.9", "code")))).scores.rows == 1


def test_names_cannot_write_to_the_terminal(tmp_path: Path) -> None:
    file = write(tmp_path, row("code 0.9 \x1b[2J\ud800", "math", lang="\x1b[2J", source="a\nb"))
    found = evaluated(file)
    said = json.dumps([*found.languages, *found.sources, found.mistakes[0].text], ensure_ascii=False)
    assert "\x1b" not in said
    assert said.encode()


def test_a_long_file_says_how_far_it_is(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("classifier.corpus.TOLD_EVERY", 3)
    told: list[str] = []
    file = write(tmp_path, *[row("code 0.9", "code")] * 6)
    evaluate([file], judge, TASKS, progress=told.append)
    assert told == [f"{file}: 3 lines, 50%", f"{file}: 6 lines, 100%"]
