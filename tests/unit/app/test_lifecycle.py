"""A start of the exporter, and the signal that ends it in time, also while it waits for a dead mount."""

import asyncio
import logging
import signal
import threading
from dataclasses import replace

import pytest

from exporter.app import web_endpoint
from exporter.app.service import serve
from exporter.app.web_endpoint import RunOptions
from exporter.cli import run
from exporter.cli.main import main
from exporter.config.load import Loaded
from exporter.config.settings import Config, Credential, Settings
from exporter.core.values import CredentialKind
from exporter.state.store import StateDirError
from exporter.web.listener import parse_address
from exporter.web.options import web_options
from tests.support.patience import PATIENCE

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
