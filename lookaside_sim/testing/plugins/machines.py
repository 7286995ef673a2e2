"""The machine of one test: what it is made of, how it is watched, what is told of it.

The pytest plugin opens this module when a test asks for one of its fixtures, not before.
"""

from __future__ import annotations

import hashlib
import re
import sys
import unittest
from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack, contextmanager, suppress
from pathlib import Path
from types import NoneType
from typing import Any, Final

import pytest

from lookaside_sim import windbg
from lookaside_sim.errors import RunError
from lookaside_sim.kernel import Kernel
from lookaside_sim.lookaside.calls import FreeEntry
from lookaside_sim.lookaside.on_memory import ListOnMemory
from lookaside_sim.machine.call_site import HELPER
from lookaside_sim.page.failure import last_steps
from lookaside_sim.page.render import render
from lookaside_sim.run import Run, record
from lookaside_sim.testing.leaks import LeakTracker
from lookaside_sim.testing.plugins.modes import mode_of
from lookaside_sim.testing.plugins.settings import SETTINGS
from lookaside_sim.trace import Event, Recording
from lookaside_sim.verifier.settings import Verifier

__all__ = ["LEAKS", "Watched", "kernel_maker", "setting_of", "watched_machine"]

_LEFT_OUT: Final = 3
"""Calls that are told of those that a trace left out, the last ones."""
_MOST_STEPS: Final = 100_000
"""Steps of a run that a failing test is given time to make a page of."""
LEAKS: Final = ("error", "warn", "ignore")
"""What may be done about leaks."""
_MOST_NAME: Final = 150
"""Characters of a file's name, which systems limit to 255 bytes."""


def setting_of(request: pytest.FixtureRequest) -> dict[str, Any]:
    """What a test's machine is made with, and ``leaks``.

    The marker's word, else that of the mode the test runs in, else the option's, else the ini
    file's; what none of them says is left to `Kernel`.

    Args:
        request: of the test.

    Raises:
        pytest.UsageError: an argument that the marker does not have, or a wrong value.
    """
    config = request.config
    found: dict[str, Any] = {}
    names = (*SETTINGS, "leaks")
    for name in names:
        given = config.getoption(f"lookaside_{name}")
        if given is None:
            try:
                given = config.getini(f"lookaside_{name}")
            except (TypeError, ValueError, pytest.UsageError) as error:
                raise pytest.UsageError(f"ini file, lookaside_{name}: {error}") from None
        if given is not None:
            found[name] = given
    found.update(mode_of(request.node))
    # The closest marker comes first, and its word counts.
    for marker in reversed(list(request.node.iter_markers("lookaside"))):
        unknown = [*map(repr, marker.args), *sorted(marker.kwargs.keys() - set(names))]
        if unknown:
            raise pytest.UsageError(f"{_of(request)}: no such argument: {', '.join(unknown)}")
        found.update(marker.kwargs)
    for name, value in found.items():
        if name == "leaks":
            wrong, right = value not in LEAKS, f"one of {', '.join(LEAKS)}"
        else:
            wrong, right = _is_wrong(name, value)
        if wrong:
            raise pytest.UsageError(f"{_of(request)}: {name}={value!r}: give {right}")
    return found


def _is_wrong(name: str, value: Any) -> tuple[bool, str]:
    """Whether a value is of no kind that a setting takes, and what would be right."""
    if name == "verifier":
        known = value is None or isinstance(value, (bool, Verifier))
        return not known and value not in ("none", "standard"), "none, standard or a Verifier"
    kind, _ = SETTINGS[name]
    if kind is bool:
        return not isinstance(value, bool), "True or False"
    if kind is int and pytest.version_tuple < (8, 4) and isinstance(value, str):
        return not value.isdecimal(), "a number"  # pytest before 8.4 reads ini files as text
    if kind is int:
        return isinstance(value, bool) or not isinstance(value, (int, NoneType)), "a number"
    return not isinstance(value, str), "a name"


def _of(request: pytest.FixtureRequest) -> str:
    return f"marker or settings lookaside of {request.node.nodeid}"


