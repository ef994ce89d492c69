"""Settling: when a cell has found the place of its parameter, so that the next one may be tuned beside it."""

from collections.abc import Collection, Mapping

SETTLED = 0.6  # an arm with this share of what is learned has won
LEFT = 0.45  # and stays the winner until it has less: the parameter beside it must not begin anew at every wobble
# Labels of a cell from which on staying with the policy's own value is a finding, and not a beginning. With 200, cells whose better
# value lies two arms away settled before they had looked, and served .657 of a possible .80 to the first 2,000 requests of
# bench/learning/two.py; with 400 .687, and with 600 no more. Sums that forget hold no more than ten days' labels.
ENOUGH = 400.0


def settled(learned: Mapping[str, float], baseline: str, labels: float, before: Collection[str] = ()) -> str | None:
    """The arm at which a cell has settled; None where it has not.

    `learned` is its allocation without the control share, `labels` the number of all its rewards, `before` the arms at which
    it had settled up to now. At most one arm can have a share of SETTLED, or two of LEFT; of the latter the larger wins.
    """
    kept = [arm for arm in before if learned.get(arm, 0.0) >= LEFT]
    won = kept or [arm for arm, share in learned.items() if share >= SETTLED]
    best = max(won, key=lambda arm: learned[arm], default=None)
    return None if best == baseline and best not in kept and labels < ENOUGH else best
