"""The command line: `setpoint serve | check | explain | classify | train | compare | report | learning`."""

import asyncio
import contextlib
import io
import json
import shutil
import sys
from pathlib import Path
from typing import Any

import click
from rich.console import Console

from classifier.errors import ClassifierError, CorpusError, OutError
from metrics.errors import MetricsError
from policies.errors import InvalidPolicyError
from router.errors import ExchangeError, RequestError, SettingsError

PATH = click.Path(path_type=Path)
WIDTH = 120  # columns, where the terminal does not say


class _Commands(click.Group):
    """Turns the errors that a user can do something about into one line on standard error and exit code 1; 2 where something
    cannot be written."""

    def invoke(self, ctx: click.Context) -> Any:
        try:
            return super().invoke(ctx)
        except OutError as e:
            raise _UnwritableError(str(e)) from e
        except (SettingsError, InvalidPolicyError, ClassifierError, MetricsError, ExchangeError, RequestError) as e:
            raise click.ClickException(str(e)) from e
        except KeyboardInterrupt:
            click.echo("Interrupted.", err=True)
            sys.exit(130)
        except BrokenPipeError:
            sys.exit(0)  # the reader of a pipe has seen enough
        except OSError as e:
            sys.stdout = io.StringIO()  # what is left of the real one cannot be written at the end either
            raise _UnwritableError(f"{e.filename or 'the output'}: {e.strerror or e}") from e


class _UnwritableError(click.ClickException):
    exit_code = 2


@click.group(cls=_Commands, context_settings={"help_option_names": ["-h", "--help"]})
@click.version_option(package_name="setpoint")
def main() -> None:
    """Setpoint: an OpenAI-compatible proxy that gives every request the parameters its task needs."""


@main.command()
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


@main.command()
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


@main.command()
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


@main.command()
@click.argument("prompt", required=False)
@click.option("--artefact", type=PATH, help="Folder of the classifier; the shipped one if not given.")
@click.option(
    "--eval", "files", multiple=True, type=PATH, help="JSONL with text or messages, and task: score verdicts."
)
@click.option("--plots", type=PATH, help="With --eval: a folder for confusion.png and calibration.png.")
@click.option("--json", "as_json", is_flag=True, help="With --eval: one JSON document instead of tables.")
@click.option(
    "--mistakes",
    type=click.IntRange(min=0),
    default=10,
    show_default=True,
    help="With --eval: how many of the most confident mistakes to show.",
)
def classify(
    prompt: str | None,
    artefact: Path | None,
    files: tuple[Path, ...],
    plots: Path | None,
    as_json: bool,
    mistakes: int,
) -> None:
    """The task of a prompt, or of each line of JSONL ({"text": ...} or {"messages": [...]}) on standard input, as JSONL.
    A line that is none gets its error, and the exit code is 1.

    With --eval: how right verdicts are on labelled prompts, by language and source, and where they are not.
    """
    from classifier.ask import read_text
    from classifier.model import Classifier

    if files and prompt is not None:
        raise click.UsageError("a prompt and --eval do not go together")
    if not files and (plots or as_json or _is_given("mistakes")):
        raise click.UsageError("--plots, --json and --mistakes go with --eval")
    model = Classifier.load(artefact)
    if files:
        _evaluate(model, files, plots, as_json, mistakes)
    elif prompt is not None:
        click.echo(_told(model.classify(read_text(prompt))))
    else:
        _classify_lines(model)


def _is_given(option: str) -> bool:
    source = click.get_current_context().get_parameter_source(option)
    return source is not None and source is not click.core.ParameterSource.DEFAULT


def _told(verdict: Any) -> str:
    told: dict[str, Any] = {"task": verdict.task, "confidence": round(verdict.confidence, 4)}
    if verdict.runners_up:
        told["runners_up"] = [{"task": t, "confidence": round(c, 4)} for t, c in verdict.runners_up]
    return json.dumps(told, ensure_ascii=False)


def _classify_lines(model: Any) -> None:
    """Lines on standard input, as they come. Of one that is none its error; then the exit code is 1."""
    from classifier.corpus import asked

    if sys.stdin is None:
        raise click.UsageError("standard input is closed; give a prompt, or lines of JSON")
    failed = False
    for number, line in enumerate(sys.stdin.buffer, 1):
        if line.strip():
            try:
                said = _told(model.classify(asked(line, f"line {number}")))
            except CorpusError as e:
                failed, said = True, json.dumps({"error": str(e)}, ensure_ascii=False)
            click.echo(said)
    if failed:
        sys.exit(1)


def _evaluate(model: Any, files: tuple[Path, ...], plots: Path | None, as_json: bool, mistakes: int) -> None:
    from classifier import plotting
    from classifier.marking import evaluate
    from router import evaluating

    if plots:
        plotting.ready(plots)
    found = evaluate(files, model.classify, model.tasks, mistakes, progress=lambda said: click.echo(said, err=True))
    if as_json:
        click.echo(json.dumps(evaluating.as_json(found, model.digest), indent=1, ensure_ascii=False))
    else:
        click.echo(evaluating.as_text(found, model.digest, shutil.get_terminal_size((WIDTH, 0)).columns), nl=False)
    for file in plotting.draw(found, plots) if plots else ():
        click.echo(f"wrote {file}", err=True)


