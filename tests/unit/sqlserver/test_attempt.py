"""Attempts to read a SQL Server on threads: secrets, tokens, lockouts, servers that hang; nothing is connected."""

import asyncio
import re
import threading

import pytest

from exporter.config.settings import SecretSource
from exporter.core.durations import known_time
from exporter.core.values import CredentialKind, Facts, Fault, TokenResult
from exporter.runtime.files import FileUnreadableError
from exporter.sqlserver import monitor
from exporter.sqlserver.document import Document, completed, utc
from exporter.sqlserver.errors import LOCKOUT_SECONDS, Lockout
from exporter.sqlserver.last_reading import restored, unread
from exporter.sqlserver.monitor import CONCURRENT_READINGS, ServerReader, ServerState
from tests.support.factories import a_credential
from tests.support.patience import PATIENCE
from tests.support.sql_inventory import rows_of
from tests.support.sql_monitors import Recorded, a_config, a_document, a_monitor, a_server, failed
from tests.support.values import replace
from tests.support.written import write_private

pytestmark = pytest.mark.asyncio
AT, DAY = 1_800_000_000.0, 86400.0
PASSWORD = "hunter22-hunter22"
REFUSED = failed("the login was refused (18456)", refused=18456)
STOPPED = object()  # the answer of a server that hangs until its reading is given up
ENTRA_REFUSED = Facts(fault=Fault.HTTP_STATUS, status=401, aadsts=7000215)


class Harness:
    """Readers whose `read_server` returns `answers` in turn, and records address and access. `token` is what Entra ID answers."""

    def __init__(self, folder, monkeypatch):
        self.file = folder / "sql-password"
        write_private(self.file, PASSWORD)
        self.answers, self.read, self.token, self.requested = [a_document()], [], None, []
        self.asked = []  # minutes of the error log
        self.searched = []  # whether all backups, or those from a number on
        self.running = self.most = 0  # servers that answer nothing until their reading is given up
        self.free = threading.Event()  # the end of a server that hangs
        self.seconds = PATIENCE
        monkeypatch.setattr(monitor, "read_server", self._read_server)
        self.readers = []

    def _read_server(self, address, access, batches):
        self.read.append((address, access))
        self.searched.append("all" if "SELECT MAX(m.backup_set_id)" in dict(batches)["backups"] else "later")
        answer = self.answers.pop(0) if len(self.answers) > 1 else self.answers[0]
        if isinstance(answer, Document) and answer.failure is None:
            text = next(batch for name, batch in batches if name == "errors")(answer.sections)
            self.asked.append(int(re.search(r"DATEADD\(minute, -(\d+), ", text)[1]))
        if answer is None:
            self.free.wait(PATIENCE)
            return a_document()
        if answer is STOPPED:
            self.running += 1
            self.most = max(self.most, self.running)
            access.stopped.wait(PATIENCE)
            self.free.wait(0.1)
            self.running -= 1
            return a_document()
        return answer

    async def _token_of(self, credential):
        self.requested.append(credential)
        return self.token

    def reader(self, **more):
        self.readers.append(ServerReader(self._token_of, **({"seconds": self.seconds} | more)))
        return self.readers[-1]

    def state(self, **changes):
        server = a_server(**({"password": SecretSource(file=self.file)} | changes))
        credential = None if server.entra_credential is None else a_credential("sql", file=self.file)
        return ServerState(server=server, credential=credential, reading=unread(server))

    def by_entra(self):
        return self.state(user=None, password=None, entra_credential="sql")

    def close(self):
        self.free.set()
        for one in self.readers:
            one.close()


@pytest.fixture
def harness(tmp_path, monkeypatch):
    made = Harness(tmp_path, monkeypatch)
    yield made
    made.close()


async def until(condition):
    async with asyncio.timeout(PATIENCE):
        while not condition():  # noqa: ASYNC110 - threads
            await asyncio.sleep(0.01)


async def test_login_has_the_password_of_this_moment(harness):
    reader, state = harness.reader(), harness.state()
    first, stored = await reader.read(state, AT)
    write_private(harness.file, "another-password")
    await reader.read(state, AT)
    logins = [access.login for _, access in harness.read]
    assert [(login.user, login.password, login.token) for login in logins] == [
        ("ekm", PASSWORD, ""),
        ("ekm", "another-password", ""),
    ]
    assert first.lockout is None
    assert first.reading.attempted_at == AT
    assert restored(stored, state.server) == (first.reading, None)


