"""HTTP headers on their way through: what may pass to the upstream, and what may come back."""

from collections.abc import Iterable

Pairs = list[tuple[bytes, bytes]]

_HOP = frozenset(
    {
        "connection",
        "keep-alive",
        "proxy-authenticate",
        "proxy-authorization",
        "proxy-connection",
        "te",
        "trailer",
        "transfer-encoding",
        "upgrade",
    }
)
# Ours to set, or nobody's business upstream. The answer is read for its usage, so it comes uncompressed.
_STOPPED = frozenset(h.encode() for h in _HOP | {"host", "content-length", "cookie", "accept-encoding", "expect"})
_STOPPED_AND_KEYS = _STOPPED | {b"authorization", b"x-api-key", b"api-key"}
_OURS = b"x-setpoint-"
_NOT_BACK = frozenset(
    h.encode()
    for h in _HOP | {"content-length", "set-cookie", "server", "date", "alt-svc", "strict-transport-security"}
)


def decoded(raw: Iterable[tuple[bytes, bytes]]) -> dict[str, str]:
    """ASGI headers by lower-case name; of a repeated one the last."""
    return {k.decode("latin-1"): v.decode("latin-1") for k, v in raw}


def upstream_headers(raw: Iterable[tuple[bytes, bytes]], keep_keys: bool) -> Pairs:
    """The client's headers as the upstream gets them; its key only where Setpoint has none of its own to check."""
    stopped = _STOPPED if keep_keys else _STOPPED_AND_KEYS
    return [pair for pair in raw if pair[0] not in stopped and not pair[0].startswith(_OURS)]


def client_headers(headers: Pairs) -> Pairs:
    """The upstream's headers as the client gets them; what it says in our name is not said."""
    return [pair for pair in headers if pair[0] not in _NOT_BACK and not pair[0].startswith(_OURS)]
