"""Requests that come at once: each gets what it would get alone, and a bad one spoils no other."""

import asyncio
import json
from dataclasses import replace
from typing import Any

import pytest

from classifier.ask import Ask
from classifier.verdict import Verdict
from router.errors import RequestError
from router.incoming import Incoming
from router.offline import NO_STORE
from router.pipeline import Pipeline, Prepared
from router.services import build
from router.settings import Settings, UpstreamSettings
from router.surfaces import SURFACES
from router.together import MOST, SEVERAL, Together

UP = UpstreamSettings(name="up", base_url="http://127.0.0.1:1/v1", models=["m*"], provider="openai")


@pytest.fixture
def pipeline() -> Pipeline:
    return build(Settings(upstreams=[UP]), NO_STORE, None).pipeline


def request(text: str, model: str = "m", **headers: str) -> Incoming:
    body = {"model": model, "messages": [{"role": "user", "content": text}]}
    return Incoming(SURFACES["chat"], json.dumps(body).encode(), headers)


ASKS = (
    "Write a haiku about autumn",
    "Fix this bug: list index out of range",
    "把这段话翻译成英文：你好",
    "Solve 3x + 4 = 19",
    "hi there",
)


async def test_each_of_many_gets_what_it_would_get_alone(pipeline: Pipeline) -> None:
    together = Together(pipeline)
    texts = [f"{ask} {n}" for n in range(3 * MOST) for ask in ASKS]
    found = await asyncio.gather(*(together.prepare(request(text), f"tenant-{n}") for n, text in enumerate(texts)))
    assert len({p.id for p in found}) == len(texts)
    for n, (text, prepared) in enumerate(zip(texts, found, strict=True)):
        alone = pipeline.prepare(request(text), prepared.tenant)
        assert prepared.tenant == f"tenant-{n}"
        assert prepared.context.text == text
        assert (prepared.verdict.task, prepared.decision.params) == (alone.verdict.task, alone.decision.params)
        assert (
            text in prepared.body.decode("unicode-escape")
            or json.loads(prepared.body)["messages"][0]["content"] == text
        )


async def test_what_is_wrong_with_one_is_said_of_that_one(pipeline: Pipeline) -> None:
    together = Together(pipeline)
    jobs = [
        *(together.prepare(request(ask), "t") for ask in ASKS),
        together.prepare(request("hi", "unknown"), "t"),
        together.prepare(request("hi", **{"x-setpoint-task": "nonsense"}), "t"),
        together.prepare(request("hi", **{"x-setpoint-task": "code"}), "t"),
    ]
    *good, unknown, nonsense, declared = await asyncio.gather(*jobs, return_exceptions=True)
    assert all(isinstance(p, Prepared) for p in good)
    assert isinstance(unknown, RequestError)
    assert unknown.code == "model_not_found"
    assert isinstance(nonsense, RequestError)
    assert nonsense.code == "unknown_task"
    assert isinstance(declared, Prepared)
    assert declared.verdict == Verdict("code", 1.0, (), "declared")


async def test_an_ask_that_the_classifier_fails_on_costs_the_others_nothing(pipeline: Pipeline) -> None:
    def failing(asks: Any) -> list[Verdict]:
        raise ValueError("odd")

    def classify(ask: Ask) -> Verdict:
        if "odd" in ask.text:
            raise ValueError("odd")
        return Verdict("math", 0.9, (), "model")

    pipeline.know(replace(pipeline._judge, classify=classify, together=failing))
    together = Together(pipeline)
    found = await asyncio.gather(*(together.prepare(request(text), "t") for text in (*ASKS, "an odd one", *ASKS)))
    assert [p.verdict.task for p in found] == ["math"] * 5 + ["general"] + ["math"] * 5


async def test_a_client_that_is_gone_is_not_waited_for(pipeline: Pipeline) -> None:
    together = Together(pipeline)
    tasks = [asyncio.ensure_future(together.prepare(request(ask), "t")) for ask in ASKS]
    await asyncio.sleep(0)
    tasks[-1].cancel()
    found = await asyncio.gather(*tasks, return_exceptions=True)
    assert [type(p) for p in found] == [Prepared] * 4 + [asyncio.CancelledError]


async def test_a_request_alone_waits_for_nobody(pipeline: Pipeline) -> None:
    together = Together(pipeline)
    turns = 0

    async def counting() -> None:
        nonlocal turns
        while True:
            turns += 1
            await asyncio.sleep(0)

    counter = asyncio.ensure_future(counting())
    await asyncio.sleep(0)
    for n in range(SEVERAL):
        before = turns
        await together.prepare(request(f"hi {n}"), "t")
        assert turns == before
        await asyncio.sleep(0.001)
    counter.cancel()