async def test_server_is_verified_by_default(harness):
    await harness.reader().read(harness.state(), AT)
    ((_, access),) = harness.read
    assert access.context.check_hostname
    assert access.context.verify_mode.name == "CERT_REQUIRED"


async def test_pinned_server_has_no_other_trust(harness):
    await harness.reader().read(harness.state(certificate_sha256="ab" * 32), AT)
    ((_, access),) = harness.read
    assert access.context.certificate_sha256 == "ab" * 32


async def test_refused_login_is_not_tried_again_for_an_hour(harness):
    harness.answers = [REFUSED]
    reader, state = harness.reader(), harness.state()
    result, _ = await reader.read(state, AT)
    assert result.reading.refused
    state = result
    assert await reader.read(state, AT + LOCKOUT_SECONDS - 1.0) is None
    assert len(harness.read) == 1
    assert await reader.read(state, AT + LOCKOUT_SECONDS) is not None
    assert len(harness.read) == 2


async def test_changed_password_ends_the_lockout(harness):
    harness.answers = [REFUSED, a_document()]
    reader, state = harness.reader(), harness.state()
    state, _ = await reader.read(state, AT)
    write_private(harness.file, "another-password")
    result, _ = await reader.read(state, AT + 60.0)
    assert (result.reading.refused, result.lockout) == (False, None)


async def test_lockout_holds_after_a_restart(harness):
    harness.answers = [REFUSED]
    state = harness.state()
    _, stored = await harness.reader().read(state, AT)
    reading, lockout = restored(stored, state.server)
    assert PASSWORD not in str(stored)
    assert await harness.reader().read(replace(state, reading=reading, lockout=lockout), AT + 60.0) is None
    assert len(harness.read) == 1


async def test_unreadable_secret_keeps_the_lockout(harness):
    harness.answers = [REFUSED]
    reader, state = harness.reader(), harness.state()
    state, _ = await reader.read(state, AT)
    harness.file.unlink()
    result, stored = await reader.read(state, AT + 60.0)
    assert result.reading.failure == f"file {harness.file}: no such file"
    assert (result.reading.refused, result.lockout, stored) == (True, state.lockout, None)
    assert len(harness.read) == 1


async def test_unreadable_authorities_send_no_login(harness, tmp_path):
    reader = harness.reader()
    missing, _ = await reader.read(harness.state(ca_file=tmp_path / "ca.pem"), AT)
    assert missing.reading.failure == f"ca_file {tmp_path / 'ca.pem'}: no such file"
    empty, _ = await reader.read(harness.state(ca_file=harness.file), AT)
    assert empty.reading.failure == f"ca_file {harness.file}: no certificate in PEM"
    assert harness.read == []


async def test_token_signs_in(harness):
    harness.token = TokenResult(facts=Facts(), token="eyJmarked", duration=0.1, shared=False)
    await harness.reader().read(harness.by_entra(), AT)
    ((_, access),) = harness.read
    assert (access.login.user, access.login.password, access.login.token) == ("", "", "eyJmarked")
    assert harness.requested == ["sql"]


async def test_refusal_of_entra_locks_until_the_secret_changes(harness):
    harness.token = TokenResult(facts=ENTRA_REFUSED, token=None, duration=0.1, shared=False)
    reader, state = harness.reader(), harness.by_entra()
    result, stored = await reader.read(state, AT)
    assert result.reading.failure == "no token from sql: HTTP 401 AADSTS7000215"
    assert result.reading.refused
    state = replace(state, **dict(zip(("reading", "lockout"), restored(stored, state.server), strict=True)))
    assert await reader.read(state, AT + 60.0) is None
    assert harness.requested == ["sql"]
    write_private(harness.file, "another-secret")
    await reader.read(state, AT + 60.0)
    assert harness.requested == ["sql", "sql"]
    assert harness.read == []


async def test_changed_secret_ends_the_refusal_without_an_answer(harness):
    harness.token = TokenResult(facts=ENTRA_REFUSED, token=None, duration=0.1, shared=False)
    reader, state = harness.reader(), harness.by_entra()
    state, _ = await reader.read(state, AT)
    write_private(harness.file, "another-secret")
    harness.token = TokenResult(facts=Facts(fault=Fault.CONNECT_TIMEOUT), token=None, duration=0.1, shared=False)
    result, _ = await reader.read(state, AT + 60.0)
    assert (result.reading.failure, result.reading.refused) == ("no token from sql: connect timeout", False)


