"""SQL Servers that send what no SQL Server sends: each reading ends, in little memory, with a reason."""

import asyncio
import contextlib
import struct
import threading
import time
import tracemalloc

import pytest

from exporter.core.names import parse_sql_address
from exporter.simulator import sql_answers, tds
from exporter.simulator import sql_servers as sql_servers_module
from exporter.simulator.sql_answers import ResultSet
from exporter.sqlserver import read
from exporter.sqlserver import tds as tds_module
from exporter.sqlserver.document import Document
from exporter.sqlserver.read import SqlServerAccess, read_server
from exporter.sqlserver.tds import SqlLogin, make_context
from tests.support.patience import PATIENCE
from tests.support.simulated_sql import FIRST, sql_servers

pytestmark = pytest.mark.asyncio
PASSWORD = "hunter22-" * 3
MIB = 1024 * 1024
LARGE = "300000000"
NOT_TDS = "the server names packets above 32767 bytes, which TDS forbids: is it a SQL Server?"
TOO_LARGE = "an answer is larger than 16 MiB, or than 1 MiB without its rows: is it a SQL Server?"
DONE = sql_answers.done()


def text(value):
    return bytes([len(value)]) + value.encode("utf-16-le")


def sized(token, body):
    return struct.pack("<BH", token, len(body)) + body


def packet_size(value):
    return sized(0xE3, b"\x04" + text(value) + text("4096"))


def message(number):
    """The shortest message."""
    body = struct.pack("<iBB", number, 1, 0) + struct.pack("<H", 0) + b"\0\0" + struct.pack("<i", 1)
    return sized(0xAB, body)


def columns(number):
    return b"\x81" + struct.pack("<H", number) + (struct.pack("<IH", 0, 1) + b"\x26\x04" + b"\0") * number


def value(characters):
    return sql_answers.rows(ResultSet(("line",), (("x" * characters,),)))


