"""Record the heap of a Linux program: its calls of malloc and free, by a small preloaded library.

The library is compiled where it is needed, by the C compiler that is there.
"""

from __future__ import annotations

import os
import shlex
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from functools import cache
from pathlib import Path
from typing import Final

from lookaside_sim.errors import LookasideSimError
from lookaside_sim.trace.foreign.formats import Recording
from lookaside_sim.trace.foreign.symbols import SiteNames

MOST_FRAMES: Final = 32
"""Of a call site; as in preload.c."""
_SOURCE: Final = Path(__file__).with_name("preload.c")


@contextmanager
def recorded(command: Sequence[str], frames: int = 1) -> Iterator[tuple[Recording, int]]:
    """Run a program and record its heap.

    Only the program itself is recorded, not what it starts: give the program, not a script that
    starts it.

    Args:
        command: the program and its arguments.
        frames: callers that make a call site, the innermost first, up to `MOST_FRAMES`; 0 to record none.

    Yields:
        The recording, which is gone afterwards, and the program's exit code.

    Raises:
        ValueError: a number of frames that cannot be.
        LookasideSimError: no Linux, no C compiler, or one that fails; nothing was recorded.
        OSError: the program cannot be started.
    """
    if not 0 <= frames <= MOST_FRAMES:
        raise ValueError(f"frames {frames}: give 0 to {MOST_FRAMES}")
    if not sys.platform.startswith("linux"):
        raise LookasideSimError(
            "only programs on Linux can be recorded: bring a trace from there"
        )
    with tempfile.TemporaryDirectory() as folder:
        library, path = Path(folder) / "preload.so", Path(folder) / "calls.txt"
        library.write_bytes(_compiled(os.environ.get("CC") or "cc"))
        preloaded = " ".join([str(library), *os.environ.get("LD_PRELOAD", "").split()])
        environment = os.environ | {
            "LD_PRELOAD": preloaded,
            "LOOKASIDE_RECORD": str(path),
            "LOOKASIDE_FRAMES": str(frames),
        }
        code = subprocess.run(command, env=environment, check=False).returncode
        if not path.exists() or not path.stat().st_size:
            raise LookasideSimError(
                f"{command[0]}: nothing was recorded; is it statically linked, or a script?"
            )
        # A program that is killed leaves its last line unfinished.
        yield Recording(path, "malloc", partial=True, site_name=SiteNames()), code


@cache
def _compiled(command: str) -> bytes:
    """The library, compiled once by each compiler that is asked."""
    compiler = shlex.split(command) or ["cc"]
    if shutil.which(compiler[0]) is None:
        raise LookasideSimError(f"{compiler[0]}: no such C compiler; install one, or set CC")
    with tempfile.TemporaryDirectory() as folder:
        library = Path(folder) / "preload.so"
        done = subprocess.run(
            [*compiler, "-O2", "-shared", "-fPIC", "-pthread", "-o", library, _SOURCE, "-ldl"],
            capture_output=True,
            encoding="utf-8",
            errors="replace",
            check=False,
        )
        if done.returncode:
            raise LookasideSimError(f"{compiler[0]}: {done.stderr[:200] or done.returncode}")
        return library.read_bytes()
