"""ExAllocatePool3: what its extended parameters do."""

from __future__ import annotations

import pytest

from lookaside_sim import Kernel, NtStatus, NtStatusError, ddi

NON_PAGED = ddi.POOL_FLAG_NON_PAGED
RAISE = ddi.POOL_FLAG_RAISE_ON_FAILURE
Parameter = ddi.POOL_EXTENDED_PARAMETER
PRIORITY = ddi.PoolExtendedParameterPriority
NODE = ddi.PoolExtendedParameterNumaNode
SECURE = ddi.PoolExtendedParameterSecurePool


def test_without_parameters_it_is_ex_allocate_pool_2() -> None:
    kernel = Kernel()
    with kernel:
        address = ddi.ExAllocatePool3(NON_PAGED, 100, b"Test", None, 0)
        assert kernel.read(address, 100) == bytes(100)
        ddi.ExFreePool(address)
        assert ddi.ExAllocatePool2(NON_PAGED, 100, b"Test") == address


def test_a_low_priority_fails_first() -> None:
    kernel = Kernel(nonpaged_pool_bytes=1 << 18)
    with kernel:
        while ddi.ExAllocatePool3(NON_PAGED, 4000, b"Test", [Parameter(PRIORITY, 0)], 1):
            pass
        low, high = [Parameter(PRIORITY, 0)], [Parameter(PRIORITY, 32)]
        assert ddi.ExAllocatePool3(NON_PAGED, 4000, b"Test", low, 0)
        assert ddi.ExAllocatePool3(NON_PAGED, 4000, b"Test", low, 1) == 0
        with pytest.raises(NtStatusError):
            ddi.ExAllocatePool3(NON_PAGED | RAISE, 1 << 19, b"Test", high, 1)


def test_a_node_is_granted_and_secure_pool_is_not() -> None:
    with Kernel():
        assert ddi.ExAllocatePool3(NON_PAGED, 24, b"Test", [Parameter(NODE, 0)], 1)
        assert ddi.ExAllocatePool3(NON_PAGED, 24, b"Test", [Parameter(SECURE, 1)], 1) == 0
        assert ddi.ExAllocatePool3(NON_PAGED, 24, b"Test", [Parameter(SECURE, 1, True)], 1)
        assert ddi.ExAllocatePool3(NON_PAGED, 24, b"Test", [Parameter(0)], 1) == 0
        assert ddi.ExAllocatePool3(NON_PAGED, 24, b"Test", [Parameter(PRIORITY, 7)], 1) == 0
        with pytest.raises(NtStatusError) as raised:
            ddi.ExAllocatePool3(NON_PAGED | RAISE, 24, b"Test", [Parameter(SECURE, 1)], 1)
        assert raised.value.status is NtStatus.STATUS_INVALID_PARAMETER
        with pytest.raises(ValueError, match="ExtendedParametersCount 2"):
            ddi.ExAllocatePool3(NON_PAGED, 24, b"Test", [Parameter(NODE)], 2)
