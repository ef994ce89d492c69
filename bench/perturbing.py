"""Perturbations: a prompt as it might as well have been typed, by the same person on another day or another keyboard.

Each is a function of a text and a random generator; equal generators give equal texts.
"""

import re
import textwrap
from collections import defaultdict
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from random import Random

ROOT = Path(__file__).parent.parent
DATA = ROOT / "tests" / "classifier" / "data"

Perturb = Callable[[str, Random], str]

RATE = 0.1  # of words with a typo
HANZI_A_WORD = 1.6  # characters of a Chinese word in running text, about: one typo on 16 characters is one on ten words
_WORD, _HANZI, _LETTERS = re.compile(r"[A-Za-z]+"), re.compile(r"[\u4e00-\u9fff]"), 3
_NEIGHBOURS = (
    "aqwsz bvghn cxdfv dserfcx ewsdr fdrtgvc gftyhbv hgyujnb iujko jhuikmn kjiolm lkop mnjk nbhjm oiklp pol qwa redft sawedxz trfgy "
    "uyhji vcfgb wqase xzsdc ytghu zasx"
)
_KEYS = {keys[0]: keys[1:] for keys in _NEIGHBOURS.split()}  # of each key of an English keyboard, those around it

# What a hasty typist leaves out. Brackets, operators and the like are part of code and formulas.
_PROSE_MARKS = re.compile("[.,;:!?'\"，。；：！？、“”‘’「」…]")
_AFTER_A_CLAUSE = re.compile(r"[.,;:!?，。；：！？](?=\s|[\u4e00-\u9fff])")
# One code point and several: with a skin tone, a variation selector, a joiner, a flag.
EMOJI = ("🙏", "😀", "😂", "🎉", "🤔", "✨", "❤️", "👍🏽", "☺️", "👩‍💻", "✅", "🇫🇷")
_FULL_WIDTH = {0x20: 0x3000} | {point: point + 0xFEE0 for point in range(0x21, 0x7F)}
_WRAPPED = 60  # columns; a Chinese character takes two


def typos(text: str, rng: Random) -> str:
    """One word in ten mistyped; where there are fewer, or some over, chance decides so that it is one in ten on average."""
    words = [m.span() for m in _WORD.finditer(text)]
    hanzi = [m.span() for m in _HANZI.finditer(text)]
    long_enough = [(a, b) for a, b in words if b - a >= _LETTERS]
    places = [
        *rng.sample(long_enough, min(_rounded(RATE * len(words), rng), len(long_enough))),
        *rng.sample(hanzi, min(_rounded(RATE * len(hanzi) / HANZI_A_WORD, rng), len(hanzi))),
    ]
    for start, end in sorted(places, reverse=True):
        wrong = _mistyped(text[start:end], rng) if end - start > 1 else _mistaken(text[start], rng)
        text = text[:start] + wrong + text[end:]
    return text


def _rounded(number: float, rng: Random) -> int:
    return int(number + rng.random())


def _mistyped(word: str, rng: Random) -> str:
    """Two letters swapped, a letter dropped, doubled, or exchanged for its neighbour on the keyboard."""
    at = rng.randrange(len(word) - 1)
    a, b = word[at], word[at + 1]
    key = rng.choice(_KEYS[b.lower()])
    wrong = rng.choice((b + a if a != b else a, a, a + b + b, a + (key if b.islower() else key.upper())))
    return word[:at] + wrong + word[at + 2 :]


def _mistaken(hanzi: str, rng: Random) -> str:
    """A character that sounds or looks alike, none, or two of it."""
    kind = rng.choice((HOMOPHONES, LOOKALIKES, "dropped", "doubled"))
    if not isinstance(kind, str):
        others = kind.get(hanzi) or HOMOPHONES.get(hanzi) or LOOKALIKES.get(hanzi)
        return rng.choice(others) if others else ""
    return "" if kind == "dropped" else hanzi * 2


def _alike(file: str) -> Mapping[str, Sequence[str]]:
    """Of each character, the others of its groups."""
    lines = (DATA / file).read_text("utf-8").splitlines()
    others: dict[str, list[str]] = defaultdict(list)
    for group in (g for line in lines if not line.startswith("#") for g in line.split()):
        for hanzi in group:
            others[hanzi] += [h for h in group if h != hanzi]
    return others


HOMOPHONES, LOOKALIKES = _alike("homophones.txt"), _alike("lookalikes.txt")


def _traditional_forms() -> Mapping[str, Sequence[str]]:
    above, below = (ROOT / "classifier" / "traditional.txt").read_text("utf-8").split()
    forms: dict[str, list[str]] = defaultdict(list)
    for old, new in zip(above, below, strict=True):
        forms[new].append(old)
    return forms


TRADITIONAL = _traditional_forms()


def upper(text: str, rng: Random) -> str:
    """ALL CAPITALS."""
    return text.upper()


def lower(text: str, rng: Random) -> str:
    """no capitals."""
    return text.lower()


def title(text: str, rng: Random) -> str:
    """Every Word With A Capital."""
    return re.sub(r"(?<![\w'])[a-z]", lambda m: m[0].upper(), text)


def unpunctuated(text: str, rng: Random) -> str:
    """Without the marks of prose."""
    return _PROSE_MARKS.sub("", text)


def full_width(text: str, rng: Random) -> str:
    """Letters, digits, marks and blanks as wide as a Chinese character."""
    return text.translate(_FULL_WIDTH)


def traditional(text: str, rng: Random) -> str:
    """Each simplified character in one of its traditional forms."""
    return "".join(rng.choice(TRADITIONAL[c]) if c in TRADITIONAL else c for c in text)


def emoji(text: str, rng: Random) -> str:
    """One at the end, behind every other clause, and in front of every third text."""
    inside = _AFTER_A_CLAUSE.sub(lambda m: m[0] + (rng.choice(EMOJI) if rng.random() < 1 / 2 else ""), text)
    before = rng.choice(EMOJI) + " " if rng.random() < 1 / 3 else ""
    return f"{before}{inside} {rng.choice(EMOJI)}"


def spaced(text: str, rng: Random) -> str:
    """More and other blanks where there are some, more line ends, and both around it."""
    wide = re.sub(" +", lambda m: rng.choice(("  ", "   ", "\t", "\u00a0")), text)
    long = re.sub("\n", lambda m: rng.choice(("\n\n", " \n", "\r\n")), wide)
    return f"\n  \n{long}\n\n \n"


def wrapped(text: str, rng: Random) -> str:
    """Lines broken at 60 columns, as out of a mail or a terminal."""
    return "\n".join(part for line in text.split("\n") for part in _broken(line))


def _broken(line: str) -> Sequence[str]:
    if not _HANZI.search(line):
        return textwrap.wrap(line, _WRAPPED) or [""]
    half = _WRAPPED // 2
    return [line[i : i + half] for i in range(0, len(line), half)]
