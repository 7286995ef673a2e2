"""Random programs that overwrite headers, links and structures, in every mix of switches.

    python -m tests.fuzz.overwrites [PROGRAMS [FIRST]]

Each program is drawn from its number alone. Only documented errors may come out of it, within a
few seconds, and stops whose parameters fit a pointer; whoever looks on stops nothing.
"""

from __future__ import annotations

import random
import signal
import sys
import traceback
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any, NoReturn

from lookaside_sim import BugCheck, Kernel, Verifier, VerifierFlags, ddi, windbg
from lookaside_sim.ddi.information import (
    system_lookaside_information,
    system_pooltag_information,
)
from lookaside_sim.lookaside.list import LookasideList
from lookaside_sim.nt.windows import WINDOWS_NAMES
from tests.fuzz.arguments import DOCUMENTED

STEPS = 60
SECONDS = 10
"""After which a program hangs."""


class RoutineError(Exception):
    """What a custom routine raises; it comes out as it is."""


class Program:
    """One random program.

    Args:
        number: chooses everything.
    """

    def __init__(self, number: int) -> None:
        self._random = rng = random.Random(number)
        flip: Callable[[], bool] = lambda: rng.random() < 0.5  # noqa: E731
        self.options: dict[str, Any] = {
            "arch": rng.choice(("x64", "x86")),
            "processors": rng.choice((1, 1, 3)),
            "sanitizer": flip(),
            "small_pool_lists": flip(),
            "delayed_free": flip(),
            "strict_pool_tags": flip(),
            "nonpaged_pool_bytes": 64 << 12,
            "seed": number,
        }
        more = random.Random(f"{number} more")  # so that programs stay what they were
        self.options["windows"] = more.choice(WINDOWS_NAMES)
        self.options["kasan"] = self.options["arch"] == "x64" and more.random() < 0.2
        self.kernel = Kernel(**self.options)
        if rng.random() < 0.4:
            flags = VerifierFlags(rng.getrandbits(32) & sum(VerifierFlags))
            self.kernel.enable_verifier(Verifier(flags=flags))
        self._lists: list[LookasideList] = []
        self._blocks: list[int] = []
        self._entries: list[tuple[LookasideList, int]] = []
        self._driver = self.kernel.load_driver("fuzz.sys")
        self._depth = 0

    def run(self) -> Iterator[Callable[[], object]]:
        """The steps, each to be called once."""
        acts = (
            self._new_list, self._allocate, self._allocate, self._free, self._block,
            self._free_block, self._overwrite, self._overwrite, self._overwrite, self._tick,
            self._flush, self._delete, self._io, self._charged, self._unload,
        )  # fmt: skip
        for _ in range(STEPS):
            yield self._random.choice(acts)

    # --- acts --------------------------------------------------------------------------------

    def _new_list(self) -> None:
        rng, kernel = self._random, self.kernel
        address = self._kernel_block(0x100) if rng.random() < 0.3 else None
        with self._driver:
            lookaside = kernel.lookaside_list("fuzz", address)
        allocate, free = (
            (self._custom_allocate, self._custom_free) if rng.random() < 0.5 else (None, None)
        )
        lookaside.initialize(
            pool_type=rng.choice((0, 1, 0x200)),
            size=rng.choice((1, 8, 64, 900, 5000)),
            tag=b"zzuF",
            flags=rng.choice((0, 0, 1)),
            allocate=allocate,
            free=free,
        )
        self._lists.append(lookaside)

    def _kernel_block(self, size: int) -> int | None:
        return self.kernel.pool.allocate(0, size, b"kclB")

    def _allocate(self) -> None:
        if self._lists:
            lookaside = self._random.choice(self._lists)
            with self.kernel.on_processor(self._random.randrange(self.kernel.processors)):
                entry = lookaside.allocate()
            if entry is not None:
                self._entries.append((lookaside, entry))

    def _free(self) -> None:
        if self._entries:
            rng = self._random
            at = rng.randrange(len(self._entries))
            lookaside, entry = self._entries[at]
            if rng.random() < 0.95:
                del self._entries[at]
            lookaside.free(entry)

    def _block(self) -> None:
        size = self._random.choice((8, 24, 100, 400, 3000, 5000))
        block = self.kernel.pool.allocate(self._random.choice((0, 1, 0x200)), size, b"kclB")
        if block is not None:
            self._blocks.append(block)

    def _free_block(self) -> None:
        if self._blocks:
            self.kernel.pool.free(self._blocks.pop(self._random.randrange(len(self._blocks))))

    def _tick(self) -> None:
        self.kernel.tick(self._random.choice((1, 3, 7, 1 << 30)))

    def _flush(self) -> None:
        if self._lists:
            self._random.choice(self._lists).flush()

    def _delete(self) -> None:
        if self._lists:
            at = self._random.randrange(len(self._lists))
            self._lists.pop(at).delete()

    def _io(self) -> None:
        with self.kernel:
            irp = ddi.IoAllocateIrp(self._random.choice((1, 4, 20)), ChargeQuota=False)
            mdl = ddi.IoAllocateMdl(0x1000, self._random.choice((16, 1 << 20)))
            self._overwrite()
            ddi.IoFreeIrp(irp)
            ddi.IoFreeMdl(mdl)

    def _charged(self) -> None:
        processes = self.kernel.processes
        process = processes.all[-1] if len(processes.all) > 1 else processes.create("fuzz.exe")
        with processes.running(process):
            block = self.kernel.quota.allocate(8, self._random.choice((1, 30, 100)), b"kclB")
        if block is not None:
            self._blocks.append(block)

    def _unload(self) -> None:
        if self._random.random() < 0.1:
            self._driver.unload()
            self._driver = self.kernel.load_driver("fuzz.sys")

    # --- routines ------------------------------------------------------------------------------

    def _custom_allocate(self, pool_type: int, size: int, tag: int, _: object) -> int:
        self._meanwhile()
        return self.kernel.pool.allocate(0, max(size & 0xFFF, 1), b"tsuC") or 0

    def _custom_free(self, entry: int, _: object) -> None:
        self._meanwhile()
        self.kernel.pool.free(entry)

    def _meanwhile(self) -> None:
        """What a routine does besides: raise, call back in, delete, unload."""
        rng = self._random
        if self._depth > 2 or rng.random() < 0.6:
            return
        self._depth += 1
        try:
            if rng.random() < 0.2:
                raise RoutineError
            rng.choice((self._allocate, self._free, self._flush, self._delete, self._unload))()
        finally:
            self._depth -= 1

    # --- overwriting -----------------------------------------------------------------------------

    def _write_unchecked(self, address: int, data: bytes) -> None:
        """Write as somebody does whom nothing checks."""
        self.kernel.memory.write(address, data)

    def _overwrite(self) -> None:
        rng, kernel = self._random, self.kernel
        places = [
            *(block - 16 for block in self._blocks),
            *(entry - 16 for _, entry in self._entries),
            *(each.address for each in self._lists),
            *(each.first for each in kernel.registry.all() if each.first),  # type: ignore[attr-defined]
            kernel.arch.lookaside_heads_start,
            kernel.arch.processor_blocks_start + rng.choice((0, 0x900, 0x8000)),
            kernel.arch.nonpaged_pool_start + (rng.randrange(0x200) << 4),
        ]
        address = rng.choice(places) + rng.randrange(0x80)
        size = rng.choice((1, 2, 4, kernel.arch.pointer_size))
        value = rng.choice(
            (
                rng.getrandbits(8 * size),
                0,
                (1 << 8 * size) - 1,
                rng.choice([*places, 0x1000]) & (1 << 8 * size) - 1,
            )
        )
        data = value.to_bytes(size, "little")
        if rng.random() < 0.5:
            kernel.write(address, data)
        elif kernel.memory.is_mapped(address, size):
            self._write_unchecked(address, data)


