"""Resources that this process can lack: descriptors, threads, memory.

A shortage is never a vault's fault. It is found in an exception, however deep a library wrapped it.
"""

from __future__ import annotations

import errno
import socket
from enum import StrEnum

from exporter.runtime.exception_tree import every_exception
from exporter.runtime.os_errors import numbers_of


class Shortage(StrEnum):
    """The missing resource.

    The values are those of the label `reason` of `ekm_exporter_probes_skipped_total`.
    """

    RESOLVER = "resolver"  # every thread, or every handshake slot, was in use
    DESCRIPTORS = "descriptors"
    THREADS = "threads"
    MEMORY = "memory"


_ERRNOS = {
    errno.EMFILE: Shortage.DESCRIPTORS,
    errno.ENFILE: Shortage.DESCRIPTORS,
    errno.ENOMEM: Shortage.MEMORY,
    errno.ENOBUFS: Shortage.MEMORY,
}


def shortage_of(error: BaseException | None) -> Shortage | None:
    """Return the lacking resource that caused the exception, else None."""
    return next((lacking for one in every_exception(error) if (lacking := _shortage_in(one)) is not None), None)


def _shortage_in(error: BaseException) -> Shortage | None:
    shortage = getattr(error, "shortage", None)
    if isinstance(shortage, Shortage):
        return shortage
    if isinstance(error, MemoryError):
        return Shortage.MEMORY
    if isinstance(error, socket.gaierror):  # its error numbers have another meaning
        return Shortage.MEMORY if error.errno == socket.EAI_MEMORY else None
    numbers = numbers_of(error) if isinstance(error, OSError) else ()
    return next((_ERRNOS[number] for number in numbers if number in _ERRNOS), None)


def require_descriptor() -> None:
    """Raise OSError if the system grants this process no descriptor.

    The C library's resolver reports that shortage as a name that cannot be resolved.
    """
    socket.socket().close()
