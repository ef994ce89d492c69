"""What several commands take and show."""

from pathlib import Path

import click

PATH = click.Path(path_type=Path)
WIDTH = 120  # columns, where the terminal does not say
