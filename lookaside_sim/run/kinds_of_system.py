"""The kinds of calls of drivers, processes, objects, I/O, the verifier; see `lookaside_sim.run.kinds`."""

from __future__ import annotations

from typing import Any, Final

import attrs

from lookaside_sim.ddi.variables import place
from lookaside_sim.drive.pe import PeFile
from lookaside_sim.run.kind import Kind, Stage, no_key
from lookaside_sim.run.recorded_code import RecordedCode
from lookaside_sim.run.rows import Key
from lookaside_sim.system import calls as system
from lookaside_sim.system.compiled import CompiledDriver
from lookaside_sim.verifier import enable
from lookaside_sim.verifier.settings import Verifier


def _unload(stage: Stage, key: Key, words: tuple[int, ...]) -> Any:
    driver = stage.driver(key[0])
    stage.unload_routine(driver)
    return driver.unload()


def _enter_process(stage: Stage, key: Key, words: tuple[int, ...]) -> Any:
    processes = stage.kernel.processes
    process = processes.at(key[1])
    assert process is not None, "it was made, or is done between"
    return processes.enter(process)


def verifier_values(verifier: Verifier) -> Key:
    """The settings of a verifier, by name, as values of a key."""
    return tuple(
        (field.name, _plain(getattr(verifier, field.name)))
        for field in attrs.fields(Verifier)
        if field.init
    )


def _plain(value: Any) -> Any:
    return int(value) if isinstance(value, int) and not isinstance(value, bool) else value


def verifier_of(values: Key) -> Verifier:
    """The settings that some values say."""
    return Verifier(**dict(values))


def _place_data(stage: Stage, key: Key, words: tuple[int, ...]) -> Any:
    base, size, alignment = key
    contents = stage.blob(words[0])
    if base:
        return stage.driver(base).place_data(size, alignment, contents)
    with stage.kernel:
        return place(size, alignment, contents)


def _load_image(stage: Stage, key: Key, words: tuple[int, ...]) -> Any:
    name, size, image_size = key
    drivers = stage.kernel.drivers
    drivers.check_name(name)
    base = stage.kernel.machine.program.next_base(size)
    data = stage.blob(words[0])
    code = RecordedCode(PeFile(name, data), base)
    driver = CompiledDriver(drivers, name, base, size, image_size, code)
    return drivers.take_in(driver, system.LoadImage(name, size, image_size, data))


