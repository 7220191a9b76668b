"""A socket for the driver that encrypts the whole session, with Python's TLS and the trust of the system.

TDS 7.4 has its TLS handshake inside PRELOGIN packets, and plain TLS records after it. python-tds encrypts with a CA file alone, and
compares host names in its own way. So the driver talks plain text to this socket, which never sends any. It also bounds what a server
can make the driver read or allocate.
"""

from __future__ import annotations

import contextlib
import hashlib
import socket
import ssl
import threading
import time
from pathlib import Path

from exporter.sqlservers.failure import SqlConnectionError, connection_error, timeout_failure
from exporter.sqlservers.packets import LARGEST_PACKET, PacketSizes
from exporter.sqlservers.prelogin import (
    ENCRYPT_NOT_SUPPORTED,
    ENCRYPT_ON,
    ENCRYPT_REQUIRED,
    HEADER,
    encryption_at,
    with_encryption,
)
from exporter.sqlservers.wording import Words

_PRELOGIN, _REPLY, _LAST = 18, 4, 1  # packet types, status
_PACKET = 4096  # bytes, the size before the login
_CHUNK = 65536
_VERSION = ssl.TLSVersion.TLSv1_2  # TDS 7.4 has no newer one
# Bytes of an answer: without the rows that the driver has delivered, and in all. The driver makes 1 KiB of each message of 17 bytes.
_MOST_WITHOUT_ROWS, _MOST = 1024 * 1024, 16 * 1024 * 1024
_GLANCE = 1.0  # seconds between two checks whether the reading was given up
_FOREIGN = "no SQL Server answers at this port, or it is too old: correct the name or the port"


class PinnedContext(ssl.SSLContext):
    """TLS settings for one certificate: `EncryptedSocket` compares its SHA-256.

    The comparison follows the handshake, and the login follows the comparison.
    """

    certificate_sha256 = ""  # in lower case; an empty one is no certificate's


def make_pinned_context(certificate_sha256: str) -> PinnedContext:
    """Return the TLS settings for the server with this certificate.

    Its name, expiry and authority do not matter.
    """
    context = PinnedContext(ssl.PROTOCOL_TLS_CLIENT)
    context.check_hostname = False
    context.verify_mode = ssl.CERT_NONE
    context.minimum_version = context.maximum_version = _VERSION
    context.certificate_sha256 = certificate_sha256
    return context


def make_context(ca_file: str | Path | None, *, verify: bool) -> ssl.SSLContext:
    """Return the TLS settings. Raises OSError if the file has no certificate."""
    context = ssl.create_default_context(cafile=ca_file)
    context.minimum_version = context.maximum_version = _VERSION
    context.verify_flags &= ~ssl.VERIFY_X509_STRICT  # newer Python versions reject authorities that Windows accepts
    if not verify:
        context.check_hostname = False
        context.verify_mode = ssl.CERT_NONE
    return context


