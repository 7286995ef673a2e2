"""Runs as files: sections of columns and one of JSON, each with its length and check sum.

A file is ``LKRUN`` and the version's byte, then sections: a name of four letters, the bytes it
has here, the bytes it has unpacked, the CRC-32 of those, and the data, packed by zlib. Numbers
are little-endian. Whoever adds to the format raises the version and goes on reading the older ones.

A file comes from anywhere: nothing in it is believed. What is read is checked before it is used,
and nothing in it is code.
"""

from __future__ import annotations

import json
import struct
import zlib
from array import array
from collections.abc import Mapping
from pathlib import Path
from typing import Any, Final, NoReturn

import attrs

from lookaside_sim.errors import LookasideSimError, RunError
from lookaside_sim.kernel import made_again
from lookaside_sim.parts import KernelSettings
from lookaside_sim.run.kinds_of_system import verifier_of, verifier_values
from lookaside_sim.run.nodes import Reader, as_values
from lookaside_sim.run.rows import Rows
from lookaside_sim.run.sites import Site, Stacks
from lookaside_sim.verifier.settings import Verifier

MAGIC: Final = b"LKRUN"
VERSION: Final = 2
"""1 had no compiled drivers, no bytes that changed without a call, and no stop outside of one."""
_SECTION: Final = struct.Struct("<4sIII")
_LARGEST: Final = 1 << 30
"""Bytes that a section may have unpacked."""
_COLUMNS: Final = {b"SHAP": "I", b"STCK": "I", b"WORD": "Q", b"TIME": "Q", b"BLEN": "I"}
_BYTES: Final = (b"JSON", b"BLOB")
_LEVEL: Final = 6


@attrs.frozen
class Loaded:
    """What a file holds."""

    title: str
    settings: KernelSettings
    notes: dict[int, list[str]]
    rows: Rows
    stacks: Stacks


# --- writing ---------------------------------------------------------------------------------------


def save(
    path: Path,
    title: str,
    settings: KernelSettings,
    notes: Mapping[int, list[str]],
    rows: Rows,
    stacks: Stacks,
) -> None:
    """Write a file."""
    shape_of, stack_of, words = rows.columns()
    head = {
        "title": title,
        "settings": _settings_values(settings),
        "notes": sorted(notes.items()),
        **as_values(rows),
        "sites": [attrs.astuple(site) for site in stacks.sites],
        "stacks": stacks.stacks,
        "addresses": [(*key, address) for key, address in stacks.addresses.items()],
        "texts": stacks.texts,
    }
    sections = {
        b"JSON": json.dumps(head, separators=(",", ":")).encode("utf-8", "surrogatepass"),
        b"SHAP": shape_of.tobytes(),
        b"STCK": stack_of.tobytes(),
        b"WORD": words.tobytes(),
        b"TIME": rows.times.tobytes(),
        b"BLEN": array("I", map(len, rows.blobs)).tobytes(),
        b"BLOB": b"".join(rows.blobs),
    }
    parts = [MAGIC, bytes([VERSION])]
    for name, data in sections.items():
        if len(data) > _LARGEST:
            raise RunError(
                str(path), None, f"{len(data):,} bytes of {name.decode()} are too many"
            )
        packed = zlib.compress(data, _LEVEL)
        parts += [_SECTION.pack(name, len(packed), len(data), zlib.crc32(data)), packed]
    path.write_bytes(b"".join(parts))


def _settings_values(settings: KernelSettings) -> dict[str, Any]:
    values = settings._asdict()
    if settings.verifier is not None:
        values["verifier"] = verifier_values(settings.verifier)
    return values


# --- reading ---------------------------------------------------------------------------------------


def load(path: Path) -> Loaded:
    """Read a file.

    Raises:
        RunError: it is none, or a damaged one.
        OSError: it cannot be read.
    """
    return _File(str(path), path.read_bytes()).read()


