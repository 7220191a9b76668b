"""The running exporter: what it may open and run at once, its start, its end, and its sweeper."""

import asyncio
import logging
import signal
import threading

import pytest

from exporter.app import service, web_endpoint
from exporter.app.service import CapacityError, Sweeper, files_left, probes_at_once, require_threads, serve
from exporter.app.web_endpoint import RunOptions
from exporter.cli import run
from exporter.cli.main import main
from exporter.config.load import Loaded
from exporter.config.settings import Config, Credential, Settings
from exporter.core.values import CredentialKind
from exporter.probing import tokens
from exporter.runtime import process
from exporter.sqlserver.monitor import CONCURRENT_READINGS
from exporter.state.store import StateDirError
from exporter.web.listener import parse_address
from exporter.web.options import web_options
from tests.support.factories import a_config, with_sql_servers
from tests.support.patience import PATIENCE
from tests.support.sql_monitors import a_server
from tests.support.values import replace
from tests.support.web_server import until

# The open files and threads that the system grants, and how many probes may run at once with them.

PLAIN = a_config()


WITH_SQL = with_sql_servers(PLAIN, a_server("a"))


@pytest.fixture
def limited(monkeypatch):
    def limit(files, *, opened=4):
        monkeypatch.setattr(process, "raise_file_limit", lambda: None)
        monkeypatch.setattr(process, "file_limit", lambda: files)
        monkeypatch.setattr(process, "open_files", lambda _: opened)

    return limit


@pytest.mark.parametrize("config", [PLAIN, WITH_SQL])
@pytest.mark.parametrize("limit", [1, 10, 30])
def test_named_number_of_files_is_the_least_that_is_enough(limited, config, limit):
    limited(limit)
    with pytest.raises(CapacityError, match=rf"may open {limit} files, and needs at least \d+") as caught:
        files_left(config, listeners=2)
    enough = next(int(word.rstrip(":")) for word in str(caught.value).split("at least ")[1].split())
    limited(enough)
    assert probes_at_once(config, files_left(config, listeners=2)) == 1
    limited(enough - 1)
    with pytest.raises(CapacityError):
        files_left(config, listeners=2)


def test_files_that_are_open_leave_fewer(limited):
    limited(1024, opened=10)
    few = files_left(PLAIN, listeners=1)
    limited(1024, opened=110)
    assert files_left(PLAIN, listeners=1) == few - 100


def test_system_without_a_limit_of_files_grants_every_probe(limited, caplog):
    limited(None)
    assert files_left(PLAIN, listeners=1) is None
    assert probes_at_once(PLAIN, None) == PLAIN.settings.concurrency == 64
    assert not caplog.records


def test_fewer_probes_are_logged(limited, caplog):
    limited(64)
    with caplog.at_level(logging.WARNING):
        assert probes_at_once(PLAIN, 24) == 4
    assert [record.getMessage() for record in caplog.records] == ["fewer probes at once: the limit of open files is low"]


def test_readings_of_sql_servers_have_their_files():
    assert service.SQL_FILES >= CONCURRENT_READINGS + tokens._THREADS


@pytest.mark.parametrize(("granted", "enough"), [(15, False), (16, True)])
def test_threads_are_counted_before_they_are_needed(monkeypatch, granted, enough):
    monkeypatch.setattr(process, "threads_granted", lambda wanted: min(granted, wanted))
    if enough:
        require_threads()
        return
    with pytest.raises(CapacityError, match="grants this process 15 more threads, and it needs at least 16"):
        require_threads()


# A start of the exporter, and the signal that ends it in time, also while it waits for a dead mount.

WITHIN = 4.0  # seconds; a start alone may wait 15 for a mount


CREDENTIALS = {"a": Credential(name="a", kind=CredentialKind.CLIENT_SECRET)}


CONFIG = Config(settings=Settings(), credentials=CREDENTIALS, modules={}, targets={})


@pytest.fixture
def options(tmp_path):
    return RunOptions(listen=(parse_address("127.0.0.1:0"),), web=web_options(), state_dir=tmp_path)


@pytest.fixture
def handlers():
    """Restore the signal handlers after the test."""
    before = {number: signal.getsignal(number) for number in (signal.SIGINT, signal.SIGTERM)}
    yield
    for number, handler in before.items():
        signal.signal(number, handler)


@pytest.fixture
async def hang():
    """A function that hangs until the end of the test. `begun` is set meanwhile."""
    over, begun, loop = threading.Event(), asyncio.Event(), asyncio.get_running_loop()

    def hanging(*_arguments, **_options):
        loop.call_soon_threadsafe(begun.set)
        over.wait(60)

    hanging.begun = begun
    yield hanging
    over.set()


