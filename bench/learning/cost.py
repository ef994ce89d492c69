"""What learning costs and whether chance is fair: `python -m bench.learning.cost`.

A draw with its look-up on the request path; a look at 500 cells in the background, allocation and watching, and reading them from the
store; and two chi-square tests of
a million units: against the shares that they were drawn with, and each unit's arm against the arm of the unit that came before. It ends
with 1 if a draw takes more than 10 µs, the 500 cells more than half a second of CPU, or a test finds less than one chance in a thousand.
What one unit draws in two cells is not tested: it runs the same race in both, so that a conversation keeps its arm, and is not independent.
"""

import asyncio
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Mapping
from itertools import pairwise
from pathlib import Path
from typing import TypeVar

import numpy as np
from scipy.stats import chi2

from bench import machine, table
from metrics.embedded import start_embedded
from metrics.store import Batch, Store
from metrics.tally import CellStatistics, Slot, Tally, epoch_of
from policies.allocation import Allocations, draw, shares
from policies.arms import Grid
from policies.policy import Adaptation, Policy
from router.allocating import allocations
from router.watching import Watch

T = TypeVar("T")
CELLS, UNITS = 500, 1_000_000
ARMS = ("0", "0.2", "0.4", "0.6", "0.8", "1", "1.2")
GRID = Grid("temperature", {a: float(a) for a in ARMS}, "0.6")
SHARES = dict(zip(ARMS, (0.02, 0.08, 0.2, 0.4, 0.2, 0.07, 0.03), strict=True))


def _cells() -> dict[str, CellStatistics]:
    rng = np.random.default_rng(1)
    meta = {"parameter": "temperature", "grid": list(ARMS), "baseline": "0.6", "task": "code"}
    signals = ("thumbs", "rating", "truncated", "json_valid", "repetition", "refusal", "latency", "ttft", "cost")

    def tallies() -> dict[str, Tally]:
        n = rng.uniform(1, 500)
        return {
            s: Tally(n, n * m, n * m * m + n * 0.01) for s, m in zip(signals, rng.uniform(0.3, 0.9, 9), strict=True)
        }

    return {
        f"*|task{i // 8}|m{i % 8}|direct|1|temperature": CellStatistics(meta, {a: tallies() for a in ARMS})
        for i in range(CELLS)
    }


def _chi_square(seen: Counter[T], p: Mapping[T, float]) -> float:
    total = seen.total()
    return sum((seen[x] - total * share) ** 2 / (total * share) for x, share in p.items())


async def _read(cells: Mapping[str, CellStatistics]) -> float:
    """Seconds of this process's CPU that it takes to read these cells from a store."""
    now = time.time()
    with tempfile.TemporaryDirectory(prefix="bench-") as folder:
        server = start_embedded(Path(folder))
        store = Store(server.url, timeout=5)
        try:
            for n, (cell, seen) in enumerate(cells.items(), 1):
                sums = {Slot(cell, epoch_of(now), a, s): t for a, each in seen.arms.items() for s, t in each.items()}
                await store.write(Batch("bench", n, (), sums, {cell: seen.meta}))
            began = time.process_time()
            found = await store.statistics(now)
            took = time.process_time() - began
            assert len(found) == len(cells)
            return took
        finally:
            await store.close()
            server.stop()


def main() -> int:
    """Print the table; 1 if something costs more than promised."""
    known = Allocations("v1", {f"cell{i}": SHARES for i in range(CELLS)})
    began = time.perf_counter()
    drawn = [draw(f"cell{n % CELLS}", GRID, known, 0.05, f"unit{n}").arm for n in range(UNITS)]
    each = (time.perf_counter() - began) / UNITS * 1e6
    p = shares(SHARES, GRID, 0.05)
    off = _chi_square(Counter(drawn), p)
    pairs = _chi_square(Counter(pairwise(drawn)), {(a, b): p[a] * p[b] for a in ARMS for b in ARMS})
    chance, apart = float(chi2.sf(off, len(ARMS) - 1)), float(chi2.sf(pairs, len(ARMS) ** 2 - 1))
    policy, cells, watch = Policy("p", "d", adaptation=Adaptation(mode="apply")), _cells(), Watch()
    watch.look(policy, cells, known, 0.0)
    began = time.process_time()
    watch.look(policy, cells, allocations(policy, cells), 30.0)
    refresh = time.process_time() - began
    rows = [
        ("a draw with its look-up", f"{each:.1f} µs"),
        (f"a look at {CELLS} cells of {len(ARMS)} arms: allocation and watching, CPU", f"{refresh:.2f} s"),
        ("reading them from the store, CPU", f"{asyncio.run(_read(cells)):.2f} s"),
        (f"chi-square of {UNITS:,} units over {len(ARMS)} arms", f"{off:.1f}, p = {chance:.2f}"),
        ("the same of each unit and the one before it", f"{pairs:.1f}, p = {apart:.2f}"),
    ]
    print(f"{table(('what', 'measured'), rows)}\n\n{machine()}")
    return 0 if each <= 10 and refresh <= 0.5 and min(chance, apart) >= 0.001 else 1


if __name__ == "__main__":
    sys.exit(main())
