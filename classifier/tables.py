"""Tables in plain text, for a terminal or a file: aligned also where names are Chinese, and harmless whatever names hold."""

import itertools
import unicodedata
from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

LONGEST_NAME = 24  # columns of a name that heads a row
_ABBREVIATED = 5  # columns of a name that heads a column


def aligned(header: Sequence[str], rows: Sequence[Sequence[str]]) -> str:
    """The first column to the left, the others to the right, two blanks between."""
    lines = [header, *([shortened(row[0], LONGEST_NAME), *row[1:]] for row in rows)]
    widths = [max(map(_columns, column)) for column in zip(*lines, strict=True)]
    return "\n".join(
        "  ".join(
            _blanks(w - _columns(cell), cell, left=not i) for i, (w, cell) in enumerate(zip(widths, line, strict=True))
        )
        for line in lines
    )


def matrix(names: Sequence[str], counts: NDArray[np.int64], width: int) -> str:
    """Counts (names, names), a row and a column a name; side by side as many columns as fit, the others below."""
    first = min(LONGEST_NAME, max(map(_columns, names)))
    heads = abbreviated(names, _ABBREVIATED)
    cell = max(*map(_columns, heads), len(str(counts.max()))) + 1
    fit = max(1, (width - first) // cell)
    return "\n\n".join(
        "\n".join(
            [
                " " * first + "".join(_blanks(cell - _columns(h), h) for h in heads[at : at + fit]),
                *(
                    _blanks(first - _columns(shortened(name, first)), shortened(name, first), left=True)
                    + "".join(f"{count or '.':>{cell}}" for count in line[at : at + fit].tolist())
                    for name, line in zip(names, counts, strict=True)
                ),
            ]
        )
        for at in range(0, len(names), fit)
    )


def abbreviated(names: Sequence[str], width: int) -> list[str]:
    """Names of at most `width` characters, no two alike: how they begin, else how their first and last word do, else a number."""
    taken = {n for n in names if len(n) <= width}
    short = []
    for name in names:
        if len(name) > width:
            words = name.strip("_").split("_")
            numbered = (f"{name[: width - len(str(n))]}{n}" for n in itertools.count(2))
            ways = itertools.chain(
                [name[:width].rstrip("_"), f"{words[0][: width - 3]}_{words[-1][:2]}"],
                numbered,
            )
            name = next(way for way in ways if way not in taken and len(way) <= width)
            taken.add(name)
        short.append(name)
    return short


def shortened(text: str, columns: int) -> str:
    """At most so many columns of a text."""
    if _columns(text) <= columns:
        return text
    ends = itertools.accumulate(map(_columns, text))
    return "".join(c for c, end in zip(text, ends, strict=False) if end < columns) + "…"


def printable(text: str) -> str:
    """In one line, without what a terminal would obey and what has no UTF-8."""
    return "".join(c if c.isprintable() else "\ufffd" for c in " ".join(text.split()))


def _columns(text: str) -> int:
    """How wide a terminal shows it."""
    if text.isascii():
        return len(text)
    return sum(
        0 if unicodedata.combining(c) else 2 if unicodedata.east_asian_width(c) in ("W", "F") else 1 for c in text
    )


def _blanks(count: int, text: str, left: bool = False) -> str:
    return text + " " * count if left else " " * count + text
