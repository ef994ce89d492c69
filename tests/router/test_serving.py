"""What a worker does about its memory once it has started."""

import subprocess
import sys
from pathlib import Path

SCRIPT = """
import asyncio, gc
from contextlib import asynccontextmanager
from fastapi import FastAPI
from router.serving import settled

@asynccontextmanager
async def lifespan(app):
    app.state.started = True
    yield
    app.state.started = False

async def main():
    app = settled(FastAPI(lifespan=lifespan))
    before = len(gc.get_objects())
    async with app.router.lifespan_context(app):
        assert app.state.started
        assert gc.get_freeze_count() > 0.9 * before > 10_000
        assert len(gc.get_objects()) < 0.1 * before
    assert app.state.started is False

asyncio.run(main())
"""


def test_garbage_collection_does_not_look_again_at_what_a_worker_starts_with() -> None:
    subprocess.run([sys.executable, "-c", SCRIPT], check=True, cwd=Path(__file__).parents[2])
