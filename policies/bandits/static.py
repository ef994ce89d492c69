"""The bandit that never leaves the policy's own value: what learning is measured against."""

from collections.abc import Sequence

from policies.bandits.evidence import Evidence, Prior


def allocate(
    arms: Sequence[Evidence], baseline: int, explore: float, seed: int, prior: Prior | None = None
) -> tuple[float, ...]:
    """All traffic to the baseline."""
    return tuple(1.0 if i == baseline else 0.0 for i in range(len(arms)))
