"""The pipeline: from the client's request to what is sent upstream, and why. Awaits nothing."""

import logging
from collections.abc import Callable, Iterable, Mapping, Set
from dataclasses import dataclass
from functools import lru_cache
from typing import NamedTuple, TypeVar

import orjson

from classifier.ask import Ask
from classifier.verdict import GENERAL as NO_TASK
from classifier.verdict import Verdict
from metrics.ids import new_decision_id
from metrics.instruments import Instruments
from policies.allocation import Allocations
from policies.context import Context
from policies.decision import Decision
from policies.engine import Engine
from policies.precedence import ParameterForbiddenError
from policies.splicing import insert, rename
from policies.wire import apply
from router.classifiers import Judge
from router.errors import RequestError
from router.incoming import TASK_HEADER, Incoming
from router.upstreams.routing import Route, Routes

T = TypeVar("T")

log = logging.getLogger("setpoint")

GENERAL = Verdict(NO_TASK, 0.0, (), "abstained")


@dataclass(slots=True)  # not frozen, as a Context is not
class Prepared:
    """A request that is ready to be sent, with everything that was decided about it; nobody changes it.

    `said` is the classifier's verdict as a record keeps it, None where the app declared the task.
    """

    id: str
    incoming: Incoming
    tenant: str
    route: Route
    ask: Ask
    verdict: Verdict
    said: str | None
    context: Context
    decision: Decision
    body: bytes


class Opened(NamedTuple):
    """A request that somebody serves, with what it asks; `declared`: the verdict that the app gives itself."""

    incoming: Incoming
    tenant: str
    route: Route
    ask: Ask
    declared: Verdict | None


class Pipeline:
    """classify → context → decide → rewrite. Its parts are swapped whole by reloads and by learning."""

    def __init__(
        self,
        routes: Routes,
        judge: Judge,
        engine: Engine,
        instruments: Instruments,
        clock: Callable[[], float],
        random: Callable[[int], bytes],
    ) -> None:
        self.routes, self.engine = routes, engine
        self.allocations = Allocations()
        self._instruments, self._clock, self._random = instruments, clock, random
        self.know(judge)

    def know(self, judge: Judge) -> None:
        """Take the verdicts of this judge from now on; tasks that it or the policy in force knows may be declared."""
        self._judge, self.classify = judge, judge.classify
        self.tasks: Set[str] = judge.tasks | self.engine.policy.known_tasks | {NO_TASK}

    def prepare(self, incoming: Incoming, tenant: str) -> Prepared:
        """Decide for one request. Raises RequestError: model_not_found, unknown_task, parameter_forbidden."""
        opened = self._open(incoming, tenant)
        return self._settle(opened, opened.declared or self._verdict(opened.ask))

    def prepare_all(self, requests: Iterable[tuple[Incoming, str]]) -> list[Prepared | Exception]:
        """Decide for several at once: their asks are judged together. What `prepare` raises for one of them is in its place."""
        opened = [_tried(self._open, *request) for request in requests]
        asks = [one.ask for one in opened if isinstance(one, Opened) and one.declared is None]
        verdicts = iter(self._verdicts(asks))
        return [
            _tried(self._settle, one, one.declared or next(verdicts)) if isinstance(one, Opened) else one
            for one in opened
        ]

    def _open(self, incoming: Incoming, tenant: str) -> Opened:
        route = self.routes.of(incoming.model)
        return Opened(incoming, tenant, route, incoming.surface.ask(incoming.json), self._declared(incoming))

    def _settle(self, opened: Opened, verdict: Verdict) -> Prepared:
        incoming, tenant, route, ask, _ = opened
        said = None if incoming.task else self._judge.says(verdict.task)
        decision_id = new_decision_id(self._clock(), self._random(16))
        context = _context(incoming, ask, verdict, route, tenant, decision_id)
        decision = self._decide(context, incoming)
        body = _rewritten(incoming, route, decision)
        return Prepared(decision_id, incoming, tenant, route, ask, verdict, said, context, decision, body)

    def _verdict(self, ask: Ask) -> Verdict:
        try:
            return self.classify(ask)
        except Exception:  # a classifier that fails must not fail the completion
            log.exception("the classifier failed; the task is general")
            self._instruments.classifier_failed()
            return GENERAL

    def _verdicts(self, asks: list[Ask]) -> list[Verdict]:
        try:
            return self._judge.classify_all(asks)
        except Exception:  # one of them is odd: the others get theirs
            return [self._verdict(ask) for ask in asks]

    def _declared(self, incoming: Incoming) -> Verdict | None:
        """The task that the app gives, which somebody has to know: every other would be one more label on the metrics and one
        more cell to learn in."""
        task = incoming.task
        if not task:
            return None
        if task not in self.tasks:
            raise RequestError(
                "unknown_task",
                f"The header {TASK_HEADER} is {task[:64]!r}, and neither the classifier nor the policy knows such a "
                f"task. They know {', '.join(sorted(self.tasks))}.",
                TASK_HEADER,
            )
        return Verdict(task, 1.0, (), "declared")

    def _decide(self, context: Context, incoming: Incoming) -> Decision:
        if context.mode == "bypass":
            return Decision(self.engine.name, "bypass", {}, effective=False)
        try:
            return self.engine.decide(context, incoming.json, self.allocations)
        except ParameterForbiddenError as e:
            raise RequestError("parameter_forbidden", str(e), e.param) from e
        except Exception:  # nor may a policy: the client's own parameters go out as they came
            log.exception("the policy failed; the request goes out as it came")
            self._instruments.policy_failed()
            return Decision(self.engine.name, "bypass", {}, effective=False)


