"""The one place that knows python-tds: log in, send a batch, and turn its exceptions into failures with one line for the user."""

from __future__ import annotations

import codecs
import contextlib
import hashlib
import logging
import re
import socket
import ssl
import threading
import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from exporter.core.secrets import mask
from exporter.runtime.errors import number_of, text_of
from exporter.runtime.process import ExtraMissingError, is_windows
from exporter.sqlserver.errors import SqlMessage, Words, error_of, refusal, refused_login
from exporter.sqlserver.wire import (
    ENCRYPT_NOT_SUPPORTED,
    ENCRYPT_ON,
    ENCRYPT_REQUIRED,
    HEADER,
    LARGEST_PACKET,
    PacketSizes,
    encryption_at,
    with_encryption,
)

NO_SUCH_NAME = "no such name: correct it, or check DNS"
WHOLE = 20  # times the seconds of one query: what the reading of a server may take


class SqlConnectionError(Exception):
    """The connection failed or ended; nothing more can be read with it.

    `number` is that of a refused login, which another try may lock; otherwise 0.
    """

    def __init__(self, text: str, number: int = 0) -> None:
        super().__init__(text)
        self.number = number


class SqlStatementError(Exception):
    """SQL Server refused one batch; the connection stays usable."""

    def __init__(self, messages: tuple[SqlMessage, ...]) -> None:
        super().__init__(error_of(messages))
        self.messages = messages


def timeout_failure(seconds: float, words: Words) -> SqlConnectionError:
    """Return the failure of a server that was not read to its end in WHOLE times the seconds of a query."""
    return SqlConnectionError(f"not read to its end within {WHOLE * seconds:g} s{words['whole'].format(times=WHOLE)}")


def connection_error(error: OSError, host: str, port: int, seconds: float, words: Words) -> SqlConnectionError:
    """Return the failure with cause and action, for an error of socket or TLS."""
    match error:
        case ssl.SSLCertVerificationError():
            text = _certificate(error, host, words["trust"])
        case ssl.SSLError():
            text = f"TLS failed ({mask(error.reason or type(error).__name__)}): the server may lack TLS 1.2"
        case socket.gaierror():
            text = NO_SUCH_NAME
        case TimeoutError():
            text = f"no answer from port {port} within {seconds:g} s: check the firewall, or {words['slow']}"
        case ConnectionRefusedError():
            text = f"port {port} is closed: start the instance, enable TCP/IP, or correct the port"
        case ConnectionError():
            text = "the server closed the connection: its error log may have the reason"
        case _:
            text = f"not reached: {text_of(number) if (number := number_of(error)) else mask(type(error).__name__)}"
    return SqlConnectionError(text)


def _certificate(error: ssl.SSLCertVerificationError, host: str, trust: str) -> str:
    match error.verify_code:
        case 62 | 64:  # name, IP address
            return f"the certificate is not for the name {host}: use the name in the certificate"
        case 18 | 19:  # X509_V_ERR_DEPTH_ZERO_SELF_SIGNED_CERT and ..._SELF_SIGNED_CERT_IN_CHAIN
            return f"the certificate is self-signed: {trust}"
        case 2 | 20 | 21:
            return f"the certificate's issuer is not trusted: {trust}"
    return f"the certificate is not trusted ({mask(error.verify_message)}): renew it, or {trust}"


