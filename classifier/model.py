"""The trained model: a linear classifier as plain arrays, reduced to what one prompt needs."""

import gzip
import hashlib
import json
import math
from collections import Counter, OrderedDict
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from classifier.ask import Ask
from classifier.errors import ArtefactError
from classifier.features import body, head
from classifier.followup import is_follow_up, is_short
from classifier.verdict import GENERAL, Verdict

ARTEFACT = Path(__file__).parent / "artefact"
FORMAT = 1
HEAD_MARK = "^"  # tells the features of the head from those of the whole text in the vocabulary
REMEMBERED = 2_048  # verdicts of recent asks: a repeated prompt is a look-up
RUNNERS_UP = 3


class Classifier:
    """Gives verdicts. The same ask gets the same verdict."""

    def __init__(
        self,
        manifest: Mapping[str, Any],
        vocabulary: Mapping[str, int],
        idf: NDArray[np.float32],
        weights: NDArray[np.float32],
        bias: NDArray[np.float32],
    ) -> None:
        self.manifest = manifest
        self.tasks: tuple[str, ...] = tuple(manifest["labels"])
        self._body = {w: i for w, i in vocabulary.items() if not _of_head(w)}
        self._head = {w.removeprefix(HEAD_MARK): i for w, i in vocabulary.items() if _of_head(w)}
        self._bias = bias
        self._idf: list[float] = idf.tolist()
        self._weights = weights
        self._scale = 1.0 / float(manifest["temperature"])
        self._threshold = float(manifest["threshold"])
        self._seen: OrderedDict[str, NDArray[np.float64] | None] = OrderedDict()

    @classmethod
    def load(cls, folder: Path | None = None) -> "Classifier":
        """Read an artefact, the shipped one by default. Raises ArtefactError with what is wrong with it."""
        folder = folder or ARTEFACT
        try:
            manifest = json.loads((folder / "manifest.json").read_text("utf-8"))
            with np.load(folder / "model.npz", allow_pickle=False) as arrays:
                idf, weights, bias = (arrays[n].astype(np.float32) for n in ("idf", "weights", "bias"))
            words = gzip.decompress((folder / "vocabulary.txt.gz").read_bytes()).decode("utf-8").split("\n")
        except (OSError, ValueError, KeyError, EOFError) as e:
            raise ArtefactError(
                f"{folder}: is not a classifier artefact: {e}; `setpoint train --out {folder}` makes one"
            ) from e
        _check(folder, manifest, len(words), idf, weights, bias)
        return cls(manifest, {w: i for i, w in enumerate(words)}, idf, weights, bias)

    def classify(self, ask: Ask) -> Verdict:
        """The task of an ask; a short follow-up takes the conversation's."""
        follows = bool(ask.previous) and is_follow_up(ask.text)
        verdict = self._verdict(ask.text)
        if ask.previous and (follows or (verdict.task == GENERAL and is_short(ask.text))):
            earlier = next(
                (v for text in ask.previous if not is_follow_up(text) and (v := self._verdict(text)).task != GENERAL),
                None,
            )
            if earlier:
                return Verdict(earlier.task, earlier.confidence, earlier.runners_up, "conversation")
        return verdict

    def _verdict(self, text: str) -> Verdict:
        p = self._remembered(text)
        if p is None:
            return Verdict(GENERAL, 0.0, (), "abstained")
        order = np.argsort(-p)[: RUNNERS_UP + 1]
        ranked = tuple((self.tasks[i], float(p[i])) for i in order)
        if ranked[0][1] < self._threshold:
            return Verdict(GENERAL, ranked[0][1], ranked[:RUNNERS_UP], "abstained")
        return Verdict(ranked[0][0], ranked[0][1], ranked[1:], "model")

    def _remembered(self, text: str) -> NDArray[np.float64] | None:
        if text in self._seen:
            self._seen.move_to_end(text)
            return self._seen[text]
        p = self._seen[text] = self.probabilities(text)
        if len(self._seen) > REMEMBERED:
            self._seen.popitem(last=False)
        return p

    def probabilities(self, text: str) -> NDArray[np.float64] | None:
        """(tasks,) calibrated probabilities; None where nothing in the text is known."""
        known, scores = False, self._bias.astype(np.float64)
        for vocabulary, grams in ((self._body, body(text)), (self._head, head(text))):
            places, values = self._weighed(vocabulary, grams)
            if places:
                known = True
                scores += np.asarray(values, np.float32) @ self._weights[places]
        if not known:
            return None
        scaled = scores * self._scale
        e = np.exp(scaled - scaled.max())
        p: NDArray[np.float64] = e / e.sum()
        return p

    def _weighed(self, vocabulary: Mapping[str, int], grams: list[str]) -> tuple[list[int], list[float]]:
        """TF-IDF with logarithmic counts, of length 1: places in the vocabulary and values."""
        idf, log = self._idf, math.log
        counts = Counter([i for i in map(vocabulary.get, grams) if i is not None])
        values = [(1.0 + log(n)) * idf[i] for i, n in counts.items()]
        norm = math.sqrt(sum(v * v for v in values)) or 1.0
        return list(counts), [v / norm for v in values]


def _of_head(word: str) -> bool:
    """Whether a word of the vocabulary is of the head; a lone mark, or one before a blank, is a word of the text."""
    return len(word) > 1 and word.startswith(HEAD_MARK) and word[1] != " "


def digest(folder: Path) -> str:
    """Identifies an artefact by what is in it."""
    return hashlib.sha256((folder / "model.npz").read_bytes()).hexdigest()[:12]


def _check(
    folder: Path, manifest: Any, words: int, idf: NDArray[Any], weights: NDArray[Any], bias: NDArray[Any]
) -> None:
    if not isinstance(manifest, dict) or manifest.get("format") != FORMAT:
        raise ArtefactError(f"{folder}: was made by another version of Setpoint; train it again with `setpoint train`")
    labels = manifest.get("labels")
    if not isinstance(labels, list) or not all(
        isinstance(manifest.get(k), int | float) for k in ("temperature", "threshold")
    ):
        raise ArtefactError(
            f"{folder}: its manifest lacks labels, temperature or threshold; train it again with `setpoint train`"
        )
    if idf.shape != (words,) or weights.shape != (words, len(labels)) or bias.shape != (len(labels),):
        raise ArtefactError(f"{folder}: its arrays do not belong together; train it again with `setpoint train`")
    if not all(np.isfinite(a).all() for a in (idf, weights, bias)) or manifest["temperature"] <= 0:
        raise ArtefactError(f"{folder}: has numbers that are none; train it again with `setpoint train`")
