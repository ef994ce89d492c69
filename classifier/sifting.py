"""Sifting: which labels from traffic can teach a model, and what is to be said of the others."""

from collections import Counter
from collections.abc import Collection, Sequence
from dataclasses import dataclass

from classifier.corpus import Row
from classifier.features import Hashes
from classifier.labels import Label
from classifier.tables import printable, shortened
from classifier.vocabulary import Document

SOURCE = "traffic"
LICENCE = "own"
_NAMED = 5  # unknown tasks


@dataclass(frozen=True, slots=True)
class Sifted:
    """One row an ask, without its text, and its document; `said` counts the labels that are none of these, a line a reason."""

    rows: list[Row]
    documents: list[Document]
    said: tuple[str, ...]


def sifted(labels: Sequence[Label], tasks: Collection[str], keys: Hashes) -> Sifted:
    """The labels of `tasks` over a model's `keys`. Asks that are the same over these
    keys count once, as most of their labels say."""
    unknown = Counter(label.task for label in labels if label.task not in tasks)
    asks: dict[tuple[str, bytes, bytes], Counter[str]] = {}
    documents: dict[tuple[str, bytes, bytes], Document] = {}
    silent = 0
    for label in labels:
        if label.task in unknown:
            continue
        body, head = label.document(keys)
        if not len(body) + len(head):
            silent += 1
            continue
        ask = label.language, body.tobytes(), head.tobytes()
        documents[ask] = body, head
        asks.setdefault(ask, Counter())[label.task] += 1
    again = sum(said.total() - 1 for said in asks.values())
    torn = sum(len(said) > 1 for said in asks.values())
    reasons = (
        (unknown.total(), f"are of tasks that the model does not know: {_named(unknown)}"),
        (silent, "have no word that the model knows"),
        (again, "have the same known words as another, and count once"),
    )
    lines = [f"{n} of {len(labels)} labels from traffic {why}" for n, why in reasons if n]
    if torn:
        lines.append(
            f"{torn} of {len(asks)} asks from traffic were labelled in several ways; the most frequent one counts"
        )
    rows = [Row("", said.most_common(1)[0][0], ask[0], SOURCE, LICENCE, own=True) for ask, said in asks.items()]
    return Sifted(rows, list(documents.values()), tuple(lines))


def _named(tasks: Counter[str]) -> str:
    named = [f"{shortened(printable(task), 40)} ({n})" for task, n in tasks.most_common(_NAMED)]
    return ", ".join(named) + (f" and {len(tasks) - _NAMED} more" if len(tasks) > _NAMED else "")
