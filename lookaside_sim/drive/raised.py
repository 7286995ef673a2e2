"""Exceptions, as NT raises them in compiled code."""

from __future__ import annotations

from typing import Final

ACCESS_VIOLATION: Final = 0xC000_0005
MISALIGNMENT: Final = 0x8000_0002
BREAKPOINT: Final = 0x8000_0003
DIVIDED_BY_ZERO: Final = 0xC000_0094
ILLEGAL_INSTRUCTION: Final = 0xC000_001D
PRIVILEGED_INSTRUCTION: Final = 0xC000_0096

_NAMES: Final = {
    ACCESS_VIOLATION: "STATUS_ACCESS_VIOLATION",
    MISALIGNMENT: "STATUS_DATATYPE_MISALIGNMENT",
    BREAKPOINT: "STATUS_BREAKPOINT",
    DIVIDED_BY_ZERO: "STATUS_INTEGER_DIVIDE_BY_ZERO",
    ILLEGAL_INSTRUCTION: "STATUS_ILLEGAL_INSTRUCTION",
    PRIVILEGED_INSTRUCTION: "STATUS_PRIVILEGED_INSTRUCTION",
}


def status_name(status: int) -> str:
    """A status as a reader wants it: by its name where it has one here, and its value."""
    value = int(status)
    name = _NAMES.get(value) or getattr(status, "name", "")
    return f"{name} ({value:#010x})" if name else f"the status {value:#010x}"


class StatusRaised(Exception):  # noqa: N818 - what compiled code raises, not an error of ours
    """A status is raised in compiled code, of whatever value.

    Args:
        status: the status.
        message: one sentence on why.
        ip: the instruction; 0 for an import's.
        information: what its EXCEPTION_RECORD says beside.
    """

    def __init__(
        self, status: int, message: str, ip: int = 0, information: tuple[int, ...] = ()
    ) -> None:
        super().__init__(status, message)
        self.information = information
        self.status = status
        self.message = message
        self.ip = ip

    def __str__(self) -> str:
        return f"{status_name(self.status)}: {self.message}"
