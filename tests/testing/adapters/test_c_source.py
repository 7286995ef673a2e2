from __future__ import annotations

import re
import subprocess
from pathlib import Path

import pytest

from lookaside_sim.testing import AllocatorDifference, Contract, check_allocator
from lookaside_sim.testing.adapters.c_compiler import BuildError, compile_c, find_compiler
from lookaside_sim.testing.adapters.c_source import CSource

TEXT = """
#include <stdlib.h>
#include <string.h>
/* void *no_such(void) { } in a comment is none */
struct heap { size_t size; };
struct heap *heap_new(size_t size)
{
    struct heap *heap = malloc(sizeof *heap);
    if (heap) heap->size = size;
    return heap;
}
void *heap_get(struct heap *heap) { return calloc(1, heap->size); }
void heap_put(struct heap *heap, void *entry) { (void)heap; free(entry); }
void heap_end(struct heap *heap) { free(heap); }
static char bytes[4096];
static size_t used;
void *take(size_t size)
{
    size_t at = used;
    if (used + size > sizeof bytes) return NULL;
    used += (size + 15) & ~(size_t)15;
    return bytes + at;
}
void leave(void *entry) { (void)entry; }
"""

pytestmark = pytest.mark.skipif(find_compiler() is None, reason="no C compiler is installed")


@pytest.fixture
def path(tmp_path: Path) -> Path:
    file = tmp_path / "heap.c"
    file.write_text(TEXT, "utf-8")
    return file


def test_functions_with_an_allocator_are_called_with_it(path: Path) -> None:
    source = CSource(path, "heap_get", "heap_put", "heap_new", "heap_end")
    assert (source.is_sized, source.takes_a_size) == (False, True)
    contract = source.default_contract()
    assert (contract.gives_back, contract.sized, contract.sizes) == (True, False, None)
    library = source.build(path.parent)
    assert not library.reload
    check_allocator(library, contract=contract, max_examples=30)
    check_allocator(library, contract=Contract(zeroed=True), max_examples=30)
    assert source.stress(path.parent) is None


def test_a_static_one_is_loaded_anew_for_each_program(path: Path) -> None:
    source = CSource(path, "take", "leave")
    assert (source.is_sized, source.takes_a_size) == (True, True)
    library = source.build(path.parent)
    assert library.reload
    contract = Contract.malloc(memory="own", gives_back=False, sizes=range(1, 100))
    # A thousand times the same, which 4096 bytes are not enough for unless they are new.
    check_allocator(library, contract=contract, max_examples=5)


