"""The pytest plugin of lookaside_sim: fixtures, a marker, options.

Pytest loads it in every project of an environment, and the package opens its rooms late:
the simulator is imported when a test asks for one of the fixtures, not before.
"""

from __future__ import annotations

import os
import sys
import warnings
from collections.abc import Callable, Generator, Iterator
from contextlib import nullcontext
from typing import TYPE_CHECKING, Any, Final

import pytest

from lookaside_sim.testing.plugins.modes import MODES, put_into_modes, wanted_modes
from lookaside_sim.testing.plugins.settings import CHOICES, NUMBER, PAGES, SETTINGS

if TYPE_CHECKING:
    from lookaside_sim import Kernel, LookasideList
    from lookaside_sim.testing.faults import FaultInjector
    from lookaside_sim.testing.plugins.drivers import TestedDriver
    from lookaside_sim.testing.plugins.machines import Watched
    from lookaside_sim.trace import Recording

_MARKER: Final = (
    'lookaside(leaks="error", arch="x64", processors=1, verifier=None, ...): the machine that'
    " the fixture lookaside_kernel makes, with any keyword of Kernel, and what to do about"
    ' leaks ("error", "warn" or "ignore")'
)


class LookasideLeakWarning(UserWarning):
    """A test left memory behind, and was told only to warn about it."""


_watched_key: pytest.StashKey[Watched] = pytest.StashKey()
_failed_key: pytest.StashKey[bool] = pytest.StashKey()
_stops_key: pytest.StashKey[list[BaseException]] = pytest.StashKey()


# --- options -------------------------------------------------------------------------------


def pytest_addoption(parser: pytest.Parser) -> None:
    """Add the options and their ini defaults."""
    group = parser.getgroup("lookaside", "lookaside lists (lookaside_sim)")
    for name, (kind, help_text) in SETTINGS.items():
        option = f"--lookaside-{name.replace('_', '-')}"
        ini: Any
        if kind is bool:
            group.addoption(option, action="store_true", default=None, help=help_text)
            ini = "bool"
        else:
            group.addoption(option, type=kind, choices=CHOICES.get(name), help=help_text)
            ini = NUMBER if kind is int else None
        parser.addini(f"lookaside_{name}", help_text, type=ini, default=None)
    group.addoption(
        "--lookaside-leaks", choices=("error", "warn", "ignore"), help="what to do about leaks"
    )
    group.addoption(
        "--lookaside-traces",
        metavar="DIR",
        help="where failing tests leave their traces and pages",
    )
    group.addoption(
        "--lookaside-page",
        choices=PAGES,
        help="of which tests a page of the run is left, to step through",
    )
    group.addoption(
        "--lookaside-examples", type=int, metavar="N", help="programs that a check runs"
    )
    modes = f"run each test with a machine in these modes: all, or some of {', '.join(MODES)}"
    group.addoption("--lookaside-modes", metavar="MODES", help=modes)
    parser.addini("lookaside_modes", modes, default="")
    parser.addini(
        "lookaside_helpers",
        "modules of helpers, which reports skip for the lines that call them",
        type="linelist",
    )
    parser.addini("lookaside_leaks", "error, warn or ignore", default="error")
    parser.addini("lookaside_page", "failed, all or none", default="failed")
    parser.addini(
        "lookaside_traces",
        "where failing tests leave their traces and pages",
        default="lookaside-traces",
    )


def pytest_configure(config: pytest.Config) -> None:
    """Register the marker; hand on what `check_allocator` is told by the run."""
    config.addinivalue_line("markers", _MARKER)
    told = pytest.MonkeyPatch()
    config.add_cleanup(told.undo)
    for option, variable in (("examples", "EXAMPLES"), ("seed", "SEED")):
        number = config.getoption(f"lookaside_{option}")
        if number is not None:
            told.setenv(f"LOOKASIDE_SIM_{variable}", str(number))


def pytest_generate_tests(metafunc: pytest.Metafunc) -> None:
    """Run tests with a machine once in each mode."""
    put_into_modes(metafunc)


def pytest_report_header(config: pytest.Config) -> str | None:
    """Say which modes tests run in."""
    modes = wanted_modes(config)
    return f"lookaside modes: {', '.join(modes)}" if modes else None


# --- fixtures ------------------------------------------------------------------------------


