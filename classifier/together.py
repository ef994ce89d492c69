"""Several texts at once: for each the places of its features, as `Linear.places` finds them one by one.

Of what a text of a few hundred characters costs, most is what each operation on an array costs, however short that is. Under load
there are always several texts, and one operation does for all of them.
"""

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from classifier.characters import VALUE
from classifier.features import BEGINNING, HEAD, INVERSES, OF_BEGINNING, OF_HEAD, POWERS, characters, cut, tokens
from classifier.linear import Linear, Places

_MARKS = 2  # tokens behind each text, so that it ends as it does when it stands alone
_TEXT = np.uint64(32)  # bits below the number of a text, where a place and a text are one number


def places_together(linear: Linear, texts: Sequence[str]) -> list[tuple[Places, int]]:
    """(places, how many of them are of the body) of each text, in order."""
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


def _apart(linear: Linear, hashes: NDArray[np.uint64], whose: NDArray[np.intp], count: int) -> list[tuple[Places, int]]:
    places, known = linear.known(hashes)
    both = (whose.take(known).astype(np.uint64) << _TEXT) | places.astype(np.uint64)
    both.sort()
    once = np.ones(len(both), np.bool_)
    np.not_equal(both[1:], both[:-1], once[1:])
    both = both[once]
    numbers = np.arange(count, dtype=np.uint64) << _TEXT
    begin = both.searchsorted(numbers).tolist()
    body = both.searchsorted(numbers + np.uint64(linear.of_body), "right").tolist()
    places = (both & np.uint64(0xFFFF_FFFF)).astype(places.dtype)
    return [(places[a:b], middle - a) for a, b, middle in zip(begin, [*begin[1:], len(both)], body, strict=True)]
