"""The contestants that are not ours, each in an environment of its own, from hashed pins, once per set of pins."""

import hashlib
import subprocess
import sys
from pathlib import Path

from bench import OUT, BenchError

PINS = Path(__file__).parent.parent


def pinned(package: str) -> str:
    """The version that its lock names."""
    lines = _pins(package).read_text("utf-8").splitlines()
    return next(li for li in lines if li.startswith(f"{package}==")).split()[0].partition("==")[2]


def bin_of(package: str) -> Path:
    """Where its programs are, once it is installed."""
    return OUT / f"venv-{package}" / "bin"


def install(package: str) -> None:
    """What `bench/PACKAGE-requirements.txt` names. Raises BenchError."""
    pins, venv = _pins(package), bin_of(package).parent
    digest, stamp = hashlib.sha256(pins.read_bytes()).hexdigest(), venv / "pins"
    if stamp.is_file() and stamp.read_text("ascii") == digest:
        return
    print(f"Installing {package} for comparison (once, up to two minutes) ...", file=sys.stderr, flush=True)
    pip = [str(venv / "bin" / "python"), "-m", "pip", "install", "--quiet", "--disable-pip-version-check"]
    for command in (
        [sys.executable, "-m", "venv", "--clear", str(venv)],
        [*pip, "--require-hashes", "--no-deps", "-r", str(pins)],
    ):
        done = subprocess.run(command, capture_output=True, text=True, check=False)
        if done.returncode:
            raise BenchError(f"{package} could not be installed: {done.stderr.strip()[-800:]}")
    stamp.write_text(digest, "ascii")


def _pins(package: str) -> Path:
    return PINS / f"{package}-requirements.txt"
