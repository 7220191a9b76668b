"""A TLS context from a checked configuration.

For: OpenSSL's side of every key of `tls_server_config`.
Not for: reading files, or the names in a client's certificate (see `names`).
"""

from __future__ import annotations

import ssl

from exporter.web.toolkit.model import Tls
from exporter.web.toolkit.pem import as_file

_VERIFY = {None: ssl.CERT_NONE, False: ssl.CERT_OPTIONAL, True: ssl.CERT_REQUIRED}


def context_of(tls: Tls) -> ssl.SSLContext:
    """A context for the server's side. Raises ssl.SSLError where OpenSSL refuses what was configured."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.minimum_version, context.maximum_version = tls.minimum, tls.maximum
    context.options |= ssl.OP_NO_RENEGOTIATION | ssl.OP_NO_COMPRESSION
    if not tls.server_preference:
        context.options &= ~ssl.OP_CIPHER_SERVER_PREFERENCE
    if tls.ciphers:
        context.set_ciphers(tls.ciphers)
    if tls.curve:
        context.set_ecdh_curve(tls.curve)
    context.set_alpn_protocols(["http/1.1"])
    with as_file(tls.certificate) as certificate, as_file(tls.key) as key:
        # With an empty password OpenSSL asks nobody; an encrypted key has been refused before.
        context.load_cert_chain(certificate, key, password="")
    context.verify_mode = _VERIFY[tls.client_certificate]
    if tls.client_ca is not None:
        context.load_verify_locations(cadata=tls.client_ca.decode("ascii"))
    return context
