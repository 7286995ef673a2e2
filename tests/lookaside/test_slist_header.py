"""SLIST_HEADER byte for byte."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from lookaside_sim.lookaside.slist_header import SListHeader, pack, unpack
from lookaside_sim.nt.layouts import architecture
from lookaside_sim.nt.windows import windows_version

X64, X86 = architecture("x64"), architecture("x86", windows_version("8"))


def test_the_words_of_both_machines() -> None:
    image = bytes.fromhex("0300 efcdab896745 30f2edcbaffeffff")
    header = SListHeader(0xFFFF_FEAF_CBED_F230, 3, 0x4567_89AB_CDEF)
    assert (unpack(X64, image), pack(X64, header)) == (header, image)
    image = bytes.fromhex("30f2ed8b 0300 efcd")
    header = SListHeader(0x8BED_F230, 3, 0xCDEF)
    assert (unpack(X86, image), pack(X86, header)) == (header, image)


def test_cpu_id_takes_the_place_of_the_sequence_on_x86() -> None:
    image = bytes.fromhex("30f2ed8b 0300 efcd")
    header = SListHeader(0x8BED_F230, 3, 0, 0xCDEF)
    newer = architecture("x86")
    assert (unpack(newer, image), pack(newer, header)) == (header, image)
    assert pack(newer, header._replace(sequence=7)) == image


@given(st.binary(min_size=16, max_size=16))
def test_any_bytes_are_a_header_and_come_back(image: bytes) -> None:
    for arch in (X64, X86):
        size = arch.slist_header_size
        header = unpack(arch, image)
        assert pack(arch, header) == image[:size]
        assert header.first & arch.next_entry_lost_bits == 0
        assert header.reserved <= arch.next_entry_lost_bits
