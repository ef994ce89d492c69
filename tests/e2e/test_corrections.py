"""Corrections over HTTP: what apps declare and feedback says becomes training data, as features and never as text."""

import asyncio
import json
from pathlib import Path
from time import time
from typing import Any

import pytest
from click.testing import CliRunner

from classifier.labels import Label, unpacked
from classifier.model import Classifier
from metrics.embedded import EmbeddedServer
from metrics.store import Store
from router.cli import main

ASK = "Put this politely for Zebediah Quackenbush: your invoice 4711 is late"
SECRET = "Summarize what Zebediah told me about the warehouse"


@pytest.fixture
def private(tmp_path: Any) -> Any:
    from metrics.embedded import start_embedded

    server = start_embedded(tmp_path / "store")
    yield server
    server.stop()


async def kept(store: EmbeddedServer, count: int) -> list[tuple[str, str]]:
    """The corrections in the store, once there are so many."""
    client = Store(store.url)
    try:
        for _ in range(60):
            found = await client.corrections(time())
            if len(found) >= count:
                break
            await asyncio.sleep(0.1)
        return found
    finally:
        await client.close()


async def test_declared_and_corrected_tasks_are_kept_as_features(start: Any, private: EmbeddedServer) -> None:
    proxy = await start(store_url=private.url, keep_corrections=True)
    await proxy.chat(ASK, headers={"x-setpoint-task": "rewriting"})
    _, headers, _ = await proxy.chat(SECRET)
    await proxy.chat("nobody said anything about this one")
    item = {"id": headers["x-setpoint-decision"], "signal": "task", "value": "extraction"}
    for _ in range(40):
        if (await proxy.post("/v1/feedback", item))[2]["result"] in ("credited", "duplicate"):
            break
        await asyncio.sleep(0.1)
    found = await kept(private, 2)
    assert sorted(task for task, _ in found) == ["extraction", "rewriting"]
    assert not any("Zebediah" in text or "4711" in text for pair in found for text in pair)
    labels = [label for task, text in found if (label := unpacked(task, text))]
    keys = Classifier.load().linear.keys
    assert all(isinstance(label, Label) and len(label.document(keys)[0]) >= 4 for label in labels)


async def test_without_the_operators_wish_nothing_is_kept(start: Any, private: EmbeddedServer) -> None:
    proxy = await start(store_url=private.url)
    await proxy.chat(ASK, headers={"x-setpoint-task": "rewriting"})
    await asyncio.sleep(1.5)
    assert await kept(private, 0) == []


async def test_what_traffic_corrected_is_learned_from(start: Any, private: EmbeddedServer, tmp_path: Path) -> None:
    proxy = await start(store_url=private.url, keep_corrections=True)
    asks = [
        "Put this politely for my boss: the invoice is late",
        "Make my message sound friendlier before I send it to a customer",
        "Say that again in simpler words, please",
        "Give this paragraph a more formal tone",
    ]
    for ask in asks:
        await proxy.chat(ask, headers={"x-setpoint-task": "rewriting"})
    await kept(private, len(asks))
    config = tmp_path / "setpoint.yaml"
    config.write_text(
        json.dumps({"upstreams": [{"name": "a", "base_url": "http://127.0.0.1:1"}], "store": private.url})
    )
    out = tmp_path / "out"
    command = ["train", "--from-traffic", "--config", str(config), "--out", str(out)]
    result = await asyncio.to_thread(CliRunner().invoke, main, command)
    assert result.exit_code == 0, result.output
    assert "4 rows of your own" in result.stdout
    assert "corrections: of 4 rows" in result.stdout
    assert Classifier.load(out).tasks == Classifier.load().tasks
