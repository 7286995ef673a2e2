"""The documented routines on counted strings; import them from `lookaside_sim.ddi`.

A text that the C source has as a literal is given as a text: it becomes a constant in the running
driver's data.

Source:
    [doc] the page of each routine; UNICODE_STRING. [header] pooltag.txt for ``Strg``. Choice: ANSI is Latin-1, and
    upper case is Python's where it is one character.
"""

from __future__ import annotations

from typing import Final

from lookaside_sim.ddi.arguments import Boolean, Pointer, Size, Text, Ulong, Ushort, address_of
from lookaside_sim.ddi.known_structures import OBJECT_ATTRIBUTES, UNICODE_STRING
from lookaside_sim.ddi.routine import inlined, routine, routine_up_to
from lookaside_sim.ddi.variables import constant
from lookaside_sim.kernel import current_kernel
from lookaside_sim.nt.types import Irql, NtStatus, PoolTag, PoolType

__all__ = [
    "OBJ_CASE_INSENSITIVE",
    "OBJ_KERNEL_HANDLE",
    "InitializeObjectAttributes",
    "RtlAnsiStringToUnicodeString",
    "RtlAppendUnicodeStringToString",
    "RtlAppendUnicodeToString",
    "RtlCompareUnicodeString",
    "RtlCopyUnicodeString",
    "RtlDuplicateUnicodeString",
    "RtlEqualUnicodeString",
    "RtlFreeAnsiString",
    "RtlFreeUnicodeString",
    "RtlInitAnsiString",
    "RtlInitEmptyUnicodeString",
    "RtlInitUnicodeString",
    "RtlPrefixUnicodeString",
    "RtlUnicodeStringToAnsiString",
    "RtlUpcaseUnicodeString",
    "text_of",
]

OBJ_CASE_INSENSITIVE: Final = 0x40
OBJ_KERNEL_HANDLE: Final = 0x200
_STRING_TAG: Final = PoolTag(b"Strg")
"""What Rtl's own buffers are tagged with."""
_MOST_BYTES: Final = 0xFFFC
"""What RtlInitUnicodeString takes of a text at most, in bytes."""


def text_of(String: Pointer) -> str:
    """What a UNICODE_STRING says, for tests; the string is read as NT reads it."""
    return _characters(address_of("String", String)).decode("utf-16-le", "replace")


# --- initialization ------------------------------------------------------------------------


@routine
def RtlInitUnicodeString(DestinationString: Pointer, SourceString: Text) -> None:
    """Have a UNICODE_STRING describe a text that ends with a zero.

    Args:
        DestinationString: the string.
        SourceString: address of the text, or the text of a literal; NULL for an empty string
            without a buffer.
    """
    _init(DestinationString, SourceString, 2)


@routine
def RtlInitAnsiString(DestinationString: Pointer, SourceString: Text) -> None:
    """Have an ANSI_STRING describe a text that ends with a zero."""
    _init(DestinationString, SourceString, 1)


@inlined
def RtlInitEmptyUnicodeString(
    UnicodeString: Pointer, Buffer: Pointer, BufferSize: Ushort
) -> None:
    """Have a UNICODE_STRING be empty, with room in a buffer.

    Args:
        UnicodeString: the string.
        Buffer: its buffer.
        BufferSize: bytes of the buffer.
    """
    here = UNICODE_STRING(UnicodeString)
    here.Length, here.MaximumLength, here.Buffer = 0, BufferSize, Buffer


@inlined
def InitializeObjectAttributes(
    InitializedAttributes: Pointer,
    ObjectName: Pointer,
    Attributes: Ulong,
    RootDirectory: Size,
    SecurityDescriptor: Pointer,
) -> None:
    """Fill OBJECT_ATTRIBUTES in.

    Args:
        InitializedAttributes: the structure.
        ObjectName: UNICODE_STRING with the object's name, or 0 for NULL.
        Attributes: OBJ_KERNEL_HANDLE and other flags.
        RootDirectory: a handle, or 0.
        SecurityDescriptor: or 0.
    """
    here = OBJECT_ATTRIBUTES(InitializedAttributes)
    here.Length = OBJECT_ATTRIBUTES.size_on(current_kernel().arch)
    here.RootDirectory, here.ObjectName = RootDirectory, ObjectName
    here.Attributes, here.SecurityDescriptor = Attributes, SecurityDescriptor
    here.SecurityQualityOfService = 0


# --- copying and appending -----------------------------------------------------------------


