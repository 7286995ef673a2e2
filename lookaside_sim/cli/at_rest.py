"""Files that a command reads: what can be read only once, such as a pipe, is copied first."""

from __future__ import annotations

import atexit
import shutil
import stat
import sys
import tempfile
from argparse import ArgumentTypeError
from pathlib import Path
from typing import BinaryIO, Final

MOST_BYTES: Final = 1 << 32
"""Of a pipe, so that one without an end fills no disk."""
_copies: Final[dict[str, str]] = {}
"""What was copied, and what it is called."""
_COPIED: Final = 1 << 16
_GZIP_MAGIC: Final = b"\x1f\x8b"


def input_file(given: str) -> Path:
    """Take the name of a file that may be read more than once.

    Args:
        given: a name, or ``-`` for the standard input.

    Returns:
        The file; for a pipe a copy of what it gave, which goes with the process.

    Raises:
        ArgumentTypeError: the pipe cannot be read, or gives more than `MOST_BYTES`.
    """
    path = Path(given)
    try:
        if given == "-":
            return _copy_of(sys.stdin.buffer, "standard-input", "the standard input")
        mode = path.stat().st_mode
        if not (stat.S_ISFIFO(mode) or stat.S_ISCHR(mode) or stat.S_ISSOCK(mode)):
            return path
        with path.open("rb") as pipe:
            return _copy_of(pipe, path.name, given)
    except ValueError:
        return path  # who opens it says so
    except (OSError, AttributeError) as error:
        if given != "-" and not path.exists():
            return path  # who opens it says so
        raise ArgumentTypeError(f"{given}: {error}") from None


def is_copy(path: Path) -> bool:
    """Whether a file is a copy of what a pipe gave."""
    return str(path) in _copies


def as_given(text: str) -> str:
    """A message in which copies of pipes are called what they were given as."""
    for path, given in _copies.items():
        text = text.replace(path, given)
    return text


def _copy_of(pipe: BinaryIO, name: str, given: str) -> Path:
    folder = tempfile.mkdtemp(prefix="lookaside-sim-")
    atexit.register(shutil.rmtree, folder, ignore_errors=True)
    first = pipe.read(len(_GZIP_MAGIC))
    path = Path(folder, name + (".gz" if first == _GZIP_MAGIC else ""))
    _copies[str(path)] = given
    left = MOST_BYTES
    with path.open("wb") as copy:
        block = first
        while block:
            left -= len(block)
            if left < 0:
                raise OSError(f"gives more than {MOST_BYTES:,} bytes")
            copy.write(block)
            block = pipe.read(_COPIED)
    return path
