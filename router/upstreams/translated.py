"""Upstreams that litellm translates: every API that does not speak OpenAI's. litellm is imported with the first call."""

import asyncio
import os
from collections.abc import AsyncIterator, Callable, Mapping
from types import ModuleType
from typing import Any

import orjson

from policies.parameters import PARAMETERS
from router.errors import RequestError
from router.settings import UpstreamSettings
from router.upstreams.seam import Given, UpstreamAnswer, UpstreamCall

_FUNCTIONS: Mapping[str, str] = {
    "/chat/completions": "acompletion",
    "/completions": "atext_completion",
    "/embeddings": "aembedding",
    "/responses": "aresponses",
}
_ALLOWED = frozenset(path.split(".")[0] for p in PARAMETERS.values() for path in p.paths or (p.name,)) | frozenset(
    [
        "model",
        "messages",
        "stream",
        "stream_options",
        "tools",
        "tool_choice",
        "parallel_tool_calls",
        "functions",
        "function_call",
        "response_format",
        "n",
        "logprobs",
        "top_logprobs",
        "logit_bias",
        "user",
        "modalities",
        "audio",
        "prediction",
        "service_tier",
        "web_search_options",
        "prompt",
        "suffix",
        "echo",
        "best_of",
        "input",
        "instructions",
        "include",
        "previous_response_id",
        "truncation",
        "text",
        "reasoning",
        "store",
        "dimensions",
        "encoding_format",
    ]
)
_PROVIDERS: Mapping[str, str] = {
    "hosted_vllm": "vllm", "vertex_ai": "gemini", "ollama_chat": "ollama_translated", "ollama": "ollama_translated", "bedrock": "anthropic", "zai": "zhipu",
    "azure_ai": "azure", "openai_like": "compatible",
}  # fmt: skip


class TranslatedUpstream:
    """Hands the client's JSON to litellm as it is, and gives its answer back in OpenAI's shape."""

    def __init__(self, settings: UpstreamSettings, load: Callable[[], ModuleType] | None = None) -> None:
        self.name, self.tags = settings.name, settings.tags
        self.provider: str = settings.provider or "compatible"
        self._key, self._base = settings.api_key, settings.base_url
        self._load = load or import_litellm
        self._names = list(settings.serves())

    async def send(self, call: UpstreamCall) -> UpstreamAnswer:
        """One call. Raises RequestError when litellm cannot make it; an API's own error comes back with its status."""
        function = _FUNCTIONS.get(call.path)
        if function is None or call.parsed is None:
            raise RequestError(
                "surface_not_supported",
                f"The upstream {self.name} goes through litellm, which does not serve {call.path} here.",
            )
        litellm = await asyncio.to_thread(self._load)
        try:
            answer = await getattr(litellm, function)(**self._arguments(call.parsed))
        except Exception as e:  # litellm's tree of exceptions is as wide as its list of providers
            return self._error(e)
        if hasattr(answer, "__aiter__"):
            return Given(200, "text/event-stream", self._events(answer))
        return Given(200, "application/json", orjson.dumps(_plain(answer)))

    async def models(self) -> list[dict[str, Any]]:
        """The names that the settings give."""
        return [{"id": name, "object": "model", "owned_by": self.name} for name in self._names]

    async def close(self) -> None:
        """litellm keeps its own connections, until the process ends."""

    def _arguments(self, parsed: Mapping[str, Any]) -> dict[str, Any]:
        # Only what belongs to the API: litellm takes its own steering (api_base, api_key, mock_response, ...) from the same
        # arguments, and a client that could set those could send our key anywhere.
        arguments = {k: v for k, v in parsed.items() if k in _ALLOWED}
        # The policy has made the parameters legal already, and a second attempt would hide a failure from learning.
        arguments |= {"num_retries": 0, "max_retries": 0}
        if self._key:
            arguments["api_key"] = self._key
        if self._base:
            arguments["api_base"] = self._base
        return arguments

    def _error(self, e: Exception) -> UpstreamAnswer:
        status = getattr(e, "status_code", None)
        status = status if isinstance(status, int) and 400 <= status < 600 else 502
        error = {
            "message": str(getattr(e, "message", e)),
            "type": type(e).__name__,
            "param": None,
            "code": getattr(e, "code", None),
        }
        body = orjson.dumps({"error": error}, default=str)
        return Given(status, "application/json", body)

    async def _events(self, stream: Any) -> AsyncIterator[bytes]:
        try:
            async for chunk in stream:
                yield b"data: " + orjson.dumps(_plain(chunk), default=str) + b"\n\n"
        except Exception as e:
            raise RequestError("upstream_cut", f"The upstream {self.name} broke off in mid-answer.") from e
        yield b"data: [DONE]\n\n"


def _plain(answer: Any) -> Any:
    return answer.model_dump(mode="json", exclude_none=True) if hasattr(answer, "model_dump") else answer


def provider_of(target: str) -> str:
    """The dialect behind a litellm model name, `anthropic/claude-sonnet-4-6`."""
    prefix = target.split("/", 1)[0] if "/" in target else "openai"
    return _PROVIDERS.get(prefix, prefix)


def import_litellm() -> ModuleType:
    """litellm, told beforehand not to fetch its table from the network and not to print."""
    os.environ.setdefault("LITELLM_LOCAL_MODEL_COST_MAP", "True")
    os.environ.setdefault("LITELLM_MODE", "PRODUCTION")
    import litellm

    litellm.telemetry = False
    litellm.suppress_debug_info = True
    litellm.drop_params = False
    module: ModuleType = litellm
    return module
