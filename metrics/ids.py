"""Identifiers that carry their time, so that the store knows where to look one up."""

from functools import lru_cache

_DIGITS = "0123456789abcdefghijklmnopqrstuvwxyz"
_PREFIX = "dec_"
_LETTERS = bytes(b"abcdefghijklmnopqrstuvwxyz234567"[byte % 32] for byte in range(256))
_HALF = 36 * 36
_LAST_DIGITS = tuple(a + b for a in _DIGITS for b in _DIGITS)
_TIME = 9  # base-36 digits of a unix time in milliseconds: enough until the year 5188


def base36(number: int) -> str:
    """A non-negative integer in base 36, lower case."""
    digits = ""
    while number:
        number, rest = divmod(number, 36)
        digits = _DIGITS[rest] + digits
    return digits or "0"


def new_decision_id(now: float, random: bytes) -> str:
    """`dec_`, milliseconds in base 36, five bits of each random byte in base 32; sorts by time.

    `now` in unix seconds; give 16 bytes or more.
    """
    high, low = divmod(int(now * 1000), _HALF)
    return f"{_PREFIX}{_first_digits(high)}{_LAST_DIGITS[low]}{random.translate(_LETTERS).decode('ascii')}"


@lru_cache(16)
def _first_digits(high: int) -> str:
    """They change every 1.3 seconds."""
    return base36(high).rjust(_TIME - 2, "0")


def decision_time(decision: str) -> float | None:
    """When the id was made, in unix seconds (to the millisecond); None for an id that is not ours."""
    stamp = decision[len(_PREFIX) : len(_PREFIX) + _TIME]
    if not decision.startswith(_PREFIX) or len(stamp) < _TIME or stamp.strip(_DIGITS):
        return None
    return int(stamp, 36) / 1000
