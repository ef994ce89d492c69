"""Bad input and faults: each a clear error in OpenAI's shape, or a named degraded mode."""

import asyncio
import json
from typing import Any

import pytest
from yarl import URL

from router.errors import CODES
from router.settings import KeySettings, Limits, UpstreamSettings


@pytest.mark.parametrize(
    ("body", "status", "code"),
    [
        (b"{", 400, "invalid_json"),
        (b"", 400, "invalid_json"),
        (b"[1]", 400, "invalid_request"),
        (b"\xff\xfe", 400, "invalid_json"),
        (b'{"messages": [{"role": "user", "content": "x"}]}', 400, "invalid_request"),
        (b'{"model": 5, "messages": [{}]}', 400, "invalid_request"),
        (b'{"model": "m", "messages": []}', 400, "invalid_request"),
        (b'{"model": "m", "messages": "hi"}', 400, "invalid_request"),
        (b'{"model": "m", "messages": [1]}', 400, "invalid_request"),
        (b'{"model": "m"}', 400, "invalid_request"),
        (b'{"model": "m", "messages": [{}], "stream": "yes"}', 400, "invalid_request"),
    ],
)
async def test_bad_bodies_are_refused_in_openais_shape(proxy: Any, body: bytes, status: int, code: str) -> None:
    got, _, answer = await proxy.post("/v1/chat/completions", body)
    assert (got, answer["error"]["code"]) == (status, code)
    assert set(answer["error"]) == {"message", "type", "param", "code"}


@pytest.mark.parametrize(
    "content",
    [None, [], [None], [{"type": "text"}], {"a": 1}, 5, [{"type": "text", "text": 5}], "", "\u0000", "\ud83d"],
)
async def test_odd_contents_are_the_upstreams_to_judge(proxy: Any, upstream: Any, content: Any) -> None:
    body = json.dumps({"model": "m", "messages": [{"role": "user", "content": content}]}).encode()
    status, _, answer = await proxy.post("/v1/chat/completions", body)
    assert status == 200 or answer["error"]["code"] == "invalid_json"  # a lone surrogate is no JSON text


async def test_a_parameter_of_the_wrong_type_reaches_the_upstream_as_it_is(start: Any, upstream: Any) -> None:
    proxy = await start("version: 1")
    await proxy.chat(temperature="hot", max_tokens=None, stop=5)
    assert (upstream.last["temperature"], upstream.last["stop"]) == ("hot", 5)


async def test_a_body_over_the_limit_is_413(start: Any) -> None:
    proxy = await start(limits=Limits(body_mb=0.001))
    status, _, answer = await proxy.chat("x" * 2_000)
    assert (status, answer["error"]["code"]) == (413, "body_too_large")


async def test_20_mb_pass(proxy: Any, upstream: Any) -> None:
    status, _, _ = await proxy.chat("word " * 3_900_000)
    assert status == 200


async def test_an_unknown_model_path_or_method_says_so(start: Any, upstream: Any) -> None:
    proxy = await start(upstreams=[UpstreamSettings(name="fake", base_url=upstream.url, models=["gpt-*"])])
    status, _, answer = await proxy.chat(model="nope")
    assert (status, answer["error"]["code"], answer["error"]["param"]) == (404, "model_not_found", "model")
    status, answer = await proxy.get("/nowhere")
    assert (status, answer["error"]["code"]) == (404, "unknown_path")
    async with proxy.session.delete(proxy.url + "/v1/feedback") as r:
        assert r.status == 405
        assert (await r.json())["error"]["code"] == "method_not_allowed"


async def test_keys_are_checked_and_never_reach_the_upstream(start: Any, upstream: Any) -> None:
    proxy = await start(keys=[KeySettings(tenant="team-a", key="sk-secret", requests_per_minute=2)])
    status, headers, answer = await proxy.chat()
    assert (status, answer["error"]["code"]) == (401, "invalid_api_key")
    status, _, _ = await proxy.chat(headers={"authorization": "Bearer wrong"})
    assert status == 401
    key = {"authorization": "Bearer sk-secret"}
    assert (await proxy.chat(headers=key))[0] == 200
    assert "authorization" not in upstream.headers[-1]
    assert (await proxy.chat(headers=key))[0] == 200
    status, headers, answer = await proxy.chat(headers=key)
    assert (status, answer["error"]["code"]) == (429, "rate_limited")
    assert int(headers["retry-after"]) >= 1


