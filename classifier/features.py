"""Features: the words and characters of an ask as hashes, the same for training and for serving.

A token is a Latin word, a number, one Chinese character (each says as much as a short word), or one mark. Features are single
tokens and pairs of neighbours: all those of the text, and once more those of its head and how it begins, since an instruction
mostly stands first. Each is a stretch of the text, so one running sum over its characters hashes them all: with r the sum of
value × base^place, the hash of a stretch is (r at its end - r at its beginning) / base^beginning, modulo 2^64.
"""

import re

import numpy as np
from numpy.typing import NDArray

from classifier.characters import BITS, BLANK_BIT, FORM, REPEATS, VALUE, points, salt

Hashes = NDArray[np.uint64]

LONGEST = 1_800  # characters looked at, two thirds of them from the beginning and the rest from the end
HEAD = 60  # characters of the head
BEGINNING = 3  # tokens: the text begins with one, with two, with three

# An instruction that stands below what it is about. It counts as the head.
_LONG, _LINE = 40, 200  # characters from which on a text has a below, and that an instruction has at most
_BROKEN = 25  # characters that a line has at least where it was broken: 50 columns of Chinese
_INSTRUCTS = re.compile(
    r"\s*(?:please|pls|can you|could you|summari|translat|rewrite|rephrase|extract|classify|explain|list|give|answer|fix|find|"
    r"tell|write|turn|convert|what|why|how|who|when|where|which|is|are|does|do|"
    r"tl;?dr|请|帮|麻烦|把|将|总结|概括|翻译|根据|以上|上面|上文|上述|这段|这篇|为什么|怎么|如何|问题|用一|润色|改写|提取)",
    re.IGNORECASE,
)
_ASKS = re.compile(r"[?？]\s*$")

_BASE = 0x9E37_79B9_7F4A_7C15
# Of each place of a text with a blank before it: the first character is the one that is multiplied by 1.
POWERS = np.array([0, *(pow(_BASE, n, 1 << 64) for n in range(LONGEST + 8))], np.uint64)
INVERSES = np.array([pow(_BASE, -n, 1 << 64) for n in range(LONGEST + 8)], np.uint64)
_NONE = np.empty(0, np.uint64)
# Operands as arrays: numpy takes a third longer to look at a number.
_BLANKS, _REPEATS, _NOTHING = (np.array(n, np.uint8) for n in (BLANK_BIT, REPEATS, 0))
OF_HEAD, OF_BEGINNING = np.array(salt(1)), np.array(salt(2))


def hashed(text: str) -> tuple[Hashes, int]:
    """(hashes, how many are of the whole text): with repetitions, those of head and beginning last."""
    bits, values = _read(text, VALUE)
    starts, ends = tokens(bits)
    count = len(ends) - 1
    if not count:
        return _NONE, 0
    starts = starts[:-1]
    np.multiply(values, POWERS[: len(values)], values)
    running = np.add.accumulate(values, 0, None, values)
    ended, begun, inverse = running.take(ends), running.take(starts), INVERSES.take(starts)
    heads, body = min(int(starts.searchsorted(HEAD)), count), 2 * count - 1
    found = np.empty(body + 2 * heads + BEGINNING, np.uint64)
    one, two = found[:count], found[count : 2 * count]
    np.multiply(np.subtract(ended[:-1], begun, one), inverse, one)
    np.multiply(np.subtract(ended[1:], begun, two), inverse, two)
    # What is written next takes the place of the last pair: its second half is what stands behind the text, or the head.
    end = body + 2 * heads
    both = found[: 2 * count].reshape(2, count)
    np.multiply(both[:, :heads], OF_HEAD, found[body:end].reshape(2, heads))
    # A text begins where its sums do, at 0: nothing is to be taken off and nothing to be divided by.
    begins = min(BEGINNING, count)
    np.multiply(ended[:begins], OF_BEGINNING, found[end - 1 : end - 1 + begins])
    return found[: end - 1 + begins], body


def spelled(text: str) -> list[str]:
    """What each of the hashes of a text stands for, in the same order: a tab marks the head, two the beginning."""
    bits, forms = _read(text, FORM)
    starts, ends = ((at + 1).tolist() for at in tokens(bits))
    plain = "".join(map(chr, forms.tolist()))
    one = [plain[a:b] for a, b in zip(starts[:-1], ends[:-1], strict=True)]
    two = [plain[a:b] for a, b in zip(starts[:-2], ends[1:-1], strict=True)]
    in_head = sum(a <= HEAD for a in starts[:-1])
    return [
        *one,
        *two,
        *(f"\t{t}" for t in one[:in_head]),
        *(f"\t{t}" for t in two[: max(in_head - 1, 0)]),
        *(f"\t\t{plain[starts[0] : b]}" for b in ends[:-1][:BEGINNING]),
    ]


def cut(text: str) -> str:
    """As much of a text as is looked at, without blanks around it."""
    if len(text) > LONGEST:
        text = f"{text[: LONGEST * 2 // 3]} {text[-LONGEST // 3 :]}"
    return text.strip()


def _read(text: str, table: Hashes) -> tuple[NDArray[np.uint8], Hashes]:
    """(bits, values of a table) of the characters, runs of blanks and digits as one; between blanks, and with a mark behind."""
    return characters(f" {cut(text)} . .", table)[1:]


def characters(framed: str, table: Hashes) -> tuple[NDArray[np.intp], NDArray[np.uint8], Hashes]:
    """(places, bits, values of a table) of the characters that count: of each run the last, and not the last of all."""
    raw = points(framed)
    bits = BITS.take(raw, mode="clip")
    at = np.less(bits[1:] & bits[:-1], _REPEATS).nonzero()[0]
    return at, bits.take(at), table.take(raw.take(at), mode="clip")


def tokens(bits: NDArray[np.uint8]) -> tuple[NDArray[np.intp], NDArray[np.intp]]:
    """(places before the tokens, places of their last characters), the mark behind the text last.

    A token goes on where neighbours have a bit in common, and neither begins nor ends at a blank.
    """
    before, behind = bits[:-1], bits[1:]
    starts = np.equal((before | _BLANKS) & behind, _NOTHING).nonzero()[0]
    ends = np.equal(before & (behind | _BLANKS), _NOTHING).nonzero()[0]
    return starts, ends


def arranged(text: str) -> str:
    """The text with its instruction first, also where it stands below what was pasted above it."""
    text = text.rstrip()
    line = text.rfind("\n")
    if line < 0 or len(text) <= _LONG:
        return text
    last = text[line + 1 :]
    if len(last) > _LINE or not (_INSTRUCTS.match(last) or _ASKS.search(last)):
        return text
    if _goes_on(text[text.rfind("\n", 0, line) + 1 : line].rstrip(), last):
        return text
    first = text[: text.find("\n")]
    if len(first) <= _LINE and (_INSTRUCTS.match(first) or _ASKS.search(first)):
        return text
    return f"{last}\n{text[:line]}"


def _goes_on(line: str, last: str) -> bool:
    """Whether the last line is the end of a sentence that was broken, as mails and terminals do."""
    return len(line) >= _BROKEN and line[-1].isalnum() and not last[:1].isupper()