# A socket for the driver that encrypts the whole session, with Python's TLS and the trust of the system.
# TDS 7.4 has its TLS handshake inside PRELOGIN packets, and plain TLS records after it. python-tds encrypts with a CA file alone, and
# compares host names in its own way. So the driver talks plain text to this socket, which never sends any. It also bounds what a server
# can make the driver read or allocate.

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
    """Return the TLS settings for the server with this certificate. Its name, expiry and authority do not matter."""
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
        """Connect. `until` is a time of time.monotonic, `stopped` ends every wait. Raises SqlConnectionError."""
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
                    data = self._tls.read(size)
                    break
                except ssl.SSLWantReadError:
                    self._flush()
                    self._incoming.write(self._receive(_CHUNK))
        except OSError as error:
            raise self._failed(ConnectionResetError() if isinstance(error, ssl.SSLEOFError) else error) from None
        if not data:
            raise self._failed(ConnectionResetError())
        if self._sizes.too_large(data):
            raise SqlConnectionError(
                f"the server names packets above {LARGEST_PACKET} bytes, which TDS forbids: is it a SQL Server?"
            )
        return data

    def recv_into(self, buffer: bytearray | memoryview, size: int = 0, _flags: int = 0) -> int:
        """Fill the start of the buffer."""
        data = self.recv(size or len(buffer))
        buffer[: len(data)] = data
        return len(data)

    def setsockopt(self, *options: int) -> None:
        self._socket.setsockopt(*options)

    def settimeout(self, _seconds: float | None) -> None:
        """Do nothing: `start` sets the time of each request."""

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
        found = hashlib.sha256(self._tls.getpeercert(binary_form=True) or b"").hexdigest()
        if isinstance(self._tls.context, PinnedContext) and found != self._tls.context.certificate_sha256:
            raise SqlConnectionError(
                f"the server's certificate has the SHA-256 {found}, so the login was not sent: if it is the server's, correct "
                "certificate_sha256 (SQL Server makes a new one at each start, unless one is installed)"
            )
        self._reply = with_encryption(reply, ENCRYPT_NOT_SUPPORTED)
        self._encrypted = True

    def _send_handshake(self) -> None:
        while data := self._outgoing.read(_PACKET - HEADER):
            status = 0 if self._outgoing.pending else _LAST
            header = bytes([_PRELOGIN, status]) + (HEADER + len(data)).to_bytes(2, "big") + bytes(4)
            self._socket.settimeout(self._left())
            self._socket.sendall(header + data)

    def _packet(self) -> bytes:
        """Receive one packet with its header."""
        data, size = b"", HEADER
        while len(data) < size:
            data += self._receive(size - len(data))
            if len(data) == HEADER:
                size = int.from_bytes(data[2:4], "big")
                if data[0] not in (_PRELOGIN, _REPLY) or size < HEADER:
                    raise SqlConnectionError(_FOREIGN)
        return data

    def _receive(self, size: int) -> bytes:
        while True:
            self._socket.settimeout(min(self._left(), _GLANCE))
            with contextlib.suppress(TimeoutError):  # `_left` raises at the end
                data = self._socket.recv(size)
                break
        if not data:
            raise ConnectionResetError
        self._left_bytes -= len(data)
        if self._left_bytes < 0:
            raise SqlConnectionError(
                f"an answer is larger than {_MOST // 1024**2} MiB, or than {_MOST_WITHOUT_ROWS // 1024**2} MiB without its rows: "
                "is it a SQL Server?"
            )
        return data

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
        if isinstance(error, TimeoutError) and not self._logging_in:
            return SqlConnectionError(f"the statement was not answered within {self._seconds:g} s: {self._words['slow']}")
        return connection_error(error, self._host, self._port, self._seconds, self._words)


NEEDED = str(ExtraMissingError("sql"))
_SSPI_ERROR = re.compile(r"SSPI Error (\w+)")  # of python-tds, such as SEC_E_NO_CREDENTIALS
_UNREADABLE = "the answer is not that of a SQL Server that this driver knows"
# A reading never waits long for another session, and loses a deadlock with one. It takes no lock of a row and waits for none: one database that is
# being changed costs no section.
_OPTIONS = "SET NOCOUNT ON; SET LOCK_TIMEOUT 5000; SET DEADLOCK_PRIORITY LOW; SET TRANSACTION ISOLATION LEVEL READ UNCOMMITTED;"
_TOO_OLD = "the server speaks a protocol older than TDS 7.2: SQL Server 2016 or later is needed"
_OLDEST = 0x72090002  # TDS 7.2: an older version decodes text with a codec that the server names


def _text_with_halves(data: Any, _errors: str = "", /) -> tuple[str, int]:
    """Decode a value: the end of a line of a section may split a pair of surrogates, which `read_section` joins."""
    return codecs.utf_16_le_decode(data, "surrogatepass", True)


_UTF_16 = codecs.lookup("utf-16-le")
_TEXT = codecs.CodecInfo(_UTF_16.encode, _text_with_halves, incrementaldecoder=_UTF_16.incrementaldecoder)
_MOST_COLUMNS, _MOST_ROWS = 8, 100_000  # of one result; a section has at most so many lines
_ROW_BYTES = 16  # of a row next to its text, at most


@dataclass(frozen=True, slots=True)
class SqlLogin:
    """How to sign in: user and password, an access token, or the Windows account of this process."""

    user: str = ""
    password: str = field(default="", repr=False)
    token: str = field(default="", repr=False)


@dataclass(frozen=True, slots=True)
class Result:
    """The rows of the first result of a batch, and all messages."""

    rows: tuple[Sequence[Any], ...]
    messages: tuple[SqlMessage, ...]


