"""Each format by a small sample: what it becomes, and what is refused."""

from __future__ import annotations

import gzip
from pathlib import Path

import pytest

from lookaside_sim import PoolTag, PoolType, TraceError
from lookaside_sim.errors import TraceEndError
from lookaside_sim.trace import Event, Trace, save
from lookaside_sim.trace.foreign.formats import FORMATS, Recording, load_any

SAMPLES = Path(__file__).parent / "samples"
Said = tuple[str, int, int | None, int | None]

MALLOC: dict[str, list[Said]] = {
    "ltrace.txt": [
        ("alloc", 0, 1, 24),
        ("alloc", 30, 2, 24),
        ("alloc", 40, 3, 16),
        ("free", 50, 1, None),
        ("alloc", 50, 4, 64),
        ("alloc", 60, 5, 7),
        ("free", 70, 3, None),
        ("free", 1_100_001, 5, None),
    ],
    "malloc.txt": [
        ("alloc", 0, 1, 24),
        ("alloc", 4, 2, 16),
        ("free", 92, 1, None),
        ("alloc", 92, 3, 64),
        ("free", 95, 2, None),
    ],
    "kmalloc.txt": [
        ("alloc", 0, 1, 192),
        ("alloc", 14, 2, 40),
        ("free", 45, 1, None),
        ("alloc", 1_376_544, 3, 8),
    ],
    "windows.csv": [
        ("alloc", 0, 1, 480),
        ("alloc", 10, 2, 1024),
        ("free", 60, 1, None),
        ("free", 2_000_000, 2, None),
    ],
    "windows.jsonl": [
        ("alloc", 0, 1, 480),
        ("alloc", 10, 2, 1024),
        ("free", 60, 1, None),
        ("free", 2_000_000, 2, None),
    ],
    "wpa.csv": [
        ("alloc", 0, 1, 1024),
        ("alloc", 1_000_000, 2, 512),
        ("free", 2_500_000, 2, None),
        ("alloc", 2_500_000, 3, 256),
        ("free", 2_500_000, 3, None),
    ],
}


def opened(path: Path) -> Recording:
    found = load_any(path)
    assert isinstance(found, Recording)
    return found


@pytest.mark.parametrize("name", MALLOC)
def test_a_sample(name: str) -> None:
    found = list(opened(SAMPLES / name))
    assert [(each.op, each.time, each.id, each.size) for each in found] == MALLOC[name]


def test_heaptrack_tells_who_called() -> None:
    found = list(opened(SAMPLES / "heaptrack.txt"))
    assert len(found) == 36
    sites = {event.size: event.site for event in found if event.op == "alloc"}
    assert sites == {0x11C00: "0x7f33bdca57b9"} | dict.fromkeys(
        (24, 25, 26, 27, 28, 40, 80), "main"
    )
    assert [event.size for event in found if event.op == "alloc"].count(24) == 3
    assert {event.op for event in found[-3:]} == {"alloc", "free"}


@pytest.mark.parametrize("name", ["windows.csv", "windows.jsonl"])
def test_windows_pools_and_tags(name: str) -> None:
    first, second, *_ = opened(SAMPLES / name)
    assert (first.pool, first.tag) == (PoolType.NonPagedPoolNx, PoolTag(b"AfdB"))
    assert (second.pool, second.tag) == (PoolType(33), PoolTag(b"Gla1"))


def test_wpa_pools_and_tags() -> None:
    found = [event for event in opened(SAMPLES / "wpa.csv") if event.op == "alloc"]
    assert [(event.pool, str(event.tag)) for event in found] == [
        (PoolType.PagedPool, "Gl,a"),
        (PoolType.NonPagedPool, "AfdB"),
        (PoolType.NonPagedPool, "Io  "),
    ]


def test_call_sites() -> None:
    assert next(iter(opened(SAMPLES / "malloc.txt"))).site == "main+0x1f"
    assert next(iter(opened(SAMPLES / "kmalloc.txt"))).site == "alloc_fdtable+0x63"


