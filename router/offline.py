"""What the command line does without a running proxy: explain a prompt, report what was learned."""

import asyncio
import json
from collections.abc import Mapping
from fnmatch import fnmatchcase
from pathlib import Path
from time import time
from typing import Any

import aiohttp
from rich.console import Console
from rich.markup import escape
from rich.table import Table

from classifier.labels import Label, unpacked
from metrics.embedded import start_embedded
from metrics.rewards import combine
from metrics.store import Store
from metrics.tally import CellStatistics
from policies import loading
from policies.allocation import Allocations
from policies.policy import Policy
from router.incoming import Incoming
from router.learning import allocations, served
from router.local_model import MODEL
from router.pipeline import Prepared
from router.services import build
from router.settings import Provider, Settings, UpstreamSettings, load
from router.standing import standing
from router.surfaces import SURFACES

_MAKERS: Mapping[str, Provider] = {
    "gpt-oss": "vllm", "gpt": "openai", "o1": "openai", "o3": "openai", "o4": "openai", "claude": "anthropic", "deepseek": "deepseek",
    "gemini": "gemini", "mistral": "mistral", "grok": "xai", "kimi": "moonshot", "moonshot": "moonshot", "glm": "zhipu", "qwen": "vllm",
    "llama": "vllm",
}  # fmt: skip
NO_STORE = "redis://127.0.0.1:1"  # never connected to: explaining stores nothing


def conversation(prompt: str, system: str | None, turn: int) -> list[dict[str, str]]:
    """Messages in which the prompt is the n-th of the user."""
    before = [
        m
        for _ in range(turn - 1)
        for m in ({"role": "user", "content": prompt + " ..."}, {"role": "assistant", "content": "..."})
    ]
    return [*([{"role": "system", "content": system}] if system else []), *before, {"role": "user", "content": prompt}]


def prepare(body: dict[str, Any], config: Path | None, policies: Path | None, model: str | None) -> Prepared:
    """Climb the ladder as the proxy would. Raises what a request or bad settings raise."""
    settings = load(config)
    if policies:
        settings = settings.model_copy(update={"policies": policies})
    model = model or _first_model(settings)
    if not any(fnmatchcase(model.lower(), glob.lower()) for u in settings.upstreams for glob in u.serves()):
        # Nobody serves it here: show what it would get from its maker.
        maker = UpstreamSettings(
            name="its-maker", base_url="http://127.0.0.1:1/v1", provider=_maker(model), models=["*"]
        )
        settings = settings.model_copy(update={"upstreams": [*settings.upstreams, maker]})
    return asyncio.run(_prepare(settings, {"model": model, **body}))


def _maker(model: str) -> Provider:
    """Whose API a model is first served by, to go by its name."""
    base = model.lower().rsplit("/", 1)[-1]
    return next((provider for start, provider in _MAKERS.items() if base.startswith(start)), "compatible")


async def _prepare(settings: Settings, body: dict[str, Any]) -> Prepared:
    async with aiohttp.ClientSession() as session:
        services = build(settings, NO_STORE, "http://127.0.0.1:1/v1", session)
        return services.pipeline.prepare(Incoming(SURFACES["chat"], json.dumps(body).encode(), {}), "default")


def _first_model(settings: Settings) -> str:
    first = settings.upstreams[0]
    named = next((m for m in first.serves() if not set(m) & set("*?[")), None)
    return MODEL if first.kind == "local" else named or next(iter(first.serves())).replace("*", "chat")


async def report(config: Path | None, as_json: bool, console: Console) -> None:
    """Print every cell. Raises StoreError when the store does not answer."""
    settings = load(config)
    policy = loading.load(settings.policies)
    server = start_embedded(settings.data) if settings.store == "embedded" else None
    store = Store(server.url if server else settings.store)
    try:
        statistics = await store.statistics(time())
    finally:
        await store.close()
        if server:
            server.stop()
    table = allocations(policy, statistics)
    known = {cell: seen for cell, seen in sorted(statistics.items()) if cell.count("|") == 5}
    rows = {cell: _arms(policy, seen, table, cell) for cell, seen in known.items()}
    states = {cell: standing(policy, seen, table.cells.get(cell)) for cell, seen in known.items()}
    if as_json:
        console.print_json(json.dumps({"version": table.version, "cells": rows, "standing": states}))
    else:
        _show(rows, states, console)


async def labels(settings: Settings) -> tuple[list[Label], int]:
    """(the corrections that the store has kept, how many cannot be read). Raises StoreError when it does not answer."""
    server = start_embedded(settings.data) if settings.store == "embedded" else None
    store = Store(server.url if server else settings.store)
    try:
        found = await store.corrections(time())
    finally:
        await store.close()
        if server:
            server.stop()
    read = [label for task, features in found if (label := unpacked(task, features))]
    return read, len(found) - len(read) + store.corrupt


def _arms(policy: Policy, seen: CellStatistics, table: Allocations, cell: str) -> list[dict[str, Any]]:
    baseline, grid = seen.meta.get("baseline"), seen.meta.get("grid") or sorted(seen.arms)
    objective = policy.adaptation_of(str(seen.meta.get("task"))).objective
    learned = table.cells.get(cell)
    shown = served(policy, seen, learned) if learned else {}
    rows = []
    for arm in grid:
        earned = combine(seen.arms.get(arm, {}), objective)
        error = (earned.variance / earned.n) ** 0.5 if earned.n else None
        share = shown.get(arm)
        rows.append(
            {
                "arm": arm,
                "baseline": arm == baseline,
                "labels": round(earned.n, 1),
                "reward": earned.mean if earned.n else None,
                "error": error,
                "share": share,
            }
        )
    return rows


def _show(cells: dict[str, list[dict[str, Any]]], states: Mapping[str, str], console: Console) -> None:
    if not cells:
        console.print("Nothing has been learned yet: no request has been decided with learning in observe or apply.")
    for cell, rows in cells.items():
        tenant, task, model, mode, turn, parameter = cell.split("|")
        whose = "" if tenant == "*" else f", tenant {tenant}"
        table = Table(
            parameter,
            "labels",
            "reward (95 %)",
            "allocation",
            title=f"{task} on {model}, {mode}, turn {turn}{whose}",
            title_justify="left",
            box=None,
        )
        for row in rows:
            reward = "-" if row["reward"] is None else f"{row['reward']:.3f} ± {1.96 * row['error']:.3f}"
            share = "-" if row["share"] is None else f"{row['share']:6.1%} {'█' * round(20 * row['share'])}"
            table.add_row(f"{row['arm']}{' (policy)' if row['baseline'] else ''}", f"{row['labels']:g}", reward, share)
        console.print(table, f"[dim]{escape(states[cell])}[/dim]", "")
