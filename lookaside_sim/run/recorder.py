"""Writing down what happens on a machine: the listener behind `lookaside_sim.run.record`."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from typing import Any, Final

from lookaside_sim.errors import (
    BugCheck,
    LookasideSimError,
    NtStatusError,
    RunError,
    SanitizerError,
)
from lookaside_sim.kernel import Kernel, made_again
from lookaside_sim.lookaside.built_in import BuiltInList
from lookaside_sim.lookaside.calls import AllocateEntry
from lookaside_sim.lookaside.list import LookasideList
from lookaside_sim.lookaside.on_memory import ListOnMemory
from lookaside_sim.lookaside.tuning import MINIMUM_DEPTH
from lookaside_sim.machine.call_site import CallSite, is_inside, is_skipped, site_of
from lookaside_sim.machine.calls import Call, Inside, StopMachine, Tick
from lookaside_sim.memory.notices import Change, Changed
from lookaside_sim.memory.structures import Structure
from lookaside_sim.run.kind import Kind, number_of
from lookaside_sim.run.kinds import KINDS
from lookaside_sim.run.rows import (
    Context,
    Done,
    Failure,
    Node,
    Ran,
    Refused,
    Row,
    Rows,
    Shape,
)
from lookaside_sim.run.sites import Stacks
from lookaside_sim.system.calls import CreateProcess, EnterProcess

_NO_CONTEXT: Final = 0
_FRAMES_ABOVE: Final = 3
"""Frames of this package between `Recorder._note` and whoever made a call, at least."""


class Recorder:
    """Listens to a machine and writes rows, up to the call that stops it.

    Args:
        kernel: the machine.
        rows: gets the rows.
        stacks: gets the stacks.
        source: whether the stack of every call is kept; else only where the machine asks for
            the line itself.
    """

    def __init__(self, kernel: Kernel, rows: Rows, stacks: Stacks, *, source: bool) -> None:
        self._kernel = kernel
        self._machine = kernel.machine
        self._program = kernel.machine.program
        self._dpcs = kernel.machine.processors.dpcs
        self._rows = rows
        self._stacks = stacks
        self._source = source
        self._lists: dict[int, int] = {}
        self._held: list[object] = []
        self._routines: set[int] = set()
        self._known: dict[Any, int] = {}
        self._inside: dict[Call, list[Node]] = {}
        self._ran: list[tuple[Call | None, int]] = []
        self._done: list[Done] = []
        self._open: Call | None = None
        self._overlaps = False
        self._has_idle = False
        self._has_stopped = False
        self._has_io_lists = False
        self._seconds = 0
        self._ends: list[Callable[[], None]] = []
        self._kinds = {kind.call: kind for kind in KINDS.values()}

    def begin(self) -> None:
        """Listen from now on.

        Raises:
            LookasideSimError: it was asked for in the middle of a call.
        """
        hooks, kernel = self._machine.hooks, self._kernel
        end = hooks.listen(self.hear, reads=True)
        if hooks.call is not None:
            end()
            raise LookasideSimError(
                "a recording began in the middle of a call: begin it where the program runs,"
                " outside of list routines and listeners"
            )
        self._ends = [
            end,
            hooks.accompany(self.hear_inside),
            self._machine.memory.listen(self.hear_change),
        ]
        self._seconds = kernel.seconds
        self._rows.tell_seconds(self._seconds)
        if is_fresh(kernel):
            for each in made_since(kernel):
                self._made(each)
            return
        for number, lookaside in enumerate(held_lists(kernel)):
            self._lists[id(lookaside)] = number
            self._held.append(lookaside)

    def end(self) -> None:
        """Listen no more."""
        while self._ends:
            self._ends.pop()()
        self._place_between(len(self._rows))
        stop = self._machine.bugcheck
        if stop is not None and not self._has_stopped:
            self._note_stop(stop)

    def _note_stop(self, stop: BugCheck) -> None:
        """Write down a stop that no call came to, such as one by `Kernel.system_thread`."""
        call = StopMachine(int(stop.code), stop.parameters, stop.message)
        call.error = stop
        shape, words = self._shape_of(call)
        sites = [each for each in stop.stack if isinstance(each, CallSite)]
        stack = self._stacks.of_sites(sites or frames_of(stop), 0) if self._source else 0
        self._rows.append(shape, words, stack)
        self._has_stopped = True

    def check_whole(self, name: str) -> None:
        """Refuse a recording that cannot be played again.

        Raises:
            RunError: calls overlapped.
        """
        if self._overlaps:
            raise RunError(
                name,
                None,
                "calls of several threads overlapped inside Kernel.step_through, which no run"
                " can say: record each thread's calls one after the other",
            )

    # --- what is heard -----------------------------------------------------------------------

    def hear(self, call: Call) -> None:
        """Write a call down when it is over."""
        if not call.is_over:
            if call.outer is None:
                self._overlaps = self._overlaps or self._open is not None
                self._open = call
            if self._done:  # what was done before belongs before it, whatever it does inside
                if call.outer is None:
                    self._place_between(len(self._rows))
                else:
                    self._inside.setdefault(call.outer, []).extend(self._done)
                    self._done = []
            return
        if call.outer is None:
            self._open = None
        if self._has_stopped:
            return
        rows = self._rows
        outer = call.outer
        if outer is None and not self._inside and call.error is None:
            shape, words = self._shape_of(call)
            stack = self._stack_number(call)
            if self._done:
                self._place_between(len(rows))
            rows.append(shape, words, stack)
            if type(call) is Tick:
                self._tell_time()
            return
        self._note(call, outer)

    def _note(self, call: Call, outer: Call | None) -> None:
        """Write down a call with something unusual about it."""
        inside = tuple(self._inside.pop(call, ()))
        if self._is_prevented(call, inside):
            inside = (Done("prevented", _NO_CONTEXT, ()), *inside)
        shape, words = self._shape_of(call)
        stack = self._stack_number(call)
        rows = self._rows
        if outer is not None:
            nodes = self._inside.setdefault(outer, [])
            nodes += self._done
            nodes.append(Row(rows.shapes[shape], words, stack, inside))
            self._done = []
            return
        number = len(rows)
        self._place_between(number)
        if inside:
            rows.inside[number] = inside
        rows.append(shape, words, stack)
        self._tell_time()
        # A machine that has stopped runs nothing; blocks of the program that are left tell more.
        self._has_stopped = self._machine.bugcheck is not None

    def _tell_time(self) -> None:
        seconds = self._machine.seconds
        if seconds != self._seconds:
            self._seconds = seconds
            self._rows.tell_seconds(seconds)

    def _place_between(self, number: int) -> None:
        if self._done:
            before = self._rows.between.get(number, ())
            self._rows.between[number] = (*before, *self._done)
            self._done = []

    def _is_prevented(self, call: Call, inside: tuple[Node, ...]) -> bool:
        """Whether an onlooker kept the call from happening: nobody else raises what is foreign."""
        error = call.error
        if error is None or is_inside(type(error).__module__):
            return False
        return not any(isinstance(node, Ran) and node.error >= 0 for node in inside)

    def hear_inside(self, inside: Inside) -> None:
        """Write down what the program does in the middle of a call."""
        call = self._machine.hooks.call
        if call is None or inside.address in self._defaults:
            return
        nodes = self._inside.setdefault(call, [])
        if inside.what == "refused":
            nodes.append(Refused())
        elif not inside.is_over:
            nodes += self._done
            self._done = []
            if inside.address and inside.address not in self._routines:
                self._routines.add(inside.address)
                number = len(self._rows)  # of the row around it all, which comes next
                before = self._rows.between.get(number, ())
                placed = Done("routine", _NO_CONTEXT, (inside.address,))
                self._rows.between[number] = (*before, placed)
            self._ran.append((call, len(nodes)))
        else:
            _, start = self._ran.pop()
            nodes += self._done
            self._done = []
            within = tuple(nodes[start:])
            error = self._error_number(inside.error)
            result = number_of(inside.result) if _is_result(inside.result) else 0
            nodes[start:] = [Ran(inside.address, result, error, within)]

    @property
    def _defaults(self) -> frozenset[int]:
        routines = self._kernel.routines
        return routines.default_allocates | routines.default_frees

    def hear_change(self, change: Change) -> None:
        """Write down what the program maps without a call."""
        memory = self._machine.memory
        if change.what is Changed.BYTES:
            self._bytes_changed(change)
            return
        if change.what not in (Changed.MAPPED, Changed.UNMAPPED) or not self._is_program():
            return
        if change.what is Changed.UNMAPPED:
            self._did("unmap", change.address)
            return
        structure = memory.structure_at(change.address)
        if structure is not None:
            self._made(structure)
        else:
            region = memory.region_at(change.address)
            if region is not None:
                self._did(
                    "region",
                    region.address,
                    region.size,
                    self.blob(bytes(region.data).rstrip(b"\0")),
                    int(region.writable),
                    int(region.executable),
                )

    def _bytes_changed(self, change: Change) -> None:
        """Write down bytes that are others; only the last ones where nothing came between."""
        seen = self._machine.memory.peek_bytes(change.address, change.size)
        if seen is None:
            return
        last = self._done[-1] if self._done else None
        if last is not None and last.what == "bytes" and last.values[0] == change.address:
            number = last.values[1]
            if len(self._rows.blobs[number]) == len(seen):
                self._rows.blobs[number] = seen
                return
        self._did("bytes", change.address, self.blob(seen))

    def _made(self, structure: Structure) -> None:
        """A structure was made, and nobody has used it yet."""
        if isinstance(structure, LookasideList):
            self.list_number(structure)
        elif isinstance(structure, BuiltInList):
            if not self._has_io_lists:
                self._has_io_lists = True
                self._did("io_lists")
        else:
            self._did("word", structure.address, structure.image_size)

    def _is_program(self) -> bool:
        """Whether the program's own code runs, and no call's."""
        call = self._machine.hooks.call
        return call is None or bool(self._ran and self._ran[-1][0] is call)

    def _did(self, what: str, *values: Any) -> None:
        self._done.append(Done(what, self._context(), values))

    # --- the parts of a row --------------------------------------------------------------------

    def _shape_of(self, call: Call) -> tuple[int, tuple[int, ...]]:
        """The number of a call's shape, and its words."""
        kind: Kind = self._kinds[type(call)]
        if not self._has_idle and kind.call in (CreateProcess, EnterProcess):
            self._look_for_idle(call)
        key = kind.key(self, call)
        words = kind.operands(self, call)
        error = -1
        if call.error is not None:
            error = self._error_number(call.error)
        elif kind.has_result:
            words = (*words, kind.result(self, call.result))
        context = self._context() if self._program.running or self._dpcs else _NO_CONTEXT
        branch = call.branch
        short = type(call), key, context, branch, error, len(words)
        number = self._known.get(short)
        if number is None:
            name = type(call).__name__
            shape = Shape(
                name, context, key, "" if branch is None else branch.value, error, len(words)
            )
            number = self._known[short] = self._rows.shape_number(shape)
        return number, words

    def _stack_number(self, call: Call) -> int:
        if not self._source and call.error is None and self._kernel.ledger is None:
            return 0
        program = self._program
        image = program.running[-1] if program.running else None
        if image is None and self._kernel.drivers.all and type(call) is AllocateEntry:
            image = program.owner_of(call.lookaside.address)  # whose code the call runs as
        base = 0 if image is None else image.image_base
        if program.stack_provider is not None:
            return self._stacks.of_sites(tuple(program.stack_provider()), base)
        number = self._stacks.of_frames(_FRAMES_ABOVE)
        if not self._stacks.has_address(number, base):
            known = partial(program.known_address, image)
            self._stacks.ask_address(number, base, known, _FRAMES_ABOVE)
        return number

    def _context(self) -> int:
        program, dpcs = self._program, self._dpcs
        if not program.running and not dpcs:
            return _NO_CONTEXT
        images = tuple(image.image_base for image in program.running)
        return self._rows.context_number(Context(images, tuple(dpcs)))

    def _error_number(self, error: BaseException | None) -> int:
        return -1 if error is None else self._rows.error_number(failure_of(error))

    def _look_for_idle(self, call: Call) -> None:
        """The Idle process comes into being by being looked for."""
        made = call.result if isinstance(call, CreateProcess) else None
        if any(each.is_idle and each is not made for each in self._kernel.processes.all):
            self._has_idle = True
            self._did("idle")

    # --- what the kinds ask ----------------------------------------------------------------------

    def list_number(self, lookaside: ListOnMemory) -> int:
        """The number of a list, which is known from now on."""
        number = self._lists.get(id(lookaside))
        if number is None:
            number = self._lists[id(lookaside)] = len(self._held)
            self._held.append(lookaside)  # its id stays its own
            self._did(
                "list",
                number,
                lookaside.address,
                lookaside.name,
                lookaside.image_size,
                int(lookaside.is_embedded),
            )
        return number

    def routine_numbers(self, lookaside: ListOnMemory) -> tuple[int, int]:
        """The addresses of a list's own routines, 0 for a default."""
        fields = lookaside.peek()
        if fields is None:
            return 0, 0
        routines = self._kernel.routines
        allocate, free = fields.allocate_ex, fields.free_ex
        self._routines |= {allocate, free}
        return (
            0 if allocate in routines.default_allocates else allocate,
            0 if free in routines.default_frees else free,
        )

    def code_address(self, code: Any) -> int:
        """The address of a routine of the program's; 0 where it has none."""
        return self._kernel.routines.known_address(code)

    def blob(self, data: bytes) -> int:
        """The number of some bytes."""
        return self._rows.blob_number(data)


