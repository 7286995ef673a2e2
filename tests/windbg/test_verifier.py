"""!verifier, byte for byte."""

from __future__ import annotations

import pytest

from lookaside_sim import Kernel, PoolTag, PoolType, Verifier, VerifierFlags, windbg
from lookaside_sim.machine.call_site import CallSite
from lookaside_sim.pool.ledger import BlockRecord
from lookaside_sim.verifier.counters import PoolUse, VerifierCounters

WINDOWS_7 = """\
Verify Level 9bb ... enabled options are:
    Special pool
    Special irql
    All pool allocations checked on unload
    Io subsystem checking enabled
    Deadlock detection enabled
    DMA checking enabled
    Security checks enabled
    Miscellaneous checks enabled

Summary of All Verifier Statistics

RaiseIrqls                             0x0
AcquireSpinLocks                       0x362
Synch Executions                       0x0
Trims                                  0xa34a

Pool Allocations Attempted             0x7b058
Pool Allocations Succeeded             0x7b058
Pool Allocations Succeeded SpecialPool 0x7b058
Pool Allocations With NO TAG           0x0
Pool Allocations Failed                0x0
Resource Allocations Failed Deliberately   0x0

Current paged pool allocations         0x1a for 00000950 bytes
Peak paged pool allocations            0x1b for 00000AC4 bytes
Current nonpaged pool allocations      0xe3 for 00046110 bytes
Peak nonpaged pool allocations         0x10f for 00048E40 bytes

Driver Verification List

Entry     State           NonPagedPool   PagedPool   Module

fffffa8003b6f670 Loaded          000000a0       00000854    videoprt.sys

Current Pool Allocations  00000002    00000013
Current Pool Bytes        000000a0    00000854
Peak Pool Allocations     00000006    00000014
Peak Pool Bytes           000008c0    000009c8

PoolAddress  SizeInBytes    Tag       CallersAddress
fffff9800157efc0     0x0000003c     Vprt      fffff88002c62963"""

WINDOWS_8_MODULE = """\
  MODULE: 0x84226b28 MyDriver.sys (Loaded)

    Pool Allocation Statistics: ( NonPagedPool / PagedPool )

      Current Pool Allocations: ( 0x00000003 / 0x00000000 )
      Current Pool Bytes:       ( 0x00001058 / 0x00000000 )
      Peak Pool Allocations:    ( 0x00000013 / 0x00000000 )
      Peak Pool Bytes:          ( 0x0004A4A0 / 0x00000000 )
      Contiguous Memory Bytes:       0x00000000
      Peak Contiguous Memory Bytes:  0x00000000

    Pool Allocations:

      Address     Length      Tag   Caller\x20\x20\x20\x20
      ----------  ----------  ----  ----------
      0x982a8fe0  0x00000020  VMdl  0x9a3bf6ac  MyDriver!DeviceControlDispatch
      0x8645a000  0x00001008  mdrv  0x9a3bf687  MyDriver!DeviceControlDispatch"""


def block(address: int, size: int, tag: bytes, caller: int, function: str = "f") -> BlockRecord:
    return BlockRecord(
        address,
        size,
        PoolTag(tag),
        PoolType.NonPagedPool,
        None,
        CallSite("f.c", 1, function, caller),
        1,
    )


def test_the_windows_7_layout_is_that_of_the_transcript() -> None:
    report = windbg.VerifierReport(
        flags=VerifierFlags(0x9BB),
        counters=VerifierCounters(
            acquire_spin_locks=0x362,
            trims=0xA34A,
            allocations_attempted=0x7B058,
            allocations_succeeded=0x7B058,
            allocations_succeeded_special_pool=0x7B058,
        ),
        use=PoolUse([0xE3, 0x1A], [0x46110, 0x950], [0x10F, 0x1B], [0x48E40, 0xAC4]),
        drivers=[
            windbg.DriverReport(
                "videoprt.sys",
                0xFFFFFA8003B6F670,
                True,
                PoolUse([2, 0x13], [0xA0, 0x854], [6, 0x14], [0x8C0, 0x9C8]),
                [block(0xFFFFF9800157EFC0, 0x3C, b"Vprt", 0xFFFFF88002C62963)],
            )
        ],
    )
    assert windbg.verifier_text(report, 3) == WINDOWS_7


