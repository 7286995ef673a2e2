"""The pool extensions of the debugger, byte for byte."""

from __future__ import annotations

import pytest

from lookaside_sim import (
    Kernel,
    PoolTag,
    PoolTagUsage,
    PoolType,
    Verifier,
    VerifierFlags,
    windbg,
)
from lookaside_sim.windbg.pool import poolfind_row
from tests.helpers import allocated


def usage(nonpaged: tuple[int, int], paged: tuple[int, int]) -> PoolTagUsage:
    """A row with so many blocks out and so many bytes."""
    return PoolTagUsage(nonpaged[0], 0, nonpaged[1], paged[0], 0, paged[1])


# --- transcripts -------------------------------------------------------------------------


def test_poolmon_rows_are_those_of_the_transcript() -> None:
    assert windbg.poolmon_row(
        "Wait", paged=False, allocs=3971107, frees=3971077, size=8456
    ) == (" Wait Nonp    3971107 (   0)   3971077 (   0)       30    8456 (     0)    281")
    assert windbg.poolmon_row("Gxlt", paged=True, allocs=1161638, frees=1161630, size=864) == (
        " Gxlt Paged   1161638 (   0)   1161630 (   0)        8     864 (     0)    108"
    )


def test_the_older_poolused_is_that_of_the_transcript() -> None:
    rows = {"1394": usage((1, 520), (0, 0)), "AcpA": usage((3, 192), (1, 504))}
    text = windbg.poolused_text(rows, descriptions={"AcpA": "ACPI Pooltags , Binary: acpi.sys"})
    assert text.splitlines() == [
        "   Sorting by  Tag",
        "",
        "  Pool Used:",
        "            NonPaged            Paged",
        " Tag    Allocs     Used    Allocs     Used",
        " 1394        1      520         0        0UNKNOWN pooltag '1394', please update"
        " pooltag.txt",
        " AcpA        3      192         1      504ACPI Pooltags , Binary: acpi.sys",
        " TOTAL           4      712         1      504",
    ]
    total = {"Many": usage((3570214, 209120008), (38769, 13066104))}
    last = windbg.poolused_text(total).splitlines()[-1]
    assert last == " TOTAL     3570214 209120008     38769 13066104"


def test_the_sorted_poolused_is_that_of_the_transcript() -> None:
    rows = {
        "IoWI": usage((5769999, 646239888), (0, 0)),
        "amda": usage((5768754, 1938325232), (32, 9360)),
    }
    text = windbg.poolused_text(rows, 2, descriptions={"IoWI": "Io work items , Binary: nt!io"})
    assert text.splitlines()[:7] == [
        " Sorting by NonPaged Pool Consumed",
        "",
        "               NonPaged                  Paged",
        " Tag     Allocs         Used     Allocs         Used",
        "",
        " amda   5768754   1938325232         32         9360\tUNKNOWN pooltag 'amda', please"
        " update pooltag.txt",
        " IoWI   5769999    646239888          0            0\tIo work items , Binary: nt!io",
    ]


def test_pool_rows_are_those_of_the_transcripts() -> None:
    def row(
        header: int,
        size: int,
        previous: int,
        state: str,
        tag: bytes,
        *,
        marked: bool = False,
    ) -> str:
        found = windbg.PoolRow(
            header, size, previous, state, PoolTag(tag), marked=marked, digits=8
        )
        return str(found)

    assert row(0xE1001000, 0x40, 0, "Allocated", b"MmDT") == (
        " e1001000 size:   40 previous size:    0  (Allocated)  MmDT"
    )
    assert row(0xE1001040, 0x10, 0x40, "Free", b"Mm  ") == (
        " e1001040 size:   10 previous size:   40  (Free)       Mm  "
    )
    assert row(0xE1001050, 0x10, 0x10, "Allocated", b"ObDi", marked=True) == (
        "*e1001050 size:   10 previous size:   10  (Allocated) *ObDi"
    )
    assert row(0x1000, 0x80, 0x210, "Free ", b"Io  ") == (
        " 00001000 size:   80 previous size:  210  (Free )   Io  "
    )
    protected = windbg.PoolRow(0, 16, 0, "Allocated", PoolTag(0xEE657645), process=0x80)
    assert str(protected).endswith("Even (Protected) Process: 0000000000000080")


