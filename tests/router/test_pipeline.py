"""The pipeline: what is sent, and what is known of it."""

import json
from dataclasses import fields

import orjson
import pytest

from classifier.ask import Ask
from classifier.verdict import Verdict
from policies.context import Context
from router import offline, pipeline
from router.incoming import Incoming
from router.surfaces import SURFACES
from router.upstreams.routing import Route

ASKED = {"messages": [{"role": "user", "content": "Write a haiku about autumn"}], "unknown": {"a": [1.5]}}


def test_a_body_that_gains_parameters_keeps_its_own_bytes() -> None:
    prepared = offline.prepare(ASKED, None, None, "m")
    own = json.dumps({"model": "m", **ASKED}).encode()
    assert prepared.decision.params
    assert prepared.body.endswith(own[1:])
    assert orjson.loads(prepared.body) == prepared.incoming.json == {"model": "m", **ASKED, **prepared.decision.params}


@pytest.mark.parametrize("sent", [{}, {"temperature": None}, {"max_completion_tokens": 5}])
def test_what_is_sent_as_bytes_and_as_json_is_the_same(sent: dict[str, object]) -> None:
    """With a model's name of its own upstream, too."""
    prepared = offline.prepare(ASKED | sent, None, None, "m")
    route = Route(prepared.route.upstream, "other/name", prepared.route.provider)
    incoming = Incoming(SURFACES["chat"], json.dumps({"model": "m", **ASKED, **sent}).encode(), {})
    raw = pipeline._rewritten(incoming, route, prepared.decision)
    assert orjson.loads(raw) == incoming.json
    assert incoming.json["model"] == "other/name"
    assert {k: incoming.json[k] for k in prepared.decision.params if k in incoming.json}


def test_every_field_of_a_context_is_where_it_belongs() -> None:
    body = {"model": "m", "messages": [{}], "tools": [{}], "stream": True, "response_format": {"type": "json_object"}}
    headers = {"x-setpoint-session": "s", "x-setpoint-mode": "observe"}
    incoming = Incoming(SURFACES["chat"], json.dumps(body).encode(), headers)
    ask = Ask("text", "en", 3, 2, (), in_tool_loop=True, images=True, wants_json=True)
    upstream = offline.prepare(ASKED, None, None, "m").route.upstream
    verdict = Verdict("code", 0.5, (("math", 0.25),), "model")
    made = pipeline._context(incoming, ask, verdict, Route(upstream, "up/m", "vllm"), "team", "dec_1")
    assert made == Context(
        task="code", confidence=0.5, candidates=(("code", 0.5), ("math", 0.25)), turn=3, attempt=2, model="up/m",
        upstream=upstream.name, provider="vllm", surface="chat", tags=upstream.tags, tenant="team", language="en", text="text",
        headers=headers, session="s", tools=True, tool_loop=True, images=True, stream=True, wants_json=True, mode="observe",
        id="dec_1",
    )  # fmt: skip
    usual = Context()
    assert all(
        getattr(made, f.name) != getattr(usual, f.name) for f in fields(made) if f.name not in ("surface", "tags")
    )
