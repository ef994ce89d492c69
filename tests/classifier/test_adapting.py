"""Adapting: a user's own task and corrections, and what is refused."""

import gzip
import json
import shutil
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import yaml
from scipy import optimize
from scipy.sparse import csr_matrix

from classifier import adapting, fitting
from classifier.adapting import adapt
from classifier.ask import read_text
from classifier.errors import ArtefactError, CorpusError, OutError, TasksError, WorseError
from classifier.fitting import added, corrected
from classifier.labels import Label, unpacked
from classifier.model import ARTEFACT, Classifier
from classifier.spelling import Words, joined
from classifier.vocabulary import extended, names

SHIPPED = Classifier.load()
DINNERS = [
    f"{how} {what}"
    for how in ("mealplan for", "please make the mealplan of", "weekly mealplan,", "our mealplan:")
    for what in (
        "two vegetarians",
        "a family of five",
        "my rowing club",
        "a week without gluten",
        "students on a budget",
    )
]


def jsonl(folder: Path, rows: list[tuple[str, str]]) -> Path:
    file = folder / "mine.jsonl"
    file.write_text("\n".join(json.dumps({"text": text, "task": task}) for text, task in rows), "utf-8")
    return file


def of_traffic(task: str, text: str) -> Label:
    label = unpacked(task, SHIPPED.features(read_text(text)))
    assert label
    return label


def said(classifier: Classifier, text: str) -> str:
    return classifier.classify(read_text(text)).task


def test_a_task_from_examples_is_told_and_the_shipped_ones_stay(tmp_path: Path) -> None:
    (tmp_path / "tasks").mkdir()
    file = {"task": "meals", "description": "Meal plans.", "cues": {"en": ["mealplan"]}, "examples": {"en": DINNERS}}
    (tmp_path / "tasks" / "meals.yaml").write_text(yaml.safe_dump(file), "utf-8")
    done = adapt([], tmp_path / "out", tmp_path / "tasks")
    model = Classifier.load(tmp_path / "out")
    assert model.tasks == (*SHIPPED.tasks, "meals")
    assert said(model, "a mealplan for one hungry teenager") == "meals"
    for text in ("Write a Python function that adds two numbers", "把下面这句话翻译成英文:早上好"):
        assert said(model, text) == said(SHIPPED, text)
    assert done.before - done.after <= adapting.COST
    assert (done.added[0].task, done.added[0].rows) == ("meals", len(DINNERS) + 1)
    assert done.added[0].found > 0.8
    assert "meals" in str(done)
    assert model.manifest["adapted_from"] == SHIPPED.digest
    assert len((tmp_path / "out" / "vocabulary.txt.gz").read_bytes()) > 0


def test_corrections_move_what_they_are_about(tmp_path: Path) -> None:
    text = "Zorbify the frobnicator of unit {}"
    rows = [(text.format(n), "translation") for n in ("one", "two", "three", "four", "five", "six")]
    assert said(SHIPPED, text.format("nine")) != "translation"
    labels = [of_traffic("code", "Write a function that sorts a list")]
    done = adapt([jsonl(tmp_path, rows)], tmp_path / "out", labels=labels)
    assert said(Classifier.load(tmp_path / "out"), text.format("nine")) == "translation"
    assert done.corrections == 7
    assert (done.corrected_after or 0) > (done.corrected_before or 0)
    assert "corrections" in str(done)


def test_labels_from_traffic_alone_teach(tmp_path: Path) -> None:
    labels = [of_traffic("open_qa", f"Zorbify the frobnicator of unit {n}, will you?") for n in DINNERS]
    labels += [of_traffic("code", f"Write a function that sorts {n}") for n in DINNERS[:5]]
    done = adapt([], tmp_path / "out", labels=labels)
    assert done.rows == done.corrections == 25
    assert Classifier.load(tmp_path / "out").tasks == SHIPPED.tasks
    spelled = [gzip.decompress((f / "vocabulary.txt.gz").read_bytes()) for f in (ARTEFACT, tmp_path / "out")]
    assert spelled[0] == spelled[1]


def test_what_serving_does_not_read_or_doubts_is_not_counted_as_found(tmp_path: Path) -> None:
    foreign = [f"Как приготовить зёрфлинг {n} mealplan ёжик" for n in range(20)]
    done = adapt([jsonl(tmp_path, [(text, "meals") for text in foreign])], tmp_path / "out", force=True)
    assert said(Classifier.load(tmp_path / "out"), foreign[0]) == "general"
    assert done.added[0].found == 0


