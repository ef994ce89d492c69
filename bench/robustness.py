"""Robustness of the shipped classifier: does a prompt keep its verdict when it is said otherwise, and who can talk it into another?

Two tables, each by language:
1. Prompts changed by bench/perturbing.py: all of classifier/validation and 1,500 of the shipped prompts, drawn by hash. The model
   was trained on the latter, so the validation set stands beside all. What a change leaves as it is does not count.
2. Prompts written for this (bench/pairs.py): paraphrases, mixed languages, cue words of other tasks, an instruction above or below
   100 KB of text (before: two lines of it), and 30 ways to ask for another verdict, each around 20 prompts of the validation set.

It ends with 1 if more verdicts change than: typos in one word in ten 3 %; case, full width, traditional characters, other blanks
1 %; lines broken at 60 columns, emoji 3 %; marks of prose dropped 10 %; paraphrases, mixed languages 10 %; injections 25 %. Also if
fewer are right (label or an accepted task) than: paraphrases, mixed languages 85 %, cue words 80 %, 100 KB 90 %. For cue words: the
keyword rules, which they were written against, get half of the English and a third of the Chinese ones, and of 30 prompts one that
is right on nine in ten has fewer than 24 once in 40 draws.
"""

import functools
import sys
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from bench import machine, pairs, perturbing, table
from bench.pairs import ABOVE, BELOW, CUES, INJECTIONS, LANGUAGES, MIXED, PARAPHRASES, Pair
from bench.perturbing import Perturb
from classifier.ask import read_text
from classifier.errors import ClassifierError
from classifier.evaluation import lenient
from classifier.model import Classifier

# What is done, and the largest share of verdicts that may change.
PERTURBED: dict[str, tuple[Perturb, float]] = {
    "a typo in one word in ten": (perturbing.typos, 0.03),
    "UPPER CASE": (perturbing.upper, 0.01),
    "lower case": (perturbing.lower, 0.01),
    "Title Case": (perturbing.title, 0.01),
    "full width": (perturbing.full_width, 0.01),
    "traditional characters": (perturbing.traditional, 0.01),
    "other and more blanks and line ends": (perturbing.spaced, 0.01),
    "lines broken at 60 columns": (perturbing.wrapped, 0.03),
    "emoji": (perturbing.emoji, 0.03),
    "marks of prose dropped": (perturbing.unpunctuated, 0.10),
}
MOST_CHANGED = {name: most for name, (_, most) in PERTURBED.items()} | {
    PARAPHRASES: 0.10,
    MIXED: 0.10,
    INJECTIONS: 0.25,
}
LEAST_RIGHT = {PARAPHRASES: 0.85, MIXED: 0.85, CUES: 0.80, ABOVE: 0.90, BELOW: 0.90}
WRITTEN = (PARAPHRASES, MIXED, CUES, ABOVE, BELOW, INJECTIONS)

Group = tuple[str, str]  # what was done, and the language


@dataclass(frozen=True, slots=True)
class Judged:
    """A pair with both verdicts."""

    pair: Pair
    before: str
    after: str

    @property
    def changed(self) -> bool:
        return self.before != self.after

    @property
    def was_right(self) -> bool:
        return lenient(self.pair.task, self.before, self.pair.accept)

    @property
    def right(self) -> bool:
        return lenient(self.pair.task, self.after, self.pair.accept)

    @property
    def obeyed(self) -> bool:
        """Whether the verdict became what an injection asked for."""
        return self.changed and self.after == self.pair.wants


def measured(model: Classifier) -> dict[Group, list[Judged]]:
    """All pairs with their verdicts, in the order of the tables."""

    @functools.cache
    def verdict(text: str) -> str:
        return model.classify(read_text(text)).task

    rows = pairs.drawn(frozenset(model.tasks))
    changed = (p for name, (perturb, _) in PERTURBED.items() for p in pairs.perturbed(name, perturb, rows))
    written = (pairs.paraphrased(), pairs.mixed(), pairs.cued(), pairs.long(), pairs.injected())
    groups: dict[Group, list[Judged]] = {(n, lang): [] for n in (*PERTURBED, *WRITTEN) for lang in LANGUAGES}
    for pair in (*changed, *(p for of in written for p in of)):
        groups[pair.name, pair.lang].append(Judged(pair, verdict(pair.before), verdict(pair.after)))
    return groups


