"""Several texts at once: the probabilities of each, as they are found one by one.

Of what a text of a few hundred characters costs, most is what each operation on an array costs, however short that is. Under load
there are always several texts, and one operation does for all of them.
"""

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from classifier.characters import VALUE
from classifier.conversation import Probabilities
from classifier.features import BEGINNING, HEAD, INVERSES, OF_BEGINNING, OF_HEAD, POWERS, characters, cut, tokens
from classifier.linear import Linear, Places

_MARKS = 2  # tokens behind each text, so that it ends as it does when it stands alone
_TEXT = np.uint32(24)  # bits below the number of a text, where a place and a text are one number
_PLACE = np.uint32((1 << 24) - 1)
MOST = 64  # texts; of these numbers there are 256
_LEAST = 1e-30


def read_together(linear: Linear, texts: Sequence[str], scale: float) -> list[Probabilities | None]:
    """(tasks,) calibrated probabilities of each text, as they are found one by one but for rounding; None where nothing is known."""
    places, edges = places_together(linear, texts)
    body, head = linear.sums(places, edges).reshape(len(texts), 2, -1).astype(np.float64).transpose(1, 0, 2)
    tasks = len(linear.bias)
    known = body[:, tasks + 1] + head[:, tasks + 1] >= 1
    to_body, to_head = _inverse_roots(body[:, tasks]), _inverse_roots(head[:, tasks])
    scores = linear.bias + body[:, :tasks] * to_body[:, None] + head[:, :tasks] * to_head[:, None]
    e = np.exp((scores - scores.max(1, keepdims=True)) * scale)
    e /= e.sum(1, keepdims=True)
    return [tuple(p) if some else None for p, some in zip(e.tolist(), known.tolist(), strict=True)]


def places_together(linear: Linear, texts: Sequence[str]) -> tuple[Places, NDArray[np.intp]]:
    """(places, edges): of text n the places from edge 2n on are of its body, and from edge 2n + 1 on of its head."""
    framed = [f" {cut(text)} . ." for text in texts]
    bits, values, begins = _read(framed)
    lengths = np.diff(begins, append=len(values))
    local = np.arange(len(values)) - np.repeat(begins, lengths)
    running = np.add.accumulate(values * POWERS.take(local))
    starts, ends = tokens(bits)
    first = starts.searchsorted(begins)  # of each text its first token
    count = np.diff(first, append=len(starts))
    of_text = np.repeat(np.arange(len(texts)), count)
    rank = np.arange(len(starts)) - np.repeat(first, count)
    left = np.repeat(count - _MARKS, count) - rank  # real tokens from here on
    begun, ended, place = running.take(starts), running.take(ends), local.take(starts)
    inverse = INVERSES.take(place)
    one = (ended - begun) * inverse
    two = (ended[1:] - begun[:-1]) * inverse[:-1]
    in_head = (left > 0) & (place < HEAD)
    chosen = (
        (one, None, (left > 0).nonzero()[0]),
        (two, None, (left > 1).nonzero()[0]),
        (one, OF_HEAD, in_head.nonzero()[0]),
        (two, OF_HEAD, (in_head[:-1] & in_head[1:] & (left[:-1] > 1)).nonzero()[0]),
        (ended - running.take(begins).take(of_text), OF_BEGINNING, ((rank < BEGINNING) & (left > 0)).nonzero()[0]),
    )
    found = [h.take(at) if salt is None else h.take(at) * salt for h, salt, at in chosen]
    whose = np.concatenate([of_text.take(at) for _, _, at in chosen])
    return _apart(linear, np.concatenate(found), whose, len(texts))


def _read(framed: Sequence[str]) -> tuple[NDArray[np.uint8], NDArray[np.uint64], NDArray[np.intp]]:
    """(bits, values, where each text begins) of the characters of all, as one text has them."""
    at, bits, values = characters("".join(framed) + " .", VALUE)
    edges = np.cumsum([0, *map(len, framed[:-1])])
    return bits, values, at.searchsorted(edges)


def _apart(
    linear: Linear, hashes: NDArray[np.uint64], whose: NDArray[np.intp], count: int
) -> tuple[Places, NDArray[np.intp]]:
    places, known = linear.known(hashes)
    both = (whose.take(known).astype(np.uint32) << _TEXT) | places.astype(np.uint32)
    both.sort()
    once = np.ones(len(both), np.bool_)
    np.not_equal(both[1:], both[:-1], once[1:])
    both = both[once]
    numbers = np.arange(count + 1, dtype=np.uint32) << _TEXT
    begin = both.searchsorted(numbers)
    middle = both.searchsorted(numbers[:-1] + np.uint32(linear.of_body), "right")
    edges = np.empty(2 * count + 1, np.intp)
    edges[::2], edges[1::2] = begin, middle
    return both & _PLACE, edges


def _inverse_roots(squares: NDArray[np.float64]) -> NDArray[np.float64]:
    return np.where(squares > 0, 1.0 / np.sqrt(np.maximum(squares, _LEAST)), 0.0)
