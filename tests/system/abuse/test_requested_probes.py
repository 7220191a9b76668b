"""Requests to `/probe` without a scheduler redirect no secret and cause no false failure."""

import asyncio
import contextlib
from types import SimpleNamespace

import pytest

from exporter.config.settings import Module, Proxy
from exporter.simulator.simulator import Simulator
from tests.support.auxiliary_factories import plain
from tests.support.auxiliary_simulated import PRIMARY, SECRET, configuration, environment
from tests.support.running import answering
from tests.support.values import replace

OTHER_AUTHORITY = "login.microsoftonline.us"
ENTRA = "login.microsoftonline.com"
SHORT = {"X-Prometheus-Scrape-Timeout-Seconds": "0.2"}
OF_TARGET = 'target="t",vault="contoso.vault.azure.net"'


class ForeignServer:
    """A port on loopback that records what it receives."""

    def __init__(self):
        self.connections, self.received = 0, b""

    async def _receive(self, reader, writer):
        self.connections += 1
        with contextlib.suppress(OSError):
            self.received += await reader.read(65536)
        writer.close()

    @contextlib.asynccontextmanager
    async def listening(self):
        async with await asyncio.start_server(self._receive, "127.0.0.1", 0) as server:
            self.address = f"127.0.0.1:{server.sockets[0].getsockname()[1]}"
            yield self


async def probe(session, query, headers=None):
    async with session.get(f"/probe?target=t{query}", headers=headers) as answer:
        return answer.status, await answer.text()


@pytest.fixture
async def simulated(tmp_path):
    """A simulated environment with two authorities, and a foreign server that must receive nothing."""
    two = replace(environment(), authorities=frozenset({ENTRA, OTHER_AUTHORITY}))
    async with Simulator(two) as simulator, ForeignServer().listening() as elsewhere:
        made = configuration(simulator, tmp_path, target=plain())
        yield SimpleNamespace(simulator=simulator, elsewhere=elsewhere, config=made, own=made.modules["default"])


def other_module(kind, simulated) -> Module:
    """A module `lab` that sends the secret of the target to another host."""
    lab = replace(simulated.own, name="lab")
    routes = {**lab.connect_to, f"{ENTRA}:443": simulated.elsewhere.address, f"{PRIMARY}:443": simulated.elsewhere.address}
    return {
        "authority": lambda: replace(lab, authority_host=f"https://{OTHER_AUTHORITY}"),
        "proxy": lambda: replace(lab, proxy=Proxy(url=f"http://{simulated.elsewhere.address}"), connect_to={}),
        "route": lambda: replace(lab, connect_to=routes),
    }[kind]()


def misdirected(simulated):
    """The number of requests to the other authority and of connections to the foreign server."""
    at_authority = sum(count for (host, *_), count in simulated.simulator.requests.items() if host == OTHER_AUTHORITY)
    return at_authority + simulated.elsewhere.connections


def with_module(simulated, lab, *, listed, **settings):
    target = replace(simulated.config.targets["t"], modules=(lab.name,) if listed else ())
    return replace(
        simulated.config,
        modules={**simulated.config.modules, lab.name: lab},
        targets={"t": target},
        settings=replace(simulated.config.settings, **settings),
    )


@pytest.mark.parametrize("kind", ["authority", "proxy", "route"])
async def test_secret_reaches_no_host_of_an_unlisted_module(simulated, kind):
    lab = other_module(kind, simulated)
    async with answering(with_module(simulated, lab, listed=False, min_interval=0.0)) as (_, session):
        for query in ("&module=lab", "&module=lab&debug=true", "&module=%6Cab", "&module=lab&module=default"):
            status, text = await probe(session, query)
            assert status == 400
            assert "omit the parameter module" in text
        for query in ("", "&module=", "&module=default", "&module=default&module=lab"):
            status, text = await probe(session, query)
            assert (status, "\nprobe_success 1" in text) == (200, True)
    assert misdirected(simulated) == 0
    assert SECRET.format("now").encode() not in simulated.elsewhere.received


@pytest.mark.parametrize("kind", ["authority", "proxy", "route"])
async def test_listed_module_uses_its_own_route(simulated, kind):
    lab = other_module(kind, simulated)
    async with answering(with_module(simulated, lab, listed=True)) as (_, session):
        status, _ = await probe(session, "&module=lab")
    assert status == 200
    assert misdirected(simulated) > 0


async def numbers(service):
    text = b"".join([piece async for piece in service.recorder.scrape(openmetrics=False)]).decode()
    return {name: float(value) for name, _, value in (line.rpartition(" ") for line in text.splitlines()) if name[:1] != "#"}


async def test_requested_failure_changes_no_counter_and_no_record(simulated):
    lab = other_module("route", simulated)
    probes, failures = (f"ekm_{name}_total{{{OF_TARGET}}}" for name in ("probes", "probe_failures"))
    async with answering(with_module(simulated, lab, listed=True, min_interval=0.0)) as (service, session):
        assert "probe_success 1" in (await probe(session, ""))[1]
        before, good = await numbers(service), service.record_of("t").last
        assert (before[probes], before[failures]) == (1, 0)
        for _ in range(3):  # another module, which fails
            status, text = await probe(session, "&module=lab")
            assert (status, "\nprobe_success 0" in text) == (200, True)
            assert "ekm_vault_side_ready{" not in text
            assert f"ekm_consecutive_failures{{{OF_TARGET}}} 0" in text
        simulated.simulator.set_fault("silent", vault=PRIMARY)
        for _ in range(3):  # a scrape timeout that is too short for any vault
            status, text = await probe(session, "", SHORT)
            assert (status, "\nprobe_success 0" in text) == (200, True)
            assert 'reason="scrape_timeout"' in text
            assert "ekm_vault_side_ready{" not in text
            assert f"ekm_consecutive_failures{{{OF_TARGET}}} 0" in text
        after, record = await numbers(service), service.record_of("t")
        counted = [name for name in before if OF_TARGET in name]
        assert {name: after[name] for name in counted} == {name: before[name] for name in counted}
        assert (record.last, record.consecutive_failures, len(record.history), record.verdict.ready) == (good, 0, 1, True)
