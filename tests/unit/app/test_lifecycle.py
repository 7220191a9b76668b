"""A stop signal ends the exporter in time, also one that waits for a dead mount."""

import asyncio
import signal
import threading

import pytest

from exporter.app.lifecycle import serve
from exporter.app.options import RunOptions
from exporter.config.settings import Config, Credential, Settings
from exporter.core.model import CredentialKind
from exporter.state.files import StateDirError
from exporter.web.options import web_options
from exporter.web.server.listener import parse_address

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
    monkeypatch.setattr(f"exporter.state.private_directory.PrivateDirectory.{call}", hang)
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
