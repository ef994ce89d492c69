"""Features: the words and characters of an ask as hashes, the same for training and for serving.

A token is a Latin word, a number, one Chinese character (each says as much as a short word), or one mark. Features are single
tokens and pairs of neighbours: all those of the text, and once more those of its head and how it begins, since an instruction
mostly stands first. Each is a stretch of the text, so one running sum over its characters hashes them all: with r the sum of
value × base^place, the hash of a stretch is (r at its end - r at its beginning) / base^beginning, modulo 2^64.
"""

import re

import numpy as np
from numpy.typing import NDArray

from classifier.characters import BLANK, CHINESE, DIGIT, FORM, KIND, VALUE, points, salt

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
_POWERS = np.array([pow(_BASE, n, 1 << 64) for n in range(LONGEST + 2)], np.uint64)
_INVERSES = np.array([pow(_BASE, -n, 1 << 64) for n in range(LONGEST + 2)], np.uint64)
_OF_HEAD, _OF_BEGINNING = salt(1), salt(2)
_NONE, _FIRST = np.empty(0, np.uint64), np.ones(1, np.bool_)


def hashed(text: str) -> tuple[Hashes, int]:
    """(hashes, how many are of the whole text): with repetitions, those of head and beginning last."""
    text = _cut(text)
    if not text:
        return _NONE, 0
    kind, value, change = _read(text, VALUE)
    running = np.zeros(len(value) + 1, np.uint64)
    np.add.accumulate(value * _POWERS[: len(value)], out=running[1:])
    starts, ends = _tokens(kind, change)
    return _stretches(running[starts], running[ends], _INVERSES[starts], int(starts.searchsorted(HEAD)))


def spelled(text: str) -> list[str]:
    """What each of the hashes of a text stands for, in the same order: a tab marks the head, two the beginning."""
    text = _cut(text)
    if not text:
        return []
    kind, form, change = _read(text, FORM)
    starts, ends = _tokens(kind, change)
    plain = "".join(map(chr, form.tolist()))
    count, in_head = len(starts), int(starts.searchsorted(HEAD))
    one = [plain[a:b] for a, b in zip(starts, ends, strict=True)]
    two = [plain[a:b] for a, b in zip(starts[:-1], ends[1:], strict=True)]
    begun = [plain[starts[0] : b] for b in ends[:BEGINNING]] if count else []
    return [
        *one,
        *two,
        *(f"\t{t}" for t in one[:in_head]),
        *(f"\t{t}" for t in two[: max(in_head - 1, 0)]),
        *(f"\t\t{t}" for t in begun),
    ]


def _cut(text: str) -> str:
    """As much of a text as is looked at, without blanks around it."""
    if len(text) > LONGEST:
        text = f"{text[: LONGEST * 2 // 3]} {text[-LONGEST // 3 :]}"
    return text.strip()


def _read(text: str, table: Hashes) -> tuple[NDArray[np.uint8], Hashes, NDArray[np.bool_]]:
    """(kinds, values of a table, whether the kind changes behind it) of the characters, runs of blanks and digits as one."""
    raw = points(text)
    kind, value = KIND.take(raw, mode="clip"), table.take(raw, mode="clip")
    change = kind[1:] != kind[:-1]
    kept = change | (kind[1:] > DIGIT)
    if kind[0] != BLANK and kept.all():
        return kind, value, change
    at = np.concatenate([kind[:1] != BLANK, kept]).nonzero()[0]
    kind = kind.take(at)
    return kind, value.take(at), kind[1:] != kind[:-1]


def _tokens(kind: NDArray[np.uint8], change: NDArray[np.bool_]) -> tuple[NDArray[np.intp], NDArray[np.intp]]:
    """(starts, ends) of the tokens."""
    edge = np.ones(len(kind) + 1, np.bool_)  # before each character, and behind the last
    np.logical_or(change, kind[1:] >= CHINESE, out=edge[1:-1])
    full = kind != BLANK
    # A token ends where the next one starts or a blank does.
    return (edge[:-1] & full).nonzero()[0], (edge[1:] & full).nonzero()[0] + 1


def _stretches(begun: Hashes, ended: Hashes, inverse: Hashes, in_head: int) -> tuple[Hashes, int]:
    """All features, from the running sums before and after each token."""
    count = len(begun)
    if not count:
        return _NONE, 0
    one = (ended - begun) * inverse
    two = (ended[1:] - begun[:-1]) * inverse[:-1]
    # A text begins where its sums do, at 0: nothing is to be taken off and nothing to be divided by.
    parts = (
        one,
        two,
        one[:in_head] * _OF_HEAD,
        two[: max(in_head - 1, 0)] * _OF_HEAD,
        ended[:BEGINNING] * _OF_BEGINNING,
    )
    return np.concatenate(parts), 2 * count - 1


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
