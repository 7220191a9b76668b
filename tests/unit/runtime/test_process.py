"""The end of the process, and the settings of Python's garbage collector."""

import errno
import gc
import subprocess
import sys
from types import SimpleNamespace

import pytest

from exporter.runtime import process
from exporter.runtime.process import THRESHOLDS, collect_rarely, importing


@pytest.fixture(autouse=True)
def pace_of_the_collector():
    """Other tests must not inherit frozen objects or a threshold."""
    before = gc.get_threshold()
    yield
    gc.set_threshold(*before)
    gc.unfreeze()


def test_collect_rarely_collects_all_generations_less_often():
    collect_rarely()
    assert gc.get_threshold() == THRESHOLDS
    youngest, middle, full = THRESHOLDS
    assert youngest > 2000  # Python 3.13's own
    assert youngest * middle <= 20_000  # the objects of one collection of the middle generation, as by default
    assert middle * full * youngest >= 2_000_000
    assert gc.isenabled()


@pytest.mark.usefixtures("pace_of_the_collector")
def test_collector_ignores_objects_that_are_freed_in_time():
    collect_rarely()
    before = [each["collections"] for each in gc.get_stats()]
    for _ in range(20):
        held = [[] for _ in range(THRESHOLDS[0] // 2)]
        del held
    assert [each["collections"] for each in gc.get_stats()] == before


def test_collect_rarely_freezes_current_objects():
    there = []
    collect_rarely()
    assert gc.get_freeze_count() > 0
    assert not any(one is there for one in gc.get_objects())


def test_imports_are_frozen_and_not_collected():
    with importing():
        assert not gc.isenabled()
    assert gc.isenabled()
    assert gc.get_freeze_count() > 0


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
