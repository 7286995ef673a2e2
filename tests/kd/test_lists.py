"""Lists, pool and structures: the views, on machines that are whole and on broken ones."""

from __future__ import annotations

import pytest

from lookaside_sim import Kernel, Verifier, windbg
from lookaside_sim.kd import Session
from lookaside_sim.kd.structures import STRUCTURE_NAMES, fields_of
from lookaside_sim.nt.layouts import architecture
from tests.kd.helpers import live


def test_lookaside_is_the_view_of_windbg() -> None:
    kernel, shell = live()
    (lookaside,) = kernel.lookaside_lists
    assert shell.execute("!lookaside") == windbg.lookasides(kernel)
    assert shell.execute("!lookaside Requests") == windbg.lookaside(lookaside)
    assert shell.execute("!lookaside mydrv!requests") == windbg.lookaside(lookaside)
    assert "not mapped" in shell.execute("!lookaside 0")


def test_lookaside_can_set_the_depth_of_a_copy() -> None:
    kernel, shell = live()
    said = shell.execute("!lookaside Requests 2 9")
    assert said.startswith("What if: a copy of the machine at now is changed.\n")
    assert "Max Depth  =          9" in said
    assert "TotalAllocates =          0" in shell.execute("!lookaside Requests 1")
    assert kernel.lookaside_lists[0].depth == 4
    assert (
        shell.execute("!lookaside Requests 2")
        == "!lookaside Requests 2: give 1, or 2 and a depth"
    )
    assert shell.execute("!lookaside Requests 2 10000").endswith("give 0 to ffff")


def test_slist_shows_header_and_chain() -> None:
    _, shell = live()
    assert shell.execute("!slist Requests").splitlines()[:6] == [
        "SLIST HEADER:",
        "   +0x000 Alignment          : 20002",
        "   +0x000 Depth              : 2",
        "   +0x002 Sequence           : 2",
        "   +0x008 NextEntry          : ffffd20000001fc0",
        "",
    ]
    chain = shell.execute("!slist Requests").splitlines()[7:]
    assert [line[:38] for line in chain] == [
        "ffffd200`00001fc0  00001010 ffffd200 ",
        "ffffd200`00001010  00000000 00000000 ",
    ] or [line[:37] for line in chain] == [
        "ffffd200`00001fc0  00001010 ffffd200 ",
        "ffffd200`00001010  00000000 00000000 ",
    ]


def test_slist_shows_where_a_chain_breaks_or_comes_back() -> None:
    kernel, shell = live()
    kernel.write(0xFFFFD200_0000_1010, (0x1234_5670).to_bytes(8, "little"))
    assert shell.execute("!slist Requests").splitlines()[-1] == (
        "00000000`12345670  <not mapped>"
    )
    kernel.write(0xFFFFD200_0000_1010, (0xFFFFD200_0000_1FC0).to_bytes(8, "little"))
    assert shell.execute("!slist Requests").splitlines()[-1] == (
        "ffffd200`00001fc0  <a ring: entry 0 again>"
    )
    assert shell.execute("!slist 10") == "Memory access error at '10'"


def test_dt_of_a_list() -> None:
    _, shell = live()
    assert shell.execute("dt nt!_GENERAL_LOOKASIDE Requests") == (
        "nt!_GENERAL_LOOKASIDE\n"
        "   +0x000 ListHead         : _SLIST_HEADER\n"
        "   +0x010 Depth            : 4\n"
        "   +0x012 MaximumDepth     : 0x100\n"
        "   +0x014 TotalAllocates   : 3\n"
        "   +0x018 AllocateMisses   : 3\n"
        "   +0x01c TotalFrees       : 2\n"
        "   +0x020 FreeMisses       : 0\n"
        "   +0x024 Type             : 0n512 ( NonPagedPoolNx )\n"
        "   +0x028 Tag              : 0x74737152\n"
        "   +0x02c Size             : 0x40\n"
        "   +0x030 AllocateEx       : 0xfffff80a`1d241000 void*  nt!ExAllocatePoolWithTag\n"
        "   +0x038 FreeEx           : 0xfffff80a`1d241040 void  nt!ExFreePool\n"
        "   +0x040 ListEntry        : _LIST_ENTRY [ 0xfffff806`6c4f2a40 - 0xfffff806`6c4f2a40 ]\n"
        "   +0x050 LastTotalAllocates : 0\n"
        "   +0x054 LastAllocateMisses : 0\n"
        "   +0x058 Future           : [2] Uint4B"
    )
    assert shell.execute("dt Requests Depth") == (
        "nt!_LOOKASIDE_LIST_EX\n   +0x010 Depth            : 4"
    )
    assert shell.execute("dt -r Requests ListHead").splitlines()[1:3] == [
        "   +0x000 ListHead         : _SLIST_HEADER",
        "      +0x000 Alignment        : 0x20002",
    ]


