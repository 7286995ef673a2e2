"""What happens to a machine: one value for each call, and who sees it.

A `Call` says what was asked, and once it is over how it ended. Three kinds of onlookers see it:

* a *check* sees it before it has an effect, and may stop the machine or refuse (the verifier's
  rules, the sanitizer);
* a *follower* sees it after it succeeded (the verifier's counters);
* a *listener* hears of it twice, when it begins and when it is over, also when it raised or
  stopped the machine. Any number of listeners may listen: recorders, leak trackers, a narrator.

Recorder, traces and the toolkit's programs use the same words (`Call.word`). What a call does
inside is no call of its own; what the program does inside a custom routine is, and knows the
call around it as `Call.outer`. What an argument no caller could pass raises, and the stop that a
machine which has stopped raises again, come before there is a call: nobody hears of them.

While nobody listens no list or pool call makes a value: hot paths ask one flag at most.
"""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator
from enum import Enum
from typing import Any, ClassVar, TypeVar, TypeVarTuple, dataclass_transform

import attrs

from lookaside_sim.errors import BugCheck, LookasideSimError, SanitizerError

Ts = TypeVarTuple("Ts")
R = TypeVar("R")
C = TypeVar("C", bound="Call")


class Branch(Enum):
    """Which way a list's routine went."""

    HIT = "hit"
    """An entry was taken off the list, or put on it."""
    MISS = "miss"
    """The list was empty, and its allocate routine was called."""
    FULL = "full"
    """The list was full, and its free routine was called."""


class Outcome(Enum):
    """How a call ended."""

    RETURNED = "returned"
    REFUSED = "refused"
    """It returned NULL or a status that is no success, or the sanitizer did not let it happen."""
    RAISED = "raised"
    """It raised a status or an error of this package."""
    STOPPED = "stopped"
    """It stopped the machine, with what it had done by then."""


def _make_and_call(self: Call, *values: Any, **named: Any) -> None:
    """Make the ``__init__`` of a kind of call, for this one and all later ones, and call it."""
    kind = type(self)
    fields = kind._fields
    arguments = [f"{each}=kind.{each}" if hasattr(kind, each) else each for each in fields]
    lines = [f"self.{each} = {each}" for each in fields] or ["pass"]
    source = f"def __init__({', '.join(['self', *arguments])}):\n " + "\n ".join(lines)
    scope: dict[str, Any] = {"kind": kind}
    exec(source, scope)
    kind.__init__ = scope["__init__"]  # type: ignore[method-assign]
    kind.__init__(self, *values, **named)


@dataclass_transform(eq_default=False)
class Call:
    """One call, as whoever looks on sees it.

    A kind of call says in annotations what was asked; those are what it is made with, in that
    order or by name, those of its bases first. The attributes below come later.

    Attributes:
        word: what it is called in traces and programs.
        result: what it returned; None while it runs, and where it returns nothing.
        error: what it raised, or None.
        branch: which way a list's routine went; None where there is no choice.
        outer: the call around it: it was made in that one's custom routine, or in an unload
            routine. None for a call of the program's own, and where that one was not told.
        inner_error: the last error that a call inside this one raised.
        is_over: whether it has ended.
    """

    word: ClassVar[str] = ""
    _fields: ClassVar[tuple[str, ...]] = ()
    result: Any = None
    error: BaseException | None = None
    branch: Branch | None = None
    outer: Call | None = None
    inner_error: BaseException | None = None
    is_over: bool = False

    # What attrs would do, but when the first of a kind is made: there are many kinds, and to
    # compile methods for all would be a good part of the price of importing the package.
    def __init_subclass__(cls) -> None:
        added = [
            name
            for name, kind in cls.__annotations__.items()  # its own; texts
            if not kind.startswith("ClassVar")
        ]
        cls._fields = (*cls._fields, *added)
        cls.__init__ = _make_and_call  # type: ignore[assignment,method-assign]

    def __repr__(self) -> str:
        shown = ("result", "error", "branch", *self._fields)
        values = (f"{name}={getattr(self, name)!r}" for name in shown)
        return f"{type(self).__name__}({', '.join(values)})"

    @property
    def is_refused(self) -> bool:
        """Whether the result says no."""
        return False

    @property
    def outcome(self) -> Outcome | None:
        """How it ended; None while it runs."""
        if not self.is_over:
            return None
        if isinstance(self.error, BugCheck):
            return Outcome.STOPPED
        if isinstance(self.error, SanitizerError) and self.error is not self.inner_error:
            return Outcome.REFUSED
        if self.error is not None:
            return Outcome.RAISED
        return Outcome.REFUSED if self.is_refused else Outcome.RETURNED


