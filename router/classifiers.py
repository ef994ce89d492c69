"""The classifiers: the live one, which gives the verdicts, and a shadow beside it; each is swapped whole when its files
change."""

import asyncio
import logging
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Literal

from classifier.ask import Ask
from classifier.book import ClassifierBook
from classifier.errors import ArtefactError
from classifier.keywords import Keywords
from classifier.model import Classifier
from classifier.tasks import load_tasks
from classifier.verdict import Verdict
from metrics.instruments import Instruments
from router.settings import Settings

log = logging.getLogger("setpoint")

Classify = Callable[[Ask], Verdict]
Role = Literal["live", "shadow"]


@dataclass(frozen=True, slots=True)
class Judge:
    """Who gives verdicts: by which artefact, on which tasks, trained on how many rows. `features` tells what may be kept of
    an ask to learn from its correction; keyword rules have none."""

    classify: Classify
    tasks: frozenset[str]
    digest: str
    rows: str = ""
    features: Callable[[Ask], str] | None = None
    together: Callable[[Sequence[Ask]], list[Verdict]] | None = None

    def classify_all(self, asks: Sequence[Ask]) -> list[Verdict]:
        """The verdicts of several asks, which some judges give in less time than one by one."""
        return self.together(asks) if self.together else [self.classify(ask) for ask in asks]

    def says(self, task: str) -> str:
        """A verdict of this judge as a record keeps it: `task@digest`."""
        return f"{task}@{self.digest}"

    def said(self, kept: str | None) -> str | None:
        """The task of such a verdict; None where it is another judge's."""
        task, _, digest = (kept or "").rpartition("@")
        return task if task and digest == self.digest else None


class Classifiers:
    """Both of them. The shipped artefact needs no watching; a folder that the settings name is looked at by `refresh`."""

    def __init__(self, settings: Settings, instruments: Instruments) -> None:
        """Raises ArtefactError when the live artefact that the settings name cannot be used: there is no old one to keep.
        A shadow that cannot be used is waited for: nothing depends on it."""
        self._instruments = instruments
        self._books: dict[Role, ClassifierBook] = {}
        self.shadow: Judge | None = None
        if settings.classifier is None:
            self.live = _shipped(instruments)
            self._show("live", self.live)
        else:
            self._books["live"] = ClassifierBook.open(settings.classifier)
            self._take("live")
        if settings.classifier_shadow is not None:
            self._books["shadow"] = ClassifierBook.open(settings.classifier_shadow)
            self._take("shadow")

    @property
    def watched(self) -> tuple[Role, ...]:
        """Those that have a folder of their own."""
        return tuple(self._books)

    async def refresh(self, role: Role) -> bool:
        """Take over a change of the files, or say that it is refused; whether another judge came of it. They are read in a
        thread, so that requests go on meanwhile."""
        before = self.live, self.shadow
        result = await asyncio.to_thread(self._books[role].refresh)
        if result == "loaded":
            self._take(role)
            self._instruments.classifier_reloaded(role, ok=True)
        elif result == "refused":
            self._refused(role)
        return (self.live, self.shadow) != before

    def told(self) -> dict[str, Any]:
        """What serves and what is wrong, as readiness shows it."""
        judges: Mapping[Role, Judge | None] = {"live": self.live, "shadow": self.shadow}
        return {
            role: {
                "digest": judge.digest if judge else "",
                "problem": self._books[role].problem if role in self._books else "",
            }
            for role, judge in judges.items()
            if judge or role in self._books
        }

    def _take(self, role: Role) -> None:
        book = self._books[role]
        if book.classifier is None:
            if role == "live":
                raise ArtefactError(book.problem)
            self._refused(role)
            return
        judge = _judge(book.classifier)
        if role == "live":
            self.live = judge
        else:
            self.shadow = judge
        self._show(role, judge)

    def _show(self, role: Role, judge: Judge) -> None:
        log.info("the %s classifier is %s", role, judge.digest)
        self._instruments.classifier(role, judge.digest, judge.rows)

    def _refused(self, role: Role) -> None:
        book = self._books[role]
        stays = "the old one stays" if book.classifier else "one that can be used is waited for"
        log.error("the %s classifier on disk is refused, %s:\n%s", role, stays, book.problem)
        self._instruments.classifier_reloaded(role, ok=False)


def _judge(classifier: Classifier) -> Judge:
    corpus = classifier.manifest.get("corpus")
    rows = corpus.get("rows", "") if isinstance(corpus, Mapping) else ""
    return Judge(
        classifier.classify,
        frozenset(classifier.tasks),
        classifier.digest,
        str(rows),
        classifier.features,
        classifier.classify_all,
    )


def _shipped(instruments: Instruments) -> Judge:
    """The shipped artefact; keyword rules where it cannot be used."""
    try:
        return _judge(Classifier.load())
    except ArtefactError as e:
        log.error("%s; keyword rules stand in for the classifier", e)
        instruments.classifier_failed()
        tasks = load_tasks()
        return Judge(Keywords(tasks).classify, frozenset(t.name for t in tasks), "keywords")
