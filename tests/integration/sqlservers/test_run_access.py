"""How `run` reaches a SQL Server: its certificate, its session, and a refused login."""

import asyncio
import hashlib
import ssl
from datetime import timedelta

import pytest

from exporter.core.names import parse_sql_address
from exporter.simulator import sql_servers as sql_servers_module
from exporter.simulator import tds
from exporter.simulator.tls import CertificateAuthority
from exporter.sqlserver.errors import INVENTORY, RUN
from exporter.sqlserver.read import SqlServerAccess, read_server
from exporter.sqlserver.tds import SqlLogin, make_context, make_pinned_context
from tests.support.patience import PATIENCE
from tests.support.simulated_sql import FIRST, sql_servers
from tests.support.values import replace

pytestmark = pytest.mark.asyncio
DAY = timedelta(days=1)


class Server:
    """One simulated server with another certificate; `logins` and `batches` have what it received."""

    def __init__(self, simulated, monkeypatch):
        self.simulated = simulated
        self.logins, self.batches = [], []
        authority = CertificateAuthority("another authority")
        self.certificate = authority.context(["elsewhere"], starts=-2 * DAY, ends=-DAY)  # foreign, expired, wrong name
        self.certificate.maximum_version = ssl.TLSVersion.TLSv1_2
        simulated._context = self.certificate
        read_login, run = tds.read_login, sql_servers_module.SqlBackend.run

        def received(body):
            self.logins.append(read_login(body))
            return self.logins[-1]

        async def record(backend, text):
            self.batches.append(text)
            return await run(backend, text)

        monkeypatch.setattr(tds, "read_login", received)
        monkeypatch.setattr(sql_servers_module.SqlBackend, "run", record)

    async def read(self, context, words=RUN):
        login = SqlLogin("ekm", self.simulated.password)
        access = SqlServerAccess(login, context, PATIENCE, words)
        address = parse_sql_address(f"localhost,{self.simulated.ports[FIRST]}")
        return await asyncio.to_thread(read_server, address, access)


@pytest.fixture
async def server(tmp_path, monkeypatch):
    async with sql_servers(tmp_path) as simulated:
        yield Server(simulated, monkeypatch)


def sha256(context):
    """Return the SHA-256 of a server's certificate, from a handshake in memory."""
    to_server, to_client = ssl.MemoryBIO(), ssl.MemoryBIO()
    there = context.wrap_bio(to_server, to_client, server_side=True)
    here = make_context(None, verify=False).wrap_bio(to_client, to_server)
    for side in (here, there, here, there, here):
        try:
            side.do_handshake()
        except ssl.SSLWantReadError:
            continue
    return hashlib.sha256(here.getpeercert(binary_form=True)).hexdigest()


async def test_pinned_certificate_needs_no_authority_name_or_date(server):
    document = await server.read(make_pinned_context(sha256(server.certificate)))
    assert (document.failure, document.errors) == (None, {})
    assert len(server.logins) == 1


@pytest.mark.parametrize("pin", ["0" * 64, ""])
async def test_wrong_pin_sends_no_login(server, pin):
    document = await server.read(make_pinned_context(pin))
    found = sha256(server.certificate)
    assert document.failure.startswith(f"the server's certificate has the SHA-256 {found}, so the login was not sent: ")
    assert (server.logins, server.batches, document.refused_login) == ([], [], 0)


async def test_unknown_authority_sends_no_login_and_names_settings(server):
    document = await server.read(make_context(None, verify=True))
    assert server.logins == []
    assert document.failure.endswith("set ca_file to its authority, or certificate_sha256 to its SHA-256")


@pytest.mark.parametrize(("words", "name"), [(RUN, "ekm-exporter"), (INVENTORY, "ekm-exporter inventory")])
async def test_session_has_a_name_and_gives_way(server, words, name):
    await server.read(make_pinned_context(sha256(server.certificate)), words)
    assert [login.app for login in server.logins] == [name]
    assert server.batches[0] == (
        "SET NOCOUNT ON; SET LOCK_TIMEOUT 5000; SET DEADLOCK_PRIORITY LOW; SET TRANSACTION ISOLATION LEVEL READ UNCOMMITTED;"
    )
    assert '"section":"instance"' in server.batches[1]


async def test_refused_login_is_tried_once_and_has_its_number(server):
    environment = server.simulated.state.environment
    refusing = replace(environment.sql_servers[FIRST.lower()], refuses_login=True)
    changed = {**environment.sql_servers, FIRST.lower(): refusing}
    server.simulated.state.environment = replace(environment, sql_servers=changed)
    document = await server.read(make_pinned_context(sha256(server.certificate)))
    assert (document.refused_login, len(server.logins)) == (18456, 1)
    assert document.failure.startswith("the login was refused (18456): check user and password of this server in sql_servers")
