"""Feedback over HTTP: credited once, by either id, on any replica."""

import asyncio
from time import time
from typing import Any

import pytest
from aiohttp import web

from metrics.ids import new_decision_id

POLICY = """
version: 1
defaults: {set: {temperature: 0.5}}
adapt: {mode: apply, arms: {temperature: [0.1, 0.3, 0.5, 0.7, 0.9]}, objective: {quality: 1, latency: 0, cost: 0}}
"""


async def settled(proxy: Any, item: dict[str, Any]) -> str:
    """The result of an item, once the store knows its decision."""
    for _ in range(40):
        _, _, told = await proxy.post("/v1/feedback", item)
        if told.get("result") != "queued":
            break
        await asyncio.sleep(0.1)
    return str(told.get("result") or told["error"]["code"])


async def test_feedback_counts_once_by_decision_or_completion_id(start: Any) -> None:
    proxy = await start(POLICY)
    _, headers, _ = await proxy.chat("Write a Python function that adds two numbers")
    item = {"id": headers["x-setpoint-decision"], "signal": "rating", "value": 5}
    assert await settled(proxy, item) in ("credited", "duplicate")
    assert await settled(proxy, item) == "duplicate"
    status, _, told = await proxy.post("/v1/feedback", [item | {"signal": "thumbs", "value": "up"}, item])
    assert status == 200
    assert [d["result"] for d in told["data"]][1] == "duplicate"
    _, learned = await proxy.get("/v1/learning")
    row = learned["observed"][headers["x-setpoint-task"]]["truncated"]  # neither was the answer cut off
    assert row["pairs"] >= 2
    assert row.keys() == {"pairs", "r", "low", "high", "weight", "table"}


async def test_feedback_that_means_nothing_says_what_is_allowed(proxy: Any) -> None:
    status, _, told = await proxy.post("/v1/feedback", {"id": "x", "signal": "raiting", "value": 5})
    assert status == 400
    assert "allowed: rating" in told["error"]["message"]
    status, _, told = await proxy.post("/v1/feedback", {"id": "x", "signal": "rating", "value": 50})
    assert (status, told["error"]["code"]) == (400, "invalid_request")
    status, _, told = await proxy.post("/v1/feedback", {"id": "x"})
    assert (status, told["error"]["code"]) == (400, "invalid_request")
    status, _, told = await proxy.post("/v1/feedback", b"{")
    assert (status, told["error"]["code"]) == (400, "invalid_json")


@pytest.mark.parametrize(
    ("item", "param", "said"),
    [
        ({"signal": "success", "session": "s"}, "value", "required"),
        (
            {"signal": "success", "session": "s", "value": None},
            "value",
            "valid boolean, or Input should be a valid integer",
        ),
        ({"signal": "success", "session": "s" * 201, "value": True}, "session", "at most 200"),
        ({"signal": "success", "session": " ", "value": True}, "session", "blank"),
    ],
)
async def test_what_is_wrong_with_an_item_is_said_alone_and_in_a_list(
    proxy: Any, item: dict[str, Any], param: str, said: str
) -> None:
    _, _, alone = await proxy.post("/v1/feedback", item)
    status, _, told = await proxy.post("/v1/feedback", [{"id": "x", "signal": "rating", "value": 5}, item])
    assert (status, alone["error"]["code"], alone["error"]["param"]) == (400, "invalid_request", param)
    assert said in alone["error"]["message"]
    assert told["error"]["param"] == (param if said == "blank" else f"1.{param}")
    assert said in told["error"]["message"]


async def test_an_old_decision_nobody_knows_is_404(proxy: Any) -> None:
    old = new_decision_id(time() - 60, b"0123456789")
    status, _, told = await proxy.post("/v1/feedback", {"id": old, "signal": "rating", "value": 5})
    assert (status, told["error"]["code"]) == (404, "unknown_decision")


async def test_feedback_names_an_answer_or_a_session_and_not_both(proxy: Any) -> None:
    said = {"signal": "rating", "value": 5}
    for item in (said, said | {"id": "x", "session": "s"}):
        status, _, told = await proxy.post("/v1/feedback", item)
        assert (status, told["error"]["code"], told["error"]["param"]) == (400, "invalid_request", "id")
        assert "either `id` or `session`" in told["error"]["message"]
    status, _, told = await proxy.post("/v1/feedback", {"session": "s", "signal": "task", "value": "code"})
    assert (status, told["error"]["code"]) == (400, "invalid_request")
    assert "by its id" in told["error"]["message"]


