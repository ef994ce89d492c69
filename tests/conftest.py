"""What the tests of the whole proxy share: a recorded-shape upstream, a real store, and the proxy on a real port."""

import asyncio
import contextlib
import io
import json
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import aiohttp
import pytest
import uvicorn
from aiohttp import web

from bench import free_port
from metrics.embedded import EmbeddedServer, start_embedded
from router.app import create_app
from router.services import Services
from router.settings import Settings, UpstreamSettings

DESIGN_POLICY = (Path(__file__).parent / "policies" / "guide_as_data.yaml").read_text("utf-8")


def usage(prompt: int = 11, completion: int = 7) -> dict[str, Any]:
    return {"prompt_tokens": prompt, "completion_tokens": completion, "total_tokens": prompt + completion}


def completion(model: str, text: str = "Hello there.", extra: dict[str, Any] | None = None) -> dict[str, Any]:
    message = {"role": "assistant", "content": text, "refusal": None} | (extra or {})
    choice = {
        "index": 0,
        "message": message,
        "logprobs": None,
        "finish_reason": "tool_calls" if extra else "stop",
    }
    return {
        "id": "chatcmpl-abc",
        "object": "chat.completion",
        "created": 1,
        "model": model,
        "choices": [choice],
        "usage": usage(),
        "vendor_extra": {"x": 1},
    }


def chunks(model: str, words: list[str]) -> list[bytes]:
    def event(delta: dict[str, Any], finish: str | None = None, **more: Any) -> bytes:
        choice = {"index": 0, "delta": delta, "logprobs": None, "finish_reason": finish}
        whole = {
            "id": "chatcmpl-s",
            "object": "chat.completion.chunk",
            "created": 1,
            "model": model,
            "choices": [choice],
        } | more
        return b"data: " + json.dumps(whole).encode() + b"\n\n"

    events = [event({"role": "assistant", "content": ""}), *(event({"content": w}) for w in words), event({}, "stop")]
    return [*events, event({}, None, choices=[], usage=usage()), b"data: [DONE]\n\n"]


TOOL_CALL = {"id": "call_1", "type": "function", "function": {"name": "get_weather", "arguments": '{"city":"Paris"}'}}


