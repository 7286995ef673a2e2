"""``!verifier``, in the layouts of Windows 7 and of Windows 8.1; import it from `windbg`.

Source:
    docs/sources.md, pool section 7.6, from Microsoft's pages.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final

import attrs

from lookaside_sim.kernel import Kernel
from lookaside_sim.nt.arguments import instance, integer, text, unsigned
from lookaside_sim.pool.ledger import BlockRecord
from lookaside_sim.verifier.counters import PoolUse, VerifierCounters
from lookaside_sim.verifier.settings import VerifierFlags as Flags

DRIVERS: Final = 1
LEAKS: Final = 2
FAULTS: Final = 4
"""Flags of ``!verifier``."""
_NEWEST_FAULTS: Final = 4
_WIDE: Final = 39
_NARROW: Final = 21

_WINDOWS_7_OPTIONS: Final = {
    Flags.SPECIAL_POOL: "Special pool",
    Flags.FORCE_IRQL_CHECKING: "Special irql",
    Flags.LOW_RESOURCES_SIMULATION: "Inject random low-resource API failures",
    Flags.POOL_TRACKING: "All pool allocations checked on unload",
    Flags.IO_VERIFICATION: "Io subsystem checking enabled",
    Flags.DEADLOCK_DETECTION: "Deadlock detection enabled",
    Flags.DMA_CHECKING: "DMA checking enabled",
    Flags.SECURITY_CHECKS: "Security checks enabled",
    Flags.MISCELLANEOUS_CHECKS: "Miscellaneous checks enabled",
}
_STANDARD_OPTIONS: Final = {
    Flags.AUTOMATIC_CHECKS: "Automatic Checks",
    Flags.SPECIAL_POOL: "Special pool",
    Flags.FORCE_IRQL_CHECKING: "Force IRQL checking",
    Flags.POOL_TRACKING: "Pool tracking",
    Flags.IO_VERIFICATION: "I/O verification",
    Flags.DEADLOCK_DETECTION: "Deadlock detection",
    Flags.DMA_CHECKING: "DMA checking",
    Flags.SECURITY_CHECKS: "Security checks",
    Flags.MISCELLANEOUS_CHECKS: "Miscellaneous checks",
    Flags.DDI_COMPLIANCE_CHECKING: "DDI compliance checking",
}
_ADDITIONAL_OPTIONS: Final = {
    Flags.LOW_RESOURCES_SIMULATION: "Randomized low resources simulation",
    Flags.FORCE_PENDING_IO: "Force pending I/O requests",
    Flags.IRP_LOGGING: "IRP logging",
    Flags.INVARIANT_MDL_CHECKING_STACK: "Invariant MDL checking for stack",
    Flags.INVARIANT_MDL_CHECKING_DRIVER: "Invariant MDL checking for driver",
    Flags.POWER_FRAMEWORK_DELAY_FUZZING: "Power framework delay fuzzing",
    Flags.SYSTEMATIC_LOW_RESOURCES: "Systematic low resources simulation",
    Flags.DDI_COMPLIANCE_CHECKING_ADDITIONAL: "DDI compliance checking (additional)",
    Flags.NDIS_WIFI_VERIFICATION: "NDIS/WIFI verification",
    Flags.KERNEL_SYNCHRONIZATION_DELAY_FUZZING: "Kernel synchronization delay fuzzing",
    Flags.VM_SWITCH_VERIFICATION: "VM switch verification",
}


@attrs.frozen
class DriverReport:
    """What ``!verifier`` shows of one driver.

    Attributes:
        name: of the image.
        entry: address of the verifier's structure, or of the image.
        loaded: whether it is.
        use: its tracked pool.
        blocks: its live blocks.
    """

    name: str
    entry: int
    loaded: bool
    use: PoolUse
    blocks: Sequence[BlockRecord] = ()


@attrs.frozen
class VerifierReport:
    """What ``!verifier`` shows.

    Attributes:
        flags: the options.
        counters: the statistics.
        use: tracked pool of everybody.
        drivers: the verified drivers.
        digits: hexadecimal digits of an address.
    """

    flags: Flags
    counters: VerifierCounters
    use: PoolUse
    drivers: Sequence[DriverReport] = ()
    digits: int = 16


def verifier_report(kernel: Kernel) -> VerifierReport | None:
    """Collect what `verifier` prints; None when the verifier is off."""
    instance("kernel", kernel, Kernel)
    verification = kernel.verification
    if verification is None:
        return None
    return VerifierReport(
        flags=verification.verifier.flags,
        counters=verification.counters,
        use=verification.use,
        drivers=[
            DriverReport(
                driver.name,
                driver.image_base,
                driver.loaded,
                verification.use_of.get(driver, PoolUse()),
                driver.pool,
            )
            for driver in kernel.drivers.all
            if verification.covers(driver)
        ],
        digits=kernel.arch.pointer_size * 2,
    )


def verifier(
    kernel: Kernel, flags: int = 0, image: str | None = None, *, windows: int = 7
) -> str:
    """Print the verifier's state, as ``!verifier FLAGS IMAGE`` does.

    Args:
        kernel: the machine.
        flags: 1 the drivers, 2 their blocks, 4 the newest injected faults.
        image: name of one driver to show; None for all.
        windows: whose layout, 7 or 8 (from Windows 8.1 on).

    Raises:
        ValueError: another layout.
        TypeError, ValueError: arguments of other kinds.
    """
    instance("kernel", kernel, Kernel)
    flags, windows = unsigned("flags", flags, 64), _layout(windows)
    if image is not None:
        text("image", image)
    report = verifier_report(kernel)
    if report is None:
        return (
            "\nVerify Level 0 ... enabled options are:"
            if windows == 7
            else ("\nVerify Flags Level 0x00000000")
        )
    if image is not None:
        named = [each for each in report.drivers if each.name == image]
        report = attrs.evolve(report, drivers=named)
    shown = verifier_text(report, flags, windows=windows)
    if flags & FAULTS and kernel.verification is not None:
        shown += "\n\n" + _faults(kernel)
    return shown


def _layout(windows: int) -> int:
    """Which layout is asked for.

    Raises:
        TypeError, ValueError: there is none of that number.
    """
    windows = integer("windows", windows)
    if windows not in (7, 8):
        raise ValueError(f"windows={windows}: give 7 or 8")
    return windows


def verifier_text(report: VerifierReport, flags: int = 0, *, windows: int = 7) -> str:
    """Lay out a report."""
    layout = _windows_7 if _layout(windows) == 7 else _windows_8
    return "\n".join(layout(report, flags))


def _summary(report: VerifierReport, *, first_width: int, deliberately: bool) -> list[str]:
    counters, use = report.counters, report.use
    numbers = [
        ("RaiseIrqls", counters.raise_irqls, first_width),
        ("AcquireSpinLocks", counters.acquire_spin_locks, first_width),
        ("Synch Executions", counters.synch_executions, first_width),
        ("Trims", counters.trims, first_width),
        None,
        ("Pool Allocations Attempted", counters.allocations_attempted, _WIDE),
        ("Pool Allocations Succeeded", counters.allocations_succeeded, _WIDE),
        (
            "Pool Allocations Succeeded SpecialPool",
            counters.allocations_succeeded_special_pool,
            _WIDE,
        ),
        ("Pool Allocations With NO TAG", counters.allocations_with_no_tag, _WIDE),
        ("Pool Allocations Failed", counters.allocations_failed, _WIDE),
    ]
    lines = ["" if each is None else f"{each[0]:<{each[2]}}{each[1]:#x}" for each in numbers]
    if deliberately:
        count = counters.allocations_failed_deliberately
        lines.append(f"Resource Allocations Failed Deliberately   {count:#x}")
    lines.append("")
    for paged, name in ((1, "paged"), (0, "nonpaged")):
        for label, allocations, size in (
            (f"Current {name} pool allocations", use.allocations[paged], use.bytes[paged]),
            (
                f"Peak {name} pool allocations",
                use.peak_allocations[paged],
                use.peak_bytes[paged],
            ),
        ):
            lines.append(f"{label:<{_WIDE}}{allocations:#x} for {size:08X} bytes")
    return lines


def _windows_7(report: VerifierReport, flags: int) -> list[str]:
    digits = report.digits
    lines = [f"Verify Level {int(report.flags):x} ... enabled options are:"]
    lines += [f"    {name}" for bit, name in _WINDOWS_7_OPTIONS.items() if report.flags & bit]
    lines += ["", "Summary of All Verifier Statistics", ""]
    lines += _summary(report, first_width=_WIDE, deliberately=True)
    if not flags & (DRIVERS | LEAKS):
        return lines
    lines += [
        "",
        "Driver Verification List",
        "",
        "Entry     State           NonPagedPool   PagedPool   Module",
    ]
    for driver in report.drivers:
        use = driver.use
        state = "Loaded" if driver.loaded else "Unloaded"
        lines += [
            "",
            f"{driver.entry:0{digits}x} {state:<16}{use.bytes[0]:08x}       {use.bytes[1]:08x}"
            f"    {driver.name}",
            "",
            f"Current Pool Allocations  {use.allocations[0]:08x}    {use.allocations[1]:08x}",
            f"Current Pool Bytes        {use.bytes[0]:08x}    {use.bytes[1]:08x}",
            f"Peak Pool Allocations     {use.peak_allocations[0]:08x}"
            f"    {use.peak_allocations[1]:08x}",
            f"Peak Pool Bytes           {use.peak_bytes[0]:08x}    {use.peak_bytes[1]:08x}",
        ]
        if flags & LEAKS and driver.blocks:
            lines += ["", "PoolAddress  SizeInBytes    Tag       CallersAddress"]
            lines += [
                f"{block.address:0{digits}x}     0x{block.size:08x}     {block.tag!s}"
                f"      {block.call_site.address:0{digits}x}"
                for block in driver.blocks
            ]
    return lines


def _windows_8(report: VerifierReport, flags: int) -> list[str]:
    lines = [f"Verify Flags Level 0x{int(report.flags):08x}", "", "  STANDARD FLAGS:"]
    lines += [_option(report.flags, *each) for each in _STANDARD_OPTIONS.items()]
    lines += ["", "  ADDITIONAL FLAGS:"]
    lines += [_option(report.flags, *each) for each in _ADDITIONAL_OPTIONS.items()]
    lines += [
        "",
        "    [X] Indicates flag is enabled",
        "",
        "",
        "Summary of All Verifier Statistics",
        "",
    ]
    summary = _summary(report, first_width=_NARROW, deliberately=False)
    lines += [f"  {line}" if line else "" for line in summary]
    if not flags & (DRIVERS | LEAKS):
        return lines
    digits = report.digits
    rule = "-" * (digits + 2)
    lines += ["", "Driver Verification List", "-" * 24]
    for driver in report.drivers:
        use = driver.use
        state = "Loaded" if driver.loaded else "Unloaded"
        lines += [
            "",
            f"  MODULE: 0x{driver.entry:0{digits}x} {driver.name} ({state})",
            "",
            "    Pool Allocation Statistics: ( NonPagedPool / PagedPool )",
            "",
        ]
        for label, pair, form in (
            ("Current Pool Allocations:", use.allocations, "08x"),
            ("Current Pool Bytes:", use.bytes, "08X"),
            ("Peak Pool Allocations:", use.peak_allocations, "08x"),
            ("Peak Pool Bytes:", use.peak_bytes, "08X"),
        ):
            lines.append(f"      {label:<26}( 0x{pair[0]:{form}} / 0x{pair[1]:{form}} )")
        lines += [
            "      Contiguous Memory Bytes:       0x00000000",
            "      Peak Contiguous Memory Bytes:  0x00000000",
        ]
        if flags & LEAKS and driver.blocks:
            module = driver.name.rpartition(".")[0] or driver.name
            lines += [
                "",
                "    Pool Allocations:",
                "",
                f"      {'Address':<{digits + 2}}  Length      Tag   Caller    ",
                f"      {rule}  ----------  ----  {rule}",
            ]
            lines += [
                f"      0x{block.address:0{digits}x}  0x{block.size:08x}  {block.tag!s}"
                f"  0x{block.call_site.address:0{digits}x}  {module}!{block.call_site.function}"
                for block in driver.blocks
            ]
    return lines


def _option(flags: Flags, bit: Flags, name: str) -> str:
    # The automatic checks have no bit and are always on.
    mark = "X" if not bit or flags & bit else " "
    return f"    [{mark}] (0x{int(bit):08x}) {name}"


def _faults(kernel: Kernel) -> str:
    verification = kernel.verification
    assert verification is not None
    low = verification.low_resources
    history = [] if low is None else list(low.history)
    lines = ["Resource fault injection history:"]
    for number, fault in enumerate(reversed(history[-_NEWEST_FAULTS:])):
        lines += ["", f"Entry (index {len(history) - 1 - number})", ""]
        lines += [f"    {site}" for site in fault.stack]
    return "\n".join(lines)
