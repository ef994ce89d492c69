"""Requests that come at once are prepared together: the classifier reads several texts in little more time than one.

Where few come, each is prepared as it arrives: to wait for others would only cost it time.
"""

import asyncio

from router.incoming import Incoming
from router.pipeline import Pipeline, Prepared

SEVERAL = 3  # requests in one turn of the event loop, from which on they wait for one another
MOST = 32  # that are prepared before others get their turn: a millisecond


class Together:
    """For one event loop."""

    def __init__(self, pipeline: Pipeline) -> None:
        self._pipeline = pipeline
        self._waiting: list[tuple[Incoming, str, asyncio.Future[Prepared]]] = []
        self._now = self._before = 0  # requests in this turn of the loop, and in the last one that had any

    async def prepare(self, incoming: Incoming, tenant: str) -> Prepared:
        """As `Pipeline.prepare`."""
        self._now += 1
        loop = asyncio.get_running_loop()
        if self._now == 1:
            loop.call_soon(self._turn)
        if self._before < SEVERAL and self._now < SEVERAL:
            return self._pipeline.prepare(incoming, tenant)
        future: asyncio.Future[Prepared] = loop.create_future()
        self._waiting.append((incoming, tenant, future))
        return await future

    def _turn(self) -> None:
        self._before, self._now = self._now, 0
        self._some()

    def _some(self) -> None:
        jobs, self._waiting = self._waiting[:MOST], self._waiting[MOST:]
        if self._waiting:
            asyncio.get_running_loop().call_soon(self._some)
        found = self._pipeline.prepare_all([(incoming, tenant) for incoming, tenant, _ in jobs]) if jobs else []
        for (_, _, future), prepared in zip(jobs, found, strict=True):
            if future.done():  # the client is gone
                continue
            if isinstance(prepared, Exception):
                future.set_exception(prepared)
            else:
                future.set_result(prepared)
