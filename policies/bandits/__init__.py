"""Bandits: from what the arms of a cell have earned to how much traffic each should get."""

from collections.abc import Mapping, Sequence
from types import MappingProxyType
from typing import Protocol

from policies.bandits import safe_gp, static
from policies.bandits.evidence import Evidence, Prior


class Bandit(Protocol):
    """Promise: one probability per arm, in [0, 1], summing to 1; finite for any finite evidence; the same for the same
    arguments. `baseline` is the index of the policy's own arm, `explore` the most that unproven arms may get, `prior` what
    other cells know of the shape."""

    def __call__(
        self, arms: Sequence[Evidence], baseline: int, explore: float, seed: int, prior: Prior | None = None
    ) -> tuple[float, ...]: ...


__all__ = ["BANDITS", "Bandit", "Evidence", "Prior"]

BANDITS: Mapping[str, Bandit] = MappingProxyType({"safe_gp": safe_gp.allocate, "static": static.allocate})
