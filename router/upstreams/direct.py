"""OpenAI-compatible upstreams, reached directly: JSON in, bytes out."""

import base64
import ssl
from collections.abc import Mapping
from typing import Any
from urllib.parse import quote, unquote, urlsplit
from urllib.request import getproxies, proxy_bypass

import orjson

from router.errors import RequestError
from router.settings import Limits, UpstreamSettings
from router.upstreams.plain import PlainClient
from router.upstreams.seam import Client, Headers, UpstreamAnswer, UpstreamCall

_MODELS = UpstreamCall("GET", "/models", [])


class DirectUpstream:
    """Sends bytes to a base URL and relays bytes back."""

    def __init__(self, settings: UpstreamSettings, limits: Limits, provider: str) -> None:
        self.name, self.provider, self.tags = settings.name, provider, settings.tags
        address = urlsplit(settings.base_url or "")
        self._base = quote(address.path, safe="/%:@!$&'()*+,;=~").encode()
        self._client = _client(settings, limits)
        own = {k.lower(): v for k, v in settings.headers.items()}
        # Answers are read for their usage, and nothing here unpacks them.
        own["accept-encoding"] = "identity"
        if settings.api_key:
            own["authorization"] = f"Bearer {settings.api_key}"
        elif address.username is not None:
            own["authorization"] = _basic(address.username, address.password or "")
        self._own: Headers = [(k.encode("latin-1"), v.encode("latin-1")) for k, v in own.items()]
        self._replaced = frozenset(k for k, _ in self._own)

    async def send(self, call: UpstreamCall) -> UpstreamAnswer:
        """One call. Raises RequestError when no answer comes."""
        target = self._base + call.path.encode("latin-1")
        if call.query:
            target = b"%s?%s" % (target, call.query)
        replaced = self._replaced
        headers = [pair for pair in call.headers if pair[0] not in replaced]
        headers += self._own
        return await self._client.send(call.method, target, headers, call.body)

    async def models(self) -> list[dict[str, Any]]:
        """What the upstream says it serves. Raises RequestError."""
        answer = await self.send(_MODELS)
        try:
            data = orjson.loads(await answer.whole())["data"]
        except (orjson.JSONDecodeError, KeyError, TypeError) as e:
            raise RequestError("upstream_invalid", f"The upstream {self.name} did not list its models.") from e
        finally:
            answer.close()
        return (
            [m for m in data if isinstance(m, dict) and isinstance(m.get("id"), str)] if isinstance(data, list) else []
        )

    async def close(self) -> None:
        """Gives all connections up."""
        await self._client.close()


def _client(settings: UpstreamSettings, limits: Limits) -> Client:
    """Our own connections without TLS; for the rest what speaks HTTP/2 and knows proxies, which is imported only then."""
    address = urlsplit(settings.base_url or "")
    host = address.hostname or ""
    proxied = (address.scheme in getproxies() or "all" in getproxies()) and not proxy_bypass(host)
    if proxied or (address.scheme == "https" and settings.http2):
        from router.upstreams.secure import SecureClient

        return SecureClient(settings.name, f"{address.scheme}://{address.netloc.rpartition('@')[2]}", limits)
    secured = ssl.create_default_context() if address.scheme == "https" else None
    port = address.port or (443 if secured else 80)
    return PlainClient(settings.name, host, port, limits, secured)


def _basic(user: str, password: str) -> str:
    return "Basic " + base64.b64encode(f"{unquote(user)}:{unquote(password)}".encode()).decode()


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
