"""Requests of a service manager that sends no signals."""

import asyncio
import signal
import threading

import pytest

from exporter.runtime import signals


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
