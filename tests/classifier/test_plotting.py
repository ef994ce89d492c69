"""Pictures of an evaluation are pictures."""

import sys
from pathlib import Path

import pytest
from matplotlib.image import imread

from classifier.errors import PlotError
from classifier.marking import Evaluation, evaluate
from classifier.plotting import draw, ready
from classifier.verdict import Verdict


@pytest.fixture
def evaluation(tmp_path: Path) -> Evaluation:
    file = tmp_path / "data.jsonl"
    file.write_text('{"text": "a", "task": "code"}\n{"text": "b", "task": "professional_writing"}')
    verdicts = {"a": Verdict("code", 0.95, (), "model"), "b": Verdict("code", 0.4, (), "model")}
    return evaluate([file], lambda ask: verdicts[ask.text], ["code", "professional_writing"])


def test_both_files_are_images_with_something_in_them(evaluation: Evaluation, tmp_path: Path) -> None:
    files = draw(evaluation, tmp_path / "new" / "plots")
    assert [f.name for f in files] == ["confusion.png", "calibration.png"]
    for file in files:
        assert file.read_bytes().startswith(b"\x89PNG\r\n\x1a\n")
        pixels = imread(file)
        assert min(pixels.shape[:2]) > 300
        assert len({tuple(p) for p in pixels.reshape(-1, pixels.shape[2])[::7]}) > 10


def test_as_many_tasks_as_one_likes_can_be_drawn(tmp_path: Path) -> None:
    file = tmp_path / "data.jsonl"
    tasks = [f"task_{i}" for i in range(80)]
    file.write_text("\n".join(f'{{"text": "{t}", "task": "{t}"}}' for t in tasks))
    many = evaluate([file], lambda ask: Verdict(ask.text, 1.0, (), "model"), tasks)
    assert imread(draw(many, tmp_path)[0]).shape[0] > 3_000


def test_where_nothing_was_claimed_the_diagram_is_empty(tmp_path: Path) -> None:
    file = tmp_path / "data.jsonl"
    file.write_text('{"text": "a", "task": "code"}')
    abstained = evaluate([file], lambda ask: Verdict("general", 0.1, (), "abstained"), ["code"])
    assert all(f.exists() for f in draw(abstained, tmp_path))


def test_without_matplotlib_one_is_told_what_to_install(
    evaluation: Evaluation, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(sys.modules, "matplotlib", None)  # as where it is not installed
    with pytest.raises(PlotError, match="run `make plots`, or install setpoint with its extra `plots`") as e:
        draw(evaluation, tmp_path)
    assert "\n" not in str(e.value)


def test_a_place_that_is_no_folder_is_named(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(PlotError, match="file: cannot be a folder for plots"):
        ready(tmp_path / "file")


def test_a_picture_that_cannot_be_written_is_named(evaluation: Evaluation, tmp_path: Path) -> None:
    (tmp_path / "confusion.png").mkdir()
    with pytest.raises(PlotError, match=r"confusion\.png: cannot be written"):
        draw(evaluation, tmp_path)
