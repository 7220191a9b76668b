"""One SQL Server whose connection breaks, whose registry is odd, or whose driver fails; nothing is connected."""

import re
import signal
import threading
from types import SimpleNamespace

import pytest

from exporter.core.names import parse_sql_address
from exporter.core.quoting import sql_text
from exporter.core.secrets import KnownSecrets
from exporter.knowledge.code_row import ENTRIES
from exporter.sqlserver import read as read_module
from exporter.sqlserver import script, tds
from exporter.sqlserver.document import LOST, PROOF_SECTIONS, SECTIONS, Document, RegistryUri
from exporter.sqlserver.errors import INVENTORY, RUN, SqlMessage
from exporter.sqlserver.read import KEY_URI, SUBKEYS, SqlServerAccess, read_key_uris, read_servers
from exporter.sqlserver.tds import Result, SqlConnectionError, SqlLogin, SqlStatementError, make_context
from tests.support.sql_inventory import lines_of, rows_of

ROWS = rows_of("N1")
BATCHES = script.batches() + script.proof_batches()
URI = "https://contoso-prod.vault.azure.net/keys/K/v1"
NOT_FOUND = SqlMessage(22001, 1, "RegOpenKeyEx() returned error 2, 'The system cannot find the file specified.'")
DENIED = SqlMessage(22001, 1, "RegOpenKeyEx() returned error 5, 'Access is denied.'")


class Server:
    """Answers batches; `broken` has the connections, by number, and the section at which each of them breaks."""

    def __init__(self, rows=None, broken=None, damaged=()):
        self.rows, self.broken, self.damaged = rows or ROWS, broken or {}, damaged
        self.opened = self.closed = 0

    def connect(self, *_):
        self.opened += 1
        return SimpleNamespace(query=self.query, close=self.close)

    def close(self):
        self.closed += 1

    def query(self, batch):
        if "xp_reg" in batch:
            return Result((), ())
        (section,) = re.findall(r'"section":"(\w+)"', batch)
        if self.broken.get(self.opened) == section:
            raise SqlConnectionError("no answer within 15 s")
        lines = lines_of(section, self.rows.get(section, ()))
        return Result(tuple((line,) for line in (lines[1:] if section in self.damaged else lines)), ())


@pytest.fixture
def read(monkeypatch):
    def run(server, batches=None):
        monkeypatch.setattr(read_module, "EncryptedSocket", lambda *_, **__: None)
        monkeypatch.setattr(read_module, "SqlConnection", server.connect)
        access = SqlServerAccess(SqlLogin("u", "p"), make_context(None, verify=False), 15.0)
        document = read_module.read_server(parse_sql_address("n1"), access, batches)
        assert server.closed == server.opened
        return document

    return run


def test_batch_that_breaks_its_connection_costs_its_section(read):
    server = Server(broken={1: "modules"})
    document = read(server)
    assert (document.failure, document.errors) == (None, {"modules": "no answer within 15 s"})
    assert set(document.sections) == {*SECTIONS} - {"modules"}
    assert server.opened == 2


def test_sixth_broken_connection_ends_the_reading(read):
    document = read(Server(broken=dict(enumerate(SECTIONS[2:8], 1))))
    assert (document.failure, document.sections) == ("no answer within 15 s", {})


def test_slow_sections_leave_the_loaded_dll_and_the_registry(read, monkeypatch):
    uri = RegistryUri("2C56", URI)
    monkeypatch.setattr(read_module, "read_key_uris", lambda _: (uri,))
    slow = ("backups", "logs", "errors")
    document = read(Server(broken=dict(enumerate(slow, 1))), BATCHES)
    assert document.errors == dict.fromkeys(slow, "no answer within 15 s")
    assert "loaded" in document.sections
    assert document.key_uris == (uri,)


