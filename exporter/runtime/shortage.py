"""What this process can lack by itself: descriptors, threads, memory. A shortage is never a vault's fault.

For: the one table of the system's error numbers for it, and finding one in an exception, however deep a library wrapped it.
Not for: what becomes of a probe that met a shortage (see `probing.prober`).
"""

from __future__ import annotations

import errno
import re
import socket
from enum import StrEnum

from exporter.runtime.exception_tree import every_exception


class Shortage(StrEnum):
    """What was lacking: a value of the label `reason` of `ekm_exporter_probes_skipped_total`."""

    RESOLVER = "resolver"  # every thread, or every place among the handshakes, was taken
    DESCRIPTORS = "descriptors"
    THREADS = "threads"
    MEMORY = "memory"


_ERRNOS = {
    errno.EMFILE: Shortage.DESCRIPTORS,
    errno.ENFILE: Shortage.DESCRIPTORS,
    errno.ENOMEM: Shortage.MEMORY,
    errno.ENOBUFS: Shortage.MEMORY,
}
_ERRNO_TEXT = re.compile(r"\[Errno (-?\d+)\]")


def shortage_of(error: BaseException | None) -> Shortage | None:
    """What this process lacked if that is why the exception was raised, else None."""
    return next((lacking for one in every_exception(error) if (lacking := _named_by(one)) is not None), None)


def _named_by(error: BaseException) -> Shortage | None:
    told = getattr(error, "shortage", None)
    if isinstance(told, Shortage):
        return told
    if isinstance(error, MemoryError):
        return Shortage.MEMORY
    if isinstance(error, socket.gaierror):  # its numbers are of another kind
        return Shortage.MEMORY if error.errno == socket.EAI_MEMORY else None
    numbers = error_numbers(error) if isinstance(error, OSError) else ()
    return next((_ERRNOS[number] for number in numbers if number in _ERRNOS), None)


def error_numbers(error: OSError) -> set[int]:
    """Its error number, or those in its text: asyncio joins the errors of several addresses to one text."""
    if error.errno is not None:
        return {error.errno}
    return {int(number) for number in _ERRNO_TEXT.findall(str(error))}


def require_descriptor() -> None:
    """Raise OSError if the system grants this process no descriptor.

    The C library's resolver reports that shortage as a name that cannot be resolved.
    """
    socket.socket().close()
