"""The stream: what was decided and what was earned, in order, bounded, for whoever wants to judge learning by it.

Each decision that learns is an entry, and each explicit reward is one, written with the flush that brings it to the store.
They are written at least once: after a failure, and when more becomes known of a decision, the same is written again. Ids tell
which are the same; of a decision the last one counts, of a reward the first.
"""

from collections.abc import AsyncIterator, Iterable
from typing import Any, NamedTuple

import orjson

from metrics import keys, records, scripts
from metrics.decisions import Line
from metrics.door import Door
from metrics.outcome import DecisionRecord

MOST = 100_000  # entries, give or take what a node of the stream holds: about 40 MB
_PAGE = 1_000


class Earned(NamedTuple):
    """An explicit reward of a decision: in [0, 1], and its share in the label (less than 1 where a session was rated)."""

    id: str
    signal: str
    reward: float
    weight: float = 1.0


class Stream(Door):
    """Entries go out oldest first."""

    async def streamed(self) -> AsyncIterator[tuple[list[dict[str, Any]], int]]:
        """What is kept, in pages, each with how many entries that takes of how many the stream had at first. Entries that make no
        sense are left out and counted. Raises StoreError."""
        pipe = self._pipe()
        pipe.xlen(keys.STREAM)
        total = int((await self._run(pipe))[0] or 0)
        start = "-"
        while True:
            pipe = self._pipe()
            pipe.xrange(keys.STREAM, min=start, max="+", count=_PAGE)
            page = (await self._run(pipe))[0] or []
            if not page:
                return
            start = "(" + page[-1][0]
            read = [_read(at, fields) for at, fields in page]
            found = [entry for entry in read if entry is not None]
            self.corrupt += len(read) - len(found)
            yield found, total

    def _put_stream(self, pipe: Any, decisions: Iterable[Line], earned: Iterable[Earned]) -> None:
        """Adds what learns and what was earned, in one command: one for each would cost as much again as all else of a flush."""
        fields: list[str] = []
        for decision, _, _, _, _, _, bare, _, _ in decisions:
            if bare is not None:
                fields += ("d", decision, "r", bare)
        for e in earned:
            fields += ("e", e.id, "v", records.dumps(e[1:]))
        if fields:
            self._script(pipe, scripts.STREAM, (keys.STREAM,), (MOST, *fields))


def _read(at: str, fields: dict[str, str] | None) -> dict[str, Any] | None:
    """An entry as it is told; None for what is none."""
    try:
        if fields and "d" in fields:
            record = records.unpack(fields["d"], fields["r"])
            return None if record is None else _told(record)
        signal, reward, weight = orjson.loads((fields or {})["v"])
        seconds = int(at.partition("-")[0]) / 1000
        return {
            "kind": "reward",
            "id": (fields or {})["e"],
            "at": seconds,
            "signal": str(signal),
            "reward": float(reward),
            "weight": float(weight),
        }
    except (KeyError, ValueError, TypeError):
        return None


def _told(r: DecisionRecord) -> dict[str, Any]:
    return {
        "kind": "decision", "id": r.id, "at": r.at, "tenant": r.tenant, "task": r.task, "model": r.model, "upstream": r.upstream,
        "turn": r.turn, "cell": r.cell, "parameter": r.parameter, "arm": r.arm, "propensity": r.propensity, "mode": r.mode,
        "policy": r.policy, "table": r.table, "odds": r.odds, "sticky": r.sticky, "observed": dict(r.observed or ()),
    }  # fmt: skip