@dataclass
class FakeUpstream:
    """Answers in the shape that OpenAI's API was recorded in; what it does is chosen by the model's name."""

    url: str = ""
    bodies: list[dict[str, Any]] = field(default_factory=list)
    headers: list[dict[str, str]] = field(default_factory=list)
    raw: list[bytes] = field(default_factory=list)
    paths: list[str] = field(default_factory=list)
    cancelled: asyncio.Event = field(default_factory=asyncio.Event)
    answer: Callable[[dict[str, Any]], dict[str, Any]] | None = None

    @property
    def last(self) -> dict[str, Any]:
        return self.bodies[-1]

    async def chat(self, request: web.Request) -> web.StreamResponse:
        self.raw.append(await request.read())
        body = json.loads(self.raw[-1])
        self.bodies.append(body)
        self.headers.append({k.lower(): v for k, v in request.headers.items()})
        behaviour = getattr(self, "_" + body["model"].replace("-", "_"), None)
        if behaviour:
            response: web.StreamResponse = await behaviour(request, body)
            return response
        if body.get("stream"):
            return await self._stream(request, chunks(body["model"], ["Hel", "lo ", "there."]))
        if self.answer:
            return web.json_response(self.answer(body))
        tools = {"tool_calls": [TOOL_CALL], "content": None} if body.get("tools") else None
        return web.json_response(completion(body["model"], extra=tools), headers={"x-request-id": "req_1"})

    async def _stream(self, request: web.Request, events: list[bytes], pause: float = 0.0) -> web.StreamResponse:
        response = web.StreamResponse(headers={"content-type": "text/event-stream; charset=utf-8"})
        await response.prepare(request)
        try:
            for event in events:
                await response.write(event)
                await asyncio.sleep(pause)
        except (ConnectionError, asyncio.CancelledError):
            self.cancelled.set()
            raise
        return response

    async def _limited(self, request: web.Request, body: dict[str, Any]) -> web.StreamResponse:
        error = {"error": {"message": "slow down", "type": "rate_limit", "param": None, "code": "rate_limit_exceeded"}}
        return web.json_response(error, status=429, headers={"retry-after": "0"})

    async def _html_error(self, request: web.Request, body: dict[str, Any]) -> web.StreamResponse:
        return web.Response(status=503, text="<html>Bad gateway</html>", content_type="text/html")

    async def _garbage(self, request: web.Request, body: dict[str, Any]) -> web.StreamResponse:
        return web.Response(text="<<<not json", content_type="application/json")

    async def _empty(self, request: web.Request, body: dict[str, Any]) -> web.StreamResponse:
        return web.Response(status=204)

    async def _elsewhere(self, request: web.Request, body: dict[str, Any]) -> web.StreamResponse:
        return web.Response(status=307, headers={"location": "http://127.0.0.1:9/v1/chat/completions"})

    async def _page(self, request: web.Request, body: dict[str, Any]) -> web.StreamResponse:
        return web.Response(text="<html>Sign in</html>", content_type="text/html")

    async def _endless(self, request: web.Request, body: dict[str, Any]) -> web.StreamResponse:
        return await self._stream(request, chunks("endless", ["word "] * 10_000), pause=0.01)

    async def _cut(self, request: web.Request, body: dict[str, Any]) -> web.StreamResponse:
        if not body.get("stream"):
            response = web.StreamResponse(headers={"content-type": "application/json", "content-length": "1000"})
            await response.prepare(request)
            await response.write(b'{"id":')
        else:
            response = web.StreamResponse(headers={"content-type": "text/event-stream"})
            response.enable_chunked_encoding()
            await response.prepare(request)
            await response.write(chunks("cut", ["Hel"])[1])
        assert request.transport
        request.transport.abort()
        return response

    async def _silent(self, request: web.Request, body: dict[str, Any]) -> web.StreamResponse:
        try:
            await asyncio.sleep(60)
        except asyncio.CancelledError:
            self.cancelled.set()
            raise
        return web.Response()

    async def models(self, request: web.Request) -> web.Response:
        return web.json_response(
            {"object": "list", "data": [{"id": "gpt-4.1", "object": "model", "created": 1, "owned_by": "openai"}]}
        )

    async def anything(self, request: web.Request) -> web.Response:
        self.raw.append(await request.read())
        self.paths.append(f"{request.method} {request.raw_path}")
        return web.Response(body=self.raw[-1][::-1], content_type="application/octet-stream", status=201)


@pytest.fixture
async def upstream() -> AsyncIterator[FakeUpstream]:
    fake = FakeUpstream()
    app = web.Application(client_max_size=64_000_000)
    app.router.add_post("/v1/chat/completions", fake.chat)
    app.router.add_post("/v1/completions", fake.chat)
    app.router.add_post("/v1/responses", fake.chat)
    app.router.add_post("/v1/messages", fake.chat)
    app.router.add_get("/v1/models", fake.models)
    app.router.add_route("*", "/v1/{path:.*}", fake.anything)
    runner = web.AppRunner(app, handler_cancellation=True, shutdown_timeout=0.2)
    await runner.setup()
    port = free_port()
    await web.TCPSite(runner, "127.0.0.1", port).start()
    fake.url = f"http://127.0.0.1:{port}/v1"
    yield fake
    await runner.cleanup()


@pytest.fixture(scope="session")
def store(tmp_path_factory: pytest.TempPathFactory) -> Iterator[EmbeddedServer]:
    server = start_embedded(tmp_path_factory.mktemp("store"))
    yield server
    server.stop()