def frames_of(error: BaseException) -> tuple[CallSite, ...]:
    """The program's lines that an error came through, innermost first."""
    found = []
    trace = error.__traceback__
    while trace is not None:
        if not is_skipped(trace.tb_frame):
            found.append(site_of(trace.tb_frame.f_code, trace.tb_lineno))
        trace = trace.tb_next
    return tuple(reversed(found))


def held_lists(kernel: Kernel) -> list[LookasideList]:
    """The lists that a machine knows by itself, in an order that a copy has too."""
    found = {
        id(each): each
        for each in (*kernel.memory.structures(), *kernel.registry.all())
        if isinstance(each, LookasideList)
    }
    return sorted(found.values(), key=lambda each: each.address)


def failure_of(error: BaseException) -> Failure:
    """What a run says of an error."""
    kind = type(error)
    if isinstance(error, BugCheck):
        return Failure("BugCheck", error.message, (int(error.code), *error.parameters))
    if isinstance(error, NtStatusError):
        return Failure("NtStatusError", error.message, (int(error.status),))
    if isinstance(error, SanitizerError):
        return Failure("SanitizerError", f"{error.kind}: {error.message}", (error.address,))
    if isinstance(error, LookasideSimError):
        return Failure(kind.__name__, str(error))
    name = getattr(error, "replayed", f"{kind.__module__}.{kind.__qualname__}")
    return Failure(name, str(error))


