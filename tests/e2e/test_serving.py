"""The life of `setpoint serve`: what it starts it keeps alive, and ends with itself."""

import json
import os
import signal
import time
import urllib.request
from collections.abc import Callable
from pathlib import Path
from typing import Any

from bench import free_port


def config(folder: Path) -> str:
    """An upstream that is never called, so that no model has to start."""
    file = folder / "setpoint.yaml"
    file.write_text("upstreams: [{name: none, base_url: 'http://127.0.0.1:9/v1', models: [m], provider: openai}]")
    return str(file)


def get(port: int, path: str = "/readyz", body: bytes | None = None) -> Any:
    """A JSON answer of the proxy."""
    request = urllib.request.Request(f"http://127.0.0.1:{port}{path}", body, {"content-type": "application/json"})
    with urllib.request.urlopen(request, timeout=5) as answer:
        return json.loads(answer.read())


def stores(folder: Path) -> list[int]:
    """The processes that serve the embedded store of a folder."""
    found = []
    for cmdline in Path("/proc").glob("[0-9]*/cmdline"):
        try:
            if f"{folder}/data/redis".encode() in cmdline.read_bytes():
                found.append(int(cmdline.parent.name))
        except OSError:
            continue
    return found


def until(true: Callable[[], bool]) -> None:
    """Wait up to ten seconds."""
    deadline = time.monotonic() + 10
    while not true():
        assert time.monotonic() < deadline
        time.sleep(0.1)


def test_sigterm_ends_the_embedded_store_too(tmp_path: Path, serve: Any) -> None:
    process = serve(tmp_path, free_port(), "--config", config(tmp_path))
    assert stores(tmp_path)
    process.send_signal(signal.SIGTERM)
    process.communicate(timeout=20)
    assert process.returncode == 0
    until(lambda: not stores(tmp_path))


def test_an_embedded_store_that_dies_is_started_again(tmp_path: Path, serve: Any) -> None:
    port = free_port()
    process = serve(tmp_path, port, "--config", config(tmp_path))
    try:
        (dead,) = stores(tmp_path)
        os.kill(dead, signal.SIGKILL)
        until(lambda: [s for s in stores(tmp_path) if s != dead] != [])
        until(lambda: bool(get(port)["store"]["up"]))
    finally:
        process.send_signal(signal.SIGTERM)
        process.communicate(timeout=20)
    until(lambda: not stores(tmp_path))


def test_workers_run_what_the_command_line_says(tmp_path: Path, serve: Any) -> None:
    policy = tmp_path / "mine.yaml"
    policy.write_text("version: 1\ndefaults: {set: {temperature: 0.123}}")
    port = free_port()
    process = serve(tmp_path, port, "--config", config(tmp_path), "--policies", str(policy), "--workers", "2")
    try:
        body = json.dumps({"model": "m", "messages": [{"role": "user", "content": "hi"}]}).encode()
        assert get(port, "/v1/explain", body)["params"] == {"temperature": 0.123}
    finally:
        process.send_signal(signal.SIGTERM)
        process.communicate(timeout=20)
    until(lambda: not stores(tmp_path))
