"""What a server and a client cost by themselves: one relay that decides nothing, under several of each."""

import statistics
import sys
from dataclasses import asdict
from typing import Any

from bench import spread, table
from bench.speed.bodies import KILOBYTE
from bench.speed.contestants import MODEL, OURS, ROOT, Contestant, bare_aiohttp
from bench.speed.ground import ground, serving
from bench.speed.installing import bin_of, install, pinned
from bench.speed.reporting import Found, Part, progress, run_as_program

CONNECTIONS, WARM_UP, MEASURE = 32, 1, 3  # requests at once; seconds

# As `setpoint serve` starts uvicorn.
_SERVE = """
import sys, uvicorn
from router.protocol import Protocol
uvicorn.run("bench.speed.relay:relay", port=int(sys.argv[1]), loop="uvloop", http=Protocol if sys.argv[2] == "ours" else
            "httptools", access_log=False, log_level="warning", proxy_headers=False, server_header=False, date_header=False)
"""


def _relay(server: str, client: str) -> Contestant:
    """The relay under a server, with a client."""
    found = sys.version_info
    site = bin_of("granian").parent / "lib" / f"python{found.major}.{found.minor}" / "site-packages"
    commands = {
        "ours": ("{bin}/python", "-c", _SERVE, "{port}", "ours"),
        "uvicorn": ("{bin}/python", "-c", _SERVE, "{port}", "uvicorn"),
        "granian": ("{bin}/python", "-m", "granian", "--interface", "asgi", "--loop", "uvloop", "--no-access-log", "--port",
                    "{port}", "bench.speed.relay:relay"),
    }  # fmt: skip
    names = {"ours": "uvicorn, our protocol", "uvicorn": "uvicorn", "granian": f"granian {pinned('granian')}"}
    return Contestant(
        f"{names[server]} + {'our client' if client == 'plain' else 'pyreqwest'}",
        "",
        OURS,
        commands[server],
        env={"BENCH_UPSTREAM": "{upstream}", "BENCH_CLIENT": client, "PYTHONPATH": f"{ROOT}:{site}"},
    )


def measure(rounds: int) -> Found:
    """All rounds, every pair in each."""
    install("granian")
    pairs = (("ours", "plain"), ("uvicorn", "plain"), ("granian", "plain"), ("ours", "secure"), ("granian", "secure"))
    compared = [*(_relay(server, client) for server, client in pairs), bare_aiohttp()]
    samples: dict[str, list[dict[str, Any]]] = {c.name: [] for c in compared}
    with ground() as field:
        body = field.bodies(KILOBYTE, MODEL)
        for n in range(rounds):
            for contestant in compared:
                progress(f"parts, round {n + 1}/{rounds}: {contestant.name}")
                with serving(field, contestant) as served:
                    field.load(served.url, WARM_UP, CONNECTIONS, body)
                    samples[contestant.name].append(asdict(field.cost(served, MEASURE, CONNECTIONS, body)))
    return {"relays": samples}


def show(found: Found) -> str:
    """The table of the decision record."""
    rows = [
        [name, *(spread([r[key] for r in rounds], 0) for key in ("rps", "cpu_us", "rss_mib"))]
        for name, rounds in sorted(
            found["relays"].items(), key=lambda it: statistics.median(r["cpu_us"] for r in it[1])
        )
    ]
    return table(["a relay of 1 KB", "requests/s", "CPU µs/request", "RSS MiB"], rows)


PART = Part("parts", "Servers and clients by themselves.", measure, show, lambda _: ())

if __name__ == "__main__":
    run_as_program(PART)
