"""Waiting for a service to run, to stop and to be gone."""

from __future__ import annotations

import time
from collections.abc import Callable

from exporter.installation.services import HostServices
from exporter.runtime.windows.service_control import RUNNING, STOP_PENDING, STOPPED
from exporter.runtime.windows.service_manager import STOP

START_SECONDS, STOP_SECONDS, DELETE_SECONDS = 60.0, 60.0, 60.0
PAUSE_SECONDS = 0.2
TIMED_OUT = -1


class StillThereError(Exception):
    """A service has not stopped or is not deleted; the text states what to do."""


def wait_until_running(services: HostServices, name: str) -> int | None:
    """Return None once the service runs, the exit code if it has stopped, or TIMED_OUT. Raises OSError."""
    result: int | None = TIMED_OUT

    def is_decided() -> bool:
        nonlocal result
        found = services.state(name)
        if found is not None and found.state in (RUNNING, STOPPED):
            result = None if found.state == RUNNING else found.exit_code
            return True
        return False

    _wait(is_decided, START_SECONDS)
    return result


def stop(services: HostServices, name: str) -> None:
    """Stop a service and wait; nothing if it does not run. Raises StillThereError and OSError."""

    def is_stopped() -> bool:
        found = services.state(name)
        if found is None or found.state == STOPPED:
            return True
        if found.state != STOP_PENDING:  # again, since a service that is starting refuses it
            services.control(name, STOP)
        return False

    if not _wait(is_stopped, STOP_SECONDS):
        raise StillThereError(f"the service {name} does not stop: end its process in the task manager, then run this again")


def start_again(services: HostServices, name: str) -> None:
    """Start a service that may still be stopping, without a wait for its start; nothing if it runs. Raises OSError."""

    def is_settled() -> bool:
        found = services.state(name)
        return found is None or found.state in (RUNNING, STOPPED)

    _wait(is_settled, STOP_SECONDS)
    services.start(name)


def wait_until_gone(services: HostServices, name: str) -> None:
    """Wait until Windows has deleted a service. Raises StillThereError and OSError."""
    if not _wait(lambda: services.state(name) is None, DELETE_SECONDS):
        raise StillThereError(
            f"Windows keeps the service {name} while a program shows it: close services.msc, and Windows deletes it"
        )


def _wait(is_done: Callable[[], bool], seconds: float) -> bool:
    deadline = time.monotonic() + seconds
    while not is_done():
        if time.monotonic() > deadline:
            return False
        time.sleep(PAUSE_SECONDS)
    return True
