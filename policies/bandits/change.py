"""Change: has a cell's world become another one? What came in of late is held against what was known before.

A generalised likelihood-ratio test over windows of the last 1, 2, 3 ... looks at the evidence: each window's rewards against the
means of all before it, standardised. It knows no world in advance, and finds a large change from few labels and a small one
from many.
"""

import numpy as np
from numpy.typing import NDArray

Array = NDArray[np.float64]

BAR = 4.5  # standard deviations; bench/learning: .03 false alarms a cell and 20,000 requests
LEAST = 20.0  # labels in a window, and before it
KEPT = 0.1  # what evidence of before the change still counts
LONGEST = 64  # looks back
FLOOR = 0.05  # least variance of a reward


class History:
    """One cell's (arms,) sums as they were at the last looks."""

    def __init__(self) -> None:
        self._n, self._s = np.empty((0, 0)), np.empty((0, 0))  # (looks, arms), the oldest first

    def changed(self, n: Array, s: Array, q: Array, decay: float = 1.0) -> bool:
        """Takes down a look - (arms,) labels, their sums, their squares' - and says whether the world has changed of late.

        `decay` is what was forgotten since the last look: what is left of its sums today. A cell whose arms have become others
        begins anew, and so does one that has changed.
        """
        found = False
        if self._n.shape[1] == len(n):
            self._n, self._s = self._n * decay, self._s * decay
            found = _differs(n, s, q, self._n, self._s)
        if found or self._n.shape[1] != len(n):
            self._n, self._s = np.empty((0, len(n))), np.empty((0, len(n)))
        self._n, self._s = np.vstack([self._n[1 - LONGEST :], n]), np.vstack([self._s[1 - LONGEST :], s])
        return found


def _differs(n: Array, s: Array, q: Array, n_old: Array, s_old: Array) -> bool:
    """Whether what came in since any (looks, arms) is unlike what was there, all arms together or one by itself."""
    n_new = n - n_old
    both = (n_old > 1) & (n_new > 1e-6)
    n_new, n_old, s_new, s_old = (np.where(both, a, 0.0) for a in (n_new, n_old, s - s_old, s_old))
    enough = (n_old.sum(axis=1) >= LEAST) & (n_new.sum(axis=1) >= LEAST)
    variance = np.maximum(q / np.maximum(n, 1e-9) - (s / np.maximum(n, 1e-9)) ** 2, FLOOR)
    per = np.maximum(n_old, 1.0)
    off = s_new - n_new * s_old / per
    spread = n_new * variance * (1 + n_new / per)
    apart = np.abs(off) > BAR * np.sqrt(spread)
    together = np.abs(off.sum(axis=1)) > BAR * np.sqrt(spread.sum(axis=1))
    return bool(((apart & (spread > 0)).any(axis=1) | together)[enough].any())