@routine_up_to(Irql.DISPATCH_LEVEL)
def RtlCopyUnicodeString(DestinationString: Pointer, SourceString: Pointer) -> None:
    """Copy a string, as much of it as there is room for.

    Args:
        DestinationString: with a buffer of its own.
        SourceString: the string, or 0 for NULL, which is empty.
    """
    characters = _characters(SourceString) if SourceString else b""
    _, room, buffer = _read(DestinationString)
    characters = characters[: room & ~1]
    _write_characters(DestinationString, buffer, 0, characters, room)


@routine_up_to(Irql.DISPATCH_LEVEL)
def RtlAppendUnicodeStringToString(Destination: Pointer, Source: Pointer) -> NtStatus:
    """Append a string; STATUS_BUFFER_TOO_SMALL where there is no room, and nothing is done."""
    return _append(Destination, _characters(Source))


@routine_up_to(Irql.DISPATCH_LEVEL)
def RtlAppendUnicodeToString(Destination: Pointer, Source: Text) -> NtStatus:
    """Append a text that ends with a zero; as `RtlAppendUnicodeStringToString`."""
    if isinstance(Source, str):
        return _append(Destination, Source.encode("utf-16-le"))
    return _append(Destination, _until_zero(Source, 2) if Source else b"")


@routine_up_to(Irql.PASSIVE_LEVEL)
def RtlDuplicateUnicodeString(Flags: Ulong, StringIn: Pointer, StringOut: Pointer) -> NtStatus:
    """Copy a string into a buffer from paged pool.

    Args:
        Flags: 1 for a zero at the end, 2 also for an empty string.
        StringIn: the string.
        StringOut: the copy, which `RtlFreeUnicodeString` frees.

    Returns:
        STATUS_SUCCESS or STATUS_NO_MEMORY.
    """
    characters = _characters(StringIn)
    ends = bool(Flags & 1) and (bool(characters) or bool(Flags & 2))
    buffer = 0
    room = len(characters) + 2 * ends
    if room:
        buffer = _allocate(room)
        if not buffer:
            return NtStatus.STATUS_NO_MEMORY
        current_kernel().memory.write(buffer, characters + b"\0\0" * ends)
    _write(StringOut, len(characters), room, buffer)
    return NtStatus.STATUS_SUCCESS


@routine_up_to(Irql.PASSIVE_LEVEL)
def RtlUpcaseUnicodeString(
    DestinationString: Pointer, SourceString: Pointer, AllocateDestinationString: Boolean
) -> NtStatus:
    """Copy a string in upper case.

    Args:
        DestinationString: with a buffer of its own, or without.
        SourceString: the string.
        AllocateDestinationString: whether to allocate the buffer from paged pool.

    Returns:
        STATUS_SUCCESS, STATUS_NO_MEMORY or STATUS_BUFFER_OVERFLOW.
    """
    raised = _upper(_characters(SourceString))
    return _convert(DestinationString, raised, AllocateDestinationString, 0)


@routine_up_to(Irql.PASSIVE_LEVEL)
def RtlAnsiStringToUnicodeString(
    DestinationString: Pointer, SourceString: Pointer, AllocateDestinationString: Boolean
) -> NtStatus:
    """Make a UNICODE_STRING of an ANSI_STRING; see `RtlUpcaseUnicodeString`."""
    wide = _characters(SourceString).decode("latin-1").encode("utf-16-le")
    return _convert(DestinationString, wide, AllocateDestinationString, 2)


@routine_up_to(Irql.PASSIVE_LEVEL)
def RtlUnicodeStringToAnsiString(
    DestinationString: Pointer, SourceString: Pointer, AllocateDestinationString: Boolean
) -> NtStatus:
    """Make an ANSI_STRING of a UNICODE_STRING; see `RtlUpcaseUnicodeString`."""
    text = _characters(SourceString).decode("utf-16-le", "replace")
    narrow = text.encode("latin-1", "replace")
    return _convert(DestinationString, narrow, AllocateDestinationString, 1)


@routine_up_to(Irql.PASSIVE_LEVEL)
def RtlFreeUnicodeString(UnicodeString: Pointer) -> None:
    """Free the buffer that an Rtl routine allocated, and forget it."""
    _free(UnicodeString)


@routine_up_to(Irql.PASSIVE_LEVEL)
def RtlFreeAnsiString(AnsiString: Pointer) -> None:
    """Free the buffer that an Rtl routine allocated, and forget it."""
    _free(AnsiString)


# --- comparing -----------------------------------------------------------------------------


@routine_up_to(Irql.PASSIVE_LEVEL)
def RtlCompareUnicodeString(
    String1: Pointer, String2: Pointer, CaseInSensitive: Boolean
) -> int:
    """Compare two strings: below 0, 0, or above 0 as the first is less, equal, or greater."""
    one, other = _compared(String1, CaseInSensitive), _compared(String2, CaseInSensitive)
    for left, right in zip(one, other, strict=False):
        if left != right:
            return left - right
    return 2 * (len(one) - len(other))


