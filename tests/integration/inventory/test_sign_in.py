"""Sign-in to SQL Servers with Entra ID, and how named instances and foreign servers are found."""

import asyncio
import socket
import threading
import time

import pytest

from exporter.core.names import parse_sql_address
from exporter.simulator import sql_answers
from exporter.simulator.build import build_environment
from exporter.simulator.simulator import Simulator
from exporter.simulator.sql_answers import ResultSet
from exporter.sqlserver.errors import INVENTORY
from exporter.sqlserver.read import SqlServerAccess, find_port, read_server
from exporter.sqlserver.tds import EncryptedSocket, SqlConnection, SqlConnectionError, SqlLogin, make_context
from tests.support.inventory_command import InventoryCommand, redirected
from tests.support.simulated_sql import CONFIG, DEFAULT, configuration, sql_servers

pytestmark = pytest.mark.asyncio
GUARD = 30.0  # seconds
TENANT = "11111111-2222-3333-4444-555555555555"
WITH_TENANT = CONFIG.replace("type: connector_secret,", f"type: connector_secret, tenant_id: {TENANT},")


@pytest.fixture
async def simulator(tmp_path):
    async with Simulator(build_environment(configuration(tmp_path, WITH_TENANT)), sql_port=0) as simulator:
        yield simulator


async def sign_in(path, simulator, capsys, text=WITH_TENANT, *, code):
    """Run the command with --sql.entra; return its output and errors."""
    command = InventoryCommand(path, capsys, content=redirected(path, simulator, text))
    ca = command.write("sql.pem", simulator.sql.ca_pem)
    server = f"localhost,{simulator.sql.ports[DEFAULT]}"
    output = await command.connect("--server", server, "--sql.ca.file", ca, "--sql.entra", "tde", code=code)
    return output, command.errors


async def test_token_of_a_credential_signs_in(tmp_path, simulator, capsys):
    output, _ = await sign_in(tmp_path, simulator, capsys, code=0)
    assert "1 instance read, 0 failures; 1 target" in output


async def test_refused_token_request_is_one_line(tmp_path, simulator, capsys):
    simulator.apply("secret_wrong", application="tde")
    _, errors = await sign_in(tmp_path, simulator, capsys, code=2)
    assert errors.startswith("ekm-exporter inventory: --sql.entra: no token from tde: HTTP 401")
    assert "AADSTS7000215" in errors
    assert errors.count("\n") == 1


async def test_credential_without_a_tenant_is_bad_usage(tmp_path, simulator, capsys):
    _, errors = await sign_in(tmp_path, simulator, capsys, CONFIG, code=2)
    assert errors == "ekm-exporter inventory: --sql.entra: credential tde has no tenant_id: add it\n"


@pytest.fixture
def browser():
    """Answers each datagram once with the given bytes; yields port, answers and requests."""
    answers, requests = [], []
    with socket.socket(type=socket.SOCK_DGRAM) as endpoint:
        endpoint.bind(("127.0.0.1", 0))

        def answer():
            request, client = endpoint.recvfrom(100)
            requests.append(request)
            endpoint.sendto(answers[0], client)

        thread = threading.Thread(target=answer, daemon=True)
        thread.start()
        yield endpoint.getsockname()[1], answers, requests


def reply(text):
    return b"\x05" + len(text).to_bytes(2, "little") + text.encode()


async def test_named_instance_has_the_port_of_sql_server_browser(browser):
    port, answers, requests = browser
    answers.append(reply("ServerName;N1;InstanceName;SQLPRD01;IsClustered;No;Version;16.0.1000.6;tcp;50123;;"))
    assert await asyncio.to_thread(find_port, "127.0.0.1", "SQLPRD01", GUARD, port) == 50123
    assert requests == [b"\x04SQLPRD01\0"]


