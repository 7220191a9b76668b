"""The section of SQL Servers without its driver, and an exporter without the section."""

import asyncio
import subprocess
import sys
from datetime import UTC, date, datetime
from pathlib import Path
from typing import ClassVar

import pytest

from exporter.app import sql_servers
from exporter.app.reload import Reloader, Shard, select_shard
from exporter.app.sql_servers import SqlServerReadings
from exporter.cli import check, run
from exporter.cli.main import main
from exporter.config.load import Loaded
from exporter.config.settings import MaintenanceWindow
from exporter.core.values import CredentialKind, Facts, TokenResult
from exporter.knowledge.expiry import start_of
from exporter.runtime import process
from exporter.runtime.process import ExtraMissingError
from exporter.sqlserver import monitor
from exporter.sqlserver.monitor import ServerReader
from exporter.state.store import DocumentKind, StateFiles
from tests.support.factories import a_config, a_credential, a_target, with_sql_servers
from tests.support.gate_factories import URIS, row
from tests.support.metric_factories import series
from tests.support.patience import PATIENCE, PROGRAM_SECONDS
from tests.support.running import a_service
from tests.support.sql_monitors import a_server, servers_of
from tests.support.sql_readings import READ_AT, a_reading
from tests.support.values import replace

CONFIG = a_config(a_target())
WITH_SERVERS = with_sql_servers(CONFIG, a_server())
NEEDED = str(ExtraMissingError("sql"))

STARTED_AND_STOPPED = """
import asyncio, sys
from tests.support.factories import a_config, a_target
from tests.support.running import a_service

async def run():
    service = a_service(a_config(a_target()))
    await service.start()
    await service.apply(a_config(a_target(interval=30.0)))
    await service.stop()

asyncio.run(run())
print([name for name in sys.modules if name.startswith(("exporter.sqlserver.monitor", "exporter.sqlserver.tds", "pytds"))])
"""


@pytest.fixture
def without_driver(monkeypatch):
    monkeypatch.setitem(process.MODULES, "sql", "no_such_module")


@pytest.fixture
def reads_none(monkeypatch):
    monkeypatch.setattr(ServerReader, "read", lambda *_: asyncio.sleep(0))


def loaded(config):
    return Loaded(config=config, problems=(), warnings=(), files=())


@pytest.mark.usefixtures("without_driver")
def test_section_without_its_driver_is_bad_usage(monkeypatch, capsys, tmp_path):
    monkeypatch.setattr(run, "load_config", lambda _: loaded(WITH_SERVERS))
    assert main(["run", "--config.file", str(tmp_path / "ekm.yml"), "--web.listen-address", "127.0.0.1:0"]) == 2
    assert capsys.readouterr().err == f"ekm-exporter run: {NEEDED}\n"


@pytest.mark.usefixtures("without_driver")
@pytest.mark.parametrize("command", [["check"], ["run", "--config.check"]])
def test_check_warns_of_the_missing_driver(monkeypatch, capsys, tmp_path, command):
    path = tmp_path / "ekm.yml"
    for config, warnings in ((WITH_SERVERS, [f"{path}:1:1: warning: sql_servers: {NEEDED}"]), (CONFIG, [])):
        monkeypatch.setattr(check, "load_config", lambda _, config=config: loaded(config))
        assert main([*command, "--config.file", str(path)]) == 0
        assert capsys.readouterr().err.splitlines() == warnings


@pytest.mark.usefixtures("without_driver")
def test_section_of_another_shard_needs_the_driver_too():
    shard = next(one for one in (Shard(0, 2), Shard(1, 2)) if not one.holds("n1"))
    with pytest.raises(ExtraMissingError):
        a_service(WITH_SERVERS, shard=shard)


@pytest.mark.usefixtures("without_driver")
async def test_exporter_without_a_scheduler_needs_no_driver():
    service = a_service(WITH_SERVERS, scheduler=False)
    await service.start()
    await service.apply(with_sql_servers(CONFIG, *servers_of(2)))
    await service.stop()


class ListedFiles:
    """Records the documents that are loaded from a state directory."""

    def __init__(self, monkeypatch):
        self.loaded = []
        monkeypatch.setattr(StateFiles, "load", lambda _, kind, name: self.loaded.append((kind, name)))

    def servers(self):
        found = [name for kind, name in self.loaded if kind is DocumentKind.SQL_SERVER]
        self.loaded.clear()
        return sorted(found)


@pytest.mark.parametrize(("scheduler", "first", "added"), [(True, ["n0"], ["n1"]), (False, [], [])])
@pytest.mark.usefixtures("reads_none")
async def test_only_a_scheduler_loads_readings(monkeypatch, tmp_path, scheduler, first, added):
    files = ListedFiles(monkeypatch)
    service = a_service(with_sql_servers(CONFIG, *servers_of(1)), scheduler=scheduler, state_dir=tmp_path / "state")
    await service.start()
    try:
        assert files.servers() == first
        await service.apply(with_sql_servers(CONFIG, *servers_of(2)))
        assert files.servers() == added
    finally:
        await service.stop()


