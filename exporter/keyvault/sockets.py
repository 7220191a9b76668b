"""The socket of a probe, which notes when bytes left and came: as near to the wire as a process gets.

Between the arrival of bytes and the headers that are read from them lie the event loop, TLS and aiohttp, a third of a
millisecond or so; that is our time, not the vault's. aiohttp's `socket_factory` is the public seam.
Not for: what was sent (see `tls`), or which exchange it belongs to (see `tracing`). An event loop that goes past the socket's
methods, as on Windows, leaves no notes, and the later marks are used.
"""

from __future__ import annotations

import socket
from typing import TYPE_CHECKING

from aiohttp import AddrInfoType

from exporter.keyvault.tracing import Line, current

if TYPE_CHECKING:
    from _typeshed import ReadableBuffer, WriteableBuffer


class NotingSocket(socket.socket):
    """What it sends and receives is as with any other socket."""

    line: Line | None = None

    def send(self, data: ReadableBuffer, flags: int = 0, /) -> int:
        sent = super().send(data, flags)
        if self.line is not None:
            self.line.bytes_left()
        return sent

    def recv_into(self, buffer: WriteableBuffer, nbytes: int = 0, flags: int = 0) -> int:
        received = super().recv_into(buffer, nbytes, flags)
        if self.line is not None:
            self.line.bytes_came()
        return received


def make_socket(address: AddrInfoType) -> socket.socket:
    """A socket for the exchange of this task. Raises OSError where there is none to be had."""
    family, kind, protocol, _, _ = address
    made = NotingSocket(family, kind, protocol)
    made.line = current().line
    if made.line is not None:
        made.line.sockets.append(made)
    return made