async def test_unknown_instance_and_missing_browser_have_a_reason(browser):
    port, answers, _ = browser
    answers.append(reply("ServerName;N1;InstanceName;OTHER;tcp;50123;;"))
    with pytest.raises(SqlConnectionError, match="has no instance SQLPRD01 with TCP/IP: correct the name, or write"):
        await asyncio.to_thread(find_port, "127.0.0.1", "SQLPRD01", GUARD, port)
    with socket.socket(type=socket.SOCK_DGRAM) as closed:
        closed.bind(("127.0.0.1", 0))
        unused = closed.getsockname()[1]
    with pytest.raises(SqlConnectionError, match=f"start SQL Server Browser and open UDP {unused}"):
        await asyncio.to_thread(find_port, "127.0.0.1", "SQLPRD01", GUARD, unused)
    with pytest.raises(SqlConnectionError, match="no such name"):
        await asyncio.to_thread(find_port, "a" * 64, "SQLPRD01", GUARD, unused)


async def test_login_does_not_follow_to_a_server_that_the_first_one_names(tmp_path, monkeypatch):
    acknowledged, look_up, looked_up = sql_answers.login_acknowledged, socket.getaddrinfo, []
    name = "evil.example"
    place = b"\0" + (1433).to_bytes(2, "little") + len(name).to_bytes(2, "little") + name.encode("utf-16-le")
    body = b"\x14" + len(place).to_bytes(2, "little") + place + bytes(2)
    route = b"\xe3" + len(body).to_bytes(2, "little") + body  # ENVCHANGE 20

    def routed(*values, **options):
        whole = acknowledged(*values, **options)
        return whole[:-13] + route + whole[-13:]  # the last token is DONE

    def noted(host, *values, **options):
        looked_up.append(host)
        return look_up(host, *values, **options)

    monkeypatch.setattr(sql_answers, "login_acknowledged", routed)
    async with sql_servers(tmp_path) as servers:
        (tmp_path / "ca.pem").write_bytes(servers.ca_pem)
        access = SqlServerAccess(SqlLogin("ekm", servers.password), make_context(str(tmp_path / "ca.pem"), verify=True), GUARD)
        server = parse_sql_address(f"localhost,{servers.ports[DEFAULT]}")
        monkeypatch.setattr(socket, "getaddrinfo", noted)
        document = await asyncio.to_thread(read_server, server, access)
    assert looked_up == ["localhost"]
    assert document.failure == "the server sends its clients to another server: name that one"


@pytest.mark.parametrize("end", ["silence", "close", "nonsense"])
async def test_batch_without_an_answer_is_a_lost_connection(tmp_path, monkeypatch, end):
    async def run(_backend, text):
        if text.startswith("SET"):
            return ()
        if end == "silence":
            await asyncio.Event().wait()
        if end == "close":
            raise OSError
        return (ResultSet(("x",), ((7,),)),)

    def rows(_result):
        return b"\x81nonsense"

    def work():
        context = make_context(str(tmp_path / "ca.pem"), verify=True)
        stream = EncryptedSocket(
            "localhost", port, context, seconds=GUARD, until=time.monotonic() + GUARD, words=INVENTORY, stopped=threading.Event()
        )
        connection = SqlConnection(stream, "localhost", port, SqlLogin("ekm", servers.password), INVENTORY)
        try:
            if end == "silence":
                stream._seconds = 0.2
            with pytest.raises(SqlConnectionError) as raised:
                connection.query("SELECT 1")
            return str(raised.value)
        finally:
            connection.close()

    async with sql_servers(tmp_path) as servers:
        (tmp_path / "ca.pem").write_bytes(servers.ca_pem)
        port = servers.ports[DEFAULT]
        monkeypatch.setattr("exporter.simulator.sql_servers.SqlBackend.run", run)
        if end == "nonsense":
            monkeypatch.setattr(sql_answers, "rows", rows)
        text = await asyncio.to_thread(work)
    expected = {
        "silence": "the statement was not answered within 0.2 s",
        "close": "the server closed the connection",
        "nonsense": "the answer is not that of a SQL Server that this driver knows",
    }
    assert text.startswith(expected[end])
