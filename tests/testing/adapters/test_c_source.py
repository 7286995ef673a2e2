from __future__ import annotations

from pathlib import Path

import pytest

from lookaside_sim.testing import Contract, check_allocator
from lookaside_sim.testing.adapters.c_source import BuildError, CSource, find_compiler

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