# Each answer to the first batch, and the reason.
ANSWERS = {
    "packet_size": (packet_size(LARGE) + DONE, NOT_TDS),
    "packet_size_across_packets": (b"\xa9\xff\x0f" + b"\0" * 4095 + packet_size("0_3" + LARGE[1:]) + DONE, NOT_TDS),
    "messages": (message(1) * (8 * MIB // 17) + DONE, TOO_LARGE),
    "messages_that_the_driver_removes": (message(3621) * 20_000 + sql_answers.done(sql_answers.FAILED), "(IndexError)"),
    "one_value": (value(10_000_000) + DONE, TOO_LARGE),
    "columns": (columns(32_000) + (b"\xd2" + b"\xff" * 4000) * 200 + DONE, "a result has 32000 columns, more than 8"),
    "rows_without_columns": (columns(0) + b"\xd1" * (8 * MIB) + DONE, TOO_LARGE),
    "empty_rows": (columns(1) + b"\xd2\x01" * (2 * MIB) + DONE, "a result has more than 100000 rows: is it a SQL Server?"),
    "rows": (sql_answers.rows(ResultSet(("line",), (("x" * 4000,),) * 5000)) + DONE, TOO_LARGE),
}


class Hostile:
    """One simulated server, whose answers a test replaces."""

    def __init__(self, simulated):
        self._simulated = simulated

    async def read(self, seconds=20.0):
        """Return the document, and the memory at its highest in bytes."""
        name = parse_sql_address(f"localhost,{self._simulated.ports[FIRST]}")
        access = SqlServerAccess(SqlLogin("ekm", PASSWORD), make_context(None, verify=False), seconds)
        tracemalloc.start()
        try:
            document = await asyncio.to_thread(read_server, name, access)
            return document, tracemalloc.get_traced_memory()[1]
        finally:
            tracemalloc.stop()


@pytest.fixture
async def hostile(tmp_path):
    async with sql_servers(tmp_path, password=PASSWORD) as simulated:
        yield Hostile(simulated)


@pytest.mark.parametrize("size", [LARGE, " 9999999999 ", "٣٠٠٠٠٠٠٠٠"])
async def test_packet_size_of_a_login_allocates_nothing(hostile, monkeypatch, size):
    acknowledged = sql_answers.login_acknowledged
    monkeypatch.setattr(
        sql_answers, "login_acknowledged", lambda *args, **options: packet_size(size) + acknowledged(*args, **options)
    )
    document, peak = await hostile.read()
    assert document.failure == NOT_TDS
    assert peak < 50 * MIB


async def test_protocol_with_codecs_of_the_server_is_refused(hostile, monkeypatch):
    acknowledged = sql_answers.login_acknowledged
    monkeypatch.setattr(
        sql_answers, "login_acknowledged", lambda _version, *args, **options: acknowledged(0x71000001, *args, **options)
    )
    document, _ = await hostile.read()
    assert document.failure == "the server speaks a protocol older than TDS 7.2: SQL Server 2016 or later is needed"


@pytest.mark.parametrize("name", ANSWERS)
async def test_hostile_answer_has_a_reason_and_little_memory(hostile, monkeypatch, name):
    answer, cause = ANSWERS[name]

    async def respond(_self, _request):
        return answer

    monkeypatch.setattr(tds.SqlSession, "_answer", respond)
    monkeypatch.setattr(read, "_MOST_CONNECTIONS", 1)  # the second connection reads the same answer
    started = time.monotonic()
    document, peak = await hostile.read(seconds=60.0)
    assert cause in document.failure
    assert time.monotonic() - started < 60
    assert peak - len(answer) < 130 * MIB


async def test_byte_by_byte_answer_ends_with_the_time_of_its_request():
    async def trickle(_reader, writer):
        with contextlib.suppress(OSError):
            for byte in struct.pack(">BBHI", 4, 1, 30_000, 0) + bytes(29_992):
                writer.write(bytes([byte]))
                await writer.drain()
                await asyncio.sleep(0.01)
        writer.close()

    async with await asyncio.start_server(trickle, "127.0.0.1", 0) as server:
        port = server.sockets[0].getsockname()[1]
        access = SqlServerAccess(SqlLogin("ekm", PASSWORD), make_context(None, verify=False), 0.5)
        document = await asyncio.to_thread(read_server, parse_sql_address(f"127.0.0.1,{port}"), access)
    assert document.failure.startswith(f"no answer from port {port} within 0.5 s")


@pytest.mark.parametrize("encryption", [0, 2])  # of the login alone, none
async def test_server_without_encryption_gets_nothing_after_prelogin(encryption):
    received = asyncio.get_running_loop().create_future()

    async def answer(reader, writer):
        await reader.read(4096)
        writer.write(struct.pack(">BBHI", 4, 1, 15, 0) + struct.pack(">BHHB", 1, 6, 1, 0xFF) + bytes([encryption]))
        received.set_result(await reader.read(4096))
        writer.close()

    async with asyncio.timeout(PATIENCE), await asyncio.start_server(answer, "127.0.0.1", 0) as server:
        address = parse_sql_address(f"127.0.0.1,{server.sockets[0].getsockname()[1]}")
        access = SqlServerAccess(SqlLogin("ekm", PASSWORD), make_context(None, verify=False), 2 * PATIENCE)
        reading = asyncio.create_task(asyncio.to_thread(read_server, address, access))
        assert await received == b""
        document = await reading
    assert document.failure == "the server offers no encryption, so the login was not sent: give it a certificate"


async def test_given_up_reading_waits_for_no_answer():
    connected, stopped = asyncio.Event(), threading.Event()

    async def hang(reader, writer):
        await reader.read(1)
        await asyncio.sleep(0.1)  # nothing happens: the client waits for the answer
        connected.set()
        await ended.wait()
        writer.close()

    ended = asyncio.Event()
    async with asyncio.timeout(PATIENCE), await asyncio.start_server(hang, "127.0.0.1", 0) as server:
        address = parse_sql_address(f"127.0.0.1,{server.sockets[0].getsockname()[1]}")
        access = SqlServerAccess(SqlLogin("ekm", PASSWORD), make_context(None, verify=False), 2 * PATIENCE, stopped=stopped)
        reading = asyncio.create_task(asyncio.to_thread(read_server, address, access))
        await connected.wait()
        stopped.set()
        document = await reading
        ended.set()
    assert document.failure == "given up by the exporter"


async def test_registry_without_end_keeps_what_was_read(hostile, monkeypatch):
    usual = sql_servers_module.SqlBackend.run

    async def slow(self, text):
        if "xp_reg" not in text:
            return await usual(self, text)
        await asyncio.sleep(0.02)
        return (ResultSet(("SubKey",), tuple((f"key-{number}",) for number in range(5000))),) if "enumkeys" in text else ()

    monkeypatch.setattr(sql_servers_module.SqlBackend, "run", slow)
    for module in (read, tds_module):
        monkeypatch.setattr(module, "WHOLE", 0.4)
    started = time.monotonic()
    document, _ = await hostile.read()
    assert time.monotonic() - started < 40
    assert document.failure is None
    assert document.errors == {"registry": "not read to its end within 8 s, 0.4 times --sql.timeout: raise it"}
    assert document.sections["keys"]


async def test_registry_with_an_endless_name_is_a_reason(hostile, monkeypatch):
    usual = sql_servers_module.SqlBackend.run

    async def long(self, text):
        return (ResultSet(("SubKey",), (("x" * 300,),)),) if "xp_reg" in text else await usual(self, text)

    monkeypatch.setattr(sql_servers_module.SqlBackend, "run", long)
    document, _ = await hostile.read()
    assert "the registry has a name or a KeyUri that is too long" in document.errors["registry"]


async def test_thread_that_never_ends_is_abandoned(monkeypatch):
    released = threading.Event()
    monkeypatch.setattr(
        read, "read_server", lambda name, _: released.wait() if name.host == "n1" else Document(address=name.text)
    )
    names = [parse_sql_address(name) for name in ("n1", "n2", "n3")]
    access = SqlServerAccess(SqlLogin("ekm", PASSWORD), make_context(None, verify=False), 0.05)
    counts = []
    found = await asyncio.to_thread(
        read.read_servers, names, access, parallel=1, progress=lambda done, failed: counts.append((done, failed))
    )
    released.set()
    assert [one.failure for one in found] == ["not read to its end within 1 s, 20 times --sql.timeout: raise it", None, None]
    assert counts == [(1, 1), (2, 1), (3, 1)]
