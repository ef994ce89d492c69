"""The table of what is compared: how each gateway is started, and what it does there."""

import shutil
import sys
from collections.abc import Callable
from dataclasses import dataclass, field
from importlib.metadata import version
from pathlib import Path

import yaml

from bench.speed import checking
from bench.speed.installing import bin_of, pinned
from bench.static_upstream import KEY

MODEL = "gpt-4.1"
ROOT = Path(__file__).parent.parent.parent
OURS = Path(sys.executable).parent


@dataclass(frozen=True, slots=True)
class Contestant:
    """A gateway: the command that starts it, the files it reads, and what else must hold after it was measured.

    In command, files, env and url `{port}`, `{upstream}` (with its /v1), `{far}` (its host and port), `{folder}` (the
    contestant's own, empty) and `{bin}` stand for what they say. A contestant without `url` prints it as a line of its own.
    `model` is how clients call the model there; `streams` is how many it is given at once.
    """

    name: str
    what: str
    bin: Path
    command: tuple[str, ...]
    files: dict[str, str] = field(default_factory=dict)
    env: dict[str, str] = field(default_factory=dict)
    url: str = "http://127.0.0.1:{port}/v1"
    model: str = MODEL
    streams: int = 256
    package: str = ""  # to be installed apart
    check: Callable[[str], dict[str, float]] = lambda _url: {}


def setpoint(*more: str, policy: str | None = None) -> Contestant:
    """This tree's proxy with everything on; further arguments of `serve`, and another policy than the shipped one."""
    store = () if "--store" in more else ("--store", "embedded")
    return Contestant(
        "Setpoint",
        f"{version('setpoint')}: keys, classifier, shipped policy, learning applied, embedded store, metrics",
        OURS,
        (
            "{bin}/python",
            "-m",
            "router",
            "serve",
            "--config",
            "{folder}/setpoint.yaml",
            "--port",
            "{port}",
            *store,
            *more,
        ),
        {"setpoint.yaml": SETPOINT, "policy.yaml": _braced(policy or shipped_policy_applied())},
        {"SETPOINT_DATA": "{folder}/data", "PYTHONPATH": str(ROOT)},
        check=checking.everything_was_on,
    )


def litellm() -> Contestant:
    """The proxy of litellm, as its documentation advises for production."""
    return Contestant(
        "LiteLLM Proxy",
        f"{pinned('litellm')}: one worker, no keys, no database, no callbacks",
        bin_of("litellm"),
        ("{bin}/litellm", "--config", "{folder}/config.yaml", "--host", "127.0.0.1", "--port", "{port}"),
        {"config.yaml": LITELLM},
        # Without the first its start waits for a download; the others are its own advice for production.
        {"LITELLM_LOCAL_MODEL_COST_MAP": "True", "LITELLM_MODE": "PRODUCTION", "LITELLM_LOG": "ERROR"},
        streams=64,
        package="litellm",
    )


def tensorzero() -> Contestant:
    """TensorZero's Rust gateway out of its Python wheel, which starts it on a port of its own choice."""
    return Contestant(
        "TensorZero",
        f"{pinned('tensorzero')}: the Rust gateway that its wheel carries; no keys, no observability, no learning",
        bin_of("tensorzero"),
        ("{bin}/python", "-c", TENSORZERO_START, "{folder}/tensorzero.toml"),
        {"tensorzero.toml": TENSORZERO},
        {"RUST_LOG": "error"},
        url="",
        model=f"tensorzero::model_name::{MODEL}",
        package="tensorzero",
    )


def _program(name: str, what: str, factory: str, *more: str) -> Contestant:
    return Contestant(
        name,
        what,
        OURS,
        ("{bin}/uvicorn", f"bench.speed.bare:{factory}", "--port", "{port}", "--no-access-log", "--log-level", "warning",
         "--loop", "uvloop", "--http", "httptools", *more),
        env={"BENCH_UPSTREAM": "{upstream}", "PYTHONPATH": str(ROOT)},
    )  # fmt: skip


