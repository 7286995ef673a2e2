"""Make the simulated pool run out, exactly when a test wants it to.

`FaultInjector` refuses chosen requests of one kernel. `fail_each_allocation` is the
systematic way: it runs a test once for each allocation it makes, with that one refused, and
asks every run to clean up.
"""

from __future__ import annotations

import functools
import inspect
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any, ClassVar, Concatenate, Final, ParamSpec, overload

from lookaside_sim.errors import AllocError, LookasideSimError, NtStatusError
from lookaside_sim.kernel import Kernel
from lookaside_sim.nt.types import NtStatus
from lookaside_sim.pool.plans import PoolPlan, request_of
from lookaside_sim.pool.requests import Layer, Order, refused
from lookaside_sim.testing.leaks import LeakTracker

P = ParamSpec("P")

__all__ = ["FaultInjector", "fail_each_allocation", "with_each_fault"]

EXPECTED_FAILURES: Final = (AllocError, NtStatusError, MemoryError)
"""Exceptions with which code may answer a refused allocation."""


class _FaultLayer(Layer):
    """Lies over every request to the pools of a kernel."""

    __slots__ = ("_injector",)

    order: ClassVar[Order] = Order.FAULTS

    def __init__(self, injector: FaultInjector) -> None:
        self._injector = injector

    def allocate(self, plan: PoolPlan) -> int:
        """Refuse the request, or hand it on."""
        if self._injector.refuses():
            self._injector.kernel.machine.hooks.tell_refused()
            size = request_of(plan).size
            return refused(plan, f"the request for {size} bytes was chosen to fail")
        return self.below.allocate(plan)


class FaultInjector:
    """Refuses requests to the pools of one kernel.

    A refused request finds the pool exhausted: it returns NULL, or raises
    STATUS_INSUFFICIENT_RESOURCES where its type asks for that. What a lookaside list serves
    from its free entries is no request. Requests count from 1.

    Args:
        kernel: the machine.

    Attributes:
        requests: requests so far, without those made while suspended.
        refused: how many of them were refused.
    """

    def __init__(self, kernel: Kernel) -> None:
        self.kernel = kernel
        self.requests = 0
        self.refused = 0
        self._chosen: set[int] = set()
        self._always = False
        self._suspended = 0
        self._layer = _FaultLayer(self)
        kernel.pool.requests.put(self._layer)

    def fail(self, number: int) -> None:
        """Refuse one request.

        Args:
            number: 1 is the next request from now.

        Raises:
            ValueError: less than 1.
        """
        self._check_positive("number", number)
        self._chosen.add(self.requests + number)

    def fail_next(self, count: int = 1) -> None:
        """Refuse the next requests.

        Args:
            count: how many.

        Raises:
            ValueError: less than 1.
        """
        self._check_positive("count", count)
        self._chosen.update(range(self.requests + 1, self.requests + count + 1))

    def fail_all(self) -> None:
        """Refuse every request until `clear`."""
        self._always = True

    def clear(self) -> None:
        """Refuse nothing any more."""
        self._always = False
        self._chosen.clear()

    @contextmanager
    def suspend(self) -> Iterator[None]:
        """Neither refuse nor count inside, for code that sets up; may be nested."""
        self._suspended += 1
        try:
            yield
        finally:
            self._suspended -= 1

    def remove(self) -> None:
        """Leave the kernel as it was."""
        self.kernel.pool.requests.take_off(self._layer)

    def refuses(self) -> bool:
        """Count one request and decide about it."""
        if self._suspended:
            return False
        self.requests += 1
        if not self._always and self.requests not in self._chosen:
            return False
        self._chosen.discard(self.requests)
        self.refused += 1
        return True

    @staticmethod
    def _check_positive(name: str, value: int) -> None:
        if value < 1:
            raise ValueError(f"{name}={value}: requests count from 1")


def fail_each_allocation(
    test: Callable[[Kernel, FaultInjector], object],
    *,
    make_kernel: Callable[[], Kernel] = Kernel,
    expected: tuple[type[Exception], ...] = EXPECTED_FAILURES,
    most_runs: int = 1000,
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

    Returns:
        How many allocations the test makes when none fails.

    Raises:
        AssertionError: a run left something behind, or there is no end to the runs.
        LookasideSimError: the test asked the pools of its kernel for nothing, so that it
            passed without a failure to answer.
        Exception: what a run raised otherwise, with a note that says which allocation was
            refused.
    """
    for number in range(1, most_runs + 1):
        kernel = make_kernel()
        injector = FaultInjector(kernel)
        injector.fail(number)
        try:
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
        except Exception as error:
            error.add_note(
                f"allocation {number} was refused"
                if injector.refused
                else f"none of the {injector.requests} allocations was refused"
            )
            raise
        if not injector.requests:
            raise LookasideSimError(
                "no allocation was counted, so none could be refused: the test has to allocate"
                " on the kernel it is called with, and not only while faults are suspended"
            )
        if not injector.refused:
            return injector.requests
    raise AssertionError(
        f"the test still makes more allocations in run {most_runs}: is it the same each time?"
    )


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
    **settings: Any,
) -> Callable[[Callable[Concatenate[Kernel, FaultInjector, P], object]], Callable[P, None]]: ...


def with_each_fault(
    test: Callable[..., object] | None = None,
    /,
    *,
    make_kernel: Callable[[], Kernel] | None = None,
    expected: tuple[type[Exception], ...] = EXPECTED_FAILURES,
    most_runs: int = 1000,
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