@pytest.mark.parametrize(
    ("server", "keeps_state", "warns"),
    [
        (a_server(), False, True),
        (a_server(), True, False),
        (a_server(user=None, password=None, entra_credential="sql"), False, False),
    ],
)
@pytest.mark.usefixtures("reads_none")
async def test_login_without_a_state_directory_is_warned_of(caplog, tmp_path, server, keeps_state, warns):
    config = with_sql_servers(CONFIG, server)
    service = a_service(config, state_dir=tmp_path / "state" if keeps_state else None)
    await service.start()
    await service.apply(config)
    await service.stop()
    problems = [record.fields["problem"] for record in caplog.records if record.getMessage() == "state"]
    assert problems == [sql_servers._NOT_KEPT] * warns


@pytest.mark.usefixtures("reads_none")
async def test_reload_during_the_start_waits_for_it():
    readings = a_service(CONFIG).sql_servers
    later = with_sql_servers(CONFIG, *servers_of(3))
    await asyncio.gather(readings.apply(WITH_SERVERS, WITH_SERVERS), readings.apply(later, later))
    assert {reading.address for reading in readings.readings()} == {"n0", "n1", "n2"}
    await readings.aclose()


@pytest.mark.usefixtures("without_driver")
async def test_reload_with_the_section_is_refused_without_its_driver(monkeypatch, tmp_path):
    service, attempts = a_service(CONFIG), []
    await service.start()
    monkeypatch.setattr("exporter.app.reload.load_config", lambda _: loaded(WITH_SERVERS))
    reloader = Reloader(
        tmp_path / "ekm.yml", service.apply, running=None, on_reload=lambda **attempt: attempts.append(attempt["successful"])
    )
    try:
        assert await reloader.reload() == [f"{tmp_path / 'ekm.yml'}: {NEEDED}"]
    finally:
        await reloader.aclose()
        await service.stop()
    assert attempts == [False]
    assert service.config is CONFIG


class EndedTokens:
    """Tokens whose requests end without a token when a reload replaces them."""

    made: ClassVar = []

    def __init__(self, *_, **__):
        self.ended = asyncio.Event()
        self.made.append(self)

    async def token_of(self, name):
        if len(self.made) == 1:
            await self.ended.wait()
        token = None if self is self.made[0] else f"token of {name}"
        return TokenResult(facts=Facts(), token=token, duration=0.0, shared=False)

    async def aclose(self):
        self.ended.set()


async def test_token_request_that_a_reload_ends_is_repeated(monkeypatch):
    monkeypatch.setattr(sql_servers, "DatabaseTokens", EndedTokens)
    monkeypatch.setattr(EndedTokens, "made", [])
    readings = a_service(CONFIG).sql_servers
    await readings.apply(WITH_SERVERS, WITH_SERVERS)
    task = asyncio.create_task(readings._token_of("sql"))
    await asyncio.sleep(0)
    await readings.apply(replace(WITH_SERVERS, credentials={}), WITH_SERVERS)
    assert (await task).token == "token of sql"
    await readings.aclose()


@pytest.fixture
async def readings():
    """Applied, and without a reading of their own."""
    found = a_service(CONFIG).sql_servers
    config = with_sql_servers(CONFIG, *servers_of(2))
    await found.apply(config, config)
    yield found
    await found.aclose()


@pytest.mark.usefixtures("reads_none")
async def test_section_that_is_lost_is_logged_until_it_is_read_again(readings, caplog):
    lost = a_reading()
    lost = replace(lost, document=replace(lost.document, errors={"backups": "message 229: denied"}))
    with caplog.at_level("INFO"):
        for reading in (a_reading(), lost, lost, a_reading()):
            readings._compare(reading)()
    logged = [(record.getMessage(), record.fields["sections"]) for record in caplog.records if "sections" in record.getMessage()]
    assert logged == [("SQL Server sections not read", "backups"), ("SQL Server sections read again", "backups")]


def test_exporter_without_the_section_imports_no_driver():
    result = subprocess.run(  # noqa: S603 - this very Python
        [sys.executable, "-c", STARTED_AND_STOPPED],
        cwd=Path(__file__).parents[3],
        capture_output=True,
        text=True,
        timeout=PROGRAM_SECONDS,
        check=False,
    )
    assert (result.returncode, result.stdout) == (0, "[]\n"), result.stderr


