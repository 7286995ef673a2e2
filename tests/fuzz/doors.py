"""The doors of a machine: each public call with arguments that are right, and what each is.

A door is a function that makes a fresh call; the kinds of its arguments say what else could be
given for each and would be right as well, so that everything else must be refused.
"""

from __future__ import annotations

from collections.abc import Callable
from decimal import Decimal
from fractions import Fraction
from typing import Any, Final, NamedTuple

from lookaside_sim import Kernel, SpinLock, Verifier, ddi, windbg
from lookaside_sim.lookaside.list import LookasideList


class Index:
    """An integer of somebody else's, as numpy's are: it has ``__index__`` and nothing else."""

    def __init__(self, value: int) -> None:
        self._value = value

    def __index__(self) -> int:
        return self._value

    def __repr__(self) -> str:
        return f"Index({self._value})"


def nothing(*arguments: object) -> int:
    """A routine that may be called and is never of use."""
    return 0


class World:
    """A machine with one of each thing, and the same each time.

    Args:
        arch: which machine.
        sanitizer: whether its lists are sanitized.
    """

    def __init__(self, arch: str, *, sanitizer: bool = False) -> None:
        self.kernel = kernel = Kernel(arch, processors=2, sanitizer=sanitizer)
        self.block = self._allocate(256)
        self.other = self._allocate(256)
        self.old = self._allocate(512)
        self.head = self._allocate(64)
        kernel.slists.initialize(self.head)
        self.word = self._allocate(32)
        kernel.spin_locks.initialize(self.word)
        self.timer = self._allocate(128)
        kernel.objects.initialize_timer(self.timer)
        self.lookaside = kernel.lookaside_list("list")
        self.lookaside.initialize(size=64, tag=b"tseT")
        self.entry = self.lookaside.allocate()
        self.lookaside.free(self.lookaside.allocate())
        assert self.entry is not None
        self.fresh = kernel.lookaside_list("fresh")
        self.driver = kernel.load_driver("mydrv.sys")
        self.lock = SpinLock(kernel, "lock")
        self.held = SpinLock(kernel, "held")
        self.held.acquire()
        with kernel:
            self.irp = ddi.IoAllocateIrp(1, False)
            self.mdl = ddi.IoAllocateMdl(self.block, 64)

    def _allocate(self, size: int) -> int:
        block = self.kernel.pool.allocate(0x400, size, b"tseT")
        assert block is not None
        return block


INT, TAG, POINTER, ENTRY, FREED, ROUTINE, OPTIONAL, OUT, BOOL, LIST, TEXT, BYTES, OTHER = [
    "int",
    "tag",
    "pointer",
    "entry",
    "freed",
    "routine",
    "optional",
    "out",
    "bool",
    "list",
    "text",
    "bytes",
    "other",
]
"""What an argument may be. A pointer may be an object with an address, an entry and a freed block
also None, an optional integer likewise; an other is judged by the call alone."""


class Door(NamedTuple):
    """One call: its name, what it is called on, its arguments and their kinds."""

    name: str
    call: Callable[[World], Callable[..., Any]]
    arguments: Callable[[World], tuple[Any, ...]]
    kinds: tuple[str, ...]


def _routine(name: str, kinds: str, arguments: Callable[[World], tuple[Any, ...]]) -> Door:
    return Door(f"ddi.{name}", lambda w: getattr(ddi, name), arguments, tuple(kinds.split()))


def _on(path: str, kinds: str, arguments: Callable[[World], tuple[Any, ...]]) -> Door:
    def find(world: World) -> Callable[..., Any]:
        found: Any = world
        for name in path.split("."):
            found = getattr(found, name)
        return found  # type: ignore[no-any-return]

    return Door(path, find, arguments, tuple(kinds.split()))


def _initialize(world: World) -> Callable[..., Any]:
    def initialize(*given: object) -> Any:
        names = "pool_type", "size", "tag", "flags", "depth", "allocate", "free"
        return world.fresh.initialize(**dict(zip(names, given, strict=True)))  # type: ignore[arg-type]

    return initialize