def test_what_cannot_be_built_is_said(path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    with pytest.raises(BuildError, match="defines no function no_such"):
        CSource(path, "no_such", "leave")
    with pytest.raises(BuildError, match="does not compile"):
        CSource(path, "take", "leave").build(path.parent, ["-Dused=5"])
    monkeypatch.setenv("PATH", "")
    monkeypatch.delenv("CC", raising=False)
    with pytest.raises(BuildError, match="there is no C compiler"):
        CSource(path, "take", "leave").build(path.parent)


ALL_OF_IT = """
#include <malloc.h>
#include <stdlib.h>
#include <string.h>
struct heap { char *name, *short_name; void *aligned; };
struct heap *heap_new(void)
{
    struct heap *heap = calloc(1, sizeof *heap);
    if (!heap) return NULL;
    heap->name = strdup("a name");
    heap->short_name = strndup("another name", 7);
    if (posix_memalign(&heap->aligned, 64, 100)) heap->aligned = NULL;
    if (!heap->name || !heap->short_name || !heap->aligned
        || strcmp(heap->name, "a name") || strcmp(heap->short_name, "another")
        || (size_t)heap->aligned % 64) {
        free(heap->name), free(heap->short_name), free(heap->aligned), free(heap);
        return NULL;
    }
    return heap;
}
void *heap_get(struct heap *heap, size_t size)
{
    char *first = memalign(256, 16), *entry;
    if (!first) return NULL;
    memcpy(first, "0123456789abcde", 16);
    entry = reallocarray(first, size, 2);
    if (!entry) { free(first); return NULL; }
    if (size >= 8 && memcmp(entry, "0123456789abcde", 16)) abort();
    first = realloc(entry, size + EXTRA);
    if (!first) free(entry);
    free(realloc(NULL, 0));
    return first;
}
void heap_put(struct heap *heap, void *entry) { free(entry); }
void heap_end(struct heap *heap)
{
    free(heap->name), free(heap->short_name), free(heap->aligned), free(heap), free(NULL);
    if (calloc((size_t)-1, 16) || reallocarray(NULL, (size_t)-1, 16)) abort();
}
"""


def make(folder: Path) -> Path:
    folder.mkdir()
    return folder


def test_every_function_of_c_that_allocates_is_redirected(tmp_path: Path) -> None:
    file = tmp_path / "all.c"
    file.write_text(ALL_OF_IT, "utf-8")
    source = CSource(file, "heap_get", "heap_put", "heap_new", "heap_end")
    contract = source.default_contract()
    check_allocator(source.build(tmp_path, ["-DEXTRA=0"]), contract=contract, max_examples=30)
    shorter = source.build(make(tmp_path / "other"), ["-DEXTRA=-1"])
    with pytest.raises(AllocatorDifference, match="runs over the end of its block"):
        check_allocator(shorter, contract=contract, max_examples=30)


REPLACEMENT = """
#include <stddef.h>
#include <string.h>
static _Alignas(16) char memory[1 << 28]; /* never touched, never there */
static size_t used;
void *malloc(size_t size)
{
    char *entry = memory + used;
    size = (size + 31) & ~(size_t)15;
    if (used + size > sizeof memory) return NULL;
    used += size;
    *(size_t *)entry = size;
    return entry + 16;
}
void free(void *entry) { (void)entry; }
void *realloc(void *entry, size_t size)
{
    void *moved = malloc(size);
    return moved && entry ? memcpy(moved, entry, size) : moved;
}
"""


def test_a_file_that_replaces_malloc_itself(tmp_path: Path) -> None:
    file = tmp_path / "replacement.c"
    file.write_text(REPLACEMENT, "utf-8")
    source = CSource(file, "malloc", "free")
    contract = source.default_contract()
    check_allocator(source.build(tmp_path), contract=contract, max_examples=100)
    assert "own_malloc(size)" in source.glue()


RACING = """
#include <stdlib.h>
#include <pthread.h>
static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER;
static union cell { union cell *next; char bytes[40]; } *first;
void *cell_get(void)
{
    pthread_mutex_lock(&lock);
    union cell *cell = first;
    if (cell) first = cell->next;
    pthread_mutex_unlock(&lock);
    return cell ? cell : malloc(sizeof *cell);
}
void cell_put(void *entry)
{
    union cell *cell = entry;
#ifndef RACE
    pthread_mutex_lock(&lock);
#endif
    cell->next = first;
    first = cell;
#ifndef RACE
    pthread_mutex_unlock(&lock);
#endif
}
"""


@pytest.mark.parametrize("compiler", ["gcc", "clang"])
def test_a_data_race_is_found_and_made_small(
    tmp_path: Path, compiler: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("CC", compiler)
    if not runs_under(tmp_path, "thread"):
        pytest.skip(f"no ThreadSanitizer of {compiler}")
    file = tmp_path / "racing.c"
    file.write_text(RACING, "utf-8")
    source = CSource(file, "cell_get", "cell_put")
    assert source.stress(tmp_path, 2, 40) is None
    found = source.stress(tmp_path, 4, 40, ["-DRACE"])
    assert found is not None
    assert re.match(r"data race \(cell_\w+:\d+", found.what)
    # Frees alone are made without the lock: one of each thread is the least there is.
    assert sum(len(steps) for steps in found.threads) <= 4
    assert "Shown by 2 threads:\n    Allocate()" in str(found)


@pytest.mark.parametrize("threads", [0, 64])
def test_too_many_threads(path: Path, threads: int) -> None:
    with pytest.raises(ValueError, match="give 1 to 63"):
        CSource(path, "take", "leave").stress(path.parent, threads)


def runs_under(folder: Path, sanitizer: str) -> bool:
    """Whether a program with a sanitizer can be built and runs here."""
    probe = folder / "probe.c"
    probe.write_text("int main(void) { return 0; }\n")
    try:
        compile_c(probe, folder / "probe", [f"-fsanitize={sanitizer}"], probe)
    except BuildError:
        return False
    return subprocess.run([str(folder / "probe")], capture_output=True).returncode == 0