@pytest.mark.parametrize(
    "facts",
    [
        Facts(fault=Fault.CONNECT_TIMEOUT),
        Facts(fault=Fault.HTTP_STATUS, status=503),
        Facts(fault=Fault.HTTP_STATUS, status=404),
        Facts(fault=Fault.HTTP_STATUS, status=429),
        Facts(fault=Fault.SECRET_UNREADABLE),
    ],
)
async def test_missing_token_without_a_refusal_locks_nothing(harness, facts):
    harness.token = TokenResult(facts=facts, token=None, duration=0.1, shared=False)
    result, _ = await harness.reader().read(harness.by_entra(), AT)
    assert result.reading.failure.startswith("no token from sql: ")
    assert (result.reading.refused, result.lockout) == (False, None)


@pytest.mark.parametrize("kind", [CredentialKind.MANAGED_IDENTITY, CredentialKind.WORKLOAD_IDENTITY, CredentialKind.DEFAULT])
async def test_identity_without_a_secret_is_tried_again(harness, kind):
    harness.token = TokenResult(facts=ENTRA_REFUSED, token=None, duration=0.1, shared=False)
    state = replace(harness.by_entra(), credential=a_credential("sql", kind=kind))
    result, _ = await harness.reader().read(state, AT)
    assert (result.reading.refused, result.lockout) == (False, None)


async def test_unusable_authorities_of_the_module_are_a_failure(harness):
    async def fails(_):
        raise FileUnreadableError("module default: ca.pem holds no usable certificate authority")

    harness._token_of = fails
    result, _ = await harness.reader().read(harness.by_entra(), AT)
    assert result.reading.failure == "module default: ca.pem holds no usable certificate authority"


async def test_lockout_that_takes_too_long_is_a_failure(harness, monkeypatch):
    harness.answers = [REFUSED]
    reader, state = harness.reader(), harness.state()
    state, _ = await reader.read(state, AT)
    monkeypatch.setattr(monitor, "SECRET_SECONDS", 1.0)
    monkeypatch.setattr(Lockout, "holds", lambda *_: harness.free.wait(PATIENCE))
    async with asyncio.timeout(PATIENCE / 2):
        result, _ = await reader.read(state, AT + 60.0)
    assert result.reading.failure == "the secret was not read within 1 s"
    assert (result.reading.refused, result.lockout) == (True, state.lockout)


async def test_refusal_of_entra_that_takes_too_long_is_a_failure(harness, monkeypatch):
    harness.token = TokenResult(facts=ENTRA_REFUSED, token=None, duration=0.1, shared=False)
    monkeypatch.setattr(monitor, "lockout_after", lambda *_: harness.free.wait(PATIENCE))
    async with asyncio.timeout(PATIENCE / 2):
        result, _ = await harness.reader(seconds=0.05).read(harness.by_entra(), AT)
    assert result.reading.failure == "not read to its end within 1.1 s"


async def test_server_that_hangs_is_abandoned_and_not_read_twice(harness):
    harness.answers = [None]
    reader, state = harness.reader(seconds=0.05), harness.state()
    result, _ = await reader.read(state, AT)
    assert result.reading.failure == "not read to its end within 1.1 s"
    assert reader.is_busy("n1")
    assert not reader.is_busy("n2")
    harness.free.set()
    await until(lambda: not reader.is_busy("n1"))


async def test_hanging_servers_leave_threads_to_the_others(harness):
    harness.answers = [*[None] * 100, a_document()]
    reader, state = harness.reader(), harness.state(certificate_sha256="ab" * 32)
    hanging = [replace(state, server=replace(state.server, address=f"h{number}")) for number in range(100)]
    tasks = [asyncio.create_task(reader.read(one, AT)) for one in hanging]
    await until(lambda: len(harness.read) == 100)
    async with asyncio.timeout(PATIENCE):
        assert (await reader.read(state, AT))[0].reading.failure == ""
    assert not any(task.done() for task in tasks)
    harness.free.set()
    await asyncio.gather(*tasks)


async def test_secret_on_a_dead_mount_is_a_failure(harness, monkeypatch):
    monkeypatch.setattr(monitor, "SECRET_SECONDS", 1.0)
    monkeypatch.setattr(monitor, "read_secret", lambda _: harness.free.wait(PATIENCE))
    reader = harness.reader()
    result, _ = await reader.read(harness.state(), AT)
    assert result.reading.failure == "the secret was not read within 1 s"
    assert reader.is_busy("n1")