@main.command()
@click.option(
    "--data", multiple=True, type=PATH, help="JSONL with text and task; optional accept, lang, source, license."
)
@click.option("--tasks", type=PATH, help="Folder of your own task files.")
@click.option("--out", type=PATH, required=True, help="Folder for the artefact.")
@click.option(
    "--base",
    type=PATH,
    help="Artefact to go on from; if not given, the shipped one, and with --from-traffic the one that the settings name.",
)
@click.option(
    "--from-scratch", is_flag=True, help="Train anew, from the shipped prompts (or --tasks alone) and --data."
)
@click.option(
    "--from-traffic", is_flag=True, help="Also learn from the corrections that the store of --config has kept."
)
@click.option("--config", type=PATH, help="setpoint.yaml, for --from-traffic.")
@click.option("--force", is_flag=True, help="Write a model that is worse on the validation set, too.")
def train(
    data: tuple[Path, ...],
    tasks: Path | None,
    out: Path,
    base: Path | None,
    from_scratch: bool,
    from_traffic: bool,
    config: Path | None,
    force: bool,
) -> None:
    """Teach the classifier tasks of your own, and correct it; say how right it is on rows that it has not seen."""
    from classifier.adapting import adapt
    from classifier.tasks import FOLDER
    from classifier.training import train as run

    def progress(said: str) -> None:
        click.echo(said, err=True)

    if config and not from_traffic:
        raise click.UsageError("--config goes with --from-traffic")
    if from_scratch:
        if base or from_traffic or force:
            raise click.UsageError("--from-scratch goes with neither --base, --from-traffic nor --force")
        click.echo(str(run(tasks or FOLDER, data, out, progress)))
        return
    labels = None
    if from_traffic:
        from router import offline
        from router.settings import load

        settings = load(config)
        base = base or settings.classifier
        labels, unreadable = asyncio.run(offline.labels(settings))
        progress(
            f"{len(labels)} labels from traffic" + (f", and {unreadable} that cannot be read" if unreadable else "")
        )
    click.echo(str(adapt(data, out, tasks, base, labels, force, progress)))


@main.command()
@click.argument("urls", nargs=-1, metavar="[URL]...")
@click.option("--config", type=PATH, help="setpoint.yaml, for the address of a proxy on this machine.")
@click.option("--json", "as_json", is_flag=True, help="JSON instead of tables.")
def compare(urls: tuple[str, ...], config: Path | None, as_json: bool) -> None:
    """How the shadow classifier (`classifier_shadow`) compares with the live one, since either was last changed.

    Give the address of each replica, such as http://10.0.0.5:8300; without any, that of the settings is asked.
    """
    from router import comparing
    from router.settings import load, own_address

    told = comparing.compared(comparing.fetch(urls or (own_address(load(config)),)))
    if as_json:
        click.echo(json.dumps(told, indent=2, ensure_ascii=False))
    else:
        comparing.show(told, Console(soft_wrap=not sys.stdout.isatty(), highlight=False))


@main.command()
@click.option("--config", type=PATH, help="setpoint.yaml.")
@click.option("--json", "as_json", is_flag=True, help="JSON instead of tables.")
@click.option("--export", "out", type=PATH, metavar="FILE", help="Write all that was learned to a JSON file instead.")
@click.option("--import", "given", type=PATH, metavar="FILE", help="Add what was exported to the store, once, instead.")
@click.option(
    "--decisions", type=PATH, metavar="FILE", help="Write the last 100,000 decisions and rewards as JSONL instead."
)
def report(config: Path | None, as_json: bool, out: Path | None, given: Path | None, decisions: Path | None) -> None:
    """What learning has seen and where it stands: every cell in one word and a reason, with its arms, their rewards, their
    lift over the policy's own value, and the allocation."""
    from router import exchange, offline

    if sum((as_json, out is not None, given is not None, decisions is not None)) > 1:
        raise click.UsageError("--json, --export, --import and --decisions do not go together")
    if decisions:
        _write_decisions(config, decisions)
    elif out:
        told = asyncio.run(offline.export(config))
        out.write_text(json.dumps(told, indent=1) + "\n", "utf-8")
        click.echo(f"{out}: {len(told['cells'])} cells", err=True)
    elif given:
        found = exchange.load(given)
        asyncio.run(offline.take_in(config, found))
        click.echo(f"{given}: {len(found.cells)} cells added; rollbacks and a pause are not carried over", err=True)
    else:
        asyncio.run(offline.report(config, as_json, Console()))


def _write_decisions(config: Path | None, out: Path) -> None:
    from router import offline

    with click.progressbar(length=0, label="decisions", file=sys.stderr) as bar:

        def seen(done: int, total: int) -> None:
            bar.length = max(total, done)
            bar.update(done - bar.pos)

        written, unread = asyncio.run(offline.decisions(config, out, seen))
    bad = f"; {unread} entries that make no sense were left out" if unread else ""
    click.echo(f"{out}: {written} decisions and rewards{bad}", err=True)


@main.group()
def learning() -> None:
    """Stop learning and let it go on, on all replicas that share the store."""


@learning.command()
@click.option("--why", default="", metavar="TEXT", help="The reason, for whoever reads the report.")
@click.option("--config", type=PATH, help="setpoint.yaml, for the store.")
def pause(why: str, config: Path | None) -> None:
    """Give every request the policy's own values until `resume`. Feedback is still taken in."""
    from router import offline
    from router.settings import load

    click.echo(asyncio.run(offline.pause(load(config), why)))


@learning.command()
@click.option("--config", type=PATH, help="setpoint.yaml, for the store.")
def resume(config: Path | None) -> None:
    """End a pause: requests get what was learned again."""
    from router import offline
    from router.settings import load

    click.echo(asyncio.run(offline.resume(load(config))))


@learning.command()
@click.argument("cell")
@click.option("--config", type=PATH, help="setpoint.yaml, for the store.")
def release(cell: str, config: Path | None) -> None:
    """Let a CELL that was rolled back learn again before its time. `setpoint report` shows its name."""
    from router import offline
    from router.settings import load

    click.echo(asyncio.run(offline.release(load(config), cell)))
