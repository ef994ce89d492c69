"""What this process knows and the store does not have yet, numbered so that sending it twice is harmless."""

from collections import OrderedDict, deque
from collections.abc import Callable, Mapping, Sequence
from typing import Any

from metrics.outcome import DecisionRecord
from metrics.store import Batch, Grant
from metrics.tally import Slot, Sums, Tally

_AT_ONCE = 200  # decisions in one batch: 3 ms in which no request gets its turn
# An append-only file that is synced every second may lose the last two (redis.io, persistence). What was acknowledged
# is kept a second longer than that, and sent again if the server turns out not to have it.
KEPT = 3.0

Sent = Batch | tuple[int, Sequence[Grant]]


class Outbox:
    """Bounded buffers of decisions, sums and cell meta; `shed(kind, count)` is told what did not fit."""

    def __init__(self, writer: str, limit: int, shed: Callable[[str, int], None]) -> None:
        self.writer = writer
        self._limit = limit
        self._shed = shed
        self._decisions: deque[tuple[DecisionRecord, str | None]] = deque()
        self._sums = Sums(limit)
        self._cells: dict[str, Mapping[str, Any]] = {}
        self._fresh: set[str] = set()
        self._number = 0
        self._frozen: Batch | None = None
        self._sent: deque[tuple[float, int, Sent]] = deque()
        self._acknowledged = 0  # number of the last write that the store confirmed
        self._missing: int | None = None  # the store lost all after this one, and does not have it again yet

    def __len__(self) -> int:
        frozen = len(self._frozen.decisions) + len(self._frozen.sums) if self._frozen else 0
        return len(self._decisions) + len(self._sums) + frozen

    @property
    def waiting(self) -> bool:
        """Whether a batch was tried and not confirmed: nothing may overtake it."""
        return self._frozen is not None

    def decision(self, record: DecisionRecord, completion: str | None) -> None:
        """Takes a decision; the oldest goes when there are too many."""
        if len(self._decisions) >= self._limit:
            self._decisions.popleft()
            self._shed("decisions", 1)
        self._decisions.append((record, completion))

    def add(self, slot: Slot, tally: Tally) -> None:
        """Takes a reward."""
        if not self._sums.add(slot, tally):
            self._shed("rewards", 1)

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
        if self._frozen is None and (self._decisions or len(self._sums) or self._fresh):
            count = min(len(self._decisions), _AT_ONCE)
            decisions = tuple(self._decisions.popleft() for _ in range(count))
            cells = {cell: self._cells[cell] for cell in self._fresh}
            self._frozen = Batch(self.writer, self.next_number(), decisions, self._sums.take(), cells)
            self._fresh = set()
        return self._frozen

    def confirmed(self, sent: Sent, now: float) -> None:
        """The store has this."""
        if isinstance(sent, Batch):
            self._frozen = None
        self._acknowledged = sent.number if isinstance(sent, Batch) else sent[0]
        self._sent.append((now, self._acknowledged, sent))

    def behind(self, number: int) -> bool:
        """Whether the store lost what it had confirmed, given the number of the last write that it has; remembered until
        `resent`, because a later write hides the gap."""
        if number < self._acknowledged:
            self._missing = number if self._missing is None else min(number, self._missing)
            self._fresh |= self._cells.keys()
        return self._missing is not None

    def lost(self) -> list[Sent]:
        """What was confirmed and is gone, as far as it was kept; in order."""
        return [] if self._missing is None else [sent for _, n, sent in self._sent if n > self._missing]

    def resent(self, now: float) -> None:
        """The store has everything again, and may lose it again."""
        self._missing = None
        self._sent = deque((now, number, sent) for _, number, sent in self._sent)

    def settle(self, now: float) -> None:
        """The store was found to have everything: forgets what must be on its disk by now."""
        while self._sent and now - self._sent[0][0] > KEPT:
            self._sent.popleft()


class Recent:
    """Decisions of this process by decision id and completion id: feedback on them needs no look-up."""

    def __init__(self, limit: int) -> None:
        self._limit = limit
        self._records: OrderedDict[str, DecisionRecord] = OrderedDict()

    def remember(self, record: DecisionRecord, completion: str | None) -> None:
        """Keeps a decision, and drops the oldest when there are too many."""
        self._records[record.id] = record
        if completion:
            self._records[completion] = record
        while len(self._records) > self._limit:
            self._records.popitem(last=False)

    def get(self, either: str) -> DecisionRecord | None:
        """The decision of a decision id or completion id."""
        return self._records.get(either)
