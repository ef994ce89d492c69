"""What was learned, over HTTP: for whoever has a key, and of nobody else's tenant."""

from time import time
from typing import Any

import redis

from metrics import keys
from metrics.records import pack_meta
from metrics.store import Store
from router.settings import KeySettings

META = {"parameter": "temperature", "grid": ["0.1", "0.3"], "baseline": "0.3", "task": "code"}
POLICY = "version: 1\nadapt: {mode: apply, arms: {temperature: [0.1, 0.3]}}"


def cell(tenant: str) -> str:
    return f"{tenant}|code|of-test-learning|direct|1|temperature"


def put(url: str, *tenants: str) -> None:
    with redis.Redis.from_url(url) as client:
        for tenant in tenants:
            client.sadd(keys.CELLS, cell(tenant))
            client.set(keys.meta(cell(tenant)), pack_meta(META))


async def test_learning_is_told_with_standing_and_marks(start: Any, store: Any) -> None:
    put(store.url, "*")
    own = Store(store.url)
    await own.roll_back(cell("*"), "reward fell", time(), 600)
    await own.close()
    proxy = await start(POLICY)
    status, told = await proxy.get("/v1/learning")
    assert (status, told["format"], told["version"], told["paused"]) == (200, "setpoint-learning", 1, None)
    found = told["cells"][cell("*")]
    assert (found["meta"], found["rolled_back"], found["standing"]) == (META, "reward fell", "rolled back")
    assert found["reason"].startswith("reward fell, until 20")


async def test_learning_needs_a_key_where_there_are_some_and_shows_no_other_tenant(start: Any, store: Any) -> None:
    put(store.url, "*", "a", "b")
    proxy = await start(POLICY, keys=[KeySettings(tenant="a", key="sk-a")])
    status, told = await proxy.get("/v1/learning")
    assert (status, told["error"]["code"]) == (401, "invalid_api_key")
    async with proxy.session.get(proxy.url + "/v1/learning", headers={"authorization": "Bearer sk-a"}) as answer:
        shown = (await answer.json())["cells"]
    assert {c for c in shown if "of-test-learning" in c} == {cell("*"), cell("a")}
