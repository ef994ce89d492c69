"""A relay in front of Redis that can be told to swallow everything: a network that accepts and never answers."""

import asyncio
from collections.abc import Coroutine
from typing import Any
from urllib.parse import unquote, urlsplit


class Relay:
    """Passes bytes between TCP on 127.0.0.1 and the unix socket of a store's URL. While `silent` it accepts, and answers nothing."""

    def __init__(self, store_url: str) -> None:
        self._path = unquote(urlsplit(store_url).path)
        self._server: asyncio.Server | None = None
        self._tasks: set[asyncio.Task[None]] = set()
        self.silent = False

    async def start(self) -> str:
        """The URL to give to a proxy."""
        self._server = await asyncio.start_server(self._serve, "127.0.0.1", 0)
        return f"redis://127.0.0.1:{self._server.sockets[0].getsockname()[1]}/0"

    async def stop(self) -> None:
        """Ends it with all connections."""
        if self._server:
            self._server.close()
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)

    def _keep(self, work: Coroutine[Any, Any, None]) -> "asyncio.Task[None]":
        task = asyncio.create_task(work)
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)
        return task

    def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self._keep(self._both(reader, writer))

    async def _both(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        there: asyncio.StreamWriter | None = None
        try:
            back, there = await asyncio.open_unix_connection(self._path)
            pumps = [self._keep(self._pump(reader, there)), self._keep(self._pump(back, writer))]
            await asyncio.wait(pumps, return_when=asyncio.FIRST_COMPLETED)
            for pump in pumps:
                pump.cancel()
        except OSError:
            pass  # nobody listens there: the client's connection is closed, as a refused one would be
        finally:
            for one in (writer, there):
                if one is not None:
                    one.close()

    async def _pump(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        while data := await reader.read(1 << 16):
            if not self.silent:
                writer.write(data)
                await writer.drain()
