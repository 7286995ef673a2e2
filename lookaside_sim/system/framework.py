"""Objects of the Kernel-Mode Driver Framework: handles, parents, references; memory, lists, locks.

An object that is deleted takes its children with it. Every object has a parent: one that its
attributes name, else the driver, whose objects the framework deletes when it is unloaded.

Source:
    [doc] Framework Object Life Cycle; bug check 0x10D. Choice: a handle is a number; a buffer is an entry
    or block of its own, of just the size asked for; a list lies in a block with the tag ``FxDr``.
"""

from __future__ import annotations

from typing import Final, NoReturn

import attrs

from lookaside_sim.lookaside.list import LookasideList
from lookaside_sim.lookaside.shared import Shared
from lookaside_sim.machine.machine import Machine
from lookaside_sim.machine.spin_lock import SpinLocks
from lookaside_sim.nt.bugchecks import BugCheckCode
from lookaside_sim.nt.types import PoolTag, PoolType
from lookaside_sim.system.calls import Leaving

FRAMEWORK_TAG: Final = PoolTag(b"FxDr")
_HANDLES_OFFSET: Final = 0x100_0000
"""How far behind the first EPROCESS the first handle is. Choice."""
_WRONG_HANDLE: Final = 5
"""Parameter 1 of WDF_VIOLATION for a handle of no such object."""


@attrs.define(eq=False)
class FrameworkObject:
    """One object.

    Attributes:
        handle: what the driver knows it by.
        kind: such as ``"WDFMEMORY"``.
        parent: handle of its parent, 0 for a driver.
        where: the line that made it.
        children: handles of those that go with it.
        references: how many keep it from being destroyed; the one it is made with included.
        deleted: whether it was deleted and is only kept by references.
        cleanup: address of EvtCleanupCallback, or 0.
        destroy: address of EvtDestroyCallback, or 0.
        buffer: of a memory object; the block of a list or lock.
        size: bytes of the buffer.
        source: handle of the list that the buffer is an entry of, or 0.
        owns: whether the buffer is freed with it.
        tag: of its buffer.
        pool_type: of its buffer.
        old_irql: of a lock, the IRQL before it was acquired.
    """

    handle: int
    kind: str
    parent: int
    where: str
    children: list[int] = attrs.field(factory=list)
    references: int = 1
    deleted: bool = False
    cleanup: int = 0
    destroy: int = 0
    buffer: int = 0
    size: int = 0
    source: int = 0
    owns: bool = False
    tag: PoolTag = FRAMEWORK_TAG
    pool_type: int = 0
    old_irql: int = 0

    def __str__(self) -> str:
        return f"the {self.kind} {self.handle:#x}, made at {self.where}"


