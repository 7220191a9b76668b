"""Numbers and texts of operating system errors, the same on Windows as elsewhere, and all that an exception holds.

The event loop of Windows reports errors for which Python has no errno: it gives such an OSError EINVAL. The C library of Windows has
no texts for errors of sockets.
"""

from __future__ import annotations

import errno
import os
import re
from collections.abc import Iterator
from types import TracebackType

from exporter.runtime.process import is_windows

# https://learn.microsoft.com/windows/win32/debug/system-error-codes
_WINDOWS: dict[int, int] = {
    64: errno.ECONNRESET,  # ERROR_NETNAME_DELETED
    121: errno.ETIMEDOUT,  # ERROR_SEM_TIMEOUT
    1225: errno.ECONNREFUSED,  # ERROR_CONNECTION_REFUSED
    1231: errno.ENETUNREACH,  # ERROR_NETWORK_UNREACHABLE
    1232: errno.EHOSTUNREACH,  # ERROR_HOST_UNREACHABLE
    1236: errno.ECONNABORTED,  # ERROR_CONNECTION_ABORTED
    1450: errno.ENOBUFS,  # ERROR_NO_SYSTEM_RESOURCES
    1455: errno.ENOMEM,  # ERROR_COMMITMENT_LIMIT
    1460: errno.ETIMEDOUT,  # ERROR_TIMEOUT
    10013: errno.EACCES,  # WSAEACCES
    10024: errno.EMFILE,  # WSAEMFILE
}
_TEXTS: dict[int, str] = {
    errno.EADDRINUSE: "address already in use",
    errno.EADDRNOTAVAIL: "cannot assign requested address",
    errno.ECONNABORTED: "software caused connection abort",
    errno.ECONNREFUSED: "connection refused",
    errno.ECONNRESET: "connection reset by peer",
    errno.EHOSTUNREACH: "no route to host",
    errno.ENETUNREACH: "network is unreachable",
    errno.ENOBUFS: "no buffer space available",
    errno.ETIMEDOUT: "connection timed out",
}
_NUMBER_TEXT = re.compile(r"\[(Errno|WinError) (-?\d+)\]")


def number_of(error: OSError) -> int | None:
    """Return the errno of an error; None if it has none."""
    return _WINDOWS.get(getattr(error, "winerror", None) or 0, error.errno)


def numbers_of(error: OSError) -> set[int]:
    """Return the error number, or those in the text. Asyncio joins the errors of several addresses."""
    if (number := number_of(error)) is not None:
        return {number}
    found = _NUMBER_TEXT.findall(str(error))
    return {_WINDOWS.get(int(digits), int(digits)) if kind == "WinError" else int(digits) for kind, digits in found}


def is_closed_pipe(error: Exception) -> bool:
    """Whether the reader of standard output has ended. The C library of Windows calls that an invalid argument."""
    if isinstance(error, OSError) and is_windows() and error.filename is None:
        return error.errno in (errno.EINVAL, errno.EPIPE)
    return isinstance(error, BrokenPipeError)


def text_of(number: int) -> str:
    """Return the message for an errno in lower case."""
    return _TEXTS.get(number) or os.strerror(number).lower()


# An exception with all that it holds: causes, members, arguments, attributes.
#
# Libraries wrap what they catch, each in its own way, and keep tracebacks.


def every_exception(error: BaseException | None) -> Iterator[BaseException]:
    """Yield the exception, then each one that it holds, once."""
    seen: set[int] = set()
    pending = [error]
    while pending:
        one = pending.pop()
        if one is None or id(one) in seen:
            continue
        seen.add(id(one))
        yield one
        members = one.exceptions if isinstance(one, BaseExceptionGroup) else ()
        held = (*one.args, *vars(one).values(), *members)
        pending += (one.__cause__, one.__context__, *(each for each in held if isinstance(each, BaseException)))


def causes(error: BaseException | None) -> Iterator[BaseException]:
    """Yield the exception, its cause, the cause of that, and so on, each once."""
    seen: set[int] = set()
    while error is not None and id(error) not in seen:
        seen.add(id(error))
        yield error
        error = error.__cause__


def drop_tracebacks(error: BaseException | None) -> None:
    """Release the frames that the exceptions passed through.

    A traceback keeps each frame and its local variables alive. A frame that holds the exception makes a cycle. The cycle lives until a
    full collection, and full collections are rare (see `process`). A probe that timed out holds 50 KiB in such frames.
    """
    for one in every_exception(error):
        one.__traceback__ = None
        for name, value in list(vars(one).items()):
            if isinstance(value, TracebackType):  # azure-core stores the traceback of the exception that it wraps
                setattr(one, name, None)