async def test_a_session_is_rated_as_one_over_all_replicas(start: Any) -> None:
    a, b = await start(POLICY), await start(POLICY)
    headers = {"x-setpoint-session": "prüfung"}  # as UTF-8 on the wire
    for n in range(6):
        await (a, b)[n % 2].chat("Write a Python function that adds two numbers", "gpt-4o", headers)
    item = {"session": "prüfung", "signal": "success", "value": True}
    status, _, told = await a.post("/v1/feedback", [item])
    assert (status, told["data"]) == (200, [{"session": "prüfung", "signal": "success", "result": "queued"}])
    earned: dict[str, float] = {}
    for _ in range(50):
        await asyncio.sleep(0.1)
        cells = await b.services.ledger.statistics()
        earned = {c: sum(t["success"].n for t in s.arms.values() if "success" in t) for c, s in cells.items()}
        if any(earned.values()):
            break
    assert [round(n, 2) for n in earned.values() if n] == [1.0]
    assert await settled(b, item) == "duplicate"


async def test_a_client_that_sets_the_parameter_is_never_explored_on(start: Any, upstream: Any) -> None:
    proxy = await start(POLICY)
    for _ in range(5):
        _, headers, _ = await proxy.chat(temperature=0.77)
        assert upstream.last["temperature"] == 0.77
        assert headers["x-setpoint-arm"] == "none"


async def test_two_replicas_learn_the_same_from_one_store(start: Any, upstream: Any) -> None:
    """Users like 0.7 on one replica; both come to serve it."""
    a, b = await start(POLICY), await start(POLICY)
    for n in range(1_500):
        proxy = (a, b)[n % 2]
        _, headers, _ = await proxy.chat("Write a Python function that adds two numbers", LEARNER)
        liked = 1 - 2 * abs(upstream.last["temperature"] - 0.7)
        await proxy.post("/v1/feedback", {"id": headers["x-setpoint-decision"], "signal": "score", "value": liked})
        if n % 10 == 0:  # allocations are computed by the clock: so many requests a second is traffic, more is a burst
            await asyncio.sleep(0.05)
        if min(served(a).get("0.7", 0), served(b).get("0.7", 0)) > 0.9:
            break
    for _ in range(40):
        if a.services.pipeline.allocations.version == b.services.pipeline.allocations.version:
            break
        await asyncio.sleep(0.2)
    assert served(a) == served(b)
    assert served(a)["0.7"] > 0.5
    assert sum(served(a).get(arm, 0) for arm in ("0.5", "0.7", "0.9")) >= 0.8


LEARNER = "gpt-4.1-mini"  # a model of its own: the tests share one store


def served(proxy: Any) -> dict[str, float]:
    """The probabilities of the cell that the test teaches."""
    return dict(proxy.services.pipeline.allocations.cells.get(f"*|code|{LEARNER}|direct|1|temperature", {}))


@pytest.mark.parametrize(("status", "blamed"), [(400, True), (422, True), (500, True), (429, False), (404, False)])
async def test_a_value_that_the_upstream_refuses_is_counted_against_it(
    start: Any, upstream: Any, status: int, blamed: bool
) -> None:
    model = f"gpt-4.1-nano-{status}"
    error = {"error": {"message": "no", "type": "invalid_request_error", "param": "temperature", "code": None}}

    async def picky(request: web.Request, body: dict[str, Any]) -> web.StreamResponse:
        good = body["temperature"] == 0.5
        answer = {"object": "chat.completion", "choices": [{"index": 0, "message": {"content": "Hi."}}]}
        return web.json_response(answer if good else error, status=200 if good else status)

    setattr(upstream, "_" + model.replace("-", "_"), picky)
    proxy = await start(POLICY)
    for n in range(2_000):  # until the first allocation, and of it a small dose
        code, _, _ = await proxy.chat("Write a Python function that adds two numbers", model)
        if n % 10 == 0:
            await asyncio.sleep(0.02)
        if n > 20 and code != 200:
            break
    assert code == status
    await asyncio.sleep(0.8)
    (cell,) = (s for c, s in (await proxy.services.ledger.statistics()).items() if f"|{model}|" in c)
    refused = {arm: signals for arm, signals in cell.arms.items() if arm != "0.5"}
    assert bool(refused) == blamed
    for signals in refused.values():
        assert set(signals) == {"failed"}
        assert signals["failed"].mean == 0.0
