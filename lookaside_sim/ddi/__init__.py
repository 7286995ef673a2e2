"""The documented routines, positional, for transcribing C.

NULL is 0 here, in arguments and results. List routines act on the kernel of the list, all
others on the kernel made current by ``with kernel:``. A custom routine is a callable with the
documented parameters, that returns 0 for NULL.

A pointer to a structure is its address, or the object that stands for it, such as a
`lookaside_sim.SpinLock`. A pointer to a variable that a routine stores a result in is an address in
simulated memory, or a `Ref`::

    OldIrql = ddi.Ref()
    ddi.KeAcquireSpinLock(lock, OldIrql)  # KeAcquireSpinLock(&Lock, &OldIrql);
    ddi.KeReleaseSpinLock(lock, OldIrql.value)  # KeReleaseSpinLock(&Lock, OldIrql);

Source:
    [doc] the page of each routine (wdm.h); docs/sources.md, lists sections 3 to 5, pool
    section 2.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from lookaside_sim.ddi import (
    arguments as _arguments,
)
from lookaside_sim.ddi import (
    asserts as _asserts,
)
from lookaside_sim.ddi import (
    constants as _constants,
)
from lookaside_sim.ddi import (
    devices as _devices,
)
from lookaside_sim.ddi import (
    dpcs as _dpcs,
)
from lookaside_sim.ddi import (
    events as _events,
)
from lookaside_sim.ddi import (
    handles as _handles,
)
from lookaside_sim.ddi import (
    interlocked as _interlocked,
)
from lookaside_sim.ddi import (
    io as _io,
)
from lookaside_sim.ddi import (
    io_structures as _io_structures,
)
from lookaside_sim.ddi import (
    irps as _irps,
)
from lookaside_sim.ddi import (
    irql as _irql,
)
from lookaside_sim.ddi import (
    known_structures as _known_structures,
)
from lookaside_sim.ddi import (
    lists as _lists,
)
from lookaside_sim.ddi import (
    lookaside as _lookaside,
)
from lookaside_sim.ddi import (
    mdls as _mdls,
)
from lookaside_sim.ddi import (
    memory as _memory,
)
from lookaside_sim.ddi import (
    mutexes as _mutexes,
)
from lookaside_sim.ddi import (
    pool as _pool,
)
from lookaside_sim.ddi import (
    pool_by_flags as _pool_by_flags,
)
from lookaside_sim.ddi import (
    resources as _resources,
)
from lookaside_sim.ddi import (
    rundown as _rundown,
)
from lookaside_sim.ddi import (
    runtime as _runtime,
)
from lookaside_sim.ddi import (
    slist as _slist,
)
from lookaside_sim.ddi import (
    spin_locks as _spin_locks,
)
from lookaside_sim.ddi import (
    status as _status,
)
from lookaside_sim.ddi import (
    strings as _strings,
)
from lookaside_sim.ddi import (
    structures as _structures,
)
from lookaside_sim.ddi import (
    threads as _threads,
)
from lookaside_sim.ddi import (
    timers as _timers,
)
from lookaside_sim.ddi import (
    types as _types,
)
from lookaside_sim.ddi import (
    variables as _variables,
)
from lookaside_sim.ddi import (
    waits as _waits,
)
from lookaside_sim.ddi import (
    wdf as _wdf,
)
from lookaside_sim.ddi import (
    work_items as _work_items,
)
from lookaside_sim.ddi.arguments import *
from lookaside_sim.ddi.asserts import *
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
from lookaside_sim.ddi.mdls import *
from lookaside_sim.ddi.memory import *
from lookaside_sim.ddi.mutexes import *
from lookaside_sim.ddi.pool import *
from lookaside_sim.ddi.pool_by_flags import *
from lookaside_sim.ddi.resources import *
from lookaside_sim.ddi.rundown import *
from lookaside_sim.ddi.runtime import *
from lookaside_sim.ddi.slist import *
from lookaside_sim.ddi.spin_locks import *
from lookaside_sim.ddi.status import *
from lookaside_sim.ddi.strings import *
from lookaside_sim.ddi.structures import *
from lookaside_sim.ddi.threads import *
from lookaside_sim.ddi.timers import *
from lookaside_sim.ddi.types import *
from lookaside_sim.ddi.variables import *
from lookaside_sim.ddi.waits import *
from lookaside_sim.ddi.wdf import *
from lookaside_sim.ddi.work_items import *

if not TYPE_CHECKING:  # who checks types reads the imports above, not a list put together
    __all__ = sorted(
        (
            name
            for module in (
                _arguments,
                _asserts,
                _constants,
                _devices,
                _dpcs,
                _events,
                _handles,
                _interlocked,
                _io,
                _io_structures,
                _irps,
                _irql,
                _known_structures,
                _lists,
                _lookaside,
                _mdls,
                _memory,
                _mutexes,
                _pool,
                _pool_by_flags,
                _resources,
                _rundown,
                _runtime,
                _slist,
                _spin_locks,
                _status,
                _strings,
                _structures,
                _threads,
                _timers,
                _types,
                _variables,
                _waits,
                _wdf,
                _work_items,
            )
            for name in module.__all__
        ),
        key=lambda name: (not name.isupper(), name),  # constants first
    )