async def test_without_keys_the_clients_own_key_goes_through(proxy: Any, upstream: Any) -> None:
    await proxy.chat(headers={"authorization": "Bearer mine", "x-setpoint-session": "s", "cookie": "c=1"})
    assert upstream.headers[-1]["authorization"] == "Bearer mine"
    assert not {"cookie", "x-setpoint-session"} & upstream.headers[-1].keys()


async def test_an_upstreams_error_passes_with_status_and_body(proxy: Any) -> None:
    status, headers, answer = await proxy.chat(model="limited")
    assert (status, answer["error"]["code"]) == (429, "rate_limit_exceeded")
    assert headers["retry-after"] == "0"
    status, _, answer = await proxy.chat(model="html-error")
    assert (status, answer["error"]["type"]) == (503, "upstream_error")


@pytest.mark.parametrize(("model", "code"), [("garbage", "upstream_invalid"), ("cut", "upstream_cut")])
async def test_a_broken_answer_is_an_error_and_not_half_a_body(proxy: Any, model: str, code: str) -> None:
    status, _, answer = await proxy.chat(model=model)
    assert (status, answer["error"]["code"]) == (502, code)


async def test_a_stream_cut_in_the_middle_ends_with_an_error_event(proxy: Any) -> None:
    status, _, raw = await proxy.chat(model="cut", stream=True)
    assert status == 200
    last = raw.strip().split(b"\n\n")[-1]
    assert json.loads(last.removeprefix(b"data: "))["error"]["code"] == "upstream_cut"


async def test_an_upstream_that_is_down_or_silent_is_named(start: Any, upstream: Any) -> None:
    down = UpstreamSettings(name="down", base_url="http://127.0.0.1:9/v1", models=["down"])
    proxy = await start(
        upstreams=[down, UpstreamSettings(name="fake", base_url=upstream.url)], limits=Limits(read_seconds=0.3)
    )
    status, _, answer = await proxy.chat(model="down")
    assert (status, answer["error"]["code"]) == (502, "upstream_unreachable")
    status, _, answer = await proxy.chat(model="silent")
    assert (status, answer["error"]["code"]) == (504, "upstream_timeout")
    _, page = await proxy.get("/metrics")
    assert 'setpoint_upstream_errors_total{kind="upstream_unreachable",upstream="down"} 1.0' in page


async def test_a_hang_up_cancels_the_upstream_call(proxy: Any, upstream: Any) -> None:
    body = {"model": "endless", "stream": True, "messages": [{"role": "user", "content": "go"}]}
    async with proxy.session.post(proxy.url + "/v1/chat/completions", json=body) as r:
        await r.content.read(100)
        r.close()
    await asyncio.wait_for(upstream.cancelled.wait(), 5)
    await asyncio.sleep(0.1)
    _, page = await proxy.get("/metrics")
    assert 'outcome="cancelled"' in page


async def test_a_hang_up_before_the_answer_cancels_too(proxy: Any, upstream: Any) -> None:
    task = asyncio.create_task(proxy.chat(model="silent"))
    while not upstream.bodies:
        await asyncio.sleep(0.01)
    task.cancel()
    await asyncio.wait_for(upstream.cancelled.wait(), 5)


async def test_a_classifier_that_fails_costs_no_request(proxy: Any, upstream: Any) -> None:
    def broken(ask: object) -> Any:
        raise RuntimeError("no")

    proxy.services.pipeline.classify = broken
    status, headers, _ = await proxy.chat()
    assert (status, headers["x-setpoint-task"]) == (200, "general")
    assert upstream.last["temperature"] == 0.5


async def test_a_policy_that_fails_costs_no_request(proxy: Any, upstream: Any) -> None:
    proxy.services.pipeline.engine = None
    proxy.services.pipeline.engine = type("Broken", (), {"name": "broken", "decide": lambda *a: 1 / 0})()
    status, _, _ = await proxy.chat(temperature=1.1)
    assert status == 200
    assert upstream.last["temperature"] == 1.1


async def test_without_a_store_requests_are_served_and_readyz_says_so(start: Any) -> None:
    proxy = await start(store_url="redis://127.0.0.1:1/0")
    for _ in range(3):
        assert (await proxy.chat())[0] == 200
    await asyncio.sleep(1.5)
    status, ready = await proxy.get("/readyz")
    assert (status, ready["store"]["up"]) == (200, False)
    status, _, told = await proxy.post("/v1/feedback", {"id": "chatcmpl-abc", "signal": "rating", "value": 5})
    assert (status, told["result"]) == (200, "queued")


