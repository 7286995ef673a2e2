from __future__ import annotations

import shutil
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from lookaside_sim.testing import (
    Allocate,
    AllocatorConformance,
    AllocatorDifference,
    Backend,
    Free,
    check_allocator,
    run_program,
)
from lookaside_sim.testing.adapters import FreeList, NativeLibrary, ProcessFactory

HERE = Path(__file__).parent
ROOT = HERE.parents[2]
COMPILER = shutil.which("cc") or shutil.which("gcc") or shutil.which("clang")
needs_compiler = pytest.mark.skipif(COMPILER is None, reason="no C compiler is installed")


class TestFreeList(AllocatorConformance):
    factory = FreeList
    level = "memory"


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


@pytest.fixture
def process(request: pytest.FixtureRequest) -> Iterator[ProcessFactory]:
    depth = str(getattr(request, "param", 4))
    command = [sys.executable, "-m", "tests.testing.adapters.process_allocator", depth]
    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(ROOT)
        with ProcessFactory(command) as factory:
            yield factory


def test_a_correct_list_in_another_process_is_not_reported(process: ProcessFactory) -> None:
    check_allocator(process, max_examples=40)


@pytest.mark.parametrize("process", [5], indirect=True)
def test_a_broken_list_in_another_process_is_reported(process: ProcessFactory) -> None:
    with pytest.raises(AllocatorDifference, match="depth is wrong"):
        check_allocator(process)


def test_an_error_of_the_process_is_reported(process: ProcessFactory) -> None:
    made = process(Backend(32), 32)
    with pytest.raises(RuntimeError, match="no_such_call"):
        made._call("no_such_call")


def test_a_process_that_ends_is_reported(process: ProcessFactory) -> None:
    def ends(backend: Backend, size: int) -> object:
        made = process(backend, size)
        process._send({"call": "exit"})
        return made

    with pytest.raises(AllocatorDifference, match="ended with exit code 0"):
        run_program(ends, [Allocate(), Free()])


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
    backend.refuse_next = 1
    with pytest.raises(MemoryError, match="create returned NULL"):
        library(backend, 32)