def test_poolfind_rows_are_those_of_the_transcript() -> None:
    transcript = """\
826fa130 size:   c0 previous size:   40  (Allocated) SeSd
82712000 size:   c0 previous size:    0  (Allocated) SeSd
82721c00 size:   10 previous size:   30  (Free)      SeSd
8278b730 size:  100 previous size:  290  (Allocated) SeSd
8278b830 size:   10 previous size:  100  (Free)      SeSd
"""
    blocks = (
        (0x826FA130, 0xC0, 0x40, "Allocated"),
        (0x82712000, 0xC0, 0, "Allocated"),
        (0x82721C00, 0x10, 0x30, "Free"),
        (0x8278B730, 0x100, 0x290, "Allocated"),
        (0x8278B830, 0x10, 0x100, "Free"),
    )
    rows = [
        poolfind_row(windbg.PoolRow(*block, PoolTag(b"SeSd"), marked=marked, digits=8))
        for block in blocks
        for marked in (False, True)
    ]
    assert rows[::2] == rows[1::2] == transcript.splitlines()


def test_poolfind_sets_blocks_apart_from_headings() -> None:
    kernel = Kernel()
    big, small = allocated(kernel, 0x2000, tag=b"[a]b"), allocated(kernel, 24, tag=b"[a]b")
    allocated(kernel, 24, tag=b"a   ")
    lines = windbg.poolfind(kernel, "[a]b").splitlines()
    assert lines[0].startswith("Scanning large pool allocation table for Tag: [a]b (")
    assert lines[1:3] == [
        "",
        f"*{big:016x} : large page allocation, tag is [a]b, size is 0x2000 bytes",
    ]
    assert lines[3] == ""
    assert lines[4].startswith("Searching NonPaged pool (")
    assert lines[5:8] == [
        "",
        f"{small - 16:016x} size:   30 previous size:    0  (Allocated) [a]b",
        "",
    ]
    assert lines[8].startswith("Searching NonPaged pool (")
    assert len(lines) == 9


def test_pool_shows_contents_as_the_transcript_does() -> None:
    kernel = Kernel("x86")
    first = allocated(kernel, 0x38, tag=b"MmDT", pool_type=PoolType.PagedPool)
    kernel.write(
        first,
        bytes.fromhex("ffffffff 5c005700 49004e00 44004f00")
        + bytes.fromhex("ffffffff 5c005300 79007300 74006500"),
    )
    lines = windbg.pool(kernel, first, 1).splitlines()
    assert lines[1:6] == [
        f"*{first - 8:08x} size:   40 previous size:    0  (Allocated) *MmDT",
        f" {first:08x}  ffffffff 0057005c 004e0049 004f0044",
        f"    {first + 16:08x}  ffffffff 0053005c 00730079 00650074",
        "",
        "\t\tOwning component : Unknown (update pooltag.txt)",
    ]


# --- on a machine ------------------------------------------------------------------------


def test_pool_shows_a_page_with_parked_free_and_marked_blocks() -> None:
    kernel = Kernel(small_pool_lists=True)
    parked, held = allocated(kernel, 40, tag=b"Park"), allocated(kernel, 600, tag=b"Held")
    kernel.pool.free(parked)
    lines = windbg.pool(kernel, held, descriptions={"Held": "A test"}).splitlines()
    assert lines[0] == f"Pool page {held:016x} region is Nonpaged pool"
    assert lines[1] == f" {parked - 16:016x} size:   40 previous size:    0  (Free )   Park"
    assert "(Free)       Free" in lines[2]
    assert lines[3] == f"*{held - 16:016x} size:  270 previous size:  d50  (Allocated) *Held"
    assert lines[4] == "\t\tPooltag Held : A test"
    assert windbg.pool(kernel, held, 2).splitlines()[1:] == [
        lines[3],
        "\t\tOwning component : Unknown (update pooltag.txt)",
    ]
    assert windbg.poolfind(kernel, "Park").splitlines()[4] == (
        f"{parked - 16:016x} size:   40 previous size:    0  (Free )   Park"
    )
    assert f"{held - 16:016x} size:  270 previous size:  d50  (Allocated) Held" in (
        windbg.poolfind(kernel, "H*")
    )