def _initialize_older(world: World) -> Callable[..., Any]:
    def initialize(*given: object) -> Any:
        names = "pool_type", "size", "tag", "allocate", "free"
        return world.fresh.initialize_older(**dict(zip(names, given, strict=True)))  # type: ignore[arg-type]

    return initialize


def _on_processor(world: World) -> Callable[..., Any]:
    def enter(number: int) -> None:
        with world.kernel.on_processor(number):
            pass

    return enter


def _on_class(world: World) -> Callable[..., Any]:
    return lambda name, address: LookasideList(world.kernel, name, address)


def _view(name: str) -> Callable[[World], Callable[..., Any]]:
    return lambda world: getattr(windbg, name)


DOORS: Final = (
    *(
        _routine(name, "int int tag", lambda w: (0, 64, b"tseT"))
        for name in (
            "ExAllocatePoolWithTag",
            "ExAllocatePoolZero",
            "ExAllocatePoolUninitialized",
            "ExAllocatePoolWithQuotaTag",
            "ExAllocatePoolQuotaZero",
            "ExAllocatePoolQuotaUninitialized",
        )
    ),
    _routine("ExAllocatePool", "int int", lambda w: (0, 64)),
    _routine("ExAllocatePoolWithQuota", "int int", lambda w: (0, 64)),
    _routine("ExAllocatePool2", "int int tag", lambda w: (0x40, 64, b"tseT")),
    *(
        _routine(name, "int int tag int", lambda w: (0, 64, b"tseT", 16))
        for name in (
            "ExAllocatePoolWithTagPriority",
            "ExAllocatePoolPriorityZero",
            "ExAllocatePoolPriorityUninitialized",
        )
    ),
    _routine("ExFreePool", "freed", lambda w: (w.block,)),
    _routine("ExFreePoolWithTag", "freed tag", lambda w: (w.block, b"tseT")),
    _routine("ExFreePool2", "freed tag optional int", lambda w: (w.block, b"tseT", 0, 0)),
    _routine("IoAllocateIrp", "int bool", lambda w: (1, False)),
    _routine(
        "IoAllocateMdl",
        "pointer int bool bool pointer",
        lambda w: (w.block, 64, False, False, 0),
    ),
    _routine("IoFreeIrp", "int", lambda w: (w.irp,)),
    _routine("IoFreeMdl", "int", lambda w: (w.mdl,)),
    _routine("KeRaiseIrql", "int out", lambda w: (3, ddi.Ref())),
    _routine("KeLowerIrql", "int", lambda w: (0,)),
    _routine("KeInitializeSpinLock", "pointer", lambda w: (w.word,)),
    _routine("KeAcquireSpinLock", "pointer out", lambda w: (w.word, ddi.Ref())),
    _routine("KeAcquireSpinLockRaiseToDpc", "pointer", lambda w: (w.word,)),
    _routine("KeAcquireSpinLockAtDpcLevel", "pointer", lambda w: (w.word,)),
    _routine("KeReleaseSpinLock", "pointer int", lambda w: (w.held, 0)),
    _routine("KeReleaseSpinLockFromDpcLevel", "pointer", lambda w: (w.held,)),
    _routine("ExAllocateFromLookasideListEx", "list", lambda w: (w.lookaside,)),
    _routine("ExFreeToLookasideListEx", "list entry", lambda w: (w.lookaside, w.entry)),
    _routine("ExFlushLookasideListEx", "list", lambda w: (w.lookaside,)),
    _routine("ExDeleteLookasideListEx", "list", lambda w: (w.fresh,)),
    _routine(
        "ExInitializeLookasideListEx",
        "list routine routine int int int tag int",
        lambda w: (w.fresh, None, None, 0, 0, 64, b"tseT", 0),
    ),
    *(
        _routine(
            name,
            "list routine routine int int tag int",
            lambda w: (w.fresh, nothing, nothing, 0, 64, b"tseT", 0),
        )
        for name in ("ExInitializeNPagedLookasideList", "ExInitializePagedLookasideList")
    ),
    _routine("InitializeSListHead", "pointer", lambda w: (w.head,)),
    _routine("ExInitializeSListHead", "pointer", lambda w: (w.head,)),
    _routine("InterlockedPushEntrySList", "pointer pointer", lambda w: (w.head, w.other)),
    _routine(
        "ExInterlockedPushEntrySList",
        "pointer pointer pointer",
        lambda w: (w.head, w.other, w.word),
    ),
    _routine("InterlockedPopEntrySList", "pointer", lambda w: (w.head,)),
    _routine("ExInterlockedPopEntrySList", "pointer pointer", lambda w: (w.head, w.word)),
    _routine("InterlockedFlushSList", "pointer", lambda w: (w.head,)),
    _routine("ExInterlockedFlushSList", "pointer", lambda w: (w.head,)),
    _routine("ExQueryDepthSList", "pointer", lambda w: (w.head,)),
    _routine("FirstEntrySList", "pointer", lambda w: (w.head,)),
    _routine("KeInitializeTimer", "pointer", lambda w: (w.timer,)),
    _routine("KeSetTimer", "pointer int pointer", lambda w: (w.timer, -(10**8), 0)),
    _routine("KeCancelTimer", "pointer", lambda w: (w.timer,)),
    _routine("ExInitializeResourceLite", "pointer", lambda w: (w.other,)),
    _routine("ExDeleteResourceLite", "pointer", lambda w: (w.other,)),
    _on("kernel.tick", "int", lambda w: (3,)),
    _on("kernel.read", "int int", lambda w: (w.block, 8)),
    _on("kernel.peek", "int int", lambda w: (w.block, 8)),
    _on("kernel.write", "int bytes", lambda w: (w.block, b"abc")),
    _on("kernel.touch_fault", "int operation", lambda w: (0, 0)),
    _on("kernel.raise_irql", "int", lambda w: (3,)),
    _on("kernel.lower_irql", "int", lambda w: (0,)),
    _on("kernel.list_at", "int", lambda w: (w.block,)),
    _on("kernel.load_driver", "text", lambda w: ("other.sys",)),
    _on("kernel.enable_verifier", "other", lambda w: (Verifier.standard(),)),
    _on("kernel.listen", "callable", lambda w: (nothing,)),
    _on("kernel.lookaside_list", "text optional", lambda w: ("name", None)),
    _on("kernel.pool.allocate", "int int tag", lambda w: (0, 64, b"tseT")),
    _on("kernel.pool.allocate_special", "int int tag", lambda w: (0, 64, b"tseT")),
    _on(
        "kernel.pool.allocate_with_priority",
        "int int tag int",
        lambda w: (0, 64, b"tseT", 16),
    ),
    _on("kernel.pool.free", "freed tag", lambda w: (w.block, 0)),
    _on("kernel.pool.usage", "tag", lambda w: (b"tseT",)),
    _on("kernel.pool.query", "int", lambda w: (w.block,)),
    _on("kernel.quota.allocate", "int int tag", lambda w: (0, 64, b"tseT")),
    _on("kernel.processes.create", "text", lambda w: ("other.exe",)),
    _on("kernel.spin_locks.initialize", "int text", lambda w: (w.word, "name")),
    _on("kernel.spin_locks.acquire", "int", lambda w: (w.word,)),
    _on("kernel.spin_locks.release", "int int", lambda w: (w.held.address, 0)),
    _on("kernel.spin_locks.acquire_at_dpc_level", "int", lambda w: (w.word,)),
    _on("kernel.spin_locks.release_from_dpc_level", "int", lambda w: (w.held.address,)),
    _on("kernel.spin_locks.owner_of", "int", lambda w: (w.word,)),
    _on("kernel.slists.push", "int int", lambda w: (w.head, w.other)),
    _on("kernel.objects.initialize_timer", "int", lambda w: (w.timer,)),
    _on("kernel.objects.set_timer", "int int", lambda w: (w.timer, 5)),
    _on("kernel.objects.cancel_timer", "int", lambda w: (w.timer,)),
    _on("kernel.objects.initialize_resource", "int", lambda w: (w.other,)),
    _on("kernel.objects.delete_resource", "int", lambda w: (w.other,)),
    _on("driver.allocate", "int int tag", lambda w: (0, 64, b"tseT")),
    _on("driver.free", "freed tag", lambda w: (w.block, 0)),
    _on("driver.place_data", "int int bytes", lambda w: (64, 16, b"abc")),
    _on("driver.routines", "callable callable", lambda w: (nothing, nothing)),
    _on("driver.on_unload", "callable", lambda w: (nothing,)),
    _on("driver.lookaside_list", "text optional", lambda w: ("name", None)),
    _on("lookaside.free", "entry", lambda w: (w.entry,)),
    _on("lookaside.set_depth", "int", lambda w: (9,)),
    Door(
        "fresh.initialize",
        _initialize,
        lambda w: (0, 64, b"tseT", 0, 0, nothing, nothing),
        ("int", "int", "tag", "int", "int", "routine", "routine"),
    ),
    Door(
        "fresh.initialize_older",
        _initialize_older,
        lambda w: (0, 64, b"tseT", nothing, nothing),
        ("int", "int", "tag", "routine", "routine"),
    ),
    *(
        Door(f"windbg.{name}", _view(name), lambda w: (w.kernel,), ("other",))
        for name in (
            "lookasides",
            "poolmon",
            "poolused",
            "pplookaside",
            "verifier",
            "verifier_report",
        )
    ),
    Door("windbg.lookaside", _view("lookaside"), lambda w: (w.lookaside,), ("other",)),
    Door(
        "windbg.reset_counters", _view("reset_counters"), lambda w: (w.lookaside,), ("other",)
    ),
    Door("windbg.set_depth", _view("set_depth"), lambda w: (w.lookaside, 9), ("other", "int")),
    Door(
        "windbg.pool", _view("pool"), lambda w: (w.kernel, w.block, 1), ("other", "int", "int")
    ),
    Door(
        "windbg.pool_rows", _view("pool_rows"), lambda w: (w.kernel, w.block), ("other", "int")
    ),
    Door("windbg.poolfind", _view("poolfind"), lambda w: (w.kernel, "*"), ("other", "text")),
    Door(
        "windbg.poolused (a tag)",
        _view("poolused"),
        lambda w: (w.kernel, 0, "*"),
        ("other", "int", "text"),
    ),
    Door("windbg.pool_type_name", _view("pool_type_name"), lambda w: (0,), ("int",)),
    _on("kernel.io_lists.allocate_irp", "int bool", lambda w: (1, False)),
    _on("kernel.io_lists.allocate_mdl", "int int", lambda w: (w.block, 64)),
    _on("kernel.io_lists.free_irp", "int", lambda w: (w.irp,)),
    _on("kernel.io_lists.free_mdl", "int", lambda w: (w.mdl,)),
    Door("kernel.on_processor", _on_processor, lambda w: (1,), ("int",)),
    Door("LookasideList", _on_class, lambda w: ("name", None), ("text", "optional")),
)

