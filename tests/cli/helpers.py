"""What the tests of the command share: a trace, what comes of it, and how it is written."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

Command = Callable[..., tuple[int, str, str]]

HEADER = '{"format":"lookaside-trace","version":1,"time_unit":"us","source":"a test"}'

LIST_TRACE = (
    HEADER,
    '{"t":0,"op":"init","list":"small","size":20,"tag":"tsLL"}',
    '{"t":0,"op":"init","list":"paged","size":200,"tag":"tsPP","pool":"PagedPool","flags":1}',
    '{"t":10,"op":"alloc","id":1,"list":"small"}',
    '{"t":11,"op":"alloc","id":2,"list":"small"}',
    '{"t":12,"op":"alloc","id":3,"list":"paged"}',
    '{"t":13,"op":"alloc","id":4,"size":100}',
    '{"t":14,"op":"free","id":1}',
    '{"t":15,"op":"alloc","id":5,"list":"small"}',
    '{"t":16,"op":"free","id":2}',
    '{"t":2000000,"op":"free","id":3}',
    '{"t":2000001,"op":"free","id":4}',
)

LIST_OUTPUT = """\
Lookaside "small" @ 0xfffff80a1d253000  Tag(hex): 0x4c4c7374 "tsLL"
    Type           =       0000  NonPagedPool
    Current Depth  =          1  Max Depth  =          4
    Size           =         20  Max Alloc  =         80
    AllocateMisses =          2  FreeMisses =          0
    TotalAllocates =          3  TotalFrees =          2
    Hit Rate       =         33% Hit Rate   =        100%

Lookaside "paged" @ 0xfffff80a1d253060  Tag(hex): 0x50507374 "tsPP"
    Type           =       0011  PagedPool RaiseIfAllocationFailure
    Current Depth  =          1  Max Depth  =          4
    Size           =        200  Max Alloc  =        800
    AllocateMisses =          1  FreeMisses =          0
    TotalAllocates =          1  TotalFrees =          1
    Hit Rate       =          0% Hit Rate   =        100%

Total NonPaged currently allocated for above lists =       20
Total NonPaged potential for above lists           =       80
Total Paged currently allocated for above lists    =      200
Total Paged potential for above lists              =      800

Trace          test.jsonl: a test
Events         11 in 2 s of balance set manager ticks
Allocate hits  1 of 4 list allocates (25%)
Free hits      3 of 3 list frees (100%)
Pool calls     5 made, 4 saved by the lists (44%)
Held by lists  220 bytes in 2 free entries
Still live     1 allocations; 0 failed

 Tag  Type      Allocs      Frees      Diff       Bytes  Per Alloc
 None Nonp           1          1         0           0          0
 tsLL Nonp           2          0         2          96         48
 tsPP Paged          1          0         1         224        224
"""


def write(path: Path, *lines: str) -> Path:
    path.write_text("".join(f"{line}\n" for line in lines), "utf-8")
    return path
