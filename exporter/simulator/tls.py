"""The listening port: choose certificate or fault by the name in the ClientHello. And the certificates of one run."""

from __future__ import annotations

import asyncio
import contextlib
import ipaddress
import socket
import ssl
import tempfile
from collections.abc import Callable, Coroutine, Iterable, Mapping
from datetime import UTC, datetime, timedelta
from functools import partial
from pathlib import Path
from typing import Any

from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import ExtendedKeyUsageOID, NameOID

from exporter.simulator.faults import ConnectionFault
from exporter.simulator.http import reset_on_close

# The certificate authority of one run and its server certificates. All keys are EC keys: an RSA key takes long to make.

_DAY = timedelta(days=1)
_LONG = 30 * _DAY  # leaked keys soon expire; pages and alerts warn 14 days before
_VALID = (-_DAY, _LONG)
# The validity of a certificate with each defect, from now.
_DEFECTS: Mapping[ConnectionFault | None, tuple[timedelta, timedelta]] = {
    "tls_expired": (-2 * _DAY, -_DAY),
    "tls_not_yet_valid": (_DAY, 2 * _DAY),
    "tls_wrong_name": _VALID,
    "tls_untrusted": _VALID,
}


class CertificateAuthority:
    """A self-signed certificate authority that exists in memory only."""

    def __init__(self, name: str) -> None:
        self._key = ec.generate_private_key(ec.SECP256R1())
        self._name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, name)])
        now = datetime.now(UTC)
        usage = x509.KeyUsage(
            digital_signature=False, content_commitment=False, key_encipherment=False, data_encipherment=False,
            key_agreement=False, key_cert_sign=True, crl_sign=True, encipher_only=False, decipher_only=False,
        )  # fmt: skip
        self._certificate = (
            _builder(self._name, self._name, self._key.public_key(), now - _DAY, now + _LONG)
            .add_extension(x509.BasicConstraints(ca=True, path_length=0), critical=True)
            .add_extension(usage, critical=True)
            .add_extension(x509.SubjectKeyIdentifier.from_public_key(self._key.public_key()), critical=False)
            .sign(self._key, hashes.SHA256())
        )

    @property
    def pem(self) -> bytes:
        return self._certificate.public_bytes(serialization.Encoding.PEM)

    def context(
        self, names: Iterable[str], *, starts: timedelta = -_DAY, ends: timedelta = _LONG, subject: str = "ekm-exporter simulator"
    ) -> ssl.SSLContext:
        """Return a TLS server context with a new certificate for these names or IP addresses.

        The certificate is valid from now + `starts` to now + `ends`. `subject` is its common name.
        """
        key, now, sans = ec.generate_private_key(ec.SECP256R1()), datetime.now(UTC), list(dict.fromkeys(names))
        common_name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, subject)])
        identifier = x509.AuthorityKeyIdentifier.from_issuer_public_key(self._key.public_key())
        certificate = (
            _builder(common_name, self._name, key.public_key(), now + starts, now + ends)
            .add_extension(x509.SubjectAlternativeName([_general_name(name) for name in sans]), critical=False)
            .add_extension(x509.ExtendedKeyUsage([ExtendedKeyUsageOID.SERVER_AUTH]), critical=False)
            .add_extension(identifier, critical=False)
            .sign(self._key, hashes.SHA256())
        )
        private = key.private_bytes(serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption())
        context = _server_context()
        with tempfile.TemporaryDirectory(prefix="ekm-simulator-") as folder:  # load_cert_chain reads files only
            path = Path(folder, "server.pem")
            path.touch(mode=0o600)
            path.write_bytes(private + certificate.public_bytes(serialization.Encoding.PEM))
            context.load_cert_chain(path)
        return context


def _general_name(name: str) -> x509.GeneralName:
    try:
        return x509.IPAddress(ipaddress.ip_address(name))
    except ValueError:
        return x509.DNSName(name)


def _builder(
    subject: x509.Name, issuer: x509.Name, key: ec.EllipticCurvePublicKey, starts: datetime, ends: datetime
) -> x509.CertificateBuilder:
    """Return a certificate builder with the fields that every certificate has."""
    serial = x509.random_serial_number()
    builder = x509.CertificateBuilder().subject_name(subject).issuer_name(issuer).public_key(key).serial_number(serial)
    return builder.not_valid_before(starts).not_valid_after(ends)


def _server_context() -> ssl.SSLContext:
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.minimum_version = ssl.TLSVersion.TLSv1_2
    return context


