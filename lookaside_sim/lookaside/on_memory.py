"""Allocate, free and flush as NT runs them: step by step, on memory.

Rule: whatever these routines touch, and in which order, is said here. `list` has a second
telling of the two hits and the two plain misses, on plain attributes and in one go; it falls
back to this one whenever anything is out of the ordinary, and a test holds both against each
other.

Between two points another processor could come. Whoever wants to be there (a scheduler that
runs processors against each other, a stepper that shows what happens inside a call) is told
of each `Point` by `Kernel.step_through`, and may take its time before it returns. At a point
everything the routine has written is in memory; what it has read, it keeps.

What others can disturb: counting reads the counter, adds one and writes it, so counts get
lost; seeing room for an entry and putting it there are two steps, so a list can grow past its
depth. What they cannot: taking off and putting on are one interlocked step each, and the
sequence counts what was put on whatever the counters say.

The list trusts memory, as on NT: a link that was overwritten is followed, an entry freed
twice is handed out twice. No case of misuse is special here.

Source:
    docs/sources.md, lists sections 2, 4 and 5.
"""

from __future__ import annotations

from collections.abc import Iterable
from enum import Enum

from lookaside_sim.errors import BugCheck, LookasideSimError
from lookaside_sim.lookaside.fields import ListFields
from lookaside_sim.lookaside.place import InMemory
from lookaside_sim.lookaside.routines import Lease, Routines
from lookaside_sim.lookaside.shared import Shared
from lookaside_sim.lookaside.tuning import DISABLED_MAXIMUM_DEPTH, SCAN_PERIOD, next_depth
from lookaside_sim.machine.calls import Branch
from lookaside_sim.machine.machine import Machine, Reached
from lookaside_sim.memory.address_space import Memory
from lookaside_sim.memory.slots import Slot
from lookaside_sim.nt.arguments import unsigned
from lookaside_sim.nt.types import ULONG_MASK, PoolTag, PoolType
from lookaside_sim.pool.kind import Pool
from lookaside_sim.pool.plans import PoolPlan
from lookaside_sim.pool.requests import Requests
from lookaside_sim.rooms import as_html


class Point(Enum):
    """Where a routine stands: what it did last."""

    COUNT_READ = "read the counter"
    COUNT_WRITTEN = "wrote the counter"
    POPPED = "took the first entry off"
    ROOM_SEEN = "saw room for the entry"
    PUSHED = "put the entry in front"
    MISS_COUNTED = "counted a miss"


