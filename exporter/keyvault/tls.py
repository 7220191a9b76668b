"""TLS as the exporter wants it: who is trusted, when a handshake began, ended, and with which certificate, and when bytes came.

`SSLContext.sslobject_class` is the documented seam: asyncio drives the handshake through an object of ours.
Not for: what a failed handshake means (see `evidence`).
"""

from __future__ import annotations

import contextlib
import ssl
from functools import lru_cache
from pathlib import Path
from typing import TYPE_CHECKING

from cryptography import x509

from exporter.core.model import PeerCertificate
from exporter.keyvault.tracing import Line, Recorder, current

if TYPE_CHECKING:
    from _typeshed import WriteableBuffer

ISSUER_LIMIT = 200


class ObservedTls(ssl.SSLObject):
    """Marks the first call of the handshake (the connection stands), its end, the certificate shown in it, and what arrives later."""

    _recorder: Recorder | None = None
    _line: Line | None = None
    _begun = False

    def do_handshake(self) -> None:
        if not self._begun:
            self._begun = True
            self._recorder = current()
            self._line = self._recorder.line
            self._recorder.tls_begins()
        try:
            super().do_handshake()
        except (ssl.SSLWantReadError, ssl.SSLWantWriteError):
            raise
        except ssl.SSLError:
            if self._recorder is not None:
                self._recorder.let_go()
            raise
        recorder, self._recorder = self._recorder, None
        if recorder is not None:
            recorder.tls_ends(_shown(self))

    def read(self, len: int = 1024, buffer: WriteableBuffer | None = None) -> bytes:  # noqa: A002 - as the library names it
        """Raises ssl.SSLWantReadError where nothing has come, and what else the library's own raises."""
        data = super().read(len, buffer)
        if self._line is not None:
            self._line.data_read()
        return data

    def unwrap(self) -> None:
        """Says goodbye without waiting for the other's: a silent peer would hold the socket for half a minute."""
        with contextlib.suppress(ssl.SSLWantReadError):
            super().unwrap()


def make_context(ca_file: Path | None) -> ssl.SSLContext:
    """A client context that trusts the system's authorities, or those of `ca_file` alone. Blocks for some milliseconds.

    Raises OSError (ssl.SSLError is one) where the file cannot be read or holds no certificate.
    """
    context = ssl.create_default_context(cafile=None if ca_file is None else str(ca_file))
    context.minimum_version = ssl.TLSVersion.TLSv1_2
    context.set_alpn_protocols(["http/1.1"])
    # Newer Pythons refuse authorities that older ones, and Windows, accept: same verdict everywhere.
    context.verify_flags &= ~ssl.VERIFY_X509_STRICT
    context.sslobject_class = ObservedTls
    return context


def _shown(connection: ssl.SSLObject) -> PeerCertificate | None:
    verified = getattr(connection, "get_verified_chain", None)  # from Python 3.13 on
    leaf = connection.getpeercert(binary_form=True)
    chain = tuple(verified()) if verified is not None else ()
    return _read(leaf, chain) if leaf is not None else None


@lru_cache(maxsize=1024)
def _read(leaf: bytes, chain: tuple[bytes, ...]) -> PeerCertificate | None:
    """Once per distinct certificate: it is the same in every probe until it is renewed."""
    try:
        certificate = x509.load_der_x509_certificate(leaf)
        ends = [x509.load_der_x509_certificate(der).not_valid_after_utc.timestamp() for der in (leaf, *chain)]
        return PeerCertificate(not_after=min(ends), issuer=certificate.issuer.rfc4514_string()[:ISSUER_LIMIT])
    except ValueError:  # accepted by OpenSSL, unreadable here: no facts rather than wrong ones
        return None
