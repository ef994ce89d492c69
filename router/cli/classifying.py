"""`setpoint classify | train | compare`: the classifier, asked, taught and watched."""

import asyncio
import json
import shutil
import sys
from pathlib import Path
from typing import Any

import click
from rich.console import Console

from classifier.errors import CorpusError
from router.cli.options import PATH, WIDTH


@click.command()
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


@click.command()
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


@click.command()
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