def kernel_maker(request: pytest.FixtureRequest) -> Callable[[], Kernel]:
    """What makes a test's machines.

    Args:
        request: of the test.

    Raises:
        pytest.UsageError: settings that describe no machine.
    """
    settings = setting_of(request)
    del settings["leaks"]
    verifier = settings.get("verifier")
    if isinstance(verifier, (str, bool)):
        settings["verifier"] = Verifier.standard() if verifier in (True, "standard") else None
    for name, value in settings.items():
        if SETTINGS[name][0] is int and isinstance(value, str):
            settings[name] = int(value)

    def make() -> Kernel:
        try:
            return Kernel(**settings)
        except (TypeError, ValueError) as error:
            raise pytest.UsageError(f"{_of(request)}: {error}") from None

    return make


class TestRecording(Recording):
    """What a test does, as a trace; and all of it, as a run.

    Args:
        kernel: the test's machine.
        run: the run.

    Attributes:
        run: as given. It has what a trace cannot say, such as an entry that is freed to a list
            it does not come from.
    """

    __test__ = False  # no test of pytest's, whatever it is called

    def __init__(self, kernel: Kernel, run: Run) -> None:
        super().__init__(kernel)
        self.run = run
        self._dead: dict[int, tuple[int, ListOnMemory | None]] = {}

    def _freed(self, address: int, owner: ListOnMemory | None) -> None:
        """Record a free; one of what was freed before has the same id again."""
        identity, came_from = self._live.get(address) or self._dead.get(address, (0, None))
        if address not in self._live and identity and came_from is owner:
            self._add(Event(FreeEntry.word, self._time, identity))
            return
        self._dead[address] = identity, came_from
        super()._freed(address, owner)


class Watched:
    """A test's machine, and who listens to it.

    Args:
        kernel: the machine.
        tracker: knows who allocated what.
        title: what the test is called.

    Attributes:
        kernel: as given.
        tracker: as given.
        is_blamed: whether what was left behind has been reported already.
    """

    def __init__(self, kernel: Kernel, tracker: LeakTracker, title: str = "") -> None:
        self.kernel = kernel
        self.title = title
        self.tracker = tracker
        self.is_blamed = False
        self._recording: TestRecording | None = None
        self._saved: Path | None = None
        self._run: Run | None = None
        self._filming = ExitStack()
        self._has_page = False

    def blame(self) -> None:
        """What was left behind has been reported: say nothing of it at the end."""
        self.is_blamed = True

    @contextmanager
    def record(self) -> Iterator[Recording]:
        """Record what the test does inside, as a trace and as a run."""
        with record(self.kernel, self.title) as run:
            recording = self._recording = TestRecording(self.kernel, run)
            stop = self.kernel.listen(recording.hear)
            try:
                yield recording
            finally:
                stop()

    def film(self, title: str) -> ExitStack:
        """Record the test as a run, until the block that is given is left or a page is made.

        Args:
            title: of the run.
        """
        self._run = self._filming.enter_context(record(self.kernel, title))
        return self._filming

    def leaks(self) -> str | None:
        """The report of what was left behind, or None for nothing.

        That is memory, a raised IRQL, a lock that is held and the like. After a stop nothing can be
        freed, so nothing is blamed either.
        """
        if self.kernel.bugcheck is not None:
            return None
        leaks = self.tracker.leaks()
        return self.tracker.report(leaks) if leaks else None

    def state(self, error: BaseException | None) -> str:
        """The debugger's view, and where the addresses of a stop come from.

        Args:
            error: what the test failed with.
        """
        # Whatever the links say: they may be what the test overwrote.
        lists: list[Any] = self.tracker.lists or list(self.kernel.registry.all())
        lists = _concerned(lists, error) or lists
        lines = [repr(self.kernel), *(windbg.lookaside(each) for each in lists)]
        parameters: Sequence[object] = getattr(error, "parameters", ())
        address = getattr(error, "address", None)
        for each in dict.fromkeys([*parameters, address]):
            known = self.tracker.describe(each) if isinstance(each, int) else None
            if known is not None:
                lines.append(known)
        return "\n".join(lines)

    def save_trace(self, item: pytest.Item) -> str | None:
        """Save what was recorded, once.

        Args:
            item: the test, whose name the file gets.

        Returns:
            Where it is, and what of it a trace cannot say; None if nothing was recorded, or the
            file is written already.
        """
        if self._recording is None or self._saved is not None:
            return None
        self._saved = _file_of(item, ".jsonl")
        self._recording.save(self._saved, f"pytest {item.nodeid}")
        # Of a machine that the test had used before it asked for a trace there is no run.
        with suppress(RunError):
            self._recording.run.save(self._saved.with_suffix(".lkrun"))
        said = f"What the test did was saved as {self._saved}"
        for each in dict.fromkeys(self._recording.left_out[-_LEFT_OUT:]):
            said += f"\nA trace has no event for a {each}; the run beside it has it"
        return said

    def show(self, item: pytest.Item, *, failed: bool) -> str | None:
        """Write the page of the test's run, once, and say what is to be seen on it.

        Args:
            item: the test, whose name the file gets.
            failed: whether to open it at the end, and to tell the last steps.

        Returns:
            A few lines with the path; None if nothing happened, or nothing was recorded.
        """
        run = self._run
        if run is None or self._has_page or not len(run):
            return None
        self._has_page = True
        self._filming.close()
        lines = [last_steps(run)] if failed else []
        if len(run) <= _MOST_STEPS:
            path = _file_of(item, ".html")
            text = render(run, title=item.nodeid, step=-1 if failed else 0)
            path.write_text(text, "utf-8")
            lines.append(f"The run, to step through: {path}")
        else:  # on a fresh machine, so it can be saved
            path = _file_of(item, ".lkrun")
            run.save(path)
            lines.append(f"The run is long; lookaside-sim report shows it: {path}")
        return "\n".join(lines)