def test_names_and_key_uris_that_hold_the_password_are_masked(read, monkeypatch):
    known = KnownSecrets()
    known.remember("correct-horse-battery")
    monkeypatch.setattr(read_module, "hide", known.hide)
    uri = RegistryUri("2C56", "https://contoso-prod.vault.azure.net/keys/correct-horse-battery/v1")
    monkeypatch.setattr(read_module, "read_key_uris", lambda _: (uri,))
    databases = [{"name": "correct-horse-battery", "state": "ONLINE"}, {"name": "sales", "state": "ONLINE"}]
    document = read(Server(ROWS | {"databases": databases}))
    assert [row["name"] for row in document.sections["databases"]] == ["<secret>", "sales"]
    assert document.key_uris == (RegistryUri("2C56", "<secret>"),)


def test_damaged_section_is_an_error_of_that_section(read):
    document = read(Server(damaged=("keys",)))
    assert document.errors == {"keys": LOST}


def test_inventory_has_no_proof_section_and_misses_none(read):
    document = read(Server())
    assert set(document.sections) == {*SECTIONS}
    assert document.errors == {}


def test_running_exporter_reads_inventory_and_proof_at_once(read):
    server = Server()
    document = read(server, BATCHES)
    assert list(document.sections) == [
        *SECTIONS,
        *(name for name in PROOF_SECTIONS if name not in (script.LOG, "calls")),
    ]  # no session
    assert (document.errors, server.opened) == ({}, 1)


def test_proofs_that_hang_cost_no_section_of_the_inventory(read):
    document = read(Server(broken=dict(enumerate(("service", "opened", "history", "backups", "logs", "errors"), 1))), BATCHES)
    assert document.failure is None
    assert set(document.sections) == {*SECTIONS, "flags"}
    hang = {*PROOF_SECTIONS} - {"flags", script.LOG} | {"registry"}
    assert document.errors == dict.fromkeys(hang, "no answer within 15 s")


def asked(archives, since=9 * 3600.0):
    """Return the minutes that are asked for and the files that were read, and the row of the log. `archives` has the oldest line of each file."""
    sent, known = [], {"instance": [{**ROWS["instance"][0], "read_at_utc": "1970-01-02T00:00:00"}]}

    class Files(Server):
        def query(self, batch):
            found = re.search(r"xp_readerrorlog (\d),", batch)
            if found is None:
                return super().query(batch)
            number, (minutes, _) = int(found[1]), re.findall(r"DATEADD\(minute, -(\d+),", batch)
            sent.append((int(minutes), number))
            if number >= len(archives):
                raise SqlStatementError((SqlMessage(22004, 16, "no such file"),))
            oldest, at = archives[number], "1970-01-01T20:00:00"
            first = {} if oldest is None else {"first_utc": f"1970-01-01T{oldest}:00"}
            read = {"code": script.READ, "lines": 1, "since_utc": "1970-01-01T09:00:00", **first}
            lines = lines_of("errors", [read, {"code": "3303", "lines": 1, "first_utc": at, "last_utc": at}])
            return Result(tuple((line,) for line in lines), ())

    return (
        sent,
        Files(ROWS | known),
        script.batches() + script.proof_batches(since=lambda sections: since + len(sections["opened"])),
    )


@pytest.mark.parametrize(
    ("archives", "files", "since"),
    [
        (["07:59"], 1, "09:00"),
        (["08:00", "01:00"], 1, "09:00"),
        (["08:01", "08:00"], 2, "09:00"),
        (["23:00", "22:00", "21:00", None], 4, "09:00"),  # the last file ends before
        ([None], 1, "09:00"),
        (["23:00", "22:00"], 3, "22:00"),  # no third file
        ([f"{hour}:00" for hour in range(23, 13, -1)], 7, "17:00"),
    ],
)
def test_error_log_is_read_in_archives_as_far_as_it_is_needed(read, archives, files, since):
    sent, server, wanted = asked(archives)
    document = read(server, wanted)
    assert sent == [(15 * 60 + 10, number) for number in range(files)]
    assert document.sections[script.LOG] == ({"since_utc": f"1970-01-01T{since}:00", "until_utc": "1970-01-02T00:00:00"},)
    assert "errors" not in document.errors
    assert {row["code"] for row in document.sections["errors"]} == {"other", "3303"}