def events_of(path: Path, text: str, kind: str | None = None) -> list[Event]:
    path.write_text(text)
    return list(load_any(path, kind))


def test_sites_that_a_line_names(tmp_path: Path) -> None:
    text = "@ 3 = main+0x1f\nmalloc(8) = 0x10 @ 3\nmalloc(8) = 0x20 @ 4\nmalloc(8) = 0x30\n"
    found = events_of(tmp_path / "named.txt", text)
    assert [event.site for event in found] == ["main+0x1f", "4", None]


BPFTRACE = """\
Attaching 4 probes...
5113123456789: tracepoint:kmem:kmalloc: call_site=alloc_fdtable ptr=0xffff888003c4a000 bytes_req=192
5113123461000: tracepoint:kmem:kmem_cache_alloc: call_site=getname_flags+60 ptr=0xffff888003c4b000 bytes_req=4096
        kmem_cache_alloc+512
        getname_flags+60

Lost 12 events
5113123501000: tracepoint:kmem:kfree: ptr=0xffff888003c4a000
5113123502000: tracepoint:kmem:kfree: ptr=0x0
^C

@calls[ls]: 2
"""


def test_bpftrace(tmp_path: Path) -> None:
    found = events_of(tmp_path / "bpftrace.txt", BPFTRACE)
    assert [(each.op, each.time, each.size, each.site) for each in found] == [
        ("alloc", 0, 192, "alloc_fdtable"),
        ("alloc", 5, 4096, "getname_flags+60"),
        ("free", 45, None, None),
    ]


PERF = """\
ls  1234 [001]  5113.123456: kmem:kmalloc: (alloc_fdtable+0x63) call_site=alloc_fdtable+0x63 ptr=0xffff888003c4a000 \
bytes_req=192 bytes_alloc=192 gfp_flags=GFP_KERNEL|__GFP_ZERO node=-1 accounted=false
        ffffffff812a3c4d __kmalloc+0x12d ([kernel.kallsyms])
        ffffffff8130a1b3 alloc_fdtable+0x63 ([kernel.kallsyms])
            7f2b9c0e1a27 [unknown] (/usr/lib/x86_64-linux-gnu/libc.so.6)

ls  1234 [001]  5113.123501: kmem:kfree: call_site=free_fdtable+0x1f ptr=0xffff888003c4a000
"""


def test_perf_with_stacks(tmp_path: Path) -> None:
    found = events_of(tmp_path / "perf.txt", PERF)
    assert [(each.op, each.time, each.size) for each in found] == [
        ("alloc", 0, 192),
        ("free", 45, None),
    ]


@pytest.mark.parametrize(
    ("head", "strings"),
    [
        ("v 10400 3", "s c my program x\ns 4 main\ns 1b operator new(unsigned long)"),
        ("v 10200 2", "s my program x\ns main\ns operator new(unsigned long)"),
        ("v 10000", "s my program x\ns main\ns operator new(unsigned long)"),
    ],
)
def test_heaptrack_of_every_version(tmp_path: Path, head: str, strings: str) -> None:
    text = f"{head}\n{strings}\ni 10 1 2\ni 20 1 3\nt 1 0\nt 2 1\na 18 2\n+ 0\nc 7\n- 0\n"
    found = events_of(tmp_path / "heap.txt", text)
    assert [(each.op, each.time, each.size, each.site) for each in found] == [
        ("alloc", 0, 24, "main"),  # it called operator new, which called malloc
        ("free", 7000, None, None),
    ]


def test_heaptrack_that_nobody_interpreted(tmp_path: Path) -> None:
    text = "v 10400 3\nx 4 demo\nm 4 demo 0 0 1000\nt 1189 0\n+ 18 1 aa0\n+ 20 1 bb0\nc 2\n- aa0\n- cc0\n"
    found = events_of(tmp_path / "heap.txt", text)
    assert [(each.op, each.time, each.size, each.site) for each in found] == [
        ("alloc", 0, 24, "0x1189"),
        ("alloc", 0, 32, "0x1189"),
        ("free", 2000, None, None),
    ]


