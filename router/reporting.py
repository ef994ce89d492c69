"""What was learned, as rows and as tables: every cell with its standing, its arms, their rewards and lifts."""

from collections.abc import Mapping
from dataclasses import asdict
from typing import Any

from rich.console import Console
from rich.table import Table

from metrics.balance import balanced
from metrics.correlation import by_task, pooled
from metrics.rewards import QUALITY, combine
from metrics.signals import CONTROLS, SIGNALS
from metrics.tally import CellStatistics, Pause
from policies.allocation import Allocations
from policies.arms import origin
from policies.policy import Policy
from router.learning import served
from router.standing import beside, grid_of, lift, standing, when


def as_json(
    policy: Policy, statistics: Mapping[str, CellStatistics], table: Allocations, paused: Pause | None
) -> dict[str, Any]:
    """All cells; `cells` has the arms, `standing` the rest. Shares are what is served, lifts have a 90 % interval."""
    cells = {
        cell: statistics[cell] for cell in sorted(statistics, key=lambda c: _order(c, table)) if cell.count("|") == 5
    }
    return {
        "version": table.version,
        "paused": None if paused is None else paused._asdict(),
        "cells": {cell: _arms(policy, seen, table.cells.get(cell)) for cell, seen in cells.items()},
        "standing": {cell: told(policy, cell, seen, table) for cell, seen in cells.items()},
        "observed": observed(cells),
    }


def _order(cell: str, table: Allocations) -> tuple[str, ...]:
    """A cell comes behind the one that it goes on from, and those that requests get to come first."""
    before = origin(cell)
    start, _, last = cell.rpartition("|")
    if before is None:
        return start, last
    return *_order(before[0], table), "0" if table.leads_to(cell) else "1", before[1], last


def told(policy: Policy, cell: str, seen: CellStatistics, table: Allocations) -> dict[str, Any]:
    """A cell's standing with its marks; times in unix seconds, `beside` as text."""
    found = standing(policy, seen, table.cells.get(cell), reached=table.leads_to(cell))
    return {
        "beside": beside(seen),
        "standing": found.word,
        "reason": found.reason,
        "changed_at": seen.changed_at,
        "rolled_back": seen.rolled_back or None,
        "rolled_back_until": seen.rolled_back_until,
    }


def observed(cells: Mapping[str, CellStatistics]) -> dict[str, dict[str, dict[str, Any]]]:
    """By task and observed signal, over the cells given: pairs with an explicit reward, their correlation with its 90 % interval,
    and the weight that the signal counts with, 0 for a guardrail; only where there are pairs."""
    out: dict[str, dict[str, dict[str, Any]]] = {}
    for task, found in sorted(by_task(cells).items()):
        for signal in CONTROLS:
            pairs = pooled(found, signal)
            low, high = pairs.interval or (None, None)
            if pairs.n > 0:
                own = SIGNALS[signal].weight if SIGNALS[signal].group == QUALITY else 0.0
                row = {"pairs": round(pairs.n, 1), "r": pairs.r, "low": low, "high": high}
                out.setdefault(task, {})[signal] = row | {"weight": _weight(found[0], signal, own), "table": own}
    return out


def _weight(cell: CellStatistics, signal: str, own: float) -> float:
    worth = cell.weights.get(signal)
    return own if worth is None else worth.weight


def _arms(policy: Policy, seen: CellStatistics, learned: Mapping[str, float] | None) -> list[dict[str, Any]]:
    baseline = seen.meta.get("baseline")
    objective = policy.adaptation_of(str(seen.meta.get("task"))).objective
    shown = served(policy, seen, learned) if learned else {}
    arms = balanced(seen)
    own = combine(arms.get(str(baseline), {}), objective)
    rows = []
    for arm in grid_of(seen):
        earned = combine(arms.get(arm, {}), objective)
        more = lift(earned, own) if arm != baseline else None
        rows.append(
            {
                "arm": arm,
                "baseline": arm == baseline,
                "labels": round(earned.n, 1),
                "reward": earned.mean if earned.n else None,
                "error": (earned.variance / earned.n) ** 0.5 if earned.n else None,
                "lift": asdict(more) if more else None,
                "share": shown.get(arm),
            }
        )
    return rows


def show(found: Mapping[str, Any], console: Console) -> None:
    """What `as_json` gives, as a table for each cell."""
    if found["paused"] is not None:
        why = f": {found['paused']['why']}" if found["paused"]["why"] else ""
        console.print(
            f"Learning is paused since {when(found['paused']['at'])}{why}. `setpoint learning resume` ends it.\n",
            markup=False,
        )
    if not found["cells"]:
        console.print("Nothing has been learned yet: no request has been decided with learning in observe or apply.")
    for cell, rows in found["cells"].items():
        tenant, task, model, mode, turn, parameter = cell.split("|")
        whose = "" if tenant == "*" else f", tenant {tenant}"
        held = found["standing"][cell]["beside"]
        where = f"{task} on {model}, {mode}, turn {turn}{whose}{f', beside {held}' if held else ''}"
        console.print(where, style="italic", markup=False)
        _show_standing(cell, found["standing"][cell], console)
        console.print(_table(parameter.partition("@")[0], rows), "")
    if found["observed"]:
        console.print("Observed signals beside explicit ones: what they are worth", style="italic")
        console.print(_observed(found["observed"]))


def _show_standing(cell: str, now: Mapping[str, Any], console: Console) -> None:
    console.print(f"{now['standing']}: {now['reason']}", markup=False, highlight=False)
    if now["standing"] == "rolled back":
        console.print(f"ends earlier with: setpoint learning release '{cell}'", markup=False, highlight=False)
    if now["changed_at"] is not None:
        console.print(f"last change found: {when(now['changed_at'])}", markup=False, highlight=False)


def _observed(tasks: Mapping[str, Mapping[str, Mapping[str, Any]]]) -> Table:
    table = Table("task", "signal", "pairs", "correlation (90 %)", "weight in use", box=None)
    for task, signals in tasks.items():
        for signal, row in signals.items():
            r = "-" if row["r"] is None else f"{row['r']:+.2f}"
            reach = "" if row["low"] is None else f" ({row['low']:+.2f} to {row['high']:+.2f})"
            table.add_row(task, signal, f"{row['pairs']:g}", r + reach, f"{row['weight']:.2f} (table {row['table']:g})")
    return table


def _table(parameter: str, rows: list[dict[str, Any]]) -> Table:
    table = Table(parameter, "labels", "reward (95 %)", "lift (90 %)", "allocation", box=None)
    for row in rows:
        reward = "-" if row["reward"] is None else f"{row['reward']:.3f} ± {1.96 * row['error']:.3f}"
        more = row["lift"]
        lifted = f"{more['mean']:+.3f} ({more['low']:+.3f} to {more['high']:+.3f})" if more else "-"
        share = "-" if row["share"] is None else f"{row['share']:6.1%} {'█' * round(20 * row['share'])}"
        name = f"{row['arm']}{' (policy)' if row['baseline'] else ''}"
        table.add_row(name, f"{row['labels']:g}", reward, lifted, share)
    return table
