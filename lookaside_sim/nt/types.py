"""Pool types, statuses, IRQLs and pool tags, spelled and valued as NT documents them."""

from __future__ import annotations

import operator
from enum import IntEnum, IntFlag
from typing import Final, TypeAlias

from lookaside_sim.nt.arguments import shown

ULONG_MASK: Final = 0xFFFF_FFFF
USHORT_MASK: Final = 0xFFFF

EX_LOOKASIDE_LIST_EX_FLAGS_RAISE_ON_FAIL: Final = 1
EX_LOOKASIDE_LIST_EX_FLAGS_FAIL_NO_RAISE: Final = 2
EX_MAXIMUM_LOOKASIDE_DEPTH_BASE: Final = 256
EX_MAXIMUM_LOOKASIDE_DEPTH_LIMIT: Final = 1024

PROTECTED_POOL: Final = 0x8000_0000
"""Top bit of a tag: such a block can only be freed with the tag it was allocated with."""


class PoolType(IntFlag):
    """POOL_TYPE and the modifier bits that may be OR-ed into it.

    Source:
        [doc] POOL_TYPE enumeration and ExAllocatePoolWithTag (wdm.h).
    """

    NonPagedPool = 0
    NonPagedPoolExecute = 0
    NonPagedPoolBase = 0
    PagedPool = 1
    NonPagedPoolMustSucceed = 2
    NonPagedPoolBaseMustSucceed = 2
    DontUseThisType = 3
    NonPagedPoolCacheAligned = 4
    NonPagedPoolBaseCacheAligned = 4
    PagedPoolCacheAligned = 5
    NonPagedPoolCacheAlignedMustS = 6
    NonPagedPoolBaseCacheAlignedMustS = 6
    MaxPoolType = 7
    POOL_QUOTA_FAIL_INSTEAD_OF_RAISE = 8
    POOL_RAISE_IF_ALLOCATION_FAILURE = 16
    NonPagedPoolSession = 32
    PagedPoolSession = 33
    NonPagedPoolMustSucceedSession = 34
    DontUseThisTypeSession = 35
    NonPagedPoolCacheAlignedSession = 36
    PagedPoolCacheAlignedSession = 37
    NonPagedPoolCacheAlignedMustSSession = 38
    POOL_COLD_ALLOCATION = 256
    NonPagedPoolNx = 512
    POOL_NX_ALLOCATION = 512
    NonPagedPoolNxCacheAligned = 516
    NonPagedPoolSessionNx = 544
    POOL_ZERO_ALLOCATION = 1024

    @property
    def is_paged(self) -> bool:
        """Whether blocks of this type may be paged out (bit 0)."""
        return bool(self.value & 1)


