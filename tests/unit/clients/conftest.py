"""Certificate authorities, servers on loopback, and clients that reach them."""

import pytest

from exporter.clients.http.network import Networks
from exporter.clients.key_vault import VaultSession
from exporter.config.settings import Config, Module, Settings
from exporter.runtime.tasks import DaemonThreadPool
from tests.support.tls_server import ENTRA, VAULT, Authority, Wire, get_key, until
from tests.system.prometheus import servers


@pytest.fixture(scope="session")
def stranger(tmp_path_factory):
    return Authority(tmp_path_factory.mktemp("stranger"), "Unknown CA")


@pytest.fixture
async def serve(authority):
    """Start servers and stop them after the test.

    The default is TLS with a certificate for the vault and Entra.
    """
    started = []

    async def start(answer=None, *, tls=True, context=None, on_connect=None):
        context = context or (authority.server(VAULT, ENTRA) if tls else None)
        wire = await Wire(context=context, answer=answer, on_connect=on_connect).start()
        started.append(wire)
        return wire

    yield start
    for wire in started:
        await wire.stop()


@pytest.fixture
def free_port():
    """A port on which nothing listens."""
    return servers.free_port()


@pytest.fixture
def pool():
    made = DaemonThreadPool(8, name="test-keyvault")
    yield made
    made.close()


@pytest.fixture
def network_to(authority, pool):
    """Make a network that reaches a vault and Entra at the given ports.

    The network trusts the authority of the tests unless `trusted` is false.
    """

    def make(vault=None, entra=None, limiter=None, *, trusted=True, **module):
        connect_to = dict(module.pop("connect_to", {}))
        for host, wire in ((VAULT, vault), (ENTRA, entra)):
            if wire is not None:
                connect_to[f"{host}:443"] = f"127.0.0.1:{wire if isinstance(wire, int) else wire.port}"
        made = Module(name="default", ca_file=authority.file if trusted else None, connect_to=connect_to, **module)
        config = Config(settings=Settings(), credentials={}, modules={"default": made}, targets={})
        return Networks(config, pool=pool, limiter=limiter).network_of(made)

    return make


@pytest.fixture
def session_to(network_to):
    """Make a session with a vault at the given port; use with `async with`."""

    def make(vault, **module):
        return VaultSession(network_to(vault, **module), VAULT, "7.4")

    return make


@pytest.fixture
def key_facts(session_to):
    """Request a key in a session of its own, and return the facts."""

    async def request(vault=None, seconds=5.0, **module):
        async with session_to(vault, **module) as session:
            return await get_key(session, seconds)

    return request


@pytest.fixture
def challenged(serve, session_to):
    """Request the challenge of a vault with this response, once."""

    async def request(answer, seconds=5.0, **module):
        wire = await serve(lambda _request: answer)
        async with session_to(wire, **module) as session:
            found = await session.challenge(deadline=until(seconds))
        assert len(wire.requests) == 1
        return found

    return request


@pytest.fixture
def app_service(serve, monkeypatch):
    """Start the identity endpoint of App Service with one response."""

    async def start(answer, header="any"):
        wire = await serve(lambda _request: answer, tls=False)
        monkeypatch.setenv("IDENTITY_ENDPOINT", f"http://127.0.0.1:{wire.port}/msi/token")
        monkeypatch.setenv("IDENTITY_HEADER", header)
        return wire

    return start
