"""What this process knows and the store does not have yet, numbered so that sending it twice is harmless."""

import marshal
from collections import deque
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import replace
from typing import Any

from metrics.credits import Grant
from metrics.decisions import Line, line
from metrics.episodes import Episode
from metrics.outcome import DecisionRecord
from metrics.records import unpack
from metrics.store import Batch
from metrics.stream import Earned
from metrics.tally import Slot, Sums, Tally

_AT_ONCE = 2_000  # decisions in one batch, which the store writes in pieces
# An append-only file that is synced every second may lose the last two (redis.io, persistence). What was acknowledged
# is kept a second longer than that, and sent again if the server turns out not to have it.
KEPT = 3.0

Sent = Batch | tuple[int, Sequence[Grant | Episode]]


class Outbox:
    """Bounded buffers of decisions, sums and cell meta; `shed(kind, count)` is told what did not fit."""

    def __init__(self, writer: str, limit: int, shed: Callable[[str, int], None]) -> None:
        self.writer = writer
        self._limit = limit
        self._shed = shed
        self._decisions: deque[Line] = deque()
        self._sums = Sums(limit)
        self._earned: deque[Earned] = deque()
        self._cells: dict[str, Mapping[str, Any]] = {}
        self._fresh: set[str] = set()
        self._number = 0
        self._frozen: Batch | None = None
        self._sent: deque[tuple[float, int, Sent, bytes]] = (
            deque()
        )  # decisions apart and packed: there may be thousands a second
        self._acknowledged = 0  # number of the last write that the store confirmed
        self._missing: int | None = None  # the store lost all after this one, and does not have it again yet

    def __len__(self) -> int:
        frozen = self._frozen or Batch(self.writer, 0)
        kept = (self._decisions, self._sums, self._earned, frozen.decisions, frozen.sums, frozen.earned)
        return sum(len(one) for one in kept)

    @property
    def waiting(self) -> bool:
        """Whether a batch was tried and not confirmed: nothing may overtake it."""
        return self._frozen is not None

    @property
    def batches(self) -> int:
        """How many batches take what is here now."""
        most = max(len(self._decisions), len(self._earned))
        return -(-most // _AT_ONCE) + 1 + (self._frozen is not None)

    def decision(
        self, record: DecisionRecord, completion: str | None, shown: Iterable[tuple[str, float]] | None = None
    ) -> str:
        """Takes a decision and gives it as it is kept (`records.pack`); the oldest goes when there are too many."""
        if len(self._decisions) >= self._limit:
            self._decisions.popleft()
            self._shed("decisions", 1)
        written = line(record, completion, shown)
        self._decisions.append(written)
        return written[2]

    def add(self, slot: Slot, tally: Tally, count: int = 1) -> None:
        """Takes rewards: that many."""
        if not self._sums.add(slot, tally):
            self._shed("rewards", count)

    def earned(self, earned: Earned) -> None:
        """Takes an explicit reward that the store has credited, for the stream."""
        if len(self._earned) >= self._limit:
            self._earned.popleft()
            self._shed("stream", 1)
        self._earned.append(earned)

    def cell(self, cell: str, meta: Mapping[str, Any]) -> None:
        """Takes what a cell is about, once until it changes."""
        if self._cells.get(cell) != meta:
            self._cells[cell] = dict(meta)
            self._fresh.add(cell)

    def renew(self, cell: str) -> None:
        """Sends again what a cell is about, where that is known here."""
        if cell in self._cells:
            self._fresh.add(cell)

    def next_number(self) -> int:
        """A number for one more write."""
        self._number += 1
        return self._number

    def next_batch(self) -> Batch | None:
        """What to write now: the same batch until it is confirmed. None when there is nothing."""
        if self._frozen is None and (self._decisions or len(self._sums) or self._fresh or self._earned):
            decisions = tuple(self._decisions.popleft() for _ in range(min(len(self._decisions), _AT_ONCE)))
            earned = tuple(self._earned.popleft() for _ in range(min(len(self._earned), _AT_ONCE)))
            cells = {cell: self._cells[cell] for cell in self._fresh}
            self._frozen = Batch(self.writer, self.next_number(), decisions, self._sums.take(), cells, earned)
            self._fresh = set()
        return self._frozen

    def confirmed(self, sent: Sent, now: float) -> None:
        """The store has this."""
        if isinstance(sent, Batch):
            self._frozen = None
        self._acknowledged = sent.number if isinstance(sent, Batch) else sent[0]
        packed = b""
        if isinstance(sent, Batch):
            packed, sent = marshal.dumps(tuple(sent.decisions)), replace(sent, decisions=())
        self._sent.append((now, self._acknowledged, sent, packed))

    def behind(self, number: int) -> bool:
        """Whether the store lost what it had confirmed, given the number of the last write that it has; remembered until
        `resent`, because a later write hides the gap."""
        if number < self._acknowledged:
            self._missing = number if self._missing is None else min(number, self._missing)
            self._fresh |= self._cells.keys()
        return self._missing is not None

    def lost(self) -> list[Sent]:
        """What was confirmed and is gone, as far as it was kept; in order."""
        if self._missing is None:
            return []
        return [_unpacked(sent, packed) for _, n, sent, packed in self._sent if n > self._missing]

    def resent(self, now: float) -> None:
        """The store has everything again, and may lose it again."""
        self._missing = None
        self._sent = deque((now, number, sent, packed) for _, number, sent, packed in self._sent)

    def settle(self, now: float) -> None:
        """The store was found to have everything: forgets what must be on its disk by now."""
        while self._sent and now - self._sent[0][0] > KEPT:
            self._sent.popleft()


def _unpacked(sent: Sent, packed: bytes) -> Sent:
    return replace(sent, decisions=marshal.loads(packed)) if isinstance(sent, Batch) else sent  # noqa: S302 - packed here


class Recent:
    """The latest decisions of this process by decision id and completion id: feedback on them needs no look-up, also before they
    are in the store. Kept as JSON: garbage collection would look at objects again and again."""

    def __init__(self, limit: int) -> None:
        """At most `limit` ids of either kind are kept, and half as many at least."""
        self._half = max(limit // 2, 1)
        # By decision id the record, by completion id the decision id; the older half goes as a whole.
        self._young: dict[str, str] = {}
        self._old: dict[str, str] = {}

    def remember(self, decision: str, text: str, completion: str | None) -> None:
        """Keeps a decision, and drops old ones when there are too many."""
        if len(self._young) >= self._half:
            self._old, self._young = self._young, {}
        self._young[decision] = text
        if completion and completion != decision:
            self._young[completion] = decision

    def get(self, either: str) -> DecisionRecord | None:
        """The decision of a decision id or completion id."""
        found = self._young.get(either) or self._old.get(either)
        if found is not None and not found.startswith("["):
            either = found
            found = self._young.get(either) or self._old.get(either)
        return None if found is None else unpack(either, found)
