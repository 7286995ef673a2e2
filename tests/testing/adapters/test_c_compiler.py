from __future__ import annotations

import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from lookaside_sim.testing.adapters.c_compiler import BuildError, find_compiler, find_sanitizer

HEAP = """
#include <stdlib.h>
void *heap_new(void) { return malloc(1); }
void *heap_get(void *heap, size_t size) { return malloc(size); }
void heap_put(void *heap, void *entry)
{
    free(entry);
#ifdef LATE
    *(char *)entry = 0;
#endif
#ifdef SHIFTS
    volatile int places = 70;
    places = 1 << places;
#endif
}
void heap_end(void *heap) { free(heap); }
"""


def checked(folder: Path, *options: str) -> tuple[int, str]:
    """What ``lookaside-sim check`` says, in a process of its own, as AddressSanitizer needs it."""
    (folder / "heap.c").write_text(HEAP, "utf-8")
    done = subprocess.run(
        [
            *(sys.executable, "-m", "lookaside_sim", "check", "heap.c", "--examples", "20"),
            *("--allocate", "heap_get", "--free", "heap_put"),
            *("--create", "heap_new", "--delete", "heap_end", *options),
        ],
        cwd=folder,
        env={**os.environ, "PYTHONPATH": os.pathsep.join(map(str, sys.path))},
        capture_output=True,
        text=True,
        timeout=100,
        check=False,
    )
    return done.returncode, done.stdout + done.stderr


@pytest.mark.parametrize(
    ("compiler", "sanitizer", "mistake", "told"),
    [
        # AddressSanitizer of gcc is in the guide, which tests/testing/test_docs.py runs.
        ("clang", "address", "LATE", "use-after-poison"),
        ("clang", "undefined", "SHIFTS", "shift exponent 70"),
        ("gcc", "undefined", "SHIFTS", "shift exponent 70"),
    ],
)
def test_a_sanitizer_reports_where_the_mistake_is(
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    compiler: str,
    sanitizer: str,
    mistake: str,
    told: str,
) -> None:
    monkeypatch.setenv("CC", compiler)
    if shutil.which(compiler) is None:
        pytest.skip(f"no {compiler}")
    try:
        find_sanitizer(sanitizer)
    except BuildError as error:
        pytest.skip(str(error))
    code, said = checked(tmp_path, "--sanitize", sanitizer, f"--option=-D{mistake}")
    assert code == 1, said
    assert f"the process was reported by a sanitizer: {told}" in said


def test_there_is_no_compiler(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PATH", "")
    monkeypatch.delenv("CC", raising=False)
    assert find_compiler() is None
    with pytest.raises(BuildError, match="no C compiler has none"):
        find_sanitizer("address")
