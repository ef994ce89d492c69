"""The trained model: a linear classifier as plain arrays, reduced to what one prompt needs."""

import gzip
import hashlib
import io
import json
import math
import zipfile
import zlib
from collections import Counter, OrderedDict
from collections.abc import Iterable, Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any, cast

import numpy as np
from numpy.typing import NDArray

from classifier.ask import Ask
from classifier.errors import ArtefactError
from classifier.features import arranged, body, head, says_something, tokens
from classifier.followup import is_follow_up, is_short
from classifier.language import is_foreign, language_of
from classifier.verdict import GENERAL, Verdict

ARTEFACT = Path(__file__).parent / "artefact"
FILES = ("manifest.json", "model.npz", "vocabulary.txt.gz")
FORMAT = 1
HEAD_MARK = "^"  # tells the features of the head from those of the whole text in the vocabulary
REMEMBERED = 2_048  # recent texts: a repeated prompt is a look-up
REMEMBERED_LONGEST = 2_000  # characters: long texts would fill the memory, and seldom come again
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
        digest: str = "",
    ) -> None:
        self.manifest, self.digest = manifest, digest
        self.tasks: tuple[str, ...] = tuple(manifest["labels"])
        self._body = {w: i for w, i in vocabulary.items() if not _of_head(w)}
        self._head = {w.removeprefix(HEAD_MARK): i for w, i in vocabulary.items() if _of_head(w)}
        self._idf, self._weights, self._bias = idf, weights, bias
        self._scale = 1.0 / float(manifest["temperature"])
        self._threshold = float(manifest["threshold"])
        self._seen: OrderedDict[str, NDArray[np.float64] | None] = OrderedDict()

    @classmethod
    def load(cls, folder: Path | None = None) -> "Classifier":
        """Read an artefact, the shipped one by default. Raises ArtefactError with what is wrong with it."""
        folder = folder or ARTEFACT
        try:
            contents = {name: (folder / name).read_bytes() for name in FILES}
            manifest = json.loads(contents["manifest.json"])
            with np.load(io.BytesIO(contents["model.npz"]), allow_pickle=False) as arrays:
                idf, weights, bias = (arrays[n].astype(np.float32) for n in ("idf", "weights", "bias"))
            words = gzip.decompress(contents["vocabulary.txt.gz"]).decode("utf-8").split("\n")
        except (OSError, ValueError, KeyError, EOFError, zipfile.BadZipFile, zlib.error) as e:
            raise ArtefactError(
                f"{folder}: is not a classifier artefact: {e}; `setpoint train --out {folder}` makes one"
            ) from e
        _check(folder, manifest, len(words), idf, weights, bias)
        digest = hashlib.sha256(b"".join(contents.values())).hexdigest()[:12]
        return cls(manifest, {w: i for i, w in enumerate(words)}, idf, weights, bias, digest)

    def classify(self, ask: Ask) -> Verdict:
        """The task of an ask; a short follow-up takes the conversation's."""
        verdict = self._verdict(ask.text, ask.language)
        if ask.previous and (is_follow_up(ask.text) or (verdict.task == GENERAL and is_short(ask.text))):
            standing = (self._verdict(text, language_of(text)) for text in ask.previous if not is_follow_up(text))
            earlier = next((v for v in standing if v.task != GENERAL), None)
            if earlier:
                return replace(earlier, source="conversation")
        return verdict

    def _verdict(self, text: str, language: str) -> Verdict:
        p = None if is_foreign(text, language) else self._remembered(text)
        if p is None:
            return Verdict(GENERAL, 0.0, (), "abstained")
        order = np.argsort(-p, kind="stable")[: RUNNERS_UP + 1]
        ranked = tuple((self.tasks[i], float(p[i])) for i in order)
        if ranked[0][1] < self._threshold:
            return Verdict(GENERAL, ranked[0][1], ranked[:RUNNERS_UP], "abstained")
        return Verdict(ranked[0][0], ranked[0][1], ranked[1:], "model")

    def _remembered(self, text: str) -> NDArray[np.float64] | None:
        if len(text) > REMEMBERED_LONGEST:
            return self.probabilities(text)
        if text in self._seen:
            self._seen.move_to_end(text)
            return self._seen[text]
        p = self._seen[text] = self.probabilities(text)
        if len(self._seen) > REMEMBERED:
            self._seen.popitem(last=False)
        return p

    def probabilities(self, text: str) -> NDArray[np.float64] | None:
        """(tasks,) calibrated probabilities; None where nothing in the text is known."""
        text = arranged(text)
        words = tokens(text)
        grams_of_body, grams_of_head = body(words), head(text)
        if not self._evident(grams_of_body) and words.count("0") < 2:
            return None
        scores = self._bias.astype(np.float64)
        for vocabulary, grams in ((self._body, grams_of_body), (self._head, grams_of_head)):
            counts = Counter(map(vocabulary.get, grams))
            del counts[None]
            if counts:
                scores += self._weighed(counts)
        scaled = scores * self._scale
        e = np.exp(scaled - scaled.max())
        p: NDArray[np.float64] = e / e.sum()
        return p

    def _evident(self, grams: list[str]) -> bool:
        """Whether a word is known, alone or beside another; marks and single letters are no evidence."""
        return any(g in self._body and any(map(says_something, g.split(" "))) for g in grams)

    def _weighed(self, counts: Mapping[int | None, int]) -> NDArray[np.float32]:
        """(tasks,) what grams at these places of the vocabulary add: TF-IDF with logarithmic counts, of length 1."""
        places = np.fromiter(cast(Iterable[int], counts), np.intp, len(counts))
        values = (1 + np.log(np.fromiter(counts.values(), np.float32, len(counts)))) * self._idf[places]
        added: NDArray[np.float32] = (values / np.sqrt(values @ values)) @ self._weights[places]
        return added


def _of_head(word: str) -> bool:
    """Whether a word of the vocabulary is of the head; a lone mark, or one before a blank, is a word of the text."""
    return len(word) > 1 and word.startswith(HEAD_MARK) and word[1] != " "


def _check(
    folder: Path, manifest: Any, words: int, idf: NDArray[Any], weights: NDArray[Any], bias: NDArray[Any]
) -> None:
    if not isinstance(manifest, dict) or manifest.get("format") != FORMAT:
        raise ArtefactError(f"{folder}: was made by another version of Setpoint; train it again with `setpoint train`")
    labels = manifest.get("labels")
    if not isinstance(labels, list) or not all(isinstance(t, str) for t in labels):
        raise ArtefactError(f"{folder}: its manifest lacks labels; train it again with `setpoint train`")
    if not all(_is_number(manifest.get(k)) for k in ("temperature", "threshold")) or manifest["temperature"] <= 0:
        raise ArtefactError(f"{folder}: its manifest lacks a temperature > 0 or a threshold; train it again")
    if idf.shape != (words,) or weights.shape != (words, len(labels)) or bias.shape != (len(labels),):
        raise ArtefactError(f"{folder}: its arrays do not belong together; train it again with `setpoint train`")
    if not all(np.isfinite(a).all() for a in (idf, weights, bias)):
        raise ArtefactError(f"{folder}: has weights that are no numbers; train it again with `setpoint train`")


def _is_number(value: Any) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool) and math.isfinite(value)
