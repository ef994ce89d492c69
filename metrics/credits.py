"""Credits: feedback goes to arms, each signal once, in one step per cell with the mark that says so."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Any

from metrics import keys, records, scripts
from metrics.correlation import paired
from metrics.door import Door
from metrics.episodes import Episode, Opened, shared
from metrics.outcome import DecisionRecord
from metrics.signals import Raw
from metrics.tally import Tally, epoch_of, reward

MARKER = 7 * 86_400  # seconds that a writer's batch may be sent again
CORRECTED = 30  # days that a corrected ask is kept for training
_LABELS = 10_000
_CORRECTIONS = 2_000  # corrected asks a day: about 3 MB


@dataclass(frozen=True, slots=True)
class Grant:
    """One signal for one decision, already a reward; None is kept without crediting an arm. `seen` are the observed rewards to
    hold against it."""

    decision: DecisionRecord
    signal: str
    value: Raw
    reward: float | None
    seen: tuple[tuple[str, float], ...] = ()


def number_of(stored: Any) -> int:
    """A writer's progress; 0 for none, and for what is none."""
    return int(stored) if str(stored).isdecimal() else 0


class Credits(Door):
    """Promises: each (decision, signal) and each (session, signal) earns once, whoever sends it and how often."""

    async def credit(self, grants: "Sequence[Grant | Episode]", writer: str, number: int) -> list[bool]:
        """Credits each grant once ever per (decision, signal), each episode once per (session, signal) and cell: True for
        those that were new, or had nothing to earn."""
        pipe = self._pipe()
        calls = [self._grant(pipe, g) if isinstance(g, Grant) else self._episode(pipe, g) for g in grants]
        cells = {cell for g in grants for cell in _cells(g)}
        if cells:
            pipe.sadd(keys.CELLS, *cells)
        self._progress(pipe, writer, number)
        *replies, before, _ = await self._run(pipe)
        self.before = number_of(before)
        self.corrupt += sum(max(r or 0, 0) for r in replies[: sum(calls)])
        new = []
        for count in calls:
            mine, replies = replies[:count], replies[count:]
            new.append(any(r is not None and r >= 0 for r in mine) or not count)
        await self._after(grants, new)
        return new

    async def open(self, episodes: Sequence[Episode]) -> list[Opened]:
        """Claims (session, signal) for each, unless somebody did; and what the session has decided."""
        pipe = self._pipe()
        for e in episodes:
            self._script(
                pipe,
                scripts.OPEN,
                (keys.episode(e.tenant, e.session, e.signal), keys.session(e.tenant, e.session)),
                (records.dumps((e.at, e.reward, e.token)), self._life, repr(e.at - e.window)),
            )
        opened = [Opened.read(reply) for reply in await self._run(pipe)]
        self.corrupt += sum(o is None for o in opened)
        return [o or Opened() for o in opened]

    @property
    def _life(self) -> int:
        """Seconds that a mark must outlive the decisions that it is about."""
        return int(self.window) + keys.DAY

    def _grant(self, pipe: Any, grant: Grant) -> int:
        record, sums = grant.decision, []
        epoch = epoch_of(record.at)
        if grant.reward is not None and record.cell is not None and record.arm is not None:
            slot, tally = reward(record.cell, record.arm, grant.signal, record.at, grant.reward)
            sums = [(slot.arm, slot.signal, tally), *paired(record.at, grant.seen, grant.reward)]
        self._earn(
            pipe, keys.credited(record, grant.signal), record.cell or "", epoch, records.dumps(grant.value), sums
        )
        return 1

    def _episode(self, pipe: Any, episode: Episode) -> int:
        parts = shared(episode)
        for (cell, epoch), sums in parts.items():
            mark = keys.earned(cell, epoch, episode.tenant, episode.session, episode.signal)
            self._earn(pipe, mark, cell, epoch, records.dumps(episode.reward), sums)
        return len(parts)

    def _earn(
        self, pipe: Any, mark: str, cell: str, epoch: int, value: str, sums: Sequence[tuple[str, str, Tally]]
    ) -> None:
        where = (keys.sums(cell, epoch), keys.sums(cell, epoch - 2)) if sums else ()
        self._script(pipe, scripts.CREDIT, (mark, *where), (value, self._life, *records.fields(sums)))

    async def _after(self, grants: "Sequence[Grant | Episode]", new: Sequence[bool]) -> None:
        """What follows from credits that are done, and may be done again: labels, and episodes that are over."""
        pipe = self._pipe()
        for grant, fresh in zip(grants, new, strict=True):
            if isinstance(grant, Episode):
                done = records.dumps((grant.at, grant.reward, ""))
                pipe.set(keys.episode(grant.tenant, grant.session, grant.signal), done, ex=self._life)
            elif fresh and grant.signal == "task":
                self._label(pipe, grant)
        if len(pipe):
            await self._run(pipe)

    def _label(self, pipe: Any, grant: Grant) -> None:
        record, task = grant.decision, str(grant.value)
        self._script(pipe, scripts.LABEL, (keys.LABELS,), (f"{record.task}|{task}", _LABELS))
        if record.features is not None:
            self._keep(pipe, record.id, record.at, records.pack_label(task, record.features), replace=True)

    def _keep(self, pipe: Any, decision: str, at: float, label: str, *, replace: bool) -> None:
        args = (decision, label, _CORRECTIONS, CORRECTED * keys.DAY, int(replace))
        self._script(pipe, scripts.KEEP, (keys.corrections(int(at) // keys.DAY),), args)

    @staticmethod
    def _progress(pipe: Any, writer: str, number: int) -> None:
        # Two commands: SET with GET would leave a key of another type as it is.
        pipe.get(keys.progress(writer))
        pipe.set(keys.progress(writer), number, ex=MARKER)


def _cells(grant: "Grant | Episode") -> Iterable[str]:
    if isinstance(grant, Episode):
        return {r.cell for r in grant.decisions if r.cell is not None}
    return () if grant.reward is None or grant.decision.cell is None else (grant.decision.cell,)