class Framework:
    """The framework's objects of one machine.

    Args:
        machine: the machine.
        lists: what its lists share, with the pool.
        spin_locks: its spin locks.
    """

    __slots__ = ("_count", "_lists", "_machine", "_objects", "_roots", "_spin_locks")

    def __init__(self, machine: Machine, lists: Shared, spin_locks: SpinLocks) -> None:
        self._machine = machine
        self._lists = lists
        self._spin_locks = spin_locks
        self._objects: dict[int, FrameworkObject] = {}
        self._roots: dict[int, int] = {}
        self._count = 0
        # What a driver leaves is gone before anybody looks for leaks.
        machine.hooks.follow(Leaving, self._left, first=True)

    # --- objects ---------------------------------------------------------------------------

    def make(self, kind: str, parent: int) -> FrameworkObject:
        """Make an object.

        Args:
            kind: of which type.
            parent: handle of its parent; 0 for the driver.

        Raises:
            BugCheck: WDF_VIOLATION for a parent that is none.
        """
        parent = parent or self.root()
        self.named(parent, "")
        made = self._add(kind, parent)
        self._objects[parent].children.append(made.handle)
        return made

    def _add(self, kind: str, parent: int) -> FrameworkObject:
        handle = self._machine.arch.process_start + _HANDLES_OFFSET + 8 * self._count
        self._count += 1
        where = str(self._machine.program.calling_site())
        made = self._objects[handle] = FrameworkObject(handle, kind, parent, where)
        return made

    def root(self) -> int:
        """Handle of the running driver's own object, WDFDRIVER."""
        image = self._machine.program.current
        base = 0 if image is None else image.image_base
        found = self._roots.get(base)
        if found is None:
            found = self._roots[base] = self._add("WDFDRIVER", 0).handle
        return found

    def named(self, handle: int, kind: str) -> FrameworkObject:
        """The object of a handle.

        Args:
            handle: the handle.
            kind: the type it has to be of, empty for any.

        Raises:
            BugCheck: WDF_VIOLATION.
        """
        found = self._objects.get(handle)
        if found is None or (kind and found.kind != kind):
            what = "no object" if found is None else str(found)
            self._violation(
                _WRONG_HANDLE, handle, f"{handle:#x} is {what}, no {kind or 'handle'}"
            )
        return found

    def _violation(self, kind: int, handle: int, message: str) -> NoReturn:
        self._machine.stop(BugCheckCode.WDF_VIOLATION, (kind, handle, 0, 0), message)

    def delete(self, handle: int) -> None:
        """WdfObjectDelete: clean an object and its children up; destroy what nobody refers to.

        Raises:
            BugCheck: WDF_VIOLATION: no object, one deleted already, or a driver's own.
        """
        found = self.named(handle, "")
        if found.deleted or found.kind == "WDFDRIVER":
            why = "deleted already" if found.deleted else "deleted by the framework only"
            self._violation(_WRONG_HANDLE, handle, f"{found}, was deleted, and is {why}")
        self._delete(found)
        parent = self._objects.get(found.parent)
        if parent is not None:
            parent.children.remove(handle)

    def _delete(self, found: FrameworkObject) -> None:
        found.deleted = True
        for child in reversed(found.children[:]):
            self._delete(self._objects[child])
        found.children.clear()
        if found.cleanup:
            self._lists.routines.call(found.cleanup, found.handle)
        self.dereference(found.handle)

    def reference(self, handle: int) -> None:
        """WdfObjectReference."""
        self.named(handle, "").references += 1

    def dereference(self, handle: int) -> None:
        """WdfObjectDereference; an object that was deleted is destroyed with the last one.

        Raises:
            BugCheck: WDF_VIOLATION for a reference that was not taken.
        """
        found = self.named(handle, "")
        if found.references == 1 and not found.deleted:
            self._violation(
                _WRONG_HANDLE,
                handle,
                f"{found}, was dereferenced, and nobody had referenced it",
            )
        found.references -= 1
        if not found.references:
            self._destroy(found)

    def _destroy(self, found: FrameworkObject) -> None:
        del self._objects[found.handle]
        if found.destroy:
            self._lists.routines.call(found.destroy, found.handle)
        if found.source:
            self.list_of(self._objects[found.source]).free(found.buffer)
            self.dereference(found.source)
            return
        if found.kind == "WDFLOOKASIDE":
            self.list_of(found).delete()
        if found.owns:
            self._lists.pool.free(found.buffer, found.tag)

    def _left(self, leaving: Leaving) -> None:
        """A driver is unloaded: its objects go."""
        root = self._roots.pop(leaving.driver.image_base, None)
        if root is not None:
            with leaving.driver:
                self._delete(self._objects[root])

    # --- memory, lists and locks -------------------------------------------------------------

    def allocate(self, found: FrameworkObject, pool_type: int, size: int, tag: PoolTag) -> bool:
        """Give an object a block of its own; returns whether there was memory."""
        block = self._lists.pool.allocate(PoolType(pool_type), size, tag)
        found.buffer, found.size, found.tag = block or 0, size, tag
        found.owns = block is not None
        return found.owns

    def forget(self, found: FrameworkObject) -> None:
        """Take an object back whose making failed; its callbacks are not called."""
        self._objects[found.parent].children.remove(found.handle)
        del self._objects[found.handle]

    def initialize_list(
        self, found: FrameworkObject, pool_type: int, size: int, tag: PoolTag
    ) -> bool:
        """Give an object a lookaside list; returns whether there was memory."""
        room = self._machine.arch.older_lookaside_size
        if not self.allocate(found, int(PoolType.NonPagedPoolNx), room, FRAMEWORK_TAG):
            return False
        found.size, found.pool_type = size, pool_type
        self.list_of(found).initialize_older(
            pool_type=PoolType(pool_type),
            size=max(size, self._machine.arch.pointer_size),
            tag=tag,
        )
        return True

    def list_of(self, found: FrameworkObject) -> LookasideList:
        """The list of a WDFLOOKASIDE."""
        listed = self._lists.at(found.buffer)
        assert isinstance(listed, LookasideList)
        return listed

    def initialize_lock(self, found: FrameworkObject) -> bool:
        """Give an object a spin lock; returns whether there was memory."""
        size = self._machine.arch.pointer_size
        if not self.allocate(found, int(PoolType.NonPagedPoolNx), size, FRAMEWORK_TAG):
            return False
        self._spin_locks.initialize(found.buffer, "WDFSPINLOCK")
        return True