def _file_of(item: pytest.Item, suffix: str) -> Path:
    """Where a test leaves a file; its folder is there."""
    config = item.config
    given = config.getoption("lookaside_traces") or config.getini("lookaside_traces")
    folder = Path(config.rootpath, str(given))
    folder.mkdir(parents=True, exist_ok=True)
    return folder / f"{_file_name(item.nodeid)}{suffix}"


def _file_name(nodeid: str) -> str:
    """A file name for a test, which no other test has."""
    name = re.sub(r"[^\w.-]+", "-", nodeid).strip("-")[-_MOST_NAME:]
    if re.fullmatch(r"[\w./:]+", nodeid) and len(nodeid) <= _MOST_NAME:
        return name
    # What was replaced or cut off may be all that tells two tests apart.
    return f"{name}-{hashlib.sha256(nodeid.encode()).hexdigest()[:8]}"


def _concerned(lists: list[Any], error: BaseException | None) -> list[Any]:
    """The lists that an error is about; none where it does not say."""
    known = getattr(error, "lookaside", None)
    values = {each for each in getattr(error, "parameters", ()) if isinstance(each, int)}
    return [
        each
        for each in lists
        if each is known
        or any(each.address <= value < each.address + each.image_size for value in values)
    ]


def mark_helpers(config: pytest.Config) -> None:
    """Have the modules that the ini file names be helpers, whose lines are not told."""
    for name in config.getini("lookaside_helpers"):
        module = sys.modules.get(name)
        if module is not None:
            setattr(module, HELPER, True)


def watched_machine(request: pytest.FixtureRequest) -> tuple[str, Watched]:
    """Make the machine of a test; a ``unittest.TestCase`` gets it as an attribute.

    Args:
        request: of the test.

    Returns:
        What to do about leaks, and the machine, to which nobody listens yet.
    """
    mark_helpers(request.config)
    leaks: str = setting_of(request)["leaks"]
    kernel = kernel_maker(request)()
    if isinstance(request.instance, unittest.TestCase):
        request.instance.lookaside_kernel = kernel  # type: ignore[attr-defined]
    return leaks, Watched(kernel, LeakTracker(kernel), request.node.nodeid)
