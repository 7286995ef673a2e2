"""A run: what was done with a machine, call by call, and the machine at every point of it."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any, Final

from lookaside_sim.errors import RunError
from lookaside_sim.kernel import Kernel, made_again
from lookaside_sim.lookaside.list import LookasideList
from lookaside_sim.machine.calls import Branch, Outcome
from lookaside_sim.nt.arguments import text, unsigned
from lookaside_sim.nt.layouts import architecture
from lookaside_sim.parts import KernelSettings
from lookaside_sim.rooms import as_html
from lookaside_sim.run import file
from lookaside_sim.run.edits import Edit
from lookaside_sim.run.film import Film
from lookaside_sim.run.machines import Machines
from lookaside_sim.run.player import Player
from lookaside_sim.run.recorder import Recorder, held_lists, is_fresh
from lookaside_sim.run.rows import Refused, Rows
from lookaside_sim.run.search import Search, Wanted
from lookaside_sim.run.sites import Stacks
from lookaside_sim.run.state import State, look
from lookaside_sim.run.step import Step, StepMaker
from lookaside_sim.run.suspects import suspects_of
from lookaside_sim.run.traces import rows_of_trace, trace_of
from lookaside_sim.run.watch import (
    Access,
    Watch,
    bytes_at,
    field_of,
    list_named,
    reads_of,
    writes_to,
)
from lookaside_sim.trace.event import Event
from lookaside_sim.trace.recorder import Recording

_FAR: Final = 256
"""Steps that a film rather plays than being made anew."""


class Run(Sequence[Step]):
    """What was done with one machine. Made by `record`, `Run.load` or `Run.from_trace`.

    A run is a sequence of its steps: the calls of the program, in order. *Position* i is where
    the machine stands after i steps, 0 to the number of steps.

    Args:
        settings: what the machine was made with.
        rows: the calls.
        stacks: where they were made.
        title: one line on what it shows.
        base: the machine at position 0, where it is not a fresh one.

    Attributes:
        title: as given; may be set.
        notes: texts by position, in order.
        file: where it was loaded from or saved to last, or None.
    """

    def __init__(
        self,
        settings: KernelSettings,
        rows: Rows,
        stacks: Stacks,
        *,
        title: str = "",
        base: Kernel | None = None,
    ) -> None:
        self.title = title
        self.notes: dict[int, list[str]] = {}
        self.file: Path | None = None
        self._settings = settings
        self._rows = rows
        self._stacks = stacks
        self._base = base
        self._maker = StepMaker(rows, stacks)
        self._machines: Machines | None = None
        self._film: Film | None = None
        self._film_at = -1
        self._film_edits: tuple[Edit, ...] = ()

    # --- steps -------------------------------------------------------------------------------

    @property
    def settings(self) -> dict[str, Any]:
        """The arguments of `Kernel` it began with."""
        return self._settings._asdict()

    @property
    def steps(self) -> Sequence[Step]:
        """The steps: the run itself."""
        return self

    def __len__(self) -> int:
        return len(self._rows)

    def __getitem__(self, index: Any) -> Any:
        if isinstance(index, slice):
            return [self._step(each) for each in range(*index.indices(len(self)))]
        number = index + len(self) if index < 0 else index
        if not 0 <= number < len(self):
            raise IndexError(f"step {index}: the run has {len(self)} steps")
        return self._step(number)

    def __iter__(self) -> Iterator[Step]:
        self._know_lists()
        for number, row in self._rows.walk(0, len(self)):
            yield self._maker.step(number, row)

    def _step(self, number: int) -> Step:
        self._know_lists()
        return self._maker.step(number, self._rows.row(number))

    def _know_lists(self) -> None:
        """Find the address of each list: those of the machine at the start, then those made."""
        known = [] if self._base is None else [each.address for each in held_lists(self._base)]
        self._maker.list_addresses = [*known, *self._rows.lists_made()]

    @property
    def list_names(self) -> dict[int, str]:
        """The names of the lists that were made, by address; the last one where several lay."""
        base = [] if self._base is None else held_lists(self._base)
        return {
            **{each.address: each.name for each in base},
            **dict(self._rows.names_made()),
        }

    @property
    def stop(self) -> Step | None:
        """The step that stopped the machine, the last one; None where none did."""
        last = self._step(len(self) - 1) if len(self) else None
        return last if last is not None and last.outcome is Outcome.STOPPED else None

    @property
    def rows(self) -> Rows:
        """The calls in columns, for whoever searches them all."""
        return self._rows

    @property
    def stacks(self) -> Stacks:
        """Where the calls were made."""
        return self._stacks

    # --- machines ------------------------------------------------------------------------------

    def machine(self, position: int) -> Kernel:
        """The machine after so many steps; a new one for each call, the caller's own.

        Args:
            position: 0 to the number of steps.

        Raises:
            RunError: the replay came out otherwise than the recording.
            IndexError: no such position.
        """
        return self._player(position).kernel

    def state(self, position: int) -> State:
        """What views show of the machine after so many steps."""
        player = self._player(position)
        return look(player.kernel, player.block)

    def edits(self, number: int) -> tuple[Edit, ...]:
        """What a step changed of the state, as edits that can be undone.

        Played one after the other on ``state(0)``, the edits of the steps before i give
        ``state(i)``.

        Args:
            number: of the step.

        Raises:
            RunError: the replay came out otherwise than the recording.
            IndexError: no such step.
        """
        if not 0 <= number < len(self):
            raise IndexError(f"step {number}: the run has {len(self)} steps")
        if number == self._film_at - 1:
            return self._film_edits
        for _, edits in self._edits_from(number, number + 1):
            return edits
        raise AssertionError("there is one step to play")

    def all_edits(
        self, start: int = 0, end: int | None = None
    ) -> Iterator[tuple[int, tuple[Edit, ...]]]:
        """The edits of the steps of a range with the steps' numbers; cheaper than one by one."""
        return self._edits_from(start, len(self) if end is None else end)

    def _edits_from(self, start: int, end: int) -> Iterator[tuple[int, tuple[Edit, ...]]]:
        film = self._film
        if film is None or not self._film_at <= start <= self._film_at + _FAR:
            film = self._film = Film(self._player(start))
            self._film_at = start
        self._film = None  # whoever walks on meanwhile has one of its own
        begin = self._film_at
        for number, row in self._rows.walk(begin, end):
            with film.player.playing():
                edits = film.play(number, row)
            if number >= start:
                if number == end - 1:
                    self._film, self._film_at, self._film_edits = film, end, edits
                yield number, edits

    # --- looking for steps, watching values ----------------------------------------------------

    def find(
        self,
        *,
        word: str | None = None,
        routine: str | None = None,
        branch: Branch | None = None,
        outcome: Outcome | None = None,
        address: int | None = None,
        obj: str | int | None = None,
        start: int | None = None,
        back: bool = False,
    ) -> Step | None:
        """Find the next step, or the one before, that is all that is asked for.

        Args:
            word: what traces call it, such as ``"free"``.
            routine: documented name.
            branch: which way a list's routine went.
            outcome: how it ended.
            address: what it takes or returns, or a byte that it reads or writes.
            obj: name or address of the list it is on.
            start: the position to look from: forward at the steps from there on, back at
                those before it. None is the beginning, or the end where it goes back.
            back: whether to look back.

        Returns:
            The step; one that has it inside, in a routine of the program's. None for none.

        Raises:
            LookasideSimError: no list has that name.
        """
        self._know_lists()
        at = None if obj is None else self._address_of(obj)
        wanted = Wanted(word, routine, branch, outcome, address, at)
        search = Search(self._rows, self._maker, wanted)
        for number in search.numbers(self._start(start, back), back=back):
            return self._step(number)
        return None

    def changes(
        self,
        obj: str | int | None,
        field: str,
        *,
        start: int | None = None,
        back: bool = False,
    ) -> Iterator[tuple[int, int | None, int | None]]:
        """Walk over the steps that changed a field.

        Args:
            obj: name or address of a list; None for the machine.
            field: NT's name, see `lookaside_sim.run.state`; of the machine ``"Seconds"``,
                ``"Irql"`` or ``"Processor"``.
            start: the position to walk from; None for the beginning, or the end for back.
            back: whether to walk back.

        Yields:
            The number of a step, the value before and the value after it; None while there is
            no such list.

        Raises:
            LookasideSimError: no list has that name.
            ValueError: no such field.
            RunError: the replay came out otherwise than the recording.
        """
        address = None if obj is None else self._address_of(obj)
        watch = Watch(self._rows, self._player, field_of(address, field))
        return watch.changes(self._start(start, back), back=back)

    def accesses(
        self,
        address: int,
        size: int = 8,
        *,
        reads: bool = False,
        start: int | None = None,
        back: bool = False,
    ) -> Iterator[Access]:
        """Walk over the steps that wrote, or read, some bytes.

        A step wrote them when they are others afterwards, whoever it was: the program, a list's
        link, the pool; or when the program wrote the same bytes again.

        Args:
            address: of the first byte.
            size: how many.
            reads: whether reads count: those of the program, and of the link of an entry that
                is taken off a list.
            start: the position to walk from; None for the beginning, or the end for back.
            back: whether to walk back.

        Raises:
            RunError: the replay came out otherwise than the recording.
        """
        bits = architecture(self._settings.arch).address_bits
        address, size = unsigned("address", address, bits), unsigned("size", size, bits)
        wrote = writes_to(address, size)
        read = reads_of(address, size, architecture(self._settings.arch).pointer_size)
        touches = (lambda row: wrote(row) or read(row)) if reads else wrote
        known = None
        if not reads and self._base is None:
            arch = architecture(self._settings.arch)
            known = suspects_of(self._rows, self._settings, arch, address, size)
        watch = Watch(self._rows, self._player, bytes_at(address, size), touches, known)
        for number, old, new in watch.changes(self._start(start, back), back=back):
            kind = "w" if old != new or wrote(self._rows.row(number)) else "r"
            yield Access(self._step(number), kind, address, old, new)

    def history(self, address: int, size: int = 8, *, reads: bool = False) -> list[Access]:
        """Every step that wrote, or read, some bytes, in order; see `accesses`."""
        return list(self.accesses(address, size, reads=reads))

    def _start(self, start: int | None, back: bool) -> int:
        if start is None:
            return len(self) if back else 0
        if not 0 <= start <= len(self):
            raise IndexError(f"start {start}: give a position, 0 to {len(self)}")
        return start

    def _address_of(self, obj: str | int) -> int:
        return list_named(self._rows, self._base, obj) if isinstance(obj, str) else obj

    # --- machines of its own ---------------------------------------------------------------------

    def _player(self, position: int) -> Player:
        if not 0 <= position <= len(self):
            raise IndexError(f"position {position}: give 0 to {len(self)}")
        if self._machines is None:
            self._machines = Machines(self._rows, self._first_player())
        player = self._machines.player(position)
        if position == len(self):
            with player.playing():
                player.do_between(position)
        return player

    def _first_player(self) -> Player:
        lists: list[LookasideList] = []
        if self._base is None:
            kernel = made_again(self._settings)
        else:
            kernel, lists = self._base.clone_along(held_lists(self._base))
        kernel.pool.leave_model()  # which every copy of the machine would make anew
        fresh = self._base is None
        player = Player(kernel, self._rows, self._stacks, lists, self.name, is_tame=fresh)
        if not fresh:
            player.know_blocks()
        if any(map(_has_refusals, self._rows.inside.values())):
            player.watch_refusals()
        return player

    @property
    def name(self) -> str:
        """What errors call it: its file, or its title."""
        return str(self.file) if self.file is not None else self.title or "run"

    # --- notes, files ----------------------------------------------------------------------------

    def note(self, note: str, position: int | None = None) -> None:
        """Put a text beside a position.

        Args:
            note: the text.
            position: where; None for where the run ends now.
        """
        note = text("note", note)
        position = len(self) if position is None else position
        if not 0 <= position <= len(self):
            raise IndexError(f"position {position}: give 0 to {len(self)}")
        self.notes.setdefault(position, []).append(note)

    @property
    def sources(self) -> dict[str, str]:
        """Texts of the source files that made calls, by `Site.path`, as far as they are kept."""
        return self._stacks.texts

    def save(self, path: str | Path) -> None:
        """Write the run to a file.

        Args:
            path: of the file, by custom ``*.lkrun``.

        Raises:
            RunError: it did not begin on a fresh machine.
            OSError: the file cannot be written.
        """
        if self._base is not None:
            raise RunError(
                self.name,
                0,
                "it began on a machine that had been used, which no file can hold: begin the"
                " recording before the first call on a new Kernel",
            )
        file.save(Path(path), self.title, self._settings, self.notes, self._rows, self._stacks)
        self.file = Path(path)

    @classmethod
    def load(cls, path: str | Path) -> Run:
        """Read a run from a file.

        Raises:
            RunError: the file is no run, or a damaged one; with file, position and reason.
            OSError: it cannot be read.
        """
        loaded = file.load(Path(path))
        run = cls(loaded.settings, loaded.rows, loaded.stacks, title=loaded.title)
        run.notes = loaded.notes
        run.file = Path(path)
        return run

    @classmethod
    def from_trace(
        cls,
        trace: str | Path | Iterable[Event],
        *,
        lookaside: Iterable[int] = (),
        title: str = "",
        kernel: Kernel | None = None,
        partial: bool = False,
    ) -> Run:
        """Make a run of a trace by replaying it.

        Args:
            trace: a file of any format that `lookaside_sim.trace` reads, or events.
            lookaside: sizes in bytes that get lists, see `lookaside_sim.trace.replay`.
            title: one line on what it shows; of a file its name.
            kernel: the machine, a fresh one; None for one with the defaults.
            partial: whether a file that ends in the middle is read until there.

        Returns:
            The run. Where the machine stopped, the call that stopped it is the last step.

        Raises:
            TraceError: a file that is no trace, or an event that cannot follow those before.
            ValueError: a size that no list can have.
            OSError: the file cannot be read.
        """
        if not title and isinstance(trace, (str, Path)):
            title = Path(trace).name
        machine = Kernel() if kernel is None else kernel
        base = None if is_fresh(machine) else machine.clone()
        options = {"partial": partial} if isinstance(trace, (str, Path)) else {}
        rows, stacks = rows_of_trace(trace, machine, lookaside, **options)
        return cls(machine.settings, rows, stacks, title=text("title", title), base=base)

    def trace(self) -> Recording:
        """The run as a trace: what `lookaside_sim.trace.record` would have recorded.

        A trace cannot say all that a run can; what is left out, it says in words.

        Raises:
            RunError: the replay came out otherwise than the recording.
        """
        return trace_of(self._player(0), self._rows)

    _repr_html_ = as_html

    def __repr__(self) -> str:
        return f"<Run {self.title!r} of {len(self)} steps>"


