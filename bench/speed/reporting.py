"""What the speed benches have in common as programs: rounds, files, the table on the screen and the exit code."""

import argparse
import json
import os
import resource
import signal
import sys
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any, NamedTuple

from bench import OUT, BenchError, machine

Found = dict[str, Any]  # what a bench publishes as JSON


class Promise(NamedTuple):
    """A number that must be at least (or, with `most`, at most) what was promised."""

    what: str
    promised: float
    found: float
    most: bool = False

    @property
    def kept(self) -> bool:
        """Whether it holds."""
        return self.found <= self.promised if self.most else self.found >= self.promised

    def __str__(self) -> str:
        sign = "≤" if self.most else "≥"
        return f"{self.what}: {self.found:,.3g} (promised {sign} {self.promised:,.4g}{'' if self.kept else ', MISSED'})"


class Part(NamedTuple):
    """One bench: `measure` takes the number of rounds; `promises` and `show` read what it found."""

    name: str
    about: str
    measure: Callable[[int], Found]
    show: Callable[[Found], str]
    promises: Callable[[Found], Sequence[Promise]]
    plot: Callable[[Found, Path], None] | None = None


def publish(part: Part, arguments: Sequence[str] | None) -> int:
    """Measure, print, write `out/speed-NAME.json` and `.png`; 1 where nothing can be published or a promise is missed."""
    parser = argparse.ArgumentParser(f"bench.speed.{part.name}", description=part.about)
    parser.add_argument("--rounds", type=int, default=3, choices=range(1, 21), metavar="N", help="default: 3")
    rounds = parser.parse_args(arguments).rounds
    signal.signal(signal.SIGTERM, _terminated)
    try:
        _prepare()
        found = {"date": time.strftime("%Y-%m-%d"), "machine": machine(), "rounds": rounds} | part.measure(rounds)
    except BenchError as e:
        print(f"bench: speed.{part.name}: {e}", file=sys.stderr)
        return 1
    promises = part.promises(found)
    found["promises"] = [p._asdict() | {"kept": p.kept} for p in promises]
    (OUT / f"speed-{part.name}.json").write_text(json.dumps(found, indent=1, ensure_ascii=False) + "\n", "utf-8")
    if part.plot:
        part.plot(found, OUT / f"speed-{part.name}.png")
    print(part.show(found))
    print("\n".join(["", *(f"- {promise}" for promise in promises)]))
    return 0 if all(promise.kept for promise in promises) else 1


def _prepare() -> None:
    if sys.platform != "linux":
        raise BenchError("this runs on Linux only: it pins cores and reads /proc")
    if len(os.sched_getaffinity(0)) < 2:
        raise BenchError("this needs two cores: one for the gateway, one for what answers and loads it")
    OUT.mkdir(exist_ok=True)
    _, most = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (most, most))  # 5,000 streams are 10,000 sockets of a gateway


def run_as_program(part: Part) -> None:
    """For `python -m`; Ctrl-C ends what was started, too."""
    try:
        sys.exit(publish(part, None))
    except KeyboardInterrupt:
        sys.exit(130)


def progress(said: str) -> None:
    """A line for who waits."""
    print(f"{said} ...", file=sys.stderr, flush=True)


def _terminated(*_: object) -> None:
    """As Ctrl-C, and once: what was started is ended on the way out."""
    signal.signal(signal.SIGTERM, signal.SIG_IGN)
    raise KeyboardInterrupt
