"""Packing: commands become bytes in hiredis, as in redis-py's synchronous client; its asyncio client takes ten times as long in Python."""

from typing import Any

import hiredis
from redis.asyncio import Connection, Redis, SSLConnection, UnixDomainSocketConnection
from redis.asyncio.connection import AbstractConnection


class _Packing(AbstractConnection):
    def pack_command(self, *args: Any) -> list[bytes]:
        """The same bytes."""
        try:
            if " " not in args[0]:  # a name of two words is two arguments
                return [hiredis.pack_command(args)]
        except (TypeError, UnicodeError):  # what has to be turned into text first, and what is no text
            pass
        return super().pack_command(*args)


class _Plain(_Packing, Connection):
    pass


class _Tls(_Packing, SSLConnection):
    pass


class _Socket(_Packing, UnixDomainSocketConnection):
    pass


_KINDS: dict[type[AbstractConnection], type[AbstractConnection]] = {
    Connection: _Plain, SSLConnection: _Tls, UnixDomainSocketConnection: _Socket,
}  # fmt: skip


def packing(client: Redis) -> Redis:
    """A client that has no connection yet, so that its connections do this."""
    pool = client.connection_pool
    pool.connection_class = _KINDS.get(pool.connection_class, pool.connection_class)
    return client
