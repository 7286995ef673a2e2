"""What the crate's own destroy-then-drop does to the machine.

Covers: `lookaside_sim.ddi`, `BugCheck`, `LookasideAllocator.destroy`.
Scenario: the crate win-lookaside calls ExDeleteLookasideListEx in ``destroy`` and, because it
leaves its mark set, again when the value is dropped. The second delete finds the neighbors in
the system-wide list no longer pointing back. The front end here does nothing the second time.
"""

from lookaside_sim import BugCheck, Kernel, LookasideAllocator, LookasideList, PoolType, ddi


def destroy_then_drop() -> None:
    lookaside = LookasideList(Kernel())
    status = ddi.ExInitializeLookasideListEx(
        lookaside, 0, 0, PoolType.NonPagedPool, 0, 64, b"srLL", 0
    )
    print(f"initialize: {status.name}")
    ddi.ExDeleteLookasideListEx(lookaside)
    print("destroy:    deleted")
    try:
        ddi.ExDeleteLookasideListEx(lookaside)
    except BugCheck as stop:
        parameters = ", ".join(f"{parameter:#x}" for parameter in stop.parameters)
        print(f"drop:       {stop.code.name} ({stop.code:#x}) {parameters}")


def with_the_front_end() -> None:
    allocator = LookasideAllocator(Kernel())
    allocator.init(64, PoolType.NonPagedPool)
    allocator.destroy()
    allocator.destroy()
    print("front end:  destroyed twice, and the machine runs on")


if __name__ == "__main__":
    destroy_then_drop()
    with_the_front_end()