class ListOnMemory(ListFields):
    """A list with the routines on memory. `LookasideList` is what users hold."""

    __slots__ = (
        "_active",
        "_head",
        "_leases",
        "_machine",
        "_memory",
        "_place",
        "_plain_free",
        "_plan",
        "_pool",
        "_requests",
        "_shared",
        "_slots",
        "_tail",
        "address",
        "name",
    )

    _repr_html_ = as_html
    address: int
    name: str
    _active: bool
    _leases: tuple[Lease, ...]
    """What keeps its routines as long as the object is held."""
    _shared: Shared
    _machine: Machine
    _memory: Memory
    _head: Slot
    """What the header's Next refers to."""
    _slots: dict[int, Slot]
    """Where a hit finds the slot of an entry; empty while no list may keep links in slots."""
    _place: InMemory | None
    _plan: PoolPlan | None
    _pool: Pool
    _requests: Requests
    _plain_free: bool
    _tail: bytes
    """What follows the fields in a structure of its own."""

    @property
    def _first(self) -> int:
        # Next, of which a list keeps the slot at that address.
        return self._head.address

    @_first.setter
    def _first(self, address: int) -> None:
        self._head = self._memory.slot_at(address)

    def look_again(self) -> None:
        """Take hot paths from now on, or no longer, as memory has it."""
        memory = self._memory
        self._slots = memory.slots.by_address if memory.caching else {}
        self._head = memory.slot_at(self._head.address)

    @property
    def machine(self) -> Machine:
        """The machine it lies on."""
        return self._machine

    @property
    def routines(self) -> Routines:
        """The addresses of routines on its machine."""
        return self._shared.routines

    @property
    def pool(self) -> Pool:
        """The pool of its machine, for routines that serve lists of several machines."""
        return self._pool

    def load_fields(self, image: bytes) -> None:
        """Take every field over from the structure's bytes."""
        self._shared.registry.forget_walks()
        self.set_fields(image)
        self._prepare_misses()

    def _prepare_misses(self) -> None:
        """Find out whether misses go straight to the pool."""
        self._plain_free = self._free_ex in self._shared.routines.default_frees
        self._plan = None  # made by the first miss, so that looking at a list plans nothing

    def rest(self) -> None:
        """Look empty and full at once, so that no call takes a hot path."""
        self._held = 0
        self._depth = 0
        self._plain_free = False
        self._plan = None

    # --- the structure in memory ------------------------------------------------------------

    @property
    def image_size(self) -> int:
        """Bytes of the structure."""
        place = self._place
        return place.size if place is not None else self.arch.lookaside_size + len(self._tail)

    def store_image(self) -> bytes:
        """Render the structure's bytes."""
        return self.store_fields() + self._tail

    def load_image(self, image: bytes) -> None:
        """Take the structure over from its bytes."""
        self.load_fields(image)
        self._tail = image[self.arch.lookaside_size :]

    def peek(self) -> ListFields | None:
        """The fields as a debugger sees them, None where nothing is mapped any more.

        Never raises or stops the machine, whatever happened to the memory.
        """
        place = self._place
        return self if place is None else place.peek()

    def _now(self) -> ListFields:
        place = self._place
        return self if place is None else place.fields()

    @property
    def is_active(self) -> bool:
        """Whether the list was initialized and not yet deleted."""
        return self._active

    @property
    def is_idle(self) -> bool:
        """Whether memory need not keep the object: its bytes are all there is to it."""
        return not self._active and self._place is None

    @property
    def is_embedded(self) -> bool:
        """Whether the structure lies in memory that somebody else owns."""
        return self._place is not None

    @property
    def next_entry(self) -> int | None:
        """ListEntry.Flink where the object knows it; None where memory must be asked."""
        place = self._place
        return self._flink if place is None or place.links_are_known else None

    def __bytes__(self) -> bytes:
        """The structure as it lies in memory."""
        place = self._place
        return self.store_image() if place is None else place.look()

    @property
    def has_default_routines(self) -> bool:
        """Whether entries come from and go back to the pool straight."""
        routines = self._shared.routines
        return (
            self.allocate_ex in routines.default_allocates
            and self.free_ex in routines.default_frees
        )

    def move_out(self, place: InMemory) -> None:
        """From now on the fields lie elsewhere."""
        self._place = place
        self.rest()

    def lose_memory(self) -> None:
        """The structure's memory is unmapped: from now on every use is a touch of it."""
        place = InMemory(self._machine, self.address, self.image_size, links_are_known=True)
        self.move_out(place)

    # --- whom it calls -----------------------------------------------------------------------

    def _call_allocate(self, routine: int, pool_type: int, size: int, tag: int) -> int | None:
        routines = self._shared.routines
        if routine in routines.default_allocates:
            plan = self._pool.plan(pool_type, size, tag)
            if self._place is None and self._machine.program.owner_of(self.address) is None:
                self._plan = plan
            return self._requests.top.allocate(plan) or None
        allocate = routines.allocate_routine(routine)
        run = self._machine.hooks.run_inside
        entry = run(routine, allocate, PoolType(pool_type), size, PoolTag(tag), self) or None
        return entry and unsigned(
            "what the allocate routine returned", entry, self.arch.address_bits
        )

    def _call_free(self, routine: int, entry: int) -> None:
        routines = self._shared.routines
        if routine in routines.default_frees:
            self._requests.top.free(entry)
            return
        self._machine.hooks.run_inside(routine, routines.free_routine(routine), entry, self)

    # --- the routines, step by step --------------------------------------------------------

    def _allocate_in_steps(self) -> int | None:
        """ExAllocateFromLookasideListEx."""
        machine, place = self._machine, self._place
        call = reached = None
        if not machine.is_plain:
            call, reached = machine.hooks.call, machine.reached
        if place is not None:
            place.fetch_head(self)
        count = self._total_allocates
        if reached is not None:
            self._stand_at(Point.COUNT_READ, reached)
        self._total_allocates = count + 1
        if reached is not None:
            self._stand_at(Point.COUNT_WRITTEN, reached)
        if self._first:
            if call is not None:
                call.branch = Branch.HIT
            try:
                entry = self._pop()
            finally:
                # The call is counted, also where a link leads to what raises.
                if place is not None:
                    place.put_back_head(self)
            if reached is not None:
                reached(self, Point.POPPED)
            return entry or None
        self._allocate_misses += 1
        if call is not None:
            call.branch = Branch.MISS
        if place is not None:
            place.put_back_head(self)
            place.fetch(self)
        routine_address = self._allocate_ex
        pool_type, size, tag = self._type, self._size, self._tag
        if place is not None:
            self.rest()
        if reached is not None:
            reached(self, Point.MISS_COUNTED)
        return self._call_allocate(routine_address, pool_type, size, tag)

    def _free_in_steps(self, entry: int) -> None:
        """ExFreeToLookasideListEx."""
        machine, place = self._machine, self._place
        call = reached = None
        if not machine.is_plain:
            call, reached = machine.hooks.call, machine.reached
        if place is not None:
            place.fetch_head(self)
        count = self._total_frees + 1
        if reached is not None:
            self._stand_at(Point.COUNT_READ, reached)
        self._total_frees = count
        if reached is not None:
            self._stand_at(Point.COUNT_WRITTEN, reached)
        if self._held >= self._depth:
            self._free_misses += 1
            if call is not None:
                call.branch = Branch.FULL
            if place is not None:
                place.put_back_head(self)
                place.fetch(self)
            routine_address = self._free_ex
            if place is not None:
                self.rest()
            if reached is not None:
                reached(self, Point.MISS_COUNTED)
            self._call_free(routine_address, entry)
        else:
            if call is not None:
                call.branch = Branch.HIT
            if reached is not None:
                self._stand_at(Point.ROOM_SEEN, reached)
            try:
                self._push(entry)
            finally:
                if place is not None:
                    place.put_back_head(self)
            if reached is not None:
                reached(self, Point.PUSHED)

    def _stand_at(self, point: Point, reached: Reached) -> None:
        """Stand at a point in the middle, where another processor may use the list."""
        if self._place is not None:
            self._place.put_back_head(self)
        reached(self, point)
        if self._place is not None:
            self._place.fetch_head(self)

    def _flush(self) -> None:
        """ExFlushLookasideListEx: all at once, then one by one."""
        place = self._place
        if place is not None:
            place.fetch(self)
        entry, held = self._first, self._held
        self._first = 0
        self._set_held(0)
        routine_address = self._free_ex
        if place is not None:
            place.put_back(self)
        is_default = routine_address == self._shared.routines.default_free
        freed: dict[int, int] = {}
        while entry:
            link = self._link_in(entry)
            # Freed twice the default way, an entry stops the machine.
            if not is_default and freed.get(entry) == link:
                raise LookasideSimError(
                    f"the free entries of the list at {self.address:#x} run in a ring through"
                    f" {entry:#x}, and its free routine would be called for ever"
                )
            freed[entry] = link
            try:
                self._call_free(routine_address, entry)
            except BugCheck:
                raise
            except BaseException:
                self._take_back(self._as_next_entry(link), held - len(freed))
                raise
            entry = self._as_next_entry(link)

    def _take_back(self, entry: int, most: int) -> None:
        """Put what a flush had still to free on the list again, in its order.

        Choice: where a free routine raises, NT loses the rest.
        """
        rest: list[int] = []
        while entry and len(rest) < most:
            link = self._memory.peek_pointer(entry)
            if link is None:
                break
            rest.append(entry)
            entry = self._as_next_entry(link)
        place = self._place
        if place is not None:
            place.fetch_head(self)
        for each in reversed(rest):
            self._push(each)
        if place is not None:
            place.put_back_head(self)

    # --- the SLIST (docs/sources.md, lists section 2) -----------------------------------------

    def _pop(self) -> int:
        """InterlockedPopEntrySList on a list with a first entry."""
        entry = self._first
        self._first = self._as_next_entry(self._link_in(entry))
        self._count_pop()
        return entry

    def _push(self, entry: int) -> None:
        """InterlockedPushEntrySList."""
        memory = self._memory
        if not memory.write_link(entry, self._head):
            memory.write_pointer(entry, self._first)
        self._first = self._as_next_entry(entry)
        self._count_push()

    def _link_in(self, entry: int) -> int:
        """The link to the next entry, from wherever it is."""
        link = self._memory.links.link_in(entry)
        return self._memory.read_pointer(entry) if link is None else link

    def _as_next_entry(self, address: int) -> int:
        """What remains of an address in the header: on x64 its low 4 bits have no room."""
        return address & ~self.arch.next_entry_lost_bits

    # --- what others write: the balance set manager, the verifier, the debugger --------------------

    def adjust_depth(self, minimum_depth: int) -> bool:
        """One scan of the balance set manager: sample the counters, set the depth.

        Args:
            minimum_depth: the system's minimum, in entries.

        Returns:
            Whether anything changed; a list that nobody uses comes to a point where it stays.

        Source:
            docs/sources.md, lists section 6.
        """
        if self._place is not None:
            self._place.fetch(self)
        misses = self._missed_allocates
        total = self._pops + misses + self._allocates_base
        new_allocates = total - self._last_total_allocates
        new_misses = misses - self._last_allocate_misses
        depth = self._depth
        self._scanned_pops = self._pops
        # An untouched list at the minimum is a fixed point of the rule.
        if new_allocates or new_misses or self._depth != minimum_depth:
            self._last_total_allocates = total
            self._last_allocate_misses = misses
            self._depth = next_depth(
                self._depth,
                self._maximum_depth,
                new_allocates & ULONG_MASK,
                new_misses & ULONG_MASK,
                SCAN_PERIOD,
                minimum_depth,
            )
        changed = bool(new_allocates or new_misses) or self._depth != depth
        if self._place is not None:
            self._place.put_back(self)
        return changed

    def disable(self) -> None:
        """Let the list hold nothing any more: Depth 0, MaximumDepth 0xFFFF."""
        if self._place is not None:
            self._place.fetch(self)
        self._depth = 0
        self._maximum_depth = DISABLED_MAXIMUM_DEPTH
        if self._place is not None:
            self._place.put_back(self)

    def _reset_counters(self) -> None:
        if self._place is not None:
            self._place.fetch(self)
        self._total_allocates = self._allocate_misses = 0
        self._total_frees = self._free_misses = 0
        self._last_total_allocates = self._last_allocate_misses = 0
        if self._place is not None:
            self._place.put_back(self)

    def _set_depth(self, depth: int) -> None:
        if self._place is not None:
            self._place.fetch(self)
        self._depth = depth
        if self._place is not None:
            self._place.put_back(self)


def adjust_depths(lists: Iterable[ListOnMemory], minimum_depth: int) -> bool:
    """Scan lists one after the other; see `ListOnMemory.adjust_depth`.

    Most lists of most machines are untouched at the minimum, where a scan changes nothing:
    those are told apart here, without a call for each.

    Returns:
        Whether anything changed.
    """
    changed = False
    for each in lists:
        if (
            each._depth != minimum_depth
            or each._pops != each._scanned_pops
            or each._missed_allocates != each._last_allocate_misses
            or each._place is not None
        ):
            changed |= each.adjust_depth(minimum_depth)
    return changed
