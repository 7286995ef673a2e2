from __future__ import annotations

import inspect
import subprocess
import sys
import warnings
from importlib.util import find_spec
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from lookaside_sim import Kernel
from lookaside_sim.cli import main
from lookaside_sim.errors import TraceError
from lookaside_sim.run import Run
from lookaside_sim.testing.leaks import LeakTracker
from lookaside_sim.testing.plugins import machines
from lookaside_sim.testing.plugins.settings import SETTINGS
from lookaside_sim.trace import load, replay
from tests.testing.helpers import run_source

LEAKY = """
def test_leaky(lookaside_kernel, lookaside_list):
    lookaside = lookaside_list(64, name="mine!Entries")
    lookaside.allocate()
"""


def run(pytester: pytest.Pytester, *arguments: str) -> pytest.RunResult:
    """Run pytest inside, without Hypothesis' plugin, whose import would be most of the time."""
    return pytester.runpytest("-p", "no:hypothesispytest", *arguments)


def test_a_clean_test_passes(pytester: pytest.Pytester) -> None:
    pytester.makepyfile(
        """
        def test_clean(lookaside_kernel, lookaside_list):
            lookaside = lookaside_list(size=64, tag=b"Mine", name="mine!Entries")
            entry = lookaside.allocate()
            assert lookaside.name == "mine!Entries"
            lookaside.free(entry)
            assert lookaside_kernel.lookaside_lists == [lookaside]
        """
    )
    run(pytester, "--strict-markers").assert_outcomes(passed=1)


def test_a_leak_reads_well(pytester: pytest.Pytester) -> None:
    pytester.makepyfile(LEAKY)
    result = run(pytester)
    result.assert_outcomes(passed=1, errors=1)
    result.stdout.fnmatch_lines(
        [
            "*1 leaked on <Kernel x64*",
            "*entry 0x* of <LookasideList mine!Entries*was not freed, from *:3 in test_leaky",
            'Lookaside "mine!Entries" @ *',
            "*TotalAllocates =          1*",
        ]
    )


def test_a_list_that_is_never_deleted_is_a_leak(pytester: pytest.Pytester) -> None:
    pytester.makepyfile(
        """
        from lookaside_sim import LookasideList

        def test_forgets(lookaside_kernel):
            LookasideList(lookaside_kernel).initialize(size=8, tag=b"Mine")
        """
    )
    result = run(pytester)
    result.assert_outcomes(passed=1, errors=1)
    result.stdout.fnmatch_lines(["*was not deleted and keeps 0 free entries, from *:4 in*"])


@pytest.mark.parametrize("how", ["marker", "option", "ini"])
@pytest.mark.parametrize("leaks", ["warn", "ignore"])
def test_leaks_may_be_warned_of_or_ignored(
    pytester: pytest.Pytester, how: str, leaks: str
) -> None:
    marker = (
        f"import pytest\n@pytest.mark.lookaside(leaks={leaks!r})" if how == "marker" else ""
    )
    pytester.makepyfile(marker + LEAKY)
    if how == "ini":
        pytester.makeini(f"[pytest]\nlookaside_leaks = {leaks}")
    arguments = [f"--lookaside-leaks={leaks}"] if how == "option" else []
    with warnings.catch_warnings():
        # The inner run is in this process, where warnings are errors.
        warnings.simplefilter("default")
        result = run(pytester, *arguments)
    result.assert_outcomes(passed=1, warnings=int(leaks == "warn"))


def test_the_marker_beats_the_option_and_the_option_the_ini(
    pytester: pytest.Pytester,
) -> None:
    pytester.makeini("[pytest]\nlookaside_arch = x64\nlookaside_processors = 2")
    pytester.makepyfile(
        """
        import pytest

        def test_options(lookaside_kernel):
            assert lookaside_kernel.arch.name == "x86"
            assert lookaside_kernel.processors == 2

        @pytest.mark.lookaside(arch="x64")
        class TestMarked:
            def test_class(self, lookaside_kernel):
                assert lookaside_kernel.arch.name == "x64"

            @pytest.mark.lookaside(processors=3)
            def test_both(self, lookaside_kernel):
                assert lookaside_kernel.arch.name == "x64"
                assert lookaside_kernel.processors == 3
        """
    )
    run(pytester, "--lookaside-arch=x86", "--strict-markers").assert_outcomes(passed=3)


