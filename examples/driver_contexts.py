"""A driver that keeps four contexts, after the second program of the crate win-lookaside.

Covers: `LookasideAllocator.alloc` and `free`, `windbg.lookaside`.
Scenario: the driver creates four contexts of an empty type and removes them in the order
1, 3, 4, 2; before it deletes its list somebody looks at it with the debugger. The size 0 is
raised to one pointer, and all four frees find room on the list.
"""

from lookaside_sim import Kernel, LookasideAllocator, PoolTag, PoolType, windbg

LIST_ADDRESS = 0xFFFFF80474866030  # in the driver's data section
TAG = PoolTag.from_literal("aabb")
REMOVED_IN_ORDER = (1, 3, 4, 2)


def main() -> None:
    allocator = LookasideAllocator(Kernel(), address=LIST_ADDRESS)
    allocator.init(0, PoolType.NonPagedPool, TAG)

    contexts = {number: allocator.alloc() for number in (1, 2, 3, 4)}
    for number in REMOVED_IN_ORDER:
        allocator.free(contexts.pop(number))

    # WinDbg on x64 reads the depth from the wrong place and always prints 0.
    print(windbg.lookaside(allocator.lookaside, debugger_depth=True))
    print(f"\nTruly on the list: {allocator.lookaside.current_depth}")
    allocator.destroy()


if __name__ == "__main__":
    main()
