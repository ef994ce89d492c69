"""The race: which arm a unit gets. Every unit runs against itself once per arm, and the arm that arrives first wins.

An arm's time is -ln(u) / share, u being uniform and the unit's own for that arm. So each arm wins with exactly its share, and when
shares move, a unit changes its arm only if its own has lost to the winner: at most 2 d / (1 + d) of the units do, d being the total
variation between the two (arXiv 1809.04052), and nobody leaves an arm that no other has gained on. Nothing but the unit and the
arms' names is hashed, so a unit runs the same race in every cell and under every table.
"""

import math
from collections.abc import Mapping
from functools import lru_cache
from hashlib import blake2b
from struct import Struct

_WORD = (1 << 64) - 1
_HALVES = Struct(">QQ").unpack
_START = blake2b(digest_size=16, salt=b"arm")  # only ever copied: half the price of a new one

Runners = tuple[tuple[int, float, str], ...]  # (what the arm's name hashes to, its share, the arm)


def winner(odds: Mapping[str, float], unit: str) -> str:
    """The arm of a unit. `odds`: arm → share above 0, in any order. Raises ValueError where there is no arm."""
    if not odds:
        raise ValueError("nobody runs in a race without arms")
    return first(runners(odds), unit)


def runners(odds: Mapping[str, float]) -> Runners:
    """The arms as they line up: what of a race does not depend on the unit."""
    return tuple((_mark(arm), share, arm) for arm, share in odds.items())


def first(line_up: Runners, unit: str) -> str:
    """The arm that arrives first. `line_up`: at least one."""
    hashed = _START.copy()
    hashed.update(unit.encode("utf-8", "surrogatepass"))
    high, low = _HALVES(hashed.digest())
    log, word, longest = math.log, _WORD, _LONGEST  # looked up once: it halves the loop's time
    best, won = -math.inf, ""
    for mark, share, arm in line_up:
        # A product of 128 bits folded to 64 (wyhash): as random as a digest per arm, at half its cost.
        product = (high ^ mark) * (low ^ mark)
        score = (log(((product >> 64) ^ (product & word)) + 0.5) - longest) / share
        if score > best or not won:
            best, won = score, arm
    return won


_LONGEST = math.log(2.0**64)  # so that a pace is ln(u), u in (0, 1)


def uniform(*parts: str) -> float:
    """A number in [0, 1) that depends on nothing but its arguments, so that what was decided by it can be computed again."""
    text = "\0".join(parts).encode("utf-8", "surrogatepass")
    return int.from_bytes(blake2b(text, digest_size=8).digest(), "big") / 2**64


@lru_cache(4_096)  # pure, and the same few names for every request
def _mark(arm: str) -> int:
    return int.from_bytes(blake2b(arm.encode("utf-8", "surrogatepass"), digest_size=8).digest(), "big")
