"""Imports: what the name in an image's import table leads to.

In this order: what another loaded image of that file name exports; a function that the test adds
(`CompiledDriver.export`); what this folder's modules export; what `lookaside_sim.ddi` has under the name
and the table of signatures describes. Any other import stops at its call.
"""

from __future__ import annotations

import inspect
from collections.abc import Callable
from typing import Any, ClassVar, Final

from lookaside_sim import ddi
from lookaside_sim.drive import exports_all
from lookaside_sim.drive.environment import Environment
from lookaside_sim.drive.pe_tables import Import
from lookaside_sim.drive.registry import DATA, EXPORTS, Handler
from lookaside_sim.drive.seh import HANDLER
from lookaside_sim.drive.signatures import Signature, signatures
from lookaside_sim.errors import CompiledCodeError
from lookaside_sim.memory.touch import EXECUTE
from lookaside_sim.nt.arguments import check_callable, shown, text
from lookaside_sim.nt.types import PoolTag, PoolType

__all__ = ["Imports", "exports_all"]

_NATIVE: Final = {
    "x64": {
        "ExpInterlockedPopEntrySList": "pop",
        "ExpInterlockedPushEntrySList": "push",
        "ExpInterlockedFlushSList": "flush",
        "ExQueryDepthSList": "depth",
        "ExAllocateFromLookasideListEx": "allocate",
        "ExFreeToLookasideListEx": "free",
    },
    "x86": {
        "InterlockedPopEntrySList": "pop",
        "InterlockedPushEntrySList": "push",
        "ExInterlockedPopEntrySList": "pop",
        "ExInterlockedPushEntrySList": "push_with_lock",
        "ExInterlockedFlushSList": "flush",
        "ExAllocateFromLookasideListEx": "allocate",
        "ExFreeToLookasideListEx": "free",
    },
}
"""The exports that are machine code while nobody listens."""

_POSITIONAL: Final = {
    inspect.Parameter.POSITIONAL_ONLY,
    inspect.Parameter.POSITIONAL_OR_KEYWORD,
}
_SEQUENCE_STEP: Final = 0x1_0000


class _Argument:
    """How one argument is read."""

    __slots__ = ("bits", "is_signed", "mask", "slot")

    def __init__(self, slot: int, bits: int, is_signed: bool) -> None:
        self.slot = slot
        self.bits = bits
        self.mask = (1 << bits) - 1
        self.is_signed = is_signed


class Target:
    """What an import does when it is called.

    Args:
        imports: of the machine.
        name: of the import.
        library: whose it is.
    """

    LEFT_OUT: ClassVar = {"_handler": None}  # which may hold on to the machine

    def __init__(self, imports: Imports, name: str, library: str) -> None:
        self._imports = imports
        self.name = name
        self.library = library
        self._handler: Handler | None = None
        self._arguments: list[_Argument] = []
        self._is_fastcall = False
        self._taken: int | None = None

    def forget(self) -> None:
        """Find out again what it does."""
        self._handler = None

    def __call__(self) -> int | None:
        """Call it, with the arguments that compiled code gave."""
        handler = self._handler or self._find()
        argument, fast = self._imports.environment.processor.argument, self._is_fastcall
        given = []
        for each in self._arguments:
            value = argument(each.slot, fastcall=fast)
            if each.bits == 64 and self._imports.is_narrow:
                value |= argument(each.slot + 1, fastcall=fast) << 32
            value &= each.mask
            if each.is_signed and value >> each.bits - 1:
                value -= 1 << each.bits
            given.append(value)
        result = handler(*given)
        if self._taken is not None:
            self._imports.environment.processor.take_arguments(self._taken)
        return None if result is None else int(result)

    def _find(self) -> Handler:
        imports, signature = self._imports, signatures().get(self.name)
        handler: Handler | None = imports.added.get(self.name)
        if handler is None and signature is not None:
            handler = imports.known(self.name)
        elif handler is not None and signature is None:
            signature = _signature_of(self.name, handler)
            self._taken = signature.taken
        if handler is None or signature is None:
            return imports.missing_called(self)
        slot = 0
        self._arguments = []
        for bits, is_signed in zip(signature.bits, signature.signed, strict=True):
            width = bits or 8 * imports.environment.pointer_size
            self._arguments.append(_Argument(slot, width, is_signed))
            slot += 2 if bits == 64 and imports.is_narrow else 1
        self._is_fastcall = signature.is_fastcall
        self._handler = handler
        return handler


def _signature_of(name: str, function: Callable[..., Any]) -> Signature:
    """Take each parameter of a function for a pointer's width."""
    count = len(inspect.signature(function).parameters)
    return Signature(name, (0,) * count, (False,) * count, False, False, False)


def _check_parameters(name: str, function: Callable[..., Any]) -> None:
    """Refuse a function that cannot be called with what compiled code gives.

    Raises:
        TypeError: it takes more or fewer arguments, or nobody knows how many.
    """
    known = signatures().get(name)
    try:
        signature = inspect.signature(function)
        if known is not None:
            signature.bind(*known.bits)
    except ValueError:
        raise TypeError(f"function {shown(function)}: give one written in Python") from None
    except TypeError:
        assert known is not None, "only a call that is known was tried"
        raise TypeError(
            f"function {shown(function)}: give one that takes the {len(known.bits)} of {name}'s"
            " arguments"
        ) from None
    kinds = {each.kind for each in signature.parameters.values()}
    if known is None and not kinds <= _POSITIONAL:
        raise TypeError(
            f"function {shown(function)}: give one with a parameter for each argument of {name},"
            " whose number nobody else knows"
        )