def test_pool_shows_big_special_and_unknown_pages() -> None:
    kernel = Kernel(verifier=Verifier(VerifierFlags.SPECIAL_POOL))
    big = allocated(kernel, 0x4000, pool_type=PoolType.PagedPool, tag=b"V2lg")
    special = allocated(kernel, 0x4F0, tag=b"Scbf")
    assert windbg.pool(kernel, big).splitlines()[:2] == [
        f"Pool page {big:016x} region is Paged pool",
        f"*{big:016x} : large page allocation, tag is V2lg, size is 0x4000 bytes",
    ]
    assert "tag is V2lg" in windbg.poolfind(kernel, "V2lg", paged=True)
    page = special & ~0xFFF
    assert windbg.pool(kernel, special).splitlines()[:2] == [
        f"Pool page {special:016x} region is Special pool",
        f"*{page:016x} size:  4f0 data: {special:016x} (NonPaged) *Scbf",
    ]
    kernel.pool.free(special)
    assert len(windbg.pool(kernel, special).splitlines()) == 1
    assert windbg.pool(kernel, 0x1000) == "Pool page 0000000000001000 region is Unknown"


def test_a_charged_block_shows_its_process() -> None:
    kernel = Kernel()
    process = kernel.processes.create("app.exe")
    with kernel.processes.running(process):
        address = kernel.quota.allocate(0, 100, b"Quot")
    assert f"Quot Process: {process.address:016x}" in windbg.pool(kernel, address or 0)


def test_poolused_sorts_filters_and_sums() -> None:
    kernel = Kernel()
    allocated(kernel, 100, tag=b"Aaaa")
    allocated(kernel, 10, pool_type=PoolType.PagedPool, tag=b"Aabb")
    kernel.pool.free(allocated(kernel, 100, tag=b"Cccc"))
    assert " Aaaa        1      128" in windbg.poolused(kernel)
    assert "Cccc" not in windbg.poolused(kernel, 0, "Aa*")
    assert windbg.poolused(kernel, 4).splitlines()[5].startswith(" Aabb")
    verbose = windbg.poolused(kernel, 1, "Cccc").splitlines()
    assert verbose[5].startswith(" Cccc           1           1         0            0")
    with pytest.raises(ValueError, match="exclude"):
        windbg.poolused(kernel, 6)


def test_poolmon_shows_changes_since_the_last_refresh() -> None:
    kernel = Kernel()
    allocated(kernel, 100)
    before = kernel.pool.tags()
    allocated(kernel, 100)
    allocated(kernel, 100, pool_type=PoolType.PagedPool)
    rows = windbg.poolmon(kernel, before).splitlines()[2:]
    assert rows == [
        " Test Nonp          2 (   1)         0 (   0)        2     256 (   128)    128",
        " Test Paged         1 (   1)         0 (   0)        1     128 (   128)    128",
    ]


def test_pplookaside_lists_every_list_of_the_processors() -> None:
    kernel = Kernel(processors=2, small_pool_lists=True)
    kernel.pool.free(allocated(kernel, 40))
    kernel.io_lists.allocate_irp(1)
    lines = windbg.pplookaside(kernel).splitlines()
    assert len(lines) == 1 + 2 + 9 * 3
    assert lines[1].split() == ["0", "PPNPaged", "64", "4", "1", "1", "1", "1", "0"]
    assert "P small IRP" in windbg.pplookaside(Kernel())