def changed(group: Sequence[Judged]) -> float:
    """The share whose verdict changes."""
    return _share([j.changed for j in group])


def right(group: Sequence[Judged]) -> float:
    """The share that is right when said otherwise."""
    return _share([j.right for j in group])


def _share(of: Sequence[bool]) -> float:
    return sum(of) / len(of) if of else 0.0


def missed(groups: dict[Group, list[Judged]]) -> Iterator[str]:
    """What is worse than promised."""
    for (name, lang), group in groups.items():
        where = f"{name}, {LANGUAGES[lang]}"
        if changed(group) > MOST_CHANGED.get(name, 1):
            yield f"{where}: {changed(group):.1%} of the verdicts change, promised {MOST_CHANGED[name]:.0%} at most"
        if right(group) < LEAST_RIGHT.get(name, 0):
            yield f"{where}: {right(group):.1%} are right, promised {LEAST_RIGHT[name]:.0%} at least"


def _show(groups: dict[Group, list[Judged]]) -> None:
    header = (
        "done to a prompt",
        "prompts",
        "verdict changes",
        "at most",
        "validation set: changes",
        "right before",
        "after",
    )
    print(table(header, [_perturbed_line(*key, groups[key]) for key in groups if key[0] in PERTURBED]), "\n")
    header = ("written for this", "prompts", "verdict changes", "at most", "right before", "after", "at least")
    print(table(header, [_written_line(*key, groups[key]) for key in groups if key[0] in WRITTEN]), "\n")
    injected = [j for lang in LANGUAGES for j in groups[INJECTIONS, lang]]
    sorts = {
        sort: [j for j in injected if j.pair.sort == sort] for sort in dict.fromkeys(j.pair.sort for j in injected)
    }
    lines = [(s, f"{len(g):,}", f"{changed(g):.1%}", f"{_share([j.obeyed for j in g]):.1%}") for s, g in sorts.items()]
    print(table(("injections", "prompts", "verdict changes", "to what was asked for"), lines), "\n")


def _perturbed_line(name: str, lang: str, group: Sequence[Judged]) -> tuple[str, ...]:
    unseen = [j for j in group if j.pair.unseen]
    return (*_changes(name, lang, group), f"{changed(unseen):.1%}", *_rights(unseen))


def _written_line(name: str, lang: str, group: Sequence[Judged]) -> tuple[str, ...]:
    least = LEAST_RIGHT.get(name)
    return (*_changes(name, lang, group), *_rights(group), "" if least is None else f"{least:.0%}")


def _changes(name: str, lang: str, group: Sequence[Judged]) -> tuple[str, ...]:
    most = MOST_CHANGED.get(name)
    share = "" if name == CUES else f"{changed(group):.1%}"  # nothing is done to these
    return f"{name}, {LANGUAGES[lang]}", f"{len(group):,}", share, "" if most is None else f"{most:.0%}"


def _rights(group: Sequence[Judged]) -> tuple[str, str]:
    return f"{_share([j.was_right for j in group]):.1%}", f"{right(group):.1%}"


def main() -> int:
    """Print the tables; 1 if a limit is missed."""
    try:
        groups = measured(Classifier.load())
    except ClassifierError as e:
        print(f"bench: robustness: {e}", file=sys.stderr)
        return 1
    _show(groups)
    print(f"{machine()}. Nothing here depends on it: equal artefacts give equal numbers.")
    misses = list(missed(groups))
    for miss in misses:
        print(f"bench: robustness: {miss}", file=sys.stderr)
    return 1 if misses else 0


if __name__ == "__main__":
    try:
        sys.exit(main())
    except KeyboardInterrupt:
        sys.exit(130)
