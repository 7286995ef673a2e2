"""What each public callable that changes a machine is told as, and which ones only look."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest

from lookaside_sim import BugCheck, Kernel, LookasideList, SpinLock, Verifier
from lookaside_sim.lookaside.calls import (
    AllocateEntry,
    DeleteList,
    FlushList,
    FreeEntry,
    InitializeList,
    ResetCounters,
    SetDepth,
    SetMinimumDepth,
)
from lookaside_sim.lookaside.slist import (
    FlushSList,
    InitializeSList,
    PopEntry,
    PushEntry,
    SLists,
)
from lookaside_sim.machine.calls import (
    AcquireLock,
    Call,
    InitializeLock,
    LowerIrql,
    RaiseIrql,
    ReadMemory,
    ReleaseLock,
    SwitchProcessor,
    Tick,
    TouchMemory,
    WriteMemory,
)
from lookaside_sim.machine.processors import Processors
from lookaside_sim.machine.spin_lock import SpinLocks
from lookaside_sim.pool.calls import AllocateBlock, FreeBlock
from lookaside_sim.pool.manager import PoolManager
from lookaside_sim.system.calls import (
    AllocateIrp,
    AllocateMdl,
    CancelTimer,
    CreateProcess,
    DeleteResource,
    EnterProcess,
    FreeIrp,
    FreeMdl,
    InitializeResource,
    InitializeTimer,
    LoadDriver,
    OptIntoNx,
    PlaceData,
    SetTimer,
    UnloadDriver,
)
from lookaside_sim.system.drivers import Driver, Drivers
from lookaside_sim.system.io import IoLists
from lookaside_sim.system.objects import KernelObjects
from lookaside_sim.system.processes import Processes
from lookaside_sim.system.quota import Quota
from lookaside_sim.verifier.enable import EnableVerifier
from tests.helpers import allocated, new_list, nowhere, take


class Scene:
    """A machine with one of everything, before anybody listens."""

    def __init__(self) -> None:
        self.kernel = kernel = Kernel(processors=2)
        self.pool = kernel.pool
        self.blank = LookasideList(kernel)
        self.list = new_list(kernel)
        (self.entry,) = take(self.list, 1)
        self.block = allocated(kernel, 0x200)
        self.driver = kernel.load_driver("scene.sys")
        self.process = kernel.processes.create("scene.exe")
        self.lock = SpinLock(kernel)
        self.held = SpinLock(kernel)
        self.held.acquire_at_dpc_level()
        self.irp = kernel.io_lists.allocate_irp(1)
        self.mdl = kernel.io_lists.allocate_mdl(0x1000, 8)


Do = Callable[[Scene], object]
Row = tuple[Do, list[type[Call]]]


def stops(do: Do) -> Do:
    """Do what stops the machine."""

    def stopping(scene: Scene) -> None:
        with pytest.raises(BugCheck):
            do(scene)

    return stopping


def inside(make: Callable[[Scene], Any]) -> Do:
    """Enter a context and leave it."""

    def entering(scene: Scene) -> None:
        with make(scene):
            pass

    return entering


def set_minimum(scene: Scene) -> None:
    scene.kernel.minimum_lookaside_depth = 8


# Class: name: what is done, what is told.
METHODS: dict[type, dict[str, Row]] = {
    Kernel: {
        "enable_verifier": (lambda s: s.kernel.enable_verifier(Verifier()), [EnableVerifier]),
        "load_driver": (lambda s: s.kernel.load_driver("other.sys"), [LoadDriver]),
        "lower_irql": (lambda s: s.kernel.lower_irql(0), [LowerIrql]),
        "minimum_lookaside_depth": (set_minimum, [SetMinimumDepth]),
        "on_processor": (
            inside(lambda s: s.kernel.on_processor(1)),
            [SwitchProcessor, SwitchProcessor],
        ),
        "in_dpc": (inside(lambda s: s.kernel.in_dpc()), [RaiseIrql, LowerIrql]),
        "raise_irql": (inside(lambda s: s.kernel.raise_irql(1)), [RaiseIrql, LowerIrql]),
        "read": (lambda s: s.kernel.read(s.block, 8), [ReadMemory]),
        "tick": (lambda s: s.kernel.tick(4), [Tick]),
        "touch_fault": (
            stops(lambda s: s.kernel.touch_fault(nowhere(s.kernel))),
            [TouchMemory],
        ),
        "write": (lambda s: s.kernel.write(s.block, b"word"), [WriteMemory]),
    },
    PoolManager: {
        "allocate": (lambda s: s.pool.allocate(0, 8, b"Tabl"), [AllocateBlock]),
        "allocate_special": (lambda s: s.pool.allocate_special(0, 8, b"Tabl"), [AllocateBlock]),
        "allocate_with_priority": (
            lambda s: s.pool.allocate_with_priority(0, 8, b"Tabl", 16),
            [AllocateBlock],
        ),
        "free": (lambda s: s.pool.free(s.block), [FreeBlock]),
    },
    Quota: {"allocate": (lambda s: s.kernel.quota.allocate(0, 8, b"Tabl"), [AllocateBlock])},
    LookasideList: {
        "initialize": (lambda s: s.blank.initialize(size=8, tag=b"Tabl"), [InitializeList]),
        "initialize_older": (
            lambda s: s.blank.initialize_older(pool_type=0, size=8, tag=b"Tabl"),
            [InitializeList],
        ),
        "allocate": (lambda s: s.list.allocate(), [AllocateEntry]),
        "free": (lambda s: s.list.free(s.entry), [FreeEntry]),
        "flush": (lambda s: s.list.flush(), [FlushList]),
        "delete": (lambda s: s.list.delete(), [DeleteList]),
        "reset_counters": (lambda s: s.list.reset_counters(), [ResetCounters]),
        "set_depth": (lambda s: s.list.set_depth(9), [SetDepth]),
    },
    SpinLock: {
        "acquire": (lambda s: s.lock.acquire(), [AcquireLock]),
        "acquire_at_dpc_level": (lambda s: s.lock.acquire_at_dpc_level(), [AcquireLock]),
        "release": (
            lambda s: s.held.release(0),
            [ReleaseLock],
        ),
        "release_from_dpc_level": (
            lambda s: s.held.release_from_dpc_level(),
            [ReleaseLock],
        ),
    },
    SpinLocks: {
        "initialize": (lambda s: s.kernel.spin_locks.initialize(s.block), [InitializeLock]),
        "acquire": (lambda s: s.kernel.spin_locks.acquire(s.lock.address), [AcquireLock]),
        "acquire_at_dpc_level": (
            lambda s: s.kernel.spin_locks.acquire_at_dpc_level(s.lock.address),
            [AcquireLock],
        ),
        "release": (
            lambda s: s.kernel.spin_locks.release(s.held.address, 0),
            [ReleaseLock],
        ),
        "release_from_dpc_level": (
            lambda s: s.kernel.spin_locks.release_from_dpc_level(s.held.address),
            [ReleaseLock],
        ),
    },
    Driver: {
        "allocate": (lambda s: s.driver.allocate(0, 8, b"Tabl"), [AllocateBlock]),
        "free": (lambda s: s.driver.free(s.block), [FreeBlock]),
        "unload": (lambda s: s.driver.unload(), [UnloadDriver]),
        "place_data": (lambda s: s.driver.place_data(8, 8, b"data"), [PlaceData]),
    },
    Drivers: {
        "load": (lambda s: s.kernel.drivers.load("other.sys"), [LoadDriver]),
        "opt_into_nx": (lambda s: s.kernel.drivers.opt_into_nx(), [OptIntoNx]),
    },
    Processes: {
        "enter": (
            lambda s: s.kernel.processes.enter(s.kernel.processes.system),
            [EnterProcess],
        ),
        "create": (lambda s: s.kernel.processes.create("a.exe"), [CreateProcess]),
        "running": (
            inside(lambda s: s.kernel.processes.running(s.process)),
            [EnterProcess, EnterProcess],
        ),
    },
    SLists: {
        "initialize": (lambda s: s.kernel.slists.initialize(s.block), [InitializeSList]),
        "push": (lambda s: s.kernel.slists.push(s.list.address, s.entry), [PushEntry]),
        "pop": (lambda s: s.kernel.slists.pop(s.list.address), [PopEntry]),
        "flush": (lambda s: s.kernel.slists.flush(s.list.address), [FlushSList]),
    },
    KernelObjects: {
        "initialize_timer": (
            lambda s: s.kernel.objects.initialize_timer(s.block),
            [InitializeTimer],
        ),
        "set_timer": (lambda s: s.kernel.objects.set_timer(s.block, 1), [SetTimer]),
        "cancel_timer": (lambda s: s.kernel.objects.cancel_timer(s.block), [CancelTimer]),
        "initialize_resource": (
            lambda s: s.kernel.objects.initialize_resource(s.block),
            [InitializeResource],
        ),
        "delete_resource": (
            lambda s: s.kernel.objects.delete_resource(s.block),
            [DeleteResource],
        ),
    },
    IoLists: {
        "allocate_irp": (lambda s: s.kernel.io_lists.allocate_irp(2, True), [AllocateIrp]),
        "free_irp": (lambda s: s.kernel.io_lists.free_irp(s.irp), [FreeIrp]),
        "allocate_mdl": (lambda s: s.kernel.io_lists.allocate_mdl(0, 8), [AllocateMdl]),
        "free_mdl": (lambda s: s.kernel.io_lists.free_mdl(s.mdl), [FreeMdl]),
    },
    Processors: {
        "switch_to": (lambda s: s.kernel.machine.processors.switch_to(1), [SwitchProcessor]),
        "on": (
            inside(lambda s: s.kernel.machine.processors.on(1)),
            [SwitchProcessor, SwitchProcessor],
        ),
        "dpc": (inside(lambda s: s.kernel.machine.processors.dpc()), [RaiseIrql, LowerIrql]),
        "raise_irql": (lambda s: s.kernel.machine.processors.raise_irql(1), [RaiseIrql]),
        "lower_irql": (lambda s: s.kernel.machine.processors.lower_irql(0), [LowerIrql]),
        "lower_unless_stopped": (
            lambda s: s.kernel.machine.processors.lower_unless_stopped(0),
            [LowerIrql],
        ),
    },
}

LOOKS = "looks only"
PART = "what a told call does inside"
MAKES = "names a place; what lies there changes with the first call on it"

EXCEPTIONS: dict[type, dict[str, str]] = {
    Kernel: {
        "check": LOOKS,
        "clone": LOOKS,
        "clone_along": LOOKS,
        "list_at": LOOKS,
        "check_running": LOOKS,
        "peek": LOOKS,
        "listen": "says who is told",
        "step_through": "says who is told",
        "system_thread": "says where code runs",
        "lookaside_list": MAKES,
        "load_image": "needs an extra; told as `LoadImage`, see tests/drive/test_load.py",
    },
    PoolManager: {
        "is_live": LOOKS,
        "live_blocks": LOOKS,
        **dict.fromkeys(
            (
                *(
                    "usage",
                    "tags",
                    "query",
                    "statistics",
                    "plan",
                    "pool_of",
                    "serves",
                    "find",
                    "leave_model",
                ),
                *("rows", "check", "charged_elsewhere", "row_of", "descriptor_at"),
                "ordinary_at",
                "range_of",
                "pages_of_blocks",
                "blocks_in_page",
                "billed",
            ),
            LOOKS,
        ),
        **dict.fromkeys(
            (
                *("allocate_block", "free_block", "add_outside", "refuse_parameters"),
                *("check_tag", "bill", "charge", "know_blocks"),
            ),
            PART,
        ),
    },
    Quota: {"serve": PART},
    LookasideList: {
        **dict.fromkeys(
            ("entries", "check", "peek", "store_image", "store_fields", "store_head"), LOOKS
        ),
        **dict.fromkeys(
            (
                *(
                    "adjust_depth",
                    "disable",
                    "look_again",
                    "load_image",
                    "load_fields",
                    "lose_memory",
                ),
                *("move_out", "rest", "set_fields", "set_head"),
            ),
            PART,
        ),
    },
    SpinLock: {"load_image": PART, "store_image": LOOKS},
    SpinLocks: dict.fromkeys(("check_free", "described", "held", "owner_of"), LOOKS),
    SLists: dict.fromkeys(("depth", "first"), LOOKS),
    Driver: {
        "call_site": "gives a line of the program an address",
        "find_data_place": PART,
        "holds": LOOKS,
        "lookaside_list": MAKES,
        "on_unload": "names code of the program; the machine changes when it is called",
        "routines": "names code of the program; the machine changes when it is called",
    },
    Drivers: {
        **dict.fromkeys(("at", "named", "lists_of", "loaded"), LOOKS),
        **dict.fromkeys(("check_name", "say", "take_in", "unmap"), PART),
    },
    Processes: {"at": LOOKS, "billed": LOOKS, "charge": PART, "uncharge": PART},
    KernelObjects: {},
    IoLists: {
        "check": LOOKS,
        "scan": PART,
    },
    Processors: {**dict.fromkeys(("change_irql", "lower_to"), PART), "irql_of": LOOKS},
}
