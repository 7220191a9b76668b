"""The command `inventory` connects to simulated SQL Servers, which are TDS servers with TLS."""

import asyncio
import io
import logging
import socket
import sys

import pytest

from exporter.config.load import load_config
from tests.support.inventory_command import InventoryCommand
from tests.support.simulated_sql import DEFAULT, FIRST, OLD, SECOND, sql_servers
from tests.support.sql_inventory import rows_of, sqlcmd
from tests.support.values import replace

pytestmark = pytest.mark.asyncio
PASSWORD = "hunter22-" * 3
LOGIN = ("--server", "n1", "--sql.user", "u", "--sql.password.file")


class Workspace(InventoryCommand):
    """The command against the servers."""

    def __init__(self, path, servers, capsys):
        super().__init__(path, capsys, secret=PASSWORD)
        self.servers = servers
        self.write("ca.pem", servers.ca_pem)
        self.write("password", PASSWORD)

    def address(self, name, host="localhost"):
        return f"{host},{self.servers.ports[name]}"

    def change(self, name, **changes):
        """Change a simulated server; the next connection sees it."""
        environment = self.servers.state.environment
        server = replace(environment.sql_servers[name.lower()], **changes)
        self.servers.state.environment = replace(environment, sql_servers={**environment.sql_servers, name.lower(): server})

    async def read(self, *flags, names=(FIRST,), code=0, user="ekm", ca=True):
        """Run the command; returns its output, and keeps the lines that it wrote to standard error."""
        words = [word for name in names for word in ("--server", self.address(name))]
        words += ["--sql.ca.file", self.path / "ca.pem"] if ca else []
        words += ["--sql.user", user, "--sql.password.file", self.path / "password"] if user else []
        output = await self.connect(*words, *flags, code=code)
        self.lines = self.errors.splitlines()
        return output


@pytest.fixture
async def workspace(tmp_path, capsys):
    async with sql_servers(tmp_path, password=PASSWORD) as servers:
        yield Workspace(tmp_path, servers, capsys)


async def test_servers_become_targets(workspace):
    output = await workspace.read(names=(FIRST, SECOND, DEFAULT))
    assert "3 instances read, 0 failures; 2 targets; 2 files changed" in output
    assert workspace.lines == ["3 of 3 read, 0 failed"]
    (sales,) = workspace.targets("contoso-sales")
    assert sales["key"] == f"https://contoso-sales.vault.azure.net/keys/SalesKey/{OLD}"
    assert sales["thumbprint"] == "0x" + "A1" * 20
    assert [one["host"] for one in sales["instances"]] == ["n1", "n2"]
    problems = load_config(workspace.config).problems
    assert {problem.message for problem in problems} == {"no such file"}  # the secrets
    assert "no file changed" in await workspace.read(names=(FIRST, SECOND, DEFAULT))


async def test_file_of_names_and_offline_output_are_combined(workspace):
    names = workspace.path / "servers.txt"
    names.write_text(f"# production\n{workspace.address(DEFAULT)}\n")
    (workspace.path / "n9.txt").write_text(sqlcmd(rows_of("N9", databases={})))
    output = await workspace.read("--servers", str(names), "--from", str(workspace.path / "n9.txt"), names=())
    assert "2 instances read, 0 failures" in output


async def test_refused_login_is_one_line_and_the_others_are_read(workspace, monkeypatch):
    printed = io.StringIO()
    monkeypatch.setattr(logging.getLogger(), "handlers", [logging.StreamHandler(printed)])
    workspace.change(SECOND, refuses_login=True)
    output = await workspace.read(names=(FIRST, SECOND), code=1)
    assert "1 instance read, 1 failure" in output
    reason = "the login was refused (18456): check --sql.user and the password file; the server's error log shows the reason"
    assert workspace.lines == ["2 of 2 read, 1 failed", f"{workspace.address(SECOND)}: not read: {reason}"]
    assert "Work attempt" not in printed.getvalue()  # a warning of the driver


async def test_missing_right_costs_its_section_only(workspace):
    workspace.change(FIRST, rights=frozenset({"VIEW ANY DEFINITION", "VIEW SERVER SECURITY STATE"}))
    output = await workspace.read(code=1)
    assert "N1\\SQLPRD01: the version of the loaded DLL is unknown (needs VIEW SERVER PERFORMANCE STATE" in output
    assert "message 300: VIEW SERVER" in output
    assert len(workspace.targets("contoso-sales")) == 1


async def test_unreadable_registry_is_a_gap(workspace):
    workspace.change(FIRST, registry_readable=False)
    output = await workspace.read(code=1)
    assert "N1\\SQLPRD01: KeyUri is unknown: message 229: The EXECUTE permission was denied" in output


async def test_silent_server_has_a_reason(workspace):
    workspace.change(SECOND, silent=True)
    await workspace.read("--sql.timeout", "1", names=(SECOND,), code=1)
    port = workspace.servers.ports[SECOND]
    assert workspace.lines[1] == (
        f"{workspace.address(SECOND)}: not read: no answer from port {port} within 1 s: check the firewall, or raise --sql.timeout"
    )


