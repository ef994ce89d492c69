"""Exported sums in another store: as old as they are, and not twice whatever interrupts an import."""

from collections.abc import Iterator
from typing import Any

import pytest
import redis

from metrics.embedded import EmbeddedServer
from metrics.errors import StoreError
from metrics.store import Batch, Store
from metrics.tally import EPOCH, HALF_LIFE, CellStatistics, Tally
from router.errors import ExchangeError
from router.exchange import Export, add

NOW = 1_790_000_000.0
EARNED = {"0.3": {"rating": Tally(8, 4, 2)}}


@pytest.fixture
def empty(store: EmbeddedServer) -> Iterator[str]:
    """The address of an empty store."""
    with redis.Redis.from_url(store.url) as client:
        client.flushall()
        yield store.url


def export(at: float, *cells: str) -> Export:
    return Export("d", at, {cell: CellStatistics({"from": "export"}, EARNED) for cell in cells})


@pytest.mark.parametrize(
    ("age", "left"), [(0.0, 1.0), (HALF_LIFE, 0.5), (3 * EPOCH, 2**-48), (-3_600.0, 1.0), (-1e9, 1.0)]
)
async def test_what_is_imported_is_as_old_as_it_is_and_no_younger(empty: str, age: float, left: float) -> None:
    store = Store(empty)
    await add(export(NOW - age, "c"), store, NOW)
    found = (await store.statistics(NOW))["c"].arms["0.3"]["rating"]
    assert found == pytest.approx(Tally(8 * left, 4 * left, 2 * left))
    await store.close()


async def test_meta_that_is_there_stays(empty: str) -> None:
    store = Store(empty)
    await store.write(Batch("w", 1, cells={"old": {"from": "here"}}))
    await add(export(NOW, "old", "new"), store, NOW)
    found = await store.statistics(NOW)
    assert (found["old"].meta, found["new"].meta) == ({"from": "here"}, {"from": "export"})
    await store.close()


async def test_an_interrupted_import_can_be_done_again_and_adds_nothing_twice(
    empty: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    store = Store(empty)
    many = export(NOW, *(f"c{n}" for n in range(450)))
    write, calls = store.write, 0

    async def fails(batch: Any) -> None:
        nonlocal calls
        calls += 1
        await write(batch)
        if calls == 2:  # the answer is lost
            raise StoreError("store: gone")

    monkeypatch.setattr(store, "write", fails)
    with pytest.raises(StoreError):
        await add(many, store, NOW)
    await add(many, store, NOW)
    found = await store.statistics(NOW)
    assert [seen.arms["0.3"]["rating"].n for seen in found.values()] == pytest.approx([8] * 450)
    assert len(found) == 450
    with pytest.raises(ExchangeError, match="before"):
        await add(many, store, NOW)
    await store.close()
