"""Decisions in the store: kept for as long as feedback may come, found by decision id or completion id."""

from collections.abc import Iterable, Sequence
from typing import Any

from metrics import keys, records
from metrics.door import Door
from metrics.outcome import DecisionRecord


class Decisions(Door):
    """Records in buckets of ten minutes that expire as a whole. Writing one again replaces it."""

    async def find(self, ids: Iterable[str], now: float) -> dict[str, DecisionRecord]:
        """Records by decision id or completion id; those that are not there are left out."""
        wanted = list(dict.fromkeys(ids))
        pipe = self._pipe()
        # From tomorrow on: another replica's clock may be ahead of ours, and ours may have been set back.
        days = range(int(now) // keys.DAY + 1, int(now - self.window) // keys.DAY - 1, -1)
        others = [i for i in wanted if not i.startswith("dec_")]
        for completion in others:
            for day in days:
                pipe.hget(keys.completions(completion, day), completion)
        found = await self._run(pipe) if others else []
        names = {i: i for i in wanted if i.startswith("dec_")}
        for n, completion in enumerate(others):
            hits = [d for d in found[n * len(days) : (n + 1) * len(days)] if d]
            if hits:
                names[completion] = hits[0]
        if not names:
            return {}
        pipe = self._pipe()
        for decision in names.values():
            pipe.hget(keys.decisions(decision, 0), decision)
        replies = await self._run(pipe)
        out: dict[str, DecisionRecord] = {}
        for (asked, decision), text in zip(names.items(), replies, strict=True):
            record = records.unpack(decision, text) if text is not None else None
            if record is not None:
                out[asked] = record
            elif text is not None:
                self.corrupt += 1
        return out

    def _put_decisions(self, pipe: Any, decisions: Sequence[tuple[DecisionRecord, str | None]]) -> None:
        hashes: dict[str, dict[str, str]] = {}
        for record, completion in decisions:
            hashes.setdefault(keys.decisions(record.id, record.at), {})[record.id] = records.pack(record)
            if completion:
                hashes.setdefault(keys.completions(completion, int(record.at) // keys.DAY), {})[completion] = record.id
        for key, mapping in hashes.items():
            pipe.hset(key, mapping=mapping)
            pipe.expire(key, int(self.window) + (keys.DAY if ":completions:" in key else keys.BUCKET))