def test_a_correction_that_serving_does_not_read_is_not_counted_as_right(tmp_path: Path) -> None:
    rows = [(f"Отсортируй список {n}, please", "code") for n in range(6)]
    done = adapt([jsonl(tmp_path, rows)], tmp_path / "out")
    assert (done.corrections, done.corrected_before, done.corrected_after) == (6, 0, 0)


def test_rows_that_ask_the_same_are_one(tmp_path: Path) -> None:
    rows = [(f"<system-reminder>{n}</system-reminder> {text}", "meals") for n in range(3) for text in DINNERS]
    rows += [("Write a Python function that adds two numbers", "code"), ("mealplan for two vegetarians", "code")]
    heard: list[str] = []
    done = adapt([jsonl(tmp_path, rows)], tmp_path / "out", force=True, progress=heard.append)
    assert done.rows == 22
    assert done.added[0].rows == 20
    assert done.corrections == 2
    assert "too few to say" in str(done)
    (torn,) = [line for line in heard if "different tasks" in line]
    assert "1 asks" in torn
    assert "mine.jsonl:41 (meals) and " in torn
    assert "mine.jsonl:62 (code)" in torn


def test_labels_that_cannot_teach_are_counted(tmp_path: Path) -> None:
    labels = [of_traffic("rewriting", f"Put this politely: {what}") for what in DINNERS[:2]]
    labels += [labels[0], of_traffic("code", "Put this politely: " + DINNERS[0])]
    strange = [of_traffic("mine", "hello"), of_traffic("a\nb", "hello"), of_traffic("code", "Как дела, друг? Fine")]
    done = adapt([], tmp_path / "out", labels=labels + strange)
    assert done.rows == 2
    assert done.left_out == (
        "2 of 7 labels from traffic are of tasks that the model does not know: mine (1), a b (1)",
        "1 of 7 labels from traffic have no word that the model knows",
        "2 of 7 labels from traffic have the same known words as another, and count once",
        "1 of 2 asks from traffic were labelled in several ways; the most frequent one counts",
    )
    assert done.left_out[0] in str(done)
    with pytest.raises(CorpusError, match=r"nothing to learn from: 1 of 1 labels .* does not know: mine"):
        adapt([], tmp_path / "out", labels=strange[:1])
    with pytest.raises(CorpusError, match="keep_corrections: true"):
        adapt([], tmp_path / "out", labels=[])


def test_without_texts_a_vocabulary_and_its_words_stay() -> None:
    base = SHIPPED.linear
    vocabulary, places = extended(base.keys, base.idf.astype(np.float64), base.of_body, [], 0)
    assert vocabulary.keys.tolist() == base.keys.tolist()
    assert vocabulary.of_body == base.of_body
    assert places.tolist() == list(range(len(base.keys)))
    assert names(vocabulary, [], dict.fromkeys(base.keys.tolist(), "x")) == ["x"] * len(base.keys)
    assert joined(SHIPPED.words, []) == Words(list(SHIPPED.words.words), SHIPPED.words.targets)


