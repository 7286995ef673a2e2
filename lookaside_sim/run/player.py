"""Making the calls of a run again, on a machine of its own.

The program is not there any more: its routines are played from the recording, calls and all.
Whatever comes out otherwise than it was written down is an error, never passed over.
"""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import Any, ClassVar, Final

from lookaside_sim.errors import BugCheck, LookasideSimError, NtStatusError, RunError
from lookaside_sim.kernel import Kernel
from lookaside_sim.lookaside.list import LookasideList
from lookaside_sim.lookaside.place import InMemory
from lookaside_sim.machine.call_site import CallSite
from lookaside_sim.memory.regions import Region
from lookaside_sim.nt.bugchecks import BugCheckCode
from lookaside_sim.nt.layouts import CACHE_LINE
from lookaside_sim.nt.types import NtStatus
from lookaside_sim.pool.plans import PoolPlan
from lookaside_sim.pool.requests import Layer, Order, refused
from lookaside_sim.run.kind import Kind
from lookaside_sim.run.kinds import KINDS
from lookaside_sim.run.recorder import failure_of
from lookaside_sim.run.rows import Done, Failure, Node, Ran, Refused, Row, Rows
from lookaside_sim.run.sites import Stacks
from lookaside_sim.run.state import (
    Block,
    block_at,
    block_of_list,
    block_of_request,
    live_blocks,
)
from lookaside_sim.system.drivers import Driver

_TAME: Final = {
    "AllocateEntry",
    "FreeEntry",
    "AllocateBlock",
    "FreeBlock",
    "ReadMemory",
    "InitializeList",
    "FlushList",
    "DeleteList",
    "ResetCounters",
    "SetDepth",
    "SetMinimumDepth",
    "Tick",
    "RaiseIrql",
    "LowerIrql",
    "SwitchProcessor",
    "WriteMemory",
    "LoadDriver",
    "LoadImage",
    "CreateProcess",
    "EnterProcess",
}
"""Calls that leave the pool's own words alone; a write of the program has to lie in a block too."""
_NOWHERE: Final = (CallSite("?", 0, "?"),)


class Replayed(Exception):  # noqa: N818 - it stands for another one
    """Stands for what the program raised in the recording.

    Args:
        replayed: name of the class it was.
        text: as it printed.

    Attributes:
        replayed: as given.
    """

    def __init__(self, replayed: str, text: str) -> None:
        super().__init__(text)
        self.replayed = replayed


class _Word:
    """A structure that is no more than its bytes, such as a spin lock in a driver's data."""

    __slots__ = ("_image", "address")

    def __init__(self, address: int, size: int) -> None:
        self.address = address
        self._image = bytes(size)

    @property
    def image_size(self) -> int:
        """Bytes of it."""
        return len(self._image)

    def store_image(self) -> bytes:
        """The bytes."""
        return self._image

    def load_image(self, image: bytes) -> None:
        """Take the bytes over."""
        self._image = image


class _Now(threading.local):
    """Who plays in this thread."""

    player: Player | None = None


_now = _Now()


class _Refusals(Layer):
    """Lets those requests fail that failed in the recording because the program wanted so."""

    __slots__ = ()

    order: ClassVar[Order] = Order.FAULTS

    def allocate(self, plan: PoolPlan) -> int:
        """Refuse the request, or hand it on."""
        player = _now.player
        if player is not None and player.takes_refusal():
            return refused(plan, "the request failed in the recording")
        return self.below.allocate(plan)


