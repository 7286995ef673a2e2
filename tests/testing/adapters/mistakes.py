"""The mistakes that `pool.c` can be compiled with, and what reports of them say."""

from __future__ import annotations

import functools
import shutil
import subprocess
import tempfile
from pathlib import Path

from lookaside_sim.testing.adapters import HEADER, NativeLibrary

COMPILER = shutil.which("cc") or shutil.which("gcc") or shutil.which("clang")

MISTAKES = {
    "ALIGN_8": "not aligned",
    "SIZE_ONE_SHORT": "not aligned|overlaps|runs over|beside a block|SIG|stood still",
    "SLAB_ONE_SHORT": "runs over the end|beside a block",
    "COUNT_ONE_MORE": "beside a block|in no live block|runs over",
    "CREATE_UNCHECKED": "SIGSEGV",
    "CREATE_LEAKS": "could not be made, and left 1",
    "SLAB_UNCHECKED": "SIGSEGV",
    "ABORT_AT_20": "SIGABRT",
    "EXIT_AT_5": "exit code 0",
    "HANG_WITHOUT_MEMORY": "stood still",
    "DEAD_LOCK": "stood still",
    "HANDED_OUT_TWICE": "although it is live",
    "CLEARS_TOO_MUCH": "contents of the live entry|beside a block|SIGSEGV|no live block",
    "CLEARS_NEIGHBOR": "contents of the live entry|SIG|no live block",
    "NULL_AT_LAST": "SIGSEGV",
    "FORGETS_SOME": "takes more memory",
    "LOSES_SLAB_WHEN_EMPTY": "takes more memory",
    "RELEASES_LIVE_SLAB": "is live|after it gave it back",
    "LINKS_ARE_SHORT": "SIG|no live block|not aligned",
    "LOOPS_TO_ITSELF": "is live",
    "READS_AFTER_RELEASE": "SIG|no live block",
    "WRITES_AFTER_RELEASE": "after it gave it back, in byte 8",
    "KEEPS_ONE_SLAB": "still allocated after delete",
    "DELETE_TWICE": "no live block|SIGSEGV",
    "POOL_USED_AFTER_RELEASE": "after it gave it back",
}
"""By the name to define; "" is none at all."""

CHEAP = ("EXIT_AT_5", "NULL_AT_LAST", "WRITES_AFTER_RELEASE", "CREATE_LEAKS", "DEAD_LOCK")
"""Those that the suite itself tries."""


@functools.cache
def folder() -> Path:
    made = tempfile.mkdtemp(prefix="lookaside-pool-")
    return Path(made)


def compiled(mistake: str = "", *options: str, into: Path | None = None) -> NativeLibrary:
    """Build the pool with a mistake."""
    assert COMPILER is not None
    path = (into or folder()) / f"pool_{mistake or 'right'}.so"
    command = [COMPILER, "-shared", "-fPIC", "-O1", "-g", "-w", f"-I{HEADER.parent}", *options]
    if mistake:
        command.append(f"-D{mistake}")
    source = Path(__file__).parent / "pool.c"
    subprocess.run([*command, str(source), "-o", str(path)], check=True, timeout=60)
    return NativeLibrary(path, "pool_")