class EncryptedSocket:
    """The methods of a socket that python-tds uses. Each request has `seconds`, from `start` on, and all end at `until`."""

    def __init__(
        self,
        host: str,
        port: int,
        context: ssl.SSLContext,
        *,
        seconds: float,
        until: float,
        words: Words,
        stopped: threading.Event,
    ) -> None:
        """Connect.

        `until` is a time of time.monotonic, `stopped` ends every wait. Raises SqlConnectionError.
        """
        self._host, self._port, self._seconds, self._until, self._words = host, port, seconds, until, words
        self._stopped = stopped
        self._incoming, self._outgoing = ssl.MemoryBIO(), ssl.MemoryBIO()
        self._reply = b""  # to the driver's PRELOGIN
        self._encrypted = False
        self._sizes = PacketSizes()
        self.start()
        self._logging_in = True
        try:
            self._tls = context.wrap_bio(self._incoming, self._outgoing, server_hostname=host)
            self._socket = socket.create_connection((host, port), self._left())
        except (OSError, ValueError) as error:
            raise self._failed(error) from None

    def start(self) -> None:
        """Begin a request: its time and its bytes count from now on. One after the first ends the login."""
        self._logging_in = False
        self._end = time.monotonic() + self._seconds
        self._left_bytes, self._left_of_rows = _MOST_WITHOUT_ROWS, _MOST - _MOST_WITHOUT_ROWS

    def took_row(self, size: int) -> None:
        """Give back the bytes of a row that the driver has delivered."""
        size = min(size, self._left_of_rows)
        self._left_bytes += size
        self._left_of_rows -= size

    def sendall(self, data: bytes | bytearray, _flags: int = 0) -> None:
        """Send the driver's bytes; they begin with its PRELOGIN packet."""
        try:
            if self._encrypted:
                self._tls.write(data)
                self._flush()
            else:
                self._open(bytes(data))
        except OSError as error:
            raise self._failed(error) from None

    def recv(self, size: int, _flags: int = 0) -> bytes:
        """Return at least one byte."""
        if self._reply:
            data, self._reply = self._reply[:size], self._reply[size:]
            return data
        try:
            while True:
                try:
                    if data := self._tls.read(size):
                        return self._checked(data)
                    raise ConnectionResetError
                except ssl.SSLWantReadError:
                    self._flush()
                    self._incoming.write(self._receive(_CHUNK))
        except ssl.SSLEOFError:
            raise self._failed(ConnectionResetError()) from None
        except OSError as error:
            raise self._failed(error) from None

    def recv_into(self, buffer: bytearray | memoryview, size: int = 0, _flags: int = 0) -> int:
        """Fill the start of the buffer."""
        data = self.recv(size or len(buffer))
        buffer[: len(data)] = data
        return len(data)

    def setsockopt(self, *options: int) -> None:
        """Set an option of the socket."""
        self._socket.setsockopt(*options)

    def settimeout(self, _seconds: float | None) -> None:
        """Do nothing: `start` sets the time of each request."""

    def gettimeout(self) -> float | None:
        """Return the time of a request."""
        return self._seconds

    def shutdown(self, _how: int = 0) -> None:
        """Do nothing: `close` ends the session."""

    def close(self) -> None:
        """Close the connection.

        The driver closes it before it looks up a server that the answer to the login names: then this raises SqlConnectionError, once.
        """
        self._socket.close()
        if self._logging_in and self._sizes.routes:
            self._logging_in = False
            raise SqlConnectionError("the server sends its clients to another server: name that one")

    def _open(self, prelogin: bytes) -> None:
        """Exchange PRELOGIN packets and shake hands; the driver sees a server without encryption."""
        self._socket.settimeout(self._left())
        self._socket.sendall(with_encryption(prelogin, ENCRYPT_ON))
        reply = self._packet()
        at = encryption_at(reply)
        if at is None:
            raise SqlConnectionError(_FOREIGN)
        if reply[at] not in (ENCRYPT_ON, ENCRYPT_REQUIRED):
            raise SqlConnectionError("the server offers no encryption, so the login was not sent: give it a certificate")
        while True:
            try:
                self._tls.do_handshake()
                break
            except ssl.SSLWantReadError:
                self._send_handshake()
                self._incoming.write(self._packet()[HEADER:])
        self._send_handshake()
        if isinstance(self._tls.context, PinnedContext):
            self._compare_certificate(self._tls.context.certificate_sha256)
        self._reply = with_encryption(reply, ENCRYPT_NOT_SUPPORTED)
        self._encrypted = True

    def _compare_certificate(self, expected: str) -> None:
        """Raise SqlConnectionError if the server has another certificate."""
        found = hashlib.sha256(self._tls.getpeercert(binary_form=True) or b"").hexdigest()
        if found != expected:
            raise SqlConnectionError(
                f"the server's certificate has the SHA-256 {found}, so the login was not sent: if it is the server's, correct "
                "certificate_sha256 (SQL Server makes a new one at each start, unless one is installed)"
            )

    def _send_handshake(self) -> None:
        while data := self._outgoing.read(_PACKET - HEADER):
            status = 0 if self._outgoing.pending else _LAST
            header = bytes([_PRELOGIN, status]) + (HEADER + len(data)).to_bytes(2, "big") + bytes(4)
            self._socket.settimeout(self._left())
            self._socket.sendall(header + data)

    def _packet(self) -> bytes:
        """Receive one packet with its header."""
        header = self._exactly(HEADER)
        size = int.from_bytes(header[2:4], "big")
        if header[0] not in (_PRELOGIN, _REPLY) or size < HEADER:
            raise SqlConnectionError(_FOREIGN)
        return header + self._exactly(size - HEADER)

    def _exactly(self, size: int) -> bytes:
        data = b""
        while len(data) < size:
            data += self._receive(size - len(data))
        return data

    def _checked(self, data: bytes) -> bytes:
        if self._sizes.too_large(data):
            raise SqlConnectionError(
                f"the server names packets above {LARGEST_PACKET} bytes, which TDS forbids: is it a SQL Server?"
            )
        return data

    def _receive(self, size: int) -> bytes:
        data = self._some(size)
        if not data:
            raise ConnectionResetError
        self._left_bytes -= len(data)
        if self._left_bytes < 0:
            raise SqlConnectionError(
                f"an answer is larger than {_MOST // 1024**2} MiB, or than {_MOST_WITHOUT_ROWS // 1024**2} MiB without its rows: "
                "is it a SQL Server?"
            )
        return data

    def _some(self, size: int) -> bytes:
        while True:
            self._socket.settimeout(min(self._left(), _GLANCE))
            with contextlib.suppress(TimeoutError):  # `_left` raises at the end
                return self._socket.recv(size)

    def _flush(self) -> None:
        if data := self._outgoing.read():
            self._socket.settimeout(self._left())
            self._socket.sendall(data)

    def _left(self) -> float:
        now = time.monotonic()
        if self._stopped.is_set():
            raise SqlConnectionError("given up by the exporter")
        if now >= self._until:
            raise timeout_failure(self._seconds, self._words)
        if now >= self._end:
            raise TimeoutError
        return min(self._end, self._until) - now

    def _failed(self, error: OSError | ValueError) -> SqlConnectionError:
        if isinstance(error, ValueError) and not isinstance(error, OSError):  # a label of the name is empty or too long
            error = socket.gaierror()
        if isinstance(error, TimeoutError) and time.monotonic() >= self._until:
            return timeout_failure(self._seconds, self._words)
        return connection_error(error, self._host, self._port, self._seconds, self._words)
