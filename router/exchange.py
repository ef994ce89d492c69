"""What was learned as versioned JSON, to keep or to bring to another store."""

import hashlib
import json
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from metrics.records import sound
from metrics.store import Batch, Store
from metrics.tally import HALF_LIFE, CellStatistics, Pause, Slot, Tally, epoch_of, growth
from policies.allocation import Allocations
from policies.arms import is_cell
from router.errors import ExchangeError

FORMAT, VERSION = "setpoint-learning", 1
_AT_ONCE = 200  # cells in one write


@dataclass(frozen=True, slots=True)
class Export:
    """What an exported file says, checked: when it was made (unix seconds), and each cell's meta and tallies of then."""

    digest: str
    at: float
    cells: Mapping[str, CellStatistics]


def as_json(
    statistics: Mapping[str, CellStatistics], table: Allocations, paused: Pause | None, now: float
) -> dict[str, Any]:
    """All cells: meta, tallies decayed to `now` by arm and signal, marks, and the allocation."""
    return {
        "format": FORMAT,
        "version": VERSION,
        "at": now,
        "allocation": table.version,
        "paused": None if paused is None else paused._asdict(),
        "cells": {cell: _cell(seen, table.cells.get(cell)) for cell, seen in sorted(statistics.items())},
    }


def _cell(seen: CellStatistics, learned: Mapping[str, float] | None) -> dict[str, Any]:
    return {
        "meta": seen.meta,
        "arms": {arm: {s: tally._asdict() for s, tally in signals.items()} for arm, signals in seen.sums.items()},
        "changed_at": seen.changed_at,
        "rolled_back": seen.rolled_back or None,
        "rolled_back_until": seen.rolled_back_until,
        "allocation": learned,
    }


def load(file: Path) -> Export:
    """An exported file. Raises ExchangeError that names the file and what is wrong with it."""
    try:
        return read(file.read_bytes(), str(file))
    except OSError as e:
        raise ExchangeError(f"{file}: cannot be read: {e.strerror or e}") from e


def read(text: bytes, name: str) -> Export:
    """What such a file says, by the name that errors give it."""
    try:
        found = json.loads(text)
    except (ValueError, RecursionError) as e:
        raise ExchangeError(f"{name}: no JSON: {e}") from e
    if not isinstance(found, dict) or found.get("format") != FORMAT:
        raise ExchangeError(f"{name}: not made by `setpoint report --export`")
    if found.get("version") != VERSION:
        raise ExchangeError(
            f"{name}: of version {found.get('version')!r}; this Setpoint reads {VERSION}: export it again with this one"
        )
    at, cells = found.get("at"), found.get("cells")
    if not isinstance(at, int | float) or not 0 < at < 1e11 or not isinstance(cells, dict):
        raise ExchangeError(f"{name}: damaged: `at` or `cells` is missing or makes no sense")
    same = json.dumps(found, sort_keys=True).encode()  # however it is laid out
    return Export(
        hashlib.blake2b(same, digest_size=16).hexdigest(), at, {c: _read(v, c, name) for c, v in cells.items()}
    )


def _read(cell: Any, called: str, name: str) -> CellStatistics:
    if not is_cell(called):
        raise ExchangeError(f"{name}: damaged: {called[:200]!r} is not a name of a cell")
    try:
        meta = dict(cell["meta"])
        arms = {
            str(arm): {str(signal): Tally(*(float(t[k]) for k in "nsq")) for signal, t in signals.items()}
            for arm, signals in cell["arms"].items()
        }
    except (TypeError, KeyError, ValueError, AttributeError, OverflowError) as e:
        raise ExchangeError(f"{name}: damaged: cell {called!r} cannot be read") from e
    for arm, signals in arms.items():
        for signal, tally in signals.items():
            if not sound(tally._asdict()):
                raise ExchangeError(f"{name}: damaged: {signal} of {arm} in cell {called!r} is no sum of rewards")
    return CellStatistics.of(meta, arms)


async def add(export: Export, store: Store, now: float) -> None:
    """Adds the sums to those of a store, as old as they are by now; meta only where there is none.

    Raises ExchangeError for a file that was added before, StoreError; after the latter the same may be done again, and
    what is there already is not added twice.
    """
    writer = f"import-{export.digest}"
    await store.begin(writer)
    if await store.was_imported(export.digest):
        raise ExchangeError("this file was imported into this store before; nothing has changed")
    known = await store.statistics(now)
    weight = 2 ** min((export.at - now) / HALF_LIFE, 0.0) * growth(now)
    names = sorted(export.cells)
    for start in range(0, len(names), _AT_ONCE):
        chunk = {name: export.cells[name] for name in names[start : start + _AT_ONCE]}
        sums = {
            Slot(cell, epoch_of(now), arm, signal): Tally().plus(tally, weight)
            for cell, seen in chunk.items()
            for arm, signals in seen.sums.items()
            for signal, tally in signals.items()
        }
        meta = {
            cell: seen.meta for cell, seen in chunk.items() if seen.meta and not (cell in known and known[cell].meta)
        }
        await store.write(Batch(writer, 1, sums=sums, cells=meta))
    await store.set_imported(export.digest, now)