@pytest.fixture
def lookaside_mode(request: pytest.FixtureRequest) -> str:
    """The mode that the test runs in, ``"plain"`` without the option ``--lookaside-modes``."""
    return str(getattr(request, "param", "plain"))


@pytest.fixture
def lookaside_kernel(request: pytest.FixtureRequest) -> Iterator[Kernel]:
    """A fresh simulated machine, made current; at the end nothing may be left over on it.

    Memory, lists, handles, locks, work that is queued, a raised IRQL. In a ``unittest.TestCase``
    it is also ``self.lookaside_kernel``.
    """
    from lookaside_sim.testing.plugins.machines import watched_machine

    leaks, watched = watched_machine(request)
    pages = _pages(request.config)
    with (
        watched.tracker,
        nullcontext() if pages == "none" else watched.film(request.node.nodeid),
    ):
        request.node.stash[_watched_key] = watched
        with watched.kernel:
            yield watched.kernel
        # A test that failed half-way had no chance to clean up.
        if (
            leaks != "ignore"
            and not watched.is_blamed
            and not request.node.stash.get(_failed_key, False)
        ):
            report = watched.leaks()
            if report and leaks == "warn":
                warnings.warn(LookasideLeakWarning(report), stacklevel=1)
            elif report:
                pytest.fail(report, pytrace=False)


@pytest.fixture
def lookaside_list(
    request: pytest.FixtureRequest, lookaside_kernel: Kernel
) -> Iterator[Callable[..., LookasideList]]:
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
    if request.node.stash.get(_failed_key, False):
        return  # what a test that failed half-way left is not what it failed for
    for lookaside in made:
        if lookaside.is_active and lookaside_kernel.bugcheck is None:
            lookaside.delete()


@pytest.fixture
def lookaside_trace(
    request: pytest.FixtureRequest, lookaside_kernel: Kernel
) -> Iterator[Recording]:
    """Record what the test does; a failing test leaves the trace as a file and says where."""
    with request.node.stash[_watched_key].record() as recording:
        yield recording


@pytest.fixture
def lookaside_faults(lookaside_kernel: Kernel) -> Iterator[FaultInjector]:
    """Make requests to the test's pools fail: the n-th, the next ones, or all."""
    from lookaside_sim.testing.faults import FaultInjector

    injector = FaultInjector(lookaside_kernel)
    yield injector
    injector.remove()


@pytest.fixture
def lookaside_driver(
    request: pytest.FixtureRequest, lookaside_kernel: Kernel
) -> Iterator[Callable[..., TestedDriver]]:
    """Load drivers on the test's machine; at the end they are unloaded, and may leave nothing.

    Called as ``lookaside_driver(entry, unload=None, name="driver.sys")`` with a driver's two
    routines, or with the path of its compiled image. The entry, DriverEntry, is run at once;
    one that fails unloads the driver again. See `lookaside_sim.testing.plugins.drivers`.
    """
    from lookaside_sim.testing.leaks import LeakError
    from lookaside_sim.testing.plugins.drivers import load_tested
    from lookaside_sim.testing.plugins.machines import setting_of

    watched = request.node.stash[_watched_key]
    strict = setting_of(request)["leaks"] == "error"
    loaded: list[TestedDriver] = []

    def load(entry: Any, unload: Any = None, *, name: str = "driver.sys") -> TestedDriver:
        tested = load_tested(
            lookaside_kernel, entry, unload, name, strict=strict, blame=watched.blame
        )
        loaded.append(tested)
        return tested

    yield load
    left = ""
    for tested in reversed(loaded):
        if tested.is_loaded and lookaside_kernel.bugcheck is None:
            try:
                tested.unload()
            except LeakError as error:
                left = left or str(error)
    if left and not request.node.stash.get(_failed_key, False):
        pytest.fail(left, pytrace=False)


@pytest.fixture
def load_image(lookaside_kernel: Kernel) -> Iterator[Callable[..., Any]]:
    """Load compiled drivers on the test's machine; at the end they are unloaded.

    Called as `Kernel.load_image` is, with ``unknown`` and ``seconds`` too; needs the extra ``drive``.
    """
    loaded: list[Any] = []

    def load(path: Any, **options: Any) -> Any:
        loaded.append(lookaside_kernel.load_image(path, **options))
        return loaded[-1]

    yield load
    for driver in reversed(loaded):
        if driver.loaded and lookaside_kernel.bugcheck is None:
            driver.unload()


