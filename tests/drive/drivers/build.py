"""Builds the drivers beside this file, and the examples': ``python build.py`` writes what is committed.

Needs mingw-w64 for C and C++, and clang besides for structured exceptions. The tests build what
they can and use it; where there is no compiler they use the committed files.
"""

from __future__ import annotations

import shutil
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

HERE = Path(__file__).parent
BUILT = HERE / "built"
EXAMPLES = HERE.parents[2] / "examples" / "drivers"
LARGEST = 20_000
"""Bytes that a committed file may have."""

_MACHINES = {
    "x64": ("x86_64", "_AMD64_", "DriverEntry"),
    "x86": ("i686", "_X86_", "_DriverEntry@8"),
}
_FLAGS = [
    "-g1",
    "-O2",
    "-Wall",
    "-Wno-unused",
    "-Wno-multichar",
    "-Wno-unknown-pragmas",
    "-Wno-array-bounds",
    "-Wno-nonnull",
    "-fno-stack-protector",
    "-fno-optimize-sibling-calls",
    "-mno-stack-arg-probe",
    "-DNTDDI_VERSION=0x0A000000",
    "-D_WIN32_WINNT=0x0A00",
]
_LINK = [
    "-shared",
    "-nostdlib",
    "-nostartfiles",
    "-Wl,--subsystem,native",
    "-Wl,--image-base,0x10000",
    "-Wl,--dynamicbase",
    "-Wl,--exclude-all-symbols",
]
_ONLY_X64 = ("exceptions.c", "boxes.cpp")
_MORE_NAMES = {
    # What ntoskrnl.exe exports and mingw-w64's import library lacks.
    "x64": "__C_specific_handler ExAllocateFromLookasideListEx ExFreeToLookasideListEx",
    "x86": "ExAllocateFromLookasideListEx@4 ExFreeToLookasideListEx@8",
}


@dataclass(frozen=True)
class Source:
    """One file to build.

    Attributes:
        name: of the source.
        machine: ``"x64"`` or ``"x86"``.
        folder: where the source is.
    """

    name: str
    machine: str
    folder: Path = HERE

    @property
    def built(self) -> str:
        """File name of the driver."""
        stem = Path(self.name).stem
        return f"{stem}.sys" if self.folder == EXAMPLES else f"{stem}-{self.machine}.sys"

    @property
    def committed(self) -> Path:
        """Where it is committed."""
        return (EXAMPLES if self.folder == EXAMPLES else BUILT) / self.built

    @property
    def needs(self) -> tuple[str, ...]:
        """The programs that build it."""
        prefix = _MACHINES[self.machine][0] + "-w64-mingw32-"
        compilers = ("g++",) if self.name.endswith(".cpp") else ("gcc",)
        return tuple(prefix + each for each in (*compilers, "dlltool", "objcopy")) + (
            ("clang",) if self.name == "exceptions.c" else ()
        )

    def can_be_built(self) -> bool:
        """Whether the programs are there."""
        return all(shutil.which(each) for each in self.needs)


def sources() -> Iterator[Source]:
    """Every file and machine."""
    for path in sorted((*HERE.glob("*.c"), *HERE.glob("*.cpp"))):
        for machine in _MACHINES:
            if machine == "x64" or path.name not in _ONLY_X64:
                yield Source(path.name, machine)
    for path in sorted(EXAMPLES.glob("*.c")):
        yield Source(path.name, "x64", EXAMPLES)


def build(source: Source, folder: Path) -> Path:
    """Build one driver into a folder; returns where it is."""
    triple, define, entry = _MACHINES[source.machine]
    prefix = f"{triple}-w64-mingw32-"
    definitions = folder / f"more-{source.machine}.def"
    names = "\n".join(_MORE_NAMES[source.machine].split())
    definitions.write_text(f"LIBRARY ntoskrnl.exe\nEXPORTS\n{names}\n")
    library = folder / f"libmore{source.machine}.a"
    kind = "i386:x86-64" if source.machine == "x64" else "i386"
    _run(
        prefix + "dlltool",
        "-k",
        "-m",
        kind,
        "-d",
        definitions.name,
        "-l",
        library.name,
        folder=folder,
    )
    headers = f"/usr/{triple}-w64-mingw32/include"
    shutil.copy(source.folder / source.name, folder / source.name)
    # The debug information names no folder of the machine that built it.
    mapped = f"-ffile-prefix-map={folder.resolve()}=."
    compile_only = ["-c", "-o", "driver.o", source.name, f"-D{define}", mapped, *_FLAGS]
    if source.name == "exceptions.c":
        compile_only[compile_only.index("-O2")] = "-O1"
        _run(
            *(
                "clang",
                f"--target={triple}-w64-mingw32",
                "-fms-extensions",
                "-fexceptions",
                "-w",
            ),
            *(f"-I{headers}", f"-I{headers}/ddk", *compile_only),
            folder=folder,
        )
    else:
        extra = (
            ["-std=c++17", "-fno-exceptions", "-fno-rtti"]
            if source.name.endswith(".cpp")
            else []
        )
        compiler = prefix + ("g++" if source.name.endswith(".cpp") else "gcc")
        _run(compiler, f"-I{headers}/ddk", *compile_only, *extra, folder=folder)
    _run(
        *(prefix + "gcc", "-o", source.built, "driver.o", *_LINK, f"-Wl,--entry,{entry}"),
        *(f"-L{folder}", f"-lmore{source.machine}", "-lntoskrnl", "-lhal", "-lgcc"),
        folder=folder,
    )
    # The linker's own symbols are a third of such a small file.
    dropped = [
        f"--strip-symbol={each}"
        for each in ("__imp_*", "_head_*", "*_iname", ".*", "__*", "___*")
    ]
    _run(prefix + "objcopy", "--wildcard", *dropped, source.built, folder=folder)
    return folder / source.built


def _run(*command: str, folder: Path) -> None:
    done = subprocess.run(command, cwd=folder, capture_output=True, text=True, check=False)
    if done.returncode:
        raise RuntimeError(f"{' '.join(command)}:\n{done.stderr}")


def main() -> int:
    """Build everything."""
    BUILT.mkdir(exist_ok=True)
    work = BUILT / "work"
    work.mkdir(exist_ok=True)
    for source in sources():
        built = build(source, work)
        size = built.stat().st_size
        print(f"{source.built}: {size} bytes")
        if size > LARGEST:
            print(f"that is more than {LARGEST}", file=sys.stderr)
            return 1
        shutil.copy(built, source.committed)
    shutil.rmtree(work)
    return 0


if __name__ == "__main__":
    sys.exit(main())
