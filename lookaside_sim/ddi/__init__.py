"""The documented routines, positional, for transcribing C; ``from lookaside_sim.ddi import *``.

NULL is 0 or None, in arguments; 0 in results. List routines act on the kernel of the list, all
others on the kernel made current by ``with kernel:``. A custom routine is a callable with the
documented parameters, or the address of one, that returns 0 for NULL.

A pointer to a structure is its address, or the object that stands for it, such as fields that
`structure` gave, or a `lookaside_sim.SpinLock`. A pointer to a variable that a routine stores a
result in is an address in simulated memory, or a `Ref`::

    OldIrql = ddi.Ref()
    ddi.KeAcquireSpinLock(lock, OldIrql)  # KeAcquireSpinLock(&Lock, &OldIrql);
    ddi.KeReleaseSpinLock(lock, OldIrql.value)  # KeReleaseSpinLock(&Lock, OldIrql);

A tag is given as ``literal("ypSM")`` for the C literal ``'ypSM'``, or as 4 bytes in memory order;
a bare text could be either, and is refused. docs/ddi.md tells the rest.

Source:
    [doc] the page of each routine (wdm.h); docs/sources.md, lists sections 3 to 5, pool
    section 2; docs/fidelity.md has a row for each.
"""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING

from lookaside_sim.ddi.arguments import *
from lookaside_sim.ddi.asserts import *
from lookaside_sim.ddi.clock import *
from lookaside_sim.ddi.constants import *
from lookaside_sim.ddi.devices import *
from lookaside_sim.ddi.dpcs import *
from lookaside_sim.ddi.events import *
from lookaside_sim.ddi.handles import *
from lookaside_sim.ddi.interlocked import *
from lookaside_sim.ddi.io import *
from lookaside_sim.ddi.io_structures import *
from lookaside_sim.ddi.irps import *
from lookaside_sim.ddi.irql import *
from lookaside_sim.ddi.known_structures import *
from lookaside_sim.ddi.lists import *
from lookaside_sim.ddi.lookaside import *
from lookaside_sim.ddi.macros import *
from lookaside_sim.ddi.mdls import *
from lookaside_sim.ddi.memory import *
from lookaside_sim.ddi.messages import *
from lookaside_sim.ddi.mutexes import *
from lookaside_sim.ddi.named_events import *
from lookaside_sim.ddi.pool import *
from lookaside_sim.ddi.pool_by_flags import *
from lookaside_sim.ddi.resources import *
from lookaside_sim.ddi.rundown import *
from lookaside_sim.ddi.runtime import *
from lookaside_sim.ddi.slist import *
from lookaside_sim.ddi.spin_locks import *
from lookaside_sim.ddi.status import *
from lookaside_sim.ddi.stops import *
from lookaside_sim.ddi.strings import *
from lookaside_sim.ddi.structures import *
from lookaside_sim.ddi.system import *
from lookaside_sim.ddi.threads import *
from lookaside_sim.ddi.timers import *
from lookaside_sim.ddi.types import *
from lookaside_sim.ddi.variables import *
from lookaside_sim.ddi.waits import *
from lookaside_sim.ddi.wdf import *
from lookaside_sim.ddi.work_items import *

_MODULES = (
    "arguments",
    "asserts",
    "clock",
    "constants",
    "devices",
    "dpcs",
    "events",
    "handles",
    "interlocked",
    "io",
    "io_structures",
    "irps",
    "irql",
    "known_structures",
    "lists",
    "lookaside",
    "macros",
    "mdls",
    "memory",
    "messages",
    "mutexes",
    "named_events",
    "pool",
    "pool_by_flags",
    "resources",
    "rundown",
    "runtime",
    "slist",
    "spin_locks",
    "status",
    "stops",
    "strings",
    "structures",
    "system",
    "threads",
    "timers",
    "types",
    "variables",
    "waits",
    "wdf",
    "work_items",
)

if not TYPE_CHECKING:  # who checks types reads the imports above, not a list put together
    __all__ = sorted(
        (
            name
            for module in _MODULES
            for name in importlib.import_module(f"{__name__}.{module}").__all__
        ),
        key=lambda name: (not name.isupper(), name),  # constants first
    )
