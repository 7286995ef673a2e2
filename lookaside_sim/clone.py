"""Copying a machine: everything it is made of, and nothing that belongs to the program.

The parts of a machine are objects of this package, holding plain Python values and each other.
The pickler walks them, since it is the fastest walk there is and keeps identities: what was one
object is one object in the copy, such as the link cache that every list has in hand, or the
buffer that several views show.

Three kinds of things are not walked:

* *kept*: the copy has the same object. So functions, classes, code, values that cannot change,
  and whatever is not this package's own: the routines that the program handed over;
* *buffers* of the system's, of which only what is not zero is copied;
* *left out*: who looks on at the original, and a call under way, since nobody looks on at the
  copy; and what is only remembered to save time, where finding it anew is cheaper. A class of a
  higher floor says what of its own is left out: ``LEFT_OUT``, by attribute what the copy has
  instead, or `MISSING` for no such attribute.
"""

from __future__ import annotations

import copy
import io
import mmap
import pickle
import random
from collections import Counter, OrderedDict, defaultdict, deque
from collections.abc import Callable, Mapping
from enum import Enum
from functools import partial
from struct import Struct
from types import MethodType
from typing import Any, Final, TypeAlias, TypeVar

from lookaside_sim.errors import made_again
from lookaside_sim.lookaside.list import LookasideList
from lookaside_sim.lookaside.routines import Routines
from lookaside_sim.machine.call_site import CallSite, is_inside
from lookaside_sim.machine.calls import Hooks
from lookaside_sim.machine.machine import Machine
from lookaside_sim.machine.program import Program
from lookaside_sim.memory.notices import Notices
from lookaside_sim.memory.zeros import mapping, written
from lookaside_sim.nt.layouts import Architecture, PoolHeaderLayout
from lookaside_sim.nt.types import PoolTag
from lookaside_sim.nt.windows import Windows
from lookaside_sim.pool.ledger import BlockRecord
from lookaside_sim.pool.manager import PoolManager
from lookaside_sim.pool.plans import Plans, Request
from lookaside_sim.system.drivers import OwnedRoutine
from lookaside_sim.verifier.settings import Verifier

T = TypeVar("T")

MISSING: Final = "missing"
"""In the ``LEFT_OUT`` of a class: a copy has no such attribute yet."""

_VALUES: Final = (
    Architecture,
    CallSite,
    Enum,
    OwnedRoutine,
    PoolHeaderLayout,
    PoolTag,
    Request,
    Struct,
    Verifier,
    Windows,
)
"""Cannot change, so both machines may have one."""

_CONTAINERS: Final = frozenset(
    {Counter, OrderedDict, defaultdict, deque, frozenset, partial, random.Random, set}
)
"""What the parts keep things in, beside lists, dicts and tuples: the pickler knows them."""

_LEFT_OUT: Final[Mapping[type, Mapping[str, Any]]] = {
    Hooks: {
        "_listeners": (),
        "_readers": (),
        "_company": (),
        "_innermost": None,
        "_thread": 0,
        "takes_turns": False,
    },
    Machine: {"reached": None, "locked": False},
    Notices: {"listeners": {}},
    Plans: {"_plans": {}},
    PoolManager: {"_known": {}},
    Routines: {"_leases": {}, "_unleased": set()},
    Program: {"site_provider": None, "stack_provider": None},
}
"""What the copy has in the place of what is left out."""

_Reduced: TypeAlias = Any
"""What tells the pickler how to make an object again, or NotImplemented for its own way."""


def copy_of(root: T, state: Mapping[str, Any]) -> T:
    """Copy an object and all that can be reached from it.

    Args:
        root: what to copy.
        state: the attributes that the copy of ``root`` itself has; they are copied too.

    Returns:
        The copy, which shares nothing that can change with the original but what is kept.
    """
    stream = io.BytesIO()
    writer = _Writer(stream, root, state)
    writer.dump(root)
    stream.seek(0)
    copied: T = _Reader(stream, writer.kept).load()
    return copied


def _kept(index: int) -> object:
    """Stands, in what was written, for looking up what was kept; never called itself."""
    raise NotImplementedError(index)


