"""Recording: what each request counts is added up by what requests have in common, and told to the instruments now and then."""

from collections.abc import Callable, Mapping
from typing import Any

from metrics.instruments import Instruments
from metrics.outcome import Result
from policies.decision import Draw, Shared
from router.pipeline import Prepared

NO_DRAW = (None, "", "", False)
# What they have in common, task, model; cell, parameter, arm and whether it is explored; abstained, cancelled.
What = tuple[Shared, str, str, str | None, str, str, bool, bool, bool]


class Recorder:
    """Counts what was decided. One addition for a request: its dozen counters would cost as much as its policy."""

    def __init__(self, instruments: Instruments, register: Callable[[str, Mapping[str, Any]], None]) -> None:
        """`register` is told what each cell is about."""
        self._instruments, self._register = instruments, register
        self._counts: dict[What, int] = {}
        instruments.folds(self._fold)

    def record(self, prepared: Prepared, result: Result) -> None:
        """Takes down what was decided for a request that has ended so."""
        decision, verdict = prepared.decision, prepared.verdict
        draw, source, task = decision.draw, verdict.source, verdict.task
        if source != "abstained" and source != "declared":
            self._instruments.classified(task, verdict.confidence)
        cell, parameter, arm, explored = (draw.cell, draw.parameter, draw.arm, draw.explored) if draw else NO_DRAW
        what = (
            decision.shared, task, prepared.context.model, cell, parameter, arm, explored,
            source == "abstained", result == "cancelled",
        )  # fmt: skip
        count = self._counts.get(what, 0)
        self._counts[what] = count + 1
        if draw and not count:
            self._register(draw.cell, _about(draw, task))

    def _fold(self) -> None:
        counts, self._counts = self._counts, {}
        instruments = self._instruments
        for (shared, task, model, cell, parameter, arm, explored, abstained, cancelled), count in counts.items():
            for name, value in shared.params.items():
                if isinstance(value, int | float) and not isinstance(value, bool):
                    instruments.parameter(name, task, value, count)
                instruments.decided(name, shared.decided_by.get(name, "client"), count)
            for name, reason in shared.dropped:
                instruments.dropped(name, reason, count)
            for name, reason in shared.adjusted:
                instruments.adjusted(name, reason, count)
            if cell is not None:
                instruments.drawn(task, model, parameter, arm, explored=explored, count=count)
            if abstained:
                instruments.abstained(count)
            if cancelled:
                instruments.disconnected(count)


def _about(draw: Draw, task: str) -> Mapping[str, Any]:
    """What a cell is about, for other replicas."""
    about = {"parameter": draw.parameter, "grid": list(draw.grid), "baseline": draw.baseline, "task": task}
    return about | {"beside": dict(draw.held)} if draw.held else about
