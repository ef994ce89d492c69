"""What the command line does without a running proxy: explain a prompt, report what was learned, stop learning."""

import json
from collections.abc import AsyncIterator, Callable, Mapping
from contextlib import asynccontextmanager
from difflib import get_close_matches
from fnmatch import fnmatchcase
from pathlib import Path
from time import time
from typing import Any, BinaryIO

import orjson
from rich.console import Console

from classifier.labels import Label, unpacked
from metrics.embedded import start_embedded
from metrics.store import Store
from policies import loading
from router import exchange, reporting
from router.allocating import allocations
from router.errors import SettingsError
from router.incoming import Incoming
from router.local_model import MODEL
from router.pipeline import Prepared
from router.services import build
from router.settings import Provider, Settings, UpstreamSettings, load
from router.surfaces import SURFACES

_MAKERS: Mapping[str, Provider] = {
    "gpt-oss": "vllm", "gpt": "openai", "o1": "openai", "o3": "openai", "o4": "openai", "claude": "anthropic", "deepseek": "deepseek",
    "gemini": "gemini", "mistral": "mistral", "grok": "xai", "kimi": "moonshot", "moonshot": "moonshot", "glm": "zhipu", "qwen": "vllm",
    "llama": "vllm",
}  # fmt: skip
NO_STORE = "redis://127.0.0.1:1"  # never connected to: explaining stores nothing
_WRITER = "cli"  # writes no batches; to check the layout of the store
_SOON = "within a few seconds requests get"


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
    return _prepare(settings, {"model": model, **body})


def _maker(model: str) -> Provider:
    """Whose API a model is first served by, to go by its name."""
    base = model.lower().rsplit("/", 1)[-1]
    return next((provider for start, provider in _MAKERS.items() if base.startswith(start)), "compatible")


def _prepare(settings: Settings, body: dict[str, Any]) -> Prepared:
    services = build(settings, NO_STORE, "http://127.0.0.1:1/v1")
    return services.pipeline.prepare(Incoming(SURFACES["chat"], json.dumps(body).encode(), {}), "default")


def _first_model(settings: Settings) -> str:
    first = settings.upstreams[0]
    named = next((m for m in first.serves() if not set(m) & set("*?[")), None)
    return MODEL if first.kind == "local" else named or next(iter(first.serves())).replace("*", "chat")


@asynccontextmanager
async def opened(settings: Settings) -> AsyncIterator[Store]:
    """The store of the settings; an embedded one is started if it does not run."""
    server = start_embedded(settings.data) if settings.store == "embedded" else None
    store = Store(server.url if server else settings.store)
    try:
        yield store
    finally:
        await store.close()
        if server:
            server.stop()


async def report(config: Path | None, as_json: bool, console: Console) -> None:
    """Print every cell. Raises StoreError when the store does not answer."""
    settings = load(config)
    policy = loading.load(settings.policies)
    async with opened(settings) as store:
        statistics = await store.statistics(time())
    found = reporting.as_json(policy, statistics, allocations(policy, statistics), store.paused)
    if as_json:
        console.print_json(json.dumps(found))
    else:
        reporting.show(found, console)


async def export(config: Path | None) -> dict[str, Any]:
    """All cells as `--export` writes them. Raises StoreError."""
    settings = load(config)
    policy = loading.load(settings.policies)
    now = time()
    async with opened(settings) as store:
        statistics = await store.statistics(now)
    return exchange.as_json(statistics, allocations(policy, statistics), store.paused, now)


async def take_in(config: Path | None, found: exchange.Export) -> None:
    """Add an exported file to the store. Raises ExchangeError, StoreError."""
    async with opened(load(config)) as store:
        await exchange.add(found, store, time())


async def decisions(config: Path | None, file: BinaryIO, seen: Callable[[int, int], None]) -> tuple[int, int]:
    """Write the stream of decisions and rewards as JSONL; `seen` is told how many entries are done of how many. Gives how many were
    written and how many could not be read. Raises StoreError, OSError."""
    written = 0
    async with opened(load(config)) as store:
        async for page, total in store.streamed():
            file.writelines(orjson.dumps(entry) + b"\n" for entry in page)
            written += len(page)
            seen(written, total)
        return written, store.corrupt


async def pause(settings: Settings, why: str) -> str:
    """Hold all cells at the policy's own values; says what that did. Raises StoreError, as the next two do."""
    async with opened(settings) as store:
        await store.begin(_WRITER)
        new = await store.pause_learning(why, time())
    return f"Learning {'is paused' if new else 'was paused already, and still is'}: {_SOON} the policy's own values."


async def resume(settings: Settings) -> str:
    """End the pause; says what that did."""
    async with opened(settings) as store:
        await store.begin(_WRITER)
        was = await store.resume_learning()
    return f"Learning goes on: {_SOON} what was learned." if was else "Learning was not paused; nothing has changed."


async def release(settings: Settings, cell: str) -> str:
    """End a rollback; says what that did. Raises SettingsError for a cell that the store does not know."""
    async with opened(settings) as store:
        await store.begin(_WRITER)
        if await store.release(cell):
            return f"{cell} is released: {_SOON} what was learned."
        known = await store.statistics(time())
    if cell not in known:
        near = get_close_matches(cell, known, 1)
        hint = f"did you mean {near[0]!r}?" if near else "`setpoint report --json` names all cells"
        raise SettingsError(f"no cell {cell!r} is known to the store; {hint}")
    return f"{cell} was not rolled back; nothing has changed."


async def labels(settings: Settings) -> tuple[list[Label], int]:
    """(the corrections that the store has kept, how many cannot be read). Raises StoreError when it does not answer."""
    async with opened(settings) as store:
        found = await store.corrections(time())
    read = [label for task, features in found if (label := unpacked(task, features))]
    return read, len(found) - len(read) + store.corrupt
