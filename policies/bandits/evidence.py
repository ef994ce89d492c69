"""What one arm has earned, as bandits see it."""

from dataclasses import dataclass
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray


@dataclass(frozen=True, slots=True)
class Evidence:
    """One arm. `position`: its place on the parameter's axis (`arms.position`); `n`: effective number of rewards;
    `mean`: theirs, in [0, 1]; `variance`: that of a single reward; `solid`: answers are known not to fall apart there."""

    position: float
    n: float = 0.0
    mean: float = 0.0
    variance: float = 0.25
    solid: bool = False


class Prior(NamedTuple):
    """What other cells know, by (K,) arms. Of the shape of the curve: `mean` beside what any cell is expected to be like, and `cov`
    (K, K), in rewards and their squares. Of each arm by itself: `n` labels, as far as the cells are alike, and how much more they
    earned than the baseline, `beside`."""

    mean: NDArray[np.float64]
    cov: NDArray[np.float64]
    n: NDArray[np.float64]
    beside: NDArray[np.float64]
