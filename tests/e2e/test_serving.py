"""The life of `setpoint serve`: what it starts it keeps alive, and ends with itself."""

import json
import os
import shutil
import signal
import time
import urllib.request
from collections.abc import Callable
from pathlib import Path
from typing import Any

from bench import free_port


def config(folder: Path, more: str = "") -> str:
    """An upstream that is never called, so that no model has to start."""
    file = folder / "setpoint.yaml"
    file.write_text(
        f"upstreams: [{{name: none, base_url: 'http://127.0.0.1:9/v1', models: [m], provider: openai}}]\n{more}"
    )
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


def test_all_workers_pick_up_a_new_classifier(tmp_path: Path, serve: Any, artefacts: dict[str, Path]) -> None:
    folder = tmp_path / "mine"
    shutil.copytree(artefacts["sum"], folder)
    port = free_port()
    process = serve(
        tmp_path, port, "--config", config(tmp_path, "classifier: mine\nclassifier_shadow: mine"), "--workers", "2"
    )
    try:
        until(lambda: len({f.stem.rpartition("_")[2] for f in (tmp_path / "data/metrics").glob("*.db")}) == 2)
        digest = get(port)["classifier"]["live"]["digest"]
        for file in artefacts["both"].iterdir():
            shutil.copyfile(file, folder / file.name)

        def everywhere() -> bool:
            told = [get(port)["classifier"] for _ in range(40)]
            return all(t["live"]["digest"] == t["shadow"]["digest"] != digest for t in told)

        until(everywhere)
        assert 'setpoint_classifier_reloads_total{result="ok",role="live"}' in page(port)
    finally:
        process.send_signal(signal.SIGTERM)
        process.communicate(timeout=20)
    until(lambda: not stores(tmp_path))


def page(port: int) -> str:
    """The metrics of all workers."""
    with urllib.request.urlopen(f"http://127.0.0.1:{port}/metrics", timeout=5) as answer:
        return str(answer.read().decode())
