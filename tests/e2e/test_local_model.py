"""`setpoint serve` as a user starts it: a real small model, the embedded store, one command."""

import json
import os
import signal
import subprocess
import sys
import time
import urllib.request
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from openai import OpenAI

from bench import free_port
from router.local_model import MODEL

pytestmark = pytest.mark.local_model


@pytest.fixture(scope="module")
def url(tmp_path_factory: pytest.TempPathFactory, serve: Any) -> Iterator[str]:
    port = free_port()
    process = serve(tmp_path_factory.mktemp("run"), port)
    yield f"http://127.0.0.1:{port}/v1"
    process.send_signal(signal.SIGINT)
    _, said = process.communicate(timeout=20)
    assert process.returncode in (0, -signal.SIGINT), said
    assert "Traceback" not in said
    assert MODEL in said
    assert "curl" in said


def test_the_curl_of_the_readme_gets_a_real_completion(url: str) -> None:
    body = {"model": MODEL, "messages": [{"role": "user", "content": "Write a haiku about autumn"}]}
    request = urllib.request.Request(
        f"{url}/chat/completions", json.dumps(body).encode(), {"content-type": "application/json"}
    )
    with urllib.request.urlopen(request) as answer:
        said = json.loads(answer.read())
        headers = answer.headers
    assert len(said["choices"][0]["message"]["content"]) > 10
    assert headers["x-setpoint-task"] == "creative_writing"
    assert json.loads(headers["x-setpoint-params"])["temperature"] == 0.8
    assert headers["x-setpoint-decision"].startswith("dec_")


def test_the_openai_client_streams_from_it(url: str) -> None:
    with OpenAI(base_url=url, api_key="none") as client:
        stream = client.chat.completions.create(
            model=MODEL, messages=[{"role": "user", "content": "Say hello"}], stream=True, max_tokens=12
        )
        text = "".join(e.choices[0].delta.content or "" for e in stream if e.choices)
        assert text
        assert MODEL in [m.id for m in client.models.list()]


def test_a_seed_and_a_json_schema_reach_the_model(url: str) -> None:
    schema: dict[str, object] = {"type": "object", "properties": {"city": {"type": "string"}}, "required": ["city"]}

    def ask(client: OpenAI) -> str:
        answer = client.chat.completions.create(
            model=MODEL,
            seed=7,
            max_tokens=40,
            messages=[{"role": "user", "content": "Extract the city: I live in Paris."}],
            response_format={"type": "json_schema", "json_schema": {"name": "c", "schema": schema}},
        )
        return answer.choices[0].message.content or ""

    with OpenAI(base_url=url, api_key="none") as client:
        first, second = ask(client), ask(client)
    assert first == second
    assert "city" in json.loads(first)


def test_several_workers_share_port_and_metrics(tmp_path: Path, serve: Any) -> None:
    port = free_port()
    process = serve(tmp_path, port, "--workers", "2")
    try:
        body = json.dumps({"model": MODEL, "max_tokens": 1, "messages": [{"role": "user", "content": "hi"}]}).encode()
        for _ in range(20):
            request = urllib.request.Request(
                f"http://127.0.0.1:{port}/v1/chat/completions",
                body,
                {"content-type": "application/json", "connection": "close"},
            )
            with urllib.request.urlopen(request) as answer:
                answer.read()

        def total() -> float:
            with urllib.request.urlopen(f"http://127.0.0.1:{port}/metrics") as page:
                lines = page.read().decode().splitlines()
            return sum(float(li.rsplit(" ", 1)[1]) for li in lines if li.startswith("setpoint_requests_total{"))

        deadline = time.monotonic() + 10
        while total() < 20.0 and time.monotonic() < deadline:  # the other worker brings its counts in twice a second
            time.sleep(0.1)
        totals = {total() for _ in range(5)}
        assert totals == {20.0}
    finally:
        process.send_signal(signal.SIGTERM)
        process.communicate(timeout=20)


def test_the_example_rates_real_answers(url: str) -> None:
    script = Path(__file__).parent.parent.parent / "examples" / "rate-answers" / "rate.py"
    env = os.environ | {"SETPOINT_URL": url.removesuffix("/v1")}
    said = subprocess.run(
        [sys.executable, str(script), "3"], env=env, capture_output=True, text=True, check=True
    ).stdout
    assert len(said.splitlines()) == 3
    assert "credited" in said
