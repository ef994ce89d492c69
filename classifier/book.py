"""The classifier in force and the folder it came from: a change that can be used replaces it whole, any other is refused."""

from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from classifier.ask import read_text
from classifier.errors import ArtefactError
from classifier.model import FILES, Classifier

Reload = Literal["unchanged", "loaded", "refused"]
Signature = tuple[tuple[int, int, int], ...]
_TRIAL = read_text("Write a short story about a lighthouse keeper, and translate it to German.")


@dataclass(slots=True)
class ClassifierBook:
    """Holds the classifier of a folder, None where there has never been one. `problem` is why the last change was refused,
    empty once it is repaired."""

    folder: Path
    classifier: Classifier | None = None
    problem: str = ""
    _judged: Signature | None = None  # the files that were last taken or refused
    _looked: Signature | None = None  # the files at the last look

    @classmethod
    def open(cls, folder: Path) -> "ClassifierBook":
        """Read the artefact for the first time; `classifier` is None and `problem` says why where it cannot be used."""
        seen = _signature(folder)
        return cls(folder, *_load(folder), seen, seen)

    def refresh(self) -> Reload:
        """Look whether the files changed, and take over what they now are if it can be used. Never raises.

        An artefact is several files, written one after another and perhaps slowly: it is read once two looks in a row
        have seen the same, and only what still is the same after reading counts.
        """
        seen = _signature(self.folder)
        settled, self._looked = seen == self._looked, seen
        if seen == self._judged or not settled:
            return "unchanged"
        classifier, problem = _load(self.folder)
        if _signature(self.folder) != seen:
            return "unchanged"
        self._judged = seen
        if classifier is None:
            self.problem = problem
            return "refused"
        repaired, self.problem = bool(self.problem), ""
        if self.classifier is not None and classifier.digest == self.classifier.digest:
            return "loaded" if repaired else "unchanged"
        self.classifier = classifier
        return "loaded"


def _load(folder: Path) -> tuple[Classifier | None, str]:
    """(classifier or None, why none): read, checked, and tried once before it serves."""
    try:
        classifier = Classifier.load(folder)
        classifier.classify(_TRIAL)
    except ArtefactError as e:
        return None, str(e)
    except Exception as e:  # there is no end to what damaged files make numpy and zipfile raise
        return None, f"{folder}: is not a classifier artefact: {type(e).__name__}: {e}"
    return classifier, ""


def _signature(folder: Path) -> Signature:
    """Changes whenever a file does, also when a symlink is pointed elsewhere, as mounted configuration is."""
    try:
        return tuple((s.st_mtime_ns, s.st_size, s.st_ino) for s in ((folder / name).stat() for name in FILES))
    except OSError:
        return ()
