"""Pairs: a prompt and the same prompt said otherwise, from where they were drawn or written.

What was written for this, prompt by prompt, stands in tests/classifier/data. Nothing of it may be trained on: what the
benches and tests say with it would be worth nothing.
"""

import hashlib
import json
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from random import Random
from typing import Any

from bench.perturbing import DATA, Perturb, typos
from classifier.corpus import Row, shipped, validation

LANGUAGES = {"en": "English", "zh": "Chinese"}
SHIPPED = 750  # of each language
INJECTED = 20  # prompts around which each injection is put
LONG = 100_000  # bytes

PARAPHRASES, MIXED, CUES, INJECTIONS = "paraphrases", "mixed languages", "cue words of other tasks", "injections"
ABOVE, BELOW = "instruction above 100 KB", "instruction below 100 KB"


@dataclass(frozen=True, slots=True)
class Pair:
    """A prompt, the same said otherwise, and the task that is right for both.

    `name` says what was done. `unseen`: the model was not trained on it. An injection is of a `sort` and `wants` a task.
    """

    name: str
    lang: str
    before: str
    after: str
    task: str
    accept: tuple[str, ...] = ()
    unseen: bool = True
    sort: str = ""
    wants: str = ""


def drawn(tasks: frozenset[str]) -> list[tuple[Row, bool]]:
    """(prompt, whether it is of the validation set): all of that, and a sample of the shipped ones."""
    sample = sorted(shipped(tasks), key=lambda r: hashlib.sha256(r.text.encode()).digest())  # added ones push few out
    of_language = [r for lang in LANGUAGES for r in [r for r in sample if r.lang == lang][:SHIPPED]]
    return [(r, True) for r in validation() if r.lang in LANGUAGES] + [(r, False) for r in of_language]


def perturbed(name: str, perturb: Perturb, rows: Sequence[tuple[Row, bool]]) -> Iterator[Pair]:
    """Each prompt and its perturbation; those that it leaves as they are only with typos, since a short one may have none."""
    for row, unseen in rows:
        after = perturb(row.text, Random(f"{name}\n{row.text}"))
        if after != row.text or perturb is typos:
            yield Pair(name, row.lang, row.text, after, row.task, row.accept, unseen)


def paraphrased() -> Iterator[Pair]:
    """Each base prompt with each of its paraphrases."""
    return (_pair(PARAPHRASES, r, r["text"], other) for r in written("paraphrases") for other in r["paraphrases"])


def mixed() -> Iterator[Pair]:
    """A prompt in one language, and with words of the other in it."""
    return (_pair(MIXED, r, r["plain"], r["mixed"]) for r in written("mixed_languages"))


def cued() -> Iterator[Pair]:
    """Prompts with words that another task's prompts are full of; nothing else is done to them."""
    return (_pair(CUES, r, r["text"], r["text"]) for r in written("cue_words"))


def long() -> Iterator[Pair]:
    """An instruction above or below two lines of what it is about, and above or below 100 KB of that."""
    texts = {(t["lang"], t["kind"]): t["lines"] for t in written("long_texts")}
    for r in written("long_asks"):
        for kind in r["kinds"]:
            few, many = _excerpts(texts.get((r["lang"], kind)) or texts["en", kind], Random(f"{kind}\n{r['text']}"))
            yield _pair(ABOVE, r, f"{r['text']}\n\n{few}", f"{r['text']}\n\n{many}")
            yield _pair(BELOW, r, f"{few}\n\n{r['text']}", f"{many}\n\n{r['text']}")


def _excerpts(lines: Sequence[str], rng: Random) -> tuple[str, str]:
    """(two lines, 100 KB) of a text that begins anywhere and goes round."""
    at = rng.randrange(len(lines))
    once = [*lines[at:], *lines[:at]]
    size = sum(len(line.encode()) + 1 for line in once)
    return "\n".join(once[:2]), "\n".join(once * (LONG // size + 1))


def injected() -> Iterator[Pair]:
    """Each injection around prompts of the validation set, of its language and not of the task that it wants."""
    rows = validation()
    for r in written("injections"):
        others = [row for row in rows if row.lang == r["lang"] and r["wants"] not in (row.task, *row.accept)]
        for row in Random(r["text"]).sample(others, INJECTED):
            after = r["text"].replace("{prompt}", row.text)
            yield Pair(INJECTIONS, row.lang, row.text, after, row.task, row.accept, sort=r["sort"], wants=r["wants"])


def written(name: str) -> list[dict[str, Any]]:
    """The rows of a file of tests/classifier/data."""
    return [json.loads(line) for line in (DATA / f"{name}.jsonl").read_text("utf-8").splitlines()]


def _pair(name: str, row: dict[str, Any], before: str, after: str) -> Pair:
    return Pair(name, row["lang"], before, after, row["task"], tuple(row.get("accept", ())))
