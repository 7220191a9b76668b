"""Internal errors that must not end a task, a CancelledError of another task's making included."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import Callable, Iterator


def is_cancelled() -> bool:
    """Whether the running task was cancelled from outside; otherwise a CancelledError in it is an internal error."""
    task = asyncio.current_task()
    return task is None or task.cancelling() > 0


@contextlib.contextmanager
def reported(on_error: Callable[[Exception], None]) -> Iterator[None]:
    """Pass an exception of the block to `on_error`; only the cancellation of this task ends it."""
    try:
        yield
    except asyncio.CancelledError as error:
        if is_cancelled():
            raise
        on_error(RuntimeError("cancelled from inside").with_traceback(error.__traceback__))
    except Exception as error:  # noqa: BLE001 - that is the purpose
        on_error(error)
