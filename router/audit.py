"""The audit: once an answer is sent, its verdict is held against the task that the app declared and against the shadow's."""

import asyncio
import logging
from collections.abc import Callable
from dataclasses import dataclass, replace
from time import perf_counter
from typing import Literal

from classifier.ask import Ask
from classifier.verdict import GENERAL, Verdict
from metrics.instruments import Instruments
from metrics.outcome import DecisionRecord, Outcome
from router.classifiers import Classifiers, Judge

log = logging.getLogger("setpoint")

WAITING = 256  # asks; each is at most about 60,000 characters, and mostly a few hundred
REST = 9  # times as long as a verdict took: the audit gets a tenth of the worker's time at most
LEAST_REST = 0.001  # seconds; the event loop's clock has no finer ticks

Result = Literal["right", "wrong", "abstained", "none"]
Reviewed = Callable[[DecisionRecord, str | None], None]


@dataclass(frozen=True, slots=True)
class Case:
    """One answered request: its ask, the verdict that it was decided by, and its record if feedback may still come."""

    ask: Ask
    verdict: Verdict
    record: DecisionRecord
    completion: str | None
    kept: bool


class Audit:
    """Decides nothing and holds nothing up: asks wait in a bounded queue, one is judged at a time, on the event loop.

    A thread would be no kinder to requests (a verdict holds the interpreter's lock either way), costs as much as the
    verdict itself, and could not use the live classifier, which is one loop's. What the queue has no room for is counted.
    """

    def __init__(self, classifiers: Classifiers, instruments: Instruments, reviewed: Reviewed) -> None:
        """`reviewed` is told what both said about a decision, so that later feedback can tell who was right."""
        self._classifiers, self._instruments, self._reviewed = classifiers, instruments, reviewed
        self._cases: asyncio.Queue[Case] = asyncio.Queue(WAITING)
        self._failed = ""  # digest of the judge whose failure was logged last

    def take(self, ask: Ask, verdict: Verdict, outcome: Outcome) -> None:
        """Look at this later, if there is anything to compare."""
        if self._classifiers.shadow is None and _declared(verdict) is None:
            return
        try:
            kept = outcome.result == "ok"
            self._cases.put_nowait(Case(ask, verdict, outcome.decision, outcome.completion, kept))
        except asyncio.QueueFull:
            self._instruments.not_audited("busy")

    async def run(self) -> None:
        """Judge what comes, one at a time, until cancelled."""
        while True:
            case = await self._cases.get()
            began = perf_counter()
            try:
                self._audit(case)
            except Exception:  # the next one may do better
                log.exception("an answered ask could not be compared")
                self._instruments.not_audited("failed")
            await asyncio.sleep(max(LEAST_REST, REST * (perf_counter() - began)))

    def start_anew(self) -> None:
        """Another artefact judges from now on: what was counted of the ones before is no comparison of these."""
        self._instruments.compare_anew()

    def labelled(self, record: DecisionRecord, truth: str) -> None:
        """Feedback told the task of a decision: count who was right, as far as the judges of then still are those of now."""
        live, shadow = self._classifiers.live, self._classifiers.shadow
        said = live.said(record.live)
        if said is not None:
            self._settle("feedback", truth, said, shadow.said(record.shadow) if shadow else None)

    def _audit(self, case: Case) -> None:
        live, shadow = self._classifiers.live, self._classifiers.shadow
        truth = _declared(case.verdict)
        # Of another artefact, swapped since, nothing is said.
        said = live.said(case.record.live) if case.record.live else self._verdict(live, case.ask)
        if said is None:
            return
        other = self._verdict(shadow, case.ask) if shadow else None
        if other is not None:
            self._instruments.shadowed(said, other)
        if truth is not None:
            self._settle("declared", truth, said, other)
        if case.kept:
            record = replace(case.record, live=live.says(said), shadow=shadow.says(other) if shadow and other else None)
            self._reviewed(record, case.completion)

    def _verdict(self, judge: Judge, ask: Ask) -> str | None:
        try:
            return judge.classify(ask).task
        except Exception:  # an artefact that fails is worth one traceback, and a count each time
            if self._failed != judge.digest:
                log.exception("the classifier %s failed on an ask that was answered already", judge.digest)
                self._failed = judge.digest
            self._instruments.not_audited("failed")
            return None

    def _settle(self, by: str, truth: str, live: str, shadow: str | None) -> None:
        """Count who was right, where one of them could have been."""
        judges = (self._classifiers.live, self._classifiers.shadow)
        if any(judge and truth in judge.tasks for judge in judges):
            self._instruments.judged(truth, by, _result(truth, live), _result(truth, shadow))


def _declared(verdict: Verdict) -> str | None:
    """The task that the app declared; `general` is a wish for the defaults, and not a word about the ask."""
    return verdict.task if verdict.source == "declared" and verdict.task != GENERAL else None


def _result(truth: str, said: str | None) -> Result:
    if said is None:
        return "none"
    return "right" if said == truth else "abstained" if said == GENERAL else "wrong"
