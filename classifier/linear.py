"""The linear model: from the hashes of a text to the log-odds of the tasks, in a dozen operations on whole arrays."""

from typing import Any

import numpy as np
from numpy.typing import NDArray

from classifier.features import LONGEST, Hashes

SLOTS = 19  # bits: a hash is looked up by its first ones; training keeps one feature per slot

Floats = NDArray[np.float32]
Places = NDArray[np.unsignedinteger[Any]]

_BELOW = np.array(64 - SLOTS, np.uint64)  # an array: numpy takes longer to look at a number
_LINE = 16  # float32 of a line of the processor's cache
_MOST = 4 * LONGEST  # features of a text, and more


class Linear:
    """Weights by feature: `keys` (features,) hashes, `idf` and `evidence` (features,), `weights` (features, tasks), `bias`.

    The first `of_body` features are of the whole text, the others of its head. `evidence` is 1 for a feature with a word in it:
    marks and single digits are no reason for a verdict.
    """

    def __init__(
        self,
        keys: Hashes,
        idf: Floats,
        evidence: Floats,
        weights: NDArray[np.floating[Any]],
        bias: Floats,
        of_body: int,
    ) -> None:
        self.keys, self.idf, self.evidence, self.weights, self.bias = keys, idf, evidence, weights, bias
        self.of_body = of_body
        # Place 0 is what is not known. Small tables: most of the time goes by with waiting for memory.
        self._keys = np.concatenate([np.zeros(1, np.uint64), keys])
        self._slots = np.zeros(1 << SLOTS, np.min_scalar_type(len(keys)))
        self._slots[slots(keys)] = np.arange(1, len(keys) + 1)
        # A row holds all that a known feature adds: to each task, to the length, to the evidence.
        self._rows = _aligned(np.column_stack([weights * idf[:, None], idf * idf, evidence]))
        # Ones and zeros: from the right place on, they add up the first few rows apart from the others.
        self._apart = np.kron(np.eye(2), np.ones(_MOST)).astype(np.float32)
        self._of_body = np.array(of_body, self._slots.dtype)
        self._true = np.ones(_MOST, np.bool_)
        self._bias: list[float] = bias.tolist()

    def with_evidence(self, evidence: Floats) -> "Linear":
        """The same with another `evidence` (features,)."""
        return Linear(self.keys, self.idf, evidence, self.weights, self.bias, self.of_body)

    def places(self, hashes: Hashes) -> tuple[Places, int]:
        """(places, how many of them are of the body) of the known features, each once, in order; place n is feature n - 1."""
        places, _ = self.known(hashes)
        places.sort()
        once = self._true[: len(places)].copy()
        np.not_equal(places[1:], places[:-1], once[1:])
        places = places[once]
        return places, int(places.searchsorted(self._of_body, "right"))

    def known(self, hashes: Hashes) -> tuple[Places, NDArray[np.intp]]:
        """(places, which hashes they are of) of the known features, with repetitions."""
        places = self._slots.take((hashes >> _BELOW).view(np.intp))
        known = (self._keys.take(places) == hashes).nonzero()[0]
        return places.take(known), known

    def sums(self, places: Places, edges: NDArray[np.intp]) -> Floats:
        """(stretches, columns) what the features between each edge and the next add up to."""
        rows = self._rows.take(
            np.append(places, 0), 0
        )  # the last of them stands for nothing, and for a stretch at the end
        found = np.add.reduceat(rows, edges[:-1], 0)
        found[edges[1:] == edges[:-1]] = 0.0
        return found

    def scores(self, places: Places, of_body: int) -> list[float] | None:
        """(tasks,) log-odds up to a constant: TF-IDF without counts, body and head each of length 1. None without evidence."""
        rows = self._rows.take(places, 0)
        start, tasks = _MOST - of_body, len(self._bias)
        body, head = self._apart[:, start : start + len(rows)].dot(rows).tolist()
        if body[tasks + 1] + head[tasks + 1] < 1:
            return None
        to_body, to_head = _inverse_root(body[tasks]), _inverse_root(head[tasks])
        # What a row has behind its tasks is left over here.
        return [c + b * to_body + h * to_head for c, b, h in zip(self._bias, body, head, strict=False)]


def slots(hashes: Hashes) -> NDArray[np.intp]:
    """(hashes,) where each is looked up."""
    return (hashes >> _BELOW).view(np.intp)


def _inverse_root(square: float) -> float:
    return 1.0 / square**0.5 if square > 0 else 0.0


def _aligned(rows: NDArray[np.float32]) -> Floats:
    """Rows as float32 behind one of zeros, filled up with zeros to whole lines of the cache: a verdict reads a hundred of them,
    each from one line."""
    count, width = rows.shape
    wide = -width % _LINE + width
    memory = np.zeros((count + 2) * wide, np.float32)
    at = -memory.ctypes.data // memory.itemsize % _LINE
    aligned = memory[at : at + (count + 1) * wide].reshape(count + 1, wide)
    aligned[1:, :width] = rows
    return aligned