def test_the_windows_8_module_is_that_of_the_transcript() -> None:
    report = windbg.VerifierReport(
        flags=VerifierFlags.STANDARD,
        counters=VerifierCounters(),
        use=PoolUse(),
        drivers=[
            windbg.DriverReport(
                "MyDriver.sys",
                0x84226B28,
                True,
                PoolUse([3, 0], [0x1058, 0], [0x13, 0], [0x4A4A0, 0]),
                [
                    block(0x982A8FE0, 0x20, b"VMdl", 0x9A3BF6AC, "DeviceControlDispatch"),
                    block(0x8645A000, 0x1008, b"mdrv", 0x9A3BF687, "DeviceControlDispatch"),
                ],
            )
        ],
        digits=8,
    )
    text = windbg.verifier_text(report, 3, windows=8)
    assert text.endswith("\n\n" + WINDOWS_8_MODULE)
    lines = text.splitlines()
    assert lines[:4] == [
        "Verify Flags Level 0x000209bb",
        "",
        "  STANDARD FLAGS:",
        "    [X] (0x00000000) Automatic Checks",
    ]
    at = lines.index("    [X] Indicates flag is enabled")
    assert lines[at + 1 : at + 4] == ["", "", "Summary of All Verifier Statistics"]
    at = lines.index("Driver Verification List")
    assert lines[at - 1 : at + 4] == [
        "",
        "Driver Verification List",
        "------------------------",
        "",
        "  MODULE: 0x84226b28 MyDriver.sys (Loaded)",
    ]
    assert "    [ ] (0x00000004) Randomized low resources simulation" in lines
    assert "  RaiseIrqls           0x0" in lines
    assert "  Pool Allocations Attempted             0x0" in lines
    assert not any("Deliberately" in line for line in lines)
    with pytest.raises(ValueError, match="windows=9"):
        windbg.verifier_text(report, windows=9)


def test_a_machines_verifier() -> None:
    kernel = Kernel(verifier=Verifier.standard())
    one, two = kernel.load_driver("one.sys"), kernel.load_driver("two.sys")
    one.allocate(PoolType.PagedPool, 60, b"Onea")
    two.free(two.allocate(PoolType.NonPagedPool, 24, b"Twoa"))
    text = windbg.verifier(kernel, 3, "one.sys")
    assert "Current paged pool allocations         0x1 for 0000003C bytes" in text
    assert "Peak nonpaged pool allocations         0x1 for 00000018 bytes" in text
    assert "two.sys" not in text
    assert f"{one.pool[0].call_site.address:016x}" in text
    two.unload()
    assert f"{two.image_base:016x} Unloaded" in windbg.verifier(kernel, 1)
    assert "MODULE" in windbg.verifier(kernel, 1, windows=8)
    assert "Driver Verification List" not in windbg.verifier(kernel)
    assert "MODULE" not in windbg.verifier(kernel, windows=8)


def test_injected_faults_are_listed_newest_first() -> None:
    kernel = Kernel(verifier=Verifier(VerifierFlags.SYSTEMATIC_LOW_RESOURCES))
    assert kernel.pool.allocate(0, 8, b"Test") is None
    text = windbg.verifier(kernel, 4)
    assert "Resource fault injection history:" in text
    assert "test_injected_faults_are_listed_newest_first" in text


def test_without_the_verifier_nothing_is_enabled() -> None:
    assert windbg.verifier(Kernel()).startswith("\nVerify Level 0")
    assert windbg.verifier(Kernel(), windows=8) == "\nVerify Flags Level 0x00000000"
    assert windbg.verifier_report(Kernel()) is None
