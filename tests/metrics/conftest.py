"""A real server for the whole run, an empty store for each test, and builders of decisions and outcomes."""

import os
from collections.abc import AsyncIterator, Callable, Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import redis

from metrics.embedded import EmbeddedServer, start_embedded
from metrics.ids import new_decision_id
from metrics.outcome import DecisionRecord, Outcome
from metrics.store import Store

NOW = 1_790_000_000.0

Decide = Callable[..., DecisionRecord]
Finish = Callable[..., Outcome]


@pytest.fixture(scope="session")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[EmbeddedServer]:
    """A server that no other test run shares."""
    running = start_embedded(tmp_path_factory.mktemp("store"))
    yield running
    running.stop()


@pytest.fixture
def raw(server: EmbeddedServer) -> Iterator["redis.Redis"]:
    """A plain client on an empty database."""
    client = redis.Redis.from_url(server.url, decode_responses=True)
    client.flushall()
    yield client
    client.close()


@pytest.fixture
async def store(server: EmbeddedServer, raw: "redis.Redis") -> AsyncIterator[Store]:
    """A store on an empty database."""
    made = Store(server.url)
    yield made
    await made.close()


@pytest.fixture
def decide() -> Decide:
    """Builds decisions: of arm 0.3 in a cell, effective, made at NOW."""

    def build(**changes: Any) -> DecisionRecord:
        at = changes.get("at", NOW)
        record = DecisionRecord(
            new_decision_id(at, os.urandom(10)), "team-a", "code", "m", "u", 1, "team-a|code|m|1", "temperature", "0.3",
            0.5, "apply", "default@abc", None, True, at,
        )  # fmt: skip
        return replace(record, **changes)

    return build


@pytest.fixture
def finish(decide: Decide) -> Finish:
    """Builds outcomes: answered in 10 s, which is a latency reward of 1/2; `decision` may be given."""

    def build(decision: DecisionRecord | None = None, **changes: Any) -> Outcome:
        outcome = Outcome(
            decision or decide(), "chat", None, 200, "stop", "ok", 10.0, 9.999, None, 10, 20, None, "", False, False
        )
        return replace(outcome, **changes)

    return build


@pytest.fixture
def own_folder(tmp_path: Path) -> Path:
    """A data folder for a server of the test's own."""
    return tmp_path / "data"
