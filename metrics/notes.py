"""Notes: what each request counts, in plain numbers until it is brought into Prometheus, where it would cost 20 µs a request."""

from array import array
from collections.abc import Callable
from struct import Struct
from typing import Any

from metrics.outcome import Outcome

_ROW = Struct("6d")  # seconds, what this proxy took of them, time to the first token or -1, both tokens, cost
_FULL = 1 << 20  # bytes of such rows of one kind: about 20,000 requests

What = tuple[str, str, str, str, bool]  # surface, model, task, result, effective


class Notes:
    """Bounded by what happens between two `bring_in`."""

    def __init__(self) -> None:
        self._finished: dict[What, bytearray] = {}
        self._amounts: dict[tuple[str, ...], array[float]] = {}

    def finished(self, outcome: Outcome) -> bool:
        """Notes a request that ended. True where it is time to bring in what is noted."""
        record, ttft = outcome.decision, outcome.ttft
        what = (outcome.surface, record.model, record.task, outcome.result, record.effective)
        over = outcome.seconds - outcome.upstream_seconds
        prompt, completion, cost = outcome.prompt_tokens or 0, outcome.completion_tokens or 0, outcome.cost_usd or 0.0
        row = _ROW.pack(
            outcome.seconds,
            max(0.0, over),
            -1.0 if ttft is None else ttft,
            max(0, prompt),
            max(0, completion),
            max(0.0, cost),
        )
        rows = self._finished.get(what)
        if rows is None:
            rows = self._finished[what] = bytearray()
        rows += row
        return len(rows) > _FULL

    def amount(self, key: tuple[str, ...], amount: float) -> None:
        """Notes one observation of a histogram: (family, label values...)."""
        amounts = self._amounts.get(key)
        if amounts is None:
            amounts = self._amounts[key] = array("d")
        amounts.append(amount)

    def bring_in(self, child: Callable[..., Any]) -> None:
        """Tells the series of Prometheus, which `child` gives by family and label values, and starts anew."""
        finished, self._finished = self._finished, {}
        for what, rows in finished.items():
            _bring_in(what, array("d", bytes(rows)), child)
        noted, self._amounts = self._amounts, {}
        for key, amounts in noted.items():
            child(*key).observe_all(amounts)


def _bring_in(what: What, rows: "array[float]", child: Callable[..., Any]) -> None:
    surface, model, task, result, effective = what
    seconds, over, first, prompt, completion, cost = (rows[n::6] for n in range(6))
    child("requests", surface, model, task, result).inc(len(seconds))
    child("request_seconds", model).observe_all(seconds)
    child("overhead_seconds").observe_all(over)
    if streamed := [t for t in first if t >= 0]:
        child("time_to_first_token_seconds", model).observe_all(streamed)
    for amounts, key in (
        (prompt, ("tokens", model, "input")),
        (completion, ("tokens", model, "output")),
        (cost, ("cost_usd", model)),
    ):
        if total := sum(amounts):
            child(*key).inc(total)
    if not effective:
        child("not_effective", model).inc(len(seconds))