class NtStatus(IntEnum):
    """NTSTATUS values that this package returns or raises, or that drivers often do.

    Source:
        [doc] NTSTATUS values, and the Return value sections of the routines.
    """

    STATUS_SUCCESS = 0x0000_0000
    STATUS_WAIT_0 = 0x0000_0000
    STATUS_WAIT_1 = 0x0000_0001
    STATUS_USER_APC = 0x0000_00C0
    STATUS_ALERTED = 0x0000_0101
    STATUS_TIMEOUT = 0x0000_0102
    STATUS_PENDING = 0x0000_0103
    STATUS_REPARSE = 0x0000_0104
    STATUS_MORE_ENTRIES = 0x0000_0105
    STATUS_OBJECT_NAME_EXISTS = 0x4000_0000
    STATUS_DATATYPE_MISALIGNMENT = 0x8000_0002
    STATUS_BREAKPOINT = 0x8000_0003
    STATUS_BUFFER_OVERFLOW = 0x8000_0005
    STATUS_NO_MORE_FILES = 0x8000_0006
    STATUS_DEVICE_BUSY = 0x8000_0011
    STATUS_NO_MORE_ENTRIES = 0x8000_001A
    STATUS_UNSUCCESSFUL = 0xC000_0001
    STATUS_NOT_IMPLEMENTED = 0xC000_0002
    STATUS_INVALID_INFO_CLASS = 0xC000_0003
    STATUS_INFO_LENGTH_MISMATCH = 0xC000_0004
    STATUS_ACCESS_VIOLATION = 0xC000_0005
    STATUS_INVALID_HANDLE = 0xC000_0008
    STATUS_INVALID_PARAMETER = 0xC000_000D
    STATUS_NO_SUCH_DEVICE = 0xC000_000E
    STATUS_NO_SUCH_FILE = 0xC000_000F
    STATUS_INVALID_DEVICE_REQUEST = 0xC000_0010
    STATUS_END_OF_FILE = 0xC000_0011
    STATUS_MORE_PROCESSING_REQUIRED = 0xC000_0016
    STATUS_NO_MEMORY = 0xC000_0017
    STATUS_ACCESS_DENIED = 0xC000_0022
    STATUS_BUFFER_TOO_SMALL = 0xC000_0023
    STATUS_OBJECT_TYPE_MISMATCH = 0xC000_0024
    STATUS_INVALID_PARAMETER_MIX = 0xC000_0030
    STATUS_OBJECT_NAME_INVALID = 0xC000_0033
    STATUS_OBJECT_NAME_NOT_FOUND = 0xC000_0034
    STATUS_OBJECT_NAME_COLLISION = 0xC000_0035
    STATUS_OBJECT_PATH_NOT_FOUND = 0xC000_003A
    STATUS_DATA_ERROR = 0xC000_003E
    STATUS_SHARING_VIOLATION = 0xC000_0043
    STATUS_QUOTA_EXCEEDED = 0xC000_0044
    STATUS_MUTANT_NOT_OWNED = 0xC000_0046
    STATUS_SEMAPHORE_LIMIT_EXCEEDED = 0xC000_0047
    STATUS_DELETE_PENDING = 0xC000_0056
    STATUS_DISK_FULL = 0xC000_007F
    STATUS_INTEGER_DIVIDE_BY_ZERO = 0xC000_0094
    STATUS_INTEGER_OVERFLOW = 0xC000_0095
    STATUS_INSUFFICIENT_RESOURCES = 0xC000_009A
    STATUS_DEVICE_NOT_CONNECTED = 0xC000_009D
    STATUS_DEVICE_NOT_READY = 0xC000_00A3
    STATUS_NOT_SUPPORTED = 0xC000_00BB
    STATUS_INVALID_PARAMETER_1 = 0xC000_00EF
    STATUS_INVALID_PARAMETER_2 = 0xC000_00F0
    STATUS_INVALID_PARAMETER_3 = 0xC000_00F1
    STATUS_INVALID_PARAMETER_4 = 0xC000_00F2
    STATUS_INVALID_PARAMETER_5 = 0xC000_00F3
    STATUS_INVALID_PARAMETER_6 = 0xC000_00F4
    STATUS_INVALID_PARAMETER_7 = 0xC000_00F5
    STATUS_INVALID_PARAMETER_8 = 0xC000_00F6
    STATUS_NAME_TOO_LONG = 0xC000_0106
    STATUS_CANCELLED = 0xC000_0120
    STATUS_FILE_CLOSED = 0xC000_0128
    STATUS_PAGEFILE_QUOTA_EXCEEDED = 0xC000_012C
    STATUS_INVALID_DEVICE_STATE = 0xC000_0184
    STATUS_IO_DEVICE_ERROR = 0xC000_0185
    STATUS_INVALID_BUFFER_SIZE = 0xC000_0206
    STATUS_NOT_FOUND = 0xC000_0225
    STATUS_RETRY = 0xC000_022D
    STATUS_DRIVER_UNABLE_TO_LOAD = 0xC000_026C
    STATUS_ASSERTION_FAILURE = 0xC000_0420
    STATUS_ALREADY_INITIALIZED = 0xC000_0510

    @classmethod
    def _missing_(cls, value: object) -> NtStatus | None:
        """A status that has no name here, as a driver may raise any."""
        if not isinstance(value, int) or not 0 <= value < 1 << 32:
            return None
        status = int.__new__(cls, value)
        status._name_ = f"STATUS_{value:08X}"
        status._value_ = value
        return status

    @property
    def is_success(self) -> bool:
        """NT_SUCCESS: the sign bit of the status is clear."""
        return self.value < 0x8000_0000


class Irql(IntEnum):
    """Interrupt request levels that have a name on x64.

    Source:
        [header] wdm.h. Device levels 3 to 12 have no name of their own.
    """

    PASSIVE_LEVEL = 0
    APC_LEVEL = 1
    DISPATCH_LEVEL = 2
    CLOCK_LEVEL = 13
    IPI_LEVEL = 14
    HIGH_LEVEL = 15


