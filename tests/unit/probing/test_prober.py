"""Scheduled probes and probes on demand do not take each other's threads."""

import asyncio
import socket
import threading

import pytest

from exporter.app.service import Service
from exporter.app.web_endpoint import RunOptions
from exporter.config.settings import Settings
from exporter.knowledge.reasons import Reason
from exporter.probing.prober import Prober, ProberCallbacks
from exporter.runtime.loop import LoopLag
from exporter.web.options import web_options
from tests.support.factories import a_config, a_target

TARGET = a_target("a", timeout=0.3)
CONFIG = a_config(TARGET, settings=Settings(concurrency=1))


@pytest.fixture
def dead_resolver(monkeypatch):
    over = threading.Event()

    def wait(*_args, **_kwargs):
        over.wait(10)
        raise socket.gaierror(socket.EAI_AGAIN, "over")

    monkeypatch.setattr(socket, "getaddrinfo", wait)
    yield
    over.set()


@pytest.mark.usefixtures("dead_resolver")
async def test_probe_on_demand_leaves_a_thread_for_scheduled_ones():
    starved = []
    callbacks = ProberCallbacks(on_internal_error=starved.append, on_shortage=starved.append)
    prober = Prober(CONFIG, lag=LoopLag(), callbacks=callbacks)
    requested = asyncio.create_task(prober.probe_on_demand(TARGET))
    await asyncio.sleep(0.05)
    reports = await asyncio.gather(requested, prober.probe_scheduled(TARGET))
    await prober.aclose()
    assert [report.first_failure.reason for report in reports if report is not None] == [Reason.DNS_TIMEOUT] * 2
    assert starved == []


async def test_exporter_before_its_start_is_not_ready():
    assert not Service(CONFIG, RunOptions(listen=(), web=web_options())).ready
