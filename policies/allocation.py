"""Allocations: how much of a cell's traffic each arm gets, and the one place where chance decides."""

import hashlib
from collections.abc import Mapping
from dataclasses import dataclass, field

from policies.arms import Grid
from policies.decision import Draw


@dataclass(frozen=True, slots=True)
class Allocations:
    """All cells' probabilities by arm, swapped in whole; immutable."""

    version: str = "0"
    cells: Mapping[str, Mapping[str, float]] = field(default_factory=dict)


def shares(learned: Mapping[str, float] | None, grid: Grid, control: float) -> dict[str, float]:
    """The probability of each arm open to this request; sums to 1.

    The share `control` stays with the policy's own value for ever. Arms that this request's bounds exclude lose their
    share to the others in proportion.
    """
    open_arms = {arm: max(learned.get(arm, 0.0), 0.0) for arm in grid.values} if learned else {}
    total = sum(open_arms.values())
    if not 0.0 < total < float("inf"):
        return {grid.baseline: 1.0}
    p = {arm: (1 - control) * (share / total) for arm, share in open_arms.items()}
    p[grid.baseline] += control
    return p


def draw(cell: str, grid: Grid, allocations: Allocations, control: float, unit: str) -> Draw:
    """The arm of a unit: the same unit gets the same arm for as long as the allocation stands."""
    p = shares(allocations.cells.get(cell), grid, control)
    point = uniform(unit, cell, allocations.version)
    arm, propensity = grid.baseline, p[grid.baseline]
    for name, share in p.items():
        point -= share
        if point < 0:
            arm, propensity = name, share
            break
    return Draw(cell, grid.parameter, arm, propensity, grid.baseline, tuple(grid.values), arm != grid.baseline)


def uniform(*parts: str) -> float:
    """A number in [0, 1) that depends on nothing but its arguments, so that a logged draw can be computed again."""
    digest = hashlib.blake2b("\0".join(parts).encode(), digest_size=8).digest()
    return int.from_bytes(digest, "big") / 2**64
