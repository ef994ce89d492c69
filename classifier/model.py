"""The trained model: a linear classifier as plain arrays, reduced to what one prompt needs."""

import hashlib
import io
import json
from collections import OrderedDict
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from classifier.ask import Ask
from classifier.conversation import Probabilities, instructed, normalised, pooled
from classifier.errors import ArtefactError
from classifier.features import Hashes, arranged, hashed
from classifier.followup import is_follow_up
from classifier.labels import packed
from classifier.language import is_foreign, language_of
from classifier.linear import Floats, Linear, Places, slots
from classifier.spelling import Spelling, Words
from classifier.together import MOST, read_together
from classifier.verdict import GENERAL, Verdict, is_task

ARTEFACT = Path(__file__).parent / "artefact"
FILES = ("manifest.json", "model.npz")
FORMAT = 2
REMEMBERED = 1_024  # recent texts: a repeated prompt is a look-up
REMEMBERED_LONGEST = 2_000  # characters: long texts would fill the memory, and seldom come again
INSTRUCTIONS = 1_000  # system prompts, each of up to 2,000 characters
RUNNERS_UP = 3
SEVERAL = 5  # texts from which on reading them together is faster
TEMPERATURES = (0.01, 100)  # beyond, confidence is 1 or all alike whatever the prompt; training finds 0.2 to 5
AGAIN = "train it again with `setpoint train`"


class Classifier:
    """Gives verdicts. The same ask gets the same verdict. For one thread, or one event loop, at a time."""

    def __init__(
        self, manifest: Mapping[str, Any], linear: Linear, digest: str = "", words: Words | None = None
    ) -> None:
        self.manifest, self.linear, self.digest = manifest, linear, digest
        self.words = words or Words((), 0)
        self._spelling = Spelling(self.words) if self.words.targets else None
        self.tasks: tuple[str, ...] = tuple(manifest["labels"])
        self._numbers = range(len(self.tasks))
        self._scale = 1.0 / float(manifest["temperature"])
        self._threshold = float(manifest["threshold"])
        self._seen: OrderedDict[str, Probabilities | None] = OrderedDict()
        self._instructions: dict[str, Probabilities | None] = {}
        self._fresh: dict[str, Probabilities | None] = {}  # texts that were just read together

    @classmethod
    def load(cls, folder: Path | None = None) -> "Classifier":
        """Read an artefact, the shipped one by default. Raises ArtefactError with what is wrong with it."""
        folder = folder or ARTEFACT
        try:
            contents = {name: (folder / name).read_bytes() for name in FILES}
            manifest = json.loads(contents["manifest.json"])
            _check_pair(manifest, contents["model.npz"])
            with np.load(io.BytesIO(contents["model.npz"]), allow_pickle=False) as arrays:
                keys, of_body = arrays["keys"].astype(np.uint64), int(arrays["of_body"])
                idf, evidence, bias = (arrays[n].astype(np.float32) for n in ("idf", "evidence", "bias"))
                weights = arrays["weights"]  # which serving needs once: they stay as small as they are on disk
                words = Words(tuple(arrays["words"].tobytes().decode().split("\n")), int(arrays["targets"]))
        except Exception as e:  # there is no end to what damaged files make numpy and zipfile raise
            raise ArtefactError(
                f"{folder}: is not a classifier artefact: {e}; `setpoint train --out {folder}` makes one"
            ) from e
        _check(folder, manifest, keys, idf, evidence, weights, bias, of_body)
        if not 0 <= words.targets <= len(words.words):
            raise ArtefactError(f"{folder}: has fewer words than slips are taken for; {AGAIN}")
        digest = hashlib.sha256(b"".join(contents.values())).hexdigest()[:12]
        return cls(manifest, Linear(keys, idf, evidence, weights, bias, of_body), digest, words)

    def classify(self, ask: Ask) -> Verdict:
        """The task of an ask, with what the conversation around it says."""
        p = own = self._remembered(ask.text, ask.language)
        if ask.system or ask.previous or ask.wants_json or ask.images:
            system = self._instructed(ask.system) if ask.system else None
            p = pooled(self.tasks, ask, own, system, self._before(ask) if ask.previous else None)
        if p is None:
            return Verdict(GENERAL, 0.0, (), "abstained")
        order = sorted(self._numbers, key=p.__getitem__, reverse=True)[: RUNNERS_UP + 1]
        ranked = tuple([(self.tasks[i], p[i]) for i in order])
        if ranked[0][1] < self._threshold:
            return Verdict(GENERAL, ranked[0][1], ranked[:RUNNERS_UP], "abstained")
        alone = p is own or (own is not None and own[order[0]] == max(own))
        return Verdict(*ranked[0], ranked[1:], "model" if alone else "conversation")

    def classify_all(self, asks: Sequence[Ask]) -> list[Verdict]:
        """The verdicts of several asks, as `classify` gives them. From five new texts on it takes less time than one by one."""
        texts = {ask.text: ask.language for ask in asks if ask.text not in self._seen}
        if len(texts) >= SEVERAL:
            self._fresh = self._read_together(texts)
        try:
            return [self.classify(ask) for ask in asks]
        finally:
            self._fresh = {}

    def _instructed(self, system: str) -> Probabilities | None:
        """What a system prompt says: mostly one of a few, so it is worked out once."""
        if system in self._instructions:
            return self._instructions[system]
        p = self._read(system, language_of(system))
        if len(self._instructions) >= INSTRUCTIONS:
            self._instructions.clear()
        said = self._instructions[system] = None if p is None else instructed(self.tasks, p)
        return said

    def _before(self, ask: Ask) -> Probabilities | None:
        """What was asked before, by the latest ask that stands for itself."""
        earlier = (self._remembered(text) for text in ask.previous if not is_follow_up(text))
        return next((p for p in earlier if p is not None and max(p) >= self._threshold), None)

    def _remembered(self, text: str, language: str = "") -> Probabilities | None:
        """Probabilities of a text, whose language is found out where it is not told and is needed."""
        if text in self._seen:
            self._seen.move_to_end(text)
            return self._seen[text]
        p = self._fresh[text] if text in self._fresh else self._read(text, language or language_of(text))
        if len(text) > REMEMBERED_LONGEST:
            return p
        self._seen[text] = p
        if len(self._seen) > REMEMBERED:
            self._seen.popitem(last=False)
        return p

    def _read(self, text: str, language: str) -> Probabilities | None:
        return None if is_foreign(text, language) else self.probabilities(text)

    def _read_together(self, texts: Mapping[str, str]) -> dict[str, Probabilities | None]:
        """Probabilities by text, of texts with their languages."""
        known = [text for text, language in texts.items() if not is_foreign(text, language)]
        found: dict[str, Probabilities | None] = dict.fromkeys(texts)
        for start in range(0, len(known), MOST):
            part = known[start : start + MOST]
            found |= zip(
                part, read_together(self.linear, [self._mended(text) for text in part], self._scale), strict=True
            )
        return found

    def hashes(self, text: str) -> tuple[Hashes, int]:
        """(features, how many of them are of the whole text) of a text, slips of spelling mended."""
        return hashed(self._mended(text))

    def _mended(self, text: str) -> str:
        text = arranged(text)
        return (self._spelling.mended(text) if self._spelling else None) or text

    def places(self, text: str) -> tuple[Places, int]:
        """(places of the known features, how many of them are of the whole text) of a text."""
        return self.linear.places(self.hashes(text)[0])

    def features(self, ask: Ask) -> str:
        """What can be kept of an ask to learn from its correction: which known features it has, never its text. Of an ask
        in another language nothing: no verdict looks at it."""
        places, of_body = self.places("" if is_foreign(ask.text, ask.language) else ask.text)
        keys = self.linear.keys[places - 1]
        return packed(ask.language, keys[:of_body], keys[of_body:])

    def probabilities(self, text: str) -> Probabilities | None:
        """(tasks,) calibrated probabilities of a text alone; None where nothing in it is known."""
        scores = self.linear.scores(*self.places(text))
        return None if scores is None else normalised(scores, self._scale)


