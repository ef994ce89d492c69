"""The openai-python client, unmodified: chat, streaming, tools, async, errors, cancelled streams."""

import asyncio
from collections.abc import Iterator
from typing import Any

import openai
import pytest
from openai import AsyncOpenAI, OpenAI
from openai.types.chat import ChatCompletionMessageParam, ChatCompletionToolParam

HELLO: list[ChatCompletionMessageParam] = [{"role": "user", "content": "hello there, how are you?"}]
WEATHER: ChatCompletionToolParam = {
    "type": "function",
    "function": {"name": "get_weather", "parameters": {"type": "object", "properties": {"city": {"type": "string"}}}},
}


@pytest.fixture
async def client(proxy: Any) -> Any:
    async with AsyncOpenAI(base_url=f"{proxy.url}/v1", api_key="sk-any", max_retries=0) as client:
        yield client


async def test_chat(client: AsyncOpenAI, upstream: Any) -> None:
    answer = await client.chat.completions.create(model="gpt-4.1", messages=HELLO)
    assert answer.choices[0].message.content == "Hello there."
    assert answer.usage is not None
    assert answer.usage.completion_tokens == 7
    assert upstream.last["temperature"] == 0.7


async def test_headers_are_there_for_who_asks(client: AsyncOpenAI) -> None:
    raw = await client.chat.completions.with_raw_response.create(model="gpt-4.1", messages=HELLO)
    assert raw.headers["x-setpoint-task"] == "chat"
    assert raw.headers["x-request-id"] == "req_1"


async def test_streaming(client: AsyncOpenAI) -> None:
    stream = await client.chat.completions.create(
        model="gpt-4.1", messages=HELLO, stream=True, stream_options={"include_usage": True}
    )
    events = [event async for event in stream]
    assert "".join(e.choices[0].delta.content or "" for e in events if e.choices) == "Hello there."
    assert events[-1].usage is not None


async def test_tools(client: AsyncOpenAI) -> None:
    answer = await client.chat.completions.create(model="gpt-4.1", messages=HELLO, tools=[WEATHER])
    calls = answer.choices[0].message.tool_calls or []
    assert [c.function.name for c in calls if c.type == "function"] == ["get_weather"]


async def test_a_synchronous_client(proxy: Any) -> None:
    def ask() -> Iterator[str]:
        with OpenAI(base_url=f"{proxy.url}/v1", api_key="sk-any") as client:
            for event in client.chat.completions.create(model="gpt-4.1", messages=HELLO, stream=True):
                if event.choices:
                    yield event.choices[0].delta.content or ""

    assert await asyncio.to_thread(lambda: "".join(ask())) == "Hello there."


async def test_errors_are_the_clients_own_exceptions(client: AsyncOpenAI) -> None:
    with pytest.raises(openai.RateLimitError) as limited:
        await client.chat.completions.create(model="limited", messages=HELLO)
    assert limited.value.code == "rate_limit_exceeded"
    with pytest.raises(openai.BadRequestError, match="messages"):
        await client.chat.completions.create(model="gpt-4.1", messages=[])
    with pytest.raises(openai.InternalServerError):
        await client.chat.completions.create(model="garbage", messages=HELLO)


async def test_a_stream_that_breaks_off_raises_in_the_client(client: AsyncOpenAI) -> None:
    stream = await client.chat.completions.create(model="cut", messages=HELLO, stream=True)
    with pytest.raises(openai.APIError, match="broke off"):
        async for _ in stream:
            pass


async def test_a_cancelled_stream_ends_the_upstream_call(client: AsyncOpenAI, upstream: Any) -> None:
    stream = await client.chat.completions.create(model="endless", messages=HELLO, stream=True)
    async for _ in stream:
        break
    await stream.close()
    await asyncio.wait_for(upstream.cancelled.wait(), 5)


async def test_models_are_listed(client: AsyncOpenAI) -> None:
    assert [m.id async for m in client.models.list()] == ["gpt-4.1"]