Listener = Callable[[Call], object]
"""Called with a call when it begins, and once more when it is over (`Call.is_over`)."""


class ReadMemory(Call):
    """`Kernel.read`; told only to listeners that asked for reads."""

    word: ClassVar[str] = "read"
    address: int
    size: int


class WriteMemory(Call):
    """`Kernel.write`."""

    word: ClassVar[str] = "write"
    address: int
    data: bytes

    @property
    def size(self) -> int:
        """Bytes written."""
        return len(self.data)


class TouchMemory(Call):
    """`Kernel.touch_fault`: the program touches memory that is not there.

    Attributes:
        address: what is touched.
        operation: READ, WRITE or EXECUTE.
    """

    word: ClassVar[str] = "touch"
    address: int
    operation: int


class StopMachine(Call):
    """The machine stops, and no call is under way: how a run says so. No listener is told.

    Attributes:
        code: the stop code.
        parameters: its four parameters.
        message: one sentence on what happened.
    """

    word: ClassVar[str] = "stop"
    code: int
    parameters: tuple[int, ...]
    message: str


class Tick(Call):
    """`Kernel.tick`: seconds pass."""

    word: ClassVar[str] = "tick"
    seconds: int


class RaiseIrql(Call):
    """KeRaiseIrql. The result is the level before."""

    word: ClassVar[str] = "irql"
    level: int


class LowerIrql(Call):
    """KeLowerIrql."""

    word: ClassVar[str] = "irql"
    level: int


class SwitchProcessor(Call):
    """Another processor runs from now on."""

    word: ClassVar[str] = "processor"
    number: int


class InitializeLock(Call):
    """A word becomes a spin lock that is free.

    Attributes:
        lock: address of the KSPIN_LOCK.
        name: of the lock, for messages.
    """

    word: ClassVar[str] = "lock"
    lock: int
    name: str


class AcquireLock(Call):
    """A spin lock is acquired. The result is the IRQL before.

    Attributes:
        lock: address of the KSPIN_LOCK.
        name: of the lock, for messages.
        at_dpc_level: whether the IRQL stays as it is.
    """

    word: ClassVar[str] = "acquire"
    lock: int
    name: str
    at_dpc_level: bool


class ReleaseLock(Call):
    """A spin lock is let go.

    Attributes:
        lock: address of the KSPIN_LOCK.
        name: of the lock, for messages.
        at_dpc_level: whether the IRQL stays as it is.
        irql: the level afterwards.
    """

    word: ClassVar[str] = "release"
    lock: int
    name: str
    at_dpc_level: bool
    irql: int


@attrs.frozen
class IrqlChange:
    """The IRQL has become another one: seen by followers, no call of its own.

    Attributes:
        old: the level before.
        new: the level now.
        by_spin_lock: whether acquiring a spin lock raised it.
    """

    old: int
    new: int
    by_spin_lock: bool


@attrs.define(eq=False)
class Inside:
    """Something that happens in the middle of a call, where the program has a say.

    Told to `Hooks.accompany` alone: nothing that NT does is a call here.

    Attributes:
        what: "routine" where the program's own code is called: an allocate or free routine of
            a list, an unload routine; "refused" where a request for pool was let fail.
        address: of the routine; 0 for an unload routine and for a request.
        result: what the routine returned; None while it runs.
        error: what it raised, or None.
        is_over: whether it has ended.
    """

    what: str
    address: int = 0
    result: Any = attrs.field(default=None, init=False)
    error: BaseException | None = attrs.field(default=None, init=False)
    is_over: bool = attrs.field(default=False, init=False)