_ANYTHING: Final[tuple[object, ...]] = (
    1.9,
    float("nan"),
    Decimal(64),
    Fraction(64),
    1j,
    "1",
    "x\nyzzy",
    b"1",
    None,
    True,
    [],
    {},
    object(),
    nothing,
    Index,
)
_INTEGERS: Final = (-1, -8, 1 << 64, 1 << 70, -(1 << 70))
_RIGHT: Final[dict[str, tuple[type, ...]]] = {
    "tag": (str, bytes),
    "text": (str,),
    "bytes": (bytes, bytearray, memoryview),
}


def wrong_values(kind: str, right: object) -> list[object]:
    """What is never right for an argument."""
    of_type = _RIGHT.get(kind, ())
    found = [each for each in _ANYTHING if not (of_type and isinstance(each, of_type))]
    if kind in ("freed", "entry", "routine", "optional", "tag"):
        found = [each for each in found if each is not None]
    if kind in ("routine", "callable"):
        found = [each for each in found if not callable(each)]
    if kind == "bool":
        found = [each for each in found if each is not True]
    if isinstance(right, int) and not isinstance(right, bool):
        # The same value, equal and of the same hash, and yet no integer.
        found += [float(right), Decimal(right)]
    return found


def impossible_integers(kind: str) -> tuple[int, ...]:
    """Integers that the C type of an argument cannot hold."""
    if kind in ("int", "pointer", "freed", "entry", "optional", "tag", "out"):
        return _INTEGERS
    return ()