async def test_closed_reader_starts_no_thread(harness):
    reader = harness.reader()
    reader.close()
    result, _ = await reader.read(harness.state(), AT)
    assert result.reading.failure == "the pool is closed"
    assert not reader.is_busy("n1")


async def test_computing_needs_no_thread_of_a_closed_reader(harness):
    reader = harness.reader()
    assert await reader.compute(threading.get_ident) != threading.get_ident()
    reader.close()
    assert await reader.compute(threading.get_ident) == threading.get_ident()


async def test_all_backups_are_searched_once_a_day(harness):
    known = a_document(backups=[], history=[{"newest_id": 7000}])
    harness.answers = [failed(), *[known] * 2, failed(), *[known] * 2, a_document("N2", backups=[])]
    reader, state = harness.reader(), harness.state()
    for at in (AT, AT, AT + 300.0, AT + DAY, AT + DAY, AT + DAY - 300.0, AT + DAY, AT + DAY):
        state, _ = await reader.read(state, at)
    assert harness.searched == ["all", "all", "later", "all", "all", "all", "later", "all"]  # the last but one is another server


async def test_backups_are_searched_anew_once_their_numbers_fall(harness):
    newer, older = (a_document(backups=[], history=[{"newest_id": newest}]) for newest in (7000, 6999))
    harness.answers = [newer, newer, older, older, older]
    reader, state = harness.reader(), harness.state()
    for number in range(5):
        state, _ = await reader.read(state, AT + 300.0 * number)
    assert harness.searched == ["all", "later", "later", "all", "later"]


async def test_error_log_is_read_on_and_asked_for_once_if_it_does_not_reach_back(harness):
    now = known_time(rows_of()["instance"][0]["read_at_utc"])
    proof = {"database": "sales", "type": "L", "started_utc": utc(now - 50 * 3600.0), "finished_utc": utc(now - 50 * 3600.0)}
    log = {"errors": (), "log": ({"since_utc": utc(now - 3600.0), "until_utc": utc(now)},)}
    known = a_document(backups=[proof], history=[{"newest_id": 7000}], opened=[])
    harness.answers = [completed(replace(known, sections=known.sections | log))]
    reader, state = harness.reader(), harness.state()
    for _ in range(3):
        state, _ = await reader.read(state, AT)
    assert harness.asked == [50 * 60 + 10, 10, 10]


async def test_backups_that_were_not_read_are_searched_again(harness):
    harness.answers = [a_document(history=[{"newest_id": 7000}])]
    reader, state = harness.reader(), harness.state()
    for _ in range(2):
        state, _ = await reader.read(state, AT)
    assert harness.searched == ["all", "all"]


async def test_stop_does_not_wait_for_a_server_that_hangs(harness):
    harness.answers = [None]
    reader = harness.reader()
    task = asyncio.create_task(reader.read(harness.state(), AT))
    await until(lambda: harness.read)
    task.cancel()
    await asyncio.sleep(0)
    reader.close()
    with pytest.raises(asyncio.CancelledError):
        await task
    assert reader.is_busy("n1")


async def test_cancelled_reading_ends_with_its_thread(harness):
    harness.answers = [STOPPED]
    reader = harness.reader()
    task = asyncio.create_task(reader.read(harness.state(), AT))
    await until(lambda: harness.running)
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task
    assert not reader.is_busy("n1")


async def test_reloads_while_servers_hang_start_no_more_threads(harness, monkeypatch):
    harness.answers = [STOPPED]
    monkeypatch.setattr(monitor, "BUSY_SECONDS", 0.01)
    servers = [a_server(f"n{number}", password=SecretSource(file=harness.file)) for number in range(30)]
    found = a_monitor(a_config(*servers), harness.reader(), Recorded(), draw=lambda: 0.0)
    await found.start()
    for number in range(20):
        await asyncio.sleep(0.02)
        await found.reconfigure(a_config(*(replace(server, user=f"ekm{number}") for server in servers)))
    await until(lambda: harness.running == CONCURRENT_READINGS)
    assert harness.most == CONCURRENT_READINGS
    assert len(harness.read) > 2 * CONCURRENT_READINGS
    await found.aclose()
    await until(lambda: not harness.running and not [one for one in threading.enumerate() if one.name.startswith("ekm-sql")])
