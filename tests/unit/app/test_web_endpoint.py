"""The web endpoint listens at once, and answers after the first probe."""

import asyncio
import socket
from urllib.parse import urlsplit

import pytest
from aiohttp import ClientSession

from exporter.app import web_endpoint
from exporter.app.web_endpoint import RunOptions, WebEndpoint
from exporter.web.listener import parse_address
from exporter.web.options import web_options
from tests.support.web_server import Service


@pytest.fixture
def endpoint():
    def make(**options):
        listen = (parse_address("127.0.0.1:0"),)
        return WebEndpoint(Service(), RunOptions(listen=listen, web=web_options(), **options), None)

    return make


async def test_early_client_is_answered_after_the_first_probe(endpoint, monkeypatch):
    monkeypatch.setattr(web_endpoint, "LONGEST_WAIT_SECONDS", 3600.0)
    server = endpoint()
    await server.bind()
    serving = asyncio.create_task(server.serve())
    async with ClientSession() as session:
        request = asyncio.create_task(session.get(f"{server.urls[0]}/-/healthy"))
        assert not (await asyncio.wait({serving, request}, timeout=0.1))[0]
        server.first_probe.set()
        await serving
        async with await request as response:
            assert response.status == 200
    await server.stop()


@pytest.mark.parametrize(("longest", "scheduler"), [(0.0, True), (3600.0, False)])
async def test_endpoint_waits_for_a_probe_of_the_scheduler_and_not_long(endpoint, monkeypatch, longest, scheduler):
    monkeypatch.setattr(web_endpoint, "LONGEST_WAIT_SECONDS", longest)
    server = endpoint(scheduler=scheduler)
    await server.bind()
    await server.serve()
    async with ClientSession() as session, session.get(f"{server.urls[0]}/-/healthy") as response:
        assert response.status == 200
    await server.stop()
    assert server.urls == ()


async def test_stop_before_the_first_probe_closes_the_sockets(endpoint):
    server = endpoint()
    await server.bind()
    url = urlsplit(server.urls[0])
    await server.stop()
    socket.create_server((url.hostname, url.port)).close()
