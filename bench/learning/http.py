"""Learning over HTTP: 2,000 rated requests through two real proxies that share one Redis, which is killed half-way.

Users like a temperature 0.3 away from the policy's best, by a smooth curve; ratings are coin flips with that chance. Says where the
allocation went, whether both replicas agree within 5 s, how many requests failed, and how many ratings were lost.
"""

import asyncio
import contextlib
import json
import os
import random
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import aiohttp
from aiohttp import web

from bench import OUT, free_port, table
from metrics.embedded import start_embedded
from metrics.store import Store

POLICY = """
version: 1
defaults: {set: {temperature: 0.5}}
adapt:
  mode: apply
  arms: {temperature: [0.2, 0.4, 0.6, 0.8, 1.0]}
  objective: {quality: 1, latency: 0, cost: 0}
"""
BASELINE, BEST, REQUESTS = 0.5, 0.8, 2_000
PROMPT = "Write a Python function that adds two numbers."


def liked(temperature: float) -> float:
    """The chance that a user likes an answer: 0.80 at the best value, 0.665 at the policy's."""
    return max(0.0, 0.8 - 1.5 * (temperature - BEST) ** 2)


@contextlib.asynccontextmanager
async def upstream() -> AsyncIterator[str]:
    """Answers with nothing but the temperature that it got."""

    async def chat(request: web.Request) -> web.Response:
        body = await request.json()
        message = {"role": "assistant", "content": str(body.get("temperature"))}
        choice = {"index": 0, "message": message, "finish_reason": "stop"}
        return web.json_response(
            {
                "id": f"c-{time.monotonic_ns()}",
                "object": "chat.completion",
                "created": 1,
                "model": body["model"],
                "choices": [choice],
            }
        )

    app = web.Application()
    app.router.add_post("/v1/chat/completions", chat)
    runner = web.AppRunner(app)
    await runner.setup()
    site = web.TCPSite(runner, "127.0.0.1", 0)
    await site.start()
    assert runner.addresses
    yield f"http://127.0.0.1:{runner.addresses[0][1]}/v1"
    await runner.cleanup()


@contextlib.contextmanager
def replica(folder: Path, name: str, upstream_url: str, store: str, port: int) -> Any:
    """One `setpoint serve`."""
    (folder / "policy.yaml").write_text(POLICY)
    config = folder / f"{name}.yaml"
    config.write_text(
        json.dumps(
            {
                "upstreams": [{"name": "static", "base_url": upstream_url, "provider": "openai"}],
                "store": store, "policies": str(folder / "policy.yaml"), "port": port, "data": str(folder / name),
            }
        )
    )  # fmt: skip
    log = (folder / f"{name}.log").open("w")
    process = subprocess.Popen(
        [sys.executable, "-m", "router", "serve", "--config", str(config)], stderr=log, stdout=log
    )
    try:
        yield f"http://127.0.0.1:{port}"
    finally:
        process.send_signal(signal.SIGTERM)
        process.wait(20)
        log.close()


async def ready(session: aiohttp.ClientSession, url: str) -> None:
    """Wait for a replica."""
    for _ in range(300):
        with contextlib.suppress(aiohttp.ClientError):
            async with session.get(url + "/readyz") as r:
                if r.status == 200:
                    return
        await asyncio.sleep(0.1)
    raise SystemExit(f"{url} did not get ready")


async def one(session: aiohttp.ClientSession, url: str, rng: random.Random, tally: dict[str, Any]) -> None:
    """One request and its rating."""
    body = {"model": "gpt-4.1", "messages": [{"role": "user", "content": PROMPT}]}
    async with session.post(url + "/v1/chat/completions", json=body) as r:
        answer = await r.json()
        tally["failed"] += r.status != 200
        decision = r.headers.get("x-setpoint-decision", "")
    temperature = float(answer["choices"][0]["message"]["content"])
    tally["served"][temperature] = tally["served"].get(temperature, 0) + 1
    rating = {"id": decision, "signal": "thumbs", "value": rng.random() < liked(temperature)}
    async with session.post(url + "/v1/feedback", json=rating) as r:
        told = await r.json()
        tally["acknowledged"] += r.status == 200 and told["result"] in ("credited", "queued")
        tally["ratings_failed"] += r.status != 200


