"""Failures: did the upstream fail on a request because of its arm, or because it failed on everybody just then?

How arms share the traffic changes all the time, so an outage that hits all alike hits the one that is served most just then
hardest, and shares of failures since the beginning blame it. Held against what others of the same model met at the same
time, an outage comes to nothing on average, and an arm that makes the upstream fail stands out.
"""

from collections import OrderedDict, deque

from metrics.outcome import Outcome

WEIGHT = 0.5  # of a comparison: both sides count it
RECENT = 64  # requests of a model that are remembered
_OLD = 600.0  # seconds after which one says nothing about now
_LIMIT = 1_000  # models


# When, by which arm, whether it failed, and whether it was compared.
_Met = tuple[float, object, bool, bool]


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
        met = self._met.get(model)
        if met is None:
            met = self._met[model] = deque(maxlen=RECENT)
            if len(self._met) > _LIMIT:
                self._met.popitem(last=False)
        else:
            self._met.move_to_end(model)
        others, failures = _fresh(met, arm, record.at - _OLD)
        met.append((record.at, arm, outcome.failed, others > 0))
        return outcome.failed - failures / others if others else None


def _fresh(met: deque[_Met], arm: object, since: float) -> tuple[int, int]:
    """How many others came after the last comparison of an arm, and how many of them failed."""
    others = failures = 0
    if met and met[-1][1] == arm:  # which was compared, or found nobody: the usual case, and a long way back
        return 0, 0
    for at, by, failed, compared in reversed(met):
        if at < since:
            break
        if by != arm:
            others += 1
            failures += failed
        elif compared:
            break
    return others, failures
