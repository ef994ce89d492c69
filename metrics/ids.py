"""Identifiers that carry their time, so that the store knows where to look one up."""

from base64 import b32encode

_DIGITS = "0123456789abcdefghijklmnopqrstuvwxyz"
_PREFIX = "dec_"
_TIME = 9  # base-36 digits of a unix time in milliseconds: enough until the year 5188


def base36(number: int) -> str:
    """A non-negative integer in base 36, lower case."""
    digits = ""
    while number:
        number, rest = divmod(number, 36)
        digits = _DIGITS[rest] + digits
    return digits or "0"


def new_decision_id(now: float, random: bytes) -> str:
    """`dec_`, milliseconds in base 36, random bytes in base 32; sorts by time. `now` in unix seconds; give 10 or more bytes."""
    return f"{_PREFIX}{base36(int(now * 1000)).rjust(_TIME, '0')}{b32encode(random).decode().rstrip('=').lower()}"


def decision_time(decision: str) -> float | None:
    """When the id was made, in unix seconds (to the millisecond); None for an id that is not ours."""
    stamp = decision[len(_PREFIX) : len(_PREFIX) + _TIME]
    if not decision.startswith(_PREFIX) or len(stamp) < _TIME or stamp.strip(_DIGITS):
        return None
    return int(stamp, 36) / 1000
