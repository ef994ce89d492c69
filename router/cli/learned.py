"""`setpoint report | learning`: what was learned, and who stops it."""

import asyncio
import json
import sys
from pathlib import Path

import click
from rich.console import Console

from router.cli.files import written
from router.cli.options import PATH


@click.command()
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
        with written(out) as file:
            file.write(json.dumps(told, indent=1).encode() + b"\n")
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

        def seen(count: int, total: int) -> None:
            bar.length = max(total, count)
            bar.update(count - bar.pos)

        with written(out) as file:
            done, unread = asyncio.run(offline.decisions(config, file, seen))
    bad = f"; {unread} entries that make no sense were left out" if unread else ""
    click.echo(f"{out}: {done} decisions and rewards{bad}", err=True)


@click.group()
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
