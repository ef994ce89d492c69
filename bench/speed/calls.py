"""What a request costs in function calls and bytecode instructions: the same on every machine, so that CI can hold it.

The proxy runs whole, as `setpoint serve` starts it, in the main thread, which is counted; a client in another thread asks.
What happens later (the ledger's flush) counts too; learning's look at its cells does not, since it has its own share of a core.
"""

import argparse
import json
import os
import platform
import subprocess
import sys
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from types import CodeType, FrameType
from typing import Any, NamedTuple

from bench import BenchError
from bench.speed import inside
from bench.speed.bodies import KILOBYTE, of_size
from bench.speed.contestants import ROOT
from bench.speed.paced import Target, one

COMMITTED = Path(__file__).with_name("calls.json")
# Times what is committed: more fails. Two counts differ by less than 1 %; what redis-py does depends on how many requests
# a flush finds.
SLACK = {"calls": 1.06, "instructions": 1.06, "store": 2.0}
ROOM = {"calls": 0, "instructions": 0, "store": 40}  # and beyond that: flushes of a busy machine
NAMES = {"calls": "calls", "instructions": "bytecode instructions", "store": "calls in redis-py"}
STORE = f"{os.sep}redis{os.sep}"
REQUESTS, WARM_UP = 300, 100
IDLE = 1.0  # seconds in which nothing is asked
FLUSH = 1.2  # seconds: the ledger's work for what was asked is done


class Counts(NamedTuple):
    """A request: calls of functions, Python's and C's; bytecode instructions; calls inside redis-py, which are in neither."""

    calls: float
    instructions: float
    store: float


class Counter:
    """Counts what its thread does while `phase` says so; the phase is set by another thread."""

    def __init__(self) -> None:
        self.phase = ""
        self.seen = dict.fromkeys(Counts._fields, 0)
        self.where: dict[CodeType, int] = {}

    def profile(self, frame: FrameType, event: str, arg: Any) -> None:
        """For `sys.setprofile`."""
        if self.phase == "calls":
            if event in ("call", "c_call"):
                self.seen["store" if STORE in frame.f_code.co_filename else "calls"] += 1
                self.where[frame.f_code] = self.where.get(frame.f_code, 0) + 1
        elif self.phase == "instructions":
            sys.setprofile(None)
            sys.settrace(self._trace)

    def _trace(self, frame: FrameType, event: str, arg: Any) -> Callable[..., Any] | None:
        if STORE in frame.f_code.co_filename:
            return None
        frame.f_trace_opcodes, frame.f_trace_lines = True, False
        return self._instruction

    def _instruction(self, frame: FrameType, event: str, arg: Any) -> Callable[..., Any]:
        if event == "opcode" and self.phase == "instructions":
            self.seen["instructions"] += 1
        return self._instruction


def committed() -> Counts | None:
    """What is committed for this version of Python."""
    each = json.loads(COMMITTED.read_text("utf-8"))
    found = each.get(_version())
    return Counts(**found) if found else None


def fewest(then: Counts | None = None, tries: int = 3) -> Counts:
    """Of each the lowest count; a busy machine, where each flush finds fewer requests, only adds. One try, if that will do.

    Raises BenchError where no try came to its end.
    """
    found: list[Counts] = []
    failed: BenchError | None = None
    for _ in range(tries):
        try:
            found.append(_counts(counted()))
        except BenchError as e:
            failed = e
            continue
        if then is not None and not exceeded(_least(found), then):
            break
    if not found:
        raise failed or BenchError("nothing was tried")
    return _least(found)


def _least(found: Sequence[Counts]) -> Counts:
    return Counts(*map(min, zip(*found, strict=True)))


def _counts(found: dict[str, Any]) -> Counts:
    return Counts(*(found[name] for name in Counts._fields))


def exceeded(now: Counts, then: Counts) -> list[str]:
    """In words, what costs more than was committed."""
    return [
        f"a request takes {new:,.0f} {NAMES[name]}, {new / old - 1:.0%} more than the {old:,.0f} in {COMMITTED.name}"
        for name, new, old in zip(Counts._fields, now, then, strict=True)
        if new > SLACK[name] * old + ROOM[name]
    ]


