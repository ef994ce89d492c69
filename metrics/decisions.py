"""Decisions in the store: kept for as long as feedback may come, found by decision id or completion id."""

from collections.abc import Iterable, Mapping, Sequence
from time import monotonic
from typing import Any

from metrics import keys, records, scripts
from metrics.connect import Client
from metrics.door import WINDOW, Door
from metrics.episodes import MOST
from metrics.outcome import DecisionRecord

# A decision as it is written: id, time, JSON and the hash that it goes to; completion id and the hash that this goes to; its JSON for
# the stream, where it learns; the key of its session; and what its ask was declared to be, with its features. All that can be worked
# out is, when the decision is taken: a flush does hundreds in one go. A plain tuple: garbage collection does not look at those.
Line = tuple[str, float, str, str, str | None, str | None, str | None, str | None, str | None]
_RENEWED = 60  # seconds between two expiries of the same hash


def line(record: DecisionRecord, completion: str | None, shown: Iterable[tuple[str, float]] | None = None) -> Line:
    """A decision to be written, with the upstream's completion id; `shown` are its observed rewards, where they are not in it yet."""
    text, bare = records.packs(record, record.observed if shown is None else shown)
    bucket = keys.decisions(record.id, record.at)
    shard = keys.completions(completion, int(record.at) // keys.DAY) if completion else None
    session = None if record.session is None else keys.session(record.tenant, record.session)
    label = None if not record.declared or record.features is None else records.pack_label(record.task, record.features)
    bare_ = bare if record.learns else None
    return record.id, record.at, text, bucket, completion or None, shard, bare_, session, label


class Decisions(Door):
    """Records in buckets of ten minutes that expire as a whole. Writing one again replaces it."""

    def __init__(self, where: "str | Client", *, window: int = WINDOW, timeout: float = 0.5) -> None:
        super().__init__(where, window=window, timeout=timeout)
        self._expiring: dict[str, float] = {}  # hashes by when their expiry was set

    def expire_anew(self) -> None:
        """What the store has, and whether it expires, is not known any more: a write failed, or it lost some."""
        self._expiring.clear()

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
        for decision, at, text, bucket, _, _, bare, session, _ in decisions:
            hashes.setdefault(bucket, []).extend((decision, text))
            if session is not None:  # "-", so that a session is known that learns nothing
                sessions.setdefault(session, []).extend((at, "-" if bare is None else decision))
        self._put_hashes(pipe, hashes, keys.BUCKET)
        for key, times in sessions.items():
            self._script(pipe, scripts.SESSION, (key,), (-MOST - 1, int(self.window), *times))

    def _put_completions(self, pipe: Any, decisions: Sequence[Line]) -> None:
        shards: dict[str, list[str]] = {}
        for decision, _, _, _, completion, shard, *_ in decisions:
            if completion is not None and shard is not None:
                shards.setdefault(shard, []).extend((completion, decision))
        self._put_hashes(pipe, shards, keys.DAY)

    def _put_hashes(self, pipe: Any, hashes: Mapping[str, list[str]], life: int) -> None:
        now = monotonic()
        for key, pairs in hashes.items():
            pipe.hset(key, items=pairs)
            # Not each time, for it is another command; not once, for the server may lose the hash and get a new one.
            if now - self._expiring.get(key, -_RENEWED) >= _RENEWED:
                if len(self._expiring) > 1_000:
                    self._expiring.clear()
                self._expiring[key] = now
                pipe.expire(key, int(self.window) + life)
