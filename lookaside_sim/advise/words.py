"""What calls do to a list of a fixed depth, eight calls at a time.

Of a list, only the number of entries it holds decides whether a call hits: an allocate hits when
it holds one, a free when it holds fewer than its depth. Addresses and contents play no part. So
a list is a counter that is clamped at 0 and at its depth, and each unit that a clamp takes is a miss.

Eight calls make a *word*, one byte, the first call in the high bit, 1 for an allocate. What a word
does is known beforehand: in a deep list by three numbers, in a shallow one by a table of its own. Programs
repeat themselves: what four words do in a list that is deeper than they are long is kept from the first
time on, as long as most of them were seen before.
"""

from __future__ import annotations

import sys
from array import array
from functools import cache
from typing import Any, Final, NamedTuple

ALLOCATE: Final = 1
FREE: Final = 0
"""The two calls in a stream of one byte a call."""

WORD: Final = 8
"""Calls of a word."""
_MANY: Final = 512
"""Words from which on two at a time pay for their table."""
_FOUR: Final = 4
"""Words of the longest unit."""
_KNOWN: Final = 1 << 14
"""Units that are worked out whatever comes; more only where most come again."""
_MOST_KNOWN: Final = 1 << 17
_SAMPLE: Final = 8
"""One in so many units is asked whether it was seen before."""
_NEW: Final = 12
"""Where more than one in so many is new, two words at a time are faster than four."""
_DIGITS: Final = bytes.maketrans(bytes([FREE, ALLOCATE]), b"01")
_FREE_MISS: Final = 1 << 32
"""Both counts of misses in one number: those of frees above."""


class Calls(NamedTuple):
    """Calls on one list, in order."""

    words: bytes
    """Eight calls a byte, as far as they go."""
    tail: bytes
    """The rest, a byte each."""
    allocates: int
    """How many of them allocate."""
    frees: int
    """How many of them free."""


