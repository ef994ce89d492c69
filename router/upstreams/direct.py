"""OpenAI-compatible upstreams, reached directly: JSON in, bytes out."""

import asyncio
import io
from collections.abc import AsyncIterator, Mapping
from typing import Any

import aiohttp
import orjson
from yarl import URL

from router.errors import RequestError
from router.settings import Limits, UpstreamSettings
from router.upstreams.seam import UpstreamAnswer, UpstreamCall

LARGE = 1_000_000  # bytes
_FAILURES = (aiohttp.ClientError, OSError, asyncio.TimeoutError, ValueError)


class DirectUpstream:
    """Sends bytes to a base URL and relays bytes back."""

    def __init__(
        self, settings: UpstreamSettings, session: aiohttp.ClientSession, limits: Limits, provider: str
    ) -> None:
        self.name, self.provider, self.tags = settings.name, provider, settings.tags
        self._base = settings.base_url or ""
        self._session = session
        self._timeout = aiohttp.ClientTimeout(
            total=None, sock_connect=limits.connect_seconds, sock_read=limits.read_seconds
        )
        # Answers are read for their usage, and nothing here unpacks them.
        self._headers = {**settings.headers, "accept-encoding": "identity"}
        if settings.api_key:
            self._headers["authorization"] = f"Bearer {settings.api_key}"

    async def send(self, call: UpstreamCall) -> UpstreamAnswer:
        """One call. Raises RequestError when no answer comes."""
        url = URL(self._base + call.path + (f"?{call.query}" if call.query else ""), encoded=True)
        try:
            response = await self._session.request(
                call.method,
                url,
                data=_payload(call),
                headers={**call.headers, **self._headers},
                timeout=self._timeout,
                allow_redirects=False,
            )
        except _FAILURES as e:
            raise self._failure(e) from e
        return UpstreamAnswer(
            response.status,
            list(response.raw_headers),
            response.headers.get("content-type", ""),
            self._chunks(response),
            response.close,
        )

    async def models(self) -> list[dict[str, Any]]:
        """What the upstream says it serves. Raises RequestError."""
        answer = await self.send(UpstreamCall("GET", "/models", {}))
        body = b"".join([c async for c in answer.chunks])
        try:
            data = orjson.loads(body)["data"]
        except (orjson.JSONDecodeError, KeyError, TypeError) as e:
            raise RequestError("upstream_invalid", f"The upstream {self.name} did not list its models.") from e
        return (
            [m for m in data if isinstance(m, dict) and isinstance(m.get("id"), str)] if isinstance(data, list) else []
        )

    async def _chunks(self, response: aiohttp.ClientResponse) -> AsyncIterator[bytes]:
        try:
            # Not iter_chunks: on an answer without a body (204) aiohttp 3.14 never comes to its end.
            async for chunk in response.content.iter_any():
                yield chunk
        except TimeoutError as e:
            raise RequestError("upstream_timeout", f"The upstream {self.name} fell silent in mid-answer.") from e
        except _FAILURES as e:
            raise RequestError("upstream_cut", f"The upstream {self.name} broke off in mid-answer.") from e

    def _failure(self, e: BaseException) -> RequestError:
        if isinstance(e, asyncio.TimeoutError):
            return RequestError("upstream_timeout", f"The upstream {self.name} did not answer in time.")
        if isinstance(e, aiohttp.ClientConnectorError | ConnectionRefusedError | aiohttp.InvalidURL):
            return RequestError("upstream_unreachable", f"The upstream {self.name} cannot be reached.")
        return RequestError("upstream_cut", f"The upstream {self.name} broke off before it answered.")


def _payload(call: UpstreamCall) -> Any:
    """A large body goes out piece by piece, so that other requests get their turn."""
    return io.BytesIO(call.body) if len(call.body) > LARGE else call.body


# The `owned_by` of /models tells which server a self-hosted address is.
_OWNERS: Mapping[str, str] = {
    "llamacpp": "llamacpp",
    "vllm": "vllm",
    "sglang": "sglang",
    "library": "ollama",
    "deepseek": "deepseek",
}
_HOSTS: Mapping[str, str] = {
    "api.openai.com": "openai",
    "openai.azure.com": "azure",
    "api.deepseek.com": "deepseek",
    "api.anthropic.com": "anthropic",
    "generativelanguage.googleapis.com": "gemini",
    "api.mistral.ai": "mistral",
    "api.groq.com": "groq",
    "api.x.ai": "xai",
    "api.moonshot": "moonshot",
    "bigmodel.cn": "zhipu",
    "api.z.ai": "zhipu",
    "dashscope": "dashscope",
    "openrouter.ai": "openrouter",
    "fireworks.ai": "fireworks",
    ":11434": "ollama",
}


def provider_of(settings: UpstreamSettings) -> str:
    """The dialect that an upstream speaks: as configured, or by its address; `compatible` when neither tells."""
    if settings.provider:
        return settings.provider
    host = (settings.base_url or "").split("//", 1)[-1].split("/", 1)[0]
    return next((provider for part, provider in _HOSTS.items() if part in host), "compatible")


def provider_by_owner(models: list[dict[str, Any]]) -> str | None:
    """The dialect that a list of models gives away."""
    return next((p for m in models if (p := _OWNERS.get(str(m.get("owned_by", "")).lower()))), None)
