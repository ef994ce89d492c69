"""The proxy ends when it is told to, at whatever moment."""

import asyncio
from typing import Any


async def test_it_ends_at_any_moment_of_learning(start: Any) -> None:
    """Proxies that read the store all the time are stopped by the fixture; a swallowed cancellation would hang there."""
    proxies = [await start() for _ in range(6)]
    for proxy in proxies:
        proxy.services.settings = proxy.services.settings.model_copy(update={"refresh_seconds": 0.0})
    await asyncio.gather(*(p.chat() for p in proxies for _ in range(5)))
    await asyncio.sleep(0.5)
