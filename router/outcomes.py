"""Outcomes: what one exchange came to, reported once to the ledger and the instruments."""

import asyncio
import logging
from collections import deque
from dataclasses import dataclass
from time import monotonic, time
from typing import TYPE_CHECKING

from classifier.verdict import GENERAL
from metrics.observed import excerpt
from metrics.outcome import DecisionRecord, Outcome, Result
from router.answers import TRUNCATED, Answered
from router.errors import RequestError
from router.pipeline import Prepared
from router.transcript import Transcript

if TYPE_CHECKING:
    from router.services import Services

log = logging.getLogger("setpoint")

AT_ONCE = 64  # exchanges that are reported before requests get their turn: a millisecond
FAILURES = frozenset({"upstream_cut", "upstream_invalid", "upstream_timeout"})
NOT_BLAMED = frozenset(
    {401, 403, 404, 408, 409, 429}
)  # of an upstream: whatever the parameters were, it would say the same
NO_DRAW = (None, None, None, 1.0, None, None, None)
LABEL_TASKS = frozenset({"classification"})  # a short, capped answer is what was wanted


@dataclass(slots=True)
class Exchange:
    """One request and its answer while they last; times are of the monotonic clock."""

    surface: str
    began_at: float
    prepared: Prepared | None = None
    status: int = 0
    result: Result = "ok"
    code: str | None = None
    sent_at: float | None = None
    first_byte_at: float | None = None
    answered_at: float | None = None
    started: bool = False
    client_gone: bool = False
    answered: Answered | None = None
    transcript: Transcript | None = None
    ended_at: float = 0.0

    def keep(self, chunk: bytes) -> None:
        """Remember a chunk of a stream."""
        if self.transcript is None:
            self.transcript = Transcript(self.surface)
            self.first_byte_at = monotonic()
        self.transcript.keep(chunk)

    def failed(self, error: RequestError) -> None:
        """Note an error of our own making or of the upstream's."""
        self.status, self.code = error.status, error.code
        self.result = "error" if error.status >= 500 else "rejected"


class Reports:
    """Exchanges that are over are reported in the next turn of the event loop: by then what was written to their clients is on its
    way, and to report several in a row takes less time."""

    def __init__(self, services: "Services") -> None:
        self._services = services
        self._waiting: deque[Exchange] = deque()

    def take(self, exchange: Exchange) -> None:
        """It is over now."""
        exchange.ended_at = monotonic()
        if not self._waiting:
            asyncio.get_running_loop().call_soon(self._some)
        self._waiting.append(exchange)

    def _some(self) -> None:
        for _ in range(min(len(self._waiting), AT_ONCE)):
            report(self._services, self._waiting.popleft())
        if self._waiting:
            asyncio.get_running_loop().call_soon(self._some)


def report(services: "Services", exchange: Exchange) -> None:
    """One outcome. Never raises: what was sent to the client is already on its way."""
    try:
        _report(services, exchange)
    except Exception:
        log.exception("an outcome could not be recorded")
        services.instruments.learning_failed()


def _report(services: "Services", exchange: Exchange) -> None:
    now, prepared = exchange.ended_at, exchange.prepared
    if prepared is None:
        services.instruments.rejected(exchange.surface, exchange.code or "cancelled")
        return
    if exchange.transcript is not None:
        exchange.answered = exchange.transcript.read()
    answered = exchange.answered or Answered()
    upstream = (exchange.answered_at or now) - exchange.sent_at if exchange.sent_at is not None else 0.0
    if exchange.code and exchange.code.startswith("upstream"):
        services.instruments.upstream_failed(prepared.route.upstream.name, exchange.code)
    outcome = Outcome(
        decision=record_of(prepared, services.features(prepared.ask)),
        surface=exchange.surface,
        completion=answered.completion,
        status=exchange.status,
        finish="length" if answered.finish in TRUNCATED else answered.finish,
        result=_result(exchange, answered),
        seconds=now - exchange.began_at,
        upstream_seconds=upstream,
        ttft=exchange.first_byte_at - exchange.began_at
        if exchange.first_byte_at and prepared.incoming.stream
        else None,
        prompt_tokens=answered.prompt_tokens,
        completion_tokens=answered.completion_tokens,
        cost_usd=services.cost(prepared.context, answered),
        text=answered.text if prepared.context.wants_json else excerpt(answered.text),
        wants_json=prepared.context.wants_json,
        label_task=prepared.context.task in LABEL_TASKS,
        prompt=_fingerprint(prepared),
        failed=_failed(exchange, answered),
    )
    services.recorded(prepared, outcome)


def _fingerprint(prepared: Prepared) -> str | None:
    """Tells the same question asked again from another one; the text cannot be got back from it."""
    context = prepared.context
    return f"{hash((context.tenant, context.session, context.text)):x}" if context.session and context.text else None


def _result(exchange: Exchange, answered: Answered) -> Result:
    if exchange.result == "ok" and (exchange.status >= 400 or answered.error):
        return "rejected" if 400 <= exchange.status < 500 else "error"
    return exchange.result


def _failed(exchange: Exchange, answered: Answered) -> bool | None:
    """Whether the upstream failed on a request; None where it does not know the parameters (a hang-up, an upstream that is not
    reached, keys and limits, a failure of our own)."""
    if exchange.result == "cancelled" or (exchange.code and exchange.code not in FAILURES):
        return None
    if exchange.code or answered.error:
        return True
    if exchange.status >= 400:
        return None if exchange.status in NOT_BLAMED else True
    return False if 200 <= exchange.status < 300 else None


def record_of(prepared: Prepared, features: str | None = None) -> DecisionRecord:
    """What the store keeps of a decision: ids and numbers."""
    context, decision, draw = prepared.context, prepared.decision, prepared.decision.draw
    declared = prepared.verdict.source == "declared" and prepared.verdict.task != GENERAL
    cell, parameter, arm, propensity, table, odds, sticky = (
        (draw.cell, draw.parameter, draw.arm, draw.propensity, draw.table, draw.odds, draw.sticky) if draw else NO_DRAW
    )
    return DecisionRecord(
        prepared.id, prepared.tenant, context.task, context.model, context.upstream, context.turn, cell, parameter, arm,
        propensity, decision.mode, decision.policy, context.session, decision.effective, time(), features, declared,
        prepared.said, None, table, odds, sticky,
    )  # fmt: skip