def test_a_model_that_would_be_worse_is_refused_unless_forced(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(adapting, "COST", -1.0)
    file = jsonl(tmp_path, [(text, "meals") for text in DINNERS])
    with pytest.raises(WorseError, match="nothing was written"):
        adapt([file], tmp_path / "out")
    assert not (tmp_path / "out").exists()
    adapt([file], tmp_path / "out", force=True)
    assert Classifier.load(tmp_path / "out").tasks[-1] == "meals"


def test_nothing_to_learn_from_says_so(tmp_path: Path) -> None:
    with pytest.raises(CorpusError, match="nothing to learn from"):
        adapt([], tmp_path / "out")
    with pytest.raises(CorpusError, match="fewer than"):
        adapt([jsonl(tmp_path, [("a mealplan", "meals")])], tmp_path / "out")
    with pytest.raises(ArtefactError, match="not a classifier artefact"):
        adapt([], tmp_path / "out", base=tmp_path)
    with pytest.raises(TasksError, match="needs a task file"):
        adapt([], tmp_path / "out", tmp_path / "nowhere")


@pytest.mark.parametrize("task", ["", "general", "a\r\nb", "a|b", "任务", "Code", "x", "a" * 500, "ab\n"])
def test_what_cannot_name_a_task_is_refused_with_its_place(tmp_path: Path, task: str) -> None:
    file = jsonl(tmp_path, [("hello", "chat"), *((text, task) for text in DINNERS)])
    with pytest.raises(CorpusError, match=r"mine\.jsonl:2: the task .* is (no name|what abstaining)") as e:
        adapt([file], tmp_path / "out")
    assert str(e.value).isprintable()
    assert len(str(e.value)) < len(str(file)) + 200


def test_a_task_that_is_no_text_says_so(tmp_path: Path) -> None:
    (tmp_path / "mine.jsonl").write_text('{"text": "x", "task": 5}')
    with pytest.raises(CorpusError, match=r'mine\.jsonl:1: lacks a "task" that is a name$'):
        adapt([tmp_path / "mine.jsonl"], tmp_path / "out")


def copied(folder: Path) -> Path:
    return Path(shutil.copytree(ARTEFACT, folder / "base"))


@pytest.mark.parametrize("damage", [b"", b"nonsense", "cut", "flipped", gzip.compress(b"two\nfeatures"), None])
def test_a_base_whose_vocabulary_is_damaged_says_so(tmp_path: Path, damage: bytes | str | None) -> None:
    file = copied(tmp_path) / "vocabulary.txt.gz"
    whole = file.read_bytes()
    if damage is None:
        file.unlink()
    else:
        parts = {"cut": whole[:-1000], "flipped": whole[:500] + bytes(b ^ 255 for b in whole[500:600]) + whole[600:]}
        file.write_bytes(parts[damage] if isinstance(damage, str) else damage)
    with pytest.raises(ArtefactError, match="train it again"):
        adapt([jsonl(tmp_path, [("hello", "chat")])], tmp_path / "out", base=tmp_path / "base")


def test_where_an_artefact_cannot_be_written_is_said_before_anything_is_read(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    for out in (tmp_path / "file", tmp_path / "file" / "deeper"):
        with pytest.raises(OutError, match="cannot be written there"):
            adapt([tmp_path / "nowhere"], out)
    with pytest.raises(OutError, match="is the shipped artefact"):
        adapt([tmp_path / "nowhere"], ARTEFACT.parent / "tasks" / ".." / "artefact")


def test_half_a_surrogate_pair_is_a_character_like_others(tmp_path: Path) -> None:
    rows = [(text + " \ud83d go \ud83d", "meals") for text in DINNERS]
    adapt([jsonl(tmp_path, rows)], tmp_path / "out")
    model = Classifier.load(tmp_path / "out")
    assert said(model, rows[0][0]) == "meals"
    assert any("\ud83d" in name for name in adapting.spelled(tmp_path / "out", len(model.linear.keys)))


def test_messages_are_no_training_rows(tmp_path: Path) -> None:
    (tmp_path / "mine.jsonl").write_text('{"messages": [{"role": "user", "content": "hi"}], "task": "chat"}')
    with pytest.raises(CorpusError, match=r'mine\.jsonl:1: has "messages"; training takes a "text"'):
        adapt([tmp_path / "mine.jsonl"], tmp_path / "out")


def test_a_fit_ends(monkeypatch: pytest.MonkeyPatch) -> None:
    rounds: list[int] = []

    def minimize(*given: Any, **more: Any) -> Any:
        found = real(*given, **more)
        rounds.append(found.nit)
        return found

    real = optimize.minimize
    monkeypatch.setattr(fitting, "minimize", minimize)
    monkeypatch.setattr(fitting, "MOST", 3)
    rng = np.random.default_rng(1)
    x, others = csr_matrix(rng.normal(0, 1, (200, 40))), rng.normal(0, 1, (200, 3))
    added(x, np.arange(200) < 20, others, x)
    corrected(x, np.arange(200) % 3, np.ones(200), np.zeros((41, 3)))
    assert rounds == [3] * 7


def test_one_more_task_leaves_the_others_and_takes_few() -> None:
    rng = np.random.default_rng(1)
    x = csr_matrix(np.vstack([rng.normal(1, 1, (30, 4)), rng.normal(-1, 1, (2_000, 4))]))
    mine = np.arange(2_030) < 30
    others = rng.normal(0, 1, (2_030, 3))
    wins = added(x, mine, others, x).left_out > others.max(axis=1)
    assert wins[mine].mean() > 0.7
    assert wins[~mine].mean() <= 0.02


def test_without_rows_that_say_otherwise_coefficients_stay() -> None:
    before = np.array([[2.0, -2.0], [0.5, 0.0], [0.1, -0.1]])  # the last row is the bias
    x = csr_matrix(np.array([[1.0, 0.0], [1.0, 0.0]]))
    after = corrected(x, np.array([1, 1]), np.ones(2), before)
    assert after[0, 1] > before[0, 1]
    assert np.allclose(after[1], before[1], atol=1e-6)
