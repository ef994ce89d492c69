"""Pooling in simulated worlds: eight models that want much the same, or nothing alike, with a label on one request in ten.

`python -m bench.learning.pooled [--seeds 24]`. Six tasks, nine temperatures, 8 models each, 6,000 requests a cell; the policy's value is that of
the main world's tasks. *related*: each model's best value is its task's, give or take one arm. *unrelated*: anywhere up to the cliff. Luck
is the same for all contestants: nobody learns, each cell by itself, pooled as `router/allocating.py` does it, and Thompson sampling by itself.
It ends with 1 if pooling does not earn more than the policy within 1,000 requests a cell where models are related, or loses more than
learning alone, beyond two standard errors, where they are not.
"""

import argparse
import json
import sys
from collections.abc import Sequence
from concurrent.futures import ProcessPoolExecutor

import numpy as np
from numpy.typing import NDArray

from bench import OUT, table
from bench.learning.contestants import CONTESTANTS, Ours
from bench.learning.simulation import Cell
from bench.learning.worlds import ARMS, STEP, TASKS, Task, World, curve
from policies.bandits.pooling import Member, pool

Array = NDArray[np.float64]
MODELS, RATE, REQUESTS, FIRST_SEED = 8, 0.1, 6_000, 100
WINDOWS = ((0, 1_000), (1_000, 2_000), (2_000, 4_000), (4_000, 6_000))
WHO = ("static", "Thompson", "ours alone", "ours pooled")


def models(where: str, number: int, seed: int) -> list[Task]:
    """The same task on each model."""
    shape, luck = TASKS[number], np.random.default_rng((seed, number, 8))
    last = int((ARMS < 1.3).sum()) - 1
    out = []
    for _ in range(MODELS):
        best = (
            shape.best + int(luck.choice([-1, 0, 0, 0, 1])) if where == "related" else int(luck.integers(0, last + 1))
        )
        values = curve(ARMS[min(max(best, 0), last)], shape.steep, shape.level + luck.uniform(-0.1, 0.1))
        out.append(Task(values, values, shape.baseline, RATE))
    return out


def story(job: tuple[str, str, int, int]) -> Array:
    """(windows,) regret a request of a contestant on all models of one task."""
    who, where, number, seed = job
    tasks, world = models(where, number, seed), World(where, ())
    make = CONTESTANTS["ours" if who.startswith("ours") else who]
    ones = [make(task.baseline, seed * 100 + number * 10 + m) for m, task in enumerate(tasks)]
    cells = [
        Cell(one, world, task, np.random.default_rng((seed, number, m)))
        for m, (one, task) in enumerate(zip(ones, tasks, strict=True))
    ]
    for step in range(REQUESTS // STEP):
        if who == "ours pooled":
            _share(ones)
        for cell in cells:
            cell.step(step)
    lost = np.mean(
        [task.before.max() - cell.worth[: REQUESTS // STEP] for task, cell in zip(tasks, cells, strict=True)], axis=0
    )
    return np.array([lost[a // STEP : b // STEP].mean() for a, b in WINDOWS])


def _share(ones: Sequence[object]) -> None:
    ours = [one for one in ones if isinstance(one, Ours)]
    for one, prior in zip(ours, pool([Member(one.evidence(), one.baseline) for one in ours]), strict=True):
        one.prior = prior


def missed(related: dict[str, Array], unrelated: dict[str, Array]) -> list[str]:
    """What was promised and is not so, given (seeds, windows) regret by contestant."""
    out = []
    for n, (first, last) in enumerate(WINDOWS[1:], 1):
        if related["ours pooled"][:, n].mean() >= related["static"][:, n].mean():
            out.append(f"related models: no better than the policy in requests {first} to {last}")
    more = (unrelated["ours pooled"] - unrelated["ours alone"]).mean(axis=1)
    if more.mean() > 2 * more.std() / np.sqrt(len(more)):
        out.append(f"unrelated models: pooling loses {more.mean():.5f} more a request than learning alone")
    return out


def main() -> int:
    """Print a table for each world; 1 if something promised is not so."""
    options = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    options.add_argument("--seeds", type=int, default=24)
    seeds = options.parse_args().seeds
    results: dict[str, dict[str, Array]] = {}
    head = ["regret a request", *(f"{a:,} to {b:,}" for a, b in WINDOWS)]
    with ProcessPoolExecutor() as workers:
        for where in ("related", "unrelated"):
            results[where] = {}
            for who in WHO:
                print(f"{where}: {who} ...", file=sys.stderr)
                jobs = [(who, where, number, FIRST_SEED + n) for n in range(seeds) for number in range(len(TASKS))]
                lost = np.array(list(workers.map(story, jobs, chunksize=4)))
                results[where][who] = lost.reshape(seeds, len(TASKS), -1).mean(axis=1)
            rows = [
                (who, *(f"{m:.4f} ({e:.4f})" for m, e in zip(r.mean(axis=0), r.std(axis=0) / seeds**0.5, strict=True)))
                for who, r in results[where].items()
            ]
            print(f"\n**{where} models**\n\n{table(head, rows)}", flush=True)
    OUT.mkdir(exist_ok=True)
    kept = {where: {who: r.mean(axis=0).tolist() for who, r in by.items()} for where, by in results.items()}
    (OUT / "learning-pooled.json").write_text(json.dumps(kept, indent=1))
    short = missed(results["related"], results["unrelated"])
    for line in short:
        print(f"bench: pooling: {line}", file=sys.stderr)
    return 1 if short else 0


if __name__ == "__main__":
    sys.exit(main())
