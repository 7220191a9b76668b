"""What stops the reading of a SQL Server, with one line for the user."""

from __future__ import annotations

import socket
import ssl

from exporter.core.masking import mask
from exporter.runtime.os_errors import number_of, text_of
from exporter.sqlservers.sql_errors import SqlMessage, error_of
from exporter.sqlservers.wording import Words

_SELF_SIGNED = frozenset({18, 19})  # X509_V_ERR_DEPTH_ZERO_SELF_SIGNED_CERT and ..._SELF_SIGNED_CERT_IN_CHAIN
_UNKNOWN_ISSUER = frozenset({2, 20, 21})
_HOST_MISMATCH = frozenset({62, 64})  # name, IP address
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
    return SqlConnectionError(_text(error, host, port, seconds, words))


def _text(error: OSError, host: str, port: int, seconds: float, words: Words) -> str:
    if isinstance(error, ssl.SSLCertVerificationError):
        return _certificate(error, host, words["trust"])
    if isinstance(error, ssl.SSLError):
        return f"TLS failed ({mask(error.reason or type(error).__name__)}): the server may lack TLS 1.2"
    if isinstance(error, socket.gaierror):
        return NO_SUCH_NAME
    if isinstance(error, TimeoutError):
        return f"no answer from port {port} within {seconds:g} s: check the firewall, or {words['slow']}"
    if isinstance(error, ConnectionRefusedError):
        return f"port {port} is closed: start the instance, enable TCP/IP, or correct the port"
    if isinstance(error, ConnectionError):
        return "the server closed the connection: its error log may have the reason"
    number = number_of(error)
    return f"not reached: {text_of(number) if number else mask(type(error).__name__)}"


def _certificate(error: ssl.SSLCertVerificationError, host: str, trust: str) -> str:
    if error.verify_code in _HOST_MISMATCH:
        return f"the certificate is not for the name {host}: use the name in the certificate"
    if error.verify_code in _SELF_SIGNED:
        return f"the certificate is self-signed: {trust}"
    if error.verify_code in _UNKNOWN_ISSUER:
        return f"the certificate's issuer is not trusted: {trust}"
    return f"the certificate is not trusted ({mask(error.verify_message)}): renew it, or {trust}"
