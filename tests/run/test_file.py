"""Files of runs: what is damaged or hostile is refused, and nothing in one is believed."""

from __future__ import annotations

import json
import random
import zlib
from contextlib import suppress
from pathlib import Path
from typing import Any

import pytest

from lookaside_sim import BugCheck, Kernel, LookasideList, PoolTag, PoolType
from lookaside_sim.errors import RunError
from lookaside_sim.run import Run, record
from lookaside_sim.run.file import _SECTION, MAGIC, VERSION
from tests.run.helpers import assert_folds


def allocate_ex(pool_type: PoolType, size: int, tag: PoolTag, of: LookasideList) -> int | None:
    """A routine of the program's that makes calls."""
    got = of.pool.allocate(pool_type, size, tag)
    of.machine.write(got or 0, b"longer than a word")
    return got


@pytest.fixture(scope="module")
def path(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A run with something of everything that stands beside the columns."""
    kernel = Kernel()
    with suppress(BugCheck), record(kernel, "everything") as run:
        driver = kernel.load_driver("drv.sys")
        driver.place_data(100, contents=b"data of a driver")
        with driver:
            lookaside = kernel.lookaside_list("drv!List")
        lookaside.initialize(size=64, tag=b"tseT", allocate=allocate_ex)
        entry = lookaside.allocate()
        kernel.read(entry or 0, 20)
        kernel.tick()
        run.note("the end is near")
        kernel.pool.free(entry)
        kernel.pool.free(entry)
    saved = tmp_path_factory.mktemp("runs") / "everything.lkrun"
    run.save(saved)
    return saved


def sections(data: bytes) -> dict[bytes, bytes]:
    """The sections of a file, unpacked."""
    found, at = {}, len(MAGIC) + 1
    while at < len(data):
        name, packed, _, _ = _SECTION.unpack_from(data, at)
        at += _SECTION.size
        found[name] = zlib.decompress(data[at : at + packed])
        at += packed
    return found


def packed(parts: dict[bytes, bytes], version: int = VERSION) -> bytes:
    """A file of sections."""
    made = MAGIC + bytes([version])
    for name, data in parts.items():
        squeezed = zlib.compress(data)
        made += _SECTION.pack(name, len(squeezed), len(data), zlib.crc32(data)) + squeezed
    return made


def refused(data: bytes, tmp_path: Path) -> RunError:
    """What a file is refused with."""
    file = tmp_path / "hostile.lkrun"
    file.write_bytes(data)
    with pytest.raises(RunError) as error:
        Run.load(file)
    assert error.value.file == str(file)
    assert error.value.position is not None
    assert str(error.value).startswith(f"{file}, position ")
    return error.value


def test_what_is_no_run_is_refused(path: Path, tmp_path: Path) -> None:
    good = path.read_bytes()
    assert "no run" in refused(b"", tmp_path).reason
    assert "no run" in refused(b"\x7fELF" + bytes(100), tmp_path).reason
    parts = sections(good)
    newer = refused(packed(parts, version=VERSION + 1), tmp_path)
    assert f"version {VERSION + 1}" in newer.reason
    assert "ends in" in refused(good[:-1], tmp_path).reason
    assert "ends in" in refused(good[: len(MAGIC) + 5], tmp_path).reason
    assert "twice" in refused(good + good[len(MAGIC) + 1 :], tmp_path).reason
    del parts[b"WORD"]
    assert "WORD is missing" in refused(packed(parts), tmp_path).reason


def test_each_damaged_byte_is_noticed(path: Path, tmp_path: Path) -> None:
    good = path.read_bytes()
    draw = random.Random(3)
    for at in draw.sample(range(len(good)), 60):
        refused(good[:at] + bytes([good[at] ^ 0x55]) + good[at + 1 :], tmp_path)


def test_a_section_that_unpacks_to_more_than_it_says_is_refused(
    path: Path, tmp_path: Path
) -> None:
    parts = sections(path.read_bytes())
    bomb = zlib.compress(bytes(1 << 26))
    data = MAGIC + bytes([VERSION])
    data += _SECTION.pack(b"WORD", len(bomb), 8, zlib.crc32(bytes(8))) + bomb
    assert "damaged" in refused(data, tmp_path).reason
    data = MAGIC + bytes([VERSION]) + _SECTION.pack(b"WORD", len(bomb), (1 << 32) - 1, 0) + bomb
    assert "the most" in refused(data, tmp_path).reason
    assert parts[b"WORD"]


HOSTILE: dict[str, Any] = {
    "settings of no machine": {"settings": {"arch": "vax"}},
    "no settings": {"settings": None},
    "a negative word": {"contexts": [[[], []], [[-1], []]]},
    "a first context that is none": {"contexts": [[[1], []]]},
    "no contexts": {"contexts": []},
    "an unknown kind": {"shapes": [["Explode", 0, [], "", -1, 0]]},
    "a wrong branch": {"shapes": [["AllocateEntry", 0, [0], "left", -1, 1]]},
    "a context that is none": {"shapes": [["AllocateEntry", 9, [0], "hit", -1, 1]]},
    "a list that is none": {"shapes": [["AllocateEntry", 0, [77], "hit", -1, 1]]},
    "a key of other values": {"shapes": [["AllocateBlock", 0, ["x"], "", -1, 1]]},
    "too few shapes": {"shapes": []},
    "no number of words": {"shapes": [["AllocateEntry", 0, [0], "hit", -1, 5]]},
    "an error that is none": {"shapes": [["AllocateEntry", 0, [0], "hit", 99, 0]]},
    "a stack of no site": {"stacks": [[], [9999]]},
    "a first stack that is none": {"stacks": [[0]]},
    "a site of numbers": {"sites": [[1, 2, 3, 4]]},
    "a note at no position": {"notes": [[99999, ["far"]]]},
    "a note of numbers": {"notes": [[0, [5]]]},
    "a title of numbers": {"title": 5},
    "texts of numbers": {"texts": {"a": 1}},
    "seconds out of order": {"seconds": [[5], [0]]},
    "something inside a row that is none": {"inside": [[999999, []]]},
    "something unknown inside": {"inside": [[0, [["boom"]]]]},
    "something unknown done": {"between": [[0, [["done", "boom", 0, []]]]]},
    "a call done between": {"between": [[0, [["refused"]]]]},
    "a list of a wrong kind": {"between": [[0, [["done", "list", 0, ["a", 1, "", 1, 0]]]]]},
    "bytes that are none": {"between": [[0, [["done", "region", 0, [4096, 8, 999, 1, 0]]]]]},
    "an address of a text": {"addresses": [["a", 0, 0]]},
    "no object": None,
}


@pytest.mark.parametrize("change", HOSTILE.values(), ids=HOSTILE.keys())
def test_hostile_values_are_refused(change: Any, path: Path, tmp_path: Path) -> None:
    parts = sections(path.read_bytes())
    head = json.loads(parts[b"JSON"])
    head = [] if change is None else {**head, **change}
    parts[b"JSON"] = json.dumps(head).encode()
    refused(packed(parts), tmp_path)


def test_what_is_nested_too_deep_is_refused(path: Path, tmp_path: Path) -> None:
    parts = sections(path.read_bytes())
    parts[b"JSON"] = b"[" * 100_000
    refused(packed(parts), tmp_path)


@pytest.mark.parametrize("name", [b"SHAP", b"STCK", b"WORD", b"TIME", b"BLEN", b"BLOB"])
def test_columns_that_do_not_fit_each_other_are_refused(
    name: bytes, path: Path, tmp_path: Path
) -> None:
    parts = sections(path.read_bytes())
    for extra in (b"\x01", b"\xff" * 8):
        refused(packed({**parts, name: parts[name] + extra}), tmp_path)


def test_a_file_that_tells_another_story_does_not_play(path: Path, tmp_path: Path) -> None:
    parts = sections(path.read_bytes())
    words = bytearray(parts[b"WORD"])
    words[0] ^= 0x10  # the address that some call returned
    file = tmp_path / "liar.lkrun"
    file.write_bytes(packed({**parts, b"WORD": bytes(words)}))
    run = Run.load(file)
    with pytest.raises(RunError):
        run.machine(len(run))


def test_files_of_version_1_are_read_for_ever() -> None:
    run = Run.load(Path(__file__).parent / "data" / "version-1.lkrun")
    assert run.title == "one of everything"
    assert run.settings["processors"] == 2
    assert len(run) == 49
    assert run.stop == run[-1]
    assert run.stop is not None
    assert str(run.stop.site).endswith("(program.py:57)")
    assert [texts for _, texts in sorted(run.notes.items())] == [["four seconds have passed"]]
    assert run.machine(len(run)).bugcheck is not None
    assert_folds(run, every=5)


def test_files_of_version_2_are_read_for_ever_and_need_no_engine() -> None:
    run = Run.load(Path(__file__).parent / "data" / "version-2.lkrun")
    assert run.title == "a compiled driver"
    assert len(run) == 55
    assert run[0].word == "load"
    assert run[len(run) - 1].word == "unload"
    written = [each for each in run if each.word == "write"]
    assert {each.site.file for each in written if each.site is not None} == {"families.c"}
    assert_folds(run, every=20)
