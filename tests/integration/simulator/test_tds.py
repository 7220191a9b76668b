"""TDS, byte by byte and by a driver."""

import asyncio
import contextlib
import struct

import pytds
import pytest

from exporter.simulator import tds
from exporter.simulator.faults import FaultScope
from exporter.simulator.tds import PacketType, ProtocolError, read_batch, read_login, read_prelogin
from exporter.sqlserver.document import SECTIONS, read_documents
from exporter.sqlserver.instance import instance_of
from tests.support.simulated_sql import DEFAULT, FIRST, SECOND, batches, client, script_output

pytestmark = pytest.mark.asyncio
WAIT = 30.0


@pytest.fixture
async def raw(servers):
    """Open raw connections to the first server."""
    writers = []

    async def connect():
        reader, writer = await asyncio.open_connection("127.0.0.1", servers.ports[FIRST])
        writers.append(writer)
        return reader, writer

    yield connect
    for writer in writers:
        writer.close()


def packet(kind, body, *, last=True):
    return struct.pack(">BBHI", kind, int(last), len(body) + 8, 0) + body


def prelogin(encryption=2):
    return packet(PacketType.PRELOGIN, struct.pack(">BHHB", 1, 6, 1, 0xFF) + bytes([encryption]))


def login(user="ekm", password="", version=0x74000004):
    """Return a LOGIN7 packet; the password is scrambled as a client does."""
    secret = password.encode("utf-16-le")
    scrambled = bytes(((byte >> 4 | byte << 4) & 0xFF) ^ 0xA5 for byte in secret)
    name = user.encode("utf-16-le")
    fixed = bytearray(94)
    struct.pack_into("<II", fixed, 0, 94 + len(name) + len(scrambled), version)
    struct.pack_into("<HH", fixed, 40, 94, len(user))
    struct.pack_into("<HH", fixed, 44, 94 + len(name), len(password))
    return packet(PacketType.LOGIN7, bytes(fixed) + name + scrambled)


async def response(reader):
    """Return the body of the next message."""
    body = b""
    async with asyncio.timeout(WAIT):
        while True:
            kind, status, length, _ = struct.unpack(">BBHI", await reader.readexactly(8))
            body += await reader.readexactly(length - 8)
            assert kind == PacketType.RESPONSE
            if status & 1:
                return body


async def ended(reader):
    with contextlib.suppress(ConnectionResetError):
        async with asyncio.timeout(WAIT):
            while await reader.read(4096):
                pass
    return True


async def logged_in(raw, servers):
    reader, writer = await raw()
    writer.write(prelogin())
    await response(reader)
    writer.write(login(password=servers.password))
    assert b"\xad" in await response(reader)
    return reader, writer


HOSTILE = {
    "HTTP": b"GET / HTTP/1.1\r\nHost: n1\r\n\r\n",
    "TLS first": bytes.fromhex("16030100c8010000c40303"),
    "short packet": struct.pack(">BBHI", PacketType.PRELOGIN, 1, 4, 0),
    "login first": login(),
    "empty prelogin, then a batch": packet(PacketType.PRELOGIN, b"\xff") + packet(PacketType.SQL_BATCH, b"\0" * 8),
    "offset outside": packet(PacketType.PRELOGIN, struct.pack(">BHHB", 1, 60000, 9, 0xFF)),
    "handshake of noise": prelogin(1) + packet(PacketType.PRELOGIN, b"noise" * 50),
    "short login": prelogin() + packet(PacketType.LOGIN7, b"\0" * 20),
    "two types in a message": packet(PacketType.PRELOGIN, b"\xff", last=False) + packet(PacketType.LOGIN7, b""),
}


@pytest.mark.parametrize("name", HOSTILE)
async def test_broken_client_loses_its_connection_only(servers, raw, name):
    reader, writer = await raw()
    writer.write(HOSTILE[name])
    if name in {"HTTP", "TLS first"}:  # the rest of the announced packet
        writer.write(b"\0" * 40_000)
    assert await ended(reader)

    def work():
        with client(servers) as cursor:
            return cursor.execute_scalar("SELECT 1")

    assert await asyncio.to_thread(work) == 1


async def test_endless_message_ends_at_its_limit(servers, raw, monkeypatch):
    monkeypatch.setattr(tds, "_REQUEST_BYTES", 50_000)
    reader, writer = await logged_in(raw, servers)
    for _ in range(10):
        writer.write(packet(PacketType.SQL_BATCH, b"\0" * 30_000, last=False))
    assert await ended(reader)


async def test_slow_login_ends(raw, monkeypatch):
    monkeypatch.setattr(tds, "_LOGIN_SECONDS", 0.05)
    reader, _ = await raw()
    assert await ended(reader)


async def test_more_connections_than_the_limit_are_closed(servers, raw, monkeypatch):
    monkeypatch.setattr("exporter.simulator.sql_servers._CONNECTIONS", 2)
    for _ in range(2):
        await logged_in(raw, servers)
    reader, _ = await raw()
    assert await ended(reader)


async def test_client_of_tds_7_1_is_refused_with_a_reason(raw):
    reader, writer = await raw()
    writer.write(prelogin())
    await response(reader)
    writer.write(login(version=0x71000001))
    assert "TDS 7.2".encode("utf-16-le") in await response(reader)
    assert await ended(reader)