@pytest.mark.parametrize(
    ("marker", "complaint"),
    [
        ("colour=1", "*no such argument: colour*"),
        ("1", "*no such argument: 1*"),
        ("leaks='maybe'", "*leaks='maybe': give one of error, warn, ignore*"),
        ("processors='two'", "*processors='two': give a number*"),
        ("arch='arm'", "*marker or settings lookaside of *test_it: arch='arm'*x64*x86*"),
        ("arch=64", "*arch=64: give a name*"),
        ("processors=65", "*test_it: processors 65: give 1 to 64*"),
        ("processors=True", "*processors=True: give a number*"),
        ("seed=-1", "*test_it: seed -1: give 0 to*"),
        ("sanitizer='yes'", "*sanitizer='yes': give True or False*"),
        ("track_pool=1", "*track_pool=1: give True or False*"),
        ("verifier='special'", "*verifier='special': give none, standard or a Verifier*"),
        ("pool='heap'", "*test_it: pool*heap*"),
        ("nonpaged_pool_bytes=1 << 60", "*test_it: nonpaged_pool_bytes*give 0 to*"),
    ],
)
def test_a_wrong_marker_is_named(
    pytester: pytest.Pytester, marker: str, complaint: str
) -> None:
    pytester.makepyfile(
        f"""
        import pytest

        @pytest.mark.lookaside({marker})
        def test_it(lookaside_kernel):
            pass
        """
    )
    result = run(pytester)
    result.assert_outcomes(errors=1)
    result.stdout.fnmatch_lines([complaint])


def test_a_failing_test_leaves_its_trace(pytester: pytest.Pytester) -> None:
    pytester.makepyfile(
        """
        def test_fails(lookaside_trace, lookaside_list):
            lookaside = lookaside_list(32, name="mine")
            entry = lookaside.allocate()
            lookaside.free(entry)
            assert lookaside.total_frees == 2

        def test_passes(lookaside_trace, lookaside_list):
            assert lookaside_list(8).allocate() is None or lookaside_trace.events
        """
    )
    result = run(pytester, "--lookaside-traces=kept", "-k", "test_fails")
    result.assert_outcomes(failed=1, deselected=1)
    result.stdout.fnmatch_lines(["*What the test did was saved as *kept*test_fails.jsonl"])
    kept = Path(pytester.path, "kept")
    (path,), (run_path,) = kept.glob("*.jsonl"), kept.glob("*.lkrun")
    saved = Run.load(run_path)
    assert [step.word for step in saved] == ["init", "alloc", "free"]
    assert saved.title.endswith("::test_fails")
    trace = load(path)
    assert [event.op for event in trace] == ["init", "alloc", "free"]
    assert trace.header.source.endswith("::test_fails")
    assert replay(trace).lists["mine"].total_frees == 1


@pytest.mark.parametrize("kind", ["pool", "list"])
def test_the_misuse_that_failed_a_test_is_in_its_trace_and_can_be_shrunk(
    pytester: pytest.Pytester, kind: str
) -> None:
    pytester.makepyfile(
        f"""
        def test_twice(lookaside_trace, lookaside_kernel, lookaside_list):
            mine = lookaside_list(32, name="mine")
            for entry in [mine.allocate() for _ in range(7)]:
                mine.free(entry)
            other = lookaside_list(32)
            other.free(mine.allocate())
            block = lookaside_kernel.pool.allocate(0, 32, b"Mine")
            lookaside_kernel.tick(3)
            if {kind == "list"}:
                mine.free(entry)
            lookaside_kernel.pool.free(block)
            lookaside_kernel.pool.free(block)
        """
    )
    result = run(pytester)
    result.assert_outcomes(failed=1)
    result.stdout.fnmatch_lines(["A trace has no event for a free of 0x*, which was not*"])
    (path,) = Path(pytester.path, "lookaside-traces").glob("*.jsonl")
    with pytest.raises(TraceError, match="is not live"):
        replay(load(path))
    assert main(["shrink", str(path), "-o", "small.jsonl"]) == 0
    reduced = list(load("small.jsonl"))
    assert [event.op for event in reduced][-3:] == ["alloc", "free", "free"]
    assert len(reduced) <= 4
    assert main(["pin", "small.jsonl", "-o", "test_pinned.py"]) == 0
    run_source(Path("test_pinned.py").read_text("utf-8"))


