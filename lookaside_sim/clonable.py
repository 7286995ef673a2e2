"""What can be copied whole: a machine, and how its objects are found in the copy."""

from __future__ import annotations

from typing import Final, NoReturn, Self, TypeVar

from lookaside_sim.machine.machine import Machine

T = TypeVar("T")

MISSING: Final = "missing"
"""In the ``LEFT_OUT`` of a class: a copy has no such attribute yet, see `lookaside_sim.clone`."""


class Clonable:
    """What can be cloned: the base of `Kernel`, which stands on a machine.

    Attributes:
        machine: what its parts stand on.
    """

    machine: Machine

    def clone(self) -> Self:
        """Copy the machine: what is done to one of the two never shows in the other.

        Every byte, counter and seed is the same, so the same calls have the same results from
        here on. Nothing is told to anybody, and a machine that has stopped can be copied.

        Objects that the program holds (lists, drivers, locks, processes) are the original's.
        In the copy they are found by address or name: `list_at`, `drivers`, `spin_locks`,
        `processes`.

        The program's own code is the same for both: allocate and free routines, which get the
        copy's list when the copy calls them, and unload routines, which get nothing; see
        `Driver.routines`.

        Not carried over: who listens, to calls or to memory; being the current kernel
        (``with kernel:``); a call under way. Taken inside a routine or listener, the copy
        stands as the machine stands there: the driver whose code runs, the processor, its
        IRQL. What the call would still have done is never done in the copy, and what a
        ``with`` block of the original will undo, it undoes in the original.

        Returns:
            The copy. Cost: a few milliseconds for a machine with some megabytes of pool.
        """
        return self.clone_along(None)[0]

    def clone_along(self, held: T) -> tuple[Self, T]:
        """Copy the machine and, along with it, what somebody holds of it.

        Args:
            held: objects of the machine, in lists, dicts or tuples.

        Returns:
            The copy, and the copy of ``held``, whose objects are the copied machine's.
        """
        from lookaside_sim.clone import copy_of

        self.machine.memory.settle_all()  # slots refer to each other, deeper than any stack is
        twin = copy_of(self, {**vars(self), "_tokens": [], "_held": held})
        twin.machine.hooks.forget_listeners()
        copied: T = vars(twin).pop("_held")
        return twin, copied

    def __deepcopy__(self, memo: object) -> Self:
        return self.clone()

    def __copy__(self) -> NoReturn:
        raise TypeError("a shallow copy of a Kernel would share its memory: use Kernel.clone()")

    def __reduce_ex__(self, protocol: object) -> NoReturn:
        raise TypeError(
            "a Kernel cannot be pickled: it holds code of the running program, such as list"
            " routines and call sites. Kernel.clone() copies one within the program"
        )