@pytest.fixture
def loopback(monkeypatch):
    """Every name leads to loopback."""
    resolved = socket.getaddrinfo
    monkeypatch.setattr(socket, "getaddrinfo", lambda _name, *rest, **more: resolved("127.0.0.1", *rest, **more))


@pytest.mark.usefixtures("loopback")
@pytest.mark.parametrize(
    ("host", "ca", "reason"),
    [
        ("localhost", False, "the certificate's issuer is not trusted: give its authority with --sql.ca.file"),
        ("n7.contoso.com", True, "the certificate is not for the name n7.contoso.com: use the name in the certificate"),
    ],
)
async def test_wrong_certificate_is_refused(workspace, host, ca, reason):
    server = workspace.address(DEFAULT, host)
    await workspace.read("--server", server, names=(), ca=ca, code=1)
    assert workspace.lines[1].startswith(f"{server}: not read: {reason}")


async def test_any_certificate_is_accepted_with_the_flag(workspace):
    await workspace.read("--sql.encrypt", "trust", names=(DEFAULT,), ca=False)


async def test_closed_port_and_unknown_name_have_a_reason(workspace, monkeypatch):
    def unresolved(*_rest, **_more):
        raise socket.gaierror(-2, "Name or service not known")

    with socket.socket() as closed:
        closed.bind(("127.0.0.1", 0))
        port = closed.getsockname()[1]
        await workspace.read("--server", f"127.0.0.1,{port}", names=(), code=1)
    start = f"127.0.0.1,{port}: not read: port {port} is closed: start the instance, enable TCP/IP"
    assert workspace.lines[1].startswith(start)
    monkeypatch.setattr(socket, "getaddrinfo", unresolved)
    await workspace.read("--server", "gone.invalid", names=(), code=1)
    assert workspace.lines[1] == "gone.invalid: not read: no such name: correct it, or check DNS"


@pytest.mark.parametrize("host", ["x" * 300, ".n1", "n1..contoso.com"], ids=["long", "dot", "dots"])
async def test_impossible_name_costs_no_other_server(workspace, host):
    output = await workspace.read("--server", host, code=1)
    assert "1 instance read, 1 failure" in output
    assert workspace.lines[1:] == [f"{host}: not read: no such name: correct it, or check DNS"]


@pytest.mark.parametrize("reply", [b"HTTP/1.1 400 Bad Request\r\n\r\n", b"", b"\x04\x01\x00\x08\0\0\0\0"])
async def test_foreign_server_has_a_reason(workspace, reply):
    async def answer(reader, writer):
        await reader.read(10)
        writer.write(reply)
        await writer.drain()
        writer.close()

    server = await asyncio.start_server(answer, "127.0.0.1", 0)
    async with server:
        await workspace.read("--server", f"127.0.0.1,{server.sockets[0].getsockname()[1]}", names=(), code=1)
    assert "no SQL Server answers at this port" in workspace.lines[1] if reply else "closed the connection" in workspace.lines[1]


@pytest.mark.parametrize(
    ("flags", "reason"),
    [
        ([], "nothing to read: give --url, --server, --servers, --from or --azure"),
        (["--server", "a b", "--sql.user", "u"], "--server: a b: expected HOST, HOST\\INSTANCE or HOST,PORT"),
        (["--server", "n1"], "no login: give --sql.user with --sql.password.file, or --sql.entra"),
        (["--server", "n1", "--sql.user", "u"], "--sql.user and --sql.password.file belong together"),
        (["--server", "n1", "--sql.entra", "--sql.encrypt", "trust"], "remove --sql.encrypt trust"),
        (["--server", "n1", "--sql.entra", "absent"], "--sql.entra: --config.file declares no credential absent"),
        (["--servers", "{folder}/bad.txt"], "bad.txt: line 2: expected HOST"),
        (["--servers", "{folder}/empty.txt"], "empty.txt: no name in it"),
        ([*LOGIN, "{folder}/empty.txt"], "--sql.password.file: file"),
        (["--server", "n1", "--sql.entra", "--sql.user", "u", "--sql.password.file", "x"], "exclude each other: keep one"),
        ([*LOGIN, "{folder}/password", "--sql.ca.file", "{folder}/bad.txt"], "bad.txt: no certificate in PEM"),
    ],
)
async def test_unusable_flags_are_bad_usage(workspace, flags, reason):
    (workspace.path / "bad.txt").write_text("n1\na b\n")
    (workspace.path / "empty.txt").write_text("# none\n" if "--servers" in flags else "")
    flags = [flag.format(folder=workspace.path) for flag in flags]
    await workspace.read(*flags, names=(), user=None, ca=False, code=2)
    assert reason in workspace.lines[0]


async def test_missing_driver_is_one_line(workspace, monkeypatch):
    monkeypatch.setitem(sys.modules, "pytds", None)
    await workspace.read(code=2)
    assert workspace.lines == [
        f'ekm-exporter inventory: this command needs an optional library: {sys.executable} -m pip install "ekm-exporter[sql]"'
    ]