def test_each_failing_test_has_a_trace_of_its_own(pytester: pytest.Pytester) -> None:
    pytester.makepyfile(
        """
        import pytest

        @pytest.mark.parametrize("what", ["a/b", "a-b", "a b", "x" * 200, "y" + "x" * 200])
        def test_fails(lookaside_trace, lookaside_kernel, what):
            lookaside_kernel.pool.free(lookaside_kernel.pool.allocate(0, len(what), b"Mine"))
            assert not what
        """
    )
    run(pytester).assert_outcomes(failed=5)
    traces = list(Path(pytester.path, "lookaside-traces").glob("*.jsonl"))
    assert sorted(next(iter(load(path))).size or 0 for path in traces) == [3, 3, 3, 200, 201]


def test_a_leaking_test_leaves_its_trace_too(pytester: pytest.Pytester) -> None:
    pytester.makepyfile(LEAKY.replace("lookaside_kernel,", "lookaside_trace,"))
    result = run(pytester)
    result.assert_outcomes(passed=1, errors=1)
    left = sorted(path.suffix for path in Path(pytester.path, "lookaside-traces").iterdir())
    assert left == [".html", ".jsonl", ".lkrun"]


TOO_LATE = """
    def test_too_late(lookaside_kernel, lookaside_list):
        requests = lookaside_list(64)
        first, second = requests.allocate(), requests.allocate()
        requests.free(first)
        requests.free(second)
        lookaside_kernel.write(second, (0xFFFFFFFFC0000120).to_bytes(8, "little"))
        requests.allocate()
        requests.allocate()
    def test_fine(lookaside_kernel):
        lookaside_kernel.pool.free(lookaside_kernel.pool.allocate(0, 8, b"fine"))
"""


def pages(pytester: pytest.Pytester) -> dict[str, str]:
    """The pages that tests left, by the name of the test."""
    folder = Path(pytester.path, "lookaside-traces")
    return {
        path.stem.rpartition("-")[2]: path.read_text("utf-8") for path in folder.glob("*.html")
    }


def test_a_failing_test_leaves_a_page_and_says_who_led_to_the_stop(
    pytester: pytest.Pytester, monkeypatch: pytest.MonkeyPatch
) -> None:
    summary = Path(pytester.path, "summary.md")
    monkeypatch.setenv("GITHUB_STEP_SUMMARY", str(summary))
    pytester.makepyfile(TOO_LATE)
    result = run(pytester)
    result.assert_outcomes(passed=1, failed=1)
    result.stdout.fnmatch_lines(
        [
            "*lookaside run*",
            "the last 5 of 8 steps:",
            "     8  ExAllocateFromLookasideListEx() raised BugCheck: *:8)",
            "look at step 6: it wrote 0xffffffffc0000120 over *",
            "     6  program(Address=*:6)",
            "The run, to step through: *test_too_late.html",
        ]
    )
    (page,) = pages(pytester).values()
    assert "::test_too_late</title>" in page
    (line,) = summary.read_text("utf-8").splitlines()
    assert "test_too_late` failed:" in line
    assert "0xffffffffc0000120 was read" in line
    assert line.endswith("test_too_late.html`")


@pytest.mark.parametrize(
    ("wanted", "left"), [("all", {"test_too_late", "test_fine"}), ("none", set())]
)
def test_pages_are_left_of_all_tests_or_of_none(
    pytester: pytest.Pytester, wanted: str, left: set[str]
) -> None:
    pytester.makepyfile(TOO_LATE)
    run(pytester, f"--lookaside-page={wanted}").assert_outcomes(passed=1, failed=1)
    assert pages(pytester).keys() == left


