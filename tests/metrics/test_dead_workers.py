"""A worker that died takes its gauges with it."""

import os
import subprocess
import sys
from pathlib import Path

from metrics.instruments import forget_dead_workers

SCRIPT = "from metrics.instruments import Instruments; i = Instruments(); i.store(up=True, buffered=7); print(__import__('os').getpid())"


def test_the_gauges_of_a_dead_worker_are_forgotten(tmp_path: Path) -> None:
    env = os.environ | {"PROMETHEUS_MULTIPROC_DIR": str(tmp_path)}
    subprocess.run([sys.executable, "-c", SCRIPT], env=env, check=True)
    counters = {f.name for f in tmp_path.glob("counter_*.db")}
    assert list(tmp_path.glob("gauge_live*.db"))
    forget_dead_workers(tmp_path)
    assert not list(tmp_path.glob("gauge_live*.db"))
    assert {f.name for f in tmp_path.glob("counter_*.db")} == counters
