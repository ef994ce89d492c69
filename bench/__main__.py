"""`python -m bench [NAME [ARGUMENTS]]`: one bench with its arguments, a group of them (`speed`), or all of them in turn."""

import importlib.util
import signal
import subprocess
import sys
import time
from collections.abc import Sequence

# Speed goes first: it wants a quiet machine.
BENCHES = (
    "speed.throughput", "speed.latency", "speed.streaming", "speed.workers", "speed.growth", "speed.steps", "speed.parts", "speed.calls",
    "classifier", "robustness", "user_tasks",
    "learning", "learning.pooled", "learning.two", "learning.cost", "learning.http", "learning.exactly_once",
    "learning.faults", "learning.rate",
)  # fmt: skip


def main(arguments: list[str]) -> int:
    """Run what is asked for; 1 if a bench failed or found less than it promises, 2 for an unknown name."""
    present = [name for name in BENCHES if importlib.util.find_spec(f"bench.{name}")]
    name, *rest = arguments or [""]
    chosen = picked(name, present)
    if not chosen:
        print(f"bench: {name}: unknown bench; there are {', '.join(present)}", file=sys.stderr)
        return 2
    failed = [each for each in chosen if _run(each, rest)]
    if failed and len(chosen) > 1:
        print(f"\nbench: failed: {', '.join(failed)}", file=sys.stderr)
    return 1 if failed else 0


def picked(name: str, present: Sequence[str]) -> list[str]:
    """The bench of this name, or else all of this group; all of them without a name."""
    return [name] if name in present else [each for each in present if not name or each.startswith(f"{name}.")]


def _run(name: str, arguments: list[str]) -> int:
    """Each in a process of its own: one bench's memory and threads are not the next one's noise."""
    print(f"\n## {name}\n", flush=True)
    started = time.monotonic()
    process = subprocess.Popen([sys.executable, "-m", f"bench.{name}", *arguments])

    def terminated(*_: object) -> None:
        process.terminate()
        raise KeyboardInterrupt

    signal.signal(signal.SIGTERM, terminated)
    try:
        code = process.wait()
    except KeyboardInterrupt:
        process.wait()  # it has got the signal too, and ends what it has started
        raise
    print(f"\n({name}: {time.monotonic() - started:.0f} s)", flush=True)
    return code


if __name__ == "__main__":
    try:
        sys.exit(main(sys.argv[1:]))
    except KeyboardInterrupt:
        sys.exit(130)
