"""How NT counts time: units of 100 ns, ticks of the clock.

Source:
    [doc] KeQueryTimeIncrement: the clock ticks 64 times a second.
"""

from __future__ import annotations

from typing import Final

UNITS_A_SECOND: Final = 10_000_000
TICKS_A_SECOND: Final = 64
BOOT_TIME: Final = 0x1D5_0000_0000_0000
"""System time at boot, in 100 ns since 1601: in 2019. Choice."""
