from __future__ import annotations

import shutil
import subprocess
from pathlib import Path

import pytest

from lookaside_sim.testing import AllocatorDifference, Backend, check_allocator
from lookaside_sim.testing.adapters import NativeLibrary

HERE = Path(__file__).parent
COMPILER = shutil.which("cc") or shutil.which("gcc") or shutil.which("clang")
needs_compiler = pytest.mark.skipif(COMPILER is None, reason="no C compiler is installed")


def compiled(folder: Path, *options: str) -> NativeLibrary:
    assert COMPILER is not None
    path = folder / "lookaside.so"
    source = HERE / "lookaside.c"
    subprocess.run(
        [COMPILER, "-shared", "-fPIC", "-O1", "-w", *options, str(source), "-o", str(path)],
        check=True,
        timeout=60,
    )
    return NativeLibrary(path, "list_")


@needs_compiler
def test_a_correct_list_in_c_is_not_reported(tmp_path: Path) -> None:
    check_allocator(compiled(tmp_path), max_examples=60)


@needs_compiler
@pytest.mark.parametrize(
    ("mistake", "message"),
    [
        ("-DLEAST_DEPTH=5", "depth is wrong"),
        ("-DOVERRUN", "memory beside a block"),
        ("-DCLOBBER", "memory beside a block"),
    ],
)
def test_a_broken_list_in_c_is_reported(tmp_path: Path, mistake: str, message: str) -> None:
    with pytest.raises(AllocatorDifference, match=message) as caught:
        check_allocator(compiled(tmp_path, mistake), max_examples=60)
    assert len(caught.value.program) <= 10


@needs_compiler
def test_a_library_that_gives_back_what_it_does_not_own_is_reported(tmp_path: Path) -> None:
    with pytest.raises(AllocatorDifference, match="no live block") as caught:
        check_allocator(compiled(tmp_path, "-DDOUBLE_DELETE"), max_examples=60)
    assert len(caught.value.program) <= 10


@needs_compiler
def test_a_library_that_returns_the_inside_of_a_block_is_reported(tmp_path: Path) -> None:
    with pytest.raises(AllocatorDifference, match="not aligned"):
        check_allocator(compiled(tmp_path, "-DSHIFT=8"), max_examples=60)


@needs_compiler
def test_a_library_that_cannot_create_is_reported(tmp_path: Path) -> None:
    library = compiled(tmp_path)
    backend = Backend(32)
    backend.refuse.plan(1)
    with pytest.raises(MemoryError, match="create returned NULL"):
        library(backend, 32)
