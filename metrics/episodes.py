"""Episodes: one word about a whole session, shared by its decisions so that it is one label in each cell."""

from collections import Counter
from dataclasses import dataclass
from typing import Any, Literal

import orjson

from metrics.correlation import comparable, paired
from metrics.outcome import DecisionRecord
from metrics.tally import Tally, reward

MOST = 200  # decisions of a session that are remembered: the latest
DUE = 1.5  # seconds after which all replicas have written what they decided before: they flush twice a second
_SKEW = 1.0  # seconds by which the clocks of replicas may differ


@dataclass(frozen=True, slots=True)
class Episode:
    """What was said about a session, once valid. `window`: seconds that a decision may lie back; `token` tells who says it, so
    that the one who began is the one who goes on; `decisions` are those that share the reward."""

    tenant: str
    session: str
    signal: str
    reward: float
    at: float
    window: float
    token: str
    decisions: tuple[DecisionRecord, ...] = ()

    def concerns(self, record: DecisionRecord) -> bool:
        """Whether a decision of the session shares in it: it learns, and was made before, and not too long before."""
        return record.learns and -_SKEW <= self.at - record.at <= self.window


@dataclass(frozen=True, slots=True)
class Opened:
    """What the store knows of a (session, signal): who claimed it, when, with which reward; "" once it was credited."""

    state: Literal["unknown", "late", "open"] = "unknown"
    at: float = 0.0
    reward: float = 0.0
    token: str = ""
    ids: tuple[str, ...] = ()

    def due(self, now: float) -> bool:
        """Whether it is still to be credited, by whoever comes across it, and may be by now."""
        return self.state == "open" and bool(self.token) and now >= self.at + DUE

    @classmethod
    def read(cls, reply: Any) -> "Opened | None":
        """From the reply of the script; None where it makes no sense."""
        if not reply:
            return cls()
        if reply[0] == "late":
            return cls("late")
        try:
            at, earned, token = orjson.loads(reply[0])
            return cls("open", float(at), min(max(float(earned), 0.0), 1.0), str(token), tuple(reply[1:]))
        except (TypeError, ValueError):
            return None


def shared(episode: Episode) -> dict[tuple[str, int], list[tuple[str, str, Tally]]]:
    """By cell and epoch, what each arm earns: of k decisions in a cell each weighs 1/k, and so do its observed rewards beside it."""
    made = [(r.cell, r.arm, r) for r in episode.decisions if r.cell is not None and r.arm is not None]
    k = Counter(cell for cell, _, _ in made)
    sums: dict[tuple[str, int], dict[tuple[str, str], Tally]] = {}
    for cell, arm, record in made:
        slot, tally = reward(cell, arm, episode.signal, record.at, episode.reward, 1 / k[cell])
        beside = paired(record.at, comparable(record, episode.at), episode.reward, 1 / k[cell])
        into = sums.setdefault((cell, slot.epoch), {})
        for name, signal, more in ((arm, episode.signal, tally), *beside):
            into[name, signal] = into.get((name, signal), Tally()).plus(more)
    return {where: [(arm, signal, t) for (arm, signal), t in into.items()] for where, into in sums.items()}
