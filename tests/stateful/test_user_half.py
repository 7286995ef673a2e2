"""Random programs that meet addresses of the user half, on both machines and every version.

A link that leads there, an entry that lies there, a driver's own touch: below DISPATCH_LEVEL a status
that the driver catches and goes on after, with the list as NT leaves it; above, a stop, which is
looked at on a copy. The model is a chain of addresses.
"""

from __future__ import annotations

from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, precondition, rule

from lookaside_sim import BugCheckCode, Irql, Kernel
from lookaside_sim.nt.windows import WINDOWS_NAMES
from tests.helpers import allocated, stop_of, violation_of

SIZE = 64
LEVELS = st.sampled_from([0, 1, 2])
READ, WRITE = 0, 1
PLACES = st.sampled_from([0x10, 0x1000, 0x7FFE_0000, 0x7FFF_FFF0])


class UserHalf(RuleBasedStateMachine):
    @initialize(
        arch=st.sampled_from(["x64", "x86"]),
        windows=st.sampled_from(WINDOWS_NAMES),
        in_block=st.booleans(),
        recorded=st.booleans(),
    )
    def make(self, arch: str, windows: str, in_block: bool, recorded: bool) -> None:
        self.kernel = kernel = Kernel(arch, windows=windows)
        if recorded:
            kernel.listen(lambda call: None)  # the bytes are true: no link is kept elsewhere
        address = allocated(kernel, kernel.arch.lookaside_size) if in_block else None
        self.list = kernel.lookaside_list("it", address)
        assert self.list.initialize(size=SIZE, tag=b"User").is_success
        self.chain: list[
            int
        ] = []  # newest first; where it leads into the user half, that is the last
        self.held = 0
        self.out: list[int] = []
        self.counts = [0, 0, 0, 0]

    def end(self) -> int:
        """The first address of a chain's broken end; 0 where it is sound."""
        return self.chain[-1] if self.chain and self.is_user(self.chain[-1]) else 0

    def is_user(self, address: int) -> bool:
        return 0 < address < 0x8000_0000

    # --- what NT touches -------------------------------------------------------------------------

    @rule(level=LEVELS)
    def allocate(self, level: int) -> None:
        if self.chain and self.is_user(self.chain[0]):
            self.meets(self.list.allocate, self.chain[0], READ, level)
            if level < Irql.DISPATCH_LEVEL:
                self.counts[0] += 1  # counted, and on the list as before
            return
        with self.kernel.raise_irql(level):
            entry = self.list.allocate()
        assert entry is not None
        self.counts[0] += 1
        if self.chain:
            assert entry == self.chain.pop(0)
            self.held = self.held - 1 & 0xFFFF
        else:
            self.counts[1] += 1
        self.out.append(entry)

    @precondition(lambda self: self.out)
    @rule(level=LEVELS, which=st.integers(0, 1000))
    def free(self, level: int, which: int) -> None:
        entry = self.out.pop(which % len(self.out))
        self.kernel.write(entry, b"\xee" * SIZE)
        with self.kernel.raise_irql(level):
            self.list.free(entry)
        self.counts[2] += 1
        if self.held >= self.list.depth:
            self.counts[3] += 1
        else:
            self.chain.insert(0, entry)
            self.held += 1

    @rule(level=LEVELS, where=PLACES)
    def free_what_lies_there(self, level: int, where: int) -> None:
        if self.held >= self.list.depth:
            return  # it would go to the pool, which knows no such address
        self.meets(lambda: self.list.free(where), where, WRITE, level)
        if level < Irql.DISPATCH_LEVEL:
            self.counts[2] += 1

    @rule(level=LEVELS)
    def flush(self, level: int) -> None:
        end = self.end()
        if end:
            if level < Irql.DISPATCH_LEVEL:
                with self.kernel.raise_irql(level):
                    assert violation_of(self.list.flush) == (READ, end)
            else:
                self.stops(self.list.flush, end, READ, level)
                return
        else:
            with self.kernel.raise_irql(level):
                self.list.flush()
        self.chain, self.held = [], 0

    def meets(self, call: object, where: int, operation: int, level: int) -> None:
        """Make a call that touches the user half: a status, or a stop on a copy."""
        assert callable(call)
        if level < Irql.DISPATCH_LEVEL:
            with self.kernel.raise_irql(level):
                assert violation_of(call) == (operation, where)
        else:
            self.stops(call, where, operation, level)

    def stops(self, call: object, where: int, operation: int, level: int) -> None:
        """Let a copy of the machine stop in the call."""
        name = getattr(call, "__name__", "")
        copied = self.kernel.clone()
        lookaside = copied.list_at(self.list.address)
        copied.raise_irql(level)
        calls = {"allocate": lookaside.allocate, "flush": lookaside.flush}
        stop = stop_of(calls.get(name, lambda: lookaside.free(where)))
        assert stop.code is BugCheckCode.IRQL_NOT_LESS_OR_EQUAL
        assert stop.parameters[:3] == (where, level, operation)
        assert self.kernel.bugcheck is None

    # --- what the program touches ------------------------------------------------------------------

    @precondition(lambda self: any(not self.is_user(each) for each in self.chain))
    @rule(which=st.integers(0, 1000), where=PLACES)
    def overwrite_a_link(self, which: int, where: int) -> None:
        sound = [each for each in self.chain if not self.is_user(each)]
        at = which % len(sound)
        link = where.to_bytes(self.kernel.arch.pointer_size, "little")
        self.kernel.write(sound[at], link)
        self.chain = [*sound[: at + 1], where]

    @rule(level=LEVELS, where=PLACES, size=st.integers(1, 9), write=st.booleans())
    def touch(self, level: int, where: int, size: int, write: bool) -> None:
        operation = WRITE if write else READ

        def touched(kernel: Kernel) -> None:
            if write:
                kernel.write(where, bytes(size))
            else:
                kernel.read(where, size)

        if level < Irql.DISPATCH_LEVEL:
            with self.kernel.raise_irql(level):
                assert violation_of(lambda: touched(self.kernel)) == (operation, where)
            return
        copied = self.kernel.clone()
        copied.raise_irql(level)
        stop = stop_of(lambda: touched(copied))
        assert stop.code is BugCheckCode.DRIVER_IRQL_NOT_LESS_OR_EQUAL
        assert stop.parameters[:3] == (where, level, operation)

    @rule(where=PLACES)
    def free_to_the_pool(self, where: int) -> None:
        stop = stop_of(lambda: self.kernel.clone().pool.free(where & -0x1000 or 0x1000))
        assert (stop.code, stop.parameters[0]) == (BugCheckCode.BAD_POOL_CALLER, 0x40)

    @rule(where=PLACES)
    def look(self, where: int) -> None:
        assert self.kernel.peek(where, 2) == [None, None]

    # --- what must hold ---------------------------------------------------------------------------

    @invariant()
    def the_fields_are_those_of_the_model(self) -> None:
        if not hasattr(self, "list"):
            return
        it = self.list
        seen = [it.total_allocates, it.allocate_misses, it.total_frees, it.free_misses]
        assert seen == self.counts
        assert it.current_depth == self.held
        first = self.chain[0] if self.chain else 0
        assert it.first == first
        assert self.kernel.bugcheck is None
        assert self.kernel.irql == Irql.PASSIVE_LEVEL
        assert not self.kernel.machine.locked


TestUserHalf = UserHalf.TestCase
TestUserHalf.settings = settings(max_examples=50, stateful_step_count=30, deadline=None)
