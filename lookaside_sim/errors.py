"""Every exception of the package.

::

    Exception
    ├── BugCheck              the machine stopped; .code, .parameters, .message
    ├── SanitizerError        the sanitizer reports a misused list; .kind, .address, .history
    ├── NtStatusError         a routine raised an NTSTATUS, as its contract says; .status
    └── LookasideSimError     wrong use of the front end or of a tool of this package
        ├── InitError         ExInitializeLookasideListEx refused; .status
        ├── AllocError        the front end got NULL
        ├── LayoutError       a layout the fixed-size list cannot serve
        ├── NotSupportedError grow, grow_zeroed, shrink
        ├── TraceError        a malformed trace; .file, .line, .field
        │   └── TraceEndError its file ends in the middle
        ├── RunError          a run that is none, or does not go again; .file, .position, .reason
        └── InvariantError    the walk over the kernel found a broken invariant

Exhaustion is no exception: NULL is ``None``. A wrong argument is a plain ``TypeError`` or
``ValueError`` and leaves everything as it was.

Each can be pickled, as test runners do that work in several processes: it keeps its text and
fields, and names the lists and blocks it is about by their addresses (`NamedList`,
`NamedBlock`), since they are parts of a machine that stays where it is.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, Literal, Protocol, TypeAlias

import attrs

from lookaside_sim.nt.arguments import shown
from lookaside_sim.nt.bugchecks import BugCheckCode
from lookaside_sim.nt.types import NtStatus, PoolTag

SanitizerKind: TypeAlias = Literal[
    "double-free",
    "wrong-list",
    "foreign-entry",
    "use-after-free",
    "entry-leaked",
    "deleted-list",
    "irql",
    "freed-entry",
    "freed-list",
    "initialized-twice",
    "paged-list",
]
"""What the sanitizer tells apart."""


class CodeSite(Protocol):
    """A place in a program's code, as the error that carries it sees it."""

    @property
    def file(self) -> str:
        """Name of the source file."""

    @property
    def line(self) -> int:
        """Line number."""

    @property
    def function(self) -> str:
        """Name of the function."""

    @property
    def address(self) -> int:
        """Where the code lies."""


class LeakedBlock(Protocol):
    """A block that a stop is about, as the error that carries it sees it."""

    @property
    def address(self) -> int:
        """Of its body."""

    @property
    def size(self) -> int:
        """Bytes asked for."""

    @property
    def tag(self) -> PoolTag:
        """Its tag."""

    @property
    def call_site(self) -> object:
        """Where in the program it was allocated."""


class MisusedList(Protocol):
    """A list that a report is about, as the error that carries it sees it."""

    @property
    def name(self) -> str:
        """Symbol at its address."""

    @property
    def address(self) -> int:
        """Where it lies."""


@attrs.frozen
class NamedList:
    """What is left of a list outside of its machine.

    Attributes:
        name: symbol at its address.
        address: where it lies.
    """

    name: str
    address: int

    @classmethod
    def of(cls, lookaside: MisusedList) -> NamedList:
        """Name a list."""
        return cls(lookaside.name, lookaside.address)


@attrs.frozen
class NamedBlock:
    """What is left of a block outside of its machine.

    Attributes:
        address: of its body.
        size: bytes asked for.
        tag: its tag.
        call_site: where in the program it was allocated.
    """

    address: int
    size: int
    tag: PoolTag
    call_site: object

    def __str__(self) -> str:
        return (
            f"the {self.size}-byte block {self.tag!s} at {self.address:#x}, allocated in"
            f" {self.call_site}"
        )

    @classmethod
    def of(cls, block: LeakedBlock) -> NamedBlock:
        """Name a block."""
        return cls(block.address, block.size, block.tag, block.call_site)


def made_again(
    kind: type[BaseException], args: tuple[Any, ...], fields: Mapping[str, Any]
) -> Any:
    """Make an exception from what it carries, whatever its class takes.

    Args:
        kind: its class.
        args: what it has as ``args``.
        fields: its attributes.
    """
    error = kind.__new__(kind, *args)
    vars(error).update(fields)
    return error


