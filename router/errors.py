"""Errors that clients see, in OpenAI's shape, with a closed list of codes.

SetpointError
├── SettingsError      setpoint.yaml does not say something that can be run; the proxy does not start
├── ExchangeError      a file of exported learning cannot be imported; nothing was added
└── RequestError       this request cannot be served; its row of `CODES` gives the status
"""

from collections.abc import Mapping
from types import MappingProxyType
from typing import Any

import orjson

# code → (HTTP status, OpenAI error type)
CODES: Mapping[str, tuple[int, str]] = MappingProxyType(
    {
        "invalid_json": (400, "invalid_request_error"),
        "invalid_request": (400, "invalid_request_error"),
        "unknown_task": (400, "invalid_request_error"),
        "parameter_forbidden": (400, "invalid_request_error"),
        "invalid_api_key": (401, "authentication_error"),
        "model_not_found": (404, "invalid_request_error"),
        "unknown_path": (404, "invalid_request_error"),
        "unknown_decision": (404, "invalid_request_error"),
        "method_not_allowed": (405, "invalid_request_error"),
        "body_too_large": (413, "invalid_request_error"),
        "rate_limited": (429, "rate_limit_error"),
        "internal_error": (500, "server_error"),
        "surface_not_supported": (501, "invalid_request_error"),
        "upstream_unreachable": (502, "upstream_error"),
        "upstream_cut": (502, "upstream_error"),
        "upstream_invalid": (502, "upstream_error"),
        "upstream_timeout": (504, "upstream_error"),
    }
)


class SetpointError(Exception):
    """Root of everything that the router raises on purpose."""


class SettingsError(SetpointError):
    """Raised at start when the settings cannot be used; its text names file, key and remedy."""


class ExchangeError(SetpointError):
    """Raised for an exported file that cannot be imported; its text names the file and what is wrong."""


class RequestError(SetpointError):
    """Raised where a request cannot go on; caught once, at the surface."""

    def __init__(
        self, code: str, message: str, param: str | None = None, headers: Mapping[str, str] | None = None
    ) -> None:
        self.code, self.message, self.param, self.headers = code, message, param, dict(headers or {})
        self.status, self.type = CODES[code]
        super().__init__(message)

    def body(self) -> dict[str, Any]:
        """OpenAI's error body."""
        return {"error": {"message": self.message, "type": self.type, "param": self.param, "code": self.code}}

    def json(self) -> bytes:
        """The error body as bytes."""
        return orjson.dumps(self.body())