class Certificates:
    """The authority of the run, and the TLS contexts that the server can show, each made at first use."""

    def __init__(self, hosts: Iterable[str]) -> None:
        self._names = list(dict.fromkeys(_certificate_name(host.partition(":")[0]) for host in hosts))
        self.authority = CertificateAuthority("ekm-exporter simulator, this run only")
        self._contexts: dict[ConnectionFault | None, ssl.SSLContext] = {}

    def context(self, fault: ConnectionFault | None) -> ssl.SSLContext | None:
        """Return the context of a certificate with this defect, or of a valid one; None for a fault that needs no certificate."""
        if fault is not None and fault not in _DEFECTS:
            return None
        if fault not in self._contexts:
            untrusted = fault == "tls_untrusted"
            authority = CertificateAuthority("ekm-exporter simulator, untrusted authority") if untrusted else self.authority
            names = ["another-host.invalid"] if fault == "tls_wrong_name" else self._names
            starts, ends = _DEFECTS.get(fault, _VALID)
            self._contexts[fault] = authority.context(names, starts=starts, ends=ends)
        return self._contexts[fault]


def _certificate_name(host: str) -> str:
    """Return a wildcard for the host's domain, or the host if it has too few labels.

    Clients accept a wildcard with at least two labels after it. Wildcards keep the list of names short for a fleet.
    """
    parent = host.partition(".")[2]
    return f"*.{parent}" if parent.count(".") >= 2 else host


_HANDSHAKE_SECONDS = 30.0  # for a client that connects
_ACCEPT_RETRY = 0.05  # seconds until the next accept
# What a client gets instead of a handshake.
_LAST_BYTES: Mapping[ConnectionFault | None, bytes] = {
    "plain_http": b"HTTP/1.1 400 Bad Request\r\nContent-Type: text/plain\r\nContent-Length: 3\r\nConnection: close\r\n\r\nno\n",
    # asyncio ends a failed handshake without the alert. Record type alert, TLS 1.2, 2 bytes: fatal, handshake_failure
    "tls_alert": b"\x15\x03\x03\x00\x02\x02\x28",
}


class TlsFrontend:
    """Accepts connections and hands them to the HTTP server. The name in a client's hello selects certificate or fault.

    `connection_of` returns the fault of a host, None if there is none.
    """

    def __init__(
        self,
        certificates: Certificates,
        connection_of: Callable[[str], ConnectionFault | None],
        protocol_factory: Callable[[], asyncio.BaseProtocol],
    ) -> None:
        self._certificates, self._connection_of, self._protocol_factory = certificates, connection_of, protocol_factory
        self._tasks: set[asyncio.Task[Any]] = set()

    def open(self, host: str, port: int) -> int:
        """Listen, and return the port. Raises OSError if the port is in use."""
        listener = socket.create_server((host, port), backlog=4096)
        listener.setblocking(False)
        self._start(self._accept(listener))
        return int(listener.getsockname()[1])

    async def close(self) -> None:
        """Stop listening and end every connection without a request."""
        for task in tuple(self._tasks):
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)

    def _start(self, work: Coroutine[Any, Any, object]) -> None:
        task = asyncio.create_task(work)
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)

    async def _accept(self, listener: socket.socket) -> None:
        loop = asyncio.get_running_loop()
        with listener:
            while True:
                try:
                    connection, _ = await loop.sock_accept(listener)
                except OSError:  # no free file descriptor, or the client has disconnected
                    await asyncio.sleep(_ACCEPT_RETRY)
                    continue
                connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
                self._start(self._serve_client(connection))

    async def _serve_client(self, connection: socket.socket) -> None:
        context = _server_context()  # of this connection alone: OpenSSL calls it with the name
        context.sni_callback = partial(self._choose, connection)
        with contextlib.suppress(OSError):  # the client refused the certificate, or was refused itself
            await asyncio.get_running_loop().connect_accepted_socket(
                self._protocol_factory, connection, ssl=context, ssl_handshake_timeout=_HANDSHAKE_SECONDS
            )

    def _choose(self, connection: socket.socket, handshake: ssl.SSLObject, name: str | None, _context: object) -> int | None:
        """Give the handshake a certificate, or end it: asyncio closes the connection then."""
        fault = self._connection_of((name or "").lower())
        if (chosen := self._certificates.context(fault)) is not None:
            handshake.context = chosen
            return None
        with contextlib.suppress(OSError):  # the client has disconnected, or there is no free file descriptor
            if fault == "tls_reset":
                reset_on_close(connection)
            elif fault == "tls_silent":
                self._start(self._keep_open(connection.dup()))
            elif fault in _LAST_BYTES:
                connection.send(_LAST_BYTES[fault])
        return ssl.ALERT_DESCRIPTION_HANDSHAKE_FAILURE

    async def _keep_open(self, connection: socket.socket) -> None:
        """Send nothing until the client disconnects."""
        with connection, contextlib.suppress(OSError):
            while await asyncio.get_running_loop().sock_recv(connection, 4096):
                pass
