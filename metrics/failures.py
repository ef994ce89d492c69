"""Failures: did the upstream fail on a request because of its arm, or because it failed on everybody just then?

How arms share the traffic changes all the time, so an outage that hits all alike hits the one that is served most just then
hardest, and shares of failures since the beginning blame it. Held against what others of the same model met at the same
time, an outage comes to nothing on average, and an arm that makes the upstream fail stands out.
"""

from collections import OrderedDict, deque
from collections.abc import Iterable
from typing import NamedTuple

from metrics.outcome import Outcome

WEIGHT = 0.5  # of a comparison: both sides count it
RECENT = 64  # requests of a model that are remembered
_OLD = 600.0  # seconds after which one says nothing about now
_LIMIT = 1_000  # models


class _Met(NamedTuple):
    at: float
    arm: object
    failed: bool
    compared: bool


class Failures:
    """What the last requests of each model met, in this process."""

    def __init__(self) -> None:
        self._met: OrderedDict[tuple[str, str], deque[_Met]] = OrderedDict()

    def excess(self, outcome: Outcome) -> float | None:
        """1 for a request that failed, else 0, less the share of others that did since this arm was last compared: in [-1, 1].
        Others have another arm or cell, and each is used once, so that what is compared is independent. None where there are
        none, or where the outcome says nothing. Remembers this outcome."""
        if outcome.failed is None:
            return None
        record = outcome.decision
        model, arm = (record.upstream, record.model), (record.cell, record.arm)
        met = self._met.setdefault(model, deque(maxlen=RECENT))
        self._met.move_to_end(model)
        if len(self._met) > _LIMIT:
            self._met.popitem(last=False)
        others = _fresh(met, arm, record.at - _OLD)
        met.append(_Met(record.at, arm, outcome.failed, bool(others)))
        return outcome.failed - sum(others) / len(others) if others else None


def _fresh(met: Iterable["_Met"], arm: object, since: float) -> list[bool]:
    """How the others ended that came after the last comparison of an arm."""
    found = []
    for one in reversed(tuple(met)):
        if one.at < since or (one.arm == arm and one.compared):
            break
        if one.arm != arm:
            found.append(one.failed)
    return found
