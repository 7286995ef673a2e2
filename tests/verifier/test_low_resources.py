"""Requests that fail on purpose."""

from __future__ import annotations

import random

import pytest

from lookaside_sim import (
    Kernel,
    NtStatus,
    NtStatusError,
    Verifier,
    VerifierFlags,
)
from tests.helpers import new_list


def failures(kernel: Kernel, count: int, tag: bytes = b"Test") -> list[bool]:
    return [kernel.pool.allocate(0, 16, tag) is None for _ in range(count)]


def test_failures_are_random_in_the_given_proportion_and_reproducible() -> None:
    settings = Verifier(VerifierFlags.LOW_RESOURCES_SIMULATION, delay_seconds=0, seed=7)
    first = failures(Kernel(verifier=settings), 5000)
    assert first == failures(Kernel(verifier=settings), 5000)
    assert 200 <= sum(first) <= 400  # 6 % of 5000 is 300


def test_nothing_fails_before_the_delay() -> None:
    settings = Verifier(VerifierFlags.LOW_RESOURCES_SIMULATION, probability=10_000)
    kernel = Kernel(verifier=settings)
    kernel.tick(479)
    assert failures(kernel, 3) == [False] * 3
    kernel.tick()
    assert failures(kernel, 3) == [True] * 3
    assert kernel.verification is not None
    assert kernel.verification.counters.allocations_failed_deliberately == 3


def test_tags_and_applications_limit_the_failures() -> None:
    settings = Verifier(
        VerifierFlags.LOW_RESOURCES_SIMULATION,
        probability=10_000,
        delay_seconds=0,
        tags="Te* Xyz",
        applications="test1.exe",
    )
    kernel = Kernel(verifier=settings)
    assert failures(kernel, 1) == [False]
    with kernel.processes.running(kernel.processes.create("test1.exe")):
        assert failures(kernel, 1) == [True]
        assert failures(kernel, 1, b"Xyz ") == [True]
        assert failures(kernel, 1, b"Abcd") == [False]


def test_a_request_that_raises_on_failure_raises() -> None:
    settings = Verifier(
        VerifierFlags.LOW_RESOURCES_SIMULATION, probability=10_000, delay_seconds=0
    )
    kernel = Kernel(verifier=settings)
    lookaside = new_list(kernel, size=32, tag=b"List", flags=1)
    with pytest.raises(NtStatusError) as caught:
        lookaside.allocate()
    assert caught.value.status is NtStatus.STATUS_INSUFFICIENT_RESOURCES
    assert lookaside.allocate_misses == 1


def test_the_systematic_variant_fails_each_call_site_once() -> None:
    kernel = Kernel(verifier=Verifier(VerifierFlags.SYSTEMATIC_LOW_RESOURCES))

    def here() -> int | None:
        return kernel.pool.allocate(0, 16, b"Test")

    def there() -> int | None:
        return kernel.pool.allocate(0, 16, b"Test")

    results = [(here() is None, there() is None) for _ in range(3)]
    assert results == [(True, True), (False, False), (False, False)]
    assert kernel.verification is not None
    assert kernel.verification.low_resources is not None
    history = kernel.verification.low_resources.history
    assert [fault.stack[0].function.rpartition(".")[2] for fault in history] == [
        "here",
        "there",
    ]


def test_the_systematic_variant_alone_leaves_nothing_to_chance() -> None:
    settings = Verifier(
        VerifierFlags.SYSTEMATIC_LOW_RESOURCES, probability=10_000, delay_seconds=0
    )
    kernel = Kernel(verifier=settings)
    assert failures(kernel, 3) == [True, False, False]
    assert failures(Kernel(verifier=settings), 3) == [True, False, False]


def test_both_variants_together() -> None:
    flags = VerifierFlags.SYSTEMATIC_LOW_RESOURCES | VerifierFlags.LOW_RESOURCES_SIMULATION
    settings = Verifier(flags, probability=10_000, delay_seconds=480)
    kernel = Kernel(verifier=settings)

    def fails() -> bool:
        return failures(kernel, 1) == [True]

    results = []
    for seconds in (0, 479, 1):
        kernel.tick(seconds)
        results.append(fails())  # one line of the program
    assert results == [True, False, True]


def test_the_newest_80_failures_are_kept_and_all_counted() -> None:
    settings = Verifier(
        VerifierFlags.LOW_RESOURCES_SIMULATION, probability=10_000, delay_seconds=0
    )
    kernel = Kernel(verifier=settings)
    for size in range(1, 83):
        assert kernel.pool.allocate(0, size, b"Test") is None
    assert kernel.verification is not None
    faults = kernel.verification.low_resources
    assert faults is not None
    assert faults.injected == 82
    assert [each.size for each in faults.history] == list(range(3, 83))


@pytest.mark.parametrize(("drawn", "fails"), [(0, True), (599, True), (600, False)])
def test_the_probability_is_out_of_10_000(drawn: int, fails: bool) -> None:
    kernel = Kernel(verifier=Verifier(VerifierFlags.LOW_RESOURCES_SIMULATION, delay_seconds=0))
    assert kernel.verification is not None
    faults = kernel.verification.low_resources
    assert faults is not None
    asked = []

    class Draw(random.Random):
        def randrange(self, start: int, stop: int | None = None, step: int = 1) -> int:
            asked.append(start)
            return drawn

    faults._random = Draw()
    assert failures(kernel, 1) == [fails]
    assert asked == [10_000]
