"""Whether a gateway did what it is said to have done while it was measured."""

import json
import urllib.error
import urllib.request

from bench import BenchError
from bench.static_upstream import CONTENT

KEPT = (
    "requests_total",
    "decided_total",
    "explored_total",
    "store_up",
    "store_buffered_events",
    "store_shed_total",
)
BROKEN = ("classifier_failures_total", "policy_failures_total", "learning_failures_total")


def everything_was_on(url: str) -> dict[str, float]:
    """Setpoint's own counters, summed by metric. Raises BenchError where a part of it did not take part."""
    with urllib.request.urlopen(url.removesuffix("/v1") + "/metrics", timeout=10) as answer:
        lines = [li.rsplit(" ", 1) for li in answer.read().decode().splitlines() if li and not li.startswith("#")]
    seen: dict[str, float] = {}
    for series, value in lines:
        name = series.partition("{")[0].removeprefix("setpoint_")
        seen[name] = seen.get(name, 0.0) + float(value)
    for name in BROKEN:
        if seen.get(name):
            raise BenchError(f"Setpoint's {name} is {seen[name]:.0f}: it was not whole while it was measured")
    if not seen.get("store_up") or not seen.get("decided_total"):
        raise BenchError("Setpoint's store or its learning took no part; see /metrics")
    return {name: seen.get(name, 0.0) for name in KEPT}


def answers(url: str, body: bytes, key: str) -> bool:
    """Whether somebody answers, and with the upstream's answer. Raises BenchError for any other answer."""
    headers = {"Content-Type": "application/json", "Authorization": f"Bearer {key}"}
    request = urllib.request.Request(f"{url}/chat/completions", body, headers)
    try:
        with urllib.request.urlopen(request, timeout=60) as answer:
            said = json.load(answer)["choices"][0]["message"]["content"]
    except urllib.error.HTTPError as e:
        raise BenchError(f"{url} answers {e.code}: {e.read()[:500].decode(errors='replace')}") from e
    except OSError:
        return False
    if said != CONTENT:
        raise BenchError(f"{url} answers {said!r}, which is not what the upstream said")
    return True
