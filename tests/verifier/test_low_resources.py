"""Requests that fail on purpose."""

from __future__ import annotations

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
