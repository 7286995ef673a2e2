"""ExInitializeLookasideListEx: validation order, statuses and what is written."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from lookaside_sim import (
    Kernel,
    LookasideList,
    NtStatus,
    NtStatusError,
    PoolTag,
    PoolType,
)
from tests.helpers import POINTERS, fill

OK = NtStatus.STATUS_SUCCESS
BAD_TYPE = NtStatus.STATUS_INVALID_PARAMETER_4
BAD_FLAGS = NtStatus.STATUS_INVALID_PARAMETER_5
BAD_DEPTH = NtStatus.STATUS_INVALID_PARAMETER_8


def expected_status(pool_type: int, flags: int, depth: int) -> NtStatus:
    """The three checks in their order."""
    if depth != 0 and (depth < 256 or depth > 1024):
        return BAD_DEPTH
    if flags not in (0, 1, 2):
        return BAD_FLAGS
    valid_bits = 0x1 | 0x2 | 0x4 | 0x20 | 0x40 | 0x80 | 0x100 | 0x200
    if pool_type | valid_bits != valid_bits or (pool_type & 1 and pool_type & 2):
        return BAD_TYPE
    return OK


def test_the_statuses_have_their_documented_values() -> None:
    assert (OK, BAD_TYPE, BAD_FLAGS, BAD_DEPTH) == (0, 0xC00000F2, 0xC00000F3, 0xC00000F6)
    assert OK.is_success
    assert not any(status.is_success for status in (BAD_TYPE, BAD_FLAGS, BAD_DEPTH))


@pytest.mark.parametrize("depth", [0, 255])
def test_every_pool_type_with_every_flag(kernel: Kernel, depth: int) -> None:
    lookaside = LookasideList(kernel)
    for pool_type in range(0x800):
        for flags in range(8):
            before = bytes(lookaside)
            status = lookaside.initialize(
                pool_type=pool_type, size=32, tag=b"exha", flags=flags, depth=depth
            )
            assert status is expected_status(pool_type, flags, depth), (pool_type, flags)
            if status.is_success:
                assert lookaside.is_active
                assert lookaside.type == pool_type | {0: 0, 1: 16, 2: 8}[flags]
                lookaside.delete()
            else:
                assert bytes(lookaside) == before
                assert not lookaside.is_active
    assert kernel.lookaside_lists == []


@pytest.mark.parametrize(
    ("pool_type", "flags", "depth", "status"),
    [
        (3, 3, 1, BAD_DEPTH),
        (3, 0, 1, BAD_DEPTH),
        (0, 3, 1, BAD_DEPTH),
        (3, 3, 0, BAD_FLAGS),
        (3, 4, 256, BAD_FLAGS),
        (0, 0x8000_0000, 0, BAD_FLAGS),
        (3, 2, 0, BAD_TYPE),
        (7, 0, 0, BAD_TYPE),
        (PoolType.POOL_ZERO_ALLOCATION, 0, 0, BAD_TYPE),
        (PoolType.POOL_RAISE_IF_ALLOCATION_FAILURE, 1, 0, BAD_TYPE),
        (PoolType.POOL_QUOTA_FAIL_INSTEAD_OF_RAISE, 2, 0, BAD_TYPE),
        (0x8000_0000, 0, 0, BAD_TYPE),
        (PoolType.NonPagedPoolSessionNx, 0, 0, OK),
    ],
)
def test_the_first_failing_check_decides(
    kernel: Kernel, pool_type: int, flags: int, depth: int, status: NtStatus
) -> None:
    lookaside = LookasideList(kernel)
    given_status = lookaside.initialize(
        pool_type=pool_type, size=32, tag=b"ordr", flags=flags, depth=depth
    )
    assert given_status is status


@pytest.mark.parametrize(
    ("depth", "maximum"),
    [(0, 256), (256, 256), (257, 257), (512, 512), (1023, 1023), (1024, 1024)],
)
def test_a_valid_depth_becomes_the_maximum(
    kernel: Kernel, blank: LookasideList, depth: int, maximum: int
) -> None:
    assert blank.initialize(size=32, tag=b"dept", depth=depth) is OK
    assert (blank.depth, blank.maximum_depth) == (4, maximum)


@pytest.mark.parametrize("depth", [-1, 1, 4, 20, 255, 1025, 0x7FFF, 0xFFFF, 0x10000])
def test_any_other_depth_is_refused(kernel: Kernel, blank: LookasideList, depth: int) -> None:
    before = bytes(blank)
    assert blank.initialize(size=32, tag=b"dept", depth=depth) is BAD_DEPTH
    assert bytes(blank) == before
    assert kernel.lookaside_lists == []


@pytest.mark.parametrize("size", range(12))
def test_a_small_size_is_raised_to_one_pointer(
    kernel: Kernel, blank: LookasideList, arch: str, size: int
) -> None:
    assert blank.initialize(size=size, tag=b"size") is OK
    assert blank.size == max(size, POINTERS[arch])
    entry = blank.allocate()
    assert entry is not None
    block = kernel.pool.query(entry)
    assert block is not None
    assert block.size == blank.size


def test_the_size_field_keeps_32_bits() -> None:
    lookaside = LookasideList(Kernel("x64"))
    assert lookaside.initialize(size=0x1_0000_0123, tag=b"size") is OK
    assert lookaside.size == 0x123


@pytest.mark.parametrize("flags", [0, 1, 2])
@pytest.mark.parametrize(
    "pool_type", [0, 1, 2, 4, 5, 6, 32, 33, 0x40, 0x80, 0x100, 0x101, 0x200, 0x204, 0x3E5]
)
def test_the_flags_are_merged_into_the_type(kernel: Kernel, pool_type: int, flags: int) -> None:
    lookaside = LookasideList(kernel)
    assert lookaside.initialize(pool_type=pool_type, size=32, tag=b"type", flags=flags) is OK
    assert lookaside.type == pool_type + (0, 16, 8)[flags]
    assert isinstance(lookaside.type, PoolType)
    assert lookaside.type.is_paged is bool(pool_type & 1)


@pytest.mark.parametrize(
    "tag", [b"tsLL", "tsLL", 0x4C4C7374, PoolTag(b"tsLL"), PoolTag.from_literal("LLst")]
)
def test_a_tag_is_taken_in_every_form(kernel: Kernel, tag: bytes | str | int) -> None:
    lookaside = LookasideList(kernel)
    assert lookaside.initialize(size=32, tag=tag) is OK
    assert lookaside.tag == 0x4C4C7374
    assert str(lookaside.tag) == "tsLL"


def test_a_tag_of_zero_is_refused_by_the_pool_only(kernel: Kernel) -> None:
    assert LookasideList(kernel).initialize(size=32, tag=0) is OK


@pytest.mark.parametrize(
    ("pool_type", "held_in"),
    [
        (PoolType.NonPagedPool, PoolType.NonPagedPool),
        (PoolType.PagedPool, PoolType.PagedPool),
        (PoolType.NonPagedPoolNx, PoolType.NonPagedPoolNx),
    ],
)
def test_a_miss_asks_the_pool_for_type_size_and_tag(
    kernel: Kernel, blank: LookasideList, pool_type: PoolType, held_in: PoolType
) -> None:
    assert blank.initialize(pool_type=pool_type, size=100, tag=b"rout") is OK
    entry = blank.allocate()
    assert entry is not None
    block = kernel.pool.query(entry)
    assert block is not None
    assert (block.address, block.size, block.tag) == (entry, 100, PoolTag(b"rout"))
    assert block.pool_type == held_in
    usage = kernel.pool.usage(b"rout")
    paged = int(pool_type is PoolType.PagedPool)
    assert (usage.nonpaged_allocs, usage.paged_allocs) == (1 - paged, paged)


def test_success_clears_what_was_there(kernel: Kernel, blank: LookasideList) -> None:
    other = LookasideList(kernel)
    blank.initialize(size=32, tag=b"frst")
    blank.free(blank.allocate())
    kernel.tick(3)
    blank.delete()
    other.initialize(size=32, tag=b"othr")
    blank.initialize(pool_type=1, size=48, tag=b"secd")
    assert (blank.total_allocates, blank.allocate_misses) == (0, 0)
    assert (blank.total_frees, blank.free_misses) == (0, 0)
    assert (blank.last_total_allocates, blank.last_allocate_misses) == (0, 0)
    assert (blank.current_depth, blank.depth, blank.maximum_depth) == (0, 4, 256)
    assert kernel.lookaside_lists == [other, blank]


@pytest.mark.parametrize(
    ("pool_type", "flags", "depth"), [(0, 0, 100), (0, 3, 0), (3, 0, 0), (0x400, 0, 0)]
)
def test_a_failure_leaves_an_active_list_alone(
    kernel: Kernel, blank: LookasideList, pool_type: int, flags: int, depth: int
) -> None:
    blank.initialize(size=32, tag=b"safe")
    entries = fill(blank, 3)
    before = bytes(blank)
    status = blank.initialize(
        pool_type=pool_type,
        size=64,
        tag=b"evil",
        flags=flags,
        depth=depth,
        allocate=lambda *_: None,
        free=lambda *_: None,
    )
    assert not status.is_success
    assert bytes(blank) == before
    assert blank.is_active
    assert kernel.lookaside_lists == [blank]
    assert [blank.allocate() for _ in range(3)] == entries[::-1]


def test_a_disabled_list_has_no_depth(kernel: Kernel, blank: LookasideList) -> None:
    kernel.minimum_lookaside_depth = 0
    assert blank.initialize(size=32, tag=b"disa", depth=512) is OK
    assert (blank.depth, blank.maximum_depth) == (0, 0xFFFF)
    entry = blank.allocate()
    blank.free(entry)
    assert (blank.current_depth, blank.free_misses) == (0, 1)
    assert entry is not None
    assert kernel.pool.query(entry) is None
    for _ in range(100):
        blank.allocate()
    kernel.tick(3)
    assert blank.depth == 0


# --- out of memory -----------------------------------------------------------------------


@pytest.mark.parametrize("pool_type", [PoolType.NonPagedPool, PoolType.PagedPool])
@pytest.mark.parametrize("flags", [0, 2])
def test_exhaustion_returns_none_and_is_counted(
    arch: str, pool_type: PoolType, flags: int
) -> None:
    kernel = Kernel(arch, nonpaged_pool_bytes=0, paged_pool_bytes=0)
    lookaside = LookasideList(kernel)
    lookaside.initialize(pool_type=pool_type, size=32, tag=b"none", flags=flags)
    assert [lookaside.allocate() for _ in range(3)] == [None] * 3
    assert (lookaside.total_allocates, lookaside.allocate_misses) == (3, 3)


@pytest.mark.parametrize("pool_type", [PoolType.NonPagedPool, PoolType.PagedPool])
def test_exhaustion_raises_when_asked_to_and_is_counted(arch: str, pool_type: PoolType) -> None:
    kernel = Kernel(arch, nonpaged_pool_bytes=4096, paged_pool_bytes=4096)
    lookaside = LookasideList(kernel)
    lookaside.initialize(pool_type=pool_type, size=2048, tag=b"rais", flags=1)
    assert lookaside.allocate() is not None
    for count in (2, 3):
        with pytest.raises(NtStatusError) as raised:
            lookaside.allocate()
        assert raised.value.status is NtStatus.STATUS_INSUFFICIENT_RESOURCES
        assert (lookaside.total_allocates, lookaside.allocate_misses) == (count, count)
    assert kernel.bugcheck is None


# --- arguments that no caller could pass -------------------------------------------------

BAD_ARGUMENTS: list[tuple[str, object, type[Exception], str]] = [
    ("size", -1, ValueError, "size -1"),
    ("size", 1 << 64, ValueError, f"size {1 << 64}"),
    ("size", 1.5, TypeError, "size 1.5"),
    ("size", "16", TypeError, "size '16'"),
    ("size", None, TypeError, "size None"),
    ("size", True, TypeError, "size True"),
    ("flags", -1, ValueError, "flags -1"),
    ("flags", 1 << 32, ValueError, f"flags {1 << 32}"),
    ("flags", "1", TypeError, "flags '1'"),
    ("depth", 256.0, TypeError, "depth 256.0"),
    ("tag", b"abc", ValueError, "abc"),
    ("tag", -1, ValueError, "-0x1"),
    ("tag", 1 << 32, ValueError, "0x100000000"),
    ("tag", None, TypeError, "None"),
    ("tag", True, TypeError, "True"),
    ("tag", "", ValueError, "''"),
    ("tag", 1.5, TypeError, "1.5"),
    ("allocate", 7, TypeError, "allocate 7"),
    ("free", "free", TypeError, "free 'free'"),
    ("pool_type", 1.5, TypeError, "1.5"),
    ("pool_type", "1", TypeError, "'1'"),
    ("pool_type", None, TypeError, "None"),
    ("pool_type", -1, ValueError, "-1"),
    ("pool_type", 1 << 32, ValueError, str(1 << 32)),
]


@pytest.mark.parametrize(
    ("name", "value", "error", "message"),
    BAD_ARGUMENTS,
    ids=[f"{name}-{value!r}" for name, value, *_ in BAD_ARGUMENTS],
)
def test_a_bad_argument_is_named_and_nothing_is_written(
    kernel: Kernel, name: str, value: object, error: type[Exception], message: str
) -> None:
    lookaside = LookasideList(kernel)
    before = bytes(lookaside)
    arguments: dict[str, object] = {"size": 32, "tag": b"args", name: value}
    with pytest.raises(error, match=message.replace("(", r"\(")):
        lookaside.initialize(**arguments)  # type: ignore[arg-type]
    assert bytes(lookaside) == before
    assert not lookaside.is_active
    assert kernel.lookaside_lists == []


def test_a_size_too_large_for_a_pointer_is_refused_on_x86() -> None:
    lookaside = LookasideList(Kernel("x86"))
    with pytest.raises(ValueError, match=f"size {1 << 32}"):
        lookaside.initialize(size=1 << 32, tag=b"size")


@given(
    arch=st.sampled_from(["x64", "x86"]),
    pool_type=st.integers(0, 0xFFFF_FFFF),
    flags=st.integers(0, 0xFFFF_FFFF),
    depth=st.integers(0, 0xFFFF),
    size=st.integers(0, 0xFFFF_FFFF),
)
def test_any_combination_gives_the_expected_status(
    arch: str, pool_type: int, flags: int, depth: int, size: int
) -> None:
    lookaside = LookasideList(Kernel(arch))
    before = bytes(lookaside)
    status = lookaside.initialize(
        pool_type=pool_type, size=size, tag=b"comb", flags=flags, depth=depth
    )
    assert status is expected_status(pool_type, flags, depth)
    assert (bytes(lookaside) == before) is not status.is_success
