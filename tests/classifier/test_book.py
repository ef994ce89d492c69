"""The book of the classifier: what is whole is taken over, what is not is refused, and nothing is ever a mixture."""

import json
import shutil
import threading
from collections.abc import Callable
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from classifier.ask import read_text
from classifier.book import ClassifierBook
from classifier.errors import ArtefactError
from classifier.model import FILES, Classifier
from classifier.training import train


def put(artefact: Path, folder: Path, *names: str) -> None:
    """Copy an artefact, or some of its files."""
    folder.mkdir(exist_ok=True)
    for name in names or FILES:
        shutil.copyfile(artefact / name, folder / name)


def look(book: ClassifierBook) -> str:
    """What a look gives once the files have settled."""
    book.refresh()
    return book.refresh()


def tasks(book: ClassifierBook) -> tuple[str, ...]:
    assert book.classifier
    return book.classifier.tasks


def test_another_artefact_is_taken_over_at_the_second_look(artefacts: dict[str, Path], tmp_path: Path) -> None:
    put(artefacts["sum"], tmp_path)
    book = ClassifierBook.open(tmp_path)
    assert book.refresh() == "unchanged"
    put(artefacts["story"], tmp_path)
    assert book.refresh() == "unchanged"
    assert tasks(book) == ("greet", "sum")
    assert book.refresh() == "loaded"
    assert tasks(book) == ("greet", "story")
    assert book.refresh() == "unchanged"


def test_files_that_were_only_touched_change_nothing(artefacts: dict[str, Path], tmp_path: Path) -> None:
    put(artefacts["sum"], tmp_path)
    book = ClassifierBook.open(tmp_path)
    put(artefacts["sum"], tmp_path)
    before = book.classifier
    assert look(book) == "unchanged"
    assert book.classifier is before


@pytest.mark.parametrize("name", FILES)
def test_half_of_a_new_artefact_is_refused_until_the_other_half_is_there(
    artefacts: dict[str, Path], tmp_path: Path, name: str
) -> None:
    put(artefacts["sum"], tmp_path)
    book = ClassifierBook.open(tmp_path)
    put(artefacts["story"], tmp_path, name)
    assert look(book) == "refused"
    assert "one of them is still to come" in book.problem
    assert tasks(book) == ("greet", "sum")
    assert book.refresh() == "unchanged"
    put(artefacts["story"], tmp_path)
    assert look(book) == "loaded"
    assert (book.problem, tasks(book)) == ("", ("greet", "story"))


@pytest.mark.parametrize("damage", [b"", b"PK\x03\x04 nonsense", b"{}", b"null", b"[]", b"\xff"])
@pytest.mark.parametrize("name", FILES)
def test_a_damaged_file_is_refused_and_the_old_classifier_stays(
    artefacts: dict[str, Path], tmp_path: Path, name: str, damage: bytes
) -> None:
    put(artefacts["sum"], tmp_path)
    book = ClassifierBook.open(tmp_path)
    (tmp_path / name).write_bytes(damage)
    assert look(book) == "refused"
    assert str(tmp_path) in book.problem
    assert tasks(book) == ("greet", "sum")
    put(artefacts["sum"], tmp_path)
    assert look(book) == "loaded"  # the same as before, but the operator is told that it is in order again
    assert book.problem == ""


def test_a_folder_that_goes_is_refused_and_one_that_comes_is_taken(artefacts: dict[str, Path], tmp_path: Path) -> None:
    book = ClassifierBook.open(tmp_path / "later")
    assert book.classifier is None
    assert "setpoint train" in book.problem
    assert look(book) == "unchanged"
    put(artefacts["sum"], tmp_path / "later")
    assert look(book) == "loaded"
    shutil.rmtree(tmp_path / "later")
    assert look(book) == "refused"
    assert tasks(book) == ("greet", "sum")


def test_a_link_that_is_pointed_elsewhere_is_a_change(artefacts: dict[str, Path], tmp_path: Path) -> None:
    link = tmp_path / "current"
    link.symlink_to(artefacts["sum"])
    book = ClassifierBook.open(link)
    (tmp_path / "next").symlink_to(artefacts["story"])
    (tmp_path / "next").replace(link)
    assert look(book) == "loaded"
    assert tasks(book) == ("greet", "story")


def test_no_mixture_is_ever_loaded_while_somebody_writes(artefacts: dict[str, Path], tmp_path: Path) -> None:
    put(artefacts["sum"], tmp_path)
    book = ClassifierBook.open(tmp_path)
    whole = {Classifier.load(folder).digest for folder in artefacts.values()}
    done = threading.Event()

    def write() -> None:
        for n in range(150):
            put(artefacts[("story", "sum")[n % 2]], tmp_path)
        done.set()

    writer = threading.Thread(target=write)
    writer.start()
    while not done.is_set():
        book.refresh()
        assert book.classifier
        assert book.classifier.digest in whole
    writer.join()
    look(book)
    assert tasks(book) == ("greet", "sum")
    assert book.problem == ""


def test_training_into_the_folder_that_is_watched_ends_in_one_swap(artefacts: dict[str, Path], tmp_path: Path) -> None:
    put(artefacts["sum"], tmp_path)
    book = ClassifierBook.open(tmp_path)
    train(artefacts["story"].parent / "tasks", [], tmp_path)
    assert look(book) == "loaded"
    assert not list(tmp_path.glob("*.part"))


def test_a_manifest_without_the_digest_of_its_model_is_of_before(artefacts: dict[str, Path], tmp_path: Path) -> None:
    put(artefacts["sum"], tmp_path)
    manifest = json.loads((tmp_path / "manifest.json").read_text("utf-8"))
    assert len(manifest.pop("model_sha256")) == 64
    (tmp_path / "manifest.json").write_text(json.dumps(manifest), "utf-8")
    assert Classifier.load(tmp_path).classify(read_text("add nine and four")).task == "sum"
    put(artefacts["story"], tmp_path, "manifest.json")
    with pytest.raises(ArtefactError, match="one of them is still to come"):
        Classifier.load(tmp_path)


@pytest.fixture(scope="module")
def watched(artefacts: dict[str, Path], tmp_path_factory: pytest.TempPathFactory) -> Callable[[str, int, bytes], str]:
    """Put bytes into a file of a watched artefact that does not tell its model's digest, and look."""
    folder = tmp_path_factory.mktemp("watched")
    put(artefacts["sum"], folder)
    manifest = json.loads((folder / "manifest.json").read_text("utf-8"))
    manifest.pop("model_sha256")
    (folder / "manifest.json").write_text(json.dumps(manifest), "utf-8")
    good = {name: (folder / name).read_bytes() for name in FILES}
    book = ClassifierBook.open(folder)

    def damaged(name: str, at: int, other: bytes) -> str:
        whole = good[name]
        at %= len(whole)
        (folder / name).write_bytes(whole[:at] + other + whole[at + len(other) :])
        said = look(book)
        (folder / name).write_bytes(whole)
        look(book)
        assert book.classifier
        return said

    return damaged


@settings(max_examples=60, deadline=None)
@given(st.sampled_from(FILES), st.integers(0), st.binary(min_size=1, max_size=40))
def test_no_damage_raises(watched: Callable[[str, int, bytes], str], name: str, at: int, other: bytes) -> None:
    assert watched(name, at, other) in ("loaded", "refused", "unchanged")
