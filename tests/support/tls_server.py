"""A certificate authority, and scripted TLS servers on loopback."""

import asyncio
import contextlib
import datetime as dt
import functools
import ipaddress
import json
import re
import socket
import ssl
import struct
from dataclasses import dataclass, field
from pathlib import Path

from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec, padding, rsa
from cryptography.hazmat.primitives.serialization import pkcs12
from cryptography.x509.oid import NameOID

from exporter.clients.answers import encode
from exporter.core.json import decode
from exporter.core.values import Fault

VAULT = "contoso.vault.azure.net"
ENTRA = "login.microsoftonline.com"
TENANT = "11111111-2222-3333-4444-555555555555"
CHALLENGE = f'Bearer authorization="https://{ENTRA}/{TENANT}", resource="https://vault.azure.net"'
TOKEN = "eyJhbGciOiJub25lIn0.eyJtYXJrIjoiVE9LRU4tTUFSSyJ9.c2lnbmF0dXJl"
NOW = dt.datetime.now(dt.UTC)
DAY = dt.timedelta(days=1)


def until(seconds=5.0):
    return asyncio.get_running_loop().time() + seconds


async def get_key(session, seconds=5.0):
    """Request a key; return the facts. There is a key if and only if there is no fault."""
    facts, key = await session.get_key(TOKEN, "Key0", None, deadline=until(seconds))
    assert (key is None) is (facts.fault is not Fault.NONE), facts
    return facts


class Authority:
    """The certificate authority of a test run."""

    def __init__(self, folder: Path, name: str = "Test CA"):
        self.key = ec.generate_private_key(ec.SECP256R1())
        self.name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, name)])
        self.certificate = self._sign(self.name, self.key.public_key(), NOW - DAY, NOW + 30 * DAY, ca=True)
        self.folder = folder
        self.file = folder / f"{re.sub('[^A-Za-z0-9]+', '-', name)}.pem"
        self.file.write_bytes(self.certificate.public_bytes(serialization.Encoding.PEM))
        self._contexts = {}

    def _sign(self, subject, public_key, start, end, *, names=(), ca=False):
        builder = (
            x509.CertificateBuilder()
            .subject_name(subject)
            .issuer_name(self.name)
            .public_key(public_key)
            .serial_number(x509.random_serial_number())
            .not_valid_before(start)
            .not_valid_after(end)
            .add_extension(x509.BasicConstraints(ca=ca, path_length=None), critical=True)
        )
        if names:
            builder = builder.add_extension(x509.SubjectAlternativeName(names), critical=False)
        return builder.sign(self.key, hashes.SHA256())

    def server(self, *hosts, start=NOW - DAY, end=NOW + 20 * DAY):
        """The TLS context of a server with these host names."""
        wanted = (hosts, start, end)
        if wanted not in self._contexts:
            key = ec.generate_private_key(ec.SECP256R1())
            names = [x509.DNSName(host) for host in hosts] + [x509.IPAddress(ipaddress.ip_address("127.0.0.1"))]
            subject = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, hosts[0])])
            leaf = self._sign(subject, key.public_key(), start, end, names=names)
            file = self.folder / f"leaf-{len(self._contexts)}.pem"
            file.write_bytes(
                key.private_bytes(serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption())
                + leaf.public_bytes(serialization.Encoding.PEM)
            )
            context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
            context.load_cert_chain(file)
            self._contexts[wanted] = context
        return self._contexts[wanted]


@dataclass
class Request:
    method: str
    target: str
    headers: dict
    body: bytes
    connection: int

    @property
    def path(self):
        return self.target.partition("?")[0]


def response(status=200, body=b"{}", **headers):
    """The bytes of an HTTP response. Header names have _ for -."""
    body = json.dumps(body).encode() if isinstance(body, dict) else body
    lines = [f"HTTP/1.1 {status} Status", f"Content-Length: {len(body)}"]
    lines += [f"{name.replace('_', '-')}: {value}" for name, value in headers.items()]
    return ("\r\n".join(lines) + "\r\n\r\n").encode("latin-1") + body


def reset(writer):
    """Drop a TCP connection with an RST."""
    sock = writer.get_extra_info("socket")
    sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
    writer.transport.abort()


async def is_silent(wire, _reader, _writer):
    """Send nothing until the test ends, to a connection or to a request."""
    await wire.release.wait()
    return True


async def closes(_wire, _reader, _writer):
    return False


async def resets(_wire, _reader, writer):
    reset(writer)
    return False


def writes(*pieces, then=closes, pause=0.0):
    """A server that writes these bytes, with pauses between them, and then behaves like `then`."""

    async def write(wire, reader, writer):
        for number, piece in enumerate(pieces):
            if number:
                await asyncio.sleep(pause)
            writer.write(piece)
            await writer.drain()
        return await then(wire, reader, writer)

    return write


async def keeps_open(_wire, _reader, _writer):
    return True


