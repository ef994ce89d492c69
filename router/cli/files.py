"""Files that commands write: they appear when they are whole, and nothing else is ever put in the place of what is no file."""

import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import BinaryIO


@contextmanager
def written(out: Path) -> Iterator[BinaryIO]:
    """A file to write to, at `out` once the block is over; nothing is there if that fails. `-` is standard output, a link stays
    a link, and a pipe or a device is written into as it is: putting a file in the place of /dev/null breaks a machine.

    Raises OSError that names `out`.
    """
    if str(out) == "-":
        yield sys.stdout.buffer
        sys.stdout.flush()
        return
    if out.exists() and not out.is_file():
        with out.open("wb") as there:
            yield there
        return
    whole = out.resolve()
    part = whole.with_name(whole.name + ".part")
    try:
        with part.open("wb") as file:
            yield file
        part.replace(whole)
    except OSError as e:
        if e.filename == str(part):
            e.filename = str(out)
        raise
    finally:
        part.unlink(missing_ok=True)