@pytest.mark.parametrize("count", [1, 3])
def test_each_server_has_one_shard(count):
    config = with_sql_servers(CONFIG, *servers_of(100))
    shards = [select_shard(config, Shard(index, count)).sql_servers for index in range(count)]
    assert sorted(address for shard in shards for address in shard) == sorted(config.sql_servers)
    assert all(shards)


def test_exporter_without_shards_reads_every_server():
    assert select_shard(replace(WITH_SERVERS), None) == WITH_SERVERS


@pytest.fixture
def reads_sales(monkeypatch):
    """Each SQL Server is SQLPRD01 on n1 with the database sales under thumbprint 0x2C56."""

    async def read(_reader, state, _at):
        return replace(state, reading=a_reading(address=state.server.address), lockout=None), None

    monkeypatch.setattr(ServerReader, "read", read)
    monkeypatch.setattr(monitor, "_SPACING", 0.0)


def a_pin(thumbprint, name="payroll"):
    return a_target(name, thumbprint=thumbprint, instances=({"sql_instance": "SQLPRD01", "host": "n1"},))


@pytest.mark.parametrize(("thumbprint", "expected"), [("0x2C56", []), ("0x2C57", ["other_version"])])
@pytest.mark.usefixtures("reads_sales")
async def test_shard_compares_with_the_targets_of_the_others(thumbprint, expected):
    shard = next(one for one in (Shard(0, 2), Shard(1, 2)) if one.holds("n1"))
    name = next(name for name in ("t", "tt", "ttt", "tttt", "ttttt") if not shard.holds(name))
    config = with_sql_servers(a_config(a_pin(thumbprint, name)), a_server())
    service = a_service(config, shard=shard)
    await service.start()
    try:
        await until_read(service)
        assert service.config.targets == {}
        assert [each.kind for each in service.sql_differences()] == expected
    finally:
        await service.stop()


@pytest.mark.usefixtures("reads_none")
async def test_comparison_before_a_reload_is_not_shown():
    service = a_service(with_sql_servers(a_config(a_pin("0x2C57")), a_server()))
    await service.start()
    try:
        show = service.sql_servers._compare(a_reading(address="n1"))
        await service.apply(with_sql_servers(a_config(a_pin("0x2C56")), a_server()))
        assert not show()
        assert service.sql_differences() == ()
        assert not service.sql_servers._compared
        assert service.sql_servers._compare(a_reading(address="n1"))()
        assert list(service.sql_servers._compared) == ["n1"]
    finally:
        await service.stop()


@pytest.mark.usefixtures("reads_sales")
async def test_each_address_of_one_server_has_its_differences():
    service = a_service(with_sql_servers(a_config(a_pin("0x2C57")), *servers_of(2)))
    await service.start()
    try:
        await until_read(service)
        # n1 proves its name, so that the target means the other one perhaps, and no other version is claimed of it.
        assert [each.kind for each in service.sql_differences()] == ["key_not_probed", "other_version"]
    finally:
        await service.stop()


@pytest.mark.usefixtures("reads_none")
async def test_target_is_shown_while_no_other_server_may_be_meant(readings, monkeypatch):
    known = [a_reading(address="n0")]
    monkeypatch.setattr(readings, "readings", lambda: tuple(known))
    entry = {"sql_instance": "SQLPRD01"}
    config = with_sql_servers(
        a_config(a_target("any", instances=(entry,)), a_target("one", instances=(entry | {"host": "n1.contoso.com"},)))
    )
    await readings.apply(config, config)
    readings._compare(known[0])()
    await readings._find_readiness()
    assert await targets_in(readings) == {("n1", "any"), ("n1", "one")}
    known.append(a_reading(address="n2", host="n2"))
    readings._compare(known[1])()
    await readings._find_readiness()
    assert await targets_in(readings) == {("n1", "one")}
    known[1] = replace(known[1], sql_instance="SQLPRD02")
    readings._compare(known[1])()
    await readings._find_readiness()
    assert await targets_in(readings) == {("n1", "any"), ("n1", "one")}
    config = with_sql_servers(a_config(a_target("one", instances=({"sql_instance": "sqlprd02", "host": "N2"},))))
    await readings.apply(config, config)
    await readings._find_readiness()
    assert await targets_in(readings) == {("n2", "one")}


async def targets_in(readings):
    """Return host and target of each pair that is exposed."""
    text = b"".join([piece async for piece in readings._recorder.scrape(openmetrics=False)])
    pairs = (dict(labels) for name, *labels in series(text) if name == "mssql_ekm_target_info")
    return {(labels["host"], labels["target"]) for labels in pairs}


async def until_read(service):
    def shown():
        addresses = {reading.address for reading in service.sql_readings()}
        return addresses and addresses == set(service.sql_servers._compared)

    async with asyncio.timeout(PATIENCE):
        while not shown():  # noqa: ASYNC110 - a task of the exporter
            await asyncio.sleep(0.01)


