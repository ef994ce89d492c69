"""The server that comes along: private, durable, one per folder."""

import os
import signal
import socket
import stat
import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest
import redis

from metrics.embedded import EmbeddedServer, find_server, start_embedded
from metrics.errors import StoreError


def client(server: EmbeddedServer) -> "redis.Redis":
    return redis.Redis.from_url(server.url, decode_responses=True)


def test_what_was_written_is_there_after_a_stop_and_a_start(own_folder: Path) -> None:
    first = start_embedded(own_folder)
    with client(first) as c:
        c.set("kept", "yes")
    first.stop()
    second = start_embedded(own_folder)
    with client(second) as c:
        assert c.get("kept") == "yes"
    second.stop()


def test_a_running_server_is_used_by_others_and_stopped_only_by_who_started_it(own_folder: Path) -> None:
    ours, theirs = start_embedded(own_folder), start_embedded(own_folder)
    assert ours.owned
    assert not theirs.owned
    assert theirs.pid == ours.pid
    theirs.stop()
    with client(ours) as c:
        assert c.ping()
    ours.stop()
    ours.stop()
    with client(ours) as c, pytest.raises(redis.ConnectionError):
        c.ping()


def test_processes_that_start_at_once_share_one_server(own_folder: Path) -> None:
    code = (
        "import sys; from pathlib import Path; from metrics.embedded import start_embedded\n"
        "s = start_embedded(Path(sys.argv[1])); print(s.pid, s.owned, flush=True); sys.stdin.read(); s.stop()"
    )
    starters = [
        subprocess.Popen([sys.executable, "-c", code, str(own_folder)], stdin=subprocess.PIPE, stdout=subprocess.PIPE)
        for _ in range(4)
    ]
    lines = []
    for starter in starters:
        assert starter.stdout is not None
        lines.append(starter.stdout.readline().split())
    for starter in starters:
        starter.communicate(b"")
    assert len({pid for pid, _ in lines}) == 1
    assert sorted(owned for _, owned in lines) == [b"False", b"False", b"False", b"True"]


def test_threads_that_start_at_once_share_one_server(own_folder: Path) -> None:
    with ThreadPoolExecutor(3) as pool:
        servers = list(pool.map(start_embedded, [own_folder] * 3))
    assert len({s.pid for s in servers}) == 1
    assert sum(s.owned for s in servers) == 1
    for s in servers:
        s.stop()


def test_it_listens_on_no_port_and_lets_no_other_user_in(server: EmbeddedServer) -> None:
    with client(server) as c:
        config = c.config_get("*")
    assert config["port"] == "0"
    assert config["appendonly"] == "yes"
    assert config["maxmemory-policy"] == "volatile-ttl"
    path = Path(config["unixsocket"])
    assert stat.S_IMODE(path.parent.stat().st_mode) == 0o700
    assert stat.S_IMODE(path.stat().st_mode) == 0o700


def test_a_server_that_was_killed_is_replaced(own_folder: Path) -> None:
    first = start_embedded(own_folder)
    os.kill(first.pid, signal.SIGKILL)
    first.stop()
    second = start_embedded(own_folder)
    assert second.owned
    assert second.pid != first.pid
    second.stop()


def test_a_folder_too_deep_for_a_socket_works_too(tmp_path: Path) -> None:
    deep = tmp_path / ("long-name-" * 10) / "with space & quote%"
    server = start_embedded(deep)
    with client(server) as c:
        assert c.ping()
    server.stop()


def test_a_folder_that_cannot_be_used_is_named(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(StoreError, match="cannot use"):
        start_embedded(tmp_path / "file")


def test_a_broken_data_file_is_told_with_the_server_s_own_words(own_folder: Path) -> None:
    folder = own_folder / "redis" / "appendonlydir"
    folder.mkdir(parents=True)
    (folder / "appendonly.aof.manifest").write_text("nonsense\n")
    with pytest.raises(StoreError, match=r"did not start in .* its log .* ends with: .*"):
        start_embedded(own_folder)


def test_the_program_in_the_wheel_is_preferred() -> None:
    assert os.access(find_server(), os.X_OK)


def test_without_any_program_the_error_says_what_to_do(tmp_path: Path) -> None:
    code = (
        "import sys; sys.path[:] = [p for p in sys.path if 'site-packages' not in p]\n"
        "import importlib.util as u; from metrics import embedded, errors\n"
        "try: embedded.find_server()\nexcept errors.StoreError as e: print(e)"
    )
    root = Path(__file__).parents[2]
    done = subprocess.run(
        [sys.executable, "-I", "-c", f"import sys; sys.path.insert(0, {str(root)!r}); {code}"],
        env={"PATH": str(tmp_path)},
        capture_output=True,
        text=True,
        check=False,
    )
    assert "apt install redis-server" in done.stdout, done.stderr


def test_a_dead_socket_file_is_no_obstacle(own_folder: Path) -> None:
    folder = own_folder / "redis"
    folder.mkdir(parents=True)
    with socket.socket(socket.AF_UNIX) as left:
        left.bind(str(folder / "redis.sock"))
    server = start_embedded(own_folder)
    with client(server) as c:
        assert c.ping()
    server.stop()
