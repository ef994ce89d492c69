"""Labels from live traffic: what an ask turned out to be, with its features and never its text.

Only features that the model knows are kept, by half of their hash: words that many people use. A name or a number that stands
in one prompt only is in no vocabulary, so it is not kept.
"""

import base64
import binascii
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from classifier.features import Hashes

_HALF = np.uint64(32)

Halves = NDArray[np.uint32]


@dataclass(frozen=True, slots=True)
class Label:
    """One labelled ask: its task, its language, and half-hashes of what is in the whole text and in its head."""

    task: str
    language: str
    body: Halves
    head: Halves

    def document(self, keys: Hashes) -> tuple[Hashes, Hashes]:
        """The ask as a document over a vocabulary's keys, each of which it has or has not."""
        halves = (keys >> _HALF).astype(np.uint32)
        return np.sort(keys[np.isin(halves, self.body)]), np.sort(keys[np.isin(halves, self.head)])


def packed(language: str, body: Hashes, head: Hashes) -> str:
    """What is stored of an ask: `language.body.head`, each half-hash in four bytes, base64."""
    return ".".join((language, _packed(body), _packed(head)))


def unpacked(task: str, stored: str) -> Label | None:
    """The label that was stored; None for what is none."""
    parts = stored.split(".")
    if len(parts) != 3:
        return None
    try:
        return Label(task, parts[0], _unpacked(parts[1]), _unpacked(parts[2]))
    except (binascii.Error, ValueError):
        return None


def _packed(hashes: Hashes) -> str:
    return base64.b64encode((hashes >> _HALF).astype("<u4").tobytes()).decode()


def _unpacked(text: str) -> Halves:
    return np.frombuffer(base64.b64decode(text, validate=True), "<u4").astype(np.uint32)
