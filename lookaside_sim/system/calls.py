"""The calls of drivers, processes, objects and I/O, as onlookers see them."""

from __future__ import annotations

from typing import Any, ClassVar

import attrs

from lookaside_sim.machine.calls import Call
from lookaside_sim.machine.program import Image


class LoadDriver(Call):
    """A driver is loaded. The result is the driver.

    Attributes:
        name: of its image.
    """

    word: ClassVar[str] = "load"
    name: str


class LoadImage(LoadDriver):
    """A compiled driver is loaded. The result is the driver.

    Attributes:
        size: bytes of its range.
        image_size: bytes of the image, at the start of the range.
        data: its file.
    """

    size: int
    image_size: int
    data: bytes


class CallRoutine(Call):
    """A routine of NT's is called that is no other call here.

    Attributes:
        name: as documented, such as ``"KeSetEvent"``.
        arguments: what it was given, addresses as integers.
    """

    word: ClassVar[str] = "routine"
    name: str
    arguments: tuple[Any, ...]


class RunQueued(Call):
    """What is queued runs: work items, DPCs, threads. The result is how many have run.

    Attributes:
        most: how many run at most.
    """

    word: ClassVar[str] = "run-queued"
    most: int


class OptIntoNx(Call):
    """The running code's NonPagedPool is not executable from now on."""

    word: ClassVar[str] = "nx-opt-in"


class PlaceData(Call):
    """A piece of a driver's data is made. The result is its address.

    Attributes:
        driver: whose; None for code outside any.
        size: bytes.
        alignment: in bytes.
        contents: what it begins with; zeroes follow.
    """

    word: ClassVar[str] = "data"
    driver: Image | None
    size: int
    alignment: int
    contents: bytes


class UnloadDriver(Call):
    """A driver is unloaded.

    Attributes:
        driver: which.
    """

    word: ClassVar[str] = "unload"
    driver: Image


class CreateProcess(Call):
    """A process is made. The result is the process.

    Attributes:
        name: of its image.
        nonpaged_quota: bytes of nonpaged pool it may be charged.
        paged_quota: likewise for paged pool.
    """

    word: ClassVar[str] = "process"
    name: str
    nonpaged_quota: int
    paged_quota: int


class EnterProcess(Call):
    """Code runs in another process from now on.

    Attributes:
        name: of its image.
        process: address of its EPROCESS.
    """

    word: ClassVar[str] = "attach"
    name: str
    process: int


class InitializeTimer(Call):
    """A timer is initialized.

    Attributes:
        timer: address of the KTIMER.
    """

    word: ClassVar[str] = "new-timer"
    timer: int


class SetTimer(Call):
    """A timer is started. The result is whether it was active.

    Attributes:
        timer: address of the KTIMER.
        seconds: until it expires.
    """

    word: ClassVar[str] = "timer"
    timer: int
    seconds: int


class CancelTimer(Call):
    """A timer is stopped. The result is whether it was active.

    Attributes:
        timer: address of the KTIMER.
    """

    word: ClassVar[str] = "cancel"
    timer: int


class InitializeResource(Call):
    """An ERESOURCE is initialized.

    Attributes:
        resource: its address.
    """

    word: ClassVar[str] = "resource"
    resource: int


class DeleteResource(Call):
    """An ERESOURCE is deleted.

    Attributes:
        resource: its address.
    """

    word: ClassVar[str] = "unresource"
    resource: int


class AllocateIrp(Call):
    """An IRP is asked for. The result is its address, 0 for NULL.

    Attributes:
        stack_size: stack locations.
        charge_quota: whether the current process pays for it.
    """

    word: ClassVar[str] = "irp"
    stack_size: int
    charge_quota: bool

    @property
    def is_refused(self) -> bool:
        """Whether there was none."""
        return not self.result


class FreeIrp(Call):
    """An IRP is freed.

    Attributes:
        irp: its address.
    """

    word: ClassVar[str] = "free-irp"
    irp: int


class AllocateMdl(Call):
    """An MDL is asked for. The result is its address, 0 for NULL.

    Attributes:
        address: start of the buffer it describes.
        length: bytes of the buffer.
        secondary: whether it is chained behind the IRP's last MDL.
        irp: the IRP whose MDL it becomes, 0 for none.
    """

    word: ClassVar[str] = "mdl"
    address: int
    length: int
    secondary: bool = False
    irp: int = 0

    @property
    def is_refused(self) -> bool:
        """Whether there was none."""
        return not self.result


class FreeMdl(Call):
    """An MDL is freed.

    Attributes:
        mdl: its address.
    """

    word: ClassVar[str] = "free-mdl"
    mdl: int


@attrs.frozen
class Leaving:
    """A driver's unload routine has returned, and its image is about to go: no call of its own.

    Attributes:
        driver: which.
    """

    driver: Image
