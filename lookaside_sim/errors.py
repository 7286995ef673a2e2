"""Every exception of the package.

::

    Exception
    ├── BugCheck              the machine stopped; .code, .parameters, .message
    ├── NtStatusError         a routine raised an NTSTATUS, as its contract says; .status
    └── LookasideSimError     wrong use of the front end or of a tool of this package
        ├── InitError         ExInitializeLookasideListEx refused; .status
        ├── AllocError        the front end got NULL
        ├── LayoutError       a layout the fixed-size list cannot serve
        ├── NotSupportedError grow, grow_zeroed, shrink
        ├── TraceError        a malformed trace; .file, .line, .field
        └── InvariantError    the walk over the kernel found a broken invariant

Exhaustion is no exception: NULL is ``None``. A wrong argument is a plain ``TypeError`` or
``ValueError`` and leaves everything as it was.
"""

from __future__ import annotations

from lookaside_sim.nt.bugchecks import BugCheckCode
from lookaside_sim.nt.types import NtStatus


class BugCheck(Exception):  # noqa: N818 - the name of the thing, not of an error
    """The machine stopped.

    Raised by the call that found the damage and by every later call on the same kernel.
    Derives from ``Exception`` so that property-based tools can shrink what led to it.

    Args:
        code: the stop code.
        parameters: its four parameters.
        message: one sentence on what happened, to what.
    """

    def __init__(
        self,
        code: BugCheckCode,
        parameters: tuple[int, int, int, int],
        message: str,
    ) -> None:
        super().__init__(code, parameters, message)
        self.code = code
        self.parameters = parameters
        self.message = message

    def __str__(self) -> str:
        values = ", ".join(f"{p:#x}" for p in self.parameters)
        return f"{self.code.name} ({self.code:#x}) ({values}): {self.message}"


class NtStatusError(Exception):
    """An NTSTATUS that a routine raises (RAISE_ON_FAIL, POOL_RAISE_IF_ALLOCATION_FAILURE).

    Not to be confused with a returned status, which is a plain `NtStatus` value.

    Args:
        status: the status raised.
        message: what could not be done.
    """

    def __init__(self, status: NtStatus, message: str = "") -> None:
        super().__init__(status, message)
        self.status = status
        self.message = message

    def __str__(self) -> str:
        text = f"{self.status.name} ({self.status:#010x})"
        return f"{text}: {self.message}" if self.message else text


class LookasideSimError(Exception):
    """Base of the errors that are this package's own, not NT's."""


class InitError(LookasideSimError):
    """`LookasideAllocator.init` failed; nothing was initialized.

    Args:
        status: the NTSTATUS of ExInitializeLookasideListEx, or STATUS_ALREADY_INITIALIZED,
            which is the front end's own.
        message: what was wrong.
    """

    def __init__(self, status: NtStatus, message: str) -> None:
        super().__init__(status, message)
        self.status = status
        self.message = message

    def __str__(self) -> str:
        return f"{self.message}: {self.status.name} ({self.status:#010x})"


class AllocError(LookasideSimError):
    """The list and the pool under it had no memory left."""


class LayoutError(LookasideSimError, ValueError):
    """A layout that is not the list's own; nothing was touched."""


class NotSupportedError(LookasideSimError):
    """A fixed-size list can neither grow nor shrink an allocation."""


class TraceError(LookasideSimError, ValueError):
    """A trace file that does not follow the format, or asks for something impossible.

    Args:
        file: name of the file, or of what the events came from.
        line: line number, from 1 (the header).
        field: name of the field at fault, or None where the whole line is.
        problem: the value found and what would be right.
    """

    def __init__(self, file: str, line: int, field: str | None, problem: str) -> None:
        super().__init__(file, line, field, problem)
        self.file = file
        self.line = line
        self.field = field
        self.problem = problem

    def __str__(self) -> str:
        where = f"{self.file}, line {self.line}"
        if self.field is not None:
            where += f", field {self.field!r}"
        return f"{where}: {self.problem}"


class InvariantError(LookasideSimError, AssertionError):
    """`Kernel.check` found the simulated state inconsistent."""
