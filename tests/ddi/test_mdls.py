"""MDLs: built, locked, mapped, partial, and what the verifier says of them."""

from __future__ import annotations

from collections.abc import Callable

import pytest

from lookaside_sim import BugCheck, Kernel, NtStatusError, Verifier, ddi
from tests.ddi.helpers import memory


def test_a_buffer_in_nonpaged_pool(current: Kernel) -> None:
    buffer = memory(current, 0x1800)
    mdl = ddi.IoAllocateMdl(buffer + 4, 0x1200)
    ddi.MmBuildMdlForNonPagedPool(mdl)
    assert ddi.MmGetSystemAddressForMdlSafe(mdl, ddi.NormalPagePriority) == buffer + 4
    assert ddi.MmGetMdlVirtualAddress(mdl) == buffer + 4
    assert (ddi.MmGetMdlByteCount(mdl), ddi.MmGetMdlByteOffset(mdl)) == (
        0x1200,
        (buffer + 4) & 0xFFF,
    )
    pages = (ddi.ULONG_PTR * 2).load(current, ddi.MmGetMdlPfnArray(mdl))
    assert pages[1] == pages[0] + 1
    assert ddi.MDL(mdl).MdlFlags & ddi.MDL_SOURCE_IS_NONPAGED_POOL
    ddi.IoFreeMdl(mdl)


def test_locking_mapping_and_unlocking(current: Kernel) -> None:
    buffer = ddi.ExAllocatePoolWithTag(1, 100, b"Page")
    mdl = ddi.IoAllocateMdl(buffer, 100)
    ddi.MmProbeAndLockPages(mdl, ddi.KernelMode, ddi.IoModifyAccess)
    (held,) = current.threads.held()
    assert "the locked pages of the MDL at" in str(held)
    address = ddi.MmGetSystemAddressForMdlSafe(mdl, ddi.NormalPagePriority)
    assert address == buffer
    assert ddi.MDL(mdl).MdlFlags & 3 == 3
    ddi.MmUnmapLockedPages(address, mdl)
    assert ddi.MDL(mdl).MdlFlags & 3 == 2
    assert ddi.MmMapLockedPagesSpecifyCache(mdl, 0, ddi.MmCached, 0, 0, 16) == buffer
    ddi.MmUnlockPages(mdl)
    assert ddi.MDL(mdl).MdlFlags & 3 == 0
    assert not current.threads.held()


def test_pages_that_are_not_there(current: Kernel) -> None:
    mdl = ddi.IoAllocateMdl(0x10000, 8)
    with pytest.raises(NtStatusError, match="ACCESS_VIOLATION"):
        ddi.MmProbeAndLockPages(mdl, 0, 0)
    assert not current.threads.held()
    with pytest.raises(NtStatusError, match="ACCESS_VIOLATION"):
        ddi.MmBuildMdlForNonPagedPool(mdl)


def test_memory_of_the_drivers_own_and_a_part(current: Kernel) -> None:
    buffer = memory(current, 0x300)
    one, other = memory(current), memory(current)
    assert ddi.MmSizeOfMdl(buffer, 0x300) >= ddi.sizeof(ddi.MDL) + current.arch.pointer_size
    ddi.MmInitializeMdl(one, buffer, 0x300)
    ddi.MmInitializeMdl(other, buffer, 0x100)
    ddi.MmBuildMdlForNonPagedPool(one)
    ddi.IoBuildPartialMdl(one, other, buffer + 0x20, 0x40)
    assert ddi.MmGetMdlVirtualAddress(other) == buffer + 0x20
    assert ddi.MmGetSystemAddressForMdlSafe(other, 16) == buffer + 0x20
    ddi.IoBuildPartialMdl(one, other, buffer + 0x20, 0)
    assert ddi.MmGetMdlByteCount(other) == 0x2E0
    ddi.MDL(other).MdlFlags |= ddi.MDL_MAPPED_TO_SYSTEM_VA
    ddi.MmPrepareMdlForReuse(other)
    assert not ddi.MDL(other).MdlFlags & ddi.MDL_MAPPED_TO_SYSTEM_VA


def _build_paged(kernel: Kernel) -> None:
    ddi.MmBuildMdlForNonPagedPool(
        ddi.IoAllocateMdl(ddi.ExAllocatePoolWithTag(1, 9, b"Page"), 9)
    )


def _unlock_nonpaged(kernel: Kernel) -> None:
    mdl = ddi.IoAllocateMdl(memory(kernel), 9)
    ddi.MmBuildMdlForNonPagedPool(mdl)
    ddi.MmUnlockPages(mdl)


