"""Cues: words and phrases that a rule looks for in a text, and how many rules look for theirs at once."""

import re
from collections.abc import Callable, Iterable, Mapping
from typing import NamedTuple

_STARTS = re.compile(r"\b\w{3}").findall
_WORD = re.compile(r"\w{3}").match

Found = dict[str, list[tuple["Cue", int]]]


class Cue(NamedTuple):
    """A lower-case text, and for a Latin one a search for it where a word starts ("legal" is not in "illegal"); Chinese has no
    word breaks."""

    text: str
    at_start: Callable[[str], re.Match[str] | None] | None

    def stands_in(self, lowered: str) -> bool:
        """Whether it stands in a lower-case text. A plain look first: a pattern costs ten times as much on a text without it."""
        return self.text in lowered and (self.at_start is None or self.at_start(lowered) is not None)


def cue(text: str) -> Cue:
    """A cue, in any case."""
    lowered = text.lower()
    latin = lowered.isascii() and lowered[0].isalnum()
    return Cue(lowered, re.compile(r"\b" + re.escape(lowered)).search if latin else None)


class Cues:
    """The cues of many rules: only those are looked for that the beginnings of the text's words, or its characters, allow."""

    def __init__(self, of_rules: Mapping[int, Iterable[Cue]]) -> None:
        self._by_start: Found = {}
        self._by_char: Found = {}
        self._others: list[tuple[Cue, int]] = []
        for rule, cues in of_rules.items():
            for one in cues:
                if one.at_start is None:
                    self._by_char.setdefault(one.text[0], []).append((one, rule))
                elif _WORD(one.text):
                    self._by_start.setdefault(one.text[:3], []).append((one, rule))
                else:
                    self._others.append((one, rule))

    def found(self, lowered: str) -> set[int]:
        """The rules that have a cue in a lower-case text."""
        found = {rule for one, rule in self._others if one.stands_in(lowered)}
        if self._by_start:
            for start in self._by_start.keys() & _STARTS(lowered):
                found.update([rule for one, rule in self._by_start[start] if one.stands_in(lowered)])
        if self._by_char:
            chars = set(lowered)
            for char in self._by_char.keys() & chars:
                # The last character first: most cues fail there, and a look through the text costs five times as much.
                found.update([r for one, r in self._by_char[char] if one.text[-1] in chars and one.stands_in(lowered)])
        return found
