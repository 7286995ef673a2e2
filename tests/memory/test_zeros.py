"""Large buffers of zeros, and what in them was written."""

from __future__ import annotations

import mmap
import os

import pytest

from lookaside_sim.memory.zeros import mapping, written
from lookaside_sim.nt.layouts import PAGE_SIZE


@pytest.mark.parametrize("kind", [bytearray, mapping])
def test_pages_that_were_written_are_found(kind: type[bytearray]) -> None:
    buffer = kind(5 * PAGE_SIZE)
    assert list(written(buffer)) == []
    buffer[PAGE_SIZE - 1] = 1
    buffer[3 * PAGE_SIZE] = 2
    found = dict(written(buffer))
    assert list(found) == [0, 3 * PAGE_SIZE]
    assert found[0] == bytes(PAGE_SIZE - 1) + b"\1"
    assert found[3 * PAGE_SIZE] == b"\2" + bytes(PAGE_SIZE - 1)


def test_a_last_page_that_is_none_is_found_too() -> None:
    assert list(written(bytearray(PAGE_SIZE + 3))) == []
    assert list(written(bytearray(PAGE_SIZE) + b"\0\0\7")) == [(PAGE_SIZE, b"\0\0\7")]


@pytest.mark.skipif(
    not hasattr(os, "fork") or not hasattr(mmap, "MAP_PRIVATE"), reason="no processes to fork"
)
def test_a_process_that_is_forked_off_has_its_own() -> None:
    buffer = mapping(PAGE_SIZE)
    child = os.fork()
    if not child:
        buffer[0] = 1
        os._exit(0)
    os.waitpid(child, 0)
    assert buffer[0] == 0
