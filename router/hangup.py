"""Hang-ups: a client that goes away in mid-answer ends the call that was made for it."""

import asyncio
from collections.abc import Awaitable, Callable, Mapping
from typing import Any

from router.protocol import HANG_UP

Receive = Callable[[], Awaitable[Mapping[str, Any]]]


class HangUp:
    """Cancels the task that made it when the client of its request hangs up before `stop`."""

    __slots__ = ("_caller", "_receive", "_stopped", "_watcher", "happened")

    def __init__(self, scope: Mapping[str, Any], receive: Receive) -> None:
        caller = asyncio.current_task()
        assert caller is not None
        self._receive, self._caller = receive, caller
        self._watcher: asyncio.Task[None] | None = None
        self.happened = self._stopped = False
        tell = scope.get("extensions", {}).get(HANG_UP)
        if tell is not None:
            tell(self._happens)
        else:  # another server's, or uvicorn's own way: there it takes a task to know
            self._watcher = asyncio.create_task(self._watch())

    def stop(self) -> None:
        """The answer is complete."""
        self._stopped = True
        if self._watcher is not None:
            self._watcher.cancel()

    async def _watch(self) -> None:
        while (await self._receive())["type"] != "http.disconnect":
            pass
        self._happens()

    def _happens(self) -> None:
        if not self._stopped:  # servers say the same of an answer that is complete
            self.happened = True
            self._caller.cancel()
