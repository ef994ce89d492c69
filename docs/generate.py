"""The reference pages and the policy schema, made from the tables: `make docs`. A test fails when they are behind."""

import json
import math
import sys
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import click
from pydantic import BaseModel

from metrics.families import FAMILIES
from metrics.signals import SIGNALS
from policies.blending import DIGITS, LEAST
from policies.conditions import CONDITIONS
from policies.decision import RUNGS
from policies.document import Adapt
from policies.parameters import PARAMETERS
from policies.policy import Adaptation
from policies.schedule import SHAPES
from policies.schema import schema
from router.cli import main as commands
from router.errors import CODES
from router.settings import KeySettings, Limits, Settings, UpstreamSettings
from router.surfaces import SURFACES

FOLDER = Path(__file__).parent / "reference"
NOTE = "<!-- Made by `make docs` from the tables in the code; edit those. -->\n\n"


def table(header: Sequence[str], rows: Iterator[Sequence[object]]) -> str:
    """A Markdown table."""
    lines = [
        header,
        ["---"] * len(header),
        *([str(c).replace("|", "\\|").replace("\n", " ") for c in row] for row in rows),
    ]
    return "\n".join(f"| {' | '.join(line)} |" for line in lines) + "\n"


def policy() -> str:
    """Parameters, schedules, conditions and the ladder."""
    rows = (
        (
            f"`{p.name}`",
            p.kind,
            _limits(p.low, p.high) or ", ".join(p.choices),
            ", ".join(f"`{x}`" for x in p.paths or (p.name,)),
            p.help,
        )
        for p in PARAMETERS.values()
    )
    return (
        "# Policy files\n\nThe schema for editors is [policy.schema.json](policy.schema.json); `setpoint check` says the same.\n\n"
        "## Parameters\n\nIn `set`, `bounds`, `client`, `ignore_client_values` and `adapt.arms`. `unset` as a value sends nothing.\n\n"
        + table(("name", "kind", "range", "places in a request", "what it does"), rows)
        + "\n## Schedules\n\nOn any numeric parameter, `by: turn` (the default) or `by: attempt`:\n\n"
        "- `{first: 0.7, then: 0.3, over: 1}`: `first` for as many turns as `over` says, `then` afterwards\n"
        "- `[0.9, 0.5, 0.1]` or `{values: [...], by: attempt}`: one value a turn; the last one stays\n"
        + "".join(f"- `{{{s}: [0.9, 0.3], over: 4}}`: from the first to the second value over so many turns\n" for s in SHAPES)
        + _blending()
        + _learning()
        + "\n## Conditions of rules\n\n" + ", ".join(f"`{c}`" for c in CONDITIONS)
        + ". All keys of a `when` must hold; of a list one is enough. Numbers take `3` or `{min: 2, max: 5}`.\n"
        + "\n## The ladder\n\n" + " → ".join(RUNGS) + ". Each rung stands above the one before; bounds and capability are never crossed.\n"
    )  # fmt: skip


def settings() -> str:
    """Every key of setpoint.yaml."""
    parts: list[tuple[str, type[BaseModel]]] = [
        ("setpoint.yaml", Settings),
        ("upstreams[]", UpstreamSettings),
        ("keys[]", KeySettings),
        ("limits", Limits),
    ]
    text = "# Settings\n\n`${NAME}` and `${NAME:-default}` are taken from the environment. Without a file: `DEEPSEEK_API_KEY` and `OPENAI_API_KEY` choose the upstreams, otherwise the local model answers. `SETPOINT_CONFIG` names the file, `SETPOINT_DATA` the data folder.\n"
    return text + "".join(
        f"\n## {name}\n\n{table(('key', 'default', 'what it is'), _fields(model))}" for name, model in parts
    )


def http() -> str:
    """Surfaces, endpoints, headers and error codes."""
    surfaces = ((f"`POST /v1{s.path}`", f"policy applied, streaming or not ({s.name})") for s in SURFACES.values())
    own = (
        ("any other `/v1/*`", "forwarded untouched to the upstream that serves the model, or to the first one"),
        ("`GET /v1/models`", "all that the upstreams serve"),
        (
            "`POST /v1/feedback`",
            "one `{id, signal, value}` or a list; with `session` instead of `id`, about all answers of that `x-setpoint-session` "
            "together; idempotent per (id, signal) and (session, signal)",
        ),
        (
            "`GET /v1/learning`",
            "what was learned: all cells with tallies, marks, allocation (as `setpoint report --export`) and standing; how "
            "observed signals correlate with explicit ones, and their weights; with keys, without the cells of other tenants",
        ),
        ("`POST /v1/explain`", "a chat completions body in, the ladder out; nothing is forwarded or stored"),
        (
            "`GET /healthz` `/readyz` `/metrics`",
            "liveness, readiness (policy, classifiers, upstreams, store), Prometheus",
        ),
    )
    headers = (
        (
            "`x-setpoint-task`",
            "request: the task, if the app knows it; one that the classifier or the policy knows, or `general` for the "
            "defaults; any other is answered 400 `unknown_task`, with those that are known; answer: the task",
        ),
        ("`x-setpoint-mode`", "request: `bypass` (untouched), `observe` or `apply`"),
        ("`x-setpoint-session`", "request: the conversation; it keeps its arms (`adapt.sticky`)"),
        ("`x-setpoint-decision`", "answer: the id for feedback"),
        ("`x-setpoint-confidence`", "answer: of the task, 0 to 1"),
        ("`x-setpoint-turn`", "answer: the n-th user message"),
        ("`x-setpoint-policy`", "answer: name@digest"),
        ("`x-setpoint-arm`", "answer: parameter=arm, or none"),
        ("`x-setpoint-params`", "answer: the governed parameters as sent upstream, compact JSON"),
        ("`x-setpoint-dropped`", "answer: name=reason, ..."),
    )
    codes = ((f"`{c}`", status, kind) for c, (status, kind) in CODES.items())
    return (
        "# HTTP\n\n" + table(("path", "what happens"), iter((*surfaces, *own))) + "\n## Headers\n\n" + table(("header", "meaning"), iter(headers))
        + "\n## Errors\n\nOpenAI's error body; an upstream's own error passes with its status and body.\n\n" + table(("code", "status", "type"), codes)
    )  # fmt: skip


