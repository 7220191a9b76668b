"""An exception with all that it holds: causes, members, arguments, attributes.

Libraries wrap what they catch, each in its own way, and keep tracebacks.
"""

from __future__ import annotations

from collections.abc import Iterator
from types import TracebackType


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
