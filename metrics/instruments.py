"""The door to Prometheus: one method per event, bounded labels, right numbers under one worker or several."""

import os
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import prometheus_client
from prometheus_client import CollectorRegistry, Counter, Gauge, generate_latest, multiprocess, values

from metrics.bounded import Bounded
from metrics.bulk import BulkHistogram, BulkSummary
from metrics.families import FAMILIES, PREFIX, Family
from metrics.notes import Notes
from metrics.outcome import DecisionRecord, Outcome
from metrics.signals import Raw

_LIMITS: Mapping[str, int] = {
    "model": 100, "task": 50, "shadow_task": 50, "policy": 20, "digest": 50, "rows": 50, "upstream": 50,
}  # fmt: skip
_LIMIT = 64
_KINDS: Mapping[str, Any] = {"counter": Counter, "gauge": Gauge, "histogram": BulkHistogram, "summary": BulkSummary}


def _build(family: Family, registry: CollectorRegistry) -> Any:
    extra: dict[str, Any] = {}
    if family.kind == "gauge":
        extra["multiprocess_mode"] = family.merge
    if family.kind == "histogram":
        extra["buckets"] = family.buckets
    return _KINDS[family.kind](PREFIX + family.name, family.help, family.labels, registry=registry, **extra)


class Instruments:
    """All metrics of one application, in a registry of its own.

    With PROMETHEUS_MULTIPROC_DIR set before prometheus_client is imported, workers share that folder and `render` gives
    their sums. Children are kept by label values: `.labels()` each time costs 1.4-3 µs, a kept child 0.35 (measured).

    Even so, what every request counts would cost it 20 µs. So that is noted in plain numbers, and `fold` brings it in: the ledger
    does, twice a second, and whoever renders the page. With several workers, the others' last half second is not on it yet.
    Everything but `page` is for the event loop's thread.
    """

    def __init__(self) -> None:
        prometheus_client.disable_created_metrics()  # type: ignore[no-untyped-call] # nobody reads those
        self._registry = CollectorRegistry()
        # Which of the two it is, prometheus_client decided when it was imported.
        self._shared = "PROMETHEUS_MULTIPROC_DIR" in os.environ and values.ValueClass is not values.MutexValue
        self._families = {name: _build(family, self._registry) for name, family in FAMILIES.items()}
        self._children: dict[tuple[str, ...], Any] = {}
        self._bounds: dict[str, Bounded] = {}
        self._policy: tuple[str, str] | None = None
        self._classifiers: dict[str, tuple[str, str]] = {}
        self._notes = Notes()
        self._sources: list[Callable[[], None]] = []

    def folds(self, source: Callable[[], None]) -> None:
        """Asks `source` to tell what it has counted with every `fold`."""
        self._sources.append(source)

    def fold(self) -> None:
        """Brings in what was only noted so far."""
        for source in self._sources:
            source()
        self._notes.bring_in(self._child)

    def _child(self, *key: str) -> Any:
        """The series of (family, label values...)."""
        child = self._children.get(key)
        if child is None:
            child = self._make(key)
        return child

    def _make(self, key: tuple[str, ...]) -> Any:
        name, values = key[0], key[1:]
        labels = FAMILIES[name].labels
        bounded = [self._bound(label, value) for label, value in zip(labels, values, strict=True)]
        family = self._families[name]
        child = family.labels(*bounded) if labels else family
        if tuple(bounded) == values:  # "other" is reached anew each time, so that this cache is bounded too
            self._children[key] = child
        return child

    def _bound(self, label: str, value: str) -> str:
        if label not in self._bounds:
            self._bounds[label] = Bounded(_LIMITS.get(label, _LIMIT))
        return self._bounds[label](value)

    # Requests

    def finished(self, outcome: Outcome) -> None:
        """A request ended, in whatever way."""
        if self._notes.finished(outcome):
            self.fold()

    def rejected(self, surface: str, code: str) -> None:
        """A request was refused before anything was decided about it."""
        self._child("requests", surface, "none", "none", "rejected").inc()
        self._child("rejected", surface, code).inc()

    def observed(self, record: DecisionRecord, seen: Mapping[str, Raw]) -> None:
        """What the detectors saw in an answer, as raw values by signal."""
        for signal, name, bad in (
            ("truncated", "truncated", True),
            ("json_valid", "json_invalid", False),
            ("refusal", "refusals", True),
        ):
            if seen.get(signal) is bad:
                self._child(name, record.model, record.task).inc()
        if "repetition" in seen:
            self._notes.amount(("repetition_ratio", record.model), float(seen["repetition"]))

    def policy_failed(self) -> None:
        """The policy failed on a request, which went out as it came."""
        self._child("policy_failures").inc()

    def upstream_failed(self, upstream: str, kind: str) -> None:
        """A call of an upstream failed: timeout, connect, status ..."""
        self._child("upstream_errors", upstream, kind).inc()

    def disconnected(self, count: int = 1) -> None:
        """Clients hung up before the end of their answers: that many, as below."""
        self._child("client_disconnects").inc(count)

    # Decisions

    def parameter(self, parameter: str, task: str, value: float, count: int = 1) -> None:
        """A numeric parameter went to the model with this value."""
        self._child("parameter_value", parameter, task).observe_all([value] * count)

    def decided(self, parameter: str, by: str, count: int = 1) -> None:
        """A rung of the ladder decided a parameter."""
        self._child("parameter_decided", parameter, by).inc(count)

    def dropped(self, parameter: str, reason: str, count: int = 1) -> None:
        """A parameter was not sent."""
        self._child("parameter_dropped", parameter, reason).inc(count)

    def adjusted(self, parameter: str, reason: str, count: int = 1) -> None:
        """A parameter was sent changed."""
        self._child("parameter_adjusted", parameter, reason).inc(count)

    def classified(self, task: str, confidence: float) -> None:
        """The classifier gave a verdict."""
        self._notes.amount(("classifier_confidence", task), confidence)

    def abstained(self, count: int = 1) -> None:
        """The classifier left a prompt at general."""
        self._child("classifier_abstained").inc(count)

    def classifier_failed(self) -> None:
        """The classifier failed on a prompt."""
        self._child("classifier_failures").inc()

    # Classifiers

    def classifier(self, role: str, digest: str, rows: str) -> None:
        """This artefact is in use, trained on so many rows."""
        before = self._classifiers.get(role)
        if before is not None and before != (digest, rows):
            self._child("classifier_info", role, *before).set(0)
        self._classifiers[role] = (digest, rows)
        self._child("classifier_info", role, digest, rows).set(1)

    def classifier_reloaded(self, role: str, *, ok: bool) -> None:
        """An artefact was read again: taken, or refused and still on disk."""
        self._child("classifier_reloads", role, "ok" if ok else "refused").inc()
        self._child("classifier_invalid", role).set(float(not ok))

    def shadowed(self, task: str, shadow_task: str) -> None:
        """Both classifiers judged an ask."""
        self._child("classifier_shadow", task, shadow_task, "yes" if task == shadow_task else "no").inc()

    def judged(self, task: str, by: str, live: str, shadow: str) -> None:
        """The task of an ask became known, `by` the app's declaration or by feedback; who was right about it."""
        self._child("classifier_judged", task, by, live, shadow).inc()

    def compare_anew(self) -> None:
        """Another artefact is compared from now on: its comparison starts at 0."""
        for (name, *_), child in self._children.items():
            if name in ("classifier_shadow", "classifier_judged"):
                child.reset()

    def not_audited(self, reason: str) -> None:
        """An answered ask was not compared."""
        self._child("classifier_not_audited", reason).inc()

    # Learning

    def drawn(self, task: str, model: str, parameter: str, arm: str, *, explored: bool, count: int = 1) -> None:
        """An arm was drawn; `explored`: it is not the policy's own value."""
        self._child("arm_draws", task, model, parameter, arm).inc(count)
        self._child("decided").inc(count)
        if explored:
            self._child("explored").inc(count)

    def allocated(self, task: str, model: str, turn: str, parameter: str, arm: str, probability: float) -> None:
        """An allocation came into force."""
        self._child("arm_probability", task, model, turn, parameter, arm).set(probability)

    def rewarded(self, record: DecisionRecord, signal: str, reward: float) -> None:
        """A reward went to an arm."""
        self._child("reward", record.task, record.model, record.parameter or "", record.arm or "", signal).observe(
            reward
        )

    def earned(self, labels: tuple[str, str, str, str, str], count: int, total: float) -> None:
        """Rewards went to an arm, that many with this sum; `labels` are task, model, parameter, arm and signal."""
        self._child("reward", *labels).observe_sum(count, total)

    def regenerated(self, record: DecisionRecord) -> None:
        """A user asked again for the answer to this decision."""
        self._child("regenerations", record.model).inc()

    def feedback(self, signal: str, result: str, lag: float | None = None) -> None:
        """A feedback item was settled; `lag` in seconds since its decision."""
        self._child("feedback", signal, result).inc()
        if lag is not None:
            self._child("feedback_lag_seconds").observe(max(lag, 0.0))

    def learning_paused(self, paused: bool) -> None:
        """The kill switch was read."""
        self._child("learning_paused").set(float(paused))

    def rolled_back(self, task: str, model: str, cause: str) -> None:
        """A cell is held at the policy's own value from now on."""
        self._child("rollbacks", task, model, cause).inc()

    def change_found(self, task: str, model: str) -> None:
        """The world of a cell has changed."""
        self._child("changes_found", task, model).inc()

    def learning_failed(self) -> None:
        """Learning failed where no request noticed."""
        self._child("learning_failures").inc()

    # The store and the policies

    def store(self, *, up: bool, buffered: int) -> None:
        """How the store is, and how much waits for it."""
        self._child("store_up").set(float(up))
        self._child("store_buffered_events").set(buffered)

    def store_down(self, seconds: float) -> None:
        """So much more time passed without the store."""
        self._child("store_down_seconds").inc(max(seconds, 0.0))

    def shed(self, kind: str, count: int = 1) -> None:
        """Events were dropped because a buffer was full."""
        self._child("store_shed", kind).inc(count)

    def corrupt(self, count: int) -> None:
        """Stored values made no sense and were skipped."""
        self._child("store_corrupt").inc(count)

    def policy_reloaded(self, *, ok: bool) -> None:
        """Policies were read again: taken, or refused and still on disk."""
        self._child("policy_reloads", "ok" if ok else "refused").inc()
        self._child("policy_invalid").set(float(not ok))

    def policy(self, name: str, digest: str) -> None:
        """This policy is in force."""
        if self._policy is not None and self._policy != (name, digest):
            self._child("policy_info", *self._policy).set(0)
        self._policy = (name, digest)
        self._child("policy_info", name, digest).set(1)

    # The page

    def render(self) -> tuple[bytes, str]:
        """The page for Prometheus and its content type, with all that was counted."""
        self.fold()
        return self.page()

    def page(self) -> tuple[bytes, str]:
        """The same as of the last `fold`. Its time grows with the series: call it in a thread."""
        registry = self._registry
        if self._shared:
            registry = CollectorRegistry()
            multiprocess.MultiProcessCollector(registry)  # type: ignore[no-untyped-call] # not annotated upstream
        return generate_latest(registry), prometheus_client.CONTENT_TYPE_LATEST


def forget_dead_workers(folder: Path) -> None:
    """Takes the gauges of workers that have died out of the metrics; their counters stay."""
    for pid in {int(file.stem.rsplit("_", 1)[1]) for file in folder.glob("gauge_live*_*.db")}:
        try:
            os.kill(pid, 0)
        except ProcessLookupError:
            multiprocess.mark_process_dead(pid, str(folder))  # type: ignore[no-untyped-call] # not annotated upstream
        except PermissionError:
            continue
