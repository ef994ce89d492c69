"""The command line: `setpoint serve | check | explain | classify | train | compare | report | learning`."""

import io
import sys
from typing import Any

import click

from classifier.errors import ClassifierError, OutError
from metrics.errors import MetricsError
from policies.errors import InvalidPolicyError
from router.cli.classifying import classify, compare, train
from router.cli.learned import learning, report
from router.cli.requests import check, explain, serve
from router.errors import ExchangeError, RequestError, SettingsError


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


for command in (serve, check, explain, classify, train, compare, report, learning):
    main.add_command(command)