@pytest.mark.parametrize(("since", "again"), [(-86400.0, [1440]), (0.0, [])])
def test_error_log_of_many_days_that_takes_too_long_is_asked_for_the_last_one(read, since, again):
    sent, server, wanted = asked(["01:00"], since)
    query = server.query

    def slow(batch):
        result = query(batch)
        if "xp_readerrorlog" in batch and sent[-1][0] > 1440:
            raise SqlConnectionError("no answer within 15 s")
        return result

    server.query = slow
    document = read(server, wanted)
    assert [minutes for minutes, _ in sent[1:]] == again
    assert document.errors == ({} if again else {"errors": "no answer within 15 s"})
    assert (script.LOG in document.sections) is bool(again)


@pytest.mark.parametrize(("since", "minutes"), [(-1e12, 35 * 1440), (-float("inf"), 35 * 1440), (86400.0, 10), (1e12, 10)])
def test_error_log_is_asked_for_35_days_at_most(read, since, minutes):
    sent, server, wanted = asked(["07:00"], since)
    read(server, wanted)
    assert sent == [(minutes, 0)]


def test_error_log_without_a_current_file_was_not_read(read):
    _, server, wanted = asked([])
    document = read(server, wanted)
    assert script.LOG not in document.sections
    assert document.errors["errors"] == "message 22004: no such file"


def test_missing_file_that_is_no_error_of_sql_server_was_not_read(read):
    _, server, wanted = asked(["23:00"])
    query = server.query

    def told(batch):
        try:
            return query(batch)
        except SqlStatementError as error:
            return Result(tuple((line,) for line in lines_of("errors", [{"code": script.READ, "lines": 0}])), error.messages)

    server.query = told
    assert read(server, wanted).sections[script.LOG][0]["since_utc"] == "1970-01-01T23:00:00"


def test_error_log_without_the_time_of_the_server_says_nothing_of_its_time(read):
    sent, server, wanted = asked(["07:00"])
    server.rows = {**server.rows, "instance": [{"server_name": "N1", "machine": "N1"}]}
    document = read(server, wanted)
    assert script.LOG not in document.sections
    assert {row["code"]: row["lines"] for row in document.sections["errors"]} == {"other": 0, "3303": 1}
    assert sent == [(1440, 0)]


def test_refused_login_is_a_failure_with_its_number(read):
    server = Server()

    def connect(*_):
        raise SqlConnectionError("the login was refused (18456)", 18456)

    server.connect = connect
    document = read(server, BATCHES)
    assert (document.failure, document.refused_login) == ("the login was refused (18456)", 18456)


def test_refused_second_login_keeps_the_inventory_and_the_number(read):
    server = Server(broken={1: "logs"})
    connect = server.connect

    def connect_once(*_):
        if server.opened:
            raise SqlConnectionError("the login was refused (18456)", 18456)
        return connect()

    server.connect = connect_once
    document = read(server, BATCHES)
    assert (document.failure, document.refused_login) == (None, 18456)
    assert {*SECTIONS} <= {*document.sections}
    assert document.errors["errors"] == "the login was refused (18456)"


@pytest.mark.parametrize(
    "rows", [{**ROWS, "instance": [{**ROWS["instance"][0], "platform": "linux"}]}, {**ROWS, "providers": [], "keys": []}]
)
def test_registry_is_not_read_on_linux_or_without_a_provider(read, rows):
    server = Server(rows)
    server_query = server.query

    def query(batch):
        assert "xp_reg" not in batch
        return server_query(batch)

    server.query = query
    assert read(server).errors == {}


def registry(entries, *, messages=()):
    """Return a query function over paths below ENTRIES and their KeyUri; a path without one is only a key."""

    def query(statement):
        for path in [ENTRIES, *(f"{ENTRIES}\\{one}" for one in entries)]:
            if statement == SUBKEYS.format(path=sql_text(path)):
                below = [one for one in (f"{ENTRIES}\\{name}" for name in entries) if one.rpartition("\\")[0] == path]
                return Result(tuple((one.rpartition("\\")[2],) for one in below), messages)
            if statement == KEY_URI.format(path=sql_text(path)):
                uri = entries.get(path.removeprefix(f"{ENTRIES}\\"))
                return Result((("KeyUri", uri),), ()) if uri else Result((), (NOT_FOUND,))
        return Result((), (NOT_FOUND,))

    return query