def look(kernel: Kernel) -> None:
    """Everything that only looks."""
    stop, gate = kernel.bugcheck, kernel.machine.gate
    windbg.lookasides(kernel)
    windbg.poolused(kernel)
    windbg.poolmon(kernel)
    windbg.pplookaside(kernel)
    windbg.poolfind(kernel, "*")
    windbg.verifier(kernel, 7)
    system_lookaside_information(kernel)
    system_pooltag_information(kernel)
    repr(kernel)
    for each in kernel.registry.all():
        repr(each)
    try:
        kernel.check()
    except DOCUMENTED as error:
        if isinstance(error, BugCheck):
            raise AssertionError("check() stopped the machine") from error
    assert (kernel.bugcheck, kernel.machine.gate) == (stop, gate), "a look stopped the machine"


def _hang(*arguments: object) -> NoReturn:
    raise TimeoutError("hangs")


@contextmanager
def _no_hang() -> Iterator[None]:
    before = signal.signal(signal.SIGALRM, _hang)
    signal.alarm(SECONDS)
    try:
        yield
    finally:
        signal.alarm(0)
        signal.signal(signal.SIGALRM, before)


def play(number: int, make: Callable[[int], Program] = Program) -> str | None:
    """Run one program.

    Args:
        number: of the program.
        make: what makes it.

    Returns:
        What is wrong, or None.
    """
    program: Program | None = None
    try:
        with _no_hang():
            program = make(number)
            kernel = program.kernel
            last = (1 << kernel.arch.address_bits) - 1
            for step in program.run():
                try:
                    step()
                except DOCUMENTED:
                    pass
                except RoutineError:
                    pass
                except ValueError as error:
                    # The program's own: a list at an address that is no block's any more.
                    if "address" not in str(error) or "frames" in str(error):
                        raise
                if kernel.bugcheck is not None:
                    assert all(0 <= each <= last for each in kernel.bugcheck.parameters)
                    break
            look(kernel)
    except Exception as error:
        frame = traceback.extract_tb(error.__traceback__)[-1]
        options = {} if program is None else program.options
        return (
            f"program {number}: {type(error).__name__}: {error}, in {frame.name}"
            f" ({frame.filename.rpartition('/')[2]}:{frame.lineno}); {options}"
        )
    return None


def main() -> None:
    """Run programs and print what is found."""
    given = [int(each) for each in sys.argv[1:]]
    programs = given[0] if given else 30_000
    first = given[1] if len(given) > 1 else 0
    found = 0
    for number in range(first, first + programs):
        wrong = play(number)
        if wrong is not None:
            found += 1
            print(wrong, flush=True)
    print(f"{programs} programs, {found} findings")


if __name__ == "__main__":
    main()
