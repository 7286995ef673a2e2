"""The pytest plugin of lookaside_sim: fixtures, a marker, options.

Pytest loads it in every project of an environment, and the package opens its rooms late:
the simulator is imported when a test asks for one of the fixtures, not before.
"""

from __future__ import annotations

import inspect
import re
import warnings
from collections.abc import Callable, Generator, Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

import pytest

if TYPE_CHECKING:
    from lookaside_sim import Kernel, LookasideList
    from lookaside_sim.testing.faults import FaultInjector
    from lookaside_sim.testing.leaks import LeakTracker
    from lookaside_sim.trace import Recording

_MARKER = (
    'lookaside(arch="x64", processors=1, verifier=None, sanitizer=False, leaks="error"): the'
    " machine that the fixture lookaside_kernel makes, and what to do about leaks"
    ' ("error", "warn" or "ignore")'
)
_LEAKS = ("error", "warn", "ignore")


class LookasideLeakWarning(UserWarning):
    """A test left memory behind, and was told only to warn about it."""


class _Setting(NamedTuple):
    """What a test's machine is made of."""

    arch: str = "x64"
    processors: int = 1
    verifier: Any = None
    sanitizer: bool = False
    leaks: str = "error"


class _Watched:
    """A test's machine, and who listens to it."""

    def __init__(self, kernel: Kernel, tracker: LeakTracker) -> None:
        self.kernel = kernel
        self.tracker = tracker
        self.recording: Recording | None = None
        self.saved: Path | None = None


_watched_key = pytest.StashKey[_Watched]()
_failed_key = pytest.StashKey[bool]()


def pytest_addoption(parser: pytest.Parser) -> None:
    """Add the options and their ini defaults."""
    group = parser.getgroup("lookaside", "lookaside lists (lookaside_sim)")
    group.addoption("--lookaside-arch", choices=("x64", "x86"), help="simulated machine")
    group.addoption("--lookaside-processors", type=int, help="number of its processors")
    group.addoption(
        "--lookaside-verifier",
        choices=("none", "standard"),
        help="run it under Driver Verifier's standard checks",
    )
    group.addoption(
        "--lookaside-sanitizer",
        action="store_true",
        default=None,
        help="stop at misuse that NT does not notice",
    )
    group.addoption("--lookaside-leaks", choices=_LEAKS, help="what to do about leaks")
    group.addoption(
        "--lookaside-traces", metavar="DIR", help="where failing tests leave their traces"
    )
    parser.addini("lookaside_arch", "simulated machine: x64 or x86", default="x64")
    parser.addini("lookaside_processors", "number of its processors", default="1")
    parser.addini("lookaside_verifier", "none or standard", default="none")
    parser.addini("lookaside_sanitizer", "stop at any misuse", type="bool", default=False)
    parser.addini("lookaside_leaks", "error, warn or ignore", default="error")
    parser.addini(
        "lookaside_traces",
        "where failing tests leave their traces",
        default="lookaside-traces",
    )


def pytest_configure(config: pytest.Config) -> None:
    """Register the marker."""
    config.addinivalue_line("markers", _MARKER)


# --- fixtures ------------------------------------------------------------------------------


@pytest.fixture
def lookaside_kernel(request: pytest.FixtureRequest) -> Iterator[Kernel]:
    """A fresh simulated machine; at the end nothing may be allocated on it any more.

    In a ``unittest.TestCase`` it is also ``self.lookaside_kernel``.
    """
    import unittest

    from lookaside_sim.testing.leaks import LeakTracker

    setting = _setting(request)
    kernel = _make_kernel(setting)
    with LeakTracker(kernel) as tracker:
        request.node.stash[_watched_key] = _Watched(kernel, tracker)
        if isinstance(request.instance, unittest.TestCase):
            request.instance.lookaside_kernel = kernel  # type: ignore[attr-defined]
        yield kernel
        _check_leaks(request.node, tracker, setting.leaks)


@pytest.fixture
def lookaside_list(lookaside_kernel: Kernel) -> Iterator[Callable[..., LookasideList]]:
    """Make lookaside lists on the test's machine; they are deleted at its end.

    Called as ``lookaside_list(size=32, tag=b"test", name="", ...)``, with what
    `LookasideList.initialize` takes; the list is initialized, or the call fails.
    """
    from lookaside_sim import InitError, LookasideList

    made: list[LookasideList] = []

    def make(
        size: int = 32, *, tag: Any = b"test", name: str = "", **options: Any
    ) -> LookasideList:
        lookaside = LookasideList(lookaside_kernel, name)
        status = lookaside.initialize(size=size, tag=tag, **options)
        if not status.is_success:
            raise InitError(status, f"lookaside_list(size={size}, tag={tag!r}, ...)")
        made.append(lookaside)
        return lookaside

    yield make
    for lookaside in made:
        if lookaside.is_active and lookaside_kernel.bugcheck is None:
            lookaside.delete()


@pytest.fixture
def lookaside_trace(
    request: pytest.FixtureRequest, lookaside_kernel: Kernel
) -> Iterator[Recording]:
    """Record what the test does; a failing test leaves the trace as a file and says where."""
    from lookaside_sim.trace import Recording

    watched = request.node.stash[_watched_key]
    recording = watched.recording = Recording(lookaside_kernel)
    stop = lookaside_kernel.listen(recording.hear)
    yield recording
    stop()


