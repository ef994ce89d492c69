"""Every draw can be computed again from its record, and replicas with the same table draw alike."""

import asyncio
from collections import Counter
from collections.abc import Mapping, Sequence
from time import time
from typing import Any

import redis

from metrics import keys, records
from metrics.outcome import DecisionRecord
from metrics.store import Store
from metrics.tally import Tally, epoch_of, growth
from router.recomputing import recomputed

POLICY = """
version: 1
defaults: {set: {temperature: 0.5}}
adapt:
  mode: apply
  sticky: session
  arms: {temperature: [0.1, 0.3, 0.5, 0.7, 0.9]}
  objective: {quality: 1, latency: 0, cost: 0}
tasks:
  math: {adapt: {sticky: request}}
rules:
  - {name: bounded, when: {contains: bounded}, bounds: {temperature: [0.2, 0.6]}}
"""
META = {"parameter": "temperature", "grid": ["0.1", "0.3", "0.5", "0.7", "0.9"], "baseline": "0.5"}
ARMS = {"0.1": 0.6, "0.3": 0.7, "0.5": 0.7, "0.7": 0.72, "0.9": 0.5}


def earn(url: str, model: str, arms: Mapping[str, float] = ARMS) -> None:
    """A hundred rewards for each arm, of both tasks: unless said otherwise, several of them are open."""
    weight = growth(now := time())
    with redis.Redis.from_url(url) as client:
        for task in ("code", "math"):
            cell = f"*|{task}|{model}|direct|1|temperature"
            client.sadd(keys.CELLS, cell)
            client.set(keys.meta(cell), records.pack_meta(META | {"task": task}))
            sums = [(arm, "rating", Tally(*(weight * 100 * m for m in (1, mean, mean)))) for arm, mean in arms.items()]
            fields = records.fields(sums)
            client.hset(keys.sums(cell, epoch_of(now)), mapping=dict(zip(fields[::2], fields[1::2], strict=True)))


async def learned(*proxies: Any, model: str) -> None:
    """Until all of them serve the same table, and the model's cells are in it."""
    for _ in range(100):
        tables = [p.services.pipeline.allocations for p in proxies]
        if len({t.version for t in tables}) == 1 and f"*|math|{model}|direct|1|temperature" in tables[0].cells:
            return
        await asyncio.sleep(0.1)
    raise AssertionError("the replicas do not agree on a table")


async def read(store: Store, ids: Sequence[str]) -> dict[str, DecisionRecord]:
    """The records, once all of them are in the store."""
    found: dict[str, DecisionRecord] = {}
    for _ in range(100):
        found = await store.find(ids, time())
        if len(found) == len(ids):
            break
        await asyncio.sleep(0.1)
    assert len(found) == len(ids)
    return found


async def ask(proxy: Any, n: int, model: str) -> str:
    """One request of a conversation, or of none; some have bounds of their own, some rate their answers."""
    headers = {"x-setpoint-task": "math" if n % 3 else "code"} | ({"x-setpoint-session": f"s{n % 40}"} if n % 4 else {})
    _, said, _ = await proxy.chat("a bounded ask" if n % 5 == 0 else "an ask", model, headers)
    decision: str = said["x-setpoint-decision"]
    await proxy.post("/v1/feedback", {"id": decision, "signal": "rating", "value": 1 + n % 5})
    return decision


async def test_every_logged_draw_is_computed_again_from_its_record(start: Any, store: Any) -> None:
    earn(store.url, model="of-recomputing")
    proxy = await start(POLICY)
    await learned(proxy, model="of-recomputing")
    ids = []
    for n in range(300):
        ids.append(await ask(proxy, n, "of-recomputing"))
        await asyncio.sleep(0.005)
    own = Store(store.url)
    found = await read(own, ids)
    await own.close()
    for record in found.values():
        assert recomputed(record) == (record.arm, record.propensity)
    assert len({r.table for r in found.values()}) > 1
    assert len({r.arm for r in found.values()}) > 1
    assert {r.sticky for r in found.values()} == {"session", "request"}
    assert any(r.odds and "0.7" not in r.odds for r in found.values())


async def test_a_conversation_keeps_its_arm_from_replica_to_replica(start: Any, store: Any) -> None:
    earn(store.url, model="of-replicas")
    one, two = await start(POLICY), await start(POLICY)
    arms: Counter[str] = Counter()
    for n in range(400):  # doses are small at first, and a look may take its time: 40 conversations mostly do
        if n >= 40 and len(arms) > 1:
            break
        headers = {"x-setpoint-task": "code", "x-setpoint-session": f"s{n}"}
        before = after = ""
        while not before or before != after:  # a new table may come between the requests
            await learned(one, two, model="of-replicas")
            before = one.services.pipeline.allocations.version
            replies = [await p.chat("an ask", "of-replicas", headers) for p in (one, two, one)]
            await learned(one, two, model="of-replicas")
            after = one.services.pipeline.allocations.version
        assert len({said["x-setpoint-arm"] for _, said, _ in replies}) == 1
        arms[replies[0][1]["x-setpoint-arm"]] += 1
    assert len(arms) > 1


TWO = POLICY.replace("0.9]}", "0.9], top_p: [0.5, 0.7, 0.9]}").replace(
    "temperature: 0.5}", "temperature: 0.5, top_p: 0.9}"
)


async def test_where_the_first_parameter_has_settled_requests_learn_beside_it(
    start: Any, store: Any, upstream: Any
) -> None:
    cell = "*|code|of-two|direct|1|temperature"
    earn(store.url, model="of-two", arms={"0.3": 0.4, "0.5": 0.6, "0.7": 0.9, "0.9": 0.4})
    proxy = await start(TWO)
    await learned(proxy, model="of-two")
    assert proxy.services.pipeline.allocations.settled[cell] == "0.7"
    ids = []
    for n in range(40):
        _, said, _ = await proxy.chat("an ask", "of-two", {"x-setpoint-task": "code", "x-setpoint-session": f"s{n}"})
        ids.append(said["x-setpoint-decision"])
    own = Store(store.url)
    found = await read(own, ids)
    second = f"{cell.replace('temperature', 'top_p')}@temperature=0.7"
    assert {r.cell for r in found.values()} == {cell, second}
    assert sum(r.cell == second for r in found.values()) > 20
    for record in found.values():
        assert recomputed(record) == (record.arm, record.propensity)
        assert (record.parameter, record.effective) == ("top_p" if record.cell == second else "temperature", True)
    assert all(
        body["temperature"] == 0.7 for body, i in zip(upstream.bodies, ids, strict=True) if found[i].cell == second
    )
    rated = [{"id": i, "signal": "rating", "value": 5} for i in ids]
    assert (await proxy.post("/v1/feedback", rated))[0] == 200
    seen = (await own.statistics(time()))[second]
    assert seen.meta["beside"] == {"temperature": "0.7"}
    await own.close()
    _, told = await proxy.get("/v1/learning")
    assert told["cells"][second]["standing"] != "waiting"
    messages = {"model": "of-two", "messages": [{"role": "user", "content": "an ask"}]}
    headers = {
        "x-setpoint-task": "code",
        "x-setpoint-session": next(r.session for r in found.values() if r.cell == second),
    }
    _, _, explained = await proxy.post("/v1/explain", messages, headers)
    assert explained["arm"]["beside"] == {"temperature": "0.7"}
    assert next(s["parameter"] for s in explained["ladder"] if s["rung"] == "arm") == "temperature"
