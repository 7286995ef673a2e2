"""What using an entry after freeing it does to a list.

Covers: links in simulated memory, `Kernel.read` and `Kernel.write`, double free.
Scenario: a free entry's first pointer is the list's link. A driver that still writes to the
entry it freed redirects the list, and the allocation after the next one returns an address
the driver chose. One that frees an entry twice gets the same entry twice. Nothing is found at
that moment: the list trusts memory.
"""

from lookaside_sim import BugCheck, Kernel, LookasideList, PoolType


def new_list(kernel: Kernel) -> LookasideList:
    lookaside = LookasideList(kernel)
    lookaside.initialize(pool_type=PoolType.NonPagedPool, size=64, tag=b"Uaf ")
    return lookaside


def use_after_free() -> None:
    kernel = Kernel()
    lookaside = new_list(kernel)
    victim = kernel.pool.allocate(PoolType.NonPagedPool, 64, b"Vctm")
    older, newer = lookaside.allocate(), lookaside.allocate()
    assert victim is not None
    assert newer is not None
    lookaside.free(older)
    lookaside.free(newer)

    link = int.from_bytes(kernel.read(newer, 8), "little")
    print(f"link in the freed entry:  {link:#x} (the older entry: {link == older})")
    kernel.write(newer, victim.to_bytes(8, "little"))  # the use after free
    print(f"next allocation:          {lookaside.allocate():#x}")
    print(f"the one after:            {lookaside.allocate():#x} (the victim: {victim:#x})")


def double_free() -> None:
    kernel = Kernel()
    lookaside = new_list(kernel)
    entry = lookaside.allocate()
    lookaside.free(entry)
    lookaside.free(entry)
    first, second = lookaside.allocate(), lookaside.allocate()
    print(f"after a double free:      {first:#x}, {second:#x}: the same entry twice")


def wild_link() -> None:
    kernel = Kernel()
    lookaside = new_list(kernel)
    entry = lookaside.allocate()
    assert entry is not None
    lookaside.free(entry)
    kernel.write(entry, (0xFFFFDEAD00000000).to_bytes(8, "little"))
    lookaside.allocate()
    try:
        lookaside.allocate()  # follows the link, although the list counts no entry
    except BugCheck as stop:
        print(f"a link out of memory:     {stop}")


if __name__ == "__main__":
    use_after_free()
    double_free()
    wild_link()