@routine_up_to(Irql.PASSIVE_LEVEL)
def RtlEqualUnicodeString(String1: Pointer, String2: Pointer, CaseInSensitive: Boolean) -> bool:
    """Whether two strings are equal."""
    return _compared(String1, CaseInSensitive) == _compared(String2, CaseInSensitive)


@routine_up_to(Irql.PASSIVE_LEVEL)
def RtlPrefixUnicodeString(
    String1: Pointer, String2: Pointer, CaseInSensitive: Boolean
) -> bool:
    """Whether the second string begins with the first."""
    one, other = _compared(String1, CaseInSensitive), _compared(String2, CaseInSensitive)
    return other[: len(one)] == one


# --- strings in memory ---------------------------------------------------------------------


def _read(string: int) -> tuple[int, int, int]:
    """Length, MaximumLength and Buffer."""
    kernel = current_kernel()
    raw = kernel.memory.read(string, 4)
    buffer_at = string + UNICODE_STRING.offset_on(kernel.arch, "Buffer")
    length, room = int.from_bytes(raw[:2], "little"), int.from_bytes(raw[2:], "little")
    return length, room, kernel.memory.read_pointer(buffer_at)


def _write(string: int, length: int, room: int, buffer: int) -> None:
    kernel = current_kernel()
    kernel.memory.write(string, length.to_bytes(2, "little") + room.to_bytes(2, "little"))
    buffer_at = string + UNICODE_STRING.offset_on(kernel.arch, "Buffer")
    kernel.memory.write_pointer(buffer_at, buffer)


def _characters(string: int) -> bytes:
    length, _, buffer = _read(string)
    return current_kernel().memory.read(buffer, length) if length else b""


def _init(string: int, source: int | str, width: int) -> None:
    if isinstance(source, str):
        raw = source.encode("utf-16-le" if width == 2 else "latin-1")
        source = constant(raw + bytes(width))
    elif source:
        raw = _until_zero(source, width)
    else:
        raw = b""
    length = min(len(raw), _MOST_BYTES)
    _write(string, length, length + width if source else 0, source)


def _until_zero(address: int, width: int) -> bytes:
    memory, found = current_kernel().memory, bytearray()
    while any(character := memory.read(address + len(found), width)):
        found += character
    return bytes(found)


def _append(string: int, characters: bytes) -> NtStatus:
    length, room, buffer = _read(string)
    if length + len(characters) > room:
        return NtStatus.STATUS_BUFFER_TOO_SMALL
    _write_characters(string, buffer, length, characters, room)
    return NtStatus.STATUS_SUCCESS


def _write_characters(string: int, buffer: int, at: int, characters: bytes, room: int) -> None:
    """Write characters behind others, a zero behind them where there is room, and the length."""
    memory = current_kernel().memory
    end = at + len(characters)
    ended = characters + (b"\0\0" if end + 2 <= room else b"")
    if ended:
        memory.write(buffer + at, ended)
    memory.write(string, end.to_bytes(2, "little"))


def _allocate(size: int) -> int:
    """A buffer from paged pool."""
    return current_kernel().pool.allocate(PoolType.PagedPool, size, _STRING_TAG) or 0


def _free(string: int) -> None:
    _, _, buffer = _read(string)
    if buffer:
        current_kernel().pool.free(buffer)
        _write(string, 0, 0, 0)


def _convert(string: int, characters: bytes, allocates: int, end: int) -> NtStatus:
    """Have a string hold characters, and a zero of some bytes behind them."""
    room = len(characters) + end
    if allocates:
        buffer = _allocate(room)
        if not buffer:
            return NtStatus.STATUS_NO_MEMORY
        _write(string, len(characters), room, buffer)
    else:
        _, has, buffer = _read(string)
        if room > has:
            return NtStatus.STATUS_BUFFER_OVERFLOW
        current_kernel().memory.write(string, len(characters).to_bytes(2, "little"))
    if room:
        current_kernel().memory.write(buffer, characters + bytes(end))
    return NtStatus.STATUS_SUCCESS


def _compared(string: int, folds: int) -> tuple[int, ...]:
    """The characters that are compared."""
    raw = _characters(string)
    raw = _upper(raw) if folds else raw
    return tuple(int.from_bytes(raw[i : i + 2], "little") for i in range(0, len(raw), 2))


def _upper(raw: bytes) -> bytes:
    """Characters in upper case, each by itself."""
    text = raw.decode("utf-16-le", "surrogatepass")
    raised = (each.upper() if len(each.upper()) == 1 else each for each in text)
    return "".join(raised).encode("utf-16-le", "surrogatepass")
