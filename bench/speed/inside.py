"""The whole proxy in this process, so that it can be looked into while it serves: in the main thread, asked by another one."""

import contextlib
import os
import signal
import sys
import tempfile
import threading
import time
import traceback
from collections.abc import Callable, Iterator
from pathlib import Path

from bench import BenchError, free_port, running, wait_until
from bench.speed.bodies import KILOBYTE, of_size
from bench.speed.checking import answers
from bench.speed.contestants import ROOT, setpoint
from bench.static_upstream import KEY, serving_command

START = 60  # seconds


@contextlib.contextmanager
def upstream() -> Iterator[tuple[Path, str]]:
    """A folder and the address of a static upstream; on the last core where there are several."""
    with tempfile.TemporaryDirectory(prefix="bench-") as name:
        folder, port = Path(name), free_port()
        core, url = max(os.sched_getaffinity(0)), f"http://127.0.0.1:{port}/v1"
        with running("the upstream", serving_command(folder, port), core, folder, {"PYTHONPATH": str(ROOT)}) as process:
            wait_until(lambda: answers(url, of_size(KILOBYTE)[0].encode(), KEY), process)
            yield folder, url


def serve(
    folder: Path, far: str, ask: Callable[[str], None], begin: Callable[[], None], end: Callable[[], None]
) -> None:
    """`setpoint serve` with everything on, between `begin` and `end`, until `ask`, given its address, returns in its thread.

    Learning does not look at its cells meanwhile: it has a share of a core of its own. Raises BenchError.
    """
    from router.cli import main

    port, failed = free_port(), []
    for file, text in setpoint().files.items():
        (folder / file).write_text(text.format(upstream=far), "utf-8")
    with (folder / "setpoint.yaml").open("a", encoding="utf-8") as settings:
        settings.write("refresh_seconds: 300\n")
    url = f"http://127.0.0.1:{port}/v1"

    def asking() -> None:
        try:
            deadline = time.monotonic() + START
            while not answers(url, of_size(KILOBYTE)[0].encode(), KEY):
                if time.monotonic() > deadline:
                    raise BenchError("it did not start")
                time.sleep(0.05)
            ask(url)
        except Exception:
            failed.append(traceback.format_exc())
        os.kill(os.getpid(), signal.SIGTERM)

    os.environ["SETPOINT_DATA"] = str(folder / "data")
    sys.argv = ["setpoint", "serve", "--config", str(folder / "setpoint.yaml"), "--port", str(port)]
    threading.Thread(target=asking).start()
    begin()
    try:
        with contextlib.suppress(SystemExit):
            main()
    finally:
        end()
    if failed:
        raise BenchError(failed[0])