def _tried(do: Callable[..., T], *arguments: object) -> T | Exception:
    """What comes of it, be it an exception."""
    try:
        return do(*arguments)
    except Exception as e:
        return e


def _context(incoming: Incoming, ask: Ask, verdict: Verdict, route: Route, tenant: str, decision_id: str) -> Context:
    body = incoming.json
    return Context(  # by position, in the order of the fields: by name it takes twice as long
        verdict.task,
        verdict.confidence,
        _candidates(verdict),
        ask.turn,
        ask.attempt,
        route.model,
        route.upstream.name,
        route.provider,
        incoming.surface.name,
        route.upstream.tags,
        tenant,
        ask.language,
        ask.text,
        incoming.headers,
        incoming.session,
        bool(body.get("tools")),
        ask.in_tool_loop,
        ask.images,
        incoming.stream,
        ask.wants_json,
        incoming.mode,
        decision_id,
    )


def _candidates(verdict: Verdict) -> tuple[tuple[str, float], ...]:
    """The tasks that the prompt may be; of an abstention those it could have been. None beside a task without rivals."""
    if not verdict.runners_up or verdict.source == "abstained":
        return verdict.runners_up
    return ((verdict.task, verdict.confidence), *verdict.runners_up)


def _rewritten(incoming: Incoming, route: Route, decision: Decision) -> bytes:
    """The body with the decided edits and the model's name upstream; the very bytes of the client wherever nothing changes."""
    same = route.model == incoming.model
    if same and not decision.edits:
        return incoming.body
    body = dict(incoming.json)
    apply(body, decision.edits)
    body["model"] = route.model
    raw = _spliced(incoming, route, decision, same=same)
    incoming.json = body
    if raw is not None:
        return raw
    try:
        return orjson.dumps(body)
    except TypeError as e:
        raise RequestError("invalid_request", "The body is nested too deeply.") from e


def _spliced(incoming: Incoming, route: Route, decision: Decision, *, same: bool) -> bytes | None:
    """With the changes put between the client's bytes; None where they must be written anew."""
    raw: bytes | None = incoming.body
    if decision.edits:
        raw = insert(incoming.body, incoming.json, decision.added) if decision.added else None
    return raw if raw is None or same else rename(raw, route.model)


def headers_of(prepared: Prepared) -> list[tuple[bytes, bytes]]:
    """What the answer's headers tell about the decision."""
    decision = prepared.decision
    if not decision.memo:
        decision.memo.append(_told(decision))
    return [
        (b"x-setpoint-decision", prepared.id.encode()),
        (b"x-setpoint-task", _task(prepared.verdict.task)),
        (b"x-setpoint-confidence", b"%.2f" % prepared.verdict.confidence),
        (b"x-setpoint-turn", b"%d" % prepared.context.turn),
        *decision.memo[0],
    ]


def _told(decision: Decision) -> tuple[tuple[bytes, bytes], ...]:
    """What they tell that is the same for all requests with one decision."""
    draw = decision.draw
    said = (
        (b"x-setpoint-policy", decision.policy),
        (b"x-setpoint-arm", f"{draw.parameter}={draw.arm}" if draw else "none"),
        (b"x-setpoint-params", compact(decision.params)),
        (b"x-setpoint-dropped", ", ".join(f"{name}={reason}" for name, reason in decision.dropped)),
    )
    return tuple((name, _header(value)) for name, value in said if value)


@lru_cache(256)
def _task(name: str) -> bytes:
    return _header(name)


def _header(value: str) -> bytes:
    """In ASCII and in one line, whatever the names in it hold."""
    if not (value.isascii() and value.isprintable()):
        value = "".join(c if c.isprintable() else ascii(c)[1:-1] for c in value)
    return value.encode("ascii", "backslashreplace")


def compact(params: Mapping[str, object]) -> str:
    """Compact JSON in ASCII, as a header needs it."""
    text = orjson.dumps(dict(params)).decode()
    return text if text.isascii() else "".join(c if ord(c) < 128 else _escaped(c) for c in text)


def _escaped(char: str) -> str:
    units = char.encode("utf-16-be")
    return "".join(f"\\u{units[i]:02x}{units[i + 1]:02x}" for i in range(0, len(units), 2))
