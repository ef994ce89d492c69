"""Commands are packed as redis-py packs them, and by the connections that are really used."""

from typing import Any

from hypothesis import given
from hypothesis import strategies as st
from redis.asyncio import Connection, Redis

from metrics.connect import connect
from metrics.embedded import EmbeddedServer
from metrics.packing import packing
from metrics.store import Batch, Store

argument = st.text() | st.binary() | st.integers() | st.floats(allow_nan=False)


@given(st.lists(argument, max_size=20))
def test_the_bytes_are_those_of_redis_py(args: list[Any]) -> None:
    ours = packing(Redis.from_url("redis://127.0.0.1:1")).connection_pool.connection_class()
    theirs = Connection()
    for name in ("HSET", "CLIENT SETINFO"):
        assert b"".join(ours.pack_command(name, *args)) == b"".join(theirs.pack_command(name, *args))


async def test_every_kind_of_single_server_packs_so(server: EmbeddedServer) -> None:
    for url in ("redis://127.0.0.1:1", "rediss://127.0.0.1:1", "unix:///nowhere", server.url):
        connection = connect(url)
        pool = connection.client.connection_pool  # type: ignore[union-attr] # none of them is a Cluster
        assert "_Packing" in {kind.__name__ for kind in pool.connection_class.__mro__}
        await connection.close()


async def test_text_that_is_no_unicode_reaches_the_store(server: EmbeddedServer) -> None:
    store = Store(server.url)
    await store.write(Batch("w", 1, cells={"\ud800": {"x": 1}}))
    assert "?" in await store.statistics(0.0)
    await store.close()
