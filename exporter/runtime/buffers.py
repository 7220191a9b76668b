"""The buffers that asyncio gives each TLS connection, made to measure.

For: the one setting of it, made before anything connects.
Not for: how many connections there are (see `config.build` for probes and `web.server.listener.connections` for clients).
"""

from __future__ import annotations

from asyncio import sslproto

# asyncio allocates 256 KiB for each connection at once, and as much again whenever it reads. A TLS record has 16 KiB at the most, and the
# answers of a vault fit in one. With 2,500 vaults that are silent after TLS, 521 connections wait at once.
TLS_BUFFER_BYTES = 32 * 1024


def bound_tls_buffers() -> None:
    """Each TLS connection from now on has a buffer of `TLS_BUFFER_BYTES`; longer answers take more reads."""
    sslproto.SSLProtocol.max_size = TLS_BUFFER_BYTES  # an attribute of the class, in every supported Python