class BugCheck(Exception):  # noqa: N818 - the name of the thing, not of an error
    """The machine stopped.

    Raised by the call that found the damage and by every later call on the same kernel.
    Derives from ``Exception`` so that property-based tools can shrink what led to it.

    Args:
        code: the stop code.
        parameters: its four parameters.
        message: one sentence on what happened, to what.
        leaks: the blocks a driver left behind when it was unloaded; empty for other stops.

    Attributes:
        stack: where in compiled code it happened, innermost first; the address of the first is
            that of the instruction. Empty where no compiled code ran.
    """

    stack: tuple[CodeSite, ...]

    def __init__(
        self,
        code: BugCheckCode,
        parameters: tuple[int, int, int, int],
        message: str,
        leaks: Sequence[LeakedBlock] = (),
    ) -> None:
        super().__init__(code, parameters, message)
        self.code = code
        self.parameters = parameters
        self.message = message
        self.leaks = tuple(leaks)
        self.stack = ()

    @property
    def site(self) -> CodeSite | None:
        """The line of compiled code that stopped the machine; None where none ran."""
        return self.stack[0] if self.stack else None

    def __reduce__(self) -> tuple[Any, ...]:
        leaks = tuple(map(NamedBlock.of, self.leaks))
        return made_again, (type(self), self.args, {**vars(self), "leaks": leaks})

    def __str__(self) -> str:
        values = ", ".join(f"{p:#x}" for p in self.parameters)
        text = f"{self.code.name} ({self.code:#x}) ({values}): {self.message}"
        if len(self.leaks) < 2:
            return text  # the message names the one
        return "\n    ".join((text, *map(str, self.leaks)))


class SanitizerError(Exception):
    """The sanitizer found a lookaside list misused; the call did nothing.

    Not a bug check: the machine still runs, and a test can go on.

    Args:
        kind: which misuse.
        address: the entry, or the address written to.
        lookaside: the list it is about.
        message: one sentence on what happened.
        history: what is known of the entry, oldest first, a sentence each.
    """

    def __init__(
        self,
        kind: SanitizerKind,
        address: int,
        lookaside: MisusedList,
        message: str,
        history: Sequence[str] = (),
    ) -> None:
        super().__init__(kind, address, message)
        self.kind = kind
        self.address = address
        self.lookaside = lookaside
        self.message = message
        self.history = tuple(history)

    def __reduce__(self) -> tuple[Any, ...]:
        named = NamedList.of(self.lookaside)
        return made_again, (type(self), self.args, {**vars(self), "lookaside": named})

    def __str__(self) -> str:
        return "\n    ".join((f"{self.kind}: {self.message}", *self.history))


class NtStatusError(Exception):
    """An NTSTATUS that is raised, and that the driver's code can catch.

    A routine raises it where its contract says so (RAISE_ON_FAIL, POOL_RAISE_IF_ALLOCATION_FAILURE);
    a touch of what is not mapped in the user half of the address space raises
    STATUS_ACCESS_VIOLATION. Not to be confused with a returned status, which is a plain `NtStatus`.

    Args:
        status: the status raised.
        message: what could not be done.
        information: the parameters of the exception; of an access violation 0 for a read, 1 for a
            write or 8 for a jump, and the address.
        code_address: where in the code it was raised; 0 where that was not asked.
    """

    def __init__(
        self,
        status: NtStatus,
        message: str = "",
        information: tuple[int, ...] = (),
        code_address: int = 0,
    ) -> None:
        super().__init__(status, message, information, code_address)
        self.status = status
        self.message = message
        self.information = information
        self.code_address = code_address

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


class ImageError(LookasideSimError, ValueError):
    """A file that is no driver this machine can load; nothing was loaded.

    Args:
        file: its name.
        problem: what is wrong with it.
    """

    def __init__(self, file: str, problem: str) -> None:
        super().__init__(file, problem)
        self.file = file
        self.problem = problem

    def __str__(self) -> str:
        return f"{self.file}: {self.problem}"


class CompiledCodeError(LookasideSimError):
    """Compiled code did what there is no way on from: the machine has not stopped, the call has.

    It called an import that nobody provides, or did not return in time.
    """


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
            where += f", field {shown(self.field)}"
        return f"{where}: {self.problem}"


class TraceEndError(TraceError):
    """A trace file that is valid until it ends in the middle: whoever wrote it was cut short."""


class RunError(LookasideSimError, ValueError):
    """A run that cannot be loaded, saved or played again.

    Args:
        file: name of the file, or of the run.
        position: where: a byte of the file, or a step of the run; None for all of it.
        reason: what is wrong there, and what would be right.
    """

    def __init__(self, file: str, position: int | None, reason: str) -> None:
        super().__init__(file, position, reason)
        self.file = file
        self.position = position
        self.reason = reason

    def __str__(self) -> str:
        where = self.file if self.position is None else f"{self.file}, position {self.position}"
        return f"{where}: {self.reason}"


class InvariantError(LookasideSimError, AssertionError):
    """`Kernel.check` found the simulated state inconsistent."""