def test_registry_is_walked_two_levels_deep():
    entries = {"https://v": None, "https://v\\2C56": URI, "https://v\\2C57": URI, "it's": None, "it's\\2C58": URI}
    assert read_key_uris(registry(entries)) == tuple(RegistryUri(one, URI) for one in ("2C56", "2C57", "2C58"))


def test_missing_key_of_the_connector_means_no_uri():
    def refused(_):
        raise SqlStatementError((NOT_FOUND,))

    assert read_key_uris(lambda _: Result((), (NOT_FOUND,))) == read_key_uris(refused) == ()


def test_refused_registry_is_an_error_although_sql_server_sends_information():
    with pytest.raises(SqlStatementError, match=r"message 22001: .* returned error 5"):
        read_key_uris(registry({}, messages=(DENIED,)))


@pytest.mark.parametrize(("width", "ends"), [(1, True), (100, False)])
def test_keys_without_end_are_bounded(width, ends):
    calls = []

    def query(statement):
        calls.append(statement)
        return Result((("x",),) * width if "enumkeys" in statement else (), ())

    if ends:
        assert read_key_uris(query) == ()
    else:
        with pytest.raises(SqlStatementError, match="too many entries"):
            read_key_uris(query)
    assert len(calls) <= 5000


def test_windows_account_signs_in_with_the_name_of_the_service(monkeypatch):
    made = []
    monkeypatch.setattr("sys.platform", "win32")
    monkeypatch.setattr("pytds.login.SspiAuth", lambda **options: made.append(options))
    monkeypatch.setattr("socket.getfqdn", lambda host: f"{host}.contoso.com")
    tds._windows_account("n1", 1433, INVENTORY)
    assert made == [{"spn": "MSSQLSvc/n1.contoso.com:1433"}]


def test_sign_in_that_windows_refuses_is_not_the_servers_answer():
    error = tds._login_error(Exception("SSPI Error SEC_E_NO_CREDENTIALS"), INVENTORY)
    assert str(error) == "Windows does not sign this account in (SEC_E_NO_CREDENTIALS): give --sql.user, or --sql.entra"


@pytest.mark.parametrize(
    ("words", "action"), [(INVENTORY, "give --sql.user, or --sql.entra"), (RUN, "set user, or entra_credential")]
)
def test_windows_account_elsewhere_has_a_reason(monkeypatch, words, action):
    monkeypatch.setattr("sys.platform", "linux")
    with pytest.raises(SqlConnectionError, match=f"Windows sign-in exists on Windows only: {action}"):
        tds._windows_account("n1", 1433, words)


def test_interrupt_abandons_servers_that_are_being_read(monkeypatch):
    released = threading.Event()

    def read(server, _access):
        if server.host == "slow":
            released.wait()
        return Document(address=server.text, failure="refused")

    monkeypatch.setattr("exporter.sqlserver.read.read_server", read)
    servers = [parse_sql_address("slow"), parse_sql_address("fast")]
    access = SqlServerAccess(SqlLogin(), make_context(None, verify=True), 15.0)
    before = signal.signal(signal.SIGINT, signal.default_int_handler)  # a shell's background jobs ignore it
    try:
        with pytest.raises(KeyboardInterrupt):
            read_servers(servers, access, parallel=2, progress=lambda *_: signal.raise_signal(signal.SIGINT))
    finally:
        signal.signal(signal.SIGINT, before)
        released.set()


def test_internal_error_of_a_reading_is_raised(monkeypatch):
    def read(_server, _access):
        raise ZeroDivisionError

    monkeypatch.setattr("exporter.sqlserver.read.read_server", read)
    access = SqlServerAccess(SqlLogin(), make_context(None, verify=True), 15.0)
    with pytest.raises(ZeroDivisionError):
        read_servers([parse_sql_address("n1")], access, parallel=9, progress=lambda *_: None)