def test_the_codes_are_a_closed_list_of_http_errors() -> None:
    assert all(400 <= status < 600 for status, _ in CODES.values())


async def test_a_forbidden_parameter_is_refused_by_name(start: Any) -> None:
    proxy = await start("version: 1\ndefaults: {client: {seed: forbid}}")
    status, _, answer = await proxy.chat(seed=1)
    assert (status, answer["error"]["code"], answer["error"]["param"]) == (400, "parameter_forbidden", "seed")


async def test_no_prompt_and_no_key_reaches_a_log(start: Any, caplog: pytest.LogCaptureFixture) -> None:
    proxy = await start(keys=[KeySettings(tenant="a", key="sk-very-secret")])

    def broken(ask: object) -> Any:
        raise RuntimeError("no")

    proxy.services.pipeline.classify = broken
    key = {"authorization": "Bearer sk-very-secret"}
    for model in ("gpt-4.1", "garbage", "cut", "limited"):
        await proxy.chat("the treasure lies under the oak", model, key)
    await proxy.chat("the treasure lies under the oak", headers={"authorization": "Bearer sk-other-secret"})
    assert "the classifier failed" in caplog.text
    assert "treasure" not in caplog.text
    assert "secret" not in caplog.text


@pytest.mark.parametrize("stream", [False, True])
async def test_answers_without_a_body_end(proxy: Any, stream: bool) -> None:
    for _ in range(3):
        status, _, _ = await asyncio.wait_for(proxy.chat(model="empty", stream=stream), 10)
        assert status == 204


async def test_a_redirect_is_the_clients_to_follow_and_a_page_is_no_answer(proxy: Any) -> None:
    body = {"model": "elsewhere", "messages": [{"role": "user", "content": "x"}]}
    async with proxy.session.post(proxy.url + "/v1/chat/completions", json=body, allow_redirects=False) as r:
        assert r.status == 307
    for stream in (False, True):
        status, _, answer = await proxy.chat(model="page", stream=stream)
        assert (status, answer["error"]["code"]) == (502, "upstream_invalid")


async def test_upstreams_are_asked_for_plain_answers(proxy: Any, upstream: Any) -> None:
    await proxy.chat(headers={"accept-encoding": "gzip"})
    assert upstream.headers[-1]["accept-encoding"] == "identity"


async def test_a_separator_in_a_declared_task_breaks_no_cell(start: Any) -> None:
    proxy = await start("version: 1\ntasks: {'a|b': {set: {temperature: 0.1}}}")
    assert (await proxy.chat(headers={"x-setpoint-task": "a|b"}))[0] == 200
    await asyncio.sleep(1.5)
    assert (
        "setpoint_learning_failures_total 0.0" in (await proxy.get("/metrics"))[1]
        or "setpoint_learning_failures_total" not in (await proxy.get("/metrics"))[1]
    )


@pytest.mark.parametrize("path", ["/v1/%2e%2e/%2e%2e/admin", "/v1/files/..%2f..%2fadmin"])
async def test_no_path_climbs_out_of_v1(proxy: Any, upstream: Any, path: str) -> None:
    async with proxy.session.get(URL(proxy.url + path, encoded=True)) as r:
        assert r.status == 404
    assert upstream.paths == []


@pytest.mark.parametrize("path", ["/v1/files/a%3Fadmin=1", "/v1/models/org%2Fm", "/v1/files/%E4%BD%A0%20b"])
async def test_escapes_in_a_path_stay_as_they_are(proxy: Any, upstream: Any, path: str) -> None:
    async with proxy.session.get(URL(proxy.url + path, encoded=True)) as r:
        assert r.status == 201
    assert upstream.paths == [f"GET {path}"]


async def test_numbers_and_nesting_beyond_json_libraries_are_answered(proxy: Any) -> None:
    status, _, _ = await proxy.chat(seed=99999999999999999999999)
    assert status == 200
    body = b'{"model":"m","messages":[{"role":"user","content":"x"}],"metadata":' + b"[" * 900 + b"]" * 900 + b"}"
    status, _, _ = await proxy.post("/v1/chat/completions", body)
    assert status == 200  # its bytes go through as they are
    written_anew = body[:-1] + b',"temperature":null}'
    status, _, answer = await proxy.post("/v1/chat/completions", written_anew)
    assert (status, answer["error"]["code"]) == (400, "invalid_request")
