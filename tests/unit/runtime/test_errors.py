"""Errors of Windows get the numbers and texts that they have elsewhere."""

import errno
import os

import pytest

from exporter.clients.http.facts import fault_of
from exporter.core.values import Fault, Phase
from exporter.runtime import errors
from exporter.runtime.tasks import Shortage, shortage_of


class WindowsError(OSError):
    """An OSError as Python makes it on Windows: the errno of an unknown number is EINVAL."""

    def __init__(self, winerror: int, number: int = errno.EINVAL) -> None:
        super().__init__(number, "a localised text")
        self.winerror = winerror


@pytest.mark.parametrize(
    ("winerror", "number"),
    [
        (1225, errno.ECONNREFUSED),
        (64, errno.ECONNRESET),
        (121, errno.ETIMEDOUT),
        (1231, errno.ENETUNREACH),
        (1232, errno.EHOSTUNREACH),
    ],
)
def test_number_of_windows_becomes_an_errno(winerror, number):
    assert errors.number_of(WindowsError(winerror)) == number
    assert errors.numbers_of(OSError(f"Multiple exceptions: [WinError {winerror}] x, [Errno 5] y")) == {number, 5}


def test_errno_that_python_gives_stays():
    assert errors.number_of(WindowsError(5, errno.EACCES)) == errno.EACCES
    assert errors.number_of(OSError(errno.EPIPE, "x")) == errno.EPIPE
    assert errors.number_of(OSError("text")) is None
    assert errors.numbers_of(OSError("text")) == set()


@pytest.mark.parametrize(
    ("winerror", "fault"),
    [
        (1225, Fault.CONNECT_REFUSED),
        (1236, Fault.CONNECT_RESET),
        (1, Fault.CONNECT_FAILED),
    ],
)
def test_failed_connection_on_windows_is_the_same_fault(winerror, fault):
    assert fault_of(WindowsError(winerror), Phase.CONNECT, via_proxy=False)[0] is fault


@pytest.mark.parametrize(
    ("winerror", "lacking"), [(10024, Shortage.DESCRIPTORS), (1450, Shortage.MEMORY), (1455, Shortage.MEMORY)]
)
def test_shortage_on_windows_is_found(winerror, lacking):
    assert shortage_of(WindowsError(winerror)) is lacking


def test_reader_that_ended_is_an_invalid_argument_on_windows(monkeypatch):
    closed, path = OSError(errno.EINVAL, "x"), OSError(errno.EINVAL, "x", "a?b")
    assert not errors.is_closed_pipe(closed)
    monkeypatch.setattr(errors, "is_windows", lambda: True)
    assert errors.is_closed_pipe(closed)
    assert not errors.is_closed_pipe(path)
    assert not errors.is_closed_pipe(ValueError())


def test_reader_that_ended_breaks_the_pipe_elsewhere():
    assert errors.is_closed_pipe(BrokenPipeError(errno.EPIPE, "x"))


@pytest.mark.parametrize("number", sorted(errors._TEXTS))
def test_text_is_that_of_linux(number):
    assert errors.text_of(number) == os.strerror(number).lower()


def test_text_of_another_number_is_that_of_the_system():
    assert errors.text_of(errno.EPIPE) == os.strerror(errno.EPIPE).lower()