def metrics() -> str:
    """Every metric."""
    rows = (
        (f"`setpoint_{f.name}{'_total' if f.kind == 'counter' else ''}`", f.kind, ", ".join(f.labels), f.help)
        for f in FAMILIES.values()
    )
    return "# Metrics\n\n" + table(("metric", "kind", "labels", "what it counts"), rows)


def signals() -> str:
    """Every signal."""
    rows = ((f"`{s.name}`", s.source, s.group, f"{s.weight:g}", s.takes, s.help) for s in SIGNALS.values())
    return (
        "# Signals\n\nExplicit ones come by `POST /v1/feedback`; observed ones are read off every answer.\n\n"
        + table(("signal", "source", "group", "weight", "takes", "meaning"), rows)
    )


def cli() -> str:
    """Every command with its help."""
    context = click.Context(commands, info_name="setpoint")
    return "# Commands\n\n" + "\n".join(_helps(commands, context))


def _helps(group: click.Group, context: click.Context) -> Iterator[str]:
    for name in group.list_commands(context):
        command = group.get_command(context, name)
        assert command is not None
        with click.Context(command, info_name=name, parent=context, max_content_width=100, terminal_width=100) as c:
            yield f"## {c.command_path}\n\n```\n{command.get_help(c)}\n```\n"
            if isinstance(command, click.Group):
                yield from _helps(command, c)


def _blending() -> str:
    numbers = [p for p in PARAMETERS.values() if p.numeric]
    averaged = ", ".join(
        f"`{p.name}`" + (f" (from {p.amounts_from:g})" if p.amounts_from > -math.inf else "")
        for p in numbers
        if p.amounts_from < math.inf
    )
    names = ", ".join(f"`{p.name}`" for p in numbers if p.amounts_from == math.inf)
    return f"""
## Blending

`blend: true` at the top of a file holds for the whole policy, `tasks.<task>.blend` for the requests of that task (also `general`);
`false` if not said. Where the classifier is not sure, a number becomes the mean of what each candidate task gets from vendor to model, weighted by probability:
the verdict's task and its runners-up, or the runners-up alone where it abstained; below {LEAST:g} a task does not count.

- Averaged: {averaged}. Whole numbers are rounded to whole ones, others to {DIGITS} digits.
- A schedule takes part with its value for this turn or attempt.
- Anything else keeps the value of the verdict's task (`general`'s own where the classifier abstained): choices, flags, strings, {names},
  and what some candidate does not set.
- Rules, arms, the client, bounds and capability stand above. Guards (`client`, `ignore_client_values`, `bounds`) are those of the
  verdict's task. A task that the request declares is never blended.
- Where a parameter has arms, a mean that is nearest to the task's own value stays that value and is learned from; a request with any
  other mean is neither tried on nor learned from.
"""


def _learning() -> str:
    return f"""
## Learning

`adapt` at the top of a file holds for the whole policy, `tasks.<task>.adapt` for the requests of that task.

{table(("key", "default", "what it is"), _adapt())}"""


def _adapt() -> Iterator[Sequence[object]]:
    plain = Adaptation()
    for name, field in Adapt.model_fields.items():
        default = getattr(plain, name)
        shown = ", ".join(f"{k}: {v:g}" for k, v in default.items()) if isinstance(default, Mapping) else default
        yield f"`{name}`", f"`{str(shown).lower()}`" if shown != "" else "none", field.description or ""


def _limits(low: float | None, high: float | None) -> str:
    return "" if low is None and high is None else f"{low:g} to {'any' if high is None else f'{high:g}'}"


def _fields(model: type[BaseModel]) -> Iterator[Sequence[object]]:
    for name, field in model.model_fields.items():
        factory: Any = field.default_factory
        default = (
            "required"
            if field.is_required()
            else "the data folder"
            if name == "data"
            else factory()
            if factory
            else field.default
        )
        if name == "policies":
            default = "policies/library"
        if name == "limits":
            default = "see below"
        yield f"`{name}`", f"`{default}`", field.description or ""


PAGES = {
    "policy.md": policy,
    "settings.md": settings,
    "http.md": http,
    "metrics.md": metrics,
    "signals.md": signals,
    "cli.md": cli,
}


def pages() -> dict[str, str]:
    """File name → what it must say."""
    made = {name: NOTE + page() for name, page in PAGES.items()}
    return made | {"policy.schema.json": json.dumps(schema(), indent=1, ensure_ascii=False) + "\n"}


def main() -> int:
    """Write all pages."""
    FOLDER.mkdir(exist_ok=True)
    for name, text in pages().items():
        (FOLDER / name).write_text(text, "utf-8")
        print(f"docs/reference/{name}")
    return 0


if __name__ == "__main__":
    sys.exit(main())
