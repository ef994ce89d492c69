"""Guard: is what learning serves worse than the policy's own value? Looked at as often as one likes, and seldom wrong.

An asymptotic confidence sequence (Waudby-Smith et al., arXiv 2103.06476, proposition 2.5) for the difference of two means holds at
all times at once, where a test of fixed size that is repeated every few seconds would sooner or later say anything. It is
tuned to be narrowest at a few hundred labels. Sums that forget make it approximate.
"""

import math
from collections.abc import Sequence

from policies.bandits.evidence import Evidence

ALPHA = 0.05
LEAST = 20.0  # labels on either side
RHO2 = 0.04  # (-2 ln α + ln(1 - 2 ln α)) / 200: narrowest at 200 labels
FLOOR = 0.02  # least variance of a reward


def falls_short(served: Sequence[tuple[float, Evidence]], control: Evidence, margin: float) -> bool:
    """Whether the arms beside the policy's own, by the shares in which they are served now, are worse than it by more than
    `margin` and beyond doubt. What was tried and left is nobody's loss any more."""
    known = [(share, arm) for share, arm in served if share > 0 and arm.n > 0]
    if sum(arm.n for _, arm in known) < LEAST or control.n < LEAST:
        return False
    total = sum(share for share, _ in known)
    mean = sum(share * arm.mean for share, arm in known) / total
    error = sum((share / total) ** 2 * max(arm.variance, FLOOR) / arm.n for share, arm in known)
    n = 1 / sum((share / total) ** 2 / arm.n for share, arm in known)
    return control.mean - mean - half_width(error * n, n, max(control.variance, FLOOR), control.n) > margin


def half_width(variance: float, n: float, variance_other: float, n_other: float) -> float:
    """Of the sequence for the difference of two means of `n` rewards each, on either side."""
    error = variance / n + variance_other / n_other
    size = 1 / (1 / n + 1 / n_other)
    reach = size * RHO2 + 1
    return math.sqrt(error * size * 2 * reach / (size * size * RHO2) * math.log(math.sqrt(reach) / ALPHA))
