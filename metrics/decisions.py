"""Decisions in the store: kept for as long as feedback may come, found by decision id or completion id."""

from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from metrics import keys, records, scripts
from metrics.door import Door
from metrics.episodes import MOST
from metrics.outcome import DecisionRecord

# A decision as it is written: id, time, JSON, completion id; its JSON for the stream, where it learns; the key of its session; and
# what its ask was declared to be, with its features. A plain tuple: there are many, and garbage collection does not look at those.
Line = tuple[str, float, str, str | None, str | None, str | None, str | None]


def line(record: DecisionRecord, completion: str | None, shown: Iterable[tuple[str, float]] | None = None) -> Line:
    """A decision to be written, with the upstream's completion id; `shown` are its observed rewards, where they are not in it yet."""
    text, bare = records.packs(record, record.observed if shown is None else shown)
    session = None if record.session is None else keys.session(record.tenant, record.session)
    label = None if not record.declared or record.features is None else records.pack_label(record.task, record.features)
    return record.id, record.at, text, completion, bare if record.learns else None, session, label


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

    def _put_decisions(self, pipe: Any, decisions: Sequence[Line]) -> None:
        hashes: dict[str, list[str]] = {}
        sessions: dict[str, list[float | str]] = {}
        for decision, at, text, _, bare, session, _ in decisions:
            hashes.setdefault(keys.decisions(decision, at), []).extend((decision, text))
            if session is not None:  # "-", so that a session is known that learns nothing
                sessions.setdefault(session, []).extend((at, "-" if bare is None else decision))
        self._put_hashes(pipe, hashes, keys.BUCKET)
        for key, times in sessions.items():
            self._script(pipe, scripts.SESSION, (key,), (-MOST - 1, int(self.window), *times))

    def _put_completions(self, pipe: Any, decisions: Sequence[Line]) -> None:
        shards: dict[str, list[str]] = {}
        for decision, at, _, completion, *_ in decisions:
            if completion:
                shards.setdefault(keys.completions(completion, int(at) // keys.DAY), []).extend((completion, decision))
        self._put_hashes(pipe, shards, keys.DAY)

    def _put_hashes(self, pipe: Any, hashes: Mapping[str, list[str]], life: int) -> None:
        for key, pairs in hashes.items():
            pipe.hset(key, items=pairs)
            pipe.expire(key, int(self.window) + life)
