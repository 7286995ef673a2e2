"""Run a test once for each allocation that it makes, with that one refused.

`fail_each_allocation` is the systematic way to make memory run out: every run has to clean up, and
the runs that do not are summed up.
"""

from __future__ import annotations

import functools
import inspect
from collections.abc import Callable
from typing import Any, Concatenate, Final, ParamSpec, overload

from lookaside_sim.errors import AllocError, LookasideSimError, NtStatusError
from lookaside_sim.kernel import Kernel
from lookaside_sim.nt.types import NtStatus
from lookaside_sim.testing.faults import FaultInjector
from lookaside_sim.testing.leaks import LeakError, LeakTracker

P = ParamSpec("P")

__all__ = ["fail_each_allocation", "with_each_fault"]

EXPECTED_FAILURES: Final = (AllocError, NtStatusError, MemoryError)
"""Exceptions with which code may answer a refused allocation."""


def fail_each_allocation(
    test: Callable[[Kernel, FaultInjector], object],
    *,
    make_kernel: Callable[[], Kernel] = Kernel,
    expected: tuple[type[Exception], ...] = EXPECTED_FAILURES,
    most_runs: int = 1000,
    stop_at_first: bool = False,
) -> int:
    """Run a test with its first allocation refused, then its second, ..., then none.

    Each run gets a machine of its own and must leave no pool block, no entry and no list
    behind, must not stop the machine, and must leave every invariant intact.

    Args:
        test: called with the kernel and its injector, whose `FaultInjector.suspend` exempts
            code that sets up.
        make_kernel: makes the machine of a run.
        expected: exceptions with which a run may answer the refusal; only the run without
            one must return normally.
        most_runs: runs to make at most.
        stop_at_first: whether the first run that fails is the last.

    Returns:
        How many allocations the test makes when none fails.

    Raises:
        AssertionError: a run left something behind, or there is no end to the runs.
        LookasideSimError: the test asked the pools of its kernel for nothing, so that it
            passed without a failure to answer.
        Exception: what the first run that failed raised, with a note that says which allocation
            was refused, and one that sums all runs up where several failed.
    """
    failures: list[tuple[Exception, str]] = []
    for number in range(1, most_runs + 1):
        kernel = make_kernel()
        injector = FaultInjector(kernel)
        injector.fail(number)
        try:
            _run(test, kernel, injector, expected)
        except Exception as failure:
            if not injector.refused:
                failure.add_note(f"none of the {injector.requests} allocations was refused")
                _add_summary(failure, failures, number)
                raise
            what = f"{injector.refusals[0]} was refused"
            failure.add_note(what)
            failures.append((failure, what))
            if stop_at_first:
                raise
            continue
        if not injector.requests:
            raise LookasideSimError(
                "no allocation was counted, so none could be refused: the test has to allocate"
                " on the kernel it is called with, and not only while faults are suspended"
            )
        if not injector.refused:
            if failures:
                error, _ = failures[0]
                _add_summary(error, failures, number)
                raise error
            return injector.requests
    if failures:
        error, _ = failures[0]
        _add_summary(error, failures, most_runs)
        raise error
    raise AssertionError(
        f"the test still makes more allocations in run {most_runs}: is it the same each time?"
    )


def _run(
    test: Callable[[Kernel, FaultInjector], object],
    kernel: Kernel,
    injector: FaultInjector,
    expected: tuple[type[Exception], ...],
) -> None:
    """Make one run, and ask for a clean end."""
    with LeakTracker(kernel) as tracker:
        try:
            test(kernel, injector)
        except expected as error:
            # A status that says where the test went wrong answers no refusal.
            status = getattr(error, "status", None)
            if not injector.refused or status is NtStatus.STATUS_ACCESS_VIOLATION:
                raise
        if kernel.bugcheck is not None:
            raise kernel.bugcheck  # a test may not hide the stop it caused
        kernel.check()
        tracker.check()


def _add_summary(error: Exception, failures: list[tuple[Exception, str]], runs: int) -> None:
    """Say of all runs what became of them, where more than one failed."""
    if len(failures) < 2:
        return
    lines = [f"{len(failures)} of {runs} runs failed:"]
    for each, what in failures:
        lines.append(f"  {what}: {type(each).__name__}: {_in_short(each)}")
    error.add_note("\n".join(lines))


def _in_short(error: Exception) -> str:
    """What an error says, on one line."""
    if isinstance(error, LeakError):
        return "; ".join(str(leak).partition("\n")[0] for leak in error.leaks)
    first, _, rest = str(error).partition("\n")
    return f"{first} ..." if rest else first


@overload
def with_each_fault(
    test: Callable[Concatenate[Kernel, FaultInjector, P], object],
    /,
) -> Callable[P, None]: ...


@overload
def with_each_fault(
    *,
    make_kernel: Callable[[], Kernel] | None = ...,
    expected: tuple[type[Exception], ...] = ...,
    most_runs: int = ...,
    stop_at_first: bool = ...,
    **settings: Any,
) -> Callable[[Callable[Concatenate[Kernel, FaultInjector, P], object]], Callable[P, None]]: ...


def with_each_fault(
    test: Callable[..., object] | None = None,
    /,
    *,
    make_kernel: Callable[[], Kernel] | None = None,
    expected: tuple[type[Exception], ...] = EXPECTED_FAILURES,
    most_runs: int = 1000,
    stop_at_first: bool = False,
    **settings: Any,
) -> Callable[..., Any]:
    """Decorate a test function so that `fail_each_allocation` runs it.

    As ``@with_each_fault`` on plain machines, or with arguments, as in
    ``@with_each_fault(arch="x86", verifier=Verifier.standard())``.

    Args:
        test: takes the kernel and the injector first, then anything else, such as fixtures.
        make_kernel: makes the machine of a run, in place of settings.
        expected: as for `fail_each_allocation`.
        most_runs: likewise.
        stop_at_first: likewise.
        **settings: what `Kernel` is made with.

    Returns:
        A function of the remaining parameters.

    Raises:
        TypeError: settings that `Kernel` does not have, or both settings and ``make_kernel``.
    """
    if make_kernel is None:
        inspect.signature(Kernel).bind(**settings)
        make_kernel = functools.partial(Kernel, **settings)
    elif settings:
        raise TypeError(
            f"make_kernel makes the kernel: leave out {', '.join(sorted(settings))}"
        )
    make = make_kernel

    def decorate(test: Callable[..., object]) -> Callable[..., None]:
        @functools.wraps(test)
        def run(*args: Any, **kwargs: Any) -> None:
            fail_each_allocation(
                lambda kernel, faults: test(kernel, faults, *args, **kwargs),
                make_kernel=make,
                expected=expected,
                most_runs=most_runs,
                stop_at_first=stop_at_first,
            )

        # pytest takes the parameters from the signature: the first two are filled in here.
        _hide_first_parameters(run, 2)
        return run

    return decorate if test is None else decorate(test)


def _hide_first_parameters(function: Any, count: int) -> None:
    signature = inspect.signature(function)
    rest = list(signature.parameters.values())[count:]
    function.__signature__ = signature.replace(parameters=rest)
    del function.__wrapped__
