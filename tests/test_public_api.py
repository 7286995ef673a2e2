"""The names and signatures that other people's programs rely on."""

from __future__ import annotations

import importlib
import inspect
from collections.abc import Callable
from enum import IntEnum, IntFlag
from typing import Any

import pytest

import lookaside_sim
from lookaside_sim import (
    Allocation,
    AllocError,
    Box,
    BugCheck,
    BugCheckCode,
    InitError,
    InvariantError,
    Irql,
    Kernel,
    Layout,
    LayoutError,
    LookasideAllocator,
    LookasideList,
    LookasideSimError,
    NotSupportedError,
    NtStatus,
    NtStatusError,
    PoolManager,
    PoolTag,
    PoolTagUsage,
    PoolType,
    TraceError,
    trace,
    windbg,
)

CORE = (
    "AllocError",
    "Allocation",
    "Box",
    "BugCheck",
    "BugCheckCode",
    "InitError",
    "Irql",
    "Kernel",
    "Layout",
    "LayoutError",
    "LookasideAllocator",
    "LookasideList",
    "LookasideSimError",
    "NotSupportedError",
    "NtStatus",
    "NtStatusError",
    "PoolAllocation",
    "PoolManager",
    "PoolTag",
    "PoolTagUsage",
    "PoolType",
)


MODULES = ("lookaside_sim", "lookaside_sim.ddi", "lookaside_sim.trace", "lookaside_sim.windbg")


def constants_first(name: str) -> tuple[bool, str]:
    return not name.isupper(), name


def shape(routine: Callable[..., Any]) -> str:
    """A signature without its annotations."""
    signature = inspect.signature(routine)
    bare = [
        each.replace(annotation=inspect.Parameter.empty)
        for each in signature.parameters.values()
    ]
    empty = inspect.Signature.empty
    return str(signature.replace(parameters=bare, return_annotation=empty))


# --- names -------------------------------------------------------------------------------


@pytest.mark.parametrize("name", CORE)
def test_a_core_name_is_public(name: str) -> None:
    assert name in lookaside_sim.__all__
    assert inspect.isclass(getattr(lookaside_sim, name))


@pytest.mark.parametrize("name", MODULES)
def test_all_is_sorted_and_exists(name: str) -> None:
    module = importlib.import_module(name)
    names = module.__all__
    assert names == sorted(set(names), key=constants_first)
    for each in names:
        assert hasattr(module, each)


def test_a_star_import_gives_just_the_names() -> None:
    found: dict[str, object] = {}
    exec("from lookaside_sim import *", found)
    del found["__builtins__"]
    assert sorted(found) == sorted(lookaside_sim.__all__)


def test_everything_public_says_what_it_is() -> None:
    for name in MODULES:
        module = importlib.import_module(name)
        assert inspect.getdoc(module)
        for each in module.__all__:
            value = getattr(module, each)
            if inspect.isclass(value) or inspect.isfunction(value):
                assert inspect.getdoc(value), each


def test_the_version_is_one_of_numbers() -> None:
    assert [part.isdecimal() for part in lookaside_sim.__version__.split(".")] == [True] * 3


# --- what the names are ------------------------------------------------------------------


def test_exceptions_have_their_bases() -> None:
    assert BugCheck.__bases__ == (Exception,)
    assert NtStatusError.__bases__ == (Exception,)
    assert LookasideSimError.__bases__ == (Exception,)
    for own in (
        InitError,
        AllocError,
        LayoutError,
        NotSupportedError,
        TraceError,
        InvariantError,
    ):
        assert issubclass(own, LookasideSimError)
    assert issubclass(InvariantError, AssertionError)


def test_exceptions_have_their_fields() -> None:
    stop = BugCheck(BugCheckCode.BAD_POOL_CALLER, (1, 2, 3, 4), "why")
    assert (stop.code, stop.parameters, stop.message) == (0xC2, (1, 2, 3, 4), "why")
    assert NtStatusError(NtStatus.STATUS_SUCCESS).status == 0
    assert InitError(NtStatus.STATUS_INVALID_PARAMETER_4, "").status == 0xC00000F2
    error = TraceError("a", 2, "b", "c")
    assert (error.file, error.line, error.field, error.problem) == ("a", 2, "b", "c")


def test_enumerations_have_their_bases_and_values() -> None:
    assert PoolType.__bases__ == (IntFlag,)
    for enumeration in (NtStatus, Irql, BugCheckCode):
        assert enumeration.__bases__ == (IntEnum,)
    assert (PoolType.NonPagedPool, PoolType.PagedPool, PoolType.NonPagedPoolNx) == (0, 1, 512)
    assert [Irql[f"{each}_LEVEL"] for each in ("PASSIVE", "APC", "DISPATCH", "HIGH")] == [
        *(0, 1, 2),
        15,
    ]
    assert NtStatus.STATUS_SUCCESS.is_success
    assert not NtStatus.STATUS_INVALID_PARAMETER_4.is_success


def test_a_tag_in_each_of_its_forms() -> None:
    assert issubclass(PoolTag, int)
    assert PoolTag(b"tsLL") == PoolTag.from_literal("LLst") == PoolTag(0x4C4C7374)
    assert str(PoolTag(b"tsLL")) == "tsLL"


