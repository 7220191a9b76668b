"""The process: its end, the lock of a file, its collector, its extras, requests to stop it, and its output."""

import asyncio
import errno
import gc
import io
import shlex
import signal
import subprocess
import sys
import threading
from types import SimpleNamespace

import pytest

from exporter.runtime import process, signals
from exporter.runtime.process import THRESHOLDS, collect_rarely, importing, install_command

# The end of the process, and the lock of a file.

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


# The settings of Python's garbage collector.


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


# The command that installs an extra names the environment of the running exporter.

SPACED = r"C:\Program Files\ekm-exporter\venv\Scripts\python.exe"


@pytest.mark.parametrize(
    ("platform", "python", "command"),
    [
        ("linux", "/opt/ekm-exporter/bin/python", '/opt/ekm-exporter/bin/python -m pip install "ekm-exporter[sql]"'),
        ("linux", "/opt/my tools/python", "'/opt/my tools/python' -m pip install \"ekm-exporter[sql]\""),
        ("win32", SPACED, f"& '{SPACED}' -m pip install \"ekm-exporter[sql]\""),
    ],
)
def test_install_command_names_the_environment(monkeypatch, platform, python, command):
    monkeypatch.setattr(sys, "platform", platform)
    monkeypatch.setattr(sys, "executable", python)
    assert install_command("sql") == command
    assert platform == "win32" or shlex.split(command)[0] == python


# Requests of a service manager that sends no signals.


@pytest.fixture(autouse=True)
def as_before(monkeypatch):
    """Other tests must not inherit handlers or requests."""
    numbers = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)
    before = {number: signal.getsignal(number) for number in numbers}
    monkeypatch.setattr(signals, "_requests", {})
    yield
    for number, handler in before.items():
        signal.signal(number, handler)


@pytest.mark.parametrize(("what", "register"), [(signals.STOP, signals.on_stop), (signals.RELOAD, signals.on_reload)])
async def test_request_of_another_thread_is_done_on_the_loop(what, register):
    done = asyncio.Event()
    register(done.set)
    threading.Thread(target=signals.request, args=(what,)).start()
    async with asyncio.timeout(30):
        await done.wait()


@pytest.mark.parametrize(("what", "register"), [(signals.STOP, signals.on_stop), (signals.RELOAD, signals.on_reload)])
async def test_early_request_is_done_once_there_is_a_callback(what, register):
    signals.request(what)
    done = []
    register(lambda: done.append(what))
    await asyncio.sleep(0.01)
    assert done == [what]


def test_late_request_is_ignored():
    async def serve():
        signals.on_stop(lambda: None)

    asyncio.run(serve())
    signals.request(signals.STOP)


# Its output, which the console of Windows and other programs read.


class Stream(io.TextIOWrapper):
    def __init__(self, *, is_console=False):
        super().__init__(io.BytesIO(), encoding="cp1252")
        self.is_console = is_console

    def isatty(self):
        return self.is_console


def console(monkeypatch, code_page, **options):
    """Write to a stream of Windows."""
    stream = Stream(**options)
    monkeypatch.setattr(process, "is_windows", lambda: True)
    monkeypatch.setattr(process, "output_code_page", lambda: code_page)
    monkeypatch.setattr(sys, "stdout", stream)
    monkeypatch.setattr(sys, "stderr", None)  # a service has none
    return stream


@pytest.mark.parametrize(
    ("code_page", "written"),
    [
        (850, b"f\x81r \\u0416"),
        (1252, b"f\xfcr \\u0416"),
        (65001, "für Ж".encode()),
        (0, "für Ж".encode()),
        (20127999, "für Ж".encode()),
    ],
)
def test_pipe_gets_the_code_page_of_the_console(monkeypatch, code_page, written):
    stream = console(monkeypatch, code_page)
    process.adapt_output()
    stream.write("für Ж")
    stream.flush()
    assert stream.buffer.getvalue() == written


def test_console_keeps_its_own_encoding(monkeypatch):
    stream = console(monkeypatch, 850, is_console=True)
    process.adapt_output()
    assert stream.encoding == "cp1252"


def test_other_systems_keep_their_encoding_and_get_a_character_that_it_lacks_as_its_number(monkeypatch):
    stream = console(monkeypatch, 850)
    monkeypatch.setattr(process, "is_windows", lambda: False)
    process.adapt_output()
    stream.write("für Ж")
    stream.flush()
    assert (stream.encoding, stream.buffer.getvalue()) == ("cp1252", b"f\xfcr \\u0416")
