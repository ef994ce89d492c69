"""Characters: what each one counts as. Case, width, accents, traditional forms and which digit it is make no difference.

Tables by code point, so that a text is read with a few look-ups of whole arrays. Emoji, and with them all that is beyond the
basic plane, count as blanks: people add them to anything.
"""

import unicodedata
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

# Kinds, in an order that the look-ups use: up to DIGIT a run is one, from CHINESE on each character is a token by itself.
KINDS = 6
BLANK, DIGIT, LATIN, FOREIGN, CHINESE, MARK = range(KINDS)

_SIZE = 0x1_0001  # the basic plane, and one place for all that is beyond it
# Traditional characters, and below each its simplified form: OpenCC's TSCharacters (Apache-2.0), the first choice of each.
_TRADITIONAL = Path(__file__).parent / "traditional.txt"
# Marks that Chinese or careful typography has in other shapes.
_MARKS = dict(zip("，。？！：；“”‘’（）、【】《》「」『』—–…～·", ',.?!:;""\'\'(),[]""""""--.~.', strict=True))


def _forms() -> tuple[NDArray[np.uint64], NDArray[np.uint8]]:
    """(form, kind) of each code point."""
    form, kind = np.arange(_SIZE, dtype=np.uint64), np.full(_SIZE, MARK, np.uint8)
    kind[[point for point in range(_SIZE - 1) if chr(point).isalpha()]] = FOREIGN
    kind[0x3400:0xA000] = CHINESE
    for point in (*range(0x250), *range(0x2000, 0x2070), 0x3000, 0xFEFF, *range(0xFF00, 0xFFF0)):
        plain = unicodedata.normalize("NFKD", chr(point)).lower()[:1]
        form[point] = ord(plain)
        if plain.isspace() or point < 0x20 or unicodedata.category(chr(point)) in ("Cc", "Cf"):
            form[point], kind[point] = ord(" "), BLANK
        elif "a" <= plain <= "z":
            kind[point] = LATIN
    for point in (*range(0x2600, 0x27C0), *range(0xFE00, 0xFE10), _SIZE - 1):  # emoji, and what varies them
        form[point], kind[point] = ord(" "), BLANK
    digits = [point for point in range(_SIZE - 1) if chr(point).isdecimal()]
    form[digits], kind[digits] = ord("0"), DIGIT
    for mark, plain in _MARKS.items():
        form[ord(mark)] = ord(plain)
    above, below = _TRADITIONAL.read_text("utf-8").split()
    form[np.array([ord(c) for c in above])] = [ord(c) for c in below]
    return form, kind


def _mixed(numbers: NDArray[np.uint64]) -> NDArray[np.uint64]:
    """Odd numbers of 64 bits that look random, the same on every machine: splitmix64 (Steele, Lea & Flood, 2014)."""
    x = numbers + np.uint64(0x9E37_79B9_7F4A_7C15)
    x = (x ^ (x >> np.uint64(30))) * np.uint64(0xBF58_476D_1CE4_E5B9)
    x = (x ^ (x >> np.uint64(27))) * np.uint64(0x94D0_49BB_1331_11EB)
    return (x ^ (x >> np.uint64(31))) | np.uint64(1)


FORM, KIND = _forms()
VALUE = _mixed(FORM)  # what each character adds to a hash
# Kinds as bits, so that one `&` of neighbours says much: it is 0 where a token may end, and REPEATS or more within a run that
# counts as one character. Chinese characters and marks have none: they go on with nothing.
REPEATS = 4
BLANK_BIT = 8
BITS = np.array([BLANK_BIT, REPEATS, 1, 2, 0, 0], np.uint8)[KIND]


def points(text: str) -> NDArray[np.intp] | NDArray[np.uint32]:
    """(characters,) code points; look them up in VALUE, KIND and BITS with `mode="clip"`."""
    if text.isascii():
        return np.frombuffer(text.encode(), np.uint8).astype(np.intp)  # what look-ups take without a copy
    return np.frombuffer(text.encode("utf-32-le", "surrogatepass"), np.uint32)


def salt(number: int) -> np.uint64:
    """An odd number that sets the hashes of one sort of feature apart from those of others."""
    return np.uint64(_mixed(np.array([0x1_0000_0000 + number], np.uint64))[0])