GREET = ["hello there friend", "good morning to you", "hi hello again"]
ARTEFACTS = {
    "sum": {"greet": GREET, "sum": ["add two and three", "add seven and one", "add these numbers"]},
    "story": {"greet": GREET, "story": ["tell a tale of a dragon", "tell a tale of the sea", "tell a tale of kings"]},
    "both": {
        "greet": GREET,
        "sum": ["add two and three", "add seven and one", "add these numbers"],
        "story": ["tell a tale of a dragon", "tell a tale of the sea", "tell a tale of kings"],
    },
}


@pytest.fixture(scope="session")
def artefacts(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    """Small trained classifiers, by what they know beside greetings; task files are beside each."""
    from classifier.training import train

    made = {}
    for name, tasks in ARTEFACTS.items():
        folder = tmp_path_factory.mktemp(name)
        (folder / "tasks").mkdir()
        for task, texts in tasks.items():
            file = {"task": task, "description": task, "cues": {"en": [texts[0]]}, "examples": {"en": texts}}
            (folder / "tasks" / f"{task}.yaml").write_text(json.dumps(file))
        train(folder / "tasks", [], folder / "out")
        made[name] = folder / "out"
    return made


@dataclass
class Proxy:
    """A running proxy: its address, its services, and the file of its policy."""

    url: str
    services: Services
    policy: Path
    session: aiohttp.ClientSession

    async def chat(
        self, text: str = "hello", model: str = "gpt-4.1", headers: dict[str, str] | None = None, **more: Any
    ) -> tuple[int, Any, Any]:
        """(status, headers, body) of one chat completion."""
        body = {"model": model, "messages": [{"role": "user", "content": text}]} | more
        return await self.post("/v1/chat/completions", body, headers)

    async def post(self, path: str, body: Any, headers: dict[str, str] | None = None) -> tuple[int, Any, Any]:
        data = io.BytesIO(body if isinstance(body, bytes) else json.dumps(body).encode())
        async with self.session.post(
            self.url + path, data=data, headers={"content-type": "application/json"} | (headers or {})
        ) as r:
            raw = await r.read()
            return r.status, r.headers, json.loads(raw) if "json" in r.content_type else raw

    async def get(self, path: str) -> tuple[int, Any]:
        async with self.session.get(self.url + path) as r:
            raw = await r.read()
            return r.status, json.loads(raw) if "json" in r.content_type else raw.decode()


Start = Callable[..., Awaitable[Proxy]]


@pytest.fixture
async def start(upstream: FakeUpstream, store: EmbeddedServer, tmp_path: Path) -> AsyncIterator[Start]:
    """Starts proxies on real ports: `await start(policy=..., keys=[...])`; all end with the test."""
    async with contextlib.AsyncExitStack() as stack:

        async def run(policy: str = DESIGN_POLICY, store_url: str | None = None, **settings: Any) -> Proxy:
            file = tmp_path / "policy.yaml"
            file.write_text(policy, "utf-8")
            settings.setdefault("upstreams", [UpstreamSettings(name="fake", base_url=upstream.url, provider="openai")])
            given = Settings(policies=file, port=free_port(), data=tmp_path, refresh_seconds=0.3, **settings)
            app = create_app(given, store_url=store_url or store.url)
            server = uvicorn.Server(
                uvicorn.Config(app, port=given.port, log_level="error", lifespan="on", timeout_graceful_shutdown=1)
            )
            task = asyncio.create_task(server.serve())
            while not server.started:
                assert not task.done(), task.exception()
                await asyncio.sleep(0.01)

            async def stop() -> None:
                server.should_exit = True
                await task

            stack.push_async_callback(stop)
            session = await stack.enter_async_context(aiohttp.ClientSession())
            return Proxy(f"http://127.0.0.1:{given.port}", app.state.services, file, session)

        yield run
        await asyncio.sleep(0)


@pytest.fixture
async def proxy(start: Start) -> Proxy:
    """A proxy with the guide's policy in front of the recorded-shape upstream."""
    return await start()