class Imports:
    """The imports of one machine.

    Args:
        environment: what exports work on.

    Attributes:
        environment: as given.
        added: the functions that a test added, by name.
        zero: whether an import that nobody provides returns 0.
        called: how often each import was called that nobody provides.
        is_narrow: whether a pointer has 4 bytes.
    """

    def __init__(self, environment: Environment) -> None:
        self.environment = environment
        self.added: dict[str, Handler] = {}
        self.zero = False
        self.called: dict[str, int] = {}
        arch = environment.kernel.arch
        self.is_narrow = arch.pointer_size == 4
        self._native = _NATIVE[arch.name]
        self._step = _SEQUENCE_STEP if arch.slist_has_sequence else 0
        self._addresses: dict[str, int] = {}
        self._targets: list[Target] = []
        environment.processor.on_routine(self._routine_called)
        environment.export_address = self.address_of_known
        routines = environment.kernel.routines
        self._addresses["ExAllocatePoolWithTag"] = routines.default_allocate
        self._addresses["ExFreePool"] = routines.default_free

    # --- where ---------------------------------------------------------------------------------

    def bind(self, wanted: Import) -> int:
        """The address of what an image imports."""
        processor = self.environment.processor
        found = processor.images.exported(wanted.library, wanted.name)
        return found if found is not None else self.address_of(wanted.name, wanted.library)

    def has(self, name: str) -> bool:
        """Whether anybody provides an export."""
        return name in DATA or name in self.added or self.known(name) is not None

    def address_of(self, name: str, library: str = "ntoskrnl.exe") -> int:
        """The address of an export: of its stub, or of a variable."""
        address = self._addresses.get(name)
        if address is None:
            address = self._addresses[name] = self._place(name, library)
        return address

    def _place(self, name: str, library: str) -> int:
        environment = self.environment
        processor, stubs = environment.processor, environment.processor.stubs
        if name in DATA:
            size, value = DATA[name]
            address = processor.system.place(max(size, 16))
            processor.system.put(address, value(environment))
            return address
        target = Target(self, name, library)
        self._targets.append(target)
        number = processor.add_target(target)
        if name in self._native:
            return stubs.of_native(self._native[name], number, self._step)
        signature = signatures().get(name)
        address = stubs.of_import(number, None if signature is None else signature.taken)
        if name == HANDLER:
            processor.exceptions.handlers.add(address)
        return address

    # --- what ----------------------------------------------------------------------------------

    def add(self, name: str, function: Callable[..., Any]) -> None:
        """Let a function be an export; see `CompiledDriver.export`."""
        text("name", name)
        check_callable("function", function)
        _check_parameters(name, function)
        self.added[name] = function
        for each in self._targets:
            if each.name == name:
                each.forget()

    def known(self, name: str) -> Handler | None:
        """What an export of the kernel's does."""
        handler = EXPORTS.get(name)
        if handler is not None:
            environment = self.environment
            known: Handler = handler
            return lambda *arguments: known(environment, *arguments)
        if name in signatures():
            found = getattr(ddi, name, None)
            if callable(found):
                return _with_booleans(found)
        return None

    def address_of_known(self, name: str) -> int:
        """The address of an export, 0 where nobody provides it."""
        return self.address_of(name) if self.has(name) else 0

    def missing_called(self, target: Target) -> Handler:
        """What an import does that nobody provides.

        Raises:
            CompiledCodeError: it is not to return 0.
        """
        name = target.name
        self.called[name] = self.called.get(name, 0) + 1
        site = self.environment.kernel.machine.program.call_site()
        if not self.zero:
            raise CompiledCodeError(
                f"{name} of {target.library} was called in {site}, and nobody provides it:"
                f" add it with @driver.export({name!r}), or have such imports return 0"
            )
        if self.is_narrow:
            self.environment.processor.take_arguments(0)
        return _zero

    # --- routines that lists point at --------------------------------------------------------------

    def _routine_called(self, address: int) -> int | None:
        """Compiled code calls what a list's field holds, and it is Python."""
        environment = self.environment
        processor, routines = environment.processor, environment.kernel.routines
        argument = processor.argument
        if address in routines.default_allocates:
            processor.take_arguments(12 if address == routines.default_allocate else 16)
            if environment.watch.refuses():
                return 0
            kind, size, tag = argument(0) & 0xFFFF_FFFF, argument(1), argument(2) & 0xFFFF_FFFF
            return ddi.ExAllocatePoolWithTag(kind, size, tag)
        if address in routines.default_frees:
            processor.take_arguments(4 if address == routines.default_free else 8)
            if not environment.watch.free_to_full(address, argument(0)):
                ddi.ExFreePool(argument(0))
            return None
        role = routines.role_of(address)
        if role is None:
            environment.kernel.touch_fault(address, EXECUTE)
        if role == "free":
            processor.take_arguments(8)
            if not environment.watch.free_to_full(address, argument(0)):
                routines.free_routine(address)(argument(0), environment.list_at(argument(1)))
            return None
        processor.take_arguments(16)
        if environment.watch.refuses():
            return 0
        kind, size, tag = argument(0) & 0xFFFF_FFFF, argument(1), argument(2) & 0xFFFF_FFFF
        lookaside = environment.list_at(argument(3))
        return routines.allocate_routine(address)(PoolType(kind), size, PoolTag(tag), lookaside)


def _with_booleans(routine: Callable[..., Any]) -> Handler:
    """A routine of `ddi` that gets its BOOLEANs as such: C's may be any byte."""
    parameters = inspect.signature(routine).parameters.values()
    booleans = [each.annotation in ("Boolean", "bool") for each in parameters]
    if not any(booleans):
        return routine

    def call(*arguments: int) -> Any:
        given = zip(arguments, booleans, strict=True)
        return routine(*(bool(value) if is_boolean else value for value, is_boolean in given))

    return call


def _zero(*arguments: int) -> int:
    return 0
