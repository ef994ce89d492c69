"""Learning in apply mode while something is wrong with what it reads, with the store, with the clock or with the policy: no request fails,
every value sent is one that the policy allows, what happened is counted, and learning goes on afterwards."""

import asyncio
import itertools
import os
import signal
import time
from collections.abc import AsyncIterator, Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
import redis

from bench.learning.relay import Relay
from metrics import keys
from metrics.embedded import EmbeddedServer, start_embedded
from metrics.store import Batch, Store
from metrics.tally import EPOCH, Slot, Tally, epoch_of, growth

CELL = "*|code|gpt-4.1|direct|1|temperature"
META = {"parameter": "temperature", "grid": ["0.3", "0.5", "0.7"], "baseline": "0.5", "task": "code"}
POLICY = """
version: 1
defaults: {set: {temperature: %s}}
adapt: {mode: apply, arms: {temperature: [%s]}, objective: {quality: 1, latency: 0, cost: 0}}
"""
PLAIN = POLICY % ("0.5", "0.3, 0.5, 0.7")
LEGAL = {0.3, 0.5, 0.7}
_numbers = itertools.count(1)


def sums() -> str:
    return keys.sums(CELL, epoch_of(time.time()))


async def earn(url: str, **arms: float) -> None:
    """Three hundred ratings an arm, with these means; `a07=.9` for arm 0.7."""
    store, now = Store(url), time.time()
    w = 300 * growth(now)
    slots = {
        Slot(CELL, epoch_of(now), f"{name[1]}.{name[2]}", "thumbs"): Tally(w, w * mean, w * mean)
        for name, mean in arms.items()
    }
    await store.write(Batch(f"earner-{os.getpid()}", next(_numbers), sums=slots))
    await store.close()


@pytest.fixture
def own(tmp_path: Path) -> Iterator[EmbeddedServer]:
    """A server that a test may do anything to."""
    server = start_embedded(tmp_path / "own")
    yield server
    server.stop()


@pytest.fixture
def raw(own: EmbeddedServer) -> Iterator["redis.Redis"]:
    with redis.Redis.from_url(own.url, decode_responses=True) as client:
        yield client


@dataclass
class World:
    """A proxy that has learned that 0.7 is best, and what can be seen of it."""

    proxy: Any
    upstream: Any
    url: str

    async def ask(self, count: int = 15) -> set[float]:
        """What temperatures these requests got; all of them succeed."""
        self.upstream.bodies.clear()
        said = await asyncio.gather(*(self.proxy.chat(headers={"x-setpoint-task": "code"}) for _ in range(count)))
        assert {status for status, _, _ in said} == {200}
        return {body["temperature"] for body in self.upstream.bodies}

    def share(self, arm: str = "0.7") -> float:
        cells = self.proxy.services.pipeline.allocations.cells
        return float(cells.get(CELL, {}).get(arm, 0.0))

    async def count(self, family: str) -> float:
        page = (await self.proxy.get("/metrics"))[1]
        lines = [line for line in page.splitlines() if line.startswith((f"setpoint_{family} ", f"setpoint_{family}{{"))]
        return sum(float(line.rpartition(" ")[2]) for line in lines)

    async def until(self, condition: Callable[[], bool], legal: set[float] = LEGAL) -> None:
        """Requests all the while, each with a legal value."""
        async with asyncio.timeout(20):
            while not condition():
                assert await self.ask(3) <= legal
                await asyncio.sleep(0.1)

    async def learns(self) -> None:
        """Ratings come in again, and the allocation follows."""
        await earn(self.url, a07=0.95, a05=0.5, a03=0.3)
        await self.until(lambda: self.share() > 0.5)
        assert 0.7 in await self.ask(40)


@pytest.fixture
async def world(start: Any, upstream: Any, own: EmbeddedServer) -> World:
    found = World(await start(PLAIN, store_url=own.url), upstream, own.url)
    await found.ask()
    await earn(own.url, a07=0.9, a05=0.5, a03=0.4)
    await found.until(lambda: found.share() > 0.5)
    return found


@dataclass(frozen=True)
class Wrong:
    """Something wrong in Redis: how it got there, what counts it, whether the policy's value alone is served meanwhile, and what the
    operator does about it where it does not go by itself."""

    do: Callable[["redis.Redis"], Any]
    counted: str | None = "store_corrupt_total"
    static: bool = False
    undo: Callable[["redis.Redis"], Any] | None = None