def _lock_nonpaged(kernel: Kernel) -> None:
    mdl = ddi.IoAllocateMdl(memory(kernel), 9)
    ddi.MmBuildMdlForNonPagedPool(mdl)
    ddi.MmProbeAndLockPages(mdl, 0, 0)


def _lock_high(kernel: Kernel) -> None:
    mdl = ddi.IoAllocateMdl(memory(kernel), 9)
    with kernel.raise_irql(3):
        ddi.MmProbeAndLockPages(mdl, 0, 0)


@pytest.mark.parametrize(
    ("do", "violation"),
    [
        (_build_paged, 0x7F),
        (_unlock_nonpaged, 0x7D),
        (lambda kernel: ddi.MmUnlockPages(ddi.IoAllocateMdl(memory(kernel), 9)), 0x7C),
        (_lock_nonpaged, 0xB0),
        (_lock_high, 0x70),
    ],
)
def test_what_the_verifier_asks_for(
    arch: str, do: Callable[[Kernel], None], violation: int
) -> None:
    with Kernel(arch, verifier=Verifier.standard()) as kernel, pytest.raises(BugCheck) as stop:
        do(kernel)
    assert stop.value.parameters[0] == violation


@pytest.mark.parametrize(
    ("irql", "offset", "size"), [(0, 0, 9), (2, 0x20, 9), (0, 0xFF0, 0x20), (0, 7, 1)]
)
def test_what_the_verifier_finds_nothing_wrong_with(
    arch: str, irql: int, offset: int, size: int
) -> None:
    with Kernel(arch, verifier=Verifier.standard()) as kernel:
        mdl = ddi.IoAllocateMdl(memory(kernel, 0x2000) + offset, size)
        with kernel.raise_irql(irql):
            ddi.MmProbeAndLockPages(mdl, 0, 1)
            ddi.MmUnlockPages(mdl)
        ddi.MmBuildMdlForNonPagedPool(mdl)


@pytest.mark.parametrize("offset", [0, 0xFF0, 7])
def test_a_buffer_anywhere_in_paged_pool(arch: str, offset: int) -> None:
    with Kernel(arch, verifier=Verifier.standard()) as kernel:
        buffer = ddi.ExAllocatePoolWithTag(1, 0x2000, b"Page")
        mdl = ddi.IoAllocateMdl(buffer + offset, 0x20)
        flags = ddi.MDL(mdl).MdlFlags
        with kernel.raise_irql(1), pytest.raises(BugCheck) as stop:
            ddi.MmBuildMdlForNonPagedPool(mdl)
    assert stop.value.parameters == (0x7F, 1, mdl, flags)


def test_what_a_violation_with_an_mdl_says(arch: str) -> None:
    with Kernel(arch, verifier=Verifier.standard()) as kernel:
        mdl = ddi.IoAllocateMdl(memory(kernel), 9)
        flags = ddi.MDL(mdl).MdlFlags
        with pytest.raises(BugCheck) as stop:
            ddi.MmUnlockPages(mdl)
    assert stop.value.parameters == (0x7C, mdl, flags, 0)
    with Kernel(arch, verifier=Verifier.standard()) as kernel:
        mdl = ddi.IoAllocateMdl(memory(kernel), 9)
        with kernel.raise_irql(3), pytest.raises(BugCheck) as stop:
            ddi.MmProbeAndLockPages(mdl, 1, 0)
    assert stop.value.parameters == (0x70, 3, mdl, 1)
    with Kernel(arch, verifier=Verifier.standard()) as kernel:
        mdl = ddi.IoAllocateMdl(memory(kernel), 9)
        ddi.MmProbeAndLockPages(mdl, 0, 0)
        flags = ddi.MDL(mdl).MdlFlags
        with pytest.raises(BugCheck) as stop:
            ddi.MmProbeAndLockPages(mdl, 0, 0)
    assert stop.value.parameters == (0xB0, mdl, flags, 2)
    with Kernel(arch, verifier=Verifier.standard()) as kernel:
        mdl = ddi.IoAllocateMdl(memory(kernel), 9)
        ddi.MmBuildMdlForNonPagedPool(mdl)
        flags = ddi.MDL(mdl).MdlFlags
        with pytest.raises(BugCheck) as stop:
            ddi.MmUnlockPages(mdl)
    assert stop.value.parameters == (0x7D, mdl, flags, 0)
