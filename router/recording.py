"""Recording: what each request counts is added up by what requests have in common, and told to the instruments now and then."""

from collections.abc import Callable, Mapping
from typing import Any

from metrics.instruments import Instruments
from metrics.outcome import Result
from policies.decision import Decision
from router.pipeline import Prepared

# Parameters with their numbers and who decided them; those dropped and those adjusted, with the reasons.
Common = tuple[tuple[tuple[str, float | None, str], ...], tuple[tuple[str, str], ...], tuple[tuple[str, str], ...]]
Drawn = tuple[str, str, bool]  # parameter, arm, explored
What = tuple[Common, str, str, Drawn | None, bool, bool]  # task, model, ..., abstained, cancelled


class Recorder:
    """Counts what was decided. One addition for a request: its dozen counters would cost as much as its policy."""

    def __init__(self, instruments: Instruments, register: Callable[[str, Mapping[str, Any]], None]) -> None:
        """`register` is told what each cell is about."""
        self._instruments, self._register = instruments, register
        self._counts: dict[What, int] = {}
        self._known: dict[str, tuple[object, ...]] = {}
        instruments.folds(self._fold)

    def record(self, prepared: Prepared, result: Result) -> None:
        """Takes down what was decided for a request that has ended so."""
        decision, verdict, draw = prepared.decision, prepared.verdict, prepared.decision.draw
        source = verdict.source
        if source != "abstained" and source != "declared":
            self._instruments.classified(verdict.task, verdict.confidence)
        what = (
            _common(decision),
            verdict.task,
            prepared.context.model,
            (draw.parameter, draw.arm, draw.explored) if draw else None,
            source == "abstained",
            result == "cancelled",
        )
        self._counts[what] = self._counts.get(what, 0) + 1
        if draw:
            about = (draw.parameter, draw.grid, draw.baseline, draw.held, verdict.task)
            if self._known.get(draw.cell) != about:
                self._known[draw.cell] = about
                meta = {"parameter": draw.parameter, "grid": list(draw.grid), "baseline": draw.baseline}
                meta["task"] = verdict.task
                self._register(draw.cell, meta | ({"beside": dict(draw.held)} if draw.held else {}))

    def _fold(self) -> None:
        counts, self._counts = self._counts, {}
        instruments = self._instruments
        for ((params, dropped, adjusted), task, model, drawn, abstained, cancelled), count in counts.items():
            for name, value, by in params:
                if value is not None:
                    instruments.parameter(name, task, value, count)
                instruments.decided(name, by, count)
            for name, reason in dropped:
                instruments.dropped(name, reason, count)
            for name, reason in adjusted:
                instruments.adjusted(name, reason, count)
            if drawn:
                parameter, arm, explored = drawn
                instruments.drawn(task, model, parameter, arm, explored=explored, count=count)
            if abstained:
                instruments.abstained(count)
            if cancelled:
                instruments.disconnected(count)


def _common(decision: Decision) -> Common:
    return (
        tuple(
            (name, value if isinstance(value, int | float) and not isinstance(value, bool) else None,
             decision.decided_by.get(name, "client"))
            for name, value in decision.params.items()
        ),
        decision.dropped,
        tuple(
            (step.param, step.source if step.rung == "capability" else "bounds")
            for step in decision.steps
            if step.rung in ("capability", "bounds") and step.after is not None
        ),
    )  # fmt: skip
