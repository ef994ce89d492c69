"""`python -m bench [NAME [ARGUMENTS]]`: one bench with its arguments, or all of them in turn."""

import importlib.util
import signal
import subprocess
import sys
import time

# Speed goes first: it wants a quiet machine.
BENCHES = (
    "speed.throughput", "classifier", "robustness", "user_tasks", "learning", "learning.pooled", "learning.two", "learning.cost",
    "learning.http", "learning.exactly_once", "learning.faults", "learning.rate",
)  # fmt: skip


def main(arguments: list[str]) -> int:
    """Run what is asked for; 1 if a bench failed or found less than it promises, 2 for an unknown name."""
    present = [name for name in BENCHES if importlib.util.find_spec(f"bench.{name}")]
    if not arguments:
        failed = [name for name in present if _run(name, [])]
        if failed:
            print(f"\nbench: failed: {', '.join(failed)}", file=sys.stderr)
        return 1 if failed else 0
    name, *rest = arguments
    if name not in present:
        print(f"bench: {name}: unknown bench; there are {', '.join(present)}", file=sys.stderr)
        return 2
    return 1 if _run(name, rest) else 0


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
