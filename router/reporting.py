"""What was learned, as rows and as tables: every cell with its standing, its arms, their rewards and lifts."""

from collections.abc import Mapping
from dataclasses import asdict
from typing import Any

from rich.console import Console
from rich.table import Table

from metrics.rewards import balanced, combine
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


def _arms(policy: Policy, seen: CellStatistics, learned: Mapping[str, float] | None) -> list[dict[str, Any]]:
    baseline = seen.meta.get("baseline")
    objective = policy.adaptation_of(str(seen.meta.get("task"))).objective
    shown = served(policy, seen, learned) if learned else {}
    arms = balanced(seen.arms)
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


def _show_standing(cell: str, now: Mapping[str, Any], console: Console) -> None:
    console.print(f"{now['standing']}: {now['reason']}", markup=False, highlight=False)
    if now["standing"] == "rolled back":
        console.print(f"ends earlier with: setpoint learning release '{cell}'", markup=False, highlight=False)
    if now["changed_at"] is not None:
        console.print(f"last change found: {when(now['changed_at'])}", markup=False, highlight=False)


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