SYSTEM: Final = (
    Kind(
        system.LoadImage,
        "MmLoadSystemImage",
        _load_image,
        lambda book, call: (call.name, call.size, call.image_size),
        lambda book, call: (book.blob(call.data),),
        has_result=True,
        arguments=lambda key, words: {"ImageFileName": key[0]},
        takes=(str, int, int),
        operand_count=1,
    ),
    Kind(
        system.LoadDriver,
        "MmLoadSystemImage",
        lambda stage, key, words: stage.kernel.load_driver(key[0]),
        lambda book, call: (call.name,),
        has_result=True,
        arguments=lambda key, words: {"ImageFileName": key[0]},
        takes=(str,),
    ),
    Kind(
        system.OptIntoNx,
        "ExInitializeDriverRuntime",
        lambda stage, key, words: stage.kernel.drivers.opt_into_nx(),
    ),
    Kind(
        system.PlaceData,
        "program",
        _place_data,
        lambda book, call: (
            0 if call.driver is None else call.driver.image_base,
            call.size,
            call.alignment,
        ),
        lambda book, call: (book.blob(call.contents),),
        has_result=True,
        arguments=lambda key, words: {"Driver": key[0], "Size": key[1], "Alignment": key[2]},
        takes=(int, int, int),
        operand_count=1,
    ),
    Kind(
        system.UnloadDriver,
        "MmUnloadSystemImage",
        _unload,
        lambda book, call: (call.driver.image_base,),
        arguments=lambda key, words: {"Driver": key[0]},
        takes=(int,),
    ),
    Kind(
        system.RunQueued,
        "system threads",
        lambda stage, key, words: stage.kernel.queues.run(key[0]),
        lambda book, call: (call.most,),
        has_result=True,
        takes=(int,),
    ),
    Kind(
        system.CreateProcess,
        "process",
        lambda stage, key, words: stage.kernel.processes.create(
            key[0], nonpaged_quota=key[1], paged_quota=key[2]
        ),
        lambda book, call: (call.name, call.nonpaged_quota, call.paged_quota),
        has_result=True,
        arguments=lambda key, words: {"ImageFileName": key[0]},
        takes=(str, int, int),
    ),
    Kind(
        system.EnterProcess,
        "KeStackAttachProcess",
        _enter_process,
        lambda book, call: (call.name, call.process),
        arguments=lambda key, words: {"Process": key[1]},
        takes=(str, int),
    ),
    Kind(
        system.InitializeTimer,
        "KeInitializeTimer",
        lambda stage, key, words: stage.kernel.objects.initialize_timer(key[0]),
        lambda book, call: (call.timer,),
        arguments=lambda key, words: {"Timer": key[0]},
        takes=(int,),
    ),
    Kind(
        system.SetTimer,
        "KeSetTimer",
        lambda stage, key, words: stage.kernel.objects.set_timer(key[0], key[1]),
        lambda book, call: (call.timer, call.seconds),
        has_result=True,
        arguments=lambda key, words: {"Timer": key[0], "DueTime": key[1]},
        takes=(int, int),
    ),
    Kind(
        system.CancelTimer,
        "KeCancelTimer",
        lambda stage, key, words: stage.kernel.objects.cancel_timer(key[0]),
        lambda book, call: (call.timer,),
        has_result=True,
        arguments=lambda key, words: {"Timer": key[0]},
        takes=(int,),
    ),
    Kind(
        system.InitializeResource,
        "ExInitializeResourceLite",
        lambda stage, key, words: stage.kernel.objects.initialize_resource(key[0]),
        lambda book, call: (call.resource,),
        arguments=lambda key, words: {"Resource": key[0]},
        takes=(int,),
    ),
    Kind(
        system.DeleteResource,
        "ExDeleteResourceLite",
        lambda stage, key, words: stage.kernel.objects.delete_resource(key[0]),
        lambda book, call: (call.resource,),
        arguments=lambda key, words: {"Resource": key[0]},
        takes=(int,),
    ),
    Kind(
        system.AllocateIrp,
        "IoAllocateIrp",
        lambda stage, key, words: stage.kernel.io_lists.allocate_irp(key[0], bool(key[1])),
        lambda book, call: (call.stack_size, int(call.charge_quota)),
        has_result=True,
        makes_blocks=True,
        reuses_blocks=True,
        arguments=lambda key, words: {"StackSize": key[0], "ChargeQuota": bool(key[1])},
        takes=(int, int),
    ),
    Kind(
        system.FreeIrp,
        "IoFreeIrp",
        lambda stage, key, words: stage.kernel.io_lists.free_irp(words[0]),
        no_key,
        lambda book, call: (call.irp,),
        arguments=lambda key, words: {"Irp": words[0]},
        operand_count=1,
    ),
    Kind(
        system.AllocateMdl,
        "IoAllocateMdl",
        lambda stage, key, words: stage.kernel.io_lists.allocate_mdl(
            words[0], key[0], secondary=bool(key[1]), irp=words[1]
        ),
        lambda book, call: (call.length, int(call.secondary)),
        lambda book, call: (call.address, call.irp),
        has_result=True,
        makes_blocks=True,
        reuses_blocks=True,
        arguments=lambda key, words: {
            "VirtualAddress": words[0],
            "Length": key[0],
            "SecondaryBuffer": bool(key[1]),
            "Irp": words[1],
        },
        takes=(int, int),
        operand_count=2,
    ),
    Kind(
        system.FreeMdl,
        "IoFreeMdl",
        lambda stage, key, words: stage.kernel.io_lists.free_mdl(words[0]),
        no_key,
        lambda book, call: (call.mdl,),
        arguments=lambda key, words: {"Mdl": words[0]},
        operand_count=1,
    ),
    Kind(
        enable.EnableVerifier,
        "verifier /volatile",
        lambda stage, key, words: stage.kernel.enable_verifier(verifier_of(key)),
        lambda book, call: verifier_values(call.verifier),
        arguments=lambda key, words: dict(key),
        takes=(tuple,),
    ),
)