@dataclass
class Wire:
    """A server. `answer(request)` returns the response as bytes, or a coroutine function that writes it."""

    context: ssl.SSLContext | None = None
    answer: object = None
    on_connect: object = None
    requests: list = field(default_factory=list)
    connections: int = 0
    open: int = 0
    port: int = 0
    release: asyncio.Event = field(default_factory=asyncio.Event)

    async def start(self):
        self._tasks = set()
        self._server = await asyncio.start_server(self._serve, "127.0.0.1", 0, ssl=self.context)
        self.port = self._server.sockets[0].getsockname()[1]
        return self

    async def stop(self):
        self.release.set()
        self._server.close()
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)
        await self._server.wait_closed()

    async def _serve(self, reader, writer):
        task = asyncio.current_task()
        self._tasks.add(task)
        self.connections += 1
        self.open += 1
        number = self.connections
        try:
            with contextlib.suppress(ConnectionError, asyncio.IncompleteReadError, ssl.SSLError):
                if self.on_connect is not None and await self.on_connect(self, reader, writer):
                    return
                while await self._one(reader, writer, number):
                    pass
        finally:
            self.open -= 1
            self._tasks.discard(task)
            writer.close()
            with contextlib.suppress(Exception):
                await writer.wait_closed()

    async def _one(self, reader, writer, number):
        head = (await reader.readuntil(b"\r\n\r\n")).decode("latin-1").split("\r\n")
        method, target, _ = head[0].split(" ")
        headers = {name.lower(): value.strip() for name, _, value in (line.partition(":") for line in head[1:] if line)}
        body = await reader.readexactly(int(headers.get("content-length", 0)))
        request = Request(method, target, headers, body, number)
        self.requests.append(request)
        answer = self.answer(request) if self.answer is not None else response()
        if isinstance(answer, bytes):
            writer.write(answer)
            await writer.drain()
            return True
        return await answer(self, reader, writer)


@functools.cache
def _private_key():
    return rsa.generate_private_key(public_exponent=65537, key_size=2048)


class FakeVault:
    """A minimal vault: challenge, one RSA key, wrap and unwrap for the bearer of the token."""

    def __init__(self):
        self.private = _private_key()
        self.name, self.version = "Key0", "0123456789abcdef0123456789abcdef"

    def __call__(self, request):
        if request.headers.get("authorization") != f"Bearer {TOKEN}":
            body = {"error": {"code": "Unauthorized", "message": "AKV10000: Request is missing a Bearer or PoP token."}}
            return response(401, body, WWW_Authenticate=CHALLENGE, x_ms_request_id="request-1")
        if request.method == "GET":
            return response(200, self.document(), x_ms_keyvault_region="westus2", Date="Wed, 21 Oct 2015 07:28:00 GMT")
        document = json.loads(request.body)
        data = decode(document["value"])
        digest = {"RSA-OAEP": hashes.SHA1, "RSA-OAEP-256": hashes.SHA256}[document["alg"]]
        oaep = padding.OAEP(mgf=padding.MGF1(digest()), algorithm=digest(), label=None)
        if request.path.endswith("/unwrapkey"):
            return response(200, {"kid": self.kid, "value": encode(self.private.decrypt(data, oaep))})
        return response(200, {"kid": self.kid, "value": encode(self.private.public_key().encrypt(data, oaep))})

    @property
    def kid(self):
        return f"https://{VAULT}/keys/{self.name}/{self.version}"

    def document(self):
        numbers = self.private.public_key().public_numbers()
        n, e = numbers.n.to_bytes(256, "big"), numbers.e.to_bytes(3, "big")
        return {
            "key": {"kid": self.kid, "kty": "RSA", "n": encode(n), "e": encode(e), "key_ops": ["wrapKey", "unwrapKey"]},
            "attributes": {"enabled": True},
        }


class Principal:
    """The certificate of a service principal in every valid and invalid form."""

    def __init__(self, authority):
        self.key, self.other = (rsa.generate_private_key(public_exponent=65537, key_size=2048) for _ in range(2))
        self.elliptic = ec.generate_private_key(ec.SECP256R1())
        name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "principal")])
        self.certificate = authority._sign(name, self.key.public_key(), NOW - DAY, NOW + DAY)
        self.elliptic_certificate = authority._sign(name, self.elliptic.public_key(), NOW - DAY, NOW + DAY)

    def good(self):
        """Name, content and password of each valid file."""
        yield "plain.pem", self.pem(), None
        yield "locked.pem", self.certificate_pem() + self.key_pem(b"right"), "right"
        yield "plain.pfx", self.pfx(None), None
        yield "locked.pfx", self.pfx(b"right"), "right"

    def pem(self):
        return self.key_pem() + self.certificate_pem()

    def certificate_pem(self):
        return self.certificate.public_bytes(serialization.Encoding.PEM)

    def key_pem(self, password=None):
        return _key_pem(self.key, password)

    def other_key_pem(self):
        return _key_pem(self.other, None)

    def elliptic_key_pem(self):
        return _key_pem(self.elliptic, None)

    def pfx(self, password, *, key=True, certificate=True):
        return pkcs12.serialize_key_and_certificates(
            b"principal",
            self.key if key else None,
            self.certificate if certificate else None,
            None,
            serialization.NoEncryption() if password is None else serialization.BestAvailableEncryption(password),
        )

    def elliptic_pfx(self):
        return pkcs12.serialize_key_and_certificates(
            b"principal", self.elliptic, self.elliptic_certificate, None, serialization.NoEncryption()
        )


def _key_pem(key, password):
    lock = serialization.NoEncryption() if password is None else serialization.BestAvailableEncryption(password)
    return key.private_bytes(serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, lock)