class _Innermost(threading.local):
    """The innermost call of each thread: who simulates processors runs each in its own."""

    call: Call | None = None


class Hooks:
    """Who looks on at the calls of one machine.

    What a listener raises goes up to whoever made the call. Raised while the call begins, it
    keeps the call from happening; raised when it is over, the call's effect stays. Either way
    every other listener is told, and what was raised is the call's error only in the first case.

    Args:
        changed: called when the first listener comes and when the last one goes.

    Attributes:
        listening: whether anybody listens: the one look on paths that matter.
        takes_turns: whether threads hand over to each other inside calls, as those of
            `Kernel.step_through` do. Otherwise a second one that calls meanwhile is refused.
    """

    __slots__ = (
        "_changed",
        "_checks",
        "_company",
        "_followers",
        "_innermost",
        "_listeners",
        "_readers",
        "_thread",
        "listening",
        "takes_turns",
    )

    def __init__(self, changed: Callable[[], None]) -> None:
        self._changed = changed
        self._checks: dict[type[Any], list[Callable[[Any], None]]] = {}
        self._followers: dict[type[Any], list[Callable[[Any], None]]] = {}
        self._listeners: tuple[Listener, ...] = ()
        self._readers: tuple[Listener, ...] = ()
        self._company: tuple[Callable[[Inside], object], ...] = ()
        self._innermost: _Innermost | None = None  # made for the first listener
        self._thread = 0
        self.listening = False
        self.takes_turns = False

    # --- who looks on ----------------------------------------------------------------------

    def check(self, kind: type[C], check: Callable[[C], None]) -> None:
        """Have a function see each call of a kind before it has an effect."""
        self._checks.setdefault(kind, []).append(check)

    def follow(
        self, kind: type[R], follower: Callable[[R], None], *, first: bool = False
    ) -> None:
        """Have a function see each call of a kind after it succeeded.

        Args:
            kind: of call.
            follower: the function.
            first: whether it sees the call before those that follow already.
        """
        followers = self._followers.setdefault(kind, [])
        followers.insert(0 if first else len(followers), follower)

    def listen(self, listener: Listener, *, reads: bool = False) -> Callable[[], None]:
        """Tell a listener of every call from now on, also on a machine that has stopped.

        A call that runs already is not told. Whoever ends it inside a call hears no more of
        that call either.

        Args:
            listener: who.
            reads: whether `ReadMemory` is told too.

        Returns:
            Ends it; calling it again does nothing.
        """
        if not callable(listener):
            raise TypeError(f"listener {listener!r}: give a callable that takes a Call")
        listens = True

        # A handle of its own for each: one function may listen twice.
        def heard(call: Call) -> None:
            if listens:
                listener(call)

        self._set((*self._listeners, heard), (*self._readers, *([heard] if reads else [])))

        def stop() -> None:
            nonlocal listens
            listens = False
            self._set(
                tuple(each for each in self._listeners if each is not heard),
                tuple(each for each in self._readers if each is not heard),
            )

        return stop

    def accompany(self, companion: Callable[[Inside], object]) -> Callable[[], None]:
        """Tell somebody of what the program does in the middle of calls.

        Args:
            companion: called with an `Inside` when it begins and once more when it is over.

        Returns:
            Ends it; calling it again does nothing.
        """

        def told(inside: Inside) -> None:
            companion(inside)

        self._company = (*self._company, told)

        def stop() -> None:
            self._company = tuple(each for each in self._company if each is not told)

        return stop

    def forget_listeners(self) -> None:
        """Nobody listens any more, and no call is under way."""
        self._thread = 0
        self._innermost = None
        self._company = ()
        self._set((), ())

    def _set(self, listeners: tuple[Listener, ...], readers: tuple[Listener, ...]) -> None:
        self._listeners, self._readers = listeners, readers
        listening = bool(listeners)
        if listening and self._innermost is None:
            self._innermost = _Innermost()
        if listening != self.listening:
            self.listening = listening
            self._changed()

    @property
    def hears_reads(self) -> bool:
        """Whether a read has to be told."""
        return bool(self._readers)

    # --- calls -----------------------------------------------------------------------------

    @property
    def call(self) -> Call | None:
        """The innermost call that runs and is told, None while nobody listens."""
        innermost = self._innermost
        return innermost.call if self.listening and innermost is not None else None

    def run(self, call: Call, do: Callable[[*Ts], R], *args: *Ts) -> R:
        """Let a call happen: tell that it begins, check it, do it, tell how it ended.

        Args:
            call: what is asked.
            do: does it; its result is the call's.
            *args: for ``do``.

        Returns:
            What ``do`` returned.

        Raises:
            LookasideSimError: a call of another thread is under way; nothing happened.
        """
        thread, before = threading.get_ident(), self._thread
        if before not in (0, thread) and not self.takes_turns:
            raise LookasideSimError(
                f"{call.word or type(call).__name__!r} was called while a call of another thread"
                " is under way on this machine: a kernel is for one thread at a time. Give each"
                " thread a kernel of its own, or lock around the calls"
            )
        self._thread = thread
        try:
            return self._run(call, do, *args)
        finally:
            self._thread = before

    def _run(self, call: Call, do: Callable[[*Ts], R], *args: *Ts) -> R:
        if not self.listening:
            for check in self._checks.get(type(call), ()):
                check(call)
            result = do(*args)
            for follower in self._followers.get(type(call), ()):
                follower(call)
            return result
        listeners = self._readers if type(call) is ReadMemory else self._listeners
        innermost = self._innermost
        assert innermost is not None, "somebody listens"
        outer = call.outer = innermost.call
        innermost.call = call
        rest = iter(listeners)
        try:
            for listener in rest:
                listener(call)
            if self._checks:
                for check in self._checks.get(type(call), ()):
                    check(call)
            result = call.result = do(*args)
            if self._followers:
                for follower in self._followers.get(type(call), ()):
                    follower(call)
        except BaseException as error:
            call.error = error
            if outer is not None:
                outer.inner_error = error
            _tell_the_rest(call, rest)
            raise
        finally:
            innermost.call = outer
            call.is_over = True
            rest = iter(listeners)
            try:
                for listener in rest:
                    listener(call)
            except BaseException:
                _tell_the_rest(call, rest)
                raise
        return result

    def run_inside(self, address: int, routine: Callable[[*Ts], R], *args: *Ts) -> R:
        """Let the program's own code run in the middle of a call, and tell who goes along.

        Args:
            address: of the routine, 0 for an unload routine.
            routine: the code.
            *args: for it.

        Returns:
            What it returned.
        """
        company = self._company
        if not company:
            return routine(*args)
        inside = Inside("routine", address)
        for each in company:
            each(inside)
        try:
            result = inside.result = routine(*args)
        except BaseException as error:
            inside.error = error
            raise
        finally:
            inside.is_over = True
            for each in company:
                each(inside)
        return result

    def tell_refused(self) -> None:
        """A request for pool was let fail, as the program wanted."""
        inside = Inside("refused")
        inside.is_over = True
        for each in self._company:
            each(inside)

    def happened(self, change: object) -> None:
        """Let followers see what is no call of its own."""
        for follower in self._followers.get(type(change), ()):
            follower(change)


def _tell_the_rest(call: Call, rest: Iterator[Listener]) -> None:
    """Tell those listeners of a call whose turn would have come after one that raised."""
    try:
        for listener in rest:
            listener(call)
    except BaseException:
        _tell_the_rest(call, rest)
        raise