class SqlConnection:
    """A session with one SQL Server. Blocks, and belongs to one thread."""

    def __init__(self, encrypted_socket: EncryptedSocket, host: str, port: int, login: SqlLogin, words: Words) -> None:
        """Log in over a connected socket, which belongs to the session from now on. Raises SqlConnectionError."""
        import pytds  # type: ignore[import-untyped] # noqa: PLC0415 - an extra

        pytds.tds_types.ucs2_codec = _TEXT
        logger = logging.getLogger("pytds")
        if logger.propagate:  # no warning of the driver reaches standard error or a handler of this process
            logger.addHandler(logging.NullHandler())
            logger.propagate = False
        self._pytds = pytds
        self._encrypted_socket = encrypted_socket
        windows = not login.user and not login.token
        try:
            self._session = pytds.connect(
                dsn=host,
                port=port,
                database="master",
                user=login.user or None,
                password=login.password or None,
                access_token_callable=(lambda: login.token) if login.token else None,
                auth=_windows_account(host, port, words) if windows else None,
                sock=encrypted_socket,
                appname=words["application"],
                autocommit=True,  # a transaction would stay open on the server
                disable_connect_retry=True,  # the socket refuses a server that the first one names
                login_timeout=0,
            )
            if self._session.tds_version < _OLDEST:
                raise SqlConnectionError(_TOO_OLD)  # noqa: TRY301 - closes as any other failure
            self.query(_OPTIONS)
        except Exception as error:  # noqa: BLE001 - the driver raises many kinds for a foreign answer
            encrypted_socket.close()
            raise _login_error(error, words) from None

    def query(self, batch: str) -> Result:
        """Send a batch and read everything. Raises SqlConnectionError and SqlStatementError."""
        self._encrypted_socket.start()
        with self._session.cursor() as cursor:
            try:
                cursor.execute(batch)
                rows = tuple(self._rows(cursor))
                while cursor.nextset():
                    """Read on: a message may follow."""
            except self._pytds.DatabaseError as error:
                raise SqlStatementError(_messages(cursor) or (_message(error),)) from None
            except SqlConnectionError:
                raise
            except Exception as error:  # noqa: BLE001 - the driver raises many kinds for a foreign answer
                raise SqlConnectionError(f"{_UNREADABLE} ({type(error).__name__})") from None
            return Result(rows, _messages(cursor))

    def _rows(self, cursor: Any) -> Iterator[Sequence[Any]]:
        """Yield the rows of the first result. Raises SqlConnectionError for a result that no batch of the inventory has."""
        columns = len(cursor.description or ())
        if columns > _MOST_COLUMNS:
            raise SqlConnectionError(f"a result has {columns} columns, more than {_MOST_COLUMNS}: is it a SQL Server?")
        for _ in range(_MOST_ROWS if columns else 0):
            row = cursor.fetchone()
            if row is None:
                return
            self._encrypted_socket.took_row(_ROW_BYTES + sum(2 * len(cell) for cell in row if isinstance(cell, str)))
            yield row
        if columns and cursor.fetchone() is not None:
            raise SqlConnectionError(f"a result has more than {_MOST_ROWS} rows: is it a SQL Server?")

    def close(self) -> None:
        self._encrypted_socket.close()


def _windows_account(host: str, port: int, words: Words) -> Any:
    """Return Windows' own sign-in. Raises SqlConnectionError elsewhere."""
    if not is_windows():
        raise SqlConnectionError(f"Windows sign-in exists on Windows only: {words['sign_in']}")
    from pytds.login import SspiAuth  # type: ignore[import-untyped] # noqa: PLC0415 - an extra

    return SspiAuth(spn=f"MSSQLSvc/{socket.getfqdn(host)}:{port}")


def _login_error(error: Exception, words: Words) -> SqlConnectionError:
    cause = error.__cause__ if isinstance(error, TimeoutError) and isinstance(error.__cause__, Exception) else error
    if isinstance(cause, SqlConnectionError):
        return cause
    if isinstance(cause, SqlStatementError):
        return SqlConnectionError(str(cause))
    if getattr(cause, "number", 0):
        message = _message(cause)
        return SqlConnectionError(refusal(message, words), refused_login(message))
    if windows := _SSPI_ERROR.match(str(cause)):
        return SqlConnectionError(f"Windows does not sign this account in ({windows[1]}): {words['sign_in']}")
    return SqlConnectionError(f"{_UNREADABLE} ({type(cause).__name__})")


def _messages(cursor: Any) -> tuple[SqlMessage, ...]:
    return tuple(_message(message) for _, message in cursor.messages or ())


def _message(error: Any) -> SqlMessage:
    return SqlMessage(int(getattr(error, "number", 0)), int(getattr(error, "severity", 16)), str(getattr(error, "text", "")))
