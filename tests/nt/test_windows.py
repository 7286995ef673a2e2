"""What differs between versions of Windows."""

from __future__ import annotations

import pytest

from lookaside_sim import Kernel, PoolType
from lookaside_sim.nt.windows import DEFAULT_WINDOWS, WINDOWS_NAMES, windows_version
from tests.helpers import new_list, slist_header


@pytest.mark.parametrize(
    ("name", "nx", "cookie", "sequence", "pairs", "tracker"),
    [
        ("vista", False, False, True, 8, 0x28),
        ("7", False, False, True, 9, 0x28),
        ("8", True, True, True, 9, 0x28),
        ("8.1", True, True, False, 9, 0x28),
        ("10-1507", True, True, False, 9, 0x28),
        ("10-1607", True, True, False, 9, 0x28),
        ("10-1709", True, True, False, 9, 0x38),
        ("10-1809", True, True, False, 9, 0x38),
    ],
)
def test_the_table(
    name: str, nx: bool, cookie: bool, sequence: bool, pairs: int, tracker: int
) -> None:
    version = windows_version(name)
    assert (version.has_nx_pool, version.has_quota_cookie) == (nx, cookie)
    assert (version.x86_slist_has_sequence, version.pairs) == (sequence, pairs)
    assert version.tracker_size == tracker


@pytest.mark.parametrize("name", WINDOWS_NAMES)
@pytest.mark.parametrize("arch", ["x64", "x86"])
def test_every_version_runs(arch: str, name: str) -> None:
    kernel = Kernel(arch, windows=name)
    assert kernel.windows.name == name
    lookaside = new_list(kernel)
    entries = [lookaside.allocate() for _ in range(3)]
    for entry in entries:
        lookaside.free(entry)
    counts = arch == "x64" or name in ("vista", "7", "8")
    assert slist_header(lookaside)[:2] == (3, 3 if counts else 0)
    lists = kernel.io_lists
    assert len(lists.pairs) == (8 if name == "vista" else 9)
    irp = lists.allocate_irp(2)
    block = kernel.pool.query(irp)
    assert block is not None
    older = name in ("vista", "7")
    assert block.pool_type == (PoolType.NonPagedPool if older else PoolType.NonPagedPoolNx)
    assert lists.small_irp.shared.type == block.pool_type
    lists.free_irp(irp)
    lists.free_mdl(lists.allocate_mdl(0, 1 << 20))
    twin = kernel.clone()
    assert twin.windows is kernel.windows
    kernel.check()


def test_what_is_written_into_cpu_id_stays() -> None:
    kernel = Kernel("x86")
    lookaside = new_list(kernel)
    kernel.write(lookaside.address + 6, b"\x34\x12")
    lookaside.free(lookaside.allocate())
    assert slist_header(lookaside)[:2] == (1, 0x1234)


def test_the_default_is_the_last_one_with_the_classic_pool() -> None:
    assert Kernel().windows.name == DEFAULT_WINDOWS == WINDOWS_NAMES[-1]
    with pytest.raises(ValueError, match="windows='11': give one with the classic pool, vista"):
        Kernel(windows="11")


@pytest.mark.parametrize("built_for", [None, "7", "10-1809", "10-22H2", "11-21H2"])
def test_a_driver_built_for_inline_routines_loads(built_for: str | None) -> None:
    assert Kernel(windows="7").load_driver("my.sys", built_for=built_for).loaded


@pytest.mark.parametrize("built_for", ["11-22H2", "11-24H2"])
def test_a_driver_that_imports_list_routines_does_not_load(built_for: str) -> None:
    kernel = Kernel()
    with pytest.raises(ValueError, match=f"'my.sys': it was built for Windows {built_for}"):
        kernel.load_driver("my.sys", built_for=built_for)
    with pytest.raises(ValueError, match="built_for='12': give one of"):
        kernel.load_driver("my.sys", built_for="12")
    assert kernel.load_driver("my.sys").loaded


@pytest.mark.parametrize("name", WINDOWS_NAMES)
def test_process_billed_is_scrambled_from_windows_8_on(name: str) -> None:
    kernel = Kernel(windows=name, seed=5)
    process = kernel.processes.create("app.exe")
    with kernel.processes.running(process):
        block = kernel.quota.allocate(0, 100, b"Quot")
    assert block is not None
    billed = int.from_bytes(kernel.read(block - 8, 8), "little")
    cookie = kernel.machine.quota_cookie
    assert bool(cookie) is (name not in ("vista", "7"))
    assert billed == process.address ^ (cookie and cookie ^ (block - 16))
    assert kernel.processes.billed(block) is process
    kernel.pool.free(block)
    assert process.references == 0
    assert Kernel(windows=name, seed=5).machine.quota_cookie == cookie
    assert Kernel("x86", windows=name).machine.quota_cookie == 0


@pytest.mark.parametrize("name", WINDOWS_NAMES)
def test_before_windows_8_there_is_no_pool_without_execution(name: str) -> None:
    kernel = Kernel(windows=name, small_pool_lists=True)
    older = name in ("vista", "7")
    block = kernel.pool.allocate(PoolType.NonPagedPoolNx, 100, b"NxNx")
    assert block is not None
    pool = kernel.pool.nonpaged if older else kernel.pool.nonpaged_nx
    assert pool.base <= block < pool.end
    found = kernel.pool.query(block)
    assert found is not None
    assert found.pool_type == (PoolType.NonPagedPool if older else PoolType.NonPagedPoolNx)
    lists = kernel.small_pool_lists
    assert lists is not None
    assert len(list(lists.of_processor(0))) == (64 if older else 96)
    kernel.pool.free(block)
    assert kernel.pool.allocate(PoolType.NonPagedPoolNx, 100, b"NxNx") == block
    kernel.tick(12)
    kernel.check()
