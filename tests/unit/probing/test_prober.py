"""Scheduled probes and probes on demand do not take each other's threads."""

import asyncio
import socket
import threading

import pytest

from exporter.app.service import RunOptions, Service
from exporter.config.model import Config, Credential, CredentialKind, Module, Settings, Target
from exporter.core.faults import Reason
from exporter.core.model import Generation
from exporter.probing.prober import Prober, ProberCallbacks
from exporter.runtime.loop_lag import LoopLag
from exporter.web import web_options

TARGET = Target(
    name="a",
    vault="contoso.vault.azure.net",
    key_name="Key0",
    key_version="0" * 32,
    credential="c",
    module="default",
    interval=60.0,
    timeout=0.3,
    generation=Generation.CLASSIC,
    generation_declared=True,
)
CONFIG = Config(
    settings=Settings(concurrency=1),
    credentials={"c": Credential(name="c", kind=CredentialKind.CLIENT_SECRET)},
    modules={"default": Module(name="default")},
    targets={"a": TARGET},
)


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
    callbacks = ProberCallbacks(on_internal_error=starved.append, on_shortage=starved.append, on_token_request=lambda: None)
    prober = Prober(CONFIG, lag=LoopLag(), callbacks=callbacks)
    requested = asyncio.create_task(prober.probe_on_demand(TARGET))
    await asyncio.sleep(0.05)
    reports = await asyncio.gather(requested, prober.probe_scheduled(TARGET))
    await prober.aclose()
    assert [report.first_failure.reason for report in reports if report is not None] == [Reason.DNS_TIMEOUT] * 2
    assert starved == []


async def test_exporter_before_its_start_is_not_ready():
    assert not Service(CONFIG, RunOptions(listen=(), web=web_options())).ready