class Player:
    """A machine on which rows are played.

    Args:
        kernel: the machine; it becomes the player's.
        rows: what is played.
        stacks: where the calls were made.
        lists: the lists by number, as far as they are known.
        name: of the run, for errors.
        made: see the attribute.
        is_tame: see the attribute.

    Attributes:
        kernel: as given.
        lists: as given.
        made: what the block at an address is, live or not, or the number of the step that
            asked for it.
        is_tame: whether nothing that was played can have written over the pool's own words.
    """

    def __init__(
        self,
        kernel: Kernel,
        rows: Rows,
        stacks: Stacks,
        lists: Sequence[LookasideList],
        name: str,
        made: Mapping[int, int | Block] | None = None,
        *,
        is_tame: bool = True,
    ) -> None:
        self.kernel = kernel
        self.lists = list(lists)
        self.made: dict[int, int | Block] = dict(made or ())
        self.is_tame = is_tame
        self._rows = rows
        self._stacks = stacks
        self._name = name
        self._position = 0
        self._row: Row | None = None
        self._nodes: Iterator[Node] = iter(())
        self._next: Node | None = None
        self._last_error: BaseException | None = None

    def copy(self) -> Player:
        """A player of its own that stands where this one stands."""
        kernel, lists = self.kernel.clone_along(self.lists)
        return Player(
            kernel,
            self._rows,
            self._stacks,
            lists,
            self._name,
            self.made,
            is_tame=self.is_tame,
        )

    def know_blocks(self) -> None:
        """Note what the blocks are that are there already."""
        for address in live_blocks(self.kernel):
            self.made[address] = block_at(self.kernel, address, None)

    # --- playing ---------------------------------------------------------------------------

    @contextmanager
    def playing(self) -> Iterator[None]:
        """The routines that are played ask this player inside."""
        before = _now.player
        _now.player = self
        program = self.kernel.machine.program
        provider = program.stack_provider
        program.stack_provider = self._provide_stack
        program.site_provider = self._provide_site
        try:
            yield
        finally:
            program.stack_provider = provider
            program.site_provider = None
            _now.player = before

    def play(self, number: int, row: Row) -> None:
        """Play a row, inside `playing`; what was done between comes before it.

        Raises:
            RunError: it came out otherwise.
        """
        self._position = number
        between = self._rows.between
        if number in between:
            self.do_between(number)
        self._play(row)

    def do_between(self, number: int) -> None:
        """Do what was done before a row without a call."""
        for each in self._rows.between.get(number, ()):
            self._do(each)

    def _play(self, row: Row) -> None:
        shape, words, _, inside = row
        kind: Kind = KINDS[shape.kind]
        program = self.kernel.machine.program
        if shape.context or program.running or self.kernel.machine.processors.dpcs:
            self._enter(shape.context)
        around = self._row, self._nodes, self._next
        self._row = row
        if inside or self._next is not None:  # a row inside leaves the nodes around it alone
            self._set_nodes(inside)
        try:
            if inside and isinstance(self._next, Done) and self._next.what == "prevented":
                return
            if self.is_tame and (
                shape.kind not in _TAME
                or (shape.kind == "WriteMemory" and not self._is_inside(words[0], shape.key[0]))
            ):
                self.is_tame = False
            address = self._about_to_make(kind, row)
            result = kind.play(self, shape.key, words)
        except RunError:
            raise
        except BaseException as error:
            self._check_error(shape.error, error)
        else:
            if shape.error >= 0:
                self._differs(f"it returned {result!r}, and {self._told(shape.error)}")
            if kind.has_result and not kind.is_same(self, words[-1], result):
                self._differs(f"it returned {result!r}, and it had {words[-1]:#x}")
            self._skip_told()
            if inside and self._next is not None:
                self._differs(f"it did not come to {self._next!r}")
            if address and kind.reuses_blocks:
                self.made[address] = block_at(self.kernel, address, self._position)
        finally:
            self._row, self._nodes, self._next = around

    def _is_inside(self, address: int, size: int) -> bool:
        """Whether a range lies in one live block."""
        block = self.kernel.pool.find(address)
        return block is not None and address + size <= block.address + block.size

    def _about_to_make(self, kind: Kind, row: Row) -> int:
        """Note what a call is about to make, if it makes a block; its address, else 0."""
        shape, words, _, inside = row
        if not kind.makes_blocks or shape.branch == "hit" or shape.error >= 0 or inside:
            return 0
        address = words[-1]
        if kind.on_list:
            self.made[address] = block_of_list(self.lists[shape.key[0]], self._position)
        elif not kind.reuses_blocks:
            self.made[address] = block_of_request(shape.key, self._position)
        elif self.kernel.pool.is_live(address):
            return 0
        return address

    def block(self, address: int) -> Block:
        """What is known of the live block at an address."""
        known = self.made.get(address)
        if known is None:
            return block_at(self.kernel, address, None)
        if isinstance(known, Block):
            return known
        shape = self._rows.shapes[self._rows.shape_of(known)]
        return block_of_request(shape.key, known)

    def _set_nodes(self, inside: tuple[Node, ...]) -> None:
        self._nodes = iter(inside)
        self._next = next(self._nodes, None)

    def _skip_told(self) -> None:
        """Leave out what a routine of NT's does itself: calls within it, lists it makes."""
        while isinstance(self._next, (Row, Done)):
            self._pop()

    def _pop(self) -> Node | None:
        node = self._next
        self._next = next(self._nodes, None)
        return node

    def _enter(self, context: int) -> None:
        """Let the code run that ran then."""
        images, dpcs = self._rows.contexts[context]
        machine = self.kernel.machine
        running = machine.program.running
        if tuple(image.image_base for image in running) != images:
            running[:] = [self.driver(base) for base in images]
        if tuple(machine.processors.dpcs) != dpcs:
            machine.processors.dpcs[:] = dpcs

    # --- for whoever plays many rows, see `bulk` ------------------------------------------------

    def stand_at(self, number: int) -> None:
        """A row is about to be played by somebody else."""
        self._position = number

    def differs_at(self, number: int, row: Row, result: object, expected: int) -> None:
        """A row returned something else than in the recording.

        Raises:
            RunError: always.
        """
        self._position, self._row = number, row
        self._differs(f"it returned {result!r}, and it had {expected:#x}")

    def raised_at(self, number: int, row: Row, error: Exception) -> None:
        """A row raised, and had not in the recording.

        Raises:
            RunError: always.
        """
        self._position, self._row = number, row
        self._check_error(row.shape.error, error)

    # --- what came out otherwise ---------------------------------------------------------------

    def _check_error(self, expected: int, error: BaseException) -> None:
        failure = failure_of(error)
        self._last_error = error
        if expected < 0:
            self._differs(f"it raised {failure.kind}: {failure.text}, and it had returned")
        known = self._rows.errors[expected]
        same = failure.kind == known.kind and failure.values == known.values
        if not same:
            self._differs(
                f"it raised {failure.kind} {_hex(failure.values)}: {failure.text}, and"
                f" {self._told(expected)}"
            )

    def _told(self, number: int) -> str:
        known = self._rows.errors[number]
        return f"it had raised {known.kind} {_hex(known.values)}: {known.text}"

    def _differs(self, how: str) -> None:
        row = self._row
        what = "?" if row is None else KINDS[row.shape.kind].routine
        raise RunError(
            self._name,
            self._position,
            f"{what} came out otherwise than in the recording: {how}; was the machine changed"
            " without a call?",
        )

    # --- what was done without a call ------------------------------------------------------------

    def _do(self, done: Done) -> None:
        self._enter(done.context)
        getattr(self, f"_do_{done.what}")(*done.values)

    def _do_list(
        self, number: int, address: int, name: str, size: int, is_embedded: int
    ) -> None:
        kernel = self.kernel
        machine = kernel.machine
        while len(self.lists) <= number:
            self.lists.append(None)  # type: ignore[arg-type]
        if is_embedded:
            lookaside = LookasideList(kernel, name, InMemory(machine, address, size))
        else:
            older = size > kernel.arch.lookaside_size
            machine.program.take_data_place(address, size, CACHE_LINE if older else 0)
            lookaside = LookasideList(kernel, name, address, older=older)
        self.lists[number] = lookaside

    def _do_word(self, address: int, size: int) -> None:
        self.kernel.machine.program.take_data_place(address, size)
        self.kernel.memory.attach(_Word(address, size))

    def _do_region(
        self, address: int, size: int, contents: int, writable: int, executable: int
    ) -> None:
        self.kernel.memory.map(
            Region(
                address,
                size,
                writable=bool(writable),
                executable=bool(executable),
                contents=self.blob(contents),
            )
        )

    def _do_bytes(self, address: int, contents: int) -> None:
        data, memory = self.blob(contents), self.kernel.memory
        region = memory.region_at(address)
        if region is None:
            memory.write(address, data)
        else:
            at = address - region.address
            region.data[at : at + len(data)] = data

    def _do_unmap(self, address: int) -> None:
        memory = self.kernel.memory
        region = memory.region_at(address)
        if region is not None:
            memory.unmap(region)
        else:
            memory.detach_range(address, address + 1)

    def _do_idle(self) -> None:
        self.kernel.processes.idle  # noqa: B018 - looking for it makes it

    def _do_io_lists(self) -> None:
        self.kernel.io_lists  # noqa: B018 - likewise

    def _do_routine(self, address: int) -> None:
        routines = self.kernel.routines
        routines.place_at(address, scripted(address))

    # --- what the program's routines did -----------------------------------------------------------

    def run_routine(self, address: int) -> int:
        """Do what a routine of the program did the next time it was called."""
        self._skip_told()
        node = self._next
        if not isinstance(node, Ran) or node.address != address:
            self._differs(f"the routine at {address:#x} was called, and it had {node!r}")
        assert isinstance(node, Ran)
        self._pop()
        for each in node.inside:
            if isinstance(each, Row):
                self._play(each)
            elif isinstance(each, Done):
                self._do(each)
        if node.error >= 0:
            failure, last = self._rows.errors[node.error], self._last_error
            if last is not None and failure_of(last)[::2] == failure[::2]:
                raise last  # a call of the routine raised it, and the routine let it pass
            error = _made_again(failure)
            if isinstance(error, BugCheck) and self._position == len(self._rows) - 1:
                # Code without a call of its own stopped the machine: nothing follows.
                self.kernel.machine.stop(error.code, error.parameters, error.message)
            raise error
        return node.result

    def takes_refusal(self) -> bool:
        """Whether the next request is one that failed because the program wanted so."""
        self._skip_told()
        if isinstance(self._next, Refused):
            self._pop()
            return True
        return False

    def watch_refusals(self) -> None:
        """Let requests fail where they failed; for runs in which any did."""
        self.kernel.pool.requests.put(_Refusals())

    def _provide_stack(self) -> tuple[CallSite, ...]:
        row = self._row or self._rows.row(self._position)
        return self._stacks.call_sites(row.stack) or _NOWHERE

    def _provide_site(self) -> CallSite:
        row = self._row or self._rows.row(self._position)
        running = self.kernel.machine.program.running
        image = running[-1].image_base if running else 0
        return self._stacks.call_site(row.stack, image) or _NOWHERE[0]

    # --- what the kinds ask ------------------------------------------------------------------------

    def list(self, number: int) -> LookasideList:
        """A list by its number."""
        found = self.lists[number] if number < len(self.lists) else None
        if found is None:  # a routine of NT's made it
            address = self._rows.list_address(number)
            self.lists += [None] * (number + 1 - len(self.lists))  # type: ignore[list-item]
            found = self.lists[number] = self.kernel.list_at(address)
        return found

    def allocate_routine(self, address: int) -> Any:
        """What plays the allocate routine at an address; None for 0."""
        return self._routine(address, self.kernel.routines.allocate_address)

    def free_routine(self, address: int) -> Any:
        """What plays the free routine at an address; None for 0."""
        return self._routine(address, self.kernel.routines.free_address)

    def _routine(self, address: int, place: Callable[[Any], int]) -> Any:
        if not address:
            return None
        routine = scripted(address)
        if place(routine) != address:
            self.kernel.routines.place_at(address, routine)
        return routine

    def code(self, address: int) -> Any:
        """What plays the routine of the program's at an address; at 0 the next one."""
        return self._routine(address, self.kernel.routines.address_of) or _unload

    def unload_routine(self, driver: Driver) -> None:
        """Have the driver's unload play what it did, if it did anything."""
        self._skip_told()
        if isinstance(self._next, Ran) and not self._next.address:
            driver.on_unload(_unload)

    def driver(self, base: int) -> Driver:
        """A driver by the base of its image."""
        for each in reversed(self.kernel.drivers.all):
            if each.image_base == base:
                return each
        raise RunError(self._name, self._position, f"no driver was loaded at {base:#x}")

    def blob(self, number: int) -> bytes:
        """Some bytes by their number."""
        return self._rows.blobs[number]

    def refused_parameters(self, address: int) -> None:
        """Free a block with extended parameters."""
        self.kernel.pool.refuse_parameters(address)


_scripts: dict[int, Callable[..., Any]] = {}


def scripted(address: int) -> Callable[..., Any]:
    """What plays the program's routine at an address: one function for each address.

    A function, not an object: a clone of a machine keeps functions as they are.
    """
    found = _scripts.get(address)
    if found is not None:
        return found

    def play(*arguments: Any) -> int:
        player = _now.player
        if player is None:
            raise LookasideSimError(
                f"the routine at {address:#x} is the program's: the recording has what it did,"
                " not its code"
            )
        return player.run_routine(address)

    _scripts[address] = play
    return play


def _made_again(failure: Failure) -> Exception:
    """What the program's routine raised, or what stands for it."""
    if failure.kind == "NtStatusError":
        return NtStatusError(NtStatus(failure.values[0]), failure.text)
    if failure.kind == "BugCheck":
        code, one, two, three, four = failure.values
        return BugCheck(BugCheckCode(code), (one, two, three, four), failure.text)
    return Replayed(failure.kind, failure.text)


def _unload() -> None:
    player = _now.player
    if player is not None:
        player.run_routine(0)


def _hex(values: tuple[int, ...]) -> str:
    return f"({', '.join(f'{each:#x}' for each in values)})" if values else ""