def other_type(key: str) -> Callable[["redis.Redis"], Any]:
    return lambda raw: (raw.delete(key), raw.lpush(key, "a list"))


def all_sums(value: str) -> Callable[["redis.Redis"], Any]:
    return lambda raw: raw.hset(sums(), mapping=dict.fromkeys(raw.hkeys(sums()), value))


def one_sum(field: str, value: str) -> Callable[["redis.Redis"], Any]:
    return lambda raw: raw.hset(sums(), field, value)


WRONG = {
    "all sums nan": Wrong(all_sums("nan")),
    "all sums inf": Wrong(all_sums("inf")),
    "all sums -inf": Wrong(all_sums("-inf")),
    "all sums 1e308": Wrong(all_sums("1e308"), None),
    "all sums empty": Wrong(all_sums("")),
    "all sums zero": Wrong(all_sums("0"), None),
    "all sums denormal": Wrong(all_sums("5e-324"), None),
    "a count nan": Wrong(one_sum("n|thumbs|0.7", "nan")),
    "a count negative": Wrong(one_sum("n|thumbs|0.7", "-7")),
    "a count zero": Wrong(one_sum("n|thumbs|0.7", "0")),
    "a sum no number": Wrong(one_sum("s|thumbs|0.5", "many")),
    "a sum larger than its count": Wrong(one_sum("s|thumbs|0.5", "1e300")),
    "a field that is none": Wrong(one_sum("garbage", "1")),
    "sums of another type": Wrong(lambda raw: other_type(sums())(raw)),
    "meta cut off": Wrong(lambda raw: raw.set(keys.meta(CELL), '{"parameter": "temp')),
    "meta a list": Wrong(lambda raw: raw.set(keys.meta(CELL), "[1]")),
    "meta of wrong types": Wrong(lambda raw: raw.set(keys.meta(CELL), '{"parameter": [], "grid": "x", "baseline": {}}')),
    "meta of no parameter": Wrong(lambda raw: raw.set(keys.meta(CELL), '{"parameter": "heat", "grid": ["1"], "baseline": "1", "task": "code"}')),
    "meta of no values": Wrong(lambda raw: raw.set(keys.meta(CELL), '{"parameter": "temperature", "grid": ["hot", "nan"], "baseline": "hot", "task": "code"}')),
    "meta beside what is no arm": Wrong(lambda raw: raw.set(keys.meta(CELL), '{"parameter": "temperature", "grid": ["0.3", "0.5", "0.7"], "baseline": "0.5", "task": "code", "beside": [7]}'), None),
    "meta gone": Wrong(lambda raw: raw.delete(keys.meta(CELL))),
    "meta of another type": Wrong(other_type(keys.meta(CELL))),
    "the change's time": Wrong(lambda raw: raw.set(keys.last_changed(CELL), "yesterday")),
    "the change's time nan": Wrong(lambda raw: raw.set(keys.last_changed(CELL), "nan")),
    "the change's guard": Wrong(other_type(keys.changed(CELL)), None),
    "a rollback that cannot be read": Wrong(lambda raw: raw.set(keys.rolled_back(CELL), "{"), static=True, undo=lambda raw: raw.delete(keys.rolled_back(CELL))),
    "a rollback of another type": Wrong(other_type(keys.rolled_back(CELL))),
    "a pause that cannot be read": Wrong(lambda raw: raw.set(keys.PAUSED, "\x00"), static=True, undo=lambda raw: raw.delete(keys.PAUSED)),
    "a pause of another type": Wrong(other_type(keys.PAUSED)),
    "the index of another type": Wrong(other_type(keys.CELLS)),
    "a cell that is none": Wrong(lambda raw: (raw.sadd(keys.CELLS, "||", "\x00", "*|a|b|c|d|e"), raw.set(keys.meta("||"), "{}"))),
    "a newer layout": Wrong(lambda raw: raw.set(keys.SCHEMA, "2"), "store_down_seconds_total", undo=lambda raw: raw.set(keys.SCHEMA, "1")),
    "the layout of another type": Wrong(other_type(keys.SCHEMA), "store_down_seconds_total", undo=lambda raw: raw.delete(keys.SCHEMA)),
    "markers of another type": Wrong(lambda raw: [other_type(k)(raw) for k in (*raw.scan_iter("setpoint:writer:*"), *raw.scan_iter("*:w:*"))]),
    "decisions of another type": Wrong(lambda raw: [other_type(k)(raw) for k in [*raw.scan_iter("setpoint:decisions:*")]]),
    "everything gone": Wrong(lambda raw: raw.flushall(), None),
}  # fmt: skip