def counted(where: bool = False) -> dict[str, Any]:
    """Counts of this tree's proxy, in a process of its own. Raises BenchError."""
    command = [sys.executable, "-m", "bench.speed.calls", "--inside", *(["--where"] if where else [])]
    env = {"PATH": os.environ["PATH"], "PYTHONPATH": str(ROOT), "PYTHONHASHSEED": "0"}
    done = subprocess.run(command, capture_output=True, text=True, timeout=110, check=False, env=env)
    if done.returncode or not done.stdout.strip():
        raise BenchError(f"counting failed: {done.stderr.strip()[-1500:]}")
    return dict(json.loads(done.stdout.strip().splitlines()[-1]))


def _inside(where: bool) -> None:
    """Serve and count."""
    counter = Counter()

    def begin() -> None:
        sys.setprofile(counter.profile)

    def end() -> None:
        sys.setprofile(None)
        sys.settrace(None)

    with inside.upstream() as (folder, url):
        inside.serve(folder, url, lambda served: _ask(served, counter), begin, end)
    most = sorted(counter.where.items(), key=lambda item: -item[1])
    lines = {f"{code.co_filename.rpartition('/')[2]}:{code.co_qualname}": n / REQUESTS for code, n in most[:60]}
    print(json.dumps({k: n / REQUESTS for k, n in counter.seen.items()} | ({"where": lines} if where else {})))


def _ask(url: str, counter: Counter) -> None:
    bodies = of_size(KILOBYTE)
    target = Target(url, bodies, 0)
    connection = target.connect()
    for phase, requests in (("", WARM_UP), ("calls", REQUESTS), ("between", 1), ("instructions", REQUESTS)):
        begun, counter.phase = time.monotonic(), phase
        for _ in range(requests):
            one(connection, target.request())
        time.sleep(FLUSH)
        took, seen = time.monotonic() - begun, dict(counter.seen)
        time.sleep(IDLE)
        for name in counter.seen:  # what the proxy does by itself is not a request's
            counter.seen[name] = round(seen[name] - (counter.seen[name] - seen[name]) / IDLE * took)
    counter.phase = "done"
    connection.close()


def _version() -> str:
    return ".".join(platform.python_version_tuple()[:2])


def main(arguments: list[str]) -> int:
    """Print what a request takes; `--write` commits it, `--where` says which functions call most."""
    parser = argparse.ArgumentParser("bench.speed.calls", description="Calls and bytecode instructions of a request.")
    parser.add_argument("--write", action="store_true", help=f"write them to {COMMITTED.name}")
    parser.add_argument("--where", action="store_true", help="print from which functions most calls come")
    parser.add_argument(
        "--rounds", type=int, default=3, metavar="N", help="counts of which the fewest are taken; default: 3"
    )
    parser.add_argument("--inside", action="store_true", help=argparse.SUPPRESS)
    options = parser.parse_args(arguments)
    if options.inside:
        _inside(options.where)
        return 0
    then = committed()
    try:
        found = (
            counted(where=True) if options.where else fewest(None if options.write else then, options.rounds)._asdict()
        )
    except BenchError as e:
        print(f"bench: speed.calls: {e}", file=sys.stderr)
        return 1
    now = _counts(found)
    print("a request takes " + ", ".join(f"{value:,.0f} {NAMES[name]}" for name, value in now._asdict().items()))
    for name, calls in found.get("where", {}).items():
        print(f"{calls:8.1f} calls  {name}")
    if options.write:
        each = json.loads(COMMITTED.read_text("utf-8")) if COMMITTED.exists() else {}
        each[_version()] = {name: round(value) for name, value in now._asdict().items()}
        COMMITTED.write_text(json.dumps(each, indent=1) + "\n", "utf-8")
    elif then and (said := exceeded(now, then)):
        print("\n".join(said), file=sys.stderr)
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
