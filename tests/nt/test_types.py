"""Pool types, tags, statuses and IRQLs by their documented names and values."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from lookaside_sim import Irql, NtStatus, PoolTag, PoolType
from lookaside_sim.nt.types import NONE_TAG, PROTECTED_POOL

texts = st.text(st.characters(min_codepoint=0x20, max_codepoint=0x7E), min_size=1, max_size=4)


class TestPoolTag:
    def test_its_bytes_are_its_characters(self) -> None:
        # Those of a plain int would be as many zeros as its value.
        assert bytes(PoolTag(b"tsLL")) == b"tsLL"
        assert bytes(PoolTag(0x8000_0041)) == b"A\0\0\x80"

    def test_bytes_are_in_memory_order(self) -> None:
        assert PoolTag(b"tsLL") == 0x4C4C7374

    def test_a_c_literal_is_packed_with_its_last_character_lowest(self) -> None:
        assert PoolTag.from_literal("derF") == 0x64657246
        assert PoolTag.from_literal("LLst") == PoolTag(b"tsLL")

    def test_a_short_c_literal_leaves_the_high_bytes_zero(self) -> None:
        assert PoolTag.from_literal("AB") == 0x4142
        assert bytes(PoolTag.from_literal("A").to_bytes(4, "little")) == b"A\0\0\0"

    def test_text_is_in_memory_order_and_padded_with_blanks(self) -> None:
        assert PoolTag("Fred") == PoolTag(b"Fred")
        assert PoolTag("Io") == PoolTag(b"Io  ")

    def test_an_int_is_the_ulong_itself(self) -> None:
        assert PoolTag(0x64657246) == PoolTag(b"Fred")
        assert PoolTag(0) == 0
        assert PoolTag(0xFFFFFFFF) == 0xFFFFFFFF

    def test_a_pool_tag_is_taken_as_it_is(self) -> None:
        assert PoolTag(PoolTag(b"Fred")) == PoolTag(b"Fred")

    @pytest.mark.parametrize("value", [-1, 1 << 32])
    def test_an_int_of_more_than_32_bits_is_refused(self, value: int) -> None:
        with pytest.raises(ValueError, match="does not fit in 32 bits"):
            PoolTag(value)

    @pytest.mark.parametrize("value", [b"", b"abc", b"abcde"])
    def test_bytes_must_be_four(self, value: bytes) -> None:
        with pytest.raises(ValueError, match=f"has {len(value)} bytes"):
            PoolTag(value)

    @pytest.mark.parametrize("value", ["", "abcde", "a\n", "\x7f", "\x1f", "\xe9"])
    def test_text_must_be_one_to_four_printable_characters(self, value: str) -> None:
        with pytest.raises(ValueError, match="1 to 4 characters"):
            PoolTag(value)
        with pytest.raises(ValueError, match="1 to 4 characters"):
            PoolTag.from_literal(value)

    @pytest.mark.parametrize("value", [None, 1.0, True, False, bytearray(b"abcd"), ["a"]])
    def test_another_type_is_refused(self, value: object) -> None:
        with pytest.raises(TypeError, match="give a PoolTag, an int, 4 bytes or a text"):
            PoolTag(value)  # type: ignore[arg-type]

    def test_str_shows_memory_order_and_dots_for_what_cannot_be_printed(self) -> None:
        assert str(PoolTag(b"tsLL")) == "tsLL"
        assert str(PoolTag(b"a\0\x7f~")) == "a..~"

    def test_str_masks_the_protected_bit(self) -> None:
        # The documented example: raw 0xEE657645 prints "Even (Protected)".
        tag = PoolTag(0xEE657645)
        assert tag.is_protected
        assert str(tag) == "Even"
        assert tag.unprotected == PoolTag(b"Even")
        assert not tag.unprotected.is_protected

    def test_unprotected_leaves_a_plain_tag_alone(self) -> None:
        assert PoolTag(b"Even").unprotected == PoolTag(b"Even")
        assert PoolTag(PoolTag(b"Even") | PROTECTED_POOL) == 0xEE657645

    def test_repr_evaluates_to_the_tag(self) -> None:
        assert repr(PoolTag(b"tsLL")) == "PoolTag(b'tsLL')"

    def test_format_shows_text_by_default_and_the_ulong_for_number_formats(self) -> None:
        tag = PoolTag(b"Fred")
        assert f"{tag}" == "Fred"
        assert f"{tag:>6s}" == "  Fred"
        assert f"{tag:#010x}" == "0x64657246"
        assert f"{tag:d}" == str(0x64657246)

    def test_the_tag_of_untagged_allocations(self) -> None:
        assert str(NONE_TAG) == "None"

    @given(st.integers(0, 0xFFFFFFFF))
    def test_int_and_bytes_forms_agree(self, value: int) -> None:
        assert PoolTag(value.to_bytes(4, "little")) == PoolTag(value) == value

    @given(texts)
    def test_text_round_trips_through_str(self, text: str) -> None:
        assert str(PoolTag(text)) == text.ljust(4)

    @given(texts.filter(lambda text: len(text) == 4))
    def test_a_literal_is_its_memory_order_reversed(self, text: str) -> None:
        assert PoolTag.from_literal(text) == PoolTag(text[::-1])


class TestPoolType:
    @pytest.mark.parametrize(
        ("name", "value"),
        [
            ("NonPagedPool", 0),
            ("NonPagedPoolExecute", 0),
            ("NonPagedPoolBase", 0),
            ("PagedPool", 1),
            ("NonPagedPoolMustSucceed", 2),
            ("NonPagedPoolBaseMustSucceed", 2),
            ("DontUseThisType", 3),
            ("NonPagedPoolCacheAligned", 4),
            ("NonPagedPoolBaseCacheAligned", 4),
            ("PagedPoolCacheAligned", 5),
            ("NonPagedPoolCacheAlignedMustS", 6),
            ("NonPagedPoolBaseCacheAlignedMustS", 6),
            ("MaxPoolType", 7),
            ("POOL_QUOTA_FAIL_INSTEAD_OF_RAISE", 8),
            ("POOL_RAISE_IF_ALLOCATION_FAILURE", 0x10),
            ("NonPagedPoolSession", 32),
            ("PagedPoolSession", 33),
            ("NonPagedPoolMustSucceedSession", 34),
            ("DontUseThisTypeSession", 35),
            ("NonPagedPoolCacheAlignedSession", 36),
            ("PagedPoolCacheAlignedSession", 37),
            ("NonPagedPoolCacheAlignedMustSSession", 38),
            ("POOL_COLD_ALLOCATION", 0x100),
            ("NonPagedPoolNx", 512),
            ("POOL_NX_ALLOCATION", 0x200),
            ("NonPagedPoolNxCacheAligned", 516),
            ("NonPagedPoolSessionNx", 544),
            ("POOL_ZERO_ALLOCATION", 0x400),
        ],
    )
    def test_documented_values(self, name: str, value: int) -> None:
        assert PoolType[name] == value

    def test_bit_0_makes_a_type_paged(self) -> None:
        assert PoolType.PagedPool.is_paged
        assert PoolType.PagedPoolCacheAlignedSession.is_paged
        assert (PoolType.PagedPool | PoolType.POOL_ZERO_ALLOCATION).is_paged
        assert not PoolType.NonPagedPool.is_paged
        assert not PoolType.NonPagedPoolNx.is_paged


class TestNtStatus:
    @pytest.mark.parametrize(
        ("status", "value"),
        [
            (NtStatus.STATUS_SUCCESS, 0),
            (NtStatus.STATUS_INVALID_PARAMETER, 0xC000000D),
            (NtStatus.STATUS_QUOTA_EXCEEDED, 0xC0000044),
            (NtStatus.STATUS_INSUFFICIENT_RESOURCES, 0xC000009A),
            (NtStatus.STATUS_INVALID_PARAMETER_4, 0xC00000F2),
            (NtStatus.STATUS_INVALID_PARAMETER_5, 0xC00000F3),
            (NtStatus.STATUS_INVALID_PARAMETER_8, 0xC00000F6),
            (NtStatus.STATUS_PAGEFILE_QUOTA_EXCEEDED, 0xC000012C),
        ],
    )
    def test_documented_values(self, status: NtStatus, value: int) -> None:
        assert status == value

    def test_successes_are_below_the_warnings(self) -> None:
        successes = [status for status in NtStatus if status.is_success]
        assert NtStatus.STATUS_SUCCESS in successes
        assert NtStatus.STATUS_PENDING in successes
        assert all(status < 0x8000_0000 for status in successes)
        assert all(status >= 0x8000_0000 for status in set(NtStatus) - set(successes))


class TestIrql:
    def test_documented_levels(self) -> None:
        assert {level.name: level.value for level in Irql} == {
            "PASSIVE_LEVEL": 0,
            "APC_LEVEL": 1,
            "DISPATCH_LEVEL": 2,
            "CLOCK_LEVEL": 13,
            "IPI_LEVEL": 14,
            "HIGH_LEVEL": 15,
        }
