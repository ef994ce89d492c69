"""Spelling: an English word that nobody writes is taken for the one that it is a slip of.

A slip is a letter too much, too few, changed, or two exchanged. Words one slip apart have a string in common when from each
one letter or none is left out, which makes finding them a look-up (symmetric deletes, W. Garbe, 2012). A word that is written
for real, however rare, is never touched.
"""

import re
from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

_WORD = re.compile(r"[a-z]{3,14}")  # shorter ones are a slip away from too many
_LETTERS = "".join(c if c.islower() else c.lower() if c.isupper() else " " for c in map(chr, range(128)))
_TABLE = _LETTERS.encode() + bytes(range(128, 256))  # of each byte of Latin-1
_LOOKED_AT = 200  # characters: where an instruction mostly stands; each look-up of a word costs more than reading it
_MOST = 8  # unknown words of a prompt: more are another language, or a listing
_SHORT = 3
MET = 2_048  # words
REMEMBERED = 4_096  # words, of up to 200 characters
FEWEST = 5_000  # words, to tell a slip from a word
REAL = 2  # texts that a word must be in to be one that people write


@dataclass(frozen=True, slots=True)
class Words:
    """Words that people write, the more frequent first; the `targets` first of them are those that slips are taken for."""

    words: Sequence[str]
    targets: int


class Spelling:
    """Mends English prompts."""

    def __init__(self, words: Words) -> None:
        self._real = dict.fromkeys(words.words)  # a dict of texts: the collector of garbage walks through every set
        self._near: dict[str, str] = {}
        for word in words.words[: words.targets]:
            for part in (word, *_without_one(word)):
                self._near.setdefault(part, word)
        self._slips: dict[str, str | None] = {}  # words met that are in no list, and what they are slips of
        self._met: dict[
            str, None
        ] = {}  # real words met: a few hundred are most of all text, and stay in the processor's cache

    def mended(self, text: str) -> str | None:
        """The text with its slips mended; None where there is nothing to mend, or little of it is English."""
        head = text[:_LOOKED_AT]
        if not head.isascii() and 2 * len(head.encode("ascii", "ignore")) < len(head):
            return None  # Chinese, mostly
        met = self._met
        strange = {word for word in _plain_words(head) if word not in met}
        if strange:
            strange = self._strange(strange)
        if not strange or len(strange) > _MOST:
            return None
        slips = [(word, meant) for word in strange if (meant := self._slip(word))]
        if not slips:
            return None
        head = head.lower()
        # The longer first: a short one may stand in it. In an order of their own, or two processes would mend differently.
        for word, meant in sorted(slips, key=lambda slip: (-len(slip[0]), slip[0])):
            head = head.replace(word, meant)
        return head + text[_LOOKED_AT:]

    def _strange(self, words: set[str]) -> set[str]:
        """Those of them that are in no list."""
        real = [word for word in words if word in self._real]
        if len(self._met) + len(real) > MET:
            self._met.clear()
        self._met.update(dict.fromkeys(real))
        return words.difference(real)

    def _slip(self, word: str) -> str | None:
        """Names and rare words come again too."""
        if word in self._slips:
            return self._slips[word]
        if len(self._slips) >= REMEMBERED:
            self._slips.clear()
        meant = self._slips[word] = self._meant(word) if _WORD.fullmatch(word) else None
        return meant

    def _meant(self, word: str) -> str | None:
        """Three letters may be a word of four that lacks one, or of three with two exchanged: the rest is too many words."""
        near = self._near.get(word)
        if near:
            return near
        parts = _without_one(word)
        if self._near.keys().isdisjoint(parts):  # mostly
            return None
        others = (n for part in parts if (n := self._near.get(part)))
        return next((n for n in others if len(word) > _SHORT or sorted(n) == sorted(word)), None)


def counted(texts: Iterable[str], known: Sequence[str]) -> Words:
    """The words of a corpus; `known` are those that a model has weights for, and slips are taken for. None of a corpus so
    small that a word that is not in it may well be one."""
    often = Counter(word for text in texts for word in _words(text))
    real = {w for w, n in often.items() if n >= REAL}
    if len(real) < FEWEST:
        return Words((), 0)
    targets = sorted((w for w in known if w in real and _WORD.fullmatch(w)), key=lambda w: (-often[w], w))
    return Words([*targets, *sorted(real - set(targets))], len(targets))


def joined(words: Words, texts: Iterable[str]) -> Words:
    """The words, and those of some more texts, each of which counts as written for real."""
    if not words.targets:
        return words
    more = {word for text in texts for word in _words(text)} - set(words.words)
    return Words([*words.words, *sorted(more)], words.targets)


def _words(text: str) -> set[str]:
    return set("".join(_LETTERS[ord(c)] if c < "\x80" else " " for c in text).split())


def _plain_words(text: str) -> list[str]:
    """As `_words`, in a tenth of the time, but that a word with an accent stays whole: it is none of these."""
    return text.encode("latin-1", "replace").translate(_TABLE).decode("latin-1").split()


def _without_one(word: str) -> list[str]:
    return [word[:i] + word[i + 1 :] for i in range(len(word))]