@pytest.mark.parametrize("call", ["open", "read"])
@pytest.mark.usefixtures("handlers")
async def test_sigterm_ends_a_start_on_a_dead_mount(call, hang, options, monkeypatch):
    monkeypatch.setattr(f"exporter.state.store.PrivateDirectory.{call}", hang)
    serving = asyncio.create_task(serve(CONFIG, options))
    async with asyncio.timeout(WITHIN):
        await hang.begun.wait()
        signal.raise_signal(signal.SIGTERM)
        await serving


@pytest.mark.usefixtures("handlers")
async def test_failed_start_raises_its_error(options):
    options.state_dir.chmod(0o777)
    with pytest.raises(StateDirError, match="every user may write"):
        await serve(CONFIG, options)


@pytest.mark.usefixtures("handlers")
async def test_start_that_fails_when_a_signal_ends_it_raises_its_error(options, monkeypatch):
    async def start(_service):
        signal.raise_signal(signal.SIGTERM)
        try:
            await asyncio.Event().wait()
        finally:
            raise StateDirError("the disk is full")

    monkeypatch.setattr("exporter.app.service.Service.start", start)
    with pytest.raises(StateDirError, match="the disk is full"):
        async with asyncio.timeout(WITHIN):
            await serve(CONFIG, options)


@pytest.mark.usefixtures("handlers")
async def test_exporter_listens_in_its_log_once_it_answers(options, caplog, monkeypatch):
    """`on_listening` too: a service of Windows is running from then on."""
    caplog.set_level(logging.INFO)
    answers, importing = threading.Event(), web_endpoint._import_handlers
    monkeypatch.setattr(web_endpoint, "_import_handlers", lambda: answers.wait(PATIENCE) and importing())
    seen = []
    serving = asyncio.create_task(serve(CONFIG, replace(options, on_listening=seen.append)))
    assert not (await asyncio.wait({serving}, timeout=0.1))[0]
    assert (seen, "listening" in caplog.messages) == ([], False)
    answers.set()
    async with asyncio.timeout(PATIENCE):
        while not seen:  # noqa: ASYNC110 - a call of the exporter
            await asyncio.sleep(0.01)
    assert "listening" in caplog.messages
    signal.raise_signal(signal.SIGTERM)
    await serving


@pytest.mark.usefixtures("handlers")
def test_exporter_that_cannot_import_its_pages_ends_with_code_3(tmp_path, monkeypatch, capsys):
    def broken():
        raise ImportError("no such module")

    monkeypatch.setattr(web_endpoint, "_import_handlers", broken)
    monkeypatch.setattr(run, "load_config", lambda _: Loaded(config=CONFIG, problems=(), warnings=(), files=()))
    assert main(["run", "--config.file", str(tmp_path / "ekm.yml"), "--web.listen-address", "127.0.0.1:0"]) == 3
    error = capsys.readouterr().err
    assert "internal error: ImportError" in error
    assert "listening" not in error


# The sweeper continues after errors.


class Recorder:
    """Fails at the first sweep, and at each try to drop the verdict of `broken`."""

    def __init__(self):
        self.sweeps, self.dropped, self.unmeasured = 0, [], []

    def ready(self, *, ready):
        assert ready

    def sweep(self, _now):
        self.sweeps += 1
        if self.sweeps == 1:
            raise MemoryError

    def drop_result(self, name):
        self.drop_verdict(f"{name}, not measured")

    def drop_verdict(self, name):
        if name == "broken":
            raise KeyError(name)
        self.dropped.append(name)


class Records:
    def unmeasured(self, _now):
        return {"late": 0.7}

    def stale(self, _now):
        return {"a", "broken", "z"}


@pytest.fixture
def run_sweeper(monkeypatch):
    monkeypatch.setattr(service, "SWEEP_SECONDS", 0.0)
    recorder, bugs, started = Recorder(), [], []

    def start(on_sweep=lambda _now: None):
        made = Sweeper(
            recorder,
            Records(),
            ready=lambda: True,
            on_sweep=on_sweep,
            on_unmeasured=recorder.unmeasured.append,
            on_internal_error=bugs.append,
        )
        made.start()
        started.append(made)

    yield start, recorder, bugs
    started[0].stop()


async def test_error_does_not_end_the_sweep_or_delay_other_targets(run_sweeper):
    start, recorder, bugs = run_sweeper
    start()
    await until(lambda: recorder.sweeps >= 3)
    assert sorted(recorder.dropped) == ["a", "late, not measured", "z"]
    assert recorder.unmeasured[:2] == [{"late": 0.7}] * 2
    assert {type(bug) for bug in bugs} == {MemoryError, KeyError}


async def test_error_of_the_callback_ends_no_sweep(run_sweeper):
    start, recorder, bugs = run_sweeper
    start(on_sweep=lambda now: 1 / (now * 0))
    await until(lambda: recorder.sweeps >= 3)
    assert ZeroDivisionError in {type(bug) for bug in bugs}