class _File:
    """A file that is read.

    Args:
        name: for errors.
        data: its bytes.
    """

    def __init__(self, name: str, data: bytes) -> None:
        self._name = name
        self._data = data
        self._at = 0

    def _refuse(self, reason: str) -> NoReturn:
        raise RunError(self._name, self._at, reason)

    def read(self) -> Loaded:
        """Check all of it and make what it says."""
        data = self._data
        if data[: len(MAGIC)] != MAGIC:
            self._refuse(f"no run: a run begins with {MAGIC.decode()}")
        version = data[len(MAGIC)] if len(data) > len(MAGIC) else 0
        if not 1 <= version <= VERSION:
            self._refuse(f"version {version} of the format, and this reads 1 to {VERSION}")
        self._at = len(MAGIC) + 1
        sections: dict[bytes, bytes] = {}
        places: dict[bytes, int] = {}
        while self._at < len(data):
            start = self._at
            name, section = self._section()
            if name in sections:
                self._at = start
                self._refuse(f"the section {name.decode()} comes twice")
            sections[name], places[name] = section, start
        for name in (*_BYTES, *_COLUMNS):
            if name not in sections:
                self._refuse(f"the section {name.decode()} is missing")
        self._at = places[b"JSON"]
        try:
            return self._make(sections, places)
        except RunError:
            raise
        except RecursionError:
            self._refuse("it is nested too deep")
        except (
            LookasideSimError,
            ArithmeticError,
            AssertionError,
            AttributeError,
            LookupError,
            TypeError,
            ValueError,
        ) as error:
            self._refuse(f"{type(error).__name__}: {error}")

    def _section(self) -> tuple[bytes, bytes]:
        data = self._data
        if len(data) - self._at < _SECTION.size:
            self._refuse("the file ends in the head of a section")
        name, packed, size, check = _SECTION.unpack_from(data, self._at)
        if name not in _BYTES and name not in _COLUMNS:
            self._refuse(f"a section {name!r}, which no version has")
        if size > _LARGEST:
            self._refuse(f"{size:,} bytes in a section, and {_LARGEST:,} are the most")
        start = self._at + _SECTION.size
        if len(data) - start < packed:
            self._refuse(f"the file ends in the section {name.decode()}")
        unpacker = zlib.decompressobj()
        try:
            section = unpacker.decompress(data[start : start + packed], size + 1)
        except zlib.error as error:
            self._refuse(f"the section {name.decode()} cannot be unpacked: {error}")
        if len(section) != size or unpacker.unused_data or zlib.crc32(section) != check:
            self._refuse(f"the section {name.decode()} is damaged")
        self._at = start + packed
        return name, section

    def _make(self, sections: Mapping[bytes, bytes], places: Mapping[bytes, int]) -> Loaded:
        head = json.loads(sections[b"JSON"].decode("utf-8", "surrogatepass"))
        if not isinstance(head, dict):
            self._refuse("its JSON is no object")
        settings = _settings_of(head["settings"])
        made_again(settings)  # refuses what describes no machine
        columns = {}
        for name, kind in _COLUMNS.items():
            self._at = places[name]
            columns[name] = array(kind)
            if len(sections[name]) % columns[name].itemsize:
                self._refuse(f"the section {name.decode()} ends in a number")
            columns[name].frombytes(sections[name])
        self._at = places[b"JSON"]
        blobs = self._blobs(sections[b"BLOB"], columns[b"BLEN"])
        rows = Reader(head, blobs).rows()
        stacks = _stacks_of(head)
        self._check_columns(rows, stacks, columns, places)
        rows.set_columns(columns[b"SHAP"], columns[b"STCK"], columns[b"WORD"])
        rows.times = columns[b"TIME"]
        Reader(head, blobs).check_rows(rows, len(stacks.stacks))
        title = head["title"]
        if not isinstance(title, str):
            self._refuse("title: no text")
        notes = {}
        for position, texts in head["notes"]:
            if type(position) is not int or not all(isinstance(each, str) for each in texts):
                self._refuse("notes: give positions and texts")
            if not 0 <= position <= len(rows):
                self._refuse(f"notes: position {position}, and there are {len(rows)} steps")
            notes[position] = list(texts)
        return Loaded(title, settings, notes, rows, stacks)

    def _blobs(self, data: bytes, lengths: array[int]) -> list[bytes]:
        if sum(lengths) != len(data):
            self._refuse("the lengths of BLEN do not add up to BLOB")
        blobs, at = [], 0
        for length in lengths:
            blobs.append(data[at : at + length])
            at += length
        return blobs

    def _check_columns(
        self,
        rows: Rows,
        stacks: Stacks,
        columns: Mapping[bytes, array[int]],
        places: Mapping[bytes, int],
    ) -> None:
        shape_of, stack_of, words = columns[b"SHAP"], columns[b"STCK"], columns[b"WORD"]
        if shape_of and max(shape_of) >= len(rows.shapes):
            self._at = places[b"SHAP"]
            self._refuse(f"shape {max(shape_of)}, and there are {len(rows.shapes)}")
        if len(stack_of) != len(shape_of) or (stack_of and max(stack_of) >= len(stacks.stacks)):
            self._at = places[b"STCK"]
            self._refuse(
                f"{len(stack_of)} stacks for {len(shape_of)} steps, or a stack that is none"
            )
        counts = [shape.words for shape in rows.shapes]
        needed = sum(counts[each] for each in shape_of)
        if needed != len(words):
            self._at = places[b"WORD"]
            self._refuse(f"{len(words)} words, and the steps need {needed}")
        times = columns[b"TIME"]
        if times and len(times) != len(shape_of):
            self._at = places[b"TIME"]
            self._refuse(f"{len(times)} times for {len(shape_of)} steps")
        self._at = places[b"JSON"]


def _settings_of(values: dict[str, Any]) -> KernelSettings:
    verifier = values["verifier"]
    made: Verifier | None = None
    if verifier is not None:
        made = verifier_of(tuple((name, _tuples(value)) for name, value in verifier))
    return KernelSettings(**{**values, "verifier": made})


def _tuples(value: Any) -> Any:
    return tuple(map(_tuples, value)) if isinstance(value, list) else value


def _stacks_of(head: Mapping[str, Any]) -> Stacks:
    stacks = Stacks()
    for file, line, function, path in head["sites"]:
        if not isinstance(line, int) or not all(
            isinstance(each, str) for each in (file, function, path)
        ):
            raise ValueError("sites: give file, line, function and path")
        stacks.sites.append(Site(file, line, function, path))
    made = [tuple(each) for each in head["stacks"]]
    if not made or made[0] != ():
        raise ValueError("stacks: the first one is empty")
    known = range(len(stacks.sites))
    if any(type(each) is not int or each not in known for stack in made for each in stack):
        raise ValueError("stacks: a site that is none")
    stacks.stacks = made
    for image, site, address in head["addresses"]:
        if not all(type(each) is int and each >= 0 for each in (image, site, address)):
            raise ValueError("addresses: give numbers")
        stacks.addresses[image, site] = address
    for path, text in head["texts"].items():
        if not isinstance(text, str):
            raise ValueError("texts: give texts")
        stacks.texts[path] = text
    return stacks
