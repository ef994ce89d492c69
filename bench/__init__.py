"""Benches: the script behind every published number, and what they share: programs on one core, what these cost, tables.

Each module runs by itself: `python -m bench.throughput`.
"""

import contextlib
import os
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path

OUT = Path(__file__).parent / "out"


class BenchError(Exception):
    """The bench could not run, or what it measured must not be published; the message says why."""


def free_port() -> int:
    """A port of 127.0.0.1 that nobody listens on."""
    with socket.socket() as s:
        s.bind(("127.0.0.1", 0))
        port: int = s.getsockname()[1]
        return port


@contextlib.contextmanager
def running(
    name: str, command: Sequence[str], core: int, folder: Path, env: Mapping[str, str]
) -> Iterator["subprocess.Popen[bytes]"]:
    """A program, and all that it starts, on one core; ended with everything that it started.

    Its output goes to `folder/log`. Of our environment it gets only what programs need: no keys, no settings.
    """
    kept = {k: v for k, v in os.environ.items() if k in ("PATH", "LANG", "LC_ALL", "TMPDIR")}
    with (folder / "log").open("wb") as log:
        process = subprocess.Popen(
            command,
            stdin=subprocess.DEVNULL,
            stdout=log,
            stderr=subprocess.STDOUT,
            cwd=folder,
            env={**kept, "HOME": str(folder), **env},
            start_new_session=True,
            preexec_fn=lambda: os.sched_setaffinity(0, {core}),
        )
    started: list[int] = []
    try:
        yield process
        if process.poll() is not None:
            raise BenchError(f"{name} ended while it was measured: {tail(folder)}")
    finally:
        started = tree(process.pid)
        process.terminate()
        try:
            process.wait(20)
        except subprocess.TimeoutExpired:
            print(f"bench: {name} did not end within 20 s; killed", file=sys.stderr)
            process.kill()
            process.wait()
        for pid in started[1:]:  # only what it has left behind
            with contextlib.suppress(ProcessLookupError):
                os.kill(pid, signal.SIGKILL)


def wait_until(ready: Callable[[], bool], name: str, process: "subprocess.Popen[bytes]", folder: Path) -> None:
    """Wait up to a minute for a program. Raises BenchError with the end of its log."""
    deadline = time.monotonic() + 60
    while not ready():
        if process.poll() is not None or time.monotonic() > deadline:
            raise BenchError(f"{name} did not start: {tail(folder)}")
        time.sleep(0.02)


def tail(folder: Path) -> str:
    """The end of a program's log."""
    return (folder / "log").read_text("utf-8", errors="replace").strip()[-1500:] or "(it wrote nothing)"


def tree(pid: int) -> list[int]:
    """A process and all below it that live."""
    children: dict[int, list[int]] = {}
    for path in Path("/proc").glob("[0-9]*/stat"):
        with contextlib.suppress(OSError):  # it may have ended since
            children.setdefault(int(_fields(path)[1]), []).append(int(path.parent.name))
    found = [pid]
    for each in found:
        found += children.get(each, [])
    return found


def cpu_seconds(pid: int) -> float:
    """CPU time of a process tree so far, user and system, with children that have ended."""
    ticks = 0
    for each in tree(pid):
        with contextlib.suppress(OSError):
            ticks += sum(int(f) for f in _fields(Path(f"/proc/{each}/stat"))[11:15])
    return ticks / os.sysconf("SC_CLK_TCK")


def rss_mib(pid: int) -> float:
    """Resident memory of a process tree, MiB; pages that it shares count for each."""
    pages = 0
    for each in tree(pid):
        with contextlib.suppress(OSError):
            pages += int(Path(f"/proc/{each}/statm").read_text("ascii").split()[1])
    return pages * os.sysconf("SC_PAGE_SIZE") / 2**20


def _fields(stat: Path) -> list[str]:
    """proc(5): the fields of a stat file from the third on; the second is a name that may hold anything."""
    return stat.read_text("utf-8", errors="replace").rpartition(")")[2].split()


def table(header: Sequence[str], rows: Sequence[Sequence[str]]) -> str:
    """A Markdown table, numbers to the right."""
    lines = [header, ["---", *("---:" for _ in header[1:])], *rows]
    return "\n".join(f"| {' | '.join(line)} |" for line in lines)
