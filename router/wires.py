"""HTTP headers on their way through: what may pass to the upstream, and what may come back."""

from collections.abc import Iterable, Mapping

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
_STOPPED = _HOP | {"host", "content-length", "cookie", "accept-encoding", "expect"}
_KEYS = frozenset({"authorization", "x-api-key", "api-key"})
_NOT_BACK = frozenset(
    h.encode()
    for h in _HOP | {"content-length", "set-cookie", "server", "date", "alt-svc", "strict-transport-security"}
)


def decoded(raw: Iterable[tuple[bytes, bytes]]) -> dict[str, str]:
    """ASGI headers by lower-case name; of a repeated one the last."""
    return {k.decode("latin-1"): v.decode("latin-1") for k, v in raw}


def upstream_headers(headers: Mapping[str, str], keep_keys: bool) -> dict[str, str]:
    """The client's headers as the upstream gets them; its key only where Setpoint has none of its own to check."""
    return {
        k: v
        for k, v in headers.items()
        if k not in _STOPPED and not k.startswith("x-setpoint-") and (keep_keys or k not in _KEYS)
    }


def client_headers(headers: Pairs) -> Pairs:
    """The upstream's headers as the client gets them."""
    return [(k, v) for k, v in ((k.lower(), v) for k, v in headers) if k not in _NOT_BACK]