def test_frees_of_what_came_before_are_counted() -> None:
    recording = opened(SAMPLES / "ltrace.txt")
    list(recording)
    assert recording.unknown == 1


def test_a_block_that_is_allocated_again_was_freed(tmp_path: Path) -> None:
    path = tmp_path / "lost.txt"
    path.write_text("malloc(8) = 0x10\nmalloc(9) = 0x10\n")
    assert list(opened(path)) == [
        Event("alloc", 0, 1, 8, PoolTag(b"None"), PoolType.NonPagedPool, line=1),
        Event("free", 0, 1, line=2),
        Event("alloc", 0, 2, 9, PoolTag(b"None"), PoolType.NonPagedPool, line=2),
    ]


def test_a_recording_may_be_compressed_and_is_known_by_its_lines(tmp_path: Path) -> None:
    path = tmp_path / "any.gz"
    path.write_bytes(gzip.compress((SAMPLES / "wpa.csv").read_bytes()))
    recording = opened(path)
    assert recording.kind == "wpa"
    assert len(list(recording)) == len(list(recording)) == 5
    assert recording.header.source == "WPA's pool table, CSV: any.gz"


def test_traces_of_our_own_are_traces(tmp_path: Path) -> None:
    for name in ("test.jsonl", "test.lkt", "test.jsonl.gz"):
        save(tmp_path / name, opened(SAMPLES / "windows.csv"))
        trace = load_any(tmp_path / name)
        assert isinstance(trace, Trace)
        assert len(list(trace)) == 4
    (tmp_path / "bad").write_text("nothing known\n")
    for nothing in ("nothing known\n", "", "\x7fELF", "[]"):
        (tmp_path / "bad").write_text(nothing)
        with pytest.raises(TraceError) as caught:
            load_any(tmp_path / "bad")
        assert caught.value.problem == (
            "not a JSON object, nor begun as one of malloc, heaptrack, kmalloc, windows, wpa,"
            " poolmon: name its format with --from"
        )
    (tmp_path / "bad").write_text("{}\n")
    with pytest.raises(
        TraceError, match="'format': None in the header: give 'lookaside-trace'"
    ):
        load_any(tmp_path / "bad")
    with pytest.raises(ValueError, match="format 'x': give one of malloc"):
        load_any(tmp_path / "bad", "x")


HEADERS = {
    "windows": "TimeStamp,Opcode,PoolType,Tag,Size,Address\n",
    "wpa": "Alloc Time (s),Free Time (s),Tag,Size (B)\n",
    "heaptrack": "v 10400 3\n",
}


