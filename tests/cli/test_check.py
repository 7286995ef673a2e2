"""The command ``check``: a C file in, one line or a difference out."""

from __future__ import annotations

from pathlib import Path

import pytest

from lookaside_sim.cli import main
from lookaside_sim.testing.adapters.c_compiler import find_compiler

pytestmark = pytest.mark.skipif(find_compiler() is None, reason="no C compiler is installed")

STATIC = """
/* the block pool of a small device */
#include <stddef.h>
static union cell { union cell *next; char bytes[40]; } cells[8], *first;
static int ready;
void *cell_get(void)
{
    if (!ready) {
        ready = 1;
        for (int i = 0; i < 8; i++) { cells[i].next = first; first = &cells[i]; }
    }
    if (!first) return NULL;
    void *cell = first;
    first = first->next;
    return cell;
}
void cell_put(void *cell)
{
    ((union cell *)cell)->next = first;
#ifdef LOSES
    if (first)
#endif
    first = cell;
}
"""

HEAP = """
#include <stdlib.h>
struct heap { int live; };
struct heap *heap_new(void) { return calloc(1, sizeof(struct heap)); }
void *heap_get(struct heap *heap, size_t size) { heap->live++; return malloc(size); }
void heap_put(struct heap *heap, void *entry)
{
    free(entry);
#ifdef LATE
    *(char *)entry = 0;
#endif
    heap->live--;
}
void heap_end(struct heap *heap) { free(heap); }
void *heap_resize(struct heap *heap, void *entry, size_t size) { return realloc(entry, size); }
"""

LIST = """
#include <stdint.h>
#include <stdlib.h>
static uint32_t allocates, frees, late;
void *get(size_t size) { allocates++; return malloc(size < 8 ? 8 : size); }
void put(void *entry) { frees++; free(entry); }
void end(void) {}
void flush(void) {}
void tick(unsigned seconds) { late += seconds; }
void count(uint32_t *six)
{
    six[0] = six[1] = allocates;
    six[2] = six[3] = frees;
    six[4] = 4;
    six[5] = 0;
}
"""


def check(folder: Path, text: str, *arguments: str) -> int:
    file = folder / "mine.c"
    file.write_text(text, "utf-8")
    return main(["check", str(file), *arguments])


CELLS = ("--allocate", "cell_get", "--free", "cell_put", "--size", "40")
HEAPS = ("--allocate", "heap_get", "--free", "heap_put", "--create", "heap_new",
         "--delete", "heap_end", "--examples", "60")  # fmt: skip


def test_a_static_pool_is_checked(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert check(tmp_path, STATIC, *CELLS, "--contract", "pool(8)", "--examples", "60") == 0
    assert "mine.c: no difference; checked Contract(capacity=8" in capsys.readouterr().out
    assert check(tmp_path, STATIC, *CELLS, "--option=-DLOSES") == 1
    printed = capsys.readouterr().out
    assert "8 entries were served at once, and everything was freed since" in printed
    assert "Create(40),\n    Allocate(8),\n    Free(8),\n    Allocate()," in printed


def test_a_malloc_is_checked(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert check(tmp_path, HEAP, *HEAPS) == 0
    assert "sized=True" in capsys.readouterr().out
    assert check(tmp_path, HEAP, *HEAPS, "--option=-DLATE") == 1
    assert "after it gave it back, in byte 0" in capsys.readouterr().out


def test_a_malloc_with_realloc_is_checked(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    asked = (*HEAPS, "--contract", "malloc(realloc=True)")
    assert check(tmp_path, HEAP, *asked, "--reallocate", "heap_resize") == 0
    assert "realloc=True" in capsys.readouterr().out
    assert check(tmp_path, HEAP, *asked) == 2
    assert "asks for reallocate, which NativeAllocator lacks" in capsys.readouterr().err


def test_levels_are_contracts_too(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    functions = ("--allocate", "get", "--free", "put", "--size", "40", "--delete", "end")
    more = ("--flush", "flush", "--tick", "tick", "--counters", "count")
    text = LIST.replace("size_t size", "void").replace("size < 8 ? 8 : size", "40")
    assert check(tmp_path, text, *functions, "--contract", "memory", "--examples", "40") == 0
    assert "checked Contract(capacity=True, grows=False" in capsys.readouterr().out
    assert check(tmp_path, text, *functions, *more, "--contract", "lookaside") == 1
    printed = capsys.readouterr().out
    assert "did not keep the entry: the list is not full" in printed
    assert "depth" in printed
    assert check(tmp_path, text, *functions, "--contract", "fixed") == 2
    assert "asks for allocate_layout, grow, shrink" in capsys.readouterr().err


def test_threads_are_tried_too(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert check(tmp_path, STATIC, *CELLS, "--threads", "4", "--examples", "5") == 1
    assert "mine.c: with 4 threads: " in capsys.readouterr().out


@pytest.mark.parametrize(
    ("arguments", "complaint"),
    [
        (
            ("--allocate", "cell_get", "--free", "cell_put"),
            "says nowhere how large an entry is",
        ),
        (("--allocate", "no_such", "--free", "cell_put"), "defines no function no_such"),
        ((*CELLS, "--contract", "stack(3)"), "--contract stack(3): give pool(...)"),
        ((*CELLS, "--contract", "pool(depth='x')"), "depth='x'"),
        ((*CELLS, "--option=-Dcell=5"), "does not compile"),
    ],
)
def test_bad_input_is_told_in_one_line(
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
    arguments: tuple[str, ...],
    complaint: str,
) -> None:
    assert check(tmp_path, STATIC, *arguments) == 2
    error = capsys.readouterr().err
    assert complaint in error
    assert error.count("\n") == 1