def test_a_run_too_long_for_a_page_is_saved(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(machines, "_MOST_STEPS", 5)
    kernel = Kernel()
    watched = machines.Watched(kernel, LeakTracker(kernel))
    config = SimpleNamespace(getoption=lambda name: str(tmp_path), rootpath=tmp_path)
    item: Any = SimpleNamespace(config=config, nodeid="a_test")
    with watched.film("a_test"):
        for _ in range(6):
            kernel.tick()
        said = watched.show(item, failed=False)
    path = tmp_path / "a_test.lkrun"
    assert said == f"The run is long; lookaside-sim report shows it: {path}"
    assert len(Run.load(path)) == 6
    assert watched.show(item, failed=False) is None


def test_misuse_that_stops_the_machine_reads_well(pytester: pytest.Pytester) -> None:
    pytester.makepyfile(
        """
        def test_stops(lookaside_kernel, lookaside_list):
            lookaside = lookaside_list(32, name="mine!Entries")
            block = lookaside_kernel.pool.allocate(0, 32, b"Mine")
            lookaside_kernel.pool.free(block)
            lookaside_kernel.pool.free(block)
        """
    )
    result = run(pytester)
    result.assert_outcomes(failed=1)
    result.stdout.fnmatch_lines(
        [
            "*BAD_POOL_CALLER*",
            "*lookaside lists*",
            'Lookaside "mine!Entries" @ *',
            "0x*: a NonPagedPool Mine block, 32 bytes, allocated at *:3 in test_stops,"
            " freed at *:4 in test_stops",
        ]
    )


def test_a_failed_test_is_not_blamed_for_leaks_as_well(pytester: pytest.Pytester) -> None:
    pytester.makepyfile(LEAKY + "    assert False\n")
    run(pytester).assert_outcomes(failed=1)


def test_a_test_that_stops_its_machine_on_purpose_is_not_blamed(
    pytester: pytest.Pytester,
) -> None:
    pytester.makepyfile(
        """
        import pytest
        from lookaside_sim import BugCheck

        def test_stops(lookaside_kernel, lookaside_list):
            lookaside_list().allocate()
            block = lookaside_kernel.pool.allocate(0, 32, b"Mine")
            lookaside_kernel.pool.free(block)
            with pytest.raises(BugCheck):
                lookaside_kernel.pool.free(block)
        """
    )
    run(pytester).assert_outcomes(passed=1)


def test_a_list_that_cannot_be_initialized_says_why(pytester: pytest.Pytester) -> None:
    pytester.makepyfile("def test_it(lookaside_list):\n    lookaside_list(8, depth=1)\n")
    result = run(pytester)
    result.assert_outcomes(failed=1)
    result.stdout.fnmatch_lines(["*lookaside_list(size=8*STATUS_INVALID_PARAMETER_8*"])


def test_faults_can_be_injected(pytester: pytest.Pytester) -> None:
    pytester.makepyfile(
        """
        import pytest

        def test_second(lookaside_faults, lookaside_list):
            lookaside = lookaside_list()
            lookaside_faults.fail(2)
            entries = [lookaside.allocate() for _ in range(3)]
            assert entries[1] is None
            lookaside.free(entries[0])
            lookaside.free(entries[2])

        @pytest.mark.lookaside(arch="x86")
        def test_each(lookaside_each_fault):
            def body(kernel, faults):
                assert kernel.arch.name == "x86"
                for _ in range(2):
                    block = kernel.pool.allocate(0, 8, b"Mine")
                    if block is not None:
                        kernel.pool.free(block)

            assert lookaside_each_fault(body) == 2
        """
    )
    run(pytester, "--strict-markers").assert_outcomes(passed=2)


def test_unittest_classes_have_the_kernel(pytester: pytest.Pytester) -> None:
    pytester.makepyfile(
        """
        import unittest
        import pytest

        @pytest.mark.usefixtures("lookaside_kernel")
        class TestOld(unittest.TestCase):
            def test_clean(self):
                block = self.lookaside_kernel.pool.allocate(0, 8, b"Mine")
                self.lookaside_kernel.pool.free(block)

            def test_leaks(self):
                self.lookaside_kernel.pool.allocate(0, 8, b"Mine")
        """
    )
    run(pytester).assert_outcomes(passed=2, errors=1)


if find_spec("xdist") is not None:  # the extra does not bring it, the group "test" does

    def test_it_works_with_xdist(pytester: pytest.Pytester) -> None:
        pytester.makepyfile(LEAKY + "\ndef test_clean(lookaside_kernel):\n    pass\n")
        # One worker: it is told what to do, and tells what became of it, as each of more is.
        result = pytester.runpytest_subprocess("-n", "1", "-p", "no:hypothesispytest")
        result.assert_outcomes(passed=2, errors=1)
        result.stdout.fnmatch_lines(["*mine!Entries*was not freed*"])


@pytest.mark.parametrize("how", ["options", "ini", "marker"])
def test_the_machine_may_have_a_verifier_and_a_sanitizer(
    pytester: pytest.Pytester, how: str
) -> None:
    if how == "ini":
        pytester.makeini("[pytest]\nlookaside_verifier = standard\nlookaside_sanitizer = true")
    marker = '@pytest.mark.lookaside(verifier="standard", sanitizer=True)'
    pytester.makepyfile(
        f"""
        import pytest
        from lookaside_sim import SanitizerError

        {marker if how == "marker" else ""}
        def test_it(lookaside_list):
            lookaside = lookaside_list()
            assert lookaside.maximum_depth == 0xFFFF
            entry = lookaside.allocate()
            lookaside.free(entry)
            with pytest.raises(SanitizerError):
                lookaside.free(entry)
        """
    )
    options = ["--lookaside-verifier=standard", "--lookaside-sanitizer"]
    run(pytester, *(options if how == "options" else [])).assert_outcomes(passed=1)


@pytest.mark.parametrize("verifier", [None, False, "none"])
def test_the_machine_may_have_neither(pytester: pytest.Pytester, verifier: object) -> None:
    pytester.makeini("[pytest]\nlookaside_verifier = standard\nlookaside_sanitizer = true")
    pytester.makepyfile(
        f"""
        import pytest
        from lookaside_sim import LookasideList

        @pytest.mark.lookaside(verifier={verifier!r}, sanitizer=False)
        def test_it(lookaside_list):
            assert type(lookaside_list()) is LookasideList
            assert lookaside_list().maximum_depth == 256
        """
    )
    run(pytester).assert_outcomes(passed=1)


def test_the_plugin_loads_next_to_nothing_where_nobody_uses_it() -> None:
    script = (
        "import sys, pytest\n"
        "before = set(sys.modules)\n"
        "import lookaside_sim.testing.plugins.pytest, lookaside_sim.testing.plugins.hypothesis\n"
        "lookaside_sim.testing.plugins.hypothesis.setup()\n"
        "print(*sorted(set(sys.modules) - before))\n"
    )
    done = subprocess.run(
        [sys.executable, "-c", script], check=True, timeout=60, capture_output=True, text=True
    )
    assert done.stdout.split() == [
        "lookaside_sim",
        "lookaside_sim.rooms",
        "lookaside_sim.testing",
        "lookaside_sim.testing.plugins",
        "lookaside_sim.testing.plugins.hypothesis",
        "lookaside_sim.testing.plugins.modes",
        "lookaside_sim.testing.plugins.pytest",
        "lookaside_sim.testing.plugins.settings",
    ]


@pytest.mark.parametrize("how", ["driver", "block", "stop"])
def test_a_failing_test_whose_list_is_gone_is_reported(
    pytester: pytest.Pytester, how: str
) -> None:
    pytester.makepyfile(
        f"""
        from lookaside_sim import LookasideList

        def test_gone(lookaside_kernel):
            kernel = lookaside_kernel
            if "{how}" == "block":
                block = kernel.pool.allocate(0, 0x40000, b"Mine")
                gone = LookasideList(kernel, "my!List", block)
                gone.initialize(size=32, tag=b"Mine")
                kernel.pool.free(block)
            else:
                driver = kernel.load_driver("my.sys")
                gone = driver.lookaside_list("my!List")
                gone.initialize(size=32, tag=b"Mine")
                driver.unload()
            if "{how}" == "stop":
                kernel.tick()
            assert gone.address == 0
        """
    )
    result = run(pytester)
    result.assert_outcomes(failed=1)
    result.stdout.no_fnmatch_line("*INTERNALERROR*")
    result.stdout.fnmatch_lines(["*lookaside lists*", 'Lookaside "my!List" @ 0x*  not mapped'])


def test_a_list_that_is_gone_is_a_leak_that_reads_well(pytester: pytest.Pytester) -> None:
    pytester.makepyfile(
        """
        def test_unloads(lookaside_kernel):
            driver = lookaside_kernel.load_driver("my.sys")
            driver.lookaside_list("my!List").initialize(size=32, tag=b"Mine")
            driver.unload()
        """
    )
    result = run(pytester)
    result.assert_outcomes(passed=1, errors=1)
    result.stdout.fnmatch_lines(["*was not deleted, and its memory is gone, from *:3 in*"])


def test_freed_irps_and_mdls_are_no_leaks(pytester: pytest.Pytester) -> None:
    pytester.makepyfile(
        """
        from lookaside_sim import ddi

        def test_io(lookaside_kernel):
            with lookaside_kernel:
                irp, mdl = ddi.IoAllocateIrp(1, False), ddi.IoAllocateMdl(0x1000, 0x1000)
                ddi.IoFreeIrp(irp)
                ddi.IoFreeMdl(mdl)
        """
    )
    run(pytester).assert_outcomes(passed=1)


# --- every keyword of Kernel ---------------------------------------------------------------


EVERY = {
    "arch": "x86",
    "processors": 3,
    "nonpaged_pool_bytes": 0x40000,
    "paged_pool_bytes": 0x50000,
    "nonpaged_nx_pool_bytes": 0x60000,
    "verifier": "standard",
    "sanitizer": True,
    "kasan": False,
    "seed": 7,
    "strict_pool_tags": True,
    "small_pool_lists": True,
    "delayed_free": True,
    "track_pool": True,
    "pool": "classic",
    "windows": "8.1",
}

MADE_WITH = f"""
from lookaside_sim import Verifier

def test_made_with(lookaside_kernel):
    expected = {EVERY!r}
    made = lookaside_kernel.settings
    for name, value in expected.items():
        value = Verifier.standard() if name == "verifier" else value
        assert getattr(made, name) == value, name

def test_each_fault_too(lookaside_each_fault):
    def body(kernel, faults):
        assert kernel.settings.arch == "x86"
        assert kernel.settings.delayed_free
        block = kernel.pool.allocate(0, 8, b"Mine")
        if block is not None:
            kernel.pool.free(block)

    assert lookaside_each_fault(body) == 1
"""


def test_the_settings_are_those_of_a_kernel() -> None:
    assert set(SETTINGS) == set(inspect.signature(Kernel).parameters) == set(EVERY)


def toml(value: object) -> str:
    """A value in a TOML file."""
    return str(value).lower() if isinstance(value, bool) else repr(value)


@pytest.mark.parametrize("how", ["marker", "options", "ini", "toml", "native toml"])
def test_every_keyword_of_a_kernel_can_be_set(pytester: pytest.Pytester, how: str) -> None:
    marker, arguments = "", []
    if how == "marker":
        marker = f"import pytest\npytestmark = pytest.mark.lookaside(**{EVERY!r})\n"
    elif how == "options":
        for name, value in EVERY.items():
            if value is False:
                continue  # what no option turns on
            option = f"--lookaside-{name.replace('_', '-')}"
            arguments.append(option if value is True else f"{option}={value}")
    elif how == "ini":
        lines = [f"lookaside_{name} = {value}" for name, value in EVERY.items()]
        pytester.makeini("\n".join(["[pytest]", *lines]))
    elif how == "toml":
        lines = [f'lookaside_{name} = "{value}"' for name, value in EVERY.items()]
        pytester.makepyprojecttoml("\n".join(["[tool.pytest.ini_options]", *lines]))
    else:
        if pytest.version_tuple < (9,):
            pytest.skip("native TOML settings came with pytest 9")
        lines = [f"lookaside_{name} = {toml(value)}" for name, value in EVERY.items()]
        pytester.makepyprojecttoml("\n".join(["[tool.pytest]", *lines]))
    pytester.makepyfile(marker + MADE_WITH)
    run(pytester, *arguments).assert_outcomes(passed=2)


@pytest.mark.parametrize(
    ("line", "complaint"),
    [
        ("lookaside_processors = two", "*lookaside_processors: *two*"),
        ("lookaside_processors = 0", "*processors 0: give 1 to 64*"),
        ("lookaside_sanitizer = perhaps", "*lookaside_sanitizer: *perhaps*"),
        ("lookaside_arch = arm", "*arch='arm'*"),
        ("lookaside_verifier = all", "*verifier='all': give none, standard or a Verifier*"),
        ("lookaside_leaks = maybe", "*leaks='maybe': give one of*"),
    ],
)
def test_a_wrong_ini_value_is_named(
    pytester: pytest.Pytester, line: str, complaint: str
) -> None:
    pytester.makeini(f"[pytest]\n{line}")
    pytester.makepyfile("def test_it(lookaside_kernel):\n    pass\n")
    result = run(pytester)
    result.assert_outcomes(errors=1)
    result.stdout.fnmatch_lines([complaint])
    result.stdout.no_fnmatch_line("*INTERNALERROR*")


def test_each_fault_takes_a_maker_of_kernels_and_refuses_vacuous_runs(
    pytester: pytest.Pytester,
) -> None:
    pytester.makepyfile(
        """
        from lookaside_sim import Kernel

        def test_made(lookaside_each_fault):
            def body(kernel, faults):
                assert kernel.arch.name == "x86"
                kernel.load_driver("my.sys")
                if block := kernel.pool.allocate(0, 8, b"Mine"):
                    kernel.pool.free(block)

            made = lookaside_each_fault(body, make_kernel=lambda: Kernel("x86"), most_runs=3)
            assert made == 1

        def test_vacuous(lookaside_each_fault):
            lookaside_each_fault(lambda kernel, faults: None)
        """
    )
    result = run(pytester)
    result.assert_outcomes(passed=1, failed=1)
    result.stdout.fnmatch_lines(["*no allocation was counted, so none could be refused*"])