class X86Irql(IntEnum):
    """Interrupt request levels that have a name on x86, above DISPATCH_LEVEL.

    Source:
        [header] wdm.h. Device levels 3 to 26 have no name of their own.
    """

    PROFILE_LEVEL = 27
    CLOCK_LEVEL = 28
    IPI_LEVEL = 29
    POWER_LEVEL = 30
    HIGH_LEVEL = 31


class PoolTag(int):
    """A pool tag: the ULONG that NT stores, with its four characters in memory order.

    A C literal is packed with its last character in the lowest byte, so ``'LLst'`` lies
    in memory, and is shown by every tool, as ``tsLL``.

    Args:
        value: a PoolTag, an int of 32 bits (the C value), 4 bytes in memory order, or 1 to 4
            printable characters in memory order (shorter text is padded with blanks, as the
            debugger shows it).

    Raises:
        TypeError: the value is of another type.
        ValueError: the int does not fit 32 bits, the bytes are not 4, or the text is not 1 to 4
            characters of 0x20 to 0x7E.

    Source:
        [doc] ExAllocatePoolWithTag, Tag parameter; docs/sources.md, pool section 2.
    """

    __slots__ = ()

    def __new__(cls, value: TagLike) -> PoolTag:  # noqa: D102 - the class says it
        if type(value) is int or (isinstance(value, int) and not isinstance(value, bool)):
            if not 0 <= value <= ULONG_MASK:
                raise ValueError(f"pool tag {value:#x} does not fit in 32 bits: give a ULONG")
            return super().__new__(cls, value)
        if isinstance(value, bytes):
            if len(value) != 4:
                raise ValueError(
                    f"pool tag {shown(value)} has {len(value)} bytes: give 4, in memory order"
                )
            return super().__new__(cls, int.from_bytes(value, "little"))
        if isinstance(value, str):
            return super().__new__(cls, int.from_bytes(_tag_text(value).ljust(4), "little"))
        if not isinstance(value, bool):
            try:
                return cls(operator.index(value))
            except TypeError:
                pass
        raise TypeError(f"pool tag {shown(value)}: give a PoolTag, an int, 4 bytes or a text")

    @classmethod
    def from_literal(cls, literal: str) -> PoolTag:
        """Build a tag from the characters between the quotes of a C literal.

        Args:
            literal: 1 to 4 printable characters, as C source writes them: ``"LLst"``.

        Returns:
            The tag whose ULONG the compiler would produce; a shorter literal leaves the
            high bytes zero.

        Raises:
            ValueError: not 1 to 4 characters of 0x20 to 0x7E.
        """
        return cls(int.from_bytes(_tag_text(literal), "big"))

    def __bytes__(self) -> bytes:
        """Its four characters in memory order, protected or not."""
        return self.to_bytes(4, "little")

    @property
    def is_protected(self) -> bool:
        """Whether the PROTECTED_POOL bit is set."""
        return bool(self & PROTECTED_POOL)

    @property
    def unprotected(self) -> PoolTag:
        """The tag without PROTECTED_POOL, as it is accounted and shown."""
        return PoolTag(int(self) & ~PROTECTED_POOL)

    def __str__(self) -> str:
        """The four characters in memory order, PROTECTED_POOL masked off, others as dots."""
        raw = (int(self) & ~PROTECTED_POOL).to_bytes(4, "little")
        return "".join(chr(c) if 0x20 <= c <= 0x7E else "." for c in raw)

    def __repr__(self) -> str:
        return f"PoolTag({int(self).to_bytes(4, 'little')!r})"

    def __format__(self, spec: str) -> str:
        # Text formats show the characters; number formats (x, d, ...) the ULONG.
        if not spec or spec[-1] == "s":
            return format(str(self), spec)
        return format(int(self), spec)


TagLike: TypeAlias = PoolTag | int | bytes | str


def _tag_text(text: str) -> bytes:
    if not 1 <= len(text) <= 4 or not all(" " <= c <= "~" for c in text):
        raise ValueError(f"pool tag {shown(text)}: give 1 to 4 characters of 0x20 to 0x7E")
    return text.encode("ascii")


NONE_TAG: Final = PoolTag(b"None")
"""What ExAllocatePool, which takes no tag, allocates with."""
