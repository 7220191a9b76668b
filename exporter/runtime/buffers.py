"""The size of the buffers that asyncio allocates for each TLS connection."""

from __future__ import annotations

from asyncio import sslproto

# asyncio allocates 256 KiB for each connection, and as much again for each read. A TLS record has at most 16 KiB, and a
# vault's response fits in one. With 2,500 vaults that send nothing after the handshake, 521 connections wait at once.
TLS_BUFFER_BYTES = 32 * 1024


def bound_tls_buffers() -> None:
    """Limit the buffer of each later TLS connection; longer responses take more reads."""
    sslproto.SSLProtocol.max_size = TLS_BUFFER_BYTES  # an attribute of the class, in every supported Python