def pack(stream: bytes) -> Calls:
    """Pack calls into words.

    Args:
        stream: `ALLOCATE` and `FREE`, a byte a call.

    Returns:
        The same calls.
    """
    whole = len(stream) & -WORD
    tail = stream[whole:]
    # The calls as the digits of one long number: reading digits of base 2 takes the least time.
    number = int(stream[:whole].translate(_DIGITS), 2) if whole else 0
    allocates = number.bit_count() + tail.count(ALLOCATE)
    words = number.to_bytes(whole // WORD, "big")
    return Calls(words, tail, allocates, len(stream) - allocates)


def unpack(calls: Calls) -> bytes:
    """The calls as a stream of one byte each."""
    bits = [
        bytes(word >> place & 1 for place in range(WORD - 1, -1, -1)) for word in range(256)
    ]
    return b"".join([bits[word] for word in calls.words]) + calls.tail


def run(calls: Calls, held: int, depth: int, most: int = 0) -> tuple[int, int, int, int]:
    """Make calls on a list whose depth does not change meanwhile.

    Args:
        calls: the calls.
        held: entries on the list before them.
        depth: its depth, 0 or more; the list may hold more, after its depth fell.
        most: the most entries it held so far.

    Returns:
        Entries on the list behind them; misses of allocates; misses of frees; the most
        entries it held so far.
    """
    allocate_misses = free_misses = 0
    words = calls.words
    most = max(most, held)
    if held > depth:
        held, done, allocate_misses, free_misses = _run_down(words, held, depth)
        words = words[done:]
    if depth >= _FOUR * WORD and len(words) >= _FOUR:
        units = array("I", words[: len(words) & -_FOUR])
        if _repeat(units):
            held, allocate, free, most = _run_fours(units, held, depth, most)
            allocate_misses += allocate
            free_misses += free
            words = words[len(units) * _FOUR :]
    if depth >= 2 * WORD and len(words) >= _MANY:
        odd = len(words) & 1
        held, allocate, free, most = _run_pairs(words[: len(words) - odd], held, depth, most)
        allocate_misses += allocate
        free_misses += free
        words = words[len(words) - odd :]
    if depth >= WORD:
        table = _effects()
        for word in words:
            need, rise, net = table[word]
            top = held + rise
            if held < need:
                allocate_misses += need - held
                if need + rise > most:  # it cannot hold more on the way
                    most = max(most, _tops()[held][word])
                held = need
            elif top > depth:
                free_misses += top - depth
                held = depth - rise
                most = max(most, depth)
            elif top > most:
                most = top
            held += net
    elif words:
        row = _rows(depth)[held, min(most, depth)]
        misses = 0
        for word in words:
            row, missed = row[word]
            if missed:
                misses += missed
        held, top = row[-1]
        most = max(most, top)
        allocate_misses += misses % _FREE_MISS
        free_misses += misses // _FREE_MISS
    held, allocate, free, most = run_few(calls.tail, held, depth, most)
    return held, allocate_misses + allocate, free_misses + free, most


def run_few(stream: bytes, held: int, depth: int, most: int) -> tuple[int, int, int, int]:
    """Make calls one by one; as `run`.

    Args:
        stream: `ALLOCATE` and `FREE`, a byte a call.
        held: entries on the list before them.
        depth: its depth.
        most: the most entries it held so far.
    """
    allocate_misses = free_misses = 0
    for call in stream:
        if call:
            if held:
                held -= 1
            else:
                allocate_misses += 1
        elif held < depth:
            held += 1
            if held > most:
                most = held
        else:
            free_misses += 1
    return held, allocate_misses, free_misses, most


def _run_pairs(words: bytes, held: int, depth: int, most: int) -> tuple[int, int, int, int]:
    """Make calls on a list that is deeper than two words, two words at a time; as `run`."""
    allocate_misses = free_misses = 0
    table = _pair_effects()
    pairs = array("H", words)
    if sys.byteorder == "little":
        pairs.byteswap()
    for pair in pairs:
        need, rise, net = table[pair]
        top = held + rise
        if held < need:
            allocate_misses += need - held
            if need + rise > most:  # it cannot hold more on the way
                most = max(most, _top(held, pair.to_bytes(2, "big")))
            held = need
        elif top > depth:
            free_misses += top - depth
            held = depth - rise
            most = max(most, depth)
        elif top > most:
            most = top
        held += net
    return held, allocate_misses, free_misses, most


def _repeat(units: array[int]) -> bool:
    """Whether most units were seen before, or there is room for new ones."""
    seen = _seen()
    if len(seen) < _KNOWN:
        return True
    sample = units[::_SAMPLE]
    if len(set(sample).difference(seen)) * _NEW > len(sample):
        return False
    if len(seen) > _MOST_KNOWN:
        seen.clear()
    return True


def _run_fours(
    units: array[int], held: int, depth: int, most: int
) -> tuple[int, int, int, int]:
    """Make calls on a list that is deeper than four words, four at a time; as `run`."""
    allocate_misses = free_misses = 0
    for need, rise, net, words in map(_seen().__getitem__, units):
        top = held + rise
        if held < need:
            allocate_misses += need - held
            if need + rise > most:  # it cannot hold more on the way
                most = max(most, _top(held, words))
            held = need
        elif top > depth:
            free_misses += top - depth
            held = depth - rise
            most = max(most, depth)
        elif top > most:
            most = top
        held += net
    return held, allocate_misses, free_misses, most


def _top(held: int, words: bytes) -> int:
    """The most that a list holds in words of no free miss."""
    most = held
    for word in words:
        need, rise, net = _effects()[word]
        most = max(most, _tops()[held][word] if held < need else held + rise)
        held = max(held, need) + net
    return most


def _run_down(words: bytes, held: int, depth: int) -> tuple[int, int, int, int]:
    """Make calls on a list that holds more than its depth, until it does not.

    Until then every free misses and every allocate hits. The word in which that ends goes
    call by call.

    Returns:
        Entries held, words done, misses of allocates, misses of frees.
    """
    allocate_misses = free_misses = 0
    for done, word in enumerate(words, 1):
        allocates = word.bit_count()
        if held - allocates > depth:
            held -= allocates
            free_misses += WORD - allocates
            continue
        for place in range(WORD - 1, -1, -1):
            if word >> place & 1:
                if held:
                    held -= 1
                else:
                    allocate_misses += 1
            elif held < depth:
                held += 1
            else:
                free_misses += 1
        return held, done, allocate_misses, free_misses
    return held, len(words), allocate_misses, free_misses


@cache
def _tops() -> list[list[int]]:
    """The most that a list holds in each word, by what it holds before: 0 to 7 entries."""
    tops = []
    for before in range(WORD):
        effects = [(before, before)]
        for _ in range(WORD):
            effects = [
                effect
                for now, top in effects
                for effect in ((now + 1, max(top, now + 1)), (max(now - 1, 0), top))
            ]
        tops.append([top for _, top in effects])
    return tops


@cache
def _effects() -> list[tuple[int, int, int]]:
    """Of each word: entries its allocates need, entries it may add on the way, and in all.

    With ``need`` entries on a list, and ``rise`` below its depth, no call of the word misses.
    A list that is deeper than a word cannot be both too empty and too full for one.
    """
    table = [(0, 0, 0)]
    for _ in range(WORD):
        table = [
            effect
            for need, rise, net in table
            for effect in (
                (need, max(rise, net + 1), net + 1),  # a free
                (max(need, 1 - net), rise, net - 1),  # an allocate
            )
        ]
    return table


@cache
def _pair_effects() -> list[tuple[int, int, int]]:
    """The same of each two words, which share the few effects that there are."""
    alike: dict[tuple[int, int, int], tuple[int, int, int]] = {}
    table = []
    for need, rise, net in _effects():
        for then_need, then_rise, then_net in _effects():
            effect = (max(need, then_need - net), max(rise, net + then_rise), net + then_net)
            table.append(alike.setdefault(effect, effect))
    return table


class _Units(dict[int, tuple[int, int, int, bytes]]):
    """The same of four words each, worked out when they first come, with the words.

    A unit is the number that lies where its words lie in memory.
    """

    def __missing__(self, unit: int) -> tuple[int, int, int, bytes]:
        words = unit.to_bytes(_FOUR, sys.byteorder)
        need = rise = net = 0
        for word in words:
            then_need, then_rise, then_net = _effects()[word]
            need, rise = max(need, then_need - net), max(rise, net + then_rise)
            net += then_net
        self[unit] = effect = need, rise, net, words
        return effect


@cache
def _seen() -> _Units:
    """Those that came so far, in whatever trace: a unit always does the same."""
    return _Units()


@cache
def _rows(depth: int) -> dict[tuple[int, int], list[Any]]:
    """Of a list with few entries: a row for each number held, and the most held so far.

    A row has, for each word, the row behind it and the misses of both kinds; at its end the two
    numbers it stands for.
    """
    rows: dict[tuple[int, int], list[Any]] = {
        (held, most): [] for most in range(depth + 1) for held in range(most + 1)
    }
    for (held, most), row in rows.items():
        effects = [(held, most, 0)]
        for _ in range(WORD):
            effects = [
                effect
                for now, top, missed in effects
                for effect in (
                    (now + 1, max(top, now + 1), missed)
                    if now < depth
                    else (now, top, missed + _FREE_MISS),
                    (now - 1, top, missed) if now else (now, top, missed + 1),
                )
            ]
        row.extend((rows[now, top], missed) for now, top, missed in effects)
        row.append((held, most))
    return rows
