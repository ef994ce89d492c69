"""The vocabulary: which features a model has, and documents as rows over them."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy.sparse import csr_matrix, hstack

from classifier.features import Hashes, arranged, hashed, spelled
from classifier.linear import slots

HEAD_WEIGHT = 1.5  # how much longer the head's features are than the whole text's
FEWEST = 2  # documents that a feature must be in

Array = NDArray[np.float64]
Document = tuple[Hashes, Hashes]  # what is in the whole text and in its head, each once
_NONE: Hashes = np.empty(0, np.uint64)


@dataclass(frozen=True, slots=True)
class Vocabulary:
    """Features by key, those of the whole text first; `idf` is the inverse document frequency, smoothed, and at least 1."""

    keys: Hashes
    idf: Array
    of_body: int

    def rows(self, documents: Sequence[Document]) -> csr_matrix:
        """(documents, features): TF-IDF without counts, whole text and head each of a fixed length."""
        cut = self.of_body
        parts = [
            _unit(_incidence([d[0] for d in documents], self.keys[:cut]).multiply(self.idf[:cut]).tocsr()),
            _unit(_incidence([d[1] for d in documents], self.keys[cut:]).multiply(self.idf[cut:]).tocsr())
            * HEAD_WEIGHT,
        ]
        return hstack(parts).tocsr()

    @property
    def scale(self) -> Array:
        """(features,) what the weights of these rows are multiplied by for serving, where both parts are of length 1."""
        return np.where(np.arange(len(self.keys)) < self.of_body, 1.0, HEAD_WEIGHT)


def document(text: str) -> Document:
    """The features of a text."""
    found, body = hashed(arranged(text))
    return np.unique(found[:body]), np.unique(found[body:])


def chosen(documents: Sequence[Document], y: NDArray[np.int_], sample: Array, most: int) -> Vocabulary:
    """The features that tell tasks apart best: those whose mass in some task is furthest from that task's share.

    The distance is in units of its spread, as chi-square has it. On sources left out this is as good as keeping the largest
    coefficients of a first fit, in less than half the time. Of two features with one slot the better one stays.
    """
    counted = [_counted(documents, part) for part in (0, 1)]
    keys = [k[n >= FEWEST] for k, n in counted]
    idf = [np.log((1 + len(documents)) / (1 + n[n >= FEWEST])) + 1 for _, n in counted]
    whole = Vocabulary(np.concatenate(keys), np.concatenate(idf), len(keys[0]))
    score = _telling(whole, documents, y, sample)
    order = np.argsort(-score, kind="stable")
    order = order[np.sort(np.unique(slots(whole.keys[order]), return_index=True)[1])][:most]
    kept = np.sort(order)
    return Vocabulary(whole.keys[kept], whole.idf[kept], int(np.searchsorted(kept, whole.of_body)))


def extended(
    base: Hashes, idf: Array, of_body: int, documents: Sequence[Document], among: int
) -> tuple[Vocabulary, NDArray[np.int_]]:
    """A vocabulary with what documents have beside it, and (old features,) the place of each old one in it.

    New features are in FEWEST of the documents and take no slot of another; `among` is how many documents there are in all.
    """
    taken, parts = set(slots(base).tolist()), []
    for part, old in ((0, base[:of_body]), (1, base[of_body:])):
        found, counts = _counted(documents, part)
        fresh = (counts >= FEWEST) & ~np.isin(found, old)
        keys, often = [], []
        for key, slot, count in zip(found[fresh], slots(found[fresh]).tolist(), counts[fresh].tolist(), strict=True):
            if slot not in taken:
                taken.add(slot)
                keys.append(key)
                often.append(count)
        parts.append((np.array(keys, np.uint64), np.log((1 + among) / (1 + np.array(often, np.float64))) + 1))
    (body, body_idf), (head, head_idf) = parts
    vocabulary = Vocabulary(
        np.concatenate([base[:of_body], body, base[of_body:], head]),
        np.concatenate([idf[:of_body], body_idf, idf[of_body:], head_idf]),
        of_body + len(body),
    )
    return vocabulary, np.concatenate([np.arange(of_body), np.arange(of_body, len(base)) + len(body)])


def names(vocabulary: Vocabulary, texts: Sequence[str], known: Mapping[int, str] | None = None) -> list[str]:
    """(features,) what each feature stands for: as `known`, or found again in the texts."""
    found = dict(known or {})
    wanted = set(vocabulary.keys.tolist()) - found.keys()
    for text in texts:
        if not wanted:
            break
        arrangement = arranged(text)
        hashes = hashed(arrangement)[0].tolist()
        if not wanted.isdisjoint(hashes):
            new = dict(zip(hashes, spelled(arrangement), strict=True))
            found |= {h: name for h, name in new.items() if h in wanted}
            wanted.difference_update(hashes)
    return [found[h] for h in vocabulary.keys.tolist()]


def evident(names: Sequence[str]) -> NDArray[np.float32]:
    """(features,) 1 for one that says anything by itself: a word, a Chinese character, or a number beside something."""
    return np.array([_is_evidence(name) for name in names], np.float32)


def _is_evidence(name: str) -> bool:
    plain = name.lstrip("\t")
    return (len(plain) > 1 and any(map(str.isalnum, plain))) or any("\u3400" <= c <= "\u9fff" for c in plain)


def _counted(documents: Sequence[Document], part: int) -> tuple[Hashes, NDArray[np.intp]]:
    """(features, how many documents have each); of no documents, none."""
    found, counts = np.unique(np.concatenate([_NONE, *(d[part] for d in documents)]), return_counts=True)
    return found, counts


def _telling(whole: Vocabulary, documents: Sequence[Document], y: NDArray[np.int_], sample: Array) -> Array:
    cut = whole.of_body
    x = hstack(
        [
            _incidence([d[0] for d in documents], whole.keys[:cut]),
            _incidence([d[1] for d in documents], whole.keys[cut:]),
        ]
    ).multiply(whole.idf)
    x = x.tocsr()
    tasks = np.eye(int(y.max()) + 1)[y] * sample[:, None]
    share = tasks.sum(axis=0) / sample.sum()
    surplus = np.abs(x.T @ (tasks - sample[:, None] * share))
    score: Array = (surplus / np.sqrt(np.maximum(x.T @ sample, 1e-9)[:, None] * share)).max(axis=1)
    return score


def _incidence(documents: Sequence[Hashes], keys: Hashes) -> csr_matrix:
    """(documents, keys) 1 where a document has a key."""
    order = np.argsort(keys)
    ordered = keys[order]
    columns, ends = [], [0]
    for found in documents:
        at = np.minimum(np.searchsorted(ordered, found), max(len(ordered) - 1, 0))
        columns.append(order[at[ordered[at] == found]] if len(ordered) else at[:0])
        ends.append(ends[-1] + len(columns[-1]))
    return csr_matrix(
        (np.ones(ends[-1], np.float32), np.concatenate(columns) if columns else np.empty(0, int), ends),
        shape=(len(documents), len(keys)),
    )


def _unit(x: csr_matrix) -> csr_matrix:
    norms = np.sqrt(np.asarray(x.multiply(x).sum(axis=1)).ravel())
    return x.multiply((1.0 / np.where(norms > 0, norms, 1.0))[:, None]).tocsr()