def _is_result(result: object) -> bool:
    return result is None or isinstance(result, int)


def is_fresh(kernel: Kernel) -> bool:
    """Whether a machine is as its settings make it, but for structures that nobody has used."""
    settings = kernel.settings
    return (
        kernel.bugcheck is None
        and not kernel.seconds
        and not kernel.irql
        and not kernel.processor
        and not kernel.machine.program.running
        and not kernel.drivers.all
        and len(kernel.processes.all) == 1
        and not any(kernel.pool.statistics(each).peak_pages for each in kernel.pool.descriptors)
        and not any(True for _ in kernel.registry.all())
        and (kernel.verification is None) == (settings.verifier is None)
        and kernel.minimum_lookaside_depth == (0 if settings.verifier else MINIMUM_DEPTH)
        and not kernel.objects.timers
        and not kernel.objects.resources
        and not any(any(each.store_image()) for each in made_since(kernel))
    )


def made_since(kernel: Kernel) -> list[Structure]:
    """The structures that a machine has and its settings do not make as they are."""
    fresh = made_again(kernel.settings)
    images = {each.address: each.store_image() for each in fresh.memory.structures()}
    return sorted(
        (
            each
            for each in kernel.memory.structures()
            if images.get(each.address) != each.store_image()
        ),
        key=lambda each: each.address,
    )
