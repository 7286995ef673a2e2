"""What a failing test with a machine says: helpers skipped, own frames hidden, a stop told once."""

from __future__ import annotations

import pytest


def run(pytester: pytest.Pytester, *arguments: str) -> pytest.RunResult:
    return pytester.runpytest_inprocess("-q", "-p", "no:xdist", *arguments)


HELPER = """
def take(kernel):
    return kernel.pool.allocate(0, 24, b"Help")
"""
USER = """
import sys
sys.path.insert(0, {folder!r})
import {module}

def mount(kernel):
    return {module}.take(kernel)

def test_leaks(lookaside_kernel):
    mount(lookaside_kernel)
"""


@pytest.mark.parametrize("how", ["marker", "ini"])
def test_lines_of_helpers_are_skipped(pytester: pytest.Pytester, how: str) -> None:
    module = f"some_{how}_helper"
    marker = "__lookaside_helper__ = True\n" if how == "marker" else ""
    pytester.makepyfile(**{module: marker + HELPER})
    pytester.makepyfile(USER.format(folder=str(pytester.path), module=module))
    if how == "ini":
        pytester.makeini(f"[pytest]\nlookaside_helpers = {module}")
    result = run(pytester)
    result.assert_outcomes(passed=1, errors=1)
    result.stdout.fnmatch_lines(
        [
            "*Help block 0x* of 24 bytes was not freed, from *.py:6 in mount",
            "*called from *.py:9 in test_leaks",
        ]
    )
    told = result.stdout.str()
    assert f"{module}.py" not in told  # nor in the steps of the run
    assert "hidden" not in told


def test_a_stop_is_reported_once(pytester: pytest.Pytester) -> None:
    pytester.makepyfile(
        """
        import pytest

        @pytest.fixture
        def driver(lookaside_kernel):
            loaded = lookaside_kernel.load_driver("a.sys")
            yield loaded
            loaded.unload()

        @pytest.fixture
        def other(lookaside_kernel):
            yield
            lookaside_kernel.pool.allocate(0, 8, b"Late")

        def test_stops(driver, other):
            driver.free(driver.allocate(0, 16, b"Twic") + 8)

        @pytest.fixture
        def fails_itself(lookaside_kernel):
            yield
            raise RuntimeError("of its own")

        def test_stops_too(driver, fails_itself):
            driver.free(driver.allocate(0, 16, b"Twic") + 8)
        """
    )
    result = run(pytester)
    result.assert_outcomes(failed=2, errors=1)
    result.stdout.fnmatch_lines(["*RuntimeError: of its own"])


def test_frames_of_the_package_are_hidden(pytester: pytest.Pytester) -> None:
    pytester.makepyfile(
        """
        def test_faults(lookaside_kernel):
            lookaside_kernel.read(lookaside_kernel.arch.paged_pool_start + 0x10_0000, 1)
        """
    )
    for arguments, shown in (((), False), (("--full-trace",), True)):
        result = run(pytester, *arguments)
        result.stdout.fnmatch_lines(["*lookaside_kernel.read(lookaside*", "*PAGE_FAULT*"])
        assert ("page_fault(" in result.stdout.str()) == shown


def test_a_fault_run_that_fails_ends_at_the_tests_line(pytester: pytest.Pytester) -> None:
    pytester.makepyfile(
        """
        def test_loses(lookaside_each_fault):
            def run(kernel, faults):
                first, second = (kernel.pool.allocate(0, 16, b"Lost") for _ in range(2))
                if first and second:
                    kernel.pool.free(first)
                    kernel.pool.free(second)
            lookaside_each_fault(run)
        """
    )
    result = run(pytester)
    result.assert_outcomes(failed=1)
    result.stdout.fnmatch_lines(["*> * lookaside_each_fault(run)", "*: LeakError"])
    result.stdout.no_fnmatch_line("*fail_each_allocation*")


def test_every_leak_of_a_stop_is_printed_and_only_the_list_concerned(
    pytester: pytest.Pytester,
) -> None:
    pytester.makepyfile(
        """
        import pytest

        @pytest.mark.lookaside(verifier="standard")
        def test_leaves_three(lookaside_kernel):
            driver = lookaside_kernel.load_driver("a.sys")
            for size in (16, 32, 48):
                driver.allocate(0, size, b"Left")
            driver.unload()

        @pytest.mark.lookaside(sanitizer=True)
        def test_wrong(lookaside_list):
            one, other = lookaside_list(name="one"), lookaside_list(name="other")
            other.free(one.allocate())
        """
    )
    result = run(pytester)
    result.assert_outcomes(failed=2)
    text = result.stdout.str()
    for size in (16, 32, 48):
        assert f"    the {size}-byte nonpaged block Left at 0x" in text
    assert 'Lookaside "other"' in text
    assert 'Lookaside "one"' not in text
    assert "KeyError" not in text