@pytest.mark.parametrize("name", WRONG)
async def test_whatever_is_wrong_in_redis_no_request_fails_and_learning_goes_on(
    world: World, raw: "redis.Redis", name: str
) -> None:
    wrong = WRONG[name]
    before = await world.count(wrong.counted) if wrong.counted else 0.0
    wrong.do(raw)
    if wrong.static:
        await world.until(lambda: world.share("0.5") == 1.0)
        assert await world.ask(30) == {0.5}
    async with asyncio.timeout(10):
        while wrong.counted and await world.count(wrong.counted) <= before:
            assert await world.ask(3) <= LEGAL
    assert await world.ask() <= LEGAL
    if wrong.undo:
        wrong.undo(raw)
    await world.learns()
    assert await world.count("learning_failures_total") == 0


async def test_a_store_that_refuses_costs_no_request_and_the_last_table_is_served(world: World, own: EmbeddedServer, tmp_path: Path) -> None:  # fmt: skip
    version = world.proxy.services.pipeline.allocations.version
    os.kill(own.pid, signal.SIGKILL)
    own.stop()
    await world.until(lambda: not world.proxy.services.ledger.state.up)
    assert 0.7 in await world.ask(40)
    assert world.proxy.services.pipeline.allocations.version == version
    async with asyncio.timeout(10):
        while await world.count("store_down_seconds_total") == 0:
            await asyncio.sleep(0.1)
    again = start_embedded(tmp_path / "own")
    await world.until(lambda: bool(world.proxy.services.ledger.state.up))
    await world.learns()
    again.stop()


async def _goes_silent(world: World, go: Callable[[], None], back: Callable[[], None]) -> None:
    ledger = world.proxy.services.ledger
    go()
    try:
        await world.until(lambda: not ledger.state.up)
        assert 0.7 in await world.ask(40)
        _, headers, _ = await world.proxy.chat(headers={"x-setpoint-task": "code"})
        item = {"id": headers["x-setpoint-decision"], "signal": "rating", "value": 5}
        assert (await world.proxy.post("/v1/feedback", item))[2]["result"] == "queued"
        async with asyncio.timeout(10):
            while await world.count("store_down_seconds_total") == 0:
                await asyncio.sleep(0.1)
    finally:
        back()
    await world.until(lambda: ledger.state.up and ledger.state.buffered == 0)
    assert (await world.proxy.post("/v1/feedback", item))[2]["result"] == "duplicate"
    await world.learns()


async def test_a_server_that_stands_still_costs_no_request(world: World, own: EmbeddedServer) -> None:
    await _goes_silent(world, lambda: os.kill(own.pid, signal.SIGSTOP), lambda: os.kill(own.pid, signal.SIGCONT))


@pytest.fixture
async def relay(own: EmbeddedServer) -> AsyncIterator[Relay]:
    made = Relay(own.url)
    yield made
    await made.stop()


async def test_a_listener_that_never_answers_costs_no_request(
    start: Any, upstream: Any, own: EmbeddedServer, relay: Relay
) -> None:
    world = World(await start(PLAIN, store_url=await relay.start()), upstream, own.url)
    await earn(own.url, a07=0.9, a05=0.5, a03=0.4)
    await world.until(lambda: world.share() > 0.5)

    def silent(on: bool) -> None:
        relay.silent = on

    await _goes_silent(world, lambda: silent(True), lambda: silent(False))


