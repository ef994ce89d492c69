"""The door to Redis: commands in round trips, every failure a StoreError, odd values counted and never raised."""

from collections.abc import Sequence
from typing import Any, cast

from redis.exceptions import RedisClusterException, RedisError, ResponseError

from metrics.connect import Client, connect
from metrics.errors import StoreError

WINDOW = 7 * 86_400  # seconds that a decision can be looked up for feedback


class Door:
    """One connection. `window` is for how many seconds decisions are kept; `corrupt` counts stored values that made no sense."""

    def __init__(self, where: "str | Client", *, window: int = WINDOW, timeout: float = 0.5) -> None:
        connection = connect(where, timeout) if isinstance(where, str) else None
        self._client: Any = connection.client if connection else where  # Redis and RedisCluster share no base class
        self._close = connection.close if connection else None
        self.window = window
        self.corrupt = 0

    async def close(self) -> None:
        """Closes the connections that this object opened."""
        if self._close is not None:
            await self._close()

    def _pipe(self) -> Any:
        """Commands to be sent together; not a transaction, which Cluster has none of over several slots."""
        return self._client.pipeline(transaction=False)

    @staticmethod
    def _script(pipe: Any, script: str, names: Sequence[str], args: Sequence[Any]) -> None:
        pipe.eval(script, len(names), *names, *args)

    async def _run(self, pipe: Any) -> list[Any]:
        """The replies of a pipeline; None where a key holds another type than it should."""
        try:
            replies = cast("list[Any]", await pipe.execute(raise_on_error=False))
        except (RedisError, RedisClusterException, OSError, TimeoutError) as error:
            raise StoreError(f"store: {error or type(error).__name__}") from error
        for i, reply in enumerate(replies):
            if isinstance(reply, ResponseError) and "WRONGTYPE" in str(reply):
                self.corrupt += 1
                replies[i] = None
            elif isinstance(reply, Exception):
                raise StoreError(f"store: {reply}") from reply
        return replies
