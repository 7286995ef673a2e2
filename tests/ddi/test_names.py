"""Every documented name the package has: announced, spelled and ordered as documented."""

from __future__ import annotations

import importlib
import inspect
import pkgutil

import pytest

from lookaside_sim import (
    ddi,
)


def test_everything_announced_exists() -> None:
    assert all(hasattr(ddi, name) for name in vars(ddi)["__all__"])
    assert ddi.EX_LOOKASIDE_LIST_EX_FLAGS_RAISE_ON_FAIL == 1
    assert ddi.EX_LOOKASIDE_LIST_EX_FLAGS_FAIL_NO_RAISE == 2
    assert ddi.EX_MAXIMUM_LOOKASIDE_DEPTH_BASE == 256
    assert ddi.EX_MAXIMUM_LOOKASIDE_DEPTH_LIMIT == 1024
    assert ddi.PROTECTED_POOL == 0x8000_0000


def test_each_module_says_what_it_has_and_no_two_say_the_same() -> None:
    said: dict[str, str] = {}
    for found in pkgutil.iter_modules(ddi.__path__, "lookaside_sim.ddi."):
        module = importlib.import_module(found.name)
        for name in getattr(module, "__all__", ()):
            assert said.setdefault(name, found.name) == found.name
            assert getattr(ddi, name) is getattr(module, name)
        if hasattr(module, "__all__"):
            public = {
                name
                for name, value in vars(module).items()
                if inspect.isfunction(value)
                and value.__module__ == found.name
                and not name.startswith("_")
                and not name.islower()
            }
            assert public <= set(module.__all__), found.name
    assert said.keys() == set(vars(ddi)["__all__"])


def test_a_star_import_is_enough_to_write_c_down() -> None:
    found: dict[str, object] = {}
    exec("from lookaside_sim.ddi import *", found)
    del found["__builtins__"]
    assert set(found) == set(vars(ddi)["__all__"])
    assert {"NT_SUCCESS", "NonPagedPoolNx", "DISPATCH_LEVEL", "structure", "literal"} <= set(
        found
    )


def test_other_names_of_the_same_routines() -> None:
    assert ddi.ObfReferenceObject is ddi.ObReferenceObject
    assert ddi.ObfDereferenceObject is ddi.ObDereferenceObjectDeferDelete
    assert ddi.ObfDereferenceObject is ddi.ObDereferenceObject
    assert ddi.ExIsResourceAcquiredLite is ddi.ExIsResourceAcquiredSharedLite
    assert ddi.QueryDepthSList is ddi.ExQueryDepthSList


def test_ddi_has_the_older_families_whole() -> None:
    for family in ("NPaged", "Paged"):
        for routine in ("ExInitialize{}LookasideList", "ExAllocateFrom{}LookasideList"):
            assert routine.format(family) in vars(ddi)["__all__"]
        for routine in ("ExFreeTo{}LookasideList", "ExDelete{}LookasideList"):
            assert routine.format(family) in vars(ddi)["__all__"]


@pytest.mark.parametrize(
    ("name", "expected"),
    [
        (
            "ExInitializeLookasideListEx",
            "lookaside, allocate, free, pool_type, flags, size, tag, depth",
        ),
        ("ExAllocateFromLookasideListEx", "lookaside"),
        ("ExFreeToLookasideListEx", "lookaside, entry"),
        ("ExFlushLookasideListEx", "lookaside"),
        ("ExDeleteLookasideListEx", "lookaside"),
        (
            "ExInitializeNPagedLookasideList",
            "lookaside, allocate, free, flags, size, tag, depth",
        ),
        (
            "ExInitializePagedLookasideList",
            "lookaside, allocate, free, flags, size, tag, depth",
        ),
        ("ExAllocateFromNPagedLookasideList", "lookaside"),
        ("ExFreeToPagedLookasideList", "lookaside, entry"),
        ("ExAllocatePool", "pool_type, number_of_bytes"),
        ("ExAllocatePoolWithTag", "pool_type, number_of_bytes, tag"),
        ("ExAllocatePoolZero", "pool_type, number_of_bytes, tag"),
        ("ExAllocatePool2", "flags, number_of_bytes, tag"),
        (
            "ExAllocatePool3",
            "flags, number_of_bytes, tag, extended_parameters, extended_parameters_count",
        ),
        ("FsRtlAllocatePoolWithTag", "pool_type, number_of_bytes, tag"),
        ("ExQueryPoolBlockSize", "pool_block, quota_charged"),
        ("ExInitializeDriverRuntime", "runtime_flags"),
        ("ExFreePool", "p"),
        ("ExFreePoolWithTag", "p, tag"),
        ("InitializeSListHead", "list_head"),
        ("ExInitializeSListHead", "s_list_head"),
        ("ExInterlockedPushEntrySList", "list_head, list_entry, lock"),
        ("InterlockedPushEntrySList", "list_head, list_entry"),
        ("ExInterlockedPopEntrySList", "list_head, lock"),
        ("InterlockedPopEntrySList", "list_head"),
        ("ExInterlockedFlushSList", "list_head"),
        ("ExQueryDepthSList", "s_list_head"),
        ("KeInitializeSpinLock", "spin_lock"),
        ("KeAcquireSpinLock", "spin_lock, old_irql"),
        ("KeAcquireSpinLockRaiseToDpc", "spin_lock"),
        ("KeReleaseSpinLock", "spin_lock, new_irql"),
        ("KeAcquireSpinLockAtDpcLevel", "spin_lock"),
        ("KeReleaseSpinLockFromDpcLevel", "spin_lock"),
        ("KeRaiseIrql", "new_irql, old_irql"),
        ("KeRaiseIrqlToDpcLevel", ""),
        ("KeLowerIrql", "new_irql"),
        ("KeGetCurrentIrql", ""),
        ("KeInitializeTimer", "timer"),
        ("KeSetTimer", "timer, due_time, dpc"),
        ("KeCancelTimer", "timer"),
        ("ExInitializeResourceLite", "resource"),
        ("ExDeleteResourceLite", "resource"),
    ],
)
def test_ddi_parameters_are_positional_without_defaults(name: str, expected: str) -> None:
    parameters = inspect.signature(getattr(ddi, name)).parameters.values()
    found = ", ".join(each.name.lower() for each in parameters)
    assert found == expected.replace("_", "")
    for each in parameters:
        assert each.kind is inspect.Parameter.POSITIONAL_OR_KEYWORD
        assert each.default is inspect.Parameter.empty
