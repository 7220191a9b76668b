"""What a test grants to a busy machine."""

from collections.abc import Iterable

# Seconds to wait for what must happen. Only a failed test waits to the end.
PATIENCE = 180.0

# Seconds for a whole program, such as promtool. One that hangs fails its test by name.
PROGRAM_SECONDS = 3 * PATIENCE


def without_slow_steps(lines: Iterable[str]) -> list[str]:
    """The lines without those in which the debug mode of asyncio names a step of more than a tenth of a second."""
    return [line for line in lines if "Executing <" not in line]
