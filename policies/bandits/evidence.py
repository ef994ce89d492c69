"""What one arm has earned, as bandits see it."""

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Evidence:
    """One arm. `position`: its place on the parameter's axis (`arms.position`); `n`: effective number of rewards;
    `mean`: theirs, in [0, 1]; `variance`: that of a single reward."""

    position: float
    n: float = 0.0
    mean: float = 0.0
    variance: float = 0.25
