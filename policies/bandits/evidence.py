"""What one arm has earned, as bandits see it."""

from dataclasses import dataclass
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray


@dataclass(frozen=True, slots=True)
class Evidence:
    """One arm. `position`: its place on the parameter's axis (`arms.position`); `n`: effective number of rewards;
    `mean`: theirs, in [0, 1]; `variance`: that of a single reward."""

    position: float
    n: float = 0.0
    mean: float = 0.0
    variance: float = 0.25


class Prior(NamedTuple):
    """What is known of the shape of a cell's curve before its own rewards: `mean` (K,) beside what any cell is expected to be
    like, `cov` (K, K), in rewards and their squares."""

    mean: NDArray[np.float64]
    cov: NDArray[np.float64]
