"""Make the simulated pool run out, exactly when a test wants it to.

`FaultInjector` refuses chosen requests of one kernel, and knows what each was for;
`lookaside_sim.testing.each_fault` refuses each in turn.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import ClassVar

import attrs

from lookaside_sim import windbg
from lookaside_sim.kernel import Kernel
from lookaside_sim.lookaside.calls import AllocateEntry
from lookaside_sim.nt.types import PoolTag
from lookaside_sim.pool.plans import PoolPlan, Request, request_of
from lookaside_sim.pool.requests import Layer, Order, refused
from lookaside_sim.system.calls import CallRoutine

__all__ = ["FaultInjector", "Refusal"]


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
            refusal = self._injector.note(request_of(plan))
            return refused(plan, f"the request for {refusal.size} bytes was chosen to fail")
        return self.below.allocate(plan)


@attrs.frozen
class Refusal:
    """A request that was refused.

    Attributes:
        number: which request it was, from 1.
        size: bytes asked for.
        tag: its tag.
        pool_type: of which pool.
        lookaside: the list it was made for, in words; empty for none.
        routine: the routine of NT's that made it, such as ``"IoCreateDevice"``; empty for none.
        where: the line of the program.
    """

    number: int
    size: int
    tag: PoolTag
    pool_type: int
    lookaside: str
    routine: str
    where: str

    def __str__(self) -> str:
        what = f"{self.size} bytes, tag {self.tag}, {windbg.pool_type_name(self.pool_type)}"
        if self.lookaside:
            what += f", for the list {self.lookaside}"
        elif self.routine:
            what += f", for {self.routine}"
        return f"allocation {self.number} ({what}, in {self.where})"


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
        refusals: what is known of each that was refused, oldest first.
    """

    def __init__(self, kernel: Kernel) -> None:
        self.kernel = kernel
        self.requests = 0
        self.refused = 0
        self.refusals: list[Refusal] = []
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

    def note(self, request: Request) -> Refusal:
        """Remember what was refused just now."""
        lookaside, routine = _behind(self.kernel)
        where = str(self.kernel.machine.program.calling_site())
        made = Refusal(
            self.requests,
            request.size,
            PoolTag(request.tag),
            request.pool_type,
            lookaside,
            routine,
            where,
        )
        self.refusals.append(made)
        return made

    @staticmethod
    def _check_positive(name: str, value: int) -> None:
        if value < 1:
            raise ValueError(f"{name}={value}: requests count from 1")


def _behind(kernel: Kernel) -> tuple[str, str]:
    """The list and the routine that a request is made for, as far as somebody listens."""
    call = kernel.machine.hooks.call
    while call is not None:
        if isinstance(call, AllocateEntry):
            lookaside = call.lookaside
            return f"{lookaside.name!r} at {lookaside.address:#x}", ""
        if isinstance(call, CallRoutine):
            return "", call.name
        call = call.outer
    return "", ""