@pytest.mark.parametrize(
    ("owner", "names"),
    [
        (Kernel, ("irql", "lookaside_lists")),
        (
            LookasideList,
            (
                "total_allocates",
                "allocate_misses",
                "total_frees",
                "free_misses",
                "last_total_allocates",
                "last_allocate_misses",
                "depth",
                "maximum_depth",
                "current_depth",
                "size",
                "tag",
                "type",
                "is_active",
            ),
        ),
        (LookasideAllocator, ("lookaside",)),
        (Box, ("pointer",)),
    ],
    ids=lambda value: value.__name__ if inspect.isclass(value) else "",
)
def test_properties(owner: type, names: tuple[str, ...]) -> None:
    for name in names:
        assert isinstance(inspect.getattr_static(owner, name), property), name


def test_attributes() -> None:
    kernel = Kernel()
    assert isinstance(kernel.pool, PoolManager)
    assert kernel.bugcheck is None
    made = LookasideList(kernel, "a")
    assert (made.name, type(made.address), len(bytes(made))) == ("a", int, 0x60)
    fields = ("allocs", "frees", "bytes")
    usage = PoolTagUsage()
    for kind in ("nonpaged", "paged"):
        assert [getattr(usage, f"{kind}_{each}") for each in fields] == [0, 0, 0]
    block = kernel.pool.query(kernel.pool.allocate(PoolType.PagedPool, 5, b"tsLL") or 0)
    assert block is not None
    assert (block.size, block.tag, block.pool_type) == (5, PoolTag(b"tsLL"), 1)
    given = Allocation(1, Layout(2))
    assert (given.pointer, given.layout.size, given.layout.align) == (1, 2, 1)


# --- signatures --------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("routine", "expected"),
    [
        (Kernel.raise_irql, "(self, level)"),
        (Kernel.lower_irql, "(self, level)"),
        (Kernel.tick, "(self, seconds=1)"),
        (Kernel.read, "(self, address, size)"),
        (Kernel.write, "(self, address, data)"),
        (PoolManager.allocate, "(self, pool_type, size, tag)"),
        (PoolManager.free, "(self, address, tag=None)"),
        (PoolManager.usage, "(self, tag)"),
        (PoolManager.tags, "(self)"),
        (PoolManager.query, "(self, address)"),
        (LookasideList, "(kernel, name='', address=None, *, older=False)"),
        (
            LookasideList.initialize,
            "(self, *, pool_type=<PoolType.NonPagedPool: 0>, size, tag, flags=0, depth=0,"
            " allocate=None, free=None)",
        ),
        (LookasideList.allocate, "(self)"),
        (LookasideList.free, "(self, entry)"),
        (LookasideList.flush, "(self)"),
        (LookasideList.delete, "(self)"),
        (
            LookasideAllocator.init,
            "(self, size, pool_type, tag=None, flags=None, allocate=None, free=None)",
        ),
        (LookasideAllocator.alloc, "(self)"),
        (LookasideAllocator.free, "(self, pointer)"),
        (LookasideAllocator.allocate, "(self, layout)"),
        (LookasideAllocator.deallocate, "(self, pointer, layout)"),
        (LookasideAllocator.grow, "(self, pointer, old_layout, new_layout)"),
        (LookasideAllocator.grow_zeroed, "(self, pointer, old_layout, new_layout)"),
        (LookasideAllocator.shrink, "(self, pointer, old_layout, new_layout)"),
        (LookasideAllocator.box, "(self, value)"),
        (LookasideAllocator.destroy, "(self)"),
        (Box.into_raw, "(self)"),
        (Box.from_raw, "(pointer, allocator)"),
        (Layout, "(size, align=1)"),
        (Layout.for_type, "(ctype)"),
        (PoolTag.from_literal, "(literal)"),
        (windbg.lookaside, "(lookaside_list, *, debugger_depth=False)"),
        (windbg.lookasides, "(kernel, lists=None, *, debugger_depth=False)"),
        (trace.load, "(path)"),
        (trace.save, "(path, events, source='')"),
        (trace.record, "(kernel)"),
        (trace.replay, "(trace, kernel=None, *, lookaside=(), progress=None)"),
    ],
    ids=lambda value: "" if isinstance(value, str) else value.__qualname__,
)
def test_a_signature(routine: Callable[..., Any], expected: str) -> None:
    assert shape(routine) == expected


@pytest.mark.parametrize(
    ("routine", "expected"),
    [
        (
            Kernel,
            "arch='x64', processors=1, nonpaged_pool_bytes=None, paged_pool_bytes=None,"
            " verifier=None",
        ),
        (LookasideAllocator, "kernel"),
    ],
)
def test_a_signature_begins_with(routine: Callable[..., Any], expected: str) -> None:
    # More may follow, by keyword and with a default.
    parameters = list(inspect.signature(routine).parameters.values())
    count = len(expected.split(", "))
    assert shape(routine)[1:].startswith(expected)
    for each in parameters[count:]:
        assert each.kind is inspect.Parameter.KEYWORD_ONLY
        assert each.default is not inspect.Parameter.empty


@pytest.mark.parametrize(
    "owner", [Kernel, LookasideList, LookasideAllocator, Box], ids=lambda owner: owner.__name__
)
def test_context_managers(owner: type) -> None:
    assert callable(getattr(owner, "__enter__", None))
    assert callable(getattr(owner, "__exit__", None))
