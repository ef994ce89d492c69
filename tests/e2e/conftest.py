"""`setpoint serve` in a process of its own, as a user starts it."""

import os
import subprocess
import sys
import time
import urllib.error
import urllib.request
from collections.abc import Callable
from pathlib import Path

import pytest

READY = 60.0


def start_serve(folder: Path, port: int, *more: str) -> "subprocess.Popen[str]":
    env = {k: v for k, v in os.environ.items() if k not in ("DEEPSEEK_API_KEY", "OPENAI_API_KEY", "SETPOINT_CONFIG")}
    process = subprocess.Popen(
        [sys.executable, "-m", "router", "serve", "--port", str(port), *more],
        env=env | {"SETPOINT_DATA": str(folder / "data")}, cwd=folder, stderr=subprocess.PIPE, stdout=subprocess.DEVNULL, text=True,
    )  # fmt: skip
    deadline = time.monotonic() + READY
    while time.monotonic() < deadline:
        assert process.poll() is None, process.stderr and process.stderr.read()
        try:
            with urllib.request.urlopen(f"http://127.0.0.1:{port}/readyz", timeout=1):
                return process
        except (urllib.error.URLError, OSError):
            time.sleep(0.05)
    raise AssertionError("the proxy was not ready in time")


@pytest.fixture(scope="session")
def serve() -> Callable[..., "subprocess.Popen[str]"]:
    """`serve(folder, port, *arguments)` comes back when the proxy is ready; the test ends it."""
    return start_serve
