"""File and line of an instruction, from the DWARF that mingw and clang put into a PE file.

What a header's inline function does, such as ExAllocateFromLookasideListEx in wdm.h, counts as done by
the line that calls it: who looks for a mistake looks there.
"""

from __future__ import annotations

import inspect
import io
from bisect import bisect_right
from collections.abc import Iterator
from typing import Any, Final

import attrs

from lookaside_sim.drive.extra import require
from lookaside_sim.drive.pe import PeFile

_SECTION: Final = ".debug_"
_NEEDED: Final = frozenset(
    ["info", "abbrev", "str", "line", "line_str", "addr", "str_offsets", "ranges", "rnglists"]
)
_CODE: Final = ("DW_TAG_subprogram", "DW_TAG_inlined_subroutine", "DW_TAG_lexical_block")
_MOST_ENTRIES: Final = 1_000_000
_HEADERS: Final = (".h", ".hpp", ".inl")


@attrs.frozen
class _Inlined:
    """A call that was inlined.

    Attributes:
        begin: where in the image its code begins.
        end: where it ends.
        file: in which the call stands.
        line: on which.
    """

    begin: int
    end: int
    file: str
    line: int


class Lines:
    """The lines of one image; none where the file has no DWARF, or some that makes no sense.

    Args:
        pe: the file.
    """

    def __deepcopy__(self, memo: object) -> Lines:
        return self  # copies of a machine share it

    def __init__(self, pe: PeFile) -> None:
        self._base = pe.preferred_base
        self._rows: list[tuple[int, str, int]] = []
        self._inlined: list[_Inlined] | None = None
        self._info: Any = None
        self._left = _MOST_ENTRIES
        sections = {
            each.name.removeprefix(_SECTION): each.data
            for each in pe.sections
            if each.name.startswith(_SECTION)
        }
        if "line" in sections and "info" in sections and "abbrev" in sections:
            try:
                self._info = _open(sections, pe)
                self._rows = sorted(self._read_rows(), key=lambda row: row[0])
            except ImportError:
                raise
            except Exception:  # whatever pyelftools makes of bytes that are no DWARF
                self._rows = []
        self._starts = [row[0] for row in self._rows]

    def at(self, rva: int) -> tuple[str, int]:
        """File and line of the instruction at a place in the image; ("", 0) where nobody knows."""
        at = bisect_right(self._starts, rva) - 1
        if at < 0:
            return "", 0
        _, file, line = self._rows[at]
        if file.endswith(_HEADERS):
            if self._inlined is None:
                self._inlined = self._read_inlined()
            around = [each for each in self._inlined if each.begin <= rva < each.end]
            for each in sorted(around, key=lambda each: each.end - each.begin):
                if not each.file.endswith(_HEADERS):
                    return each.file, each.line
        return file, line

    def _files(self, unit: Any) -> list[str]:
        program = self._info.line_program_for_CU(unit)
        if program is None:
            return []
        names = [each.name.decode("utf-8", "replace") for each in program["file_entry"]]
        names = [each.replace("\\", "/").rpartition("/")[2] for each in names]
        return names if program.header.version >= 5 else ["", *names]

    def _read_rows(self) -> Iterator[tuple[int, str, int]]:
        for unit in self._info.iter_CUs():
            program = self._info.line_program_for_CU(unit)
            names = self._files(unit)
            for entry in program.get_entries() if program is not None else ():
                state = entry.state
                if state is not None:
                    is_end = state.end_sequence
                    file, line = ("", 0) if is_end else (names[state.file], state.line)
                    yield state.address - self._base, file, line

    def _read_inlined(self) -> list[_Inlined]:
        found: list[_Inlined] = []
        try:
            for unit in self._info.iter_CUs():
                files = self._files(unit)
                for entry in self._functions_in(unit.get_top_DIE()):
                    if entry.tag == "DW_TAG_inlined_subroutine":
                        found += self._ranges(unit, entry, files)
        except Exception:  # as above
            return []
        return found

    def _functions_in(self, top: Any) -> Iterator[Any]:
        """The functions of a unit and what is in them; the types in headers are stepped over."""
        for child in top.iter_children():
            self._left -= 1
            if not self._left:
                raise ValueError("too many entries, or a ring of them")
            if child.tag in _CODE:
                yield child
                if child.has_children:
                    yield from self._functions_in(child)
            elif child.tag in ("DW_TAG_namespace", "DW_TAG_module"):
                yield from self._functions_in(child)

    def _ranges(self, unit: Any, entry: Any, files: list[str]) -> Iterator[_Inlined]:
        attributes = entry.attributes
        if "DW_AT_call_line" not in attributes:
            return
        line, file = attributes["DW_AT_call_line"].value, attributes["DW_AT_call_file"].value
        name = files[file] if file < len(files) else ""
        if "DW_AT_low_pc" in attributes:
            start, length = attributes["DW_AT_low_pc"].value, attributes["DW_AT_high_pc"]
            end = length.value if length.form == "DW_FORM_addr" else start + length.value
            yield _Inlined(start - self._base, end - self._base, name, line)
            return
        if "DW_AT_ranges" not in attributes:
            return
        top = unit.get_top_DIE().attributes.get("DW_AT_low_pc")
        base = 0 if top is None else top.value
        lists = self._info.range_lists()
        for each in lists.get_range_list_at_offset(attributes["DW_AT_ranges"].value, unit):
            if hasattr(each, "base_address"):
                base = each.base_address
            else:
                start = 0 if getattr(each, "is_absolute", False) else base
                begin, end = each.begin_offset + start, each.end_offset + start
                yield _Inlined(begin - self._base, end - self._base, name, line)


def _open(sections: dict[str, bytes], pe: PeFile) -> Any:
    found: Any = require("elftools.dwarf.dwarfinfo")
    given: dict[str, Any] = {
        "config": found.DwarfConfig(
            little_endian=True,
            machine_arch=pe.arch,
            default_address_size=pe.pointer_size,
        )
    }
    # Versions of pyelftools differ in which sections they take.
    for name in inspect.signature(found.DWARFInfo.__init__).parameters:
        if name in ("self", "config"):
            continue
        key = name.removeprefix("debug_").removesuffix("_sec")
        data = sections.get(key) if name.startswith("debug_") and key in _NEEDED else None
        given[name] = data and found.DebugSectionDescriptor(
            io.BytesIO(data), _SECTION + key, 0, len(data), 0
        )
    return found.DWARFInfo(**given)
