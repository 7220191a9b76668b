"""The end of the process, and the lock of a file."""

import errno
import subprocess
import sys
import threading
from types import SimpleNamespace

import pytest

from exporter.runtime import process

ENDING = """
import exporter.cli.main, exporter.__main__, sys
class Freed:
    def __del__(self): print("freed")
kept = Freed()
exporter.cli.main.main = lambda: print("ended") or 5
sys.argv = ["ekm-exporter", "COMMAND"]
sys.exit(exporter.__main__.main())
"""


def ended(command):
    script = ENDING.replace("COMMAND", command)
    return subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=False)  # noqa: S603 - a fixed script


@pytest.mark.parametrize("command", ["run", "check"])
def test_command_ends_without_freeing_its_objects(command):
    done = ended(command)
    assert (done.returncode, done.stdout, done.stderr) == (5, "ended\n", "")


@pytest.mark.parametrize(
    ("number", "raised"), [(errno.EACCES, BlockingIOError), (0, BlockingIOError), (errno.EBADF, OSError), (errno.EINVAL, OSError)]
)
def test_file_that_windows_has_locked_differs_from_other_errors(monkeypatch, number, raised):
    def locking(_descriptor, _mode, _bytes):
        raise OSError(number, "a text of the C library")

    monkeypatch.setattr(sys, "platform", "win32")
    monkeypatch.setattr(process, "msvcrt", SimpleNamespace(locking=locking, LK_NBLCK=2), raising=False)
    with pytest.raises(raised) as caught:
        process.lock(1)
    assert isinstance(caught.value, BlockingIOError) == (raised is BlockingIOError)


def test_open_files_are_counted_below_the_limit(tmp_path):
    before = process.open_files(10**9)
    with (tmp_path / "a").open("w"), (tmp_path / "b").open("w"):
        assert process.open_files(10**9) == before + 2
    assert process.open_files(0) == 0


def test_threads_that_were_tried_have_ended():
    before = threading.active_count()
    assert process.threads_granted(5) == 5
    assert threading.active_count() == before