async def allocation(session: aiohttp.ClientSession, url: str) -> tuple[str, dict[str, float]]:
    """(version, probabilities by arm) as a replica serves them."""
    async with session.get(url + "/readyz") as r:
        version = (await r.json())["allocation"]
    async with session.get(url + "/metrics") as r:
        lines = [line for line in (await r.text()).splitlines() if line.startswith("setpoint_arm_probability{")]
    return version, {line.split('arm="')[1].split('"')[0]: float(line.rsplit(" ", 1)[1]) for line in lines}


async def run() -> dict[str, Any]:
    """The whole story."""
    rng, tally = random.Random(7), {"failed": 0, "acknowledged": 0, "ratings_failed": 0, "served": {}}
    with tempfile.TemporaryDirectory() as temp:
        folder = Path(temp)
        redis = start_embedded(folder / "redis")
        async with upstream() as up, aiohttp.ClientSession(connector=aiohttp.TCPConnector(limit=0)) as session:
            with (
                replica(folder, "a", up, redis.url, free_port()) as a,
                replica(folder, "b", up, redis.url, free_port()) as b,
            ):
                await asyncio.gather(ready(session, a), ready(session, b))
                for n in range(REQUESTS // 20):
                    if n == REQUESTS // 40:
                        os.kill(redis.pid, signal.SIGKILL)
                        print("Redis killed at request", n * 20, file=sys.stderr)
                    if n == REQUESTS // 40 + 15:
                        redis = start_embedded(folder / "redis")
                        print("Redis back at request", n * 20, file=sys.stderr)
                    await asyncio.gather(*(one(session, (a, b)[i % 2], rng, tally) for i in range(20)))
                    await asyncio.sleep(0.12)
                found = await _verdict(session, a, b, redis.url, tally)
        redis.stop()
        return found


async def _verdict(
    session: aiohttp.ClientSession, a: str, b: str, store_url: str, tally: dict[str, Any]
) -> dict[str, Any]:
    began, agreed = time.monotonic(), None
    while time.monotonic() - began < 20:
        (va, pa), (vb, pb) = await allocation(session, a), await allocation(session, b)
        if va == vb and pa == pb:
            agreed = agreed if agreed is not None else time.monotonic() - began
            if time.monotonic() - began > 8:  # late ratings are in by then
                break
        else:
            agreed = None
        await asyncio.sleep(0.2)
    store = Store(store_url)
    cells = await store.statistics(time.time())
    await store.close()
    counted = sum(t.n for cell in cells.values() for arm in cell.arms.values() for s, t in arm.items() if s == "thumbs")
    near = sorted(pa, key=lambda arm: abs(float(arm) - BEST))[:3]
    return tally | {
        "allocation": pa,
        "near_best": sum(pa[arm] for arm in near),
        "agreed_after": agreed,
        "counted": counted,
    }


def main() -> int:
    """Run, print, and say whether the goals were met."""
    result = asyncio.run(run())
    OUT.mkdir(exist_ok=True)
    (OUT / "learning.json").write_text(json.dumps(result, indent=1))
    rows = [
        ("requests, failed", f"{REQUESTS}, {result['failed']}"),
        ("ratings acknowledged, refused", f"{result['acknowledged']}, {result['ratings_failed']}"),
        ("ratings counted in Redis at the end", f"{result['counted']:.1f}"),
        ("allocation to the best arm and its neighbours", f"{result['near_best']:.1%}"),
        (
            "both replicas the same after",
            "never" if result["agreed_after"] is None else f"{result['agreed_after']:.1f} s",
        ),
        ("allocation", ", ".join(f"{arm}: {p:.2f}" for arm, p in result["allocation"].items())),
    ]
    print(f"\nPolicy {BASELINE}, best {BEST}; Redis killed at half-way and back 300 requests later.\n")
    print(table(("what", "measured"), rows))
    lost = result["acknowledged"] - result["counted"]
    good = not result["failed"] and result["near_best"] >= 0.8 and (result["agreed_after"] or 99) <= 5 and lost < 1
    return 0 if good else 1


if __name__ == "__main__":
    sys.exit(main())