@pytest.fixture
def lookaside_faults(lookaside_kernel: Kernel) -> Iterator[FaultInjector]:
    """Make requests to the test's pools fail: the n-th, the next ones, or all."""
    from lookaside_sim.testing.faults import FaultInjector

    injector = FaultInjector(lookaside_kernel)
    yield injector
    injector.remove()


@pytest.fixture
def lookaside_each_fault(request: pytest.FixtureRequest) -> Callable[..., int]:
    """Run a function once for each allocation it makes, with that one refused.

    Called as ``lookaside_each_fault(test)``, where ``test(kernel, faults)`` is as for
    `lookaside_sim.testing.fail_each_allocation`.
    """
    from lookaside_sim.testing.faults import fail_each_allocation

    setting = _setting(request)

    def run(test: Callable[[Kernel, FaultInjector], object], **options: Any) -> int:
        return fail_each_allocation(test, make_kernel=lambda: _make_kernel(setting), **options)

    return run


# --- settings ------------------------------------------------------------------------------


def _setting(request: pytest.FixtureRequest) -> _Setting:
    """The marker's word, else the option's, else the ini file's."""
    config = request.config
    found: dict[str, Any] = {}
    for name in _Setting._fields:
        given = config.getoption(f"lookaside_{name}")
        found[name] = config.getini(f"lookaside_{name}") if given is None else given
    # The closest marker comes first, and its word counts.
    for marker in reversed(list(request.node.iter_markers("lookaside"))):
        unknown = [*map(repr, marker.args), *sorted(marker.kwargs.keys() - found.keys())]
        if unknown:
            raise pytest.UsageError(f"{_of(request)}: no such argument: {', '.join(unknown)}")
        found.update(marker.kwargs)
    setting = _Setting(**{**found, "processors": int(found["processors"])})
    if setting.leaks not in _LEAKS:
        raise pytest.UsageError(
            f"{_of(request)}: leaks={setting.leaks!r}: give one of {', '.join(_LEAKS)}"
        )
    return setting


def _of(request: pytest.FixtureRequest) -> str:
    return f"marker or settings lookaside of {request.node.nodeid}"


def _make_kernel(setting: _Setting) -> Kernel:
    import lookaside_sim

    options: dict[str, Any] = {}
    if setting.verifier not in (None, False, "none"):
        options["verifier"] = _verifier(setting.verifier)
    if setting.sanitizer:
        options["sanitizer"] = True
    known = inspect.signature(lookaside_sim.Kernel).parameters
    for name in options:
        if name not in known:
            raise pytest.UsageError(f"this version of lookaside_sim has no {name}")
    return lookaside_sim.Kernel(setting.arch, setting.processors, **options)


def _verifier(asked: Any) -> Any:
    import lookaside_sim

    kind = getattr(lookaside_sim, "Verifier", None)
    return kind.standard() if kind is not None and asked in (True, "standard") else asked


# --- the end of a test ---------------------------------------------------------------------


def _check_leaks(node: pytest.Item, tracker: LeakTracker, how: str) -> None:
    kernel = tracker.kernel
    if how == "ignore" or kernel.bugcheck is not None or node.stash.get(_failed_key, False):
        # After a stop nothing can be freed, and a test that failed half-way had no chance to.
        return
    leaks = tracker.leaks()
    if not leaks:
        return
    report = tracker.report(leaks)
    if how == "warn":
        warnings.warn(LookasideLeakWarning(report), stacklevel=1)
    else:
        pytest.fail(report, pytrace=False)


@pytest.hookimpl(wrapper=True)
def pytest_runtest_makereport(
    item: pytest.Item, call: pytest.CallInfo[None]
) -> Generator[None, pytest.TestReport, pytest.TestReport]:
    """Add what is known about the machine to the report of a failed test."""
    report: pytest.TestReport = yield
    watched = item.stash.get(_watched_key, None)
    if report.failed and watched is not None:
        if call.when == "call":
            item.stash[_failed_key] = True
            report.sections.append(("lookaside lists", _state(watched, call.excinfo)))
        if watched.recording is not None and watched.saved is None:
            watched.saved = _save_trace(item, watched.recording)
            report.sections.append(
                ("lookaside trace", f"What the test did was saved as {watched.saved}")
            )
    return report


def _state(watched: _Watched, excinfo: pytest.ExceptionInfo[BaseException] | None) -> str:
    """The debugger's view, and where the addresses of a stop come from."""
    from lookaside_sim import windbg

    lists = watched.tracker.lists or watched.kernel.lookaside_lists
    lines = [repr(watched.kernel), *(windbg.lookaside(each) for each in lists)]
    parameters = getattr(excinfo and excinfo.value, "parameters", ())
    address = getattr(excinfo and excinfo.value, "address", None)
    for each in dict.fromkeys([*parameters, address]):
        known = watched.tracker.describe(each) if isinstance(each, int) else None
        if known is not None:
            lines.append(known)
    return "\n".join(lines)


def _save_trace(item: pytest.Item, recording: Recording) -> Path:
    config = item.config
    given = config.getoption("lookaside_traces") or config.getini("lookaside_traces")
    folder = Path(config.rootpath, str(given))
    folder.mkdir(parents=True, exist_ok=True)
    name = re.sub(r"[^\w.-]+", "-", item.nodeid).strip("-")
    path = folder / f"{name[-150:]}.jsonl"
    recording.save(path, f"pytest {item.nodeid}")
    return path
