"""Benches: the script behind every published number, and what they share: programs on one core, what these cost, tables.

Each module runs by itself: `python -m bench.speed.throughput`.
"""

import contextlib
import os
import platform
import signal
import socket
import statistics
import subprocess
import sys
import time
from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

OUT = Path(__file__).parent / "out"


class BenchError(Exception):
    """The bench could not run, or what it measured must not be published; the message says why."""


class ProgramError(BenchError):
    """The same, with the name of the program that it happened with and the end of its log."""


def free_port() -> int:
    """A port of 127.0.0.1 that nobody listens on."""
    with socket.socket() as s:
        s.bind(("127.0.0.1", 0))
        port: int = s.getsockname()[1]
        return port


@contextlib.contextmanager
def running(
    name: str, command: Sequence[str], core: int | Collection[int], folder: Path, env: Mapping[str, str]
) -> Iterator["subprocess.Popen[bytes]"]:
    """A program, and all that it starts, on one core or some; ended with everything that it started.

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
            preexec_fn=lambda: os.sched_setaffinity(0, {core} if isinstance(core, int) else core),
        )
    try:
        yield process
        if process.poll() is not None:
            raise BenchError("it ended before it was told to")
    except ProgramError:
        raise  # of another program, started within this one's time
    except BenchError as e:
        raise ProgramError(f"{name}: {e}\nits log ends with: {tail(folder)}") from e
    finally:
        _end(name, process)


def _end(name: str, process: "subprocess.Popen[bytes]") -> None:
    below = {pid: _begun(pid) for pid in tree(process.pid)[1:]}
    process.terminate()
    try:
        process.wait(20)
    except subprocess.TimeoutExpired:
        print(f"bench: {name} did not end within 20 s; killed", file=sys.stderr)
        process.kill()
        process.wait()
    for pid, begun in below.items():  # what it has left behind, and nobody who got the number since
        if begun and _begun(pid) == begun:
            with contextlib.suppress(ProcessLookupError):
                os.kill(pid, signal.SIGKILL)


def wait_until(ready: Callable[[], bool], process: "subprocess.Popen[bytes]") -> None:
    """Wait up to a minute for a program. Raises BenchError."""
    deadline = time.monotonic() + 60
    while not ready():
        if process.poll() is not None or time.monotonic() > deadline:
            raise BenchError("it did not start")
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


def core_seconds(core: int) -> float:
    """CPU time that programs have had on a core so far, user and system, without interrupts."""
    lines = Path("/proc/stat").read_text("ascii").splitlines()
    line = next(li for li in lines if li.startswith(f"cpu{core} "))
    return sum(int(f) for f in line.split()[1:4]) / os.sysconf("SC_CLK_TCK")


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


def _begun(pid: int) -> str:
    """When a process was started, to tell it from a later one with its number; empty if there is none."""
    try:
        return _fields(Path(f"/proc/{pid}/stat"))[19]
    except OSError:
        return ""


def machine() -> str:
    """The processor, how many cores of it, and the Python that runs this."""
    lines = Path("/proc/cpuinfo").read_text("utf-8").splitlines()
    name = next((li.partition(":")[2].strip() for li in lines if li.startswith("model name")), platform.machine())
    return f"{name}, {os.cpu_count()} cores, Python {platform.python_version()}"


def spread(values: Sequence[float], digits: int) -> str:
    """The median, and the lowest and highest beside it."""
    return f"{statistics.median(values):,.{digits}f} ({min(values):,.{digits}f}-{max(values):,.{digits}f})"


def bars(axes: Any, title: str, rounds: Mapping[str, Sequence[float]]) -> None:
    """On matplotlib axes, a bar at the median of each, the first on top and in colour, and a dot for each round."""
    for y, values in enumerate(rounds.values()):
        middle = statistics.median(values)
        axes.barh(y, middle, color="#b8c4cc" if y else "#2a6f97")
        axes.plot(values, [y] * len(values), "o", color="#222222", markersize=3)
        axes.annotate(f"{middle:,.0f}", (max(values), y), va="center", xytext=(6, 0), textcoords="offset points")
    axes.set_title(title, fontsize=10)
    axes.set_yticks(range(len(rounds)), list(rounds))
    axes.set_ylim(len(rounds) - 0.4, -0.6)
    axes.margins(x=0.18)
    axes.spines[["top", "right"]].set_visible(False)


def table(header: Sequence[str], rows: Sequence[Sequence[str]]) -> str:
    """A Markdown table, numbers to the right."""
    lines = [header, ["---", *("---:" for _ in header[1:])], *rows]
    return "\n".join(f"| {' | '.join(line)} |" for line in lines)
