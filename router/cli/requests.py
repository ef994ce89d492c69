"""`setpoint serve | check | explain`: what happens to requests, and what would."""

import contextlib
import json
import sys
from pathlib import Path
from typing import Any

import click
from rich.console import Console

from classifier.errors import ClassifierError
from policies.errors import InvalidPolicyError
from router.cli.options import PATH
from router.errors import SettingsError


@click.command()
@click.option("--config", type=PATH, help="setpoint.yaml; without one, ./setpoint.yaml, then the environment.")
@click.option("--host", help="Address to listen on.")
@click.option("--port", type=click.IntRange(0, 65535), help="Port to listen on.")
@click.option("--workers", type=click.IntRange(1, 256), help="Processes that share the port.")
@click.option("--policies", type=PATH, help="A policy file or a folder of them.")
@click.option("--store", help="`embedded`, or the URL of a Redis.")
def serve(config: Path | None, **given: Any) -> None:
    """Run the proxy."""
    from router import serving
    from router.settings import Settings, load

    chosen = {k: v for k, v in given.items() if v is not None}
    settings = load(config)
    with contextlib.suppress(KeyboardInterrupt):  # Ctrl-C is how one ends it
        serving.serve(Settings.model_validate(settings.model_dump() | chosen))


@click.command()
@click.argument("paths", nargs=-1, type=PATH)
@click.option("--schema", is_flag=True, help="Print the JSON Schema of policy files, for an editor.")
def check(paths: tuple[Path, ...], schema: bool) -> None:
    """Check policy files, folders of them, or a setpoint.yaml, without running anything."""
    from policies import loading
    from policies.schema import schema as policy_schema
    from router import settings

    if schema:
        click.echo(json.dumps(policy_schema(), indent=2, ensure_ascii=False))
        return
    failed = False
    for path in paths or (settings.load().policies,):
        try:
            click.echo(_checked(path, loading, settings))
        except (InvalidPolicyError, SettingsError, ClassifierError) as e:
            failed = True
            click.echo(str(e), err=True)
    sys.exit(1 if failed else 0)


def _checked(path: Path, loading: Any, settings: Any) -> str:
    if path.is_file() and "\nupstreams:" in "\n" + path.read_text("utf-8", errors="replace"):
        found = settings.read(path)
        said = [f"{path}: good: upstreams {', '.join(u.name for u in found.upstreams)}"]
        said += [_artefact(folder) for folder in (found.classifier, found.classifier_shadow) if folder]
        return "\n".join([*said, _checked(found.policies, loading, settings)])
    policy = loading.load(path)
    return f"{path}: good: {policy.name}@{policy.digest}, {len(policy.tasks)} tasks, {len(policy.rules)} rules, learning {policy.adaptation.mode}"


def _artefact(folder: Path) -> str:
    from classifier.model import Classifier

    classifier = Classifier.load(folder)
    return f"{folder}: good: classifier {classifier.digest}, {len(classifier.tasks)} tasks"


@click.command()
@click.argument("prompt")
@click.option("--config", type=PATH, help="setpoint.yaml.")
@click.option("--policies", type=PATH, help="A policy file or a folder of them.")
@click.option("--model", help="The model that would answer; by default the first that the settings name.")
@click.option("--system", help="A system prompt before it.")
@click.option("--turn", type=click.IntRange(1, 1000), default=1, show_default=True, help="As the n-th user message.")
@click.option("--set", "params", multiple=True, metavar="NAME=JSON", help="A parameter that the client sends.")
@click.option("--json", "as_json", is_flag=True, help="JSON instead of a table.")
def explain(
    prompt: str,
    config: Path | None,
    policies: Path | None,
    model: str | None,
    system: str | None,
    turn: int,
    params: tuple[str, ...],
    as_json: bool,
) -> None:
    """Show which parameters a prompt would get, rung by rung, and why. Nothing is sent."""
    from router import offline
    from router.explaining import as_json as json_of
    from router.explaining import show

    body = {"messages": offline.conversation(prompt, system, turn), **dict(_parameter(p) for p in params)}
    prepared = offline.prepare(body, config, policies, model)
    if as_json:
        click.echo(json.dumps(json_of(prepared), indent=2, ensure_ascii=False))
    else:
        show(prepared, Console(soft_wrap=not sys.stdout.isatty()))


def _parameter(given: str) -> tuple[str, Any]:
    name, equals, value = given.partition("=")
    if not equals:
        raise click.BadParameter(f"{given!r} is not NAME=JSON", param_hint="--set")
    try:
        return name, json.loads(value)
    except ValueError:
        return name, value