@pytest.fixture
def lookaside_each_fault(request: pytest.FixtureRequest) -> Callable[..., int]:
    """Run a function once for each allocation it makes, with that one refused.

    Called as ``lookaside_each_fault(test, ...)`` with what
    `lookaside_sim.testing.fail_each_allocation` takes; the machines are the test's own kind
    unless ``make_kernel`` makes others.
    """
    from lookaside_sim.testing.each_fault import fail_each_allocation
    from lookaside_sim.testing.plugins.machines import kernel_maker

    make = kernel_maker(request)

    def run(test: Callable[[Kernel, FaultInjector], object], **options: Any) -> int:
        __tracebackhide__ = True
        return fail_each_allocation(test, **{"make_kernel": make, **options})

    return run


# --- reports -------------------------------------------------------------------------------


@pytest.hookimpl(wrapper=True)
def pytest_runtest_makereport(
    item: pytest.Item, call: pytest.CallInfo[None]
) -> Generator[None, pytest.TestReport, pytest.TestReport]:
    """Add what is known about the machine to the report of a failed test.

    This package's own frames are hidden, and a stop that was reported is not reported again by
    the fixtures that meet it while they clean up.
    """
    if call.excinfo is not None:
        _hide_own_frames()
    report: pytest.TestReport = yield
    watched = item.stash.get(_watched_key, None)
    if call.excinfo is not None:
        stops = item.stash.setdefault(_stops_key, [])
        met = _stops_in(call.excinfo.value)
        if call.when == "teardown" and met and all(each in stops for each in met):
            report.outcome, report.longrepr = "passed", None
            return report
        stops.extend(met)
    if watched is not None and report.when != "setup":
        # What a test leaves is known once it is over; a page of it shows its teardown too.
        wanted = report.failed if _pages(item.config) == "failed" else report.when == "teardown"
        said = watched.show(item, failed=report.failed) if wanted or report.failed else None
        if said is not None:
            report.sections.append(("lookaside run", said))
            if report.failed:
                _summarize(item.nodeid, said)
    if report.failed and watched is not None:
        if call.when == "call":
            item.stash[_failed_key] = True
            error = None if call.excinfo is None else call.excinfo.value
            report.sections.append(("lookaside lists", watched.state(error)))
        saved = watched.save_trace(item)
        if saved is not None:
            report.sections.append(("lookaside trace", saved))
    return report


def _stops_in(error: BaseException) -> list[BaseException]:
    """The stops that an error consists of; nothing where it is, or holds, anything else."""
    if isinstance(error, BaseExceptionGroup):
        inner = [_stops_in(each) for each in error.exceptions]
        return [stop for each in inner for stop in each] if all(inner) else []
    kind = type(error)
    ours = kind.__name__ == "BugCheck" and kind.__module__ == "lookaside_sim.errors"
    return [error] if ours else []


def _hide_own_frames() -> None:
    """Have pytest leave this package's frames out of tracebacks, but for ``--full-trace``.

    The fixtures' own stay: a report of theirs would have no frame at all.
    """
    for name, module in list(sys.modules.items()):
        inside = name.partition(".")[0] == "lookaside_sim"
        if inside and not name.startswith("lookaside_sim.testing.plugins"):
            vars(module)["__tracebackhide__"] = True


def _pages(config: pytest.Config) -> str:
    """Of which tests pages are left."""
    given = str(config.getoption("lookaside_page") or config.getini("lookaside_page"))
    if given not in PAGES:
        raise pytest.UsageError(f"ini file, lookaside_page: {given}: give {', '.join(PAGES)}")
    return given


def _summarize(name: str, said: str) -> None:
    """Add a line to the summary that GitHub shows of a job, where there is one."""
    summary = os.environ.get("GITHUB_STEP_SUMMARY")
    if summary:
        path = said.rpartition(": ")[2]
        stop = next(
            (line.strip()[3:] for line in said.splitlines() if line.strip().startswith("***")),
            "",
        )
        with open(summary, "a", encoding="utf-8") as file:
            file.write(f"- `{name}` failed{':' if stop else '.'}{stop} `{path}`\n")