def _check_pair(manifest: Any, model: bytes) -> None:
    """Raises ValueError where the two files are not of one training. Artefacts of before do not tell."""
    told = manifest.get("model_sha256") if isinstance(manifest, dict) else None
    if told is not None and told != hashlib.sha256(model).hexdigest():
        raise ValueError("model.npz is not the one that manifest.json was written with; one of them is still to come")


def _check(
    folder: Path,
    manifest: Any,
    keys: Hashes,
    idf: Floats,
    evidence: Floats,
    weights: NDArray[np.floating[Any]],
    bias: Floats,
    of_body: int,
) -> None:
    if not isinstance(manifest, dict) or manifest.get("format") != FORMAT:
        raise ArtefactError(f"{folder}: was made by another version of Setpoint; {AGAIN}")
    labels = manifest.get("labels")
    if not isinstance(labels, list) or not labels or not all(map(is_task, labels)) or len(set(labels)) < len(labels):
        raise ArtefactError(f"{folder}: its manifest lacks labels that are names of tasks, each once; {AGAIN}")
    for key, low, high in (("temperature", *TEMPERATURES), ("threshold", 0, 1)):
        if not _is_number(manifest.get(key), low, high):
            raise ArtefactError(f"{folder}: its manifest lacks a {key} from {low} to {high}; {AGAIN}")
    shapes = (idf.shape, evidence.shape, weights.shape, bias.shape)
    if keys.ndim != 1 or shapes != (keys.shape, keys.shape, (len(keys), len(labels)), (len(labels),)):
        raise ArtefactError(f"{folder}: its arrays do not belong together; {AGAIN}")
    if not all(np.isfinite(a).all() for a in (idf, evidence, weights, bias)):
        raise ArtefactError(f"{folder}: has weights that are no numbers; {AGAIN}")
    if len(np.unique(slots(keys))) != len(keys) or not 0 <= of_body <= len(keys):
        raise ArtefactError(f"{folder}: has more features than places for them; {AGAIN}")


def _is_number(value: Any, low: float, high: float) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool) and low <= value <= high