def _has_refusals(inside: Any) -> bool:
    return any(
        isinstance(node, Refused) or _has_refusals(getattr(node, "inside", ()))
        for node in inside
    )


@contextmanager
def record(kernel: Kernel, title: str = "", *, source: bool = True) -> Iterator[Run]:
    """Record what is done with a machine inside the ``with`` block, as a run.

    The run grows while the block is open. What leaves the block, a stop too, leaves it; the
    call that raised it is then the last step, with what it did.

    Args:
        kernel: the machine. One that has been used already becomes position 0, and the run
            cannot be saved then.
        title: one line on what the run shows.
        source: whether each step knows the program's lines that made it.

    Yields:
        The run, which stays when the block is left.

    Raises:
        BugCheck: the machine has stopped already.
        LookasideSimError: a call is under way on it.
        RunError: when the block is left: calls overlapped, as threads of `step_through` make
            them.
    """
    kernel.check_running()
    rows, stacks = Rows(), Stacks()
    base = None if is_fresh(kernel) else kernel.clone()
    run = Run(kernel.settings, rows, stacks, title=text("title", title), base=base)
    recorder = Recorder(kernel, rows, stacks, source=source)
    recorder.begin()
    try:
        yield run
    finally:
        recorder.end()
        if source:
            stacks.keep_texts()
    recorder.check_whole(run.name)