@pytest.mark.parametrize("hours", [[6.0], [-6.0], [9.0, -9.0, 3.0, 0.0], [-8 * 24.0, 8 * 24.0]])
async def test_the_clock_may_jump(world: World, monkeypatch: pytest.MonkeyPatch, hours: list[float]) -> None:
    """Everything that asks for the time gets another one."""
    off, real = [0.0], time.time
    services = world.proxy.services
    for module in ("outcomes", "endpoints", "watching"):
        monkeypatch.setattr(f"router.{module}.time", lambda: real() + off[0])
    for owner in (services.ledger, services.pipeline):
        monkeypatch.setattr(owner, "_clock", lambda: real() + off[0])
    for jump in hours:
        if epoch_of(real() + jump * 3_600) != epoch_of(real()):
            pytest.skip(f"within {abs(jump):g} h of the end of an epoch of {EPOCH / 86_400:g} days")
        off[0] = jump * 3_600
        assert await world.ask(30) <= LEGAL
        _, headers, _ = await world.proxy.chat(headers={"x-setpoint-task": "code"})
        item = {"id": headers["x-setpoint-decision"], "signal": "rating", "value": 5}
        assert (await world.proxy.post("/v1/feedback", item))[2]["result"] == "credited"
        await world.until(lambda: services.ledger.state.up and services.ledger.state.buffered == 0)
        assert world.share() > 0.5
    await world.learns()
    assert await world.count("store_down_seconds_total") < 60
    assert await world.count("learning_failures_total") == 0


@dataclass(frozen=True)
class Edit:
    """Of the policy: its value and arms, what may be served from the next look on, and the arms that learning then knows."""

    value: str
    arms: str
    legal: set[float]
    grid: list[str]


EDITS = {
    "the best arm is removed": Edit("0.5", "0.3, 0.5", {0.3, 0.5}, ["0.3", "0.5"]),
    "all arms are others": Edit("0.5", "0.1, 0.9", {0.1, 0.5, 0.9}, ["0.1", "0.5", "0.9"]),
    "arms are added": Edit("0.5", "0.1, 0.3, 0.5, 0.7, 0.9", {0.1, 0.3, 0.5, 0.7, 0.9}, ["0.1", "0.3", "0.5", "0.7", "0.9"]),
    "the policy's value is another arm": Edit("0.3", "0.3, 0.5, 0.7", LEGAL, ["0.3", "0.5", "0.7"]),
    "the policy's value is a new one": Edit("0.6", "0.3, 0.5, 0.7", LEGAL | {0.6}, ["0.3", "0.5", "0.6", "0.7"]),
    "only the policy's value is left": Edit("0.5}, bounds: {temperature: [0.5, 0.5]", "0.3, 0.5", {0.5}, ["0.5"]),
}  # fmt: skip


@pytest.mark.parametrize("name", EDITS)
async def test_a_policy_edit_changes_the_grid_under_what_was_learned(
    world: World, raw: "redis.Redis", name: str
) -> None:
    edit, services = EDITS[name], world.proxy.services
    digest = services.book.policy.digest
    world.proxy.policy.write_text(POLICY % (edit.value, edit.arms))
    await world.until(lambda: services.book.policy.digest != digest, LEGAL | edit.legal)
    assert await world.ask(30) <= edit.legal
    await world.until(lambda: list(services.pipeline.allocations.cells.get(CELL, {})) == edit.grid, edit.legal)
    assert services.pipeline.allocations.cells[CELL].get("0.7", 0.0) <= (0.7 in edit.legal)
    page = (await world.proxy.get("/metrics"))[1]
    shown = [
        float(line.rpartition(" ")[2]) for line in page.splitlines() if line.startswith("setpoint_arm_probability{")
    ]
    assert sum(shown) == pytest.approx(1.0, abs=0.01)
    second = edit.grid[-1].replace(".", "")
    await earn(world.url, **{f"a{second}": 0.97})
    await world.until(lambda: world.share(edit.grid[-1]) > 0.5, edit.legal)
    assert await world.count("learning_failures_total") == 0


async def test_an_arm_in_the_store_that_no_policy_allows_is_never_served(world: World, raw: "redis.Redis") -> None:
    raw.set(keys.meta(CELL), '{"parameter": "temperature", "grid": ["0.5", "9.9"], "baseline": "0.5", "task": "code"}')
    await earn(world.url, a99=1.0)
    await world.until(lambda: world.share("9.9") > 0)
    assert await world.ask(60) <= LEGAL
    world.proxy.policy.write_text(POLICY % ("0.5", "0.3, 0.5, 0.7, 0.9"))
    await world.until(lambda: "0.9" in world.proxy.services.pipeline.allocations.cells[CELL], LEGAL | {0.9})
    assert "9.9" not in world.proxy.services.pipeline.allocations.cells[CELL]
