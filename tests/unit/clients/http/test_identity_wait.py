"""The default chain's short wait for an identity service of the host is kept; other waits are the exchange's."""

import contextlib
import socket

import pytest
from azure.core import AsyncPipelineClient
from azure.core.rest import HttpRequest

from tests.support.tls_server import VAULT, until


@pytest.fixture
def unresponsive_port():
    """A port whose queue is full: a connection attempt gets no response, as with a host without an identity service."""
    with contextlib.ExitStack() as stack:
        listener = stack.enter_context(socket.socket())
        listener.bind(("127.0.0.1", 0))
        listener.listen(0)
        for _ in range(8):
            client = stack.enter_context(socket.socket())
            client.setblocking(False)
            client.connect_ex(listener.getsockname())
        yield listener.getsockname()[1]


async def send(network, url, **options):
    connection = network.connection("127.0.0.1", 80)
    client = AsyncPipelineClient(url, transport=connection.transport, policies=[])
    request = HttpRequest("GET", url)
    try:
        return await connection.exchange(lambda: client.send_request(request, stream=True, **options), deadline=until(60.0))
    finally:
        await connection.close()


async def test_wait_for_a_connection_to_an_identity_service_is_kept(network_to, unresponsive_port):
    exchange = await send(network_to(), f"http://127.0.0.1:{unresponsive_port}/metadata", connection_timeout=0.2)
    assert exchange.error is not None
    assert not exchange.timed_out


async def test_wait_for_a_vault_is_the_exchanges(network_to, serve):
    wire = await serve()
    network = network_to(vault=wire)
    exchange = await send(network, f"https://{VAULT}/keys", connection_timeout=1e-9)
    assert exchange.response is not None