@pytest.mark.usefixtures("reads_none")
async def test_reader_knows_when_the_secrets_of_a_servers_targets_end():
    client, days = "0d9e7c5b-3a1f-4e8d-9c6b-7a5f3e1d0b2c", [date(2027, 1, day) for day in (1, 2, 3)]
    credentials = [
        a_credential("sql", client_id=client, expires_on=days[0]),
        a_credential("next", client_id=client, expires_on=days[1]),
        a_credential("other", client_id=None, kind=CredentialKind.CONNECTOR_SECRET, expires_on=days[2]),
        a_credential("endless", client_id=client, expires_on=None),
    ]
    targets = [
        replace(a_pin("0x2C56"), credential="sql", next_credential="next"),
        replace(a_pin("0x2C57", "second"), credential="other"),
        replace(a_pin("0x2C58", "third"), credential="endless"),
        a_target("elsewhere", instances=({"sql_instance": "OTHER", "host": "n9"},)),
    ]
    service = a_service(with_sql_servers(a_config(*targets, credentials=credentials), a_server()))
    readings = service.sql_servers
    assert readings._secret_ends(a_reading()) == {}
    await readings.apply(service.config, service.config)
    try:
        ends = {client: {start_of(days[0]), start_of(days[1])}, "other": {start_of(days[2])}}
        assert readings._secret_ends(a_reading()) == ends
        assert readings._secret_ends(a_reading(host="n2", address="n2")) == {}
    finally:
        await readings.aclose()


INSTANCES = ({"sql_instance": "SQLPRD01", "host": "n1"},)
KEY = "mssql_ekm_restart_ready_until_timestamp_seconds"


async def test_running_exporter_asks_itself_as_the_gate_does(monkeypatch):
    """The verdict of a target between two readings changes the series, the API and the page's facts, without a reading."""
    reading = a_reading()
    document = replace(reading.document, key_uris=(URIS[0],))
    known = replace(reading, document=document, address="n1", read_at=dict.fromkeys(reading.read_at, READ_AT))
    target = replace(a_target(instances=INSTANCES), config_file=Path("/etc/ekm folder/ekm.yml"))
    service = a_service(with_sql_servers(a_config(target), a_server("n1")))
    readings = service.sql_servers
    monkeypatch.setattr(sql_servers.time, "time", lambda: READ_AT)
    monkeypatch.setattr(SqlServerReadings, "readings", lambda _: (known,))
    monkeypatch.setattr(ServerReader, "read", lambda *_: asyncio.sleep(0))
    rows = [row(instances=list(INSTANCES))]
    monkeypatch.setattr(readings, "_target_rows", lambda _now: rows)
    await service.start()
    try:
        assert readings._compare(known)()
        for change, answer, until in (
            ({}, "ready", 1),
            ({"vault_side_ready": False, "why": "not_ready"}, "not_ready", 1),
            ({"last_unwrap": None}, "not_known", 0),
        ):
            rows[:] = [row(instances=list(INSTANCES), **change)]
            await readings._find_readiness()
            (found,) = service.sql_readiness()
            assert (found.address, found.answer(READ_AT)) == ("n1", answer)
            fixes = " ".join(each.fix for each in found.missing)
            assert ('--config.file "/etc/ekm folder/ekm.yml"' in fixes) == (answer != "ready")
            text = b"".join([piece async for piece in service.recorder.scrape(openmetrics=False)]).decode()
            assert text.count(f"\n{KEY}{{") == until
        readings._forget("n1")
        assert service.sql_readiness() == ()
    finally:
        await service.stop()


@pytest.mark.parametrize(("end", "value"), [(2099, "0.0"), (2001, "1.0")], ids=["in its window", "after it"])
@pytest.mark.usefixtures("reads_sales")
async def test_alerts_are_off_in_the_windows_of_the_targets_and_have_their_owner(end, value):
    window = MaintenanceWindow(datetime(2000, 1, 1, tzinfo=UTC), datetime(end, 1, 1, tzinfo=UTC))
    owned = {"labels": {"team": "dba", "env": "test"}, "maintenance": (window,)}
    target = a_target("payroll", instances=({"sql_instance": "SQLPRD01", "host": "n1"},), **owned)
    service = a_service(with_sql_servers(a_config(target), a_server()))
    await service.start()
    try:
        await until_read(service)
        await service.sql_servers._find_readiness()
        exposed = series(b"".join([piece async for piece in service.recorder.scrape(openmetrics=False)]))
        found = {key: each for key, each in exposed.items() if key[0] == "mssql_ekm_alerts_enabled"}
        ((labels, shown),) = found.items()
        assert ({*labels[1:]} >= {("team", "dba"), ("env", "test")}, float(shown)) == (True, float(value))
    finally:
        await service.stop()
