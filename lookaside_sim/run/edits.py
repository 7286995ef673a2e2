"""Edits: what a step changes of a state, each of which can be undone."""

from __future__ import annotations

from abc import ABC, abstractmethod

import attrs

from lookaside_sim.run.state import Block, ListState, State, Stopped


class Edit(ABC):
    """One change of a state."""

    @abstractmethod
    def apply(self, state: State) -> None:
        """Make the change."""

    @abstractmethod
    def inverse(self) -> Edit:
        """The edit that undoes this one."""


@attrs.frozen
class Add(Edit):
    """A counter moved.

    Attributes:
        obj: address of the list.
        field: NT's name.
        n: by how much.
    """

    obj: int
    field: str
    n: int

    def apply(self, state: State) -> None:
        """Count."""
        state.lists[self.obj].fields[self.field] += self.n

    def inverse(self) -> Add:
        """Count back."""
        return Add(self.obj, self.field, -self.n)


@attrs.frozen
class Set(Edit):
    """A field has another value.

    Attributes:
        obj: address of the list, None for the machine.
        field: NT's name.
        old: the value before.
        new: the value now.
    """

    obj: int | None
    field: str
    old: int
    new: int

    def apply(self, state: State) -> None:
        """Set it."""
        fields = state.machine if self.obj is None else state.lists[self.obj].fields
        fields[self.field] = self.new

    def inverse(self) -> Set:
        """Set it back."""
        return Set(self.obj, self.field, self.new, self.old)


@attrs.frozen
class Push(Edit):
    """An entry was put in front of a chain.

    Attributes:
        obj: address of the list.
        entry: its address.
    """

    obj: int
    entry: int

    def apply(self, state: State) -> None:
        """Put it there."""
        each = state.lists[self.obj]
        each.entries = (self.entry, *each.entries)

    def inverse(self) -> Pop:
        """Take it off."""
        return Pop(self.obj, self.entry)


@attrs.frozen
class Pop(Edit):
    """The first entry of a chain was taken off.

    Attributes:
        obj: address of the list.
        entry: its address.
    """

    obj: int
    entry: int

    def apply(self, state: State) -> None:
        """Take it off."""
        each = state.lists[self.obj]
        each.entries = each.entries[1:]

    def inverse(self) -> Push:
        """Put it back."""
        return Push(self.obj, self.entry)


@attrs.frozen
class Cut(Edit):
    """All entries of a chain left at once.

    Attributes:
        obj: address of the list.
        entries: which, newest first.
    """

    obj: int
    entries: tuple[int, ...]

    def apply(self, state: State) -> None:
        """Empty the chain."""
        state.lists[self.obj].entries = ()

    def inverse(self) -> Chain:
        """Put them back."""
        return Chain(self.obj, (), self.entries)


@attrs.frozen
class Chain(Edit):
    """A chain changed in a way that nothing else says, as an overwritten link makes it.

    Attributes:
        obj: address of the list.
        old: the entries before, newest first.
        new: the entries now.
    """

    obj: int
    old: tuple[int, ...]
    new: tuple[int, ...]

    def apply(self, state: State) -> None:
        """Replace the chain."""
        state.lists[self.obj].entries = self.new

    def inverse(self) -> Chain:
        """Replace it back."""
        return Chain(self.obj, self.new, self.old)


@attrs.frozen
class _OfBlock(Edit):
    """A live block comes or goes."""

    address: int
    block: Block

    @property
    def size(self) -> int:
        """Bytes asked for."""
        return self.block.size

    @property
    def tag(self) -> int:
        """Its tag, a `PoolTag`."""
        return self.block.tag

    @property
    def pool(self) -> int:
        """Its pool type, a `PoolType`."""
        return self.block.pool_type


@attrs.frozen
class Born(_OfBlock):
    """A live block appeared.

    Attributes:
        address: of its body.
        block: what it is.
    """

    def apply(self, state: State) -> None:
        """Add it."""
        state.blocks[self.address] = self.block

    def inverse(self) -> Died:
        """Take it away."""
        return Died(self.address, self.block, None)


@attrs.frozen
class Died(_OfBlock):
    """A live block is gone.

    Attributes:
        address: of its body.
        block: what it was.
        by: number of the step that freed it; None where this undoes a birth.
    """

    by: int | None

    def apply(self, state: State) -> None:
        """Take it away."""
        del state.blocks[self.address]

    def inverse(self) -> Born:
        """Add it again."""
        return Born(self.address, self.block)


@attrs.frozen
class Write(Edit):
    """The program wrote bytes. No state holds them: what they change there is said beside it.

    Attributes:
        address: of the first byte.
        old: the bytes before, as long as ``new``.
        new: the bytes now; shorter than asked for where the machine stopped on the way.
    """

    address: int
    old: bytes
    new: bytes

    def apply(self, state: State) -> None:
        """Change nothing."""

    def inverse(self) -> Write:
        """Write what was there."""
        return Write(self.address, self.new, self.old)


@attrs.frozen
class List(Edit):
    """A list was initialized, or is active no longer.

    Attributes:
        obj: its address.
        description: what it is then, or was.
        appeared: which of the two.
    """

    obj: int
    description: ListState
    appeared: bool

    def apply(self, state: State) -> None:
        """Add it, or take it away."""
        if self.appeared:
            state.lists[self.obj] = self.description.copy()
        else:
            del state.lists[self.obj]

    def inverse(self) -> List:
        """The other way round."""
        return List(self.obj, self.description, not self.appeared)


@attrs.frozen
class Stop(Edit):
    """The machine stopped.

    Attributes:
        stop: how; None undoes it.
    """

    stop: Stopped
    undone: bool = False

    def apply(self, state: State) -> None:
        """Stop it, or let it run."""
        state.stop = None if self.undone else self.stop

    def inverse(self) -> Stop:
        """The other way round."""
        return Stop(self.stop, not self.undone)

    @property
    def code(self) -> int:
        """The stop code."""
        return self.stop.code

    @property
    def parameters(self) -> tuple[int, ...]:
        """Its four parameters."""
        return self.stop.parameters

    @property
    def text(self) -> str:
        """What happened."""
        return self.stop.text


def undone(edits: tuple[Edit, ...]) -> tuple[Edit, ...]:
    """The edits that undo some edits, in the order in which they do."""
    return tuple(each.inverse() for each in reversed(edits))