def test_dt_of_a_pool_header() -> None:
    _, shell = live()
    assert shell.execute("dt _POOL_HEADER ffffd200`00001fb0").splitlines() == [
        "nt!_POOL_HEADER",
        "   +0x000 PreviousSize     : 0y00000101 (0x5)",
        "   +0x000 PoolIndex        : 0y00000000 (0x0)",
        "   +0x002 BlockSize        : 0y00000101 (0x5)",
        "   +0x002 PoolType         : 0y00000010 (0x2)",
        "   +0x000 Ulong1           : 0x2050005",
        "   +0x004 PoolTag          : 0x74737152",
        *shell.execute("dt _POOL_HEADER ffffd200`00001fb0").splitlines()[7:],
    ]


def test_dt_without_an_address_shows_types() -> None:
    _, shell = live()
    assert shell.execute("dt nt!_LIST_ENTRY") == (
        "nt!_LIST_ENTRY\n"
        "   +0x000 Flink            : Ptr64 _LIST_ENTRY\n"
        "   +0x008 Blink            : Ptr64 _LIST_ENTRY"
    )
    assert shell.execute("dt") == "\n".join(f"          nt!{name}" for name in STRUCTURE_NAMES)
    assert shell.execute("dt Nothing") == "Symbol Nothing not found."
    assert "Cannot find specified field" in shell.execute("dt Requests Nothing")


@pytest.mark.parametrize("name", STRUCTURE_NAMES)
def test_fields_follow_each_other(name: str, arch: str) -> None:
    layouts = architecture(arch)
    sizes = {
        "_LOOKASIDE_LIST_EX": layouts.lookaside_size,
        "_GENERAL_LOOKASIDE_POOL": layouts.lookaside_size,
        "_SLIST_HEADER": layouts.slist_header_size,
        "_POOL_HEADER": layouts.pool_header.size,
    }
    fields = fields_of(name, layouts)
    end = max(field.offset + field.size for field in fields)
    assert end == sizes.get(name, end)
    assert all(field.offset + field.size <= end for field in fields)


def test_pool_is_the_view_of_windbg() -> None:
    kernel, shell = live()
    address = 0xFFFF_D200_0000_1FC0
    assert shell.execute("!pool ffffd200`00001fc0") == windbg.pool(kernel, address)
    assert shell.execute("!pool poi(Requests+8) 2") == windbg.pool(kernel, address, 2)
    assert shell.execute("!poolused") == windbg.poolused(kernel)
    assert shell.execute("!poolused 2 Rqst") == windbg.poolused(kernel, 2, "Rqst")
    assert shell.execute("!poolused 6") == "!poolused 6: 2 and 4 exclude each other"
    assert shell.execute("!poolfind Rq?t") == windbg.poolfind(kernel, "Rq?t")
    assert shell.execute('!poolfind "Rqst" 1') == windbg.poolfind(kernel, "Rqst", paged=True)
    assert shell.execute("!poolfind Rqst 2").endswith("give 0 for nonpaged, 1 for paged")
    assert shell.execute("!pplookaside") == windbg.pplookaside(kernel.clone())


def test_poolval_finds_the_header_that_does_not_fit() -> None:
    kernel, shell = live()
    assert shell.execute("!poolval poi(Requests+8)").endswith("is VALID: 4 blocks.")
    kernel.write(0xFFFF_D200_0000_1FB0, b"\xff")
    said = shell.execute("!poolval ffffd200`00001fc0")
    assert "is __inVALID." in said
    assert "The last header that fits is at ffffd200`00001f60." in said
    assert shell.execute("!poolval 0").endswith("has no pool headers.")


def test_verifier_and_irql() -> None:
    kernel, shell = live(verifier=Verifier.standard(), processors=2)
    assert shell.execute("!verifier") == windbg.verifier(kernel)
    assert shell.execute("!verifier 3 mydrv.sys") == windbg.verifier(kernel, 3, "mydrv.sys")
    with kernel.on_processor(1):
        kernel.raise_irql(2)
    assert shell.execute("!irql 1") == (
        "Debugger saved IRQL for processor 0x1 -- 2 (DISPATCH_LEVEL)"
    )
    assert (
        shell.execute("!irql") == "Debugger saved IRQL for processor 0x0 -- 0 (PASSIVE_LEVEL)"
    )
    assert shell.execute("!irql 2") == "!irql 2: the machine has 2 processors"


def test_a_list_that_was_deleted_is_still_found() -> None:
    kernel = Kernel()
    lookaside = kernel.lookaside_list("Old")
    lookaside.initialize(size=64, tag=b"Old ")
    lookaside.delete()
    shell = Session(kernel)
    assert shell.execute("!lookaside Old") == windbg.lookaside(lookaside)
