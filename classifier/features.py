"""Features: the words and characters of an ask, the same for training and for serving."""

import re

# A Latin word, a number, one Chinese character (each says as much as a short word), or one mark.
_TOKEN = re.compile(r"[a-z]+(?:'[a-z]+)?|\d+|[\u3400-\u9fff]|```|[^\w\s]")
HEAD, FIRST, LAST = 60, 400, 200  # characters of the head; tokens from the beginning and from the end
LONGEST = 3_600  # characters: more hold more tokens than are looked at


def tokens(text: str) -> list[str]:
    """Lower-case tokens; every number is `0`. Of a long text the first and the last ones."""
    if len(text) > LONGEST:
        text = f"{text[: LONGEST * 2 // 3]} {text[-LONGEST // 3 :]}"
    found = ["0" if t[0].isdigit() else t for t in _TOKEN.findall(text.lower())]
    return found if len(found) <= FIRST + LAST else found[:FIRST] + found[-LAST:]


def body(text: str) -> list[str]:
    """Unigrams and bigrams of the whole text."""
    return _grams(tokens(text))


def head(text: str) -> list[str]:
    """Unigrams and bigrams of the first 60 characters, apart: an instruction mostly stands first."""
    return _grams(tokens(text.lstrip()[:HEAD]))


def _grams(words: list[str]) -> list[str]:
    return words + [f"{a} {b}" for a, b in zip(["\x02", *words], words, strict=False)]  # \x02 is the beginning