def fastapi_httpx() -> Contestant:
    """What the first result of a search would have one write."""
    what = f"{version('fastapi')} + {version('httpx')}: passes the bytes on, decides nothing"
    return _program("FastAPI + httpx", what, "fastapi_httpx", "--factory")


def bare_aiohttp() -> Contestant:
    """The least that relays streams with this project's libraries."""
    what = f"{version('aiohttp')}: an ASGI function and a client session, passes the bytes on"
    return _program("bare aiohttp relay", what, "aiohttp_relay")


def nginx() -> Contestant:
    """The limit: bytes through, in C."""
    return Contestant(
        "nginx",
        "as a reverse proxy with one worker: the limit",
        Path(shutil.which("nginx") or "nginx").parent,
        ("{bin}/nginx", "-e", "{folder}/nginx.log", "-c", "{folder}/nginx.conf"),
        {"nginx.conf": NGINX},
    )


def compared() -> tuple[Contestant, ...]:
    """Those of the throughput table; nginx only where it is installed."""
    limit = (nginx(),) if shutil.which("nginx") else ()
    return (setpoint(), tensorzero(), litellm(), fastapi_httpx(), *limit)


def streamed() -> tuple[Contestant, ...]:
    """Those of the streaming table."""
    return (setpoint(), bare_aiohttp(), tensorzero(), litellm())


SETPOINT = f"""
upstreams:
  - {{{{name: static, kind: openai, base_url: "{{upstream}}", api_key: none, models: ["gpt-*"], provider: openai}}}}
policies: policy.yaml
keys: [{{{{tenant: bench, key: {KEY}}}}}]
"""

LITELLM = """
model_list:
  - model_name: gpt-4.1
    litellm_params: {{model: openai/gpt-4.1, api_base: "{upstream}", api_key: none}}
general_settings: {{dangerously_permit_weak_or_unset_master_key: true}}
litellm_settings: {{telemetry: false, num_retries: 0, drop_params: true}}
"""

TENSORZERO = """
[gateway]
observability.enabled = false
[models."gpt-4.1"]
routing = ["static"]
[models."gpt-4.1".providers.static]
type = "openai"
model_name = "gpt-4.1"
api_base = "{upstream}"
api_key_location = "none"
"""

TENSORZERO_START = """
import sys, time, tensorzero
gateway = tensorzero._start_http_gateway(
    config_file=sys.argv[1], clickhouse_url=None, postgres_url=None, valkey_url=None, async_setup=False)
print(gateway.base_url, flush=True)
time.sleep(1e6)
"""

NGINX = """
daemon off;
worker_processes 1;
pid {folder}/nginx.pid;
error_log {folder}/nginx.log error;
events {{ worker_connections 8192; }}
http {{
  access_log off;
  client_body_temp_path {folder}/body; proxy_temp_path {folder}/proxy; fastcgi_temp_path {folder}/fastcgi;
  uwsgi_temp_path {folder}/uwsgi; scgi_temp_path {folder}/scgi;
  client_max_body_size 20m;
  client_body_buffer_size 1m;
  keepalive_requests 1000000000;
  upstream far {{ server {far}; keepalive 512; keepalive_requests 1000000000; }}
  server {{
    listen 127.0.0.1:{port} backlog=1024;
    location / {{
      proxy_pass http://far;
      proxy_http_version 1.1;
      proxy_set_header Connection "";
      proxy_buffering off;
    }}
  }}
}}
"""


def shipped_policy_applied() -> str:
    """The shipped policy with its learning applied; as shipped it only observes."""
    from policies.loading import LIBRARY

    policy = yaml.safe_load((LIBRARY / "guide.yaml").read_text("utf-8"))
    policy["adapt"]["mode"] = "apply"
    return str(yaml.safe_dump(policy, allow_unicode=True))


def _braced(text: str) -> str:
    return text.replace("{", "{{").replace("}", "}}")
