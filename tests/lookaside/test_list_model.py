"""Any program of calls on a list against a model in plain Python."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from lookaside_sim import (
    Kernel,
    PoolType,
    windbg,
)
from tests.helpers import counters, new_list, poke


class Model:
    """Sections 4 and 5 in plain Python, over the pool of a machine of its own."""

    def __init__(self, mirror: Kernel, size: int) -> None:
        self.pool, self.size = mirror.pool, size
        self.entries: list[int] = []
        self.depth = 4
        self.counts = [0, 0, 0, 0]

    def allocate(self) -> int | None:
        self.counts[0] += 1
        if self.entries:
            return self.entries.pop()
        self.counts[1] += 1
        return self.pool.allocate(PoolType.NonPagedPool, self.size, b"modl")

    def free(self, entry: int) -> None:
        self.counts[2] += 1
        if len(self.entries) >= self.depth:
            self.counts[3] += 1
            self.pool.free(entry)
        else:
            self.entries.append(entry)

    def flush(self) -> None:
        entries, self.entries = self.entries, []
        for entry in reversed(entries):
            self.pool.free(entry)


OPERATIONS = st.lists(
    st.one_of(
        st.just(("allocate", 0)),
        st.just(("allocate", 0)),
        st.tuples(st.just("free"), st.integers(0, 50)),
        st.tuples(st.just("free"), st.integers(0, 50)),
        st.tuples(st.sampled_from(["written depth", "set depth"]), st.integers(0, 5)),
        st.just(("flush", 0)),
    ),
    min_size=1,
    max_size=40,
)


@pytest.mark.parametrize("embedded", [False, True])
@pytest.mark.parametrize("arch", ["x64", "x86"])
@given(operations=OPERATIONS, size=st.sampled_from([8, 40, 500, 3000, 9000]))
def test_any_operations_agree_with_the_model(
    arch: str, embedded: bool, operations: list[tuple[str, int]], size: int
) -> None:
    limit = 16 * 4096  # small enough to run out
    kernel, mirror = (Kernel(arch, nonpaged_pool_bytes=limit) for _ in range(2))
    places = [each.pool.allocate(0, 0x200, b"DExt") for each in (kernel, mirror)]
    lookaside = new_list(
        kernel, address=places[0] if embedded else None, size=size, tag=b"modl"
    )
    model = Model(mirror, size)
    held: list[int] = []
    for operation, argument in operations:
        if operation == "allocate":
            entry = lookaside.allocate()
            assert entry == model.allocate()
            if entry is not None:
                held.append(entry)
        elif operation == "free" and held:
            entry = held.pop(argument % len(held))
            lookaside.free(entry)
            model.free(entry)
        elif operation == "written depth":
            poke(kernel, lookaside, Depth=argument)
            model.depth = argument
        elif operation == "set depth":
            windbg.set_depth(lookaside, argument)
            model.depth = argument
        elif operation == "flush":
            lookaside.flush()
            model.flush()
        assert list(counters(lookaside)) == model.counts
        assert lookaside.depth == model.depth
        assert lookaside.current_depth == len(model.entries)
        assert list(lookaside.entries()) == model.entries[::-1]
    assert kernel.pool.usage(b"modl") == mirror.pool.usage(b"modl")
    kernel.check()
