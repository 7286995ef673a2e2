"""A whole suite in each mode, by one option."""

from __future__ import annotations

import pytest

SUITE = """
import pytest

seen = []

def test_machine(lookaside_kernel, lookaside_mode):
    verified = lookaside_kernel.verification is not None
    sanitized = lookaside_kernel.sanitizer is not None
    seen.append((lookaside_mode, lookaside_kernel.arch.name, sanitized, verified))

@pytest.mark.lookaside(sanitizer=True)
def test_the_marker_counts_more(lookaside_kernel):
    assert lookaside_kernel.sanitizer is not None

def test_each_fault_too(lookaside_each_fault):
    def use(kernel, faults):
        block = kernel.pool.allocate(0, 8, b"Mode")
        if block is not None:
            kernel.pool.free(block)
    assert lookaside_each_fault(use) == 1

def test_no_machine():
    print(seen)
"""


def test_each_test_runs_in_each_mode(pytester: pytest.Pytester) -> None:
    pytester.makepyfile(SUITE)
    result = pytester.runpytest_inprocess("-q", "-s", "-p", "no:xdist", "--lookaside-modes=all")
    result.assert_outcomes(passed=3 * 5 + 1)
    result.stdout.fnmatch_lines(
        [
            "*('plain', 'x64', False, False), ('sanitizer', 'x64', True, False),"
            " ('verifier', 'x64', False, True), ('both', 'x64', True, True),"
            " ('x86', 'x86', False, False)*"
        ]
    )


def test_some_modes_by_the_ini_file_and_none_by_default(pytester: pytest.Pytester) -> None:
    pytester.makepyfile(SUITE)
    pytester.makeini("[pytest]\nlookaside_modes = plain, x86")
    result = pytester.runpytest_inprocess("-p", "no:xdist")
    result.assert_outcomes(passed=3 * 2 + 1)
    result.stdout.fnmatch_lines(["lookaside modes: plain, x86"])
    pytester.makeini("[pytest]\n")
    pytester.runpytest_inprocess("-p", "no:xdist").assert_outcomes(passed=4)


def test_a_mode_that_is_none(pytester: pytest.Pytester) -> None:
    pytester.makepyfile(SUITE)
    result = pytester.runpytest_inprocess("-p", "no:xdist", "--lookaside-modes=fast")
    assert result.ret == pytest.ExitCode.USAGE_ERROR
    result.stderr.fnmatch_lines(
        ["*lookaside_modes fast: give all, or some of plain, sanitizer*"]
    )