class _Writer(pickle.Pickler):
    """Writes one object graph down.

    Attributes:
        kept: what is handed over as it is.
    """

    def __init__(self, stream: io.BytesIO, root: object, state: Mapping[str, Any]) -> None:
        super().__init__(stream, pickle.HIGHEST_PROTOCOL)
        self.kept: list[object] = []
        self._root = root
        self._state = state

    def keep(self, each: object) -> _Reduced:
        """Hand an object over as it is."""
        self.kept.append(each)
        return _kept, (len(self.kept) - 1,)

    def make(self, each: object, state: object) -> _Reduced:
        """Make an object of the same class and give it a state."""
        return object.__new__, (type(each),), state

    def reducer_override(self, each: Any) -> _Reduced:
        """Say how to copy what is no plain value, list, dict or tuple."""
        if each is _kept:
            return NotImplemented
        if each is self._root:
            return self.make(each, dict(self._state))
        kind = type(each)
        way = _ways.get(kind)
        if way is None:
            way = _ways[kind] = _way_of(kind)
        return way(self, each)


class _Reader(pickle.Unpickler):
    """Reads what a `_Writer` wrote."""

    def __init__(self, stream: io.BytesIO, kept: list[object]) -> None:
        super().__init__(stream)
        self._kept = kept

    def find_class(self, module: str, name: str) -> Any:
        """The only thing written by name is `_kept`."""
        return self._kept.__getitem__


# --- how each kind of object is copied ---------------------------------------------------------

_Way: TypeAlias = Callable[[_Writer, Any], _Reduced]


def _keep(writer: _Writer, each: object) -> _Reduced:
    return writer.keep(each)


def _walk(writer: _Writer, each: object) -> _Reduced:
    return NotImplemented


def _copy_method(writer: _Writer, each: MethodType) -> _Reduced:
    """A method of a part is the copied part's; any other is the program's routine."""
    if _is_ours(type(each.__self__)):
        return MethodType, (each.__func__, each.__self__)
    return writer.keep(each)


def _copy_view(writer: _Writer, each: memoryview) -> _Reduced:
    """Views of one buffer become views of its one copy."""
    return _view, (each.obj, each.format)


def _view(buffer: bytearray | mmap.mmap | bytes, format: str) -> memoryview:
    return memoryview(buffer).cast(format)  # type: ignore[call-overload,no-any-return]


def _copy_mapping(writer: _Writer, each: mmap.mmap) -> _Reduced:
    """Copy an anonymous mapping; what was never touched costs no memory in the copy either."""
    copied = mapping(len(each))
    for at, page in written(each):
        copied[at : at + len(page)] = page
    return writer.keep(copied)


def _copy_record(writer: _Writer, each: BlockRecord) -> _Reduced:
    """A record without an owner cannot change, and there may be very many."""
    return writer.keep(each) if each.owner is None else NotImplemented


def _copy_list(writer: _Writer, each: LookasideList) -> _Reduced:
    """A list asks for its machine when it is made; the copy gets that with its state.

    In the copy no list keeps its routines: they all stay.
    """
    state: Any = object.__reduce_ex__(each, 2)[2]
    return writer.make(each, (state[0], {**state[1], "_leases": ()}))


def _copy_in_part(writer: _Writer, each: object) -> _Reduced:
    """Copy all slots but those left out."""
    state: Any = object.__reduce_ex__(each, 2)[2]
    return writer.make(each, (None, {**state[1], **_LEFT_OUT[type(each)]}))


def _copy_as_it_says(writer: _Writer, each: Any) -> _Reduced:
    """Copy all attributes but those that the class leaves out."""
    left_out: Mapping[str, Any] = type(each).LEFT_OUT
    state = {name: value for name, value in vars(each).items() if name not in left_out}
    state |= {
        name: copy.copy(value) for name, value in left_out.items() if value is not MISSING
    }
    return writer.make(each, state)


def _copy_error(writer: _Writer, each: BaseException) -> _Reduced:
    """The stop that ended a machine: a new exception that was never raised."""
    return made_again, (type(each), each.args, vars(each))


_ways: dict[type, _Way] = {
    BlockRecord: _copy_record,
    MethodType: _copy_method,
    memoryview: _copy_view,
    mmap.mmap: _copy_mapping,
    **dict.fromkeys(_LEFT_OUT, _copy_in_part),
    **dict.fromkeys(_CONTAINERS, _walk),
}
"""By class; filled as classes are met."""


def _way_of(kind: type) -> _Way:
    """How objects of a class are copied; another machine, which copies itself, is kept."""
    if issubclass(kind, _VALUES) or not _is_ours(kind) or hasattr(kind, "__deepcopy__"):
        return _keep
    if issubclass(kind, LookasideList):
        return _copy_list
    if hasattr(kind, "LEFT_OUT"):
        return _copy_as_it_says
    return _copy_error if issubclass(kind, BaseException) else _walk


def _is_ours(kind: type) -> bool:
    """Whether a class is of this package, or extends one that is."""
    return any(is_inside(base.__module__) for base in kind.__mro__)
