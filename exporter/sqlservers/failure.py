"""What stops the reading of a SQL Server, with one line for the user."""

from __future__ import annotations

import errno
import socket
import ssl

from exporter.core.masking import mask
from exporter.sqlservers.sql_errors import SqlMessage, error_of

_SELF_SIGNED = frozenset({18, 19})  # X509_V_ERR_DEPTH_ZERO_SELF_SIGNED_CERT and ..._SELF_SIGNED_CERT_IN_CHAIN
_UNKNOWN_ISSUER = frozenset({2, 20, 21})
_HOST_MISMATCH = frozenset({62, 64})  # name, IP address
NO_SUCH_NAME = "no such name: correct it, or check DNS"
WHOLE = 20  # times the seconds of one query: what the reading of a server may take
_TRUST = "give its authority with --sql.ca.file, or accept any certificate with --sql.encrypt trust"


class SqlConnectionError(Exception):
    """The connection failed or ended; nothing more can be read with it."""


class SqlStatementError(Exception):
    """SQL Server refused one batch; the connection stays usable."""

    def __init__(self, messages: tuple[SqlMessage, ...]) -> None:
        super().__init__(error_of(messages))
        self.messages = messages


def timeout_failure(seconds: float) -> SqlConnectionError:
    """Return the failure of a server that was not read to its end in WHOLE times the seconds of a query."""
    return SqlConnectionError(f"not read to its end within {WHOLE * seconds:g} s, {WHOLE} times --sql.timeout: raise it")


def connection_error(error: OSError, host: str, port: int, seconds: float) -> SqlConnectionError:
    """Return the failure with cause and action, for an error of socket or TLS."""
    return SqlConnectionError(_text(error, host, port, seconds))


def _text(error: OSError, host: str, port: int, seconds: float) -> str:
    if isinstance(error, ssl.SSLCertVerificationError):
        return _certificate(error, host)
    if isinstance(error, ssl.SSLError):
        return f"TLS failed ({mask(error.reason or type(error).__name__)}): the server may lack TLS 1.2"
    if isinstance(error, socket.gaierror):
        return NO_SUCH_NAME
    if isinstance(error, TimeoutError):
        return f"no answer from port {port} within {seconds:g} s: check the firewall, or raise --sql.timeout"
    if isinstance(error, ConnectionRefusedError):
        return f"port {port} is closed: start the instance, enable TCP/IP, or correct the port"
    if isinstance(error, ConnectionError):
        return "the server closed the connection: its error log may have the reason"
    return f"not reached: {mask(errno.errorcode.get(error.errno or 0, type(error).__name__))}"


def _certificate(error: ssl.SSLCertVerificationError, host: str) -> str:
    if error.verify_code in _HOST_MISMATCH:
        return f"the certificate is not for the name {host}: use the name in the certificate"
    if error.verify_code in _SELF_SIGNED:
        return f"the certificate is self-signed: {_TRUST}"
    if error.verify_code in _UNKNOWN_ISSUER:
        return f"the certificate's issuer is not trusted: {_TRUST}"
    return f"the certificate is not trusted ({mask(error.verify_message)}): renew it, or {_TRUST}"