@pytest.mark.parametrize(
    ("kind", "line", "why"),
    [
        ("malloc", "rubbish", "no call of malloc or free: 'rubbish'"),
        ("malloc", "malloc(24", "not a whole call"),
        ("malloc", "malloc(24)", "without a result"),
        ("malloc", "malloc(x) = 0x10", "'x': give a number"),
        ("malloc", "malloc(-5) = 0x10", "'-5': give a number"),
        ("malloc", "calloc(5) = 0x10", "(5): give 2 arguments"),
        ("malloc", "malloc(5) = ten", "'ten': give a number"),
        ("malloc", "1.2.3 malloc(5) = 0x10", "'1.2.3': give a time"),
        ("heaptrack", "+ 7", "no line of heaptrack's raw data: '+ 7'"),
        ("heaptrack", "- 0", "no line of heaptrack's raw data"),
        ("heaptrack", "+", "no line of heaptrack's raw data"),
        ("heaptrack", "a x 0", "no line of heaptrack's raw data"),
        ("heaptrack", "rubbish", "no line of heaptrack's raw data"),
        ("kmalloc", "rubbish", "no event of the kernel"),
        ("kmalloc", "1.5: kmalloc: bytes_req=8", "'': give an address"),
        ("kmalloc", "1.5: kmalloc: ptr=0x10", "'': give a number"),
        ("windows", "{", "not a JSON object"),
        ("windows", "1,x,0,None,8,0x10", "'x': give a number"),
        ("windows", "1,0x10,0,None,8,0x10", "0x10: give 0x20 to 0x2f"),
        ("windows", "1,0x20,0,None,8,", "missing: give address"),
        ("windows", "1,0x20,0,None,,0x10", "missing: give size"),
        ("windows", "1,0x20,Bad,None,8,0x10", "'Bad': give a PoolType name"),
        ("windows", "\n{", "not a JSON object"),
        ("windows", "1,0x20,0,None,8,0x10,7,8\n\n1,0x10", "0x10: give 0x20 to 0x2f"),
        ("windows", "1,0x20,0,TooLong,8,0x10", "'TooLong': give four characters"),
        ("wpa", "1.0,2.0,None", "3 cells: the header has more"),
        ("wpa", "x,2.0,None,8", "'x': give a time"),
        ("wpa", "3.0,2.0,None,8", "is before the allocation"),
        ("wpa", "1.0,2.0,None,x", "'x': give a number"),
    ],
)
def test_a_line_that_is_refused(tmp_path: Path, kind: str, line: str, why: str) -> None:
    path = tmp_path / "bad.txt"
    header = HEADERS.get(kind, "")
    path.write_text(f"{header}{line}\n")
    with pytest.raises(TraceError) as caught:
        list(load_any(path, kind))
    assert caught.value.line == 1 + bool(header) + line.count("\n")
    assert why in caught.value.problem
    assert "\n" not in str(caught.value)


def test_a_wpa_table_without_its_columns(tmp_path: Path) -> None:
    path = tmp_path / "bad.csv"
    path.write_text("Process,Size\n")
    with pytest.raises(TraceError, match="give columns Alloc Time"):
        list(load_any(path, "wpa"))


def test_a_recording_that_ends_in_the_middle(tmp_path: Path) -> None:
    text = (SAMPLES / "malloc.txt").read_text()
    path = tmp_path / "cut.txt"
    path.write_text(text + "12.5 malloc(2")
    with pytest.raises(TraceError, match="line 5: not a whole call"):
        list(load_any(path))
    recording = load_any(path, partial=True)
    assert len(list(recording)) == 5
    assert isinstance(recording.ended, TraceEndError)
    packed = tmp_path / "cut.gz"
    packed.write_bytes(gzip.compress(text.encode() * 50)[:-9])
    with pytest.raises(TraceEndError, match="damaged gzip file"):
        list(load_any(packed, "malloc"))
    assert len(list(load_any(packed, "malloc", partial=True))) > 5
    packed.write_bytes(b"garbage")
    with pytest.raises(TraceError, match="line 1: damaged gzip file"):
        list(load_any(packed, "malloc"))
    with pytest.raises(TraceError, match="line 1: damaged gzip file"):
        load_any(packed)


def test_a_line_that_is_too_long(tmp_path: Path) -> None:
    path = tmp_path / "long.txt"
    path.write_text("malloc(8) = 0x10\n" + "x" * 70_000)
    with pytest.raises(TraceError, match="line 2: longer than 65,536 bytes"):
        list(load_any(path, "malloc"))


def test_times_of_the_day(tmp_path: Path) -> None:
    path = tmp_path / "day.txt"
    path.write_text("23:59:58.5 malloc(8) = 0x10\n23:59:59 malloc(8) = 0x20\n12:00 x()\n")
    assert [event.time for event in load_any(path)] == [0, 500_000]


def test_what_is_no_recording_of_windows(tmp_path: Path) -> None:
    assert not FORMATS["windows"].looks_so("{")
    assert not FORMATS["windows"].looks_so("TimeStamp,Opcode\n")
    assert FORMATS["windows"].looks_so('{"Time":1,"opcode":32,"ENTRY":"0x1"}')


def test_every_format_says_what_it_is() -> None:
    assert all(each.says for each in FORMATS.values())