def batch(text):
    body = struct.pack("<I", 4) + text.encode("utf-16-le")
    return struct.pack(">BBHI", PacketType.SQL_BATCH, 1, min(len(body) + 8, 65_535), 0) + body


async def test_attention_is_acknowledged_when_idle(servers, raw):
    reader, writer = await logged_in(raw, servers)
    writer.write(packet(PacketType.ATTENTION, b""))
    assert await response(reader) == struct.pack("<BHHQ", 0xFD, 0x20, 0, 0)


async def test_attention_ends_a_statement_without_an_answer(servers, raw):
    reader, writer = await logged_in(raw, servers)
    fault = servers.state.set("sql_silent", FaultScope.SQL, FIRST)
    writer.write(batch("SELECT 1"))
    writer.write(packet(PacketType.ATTENTION, b""))
    assert await response(reader) == struct.pack("<BHHQ", 0xFD, 0x20, 0, 0)
    servers.state.clear(number=fault.number)
    writer.write(batch("SELECT 7"))
    assert struct.pack("<Bi", 4, 7) in await response(reader)


@pytest.mark.parametrize("part", ["/*", "/**/", "AS a", "sys.", "EXEC xp_regread @a"])
async def test_long_statement_is_answered_at_once(servers, raw, part):
    reader, writer = await logged_in(raw, servers)
    length = tds._REQUEST_BYTES // 3
    writer.write(b"".join(packets(PacketType.SQL_BATCH, batch(part * (length // len(part)))[8:])))
    await response(reader)


def packets(kind, body):
    pieces = [body[start : start + 30_000] for start in range(0, len(body), 30_000)]
    return [packet(kind, piece, last=piece is pieces[-1]) for piece in pieces]


async def test_long_answers_come_in_packets(servers, raw, monkeypatch):
    monkeypatch.setattr(tds, "PACKET_BYTES", 512)
    reader, writer = await logged_in(raw, servers)
    (keys,) = [one for one in batches() if '"section":"keys"' in one]
    writer.write(batch(keys))
    answer = await response(reader)
    assert len(answer) > tds.PACKET_BYTES
    assert "sha256:".encode("utf-16-le") in answer


@pytest.mark.parametrize("kind", [3, 14], ids=["remote procedure call", "transaction manager"])
async def test_request_that_is_no_batch_ends_the_connection(servers, raw, kind):
    reader, writer = await logged_in(raw, servers)
    writer.write(packet(kind, struct.pack("<IHHH", 4, 0xFFFF, 10, 0)))
    assert await reader.read() == b""


@pytest.mark.parametrize("parser", [read_prelogin, read_login, read_batch])
async def test_every_cut_of_a_message_is_a_protocol_error_or_a_message(parser):
    whole = {read_prelogin: prelogin(), read_login: login(password="x"), read_batch: batch("SELECT 1")}
    body = whole[parser][8:]
    for length in range(len(body)):
        try:
            parser(body[:length])
        except ProtocolError:
            continue


def run(servers, work, name=FIRST, **options):
    """Run `work` with a cursor, on a thread."""

    def with_client():
        with client(servers, name, **options) as cursor:
            return work(cursor)

    return asyncio.to_thread(with_client)


@pytest.fixture
def ca_file(tmp_path):
    return tmp_path / "ca.pem"


@pytest.mark.parametrize("encryption", ["none", "login", "everything"])
async def test_script_is_answered_with_and_without_encryption(servers, ca_file, encryption):
    ca_file.write_bytes(servers.ca_pem)
    options = {} if encryption == "none" else {"cafile": str(ca_file), "enc_login_only": encryption == "login"}
    text = await run(servers, script_output, **options)

    (document,) = read_documents(text)
    assert (document.failure, dict(document.errors), set(document.sections)) == (None, {}, set(SECTIONS))


async def test_each_server_answers_with_its_own_names(servers):
    found = [instance_of(read_documents(await run(servers, script_output, name))[0]) for name in (FIRST, SECOND, DEFAULT)]

    assert [(one.server_name, one.sql_instance, one.host) for one in found] == [
        ("N1\\SQLPRD01", "SQLPRD01", "n1"),
        ("N2\\SQLPRD01", "SQLPRD01", "n2"),
        ("N3", "N3", "n3"),
    ]
    assert found[0].replicas == found[1].replicas == (("AG7", FIRST), ("AG7", SECOND))
    assert {one.thumbprint for one in found[2].databases} == {"0x" + "C3" * 20}


@pytest.mark.parametrize("user", ["ekm", "sa"])
async def test_wrong_login_is_refused_with_message_18456(servers, user):
    with pytest.raises(pytds.OperationalError, match=f"Login failed for user '{user}'"):
        await run(servers, script_output, user=user, password="wrong")


async def test_unknown_statement_is_an_error_and_the_connection_goes_on(servers):
    def work(cursor):
        with pytest.raises(pytds.Error, match="statements of the product only"):
            cursor.execute("SELECT secret AS answer FROM dbo.Customers")
        return cursor.execute_scalar("SELECT 1")

    assert await run(servers, work) == 1
