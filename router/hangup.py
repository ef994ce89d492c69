"""Hang-ups: a client that goes away in mid-answer ends the call that was made for it."""

import asyncio
from collections.abc import Awaitable, Callable, Mapping
from typing import Any

Receive = Callable[[], Awaitable[Mapping[str, Any]]]

SETTLING = 0.02  # seconds before which nobody looks: to watch takes a task, and many a call is over by then


class HangUp:
    """Watches one request's connection, from a moment after it was made until `stop`."""

    __slots__ = ("_caller", "_receive", "_stopped", "_timer", "_watcher", "happened")

    def __init__(self, receive: Receive) -> None:
        """Call it in the task that a hang-up is to cancel."""
        caller = asyncio.current_task()
        assert caller is not None
        self._receive, self._caller = receive, caller
        self._watcher: asyncio.Task[None] | None = None
        self.happened = self._stopped = False
        self._timer = caller.get_loop().call_later(SETTLING, self._begin)

    def stop(self) -> None:
        """The request is over."""
        self._stopped = True
        self._timer.cancel()
        if self._watcher is not None:
            self._watcher.cancel()

    def _begin(self) -> None:
        self._watcher = asyncio.ensure_future(self._watch())

    async def _watch(self) -> None:
        while (await self._receive())["type"] != "http.disconnect":
            pass
        if not self._stopped:  # once the answer is complete, a server says the same
            self.happened = True
            self._caller.cancel()
