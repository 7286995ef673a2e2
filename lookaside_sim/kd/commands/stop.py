"""What happened: ``!analyze``, ``.lastevent``, ``k``, ``.time``, ``vertarget``, ``lsa``."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Final

from lookaside_sim.errors import BugCheck
from lookaside_sim.kd.bugcheck_words import parameter_words
from lookaside_sim.kd.refusal import Refusal
from lookaside_sim.kd.shell import Shell
from lookaside_sim.kd.where import banner, call_text, site_lines, source_text, symbol_of
from lookaside_sim.machine.calls import Outcome
from lookaside_sim.nt.bugchecks import BugCheckCode
from lookaside_sim.run.culprits import Culprit, addresses_of, culprits
from lookaside_sim.run.sites import Site
from lookaside_sim.run.step import Step

_RUNS: Final = "The machine runs: no bug check."
_RULE: Final = "*" * 79
_PACKAGE: Final = str(Path(__file__).parents[2])
_AROUND: Final = 5  # lines of source before and behind


def analyze(shell: Shell, arguments: str) -> str:
    """The command ``!analyze``."""
    option = arguments.strip()
    if option not in ("", "-v"):
        raise Refusal(f"!analyze {option}: give -v, or nothing")
    stop = shell.kernel.bugcheck
    if stop is None:
        return _exception(shell, option)
    title = f"*{'Bugcheck Analysis':^77}*"
    lines = [_RULE, f"*{'':77}*", title, f"*{'':77}*", _RULE, ""]
    if not option:
        parameters = ", ".join(f"{each:x}" for each in stop.parameters)
        lines += [f"BugCheck {int(stop.code):X}, {{{parameters}}}", "", str(stop)]
        return "\n".join(lines)
    lines += [f"{stop.code.name} ({int(stop.code):x})", stop.message, "Arguments:"]
    lines += _arguments(shell, stop)
    lines += ["", f"BUGCHECK_CODE:  {int(stop.code):x}", "", "STACK_TEXT:", stack(shell, "")]
    lines += _blamed(shell, addresses_of(stop.parameters, stop.message))
    return "\n".join(lines)


def _exception(shell: Shell, option: str) -> str:
    """What ``!analyze`` says where the last call raised a status and the machine runs."""
    step = shell.target.step
    if step is None or step.outcome is not Outcome.RAISED or shell.what_if is not None:
        return _RUNS
    lines = [_RUNS, "", f"EXCEPTION:  {call_text(shell, step)}"]
    if option:
        lines += ["", "STACK_TEXT:", stack(shell, "")]
        lines += _blamed(shell, addresses_of((), step.error))
    return "\n".join(lines)


def _blamed(shell: Shell, named: list[int]) -> list[str]:
    """Lines on who wrote the words that lead to some addresses, where a recording knows."""
    target = shell.target
    if shell.what_if is not None or not target.is_recorded:
        return []
    found = culprits(target.run, target.position, named, shell.kernel)
    return [line for each in found for line in _culprit(shell, each)]


def _arguments(shell: Shell, stop: BugCheck) -> list[str]:
    code = BugCheckCode(stop.code)
    words = parameter_words(code, stop.parameters[0])
    return [
        f"Arg{number}: {shell.text(value)}, {word}"
        for number, (value, word) in enumerate(zip(stop.parameters, words, strict=True), 1)
    ]


def _culprit(shell: Shell, culprit: Culprit) -> list[str]:
    step = culprit.step
    where = f"{step.number + 1:X}:0"
    return [
        "",
        f"FAULTING_WORD:  {shell.text(culprit.address)} {culprit.text}",
        f"WRITTEN_BY:  {where}  {call_text(shell, step)}",
        *(f"    {line}" for line in site_lines(shell, step)),
        f"FOLLOWUP:  !tt {where}",
    ]


def last_event(shell: Shell, arguments: str) -> str:
    """The command ``.lastevent``."""
    shell.reader(arguments).end()
    stop = shell.kernel.bugcheck
    if stop is not None:
        return f"Last event: Bug Check {int(stop.code):X}: {stop.code.name}"
    step = shell.target.step
    if step is None:
        return f"Last event: none at {shell.target.position_text}"
    return f"Last event: {shell.target.position_text}: {call_text(shell, step)}"


def stack(shell: Shell, arguments: str) -> str:
    """The command ``k``."""
    count = shell.evaluate(arguments) if arguments.strip() else 0x14
    step = shell.target.step
    if step is None:
        raise Refusal(
            f"No call has been made at {shell.target.position_text}: there is no stack"
        )
    frames = [symbol_of(step)]
    frames += [f"{each.function} [{each.file} @ {each.line}]" for each in _of_program(step)]
    shown = [f"{number:02x} {frame}" for number, frame in enumerate(frames[:count])]
    return "\n".join([" # Call Site", *shown])


def _of_program(step: Step) -> Iterator[Site]:
    """The lines of the program: not those of what ran it, such as this command."""
    for site in step.stack:
        if site.path.startswith((_PACKAGE, "<frozen ")):
            return
        yield site


def time(shell: Shell, arguments: str) -> str:
    """The command ``.time``."""
    shell.reader(arguments).end()
    days, seconds = divmod(shell.kernel.seconds, 86_400)
    hours, minutes = seconds // 3600, seconds // 60 % 60
    return f"System Uptime: {days} days {hours}:{minutes:02}:{seconds % 60:02}.000"


def version(shell: Shell, arguments: str) -> str:
    """The command ``vertarget``."""
    shell.reader(arguments).end()
    kernel = shell.kernel
    settings = kernel.settings
    options = [
        name
        for name, is_on in (
            ("sanitizer", settings.sanitizer),
            ("verifier", kernel.verification is not None),
            ("small-pool lists", settings.small_pool_lists),
            ("delayed free", settings.delayed_free),
        )
        if is_on
    ]
    target = shell.target
    return "\n".join(
        (
            f"Windows {settings.windows} Kernel, simulated, {kernel.processors} procs"
            f" {settings.arch}",
            f"Seed {settings.seed}; {', '.join(options) or 'nothing'} on",
            f"Recording of {len(target.run):,} calls" if target.is_recorded else "Live machine",
        )
    )


def source(shell: Shell, arguments: str) -> str:
    """The command ``lsa .``: the program's lines around the one that made the call."""
    if arguments.strip() not in ("", "."):
        raise Refusal(f"lsa {arguments.strip()}: give . for the call of this position")
    step = shell.target.step
    site = None if step is None else step.site
    if step is None or site is None:
        raise Refusal("No line of the program is known here")
    lines = source_text(shell, site)
    if not lines:
        raise Refusal(f"{site.file}: its text was not recorded")
    first = max(site.line - _AROUND, 1)
    shown = lines[first - 1 : site.line + _AROUND]
    return "\n".join(
        f"{'>' if number == site.line else ' '}{number:5}: {line}".rstrip()
        for number, line in enumerate(shown, first)
    )


def stop_banner(shell: Shell, arguments: str) -> str:
    """The command ``.bugcheck``."""
    shell.reader(arguments).end()
    stop = shell.kernel.bugcheck
    return _RUNS if stop is None else banner(stop).strip("\n")
