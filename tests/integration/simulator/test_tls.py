"""The simulator's port and a client that leaves in its handshake."""

from __future__ import annotations

import asyncio
import socket
import ssl
import sys
from typing import get_args

import pytest

from exporter.simulator.faults import ConnectionFault
from exporter.simulator.http import reset_on_close
from exporter.simulator.tls import Certificates, TlsFrontend

HOST = "vault.example.com"


def client_hello() -> bytes:
    sent = ssl.MemoryBIO()
    client = ssl.create_default_context().wrap_bio(ssl.MemoryBIO(), sent, server_hostname=HOST)
    with pytest.raises(ssl.SSLWantReadError):
        client.do_handshake()
    return sent.read()


@pytest.mark.parametrize("fault", [None, *get_args(ConnectionFault)])
async def test_a_client_that_resets_its_connection_in_the_handshake_leaves_no_traceback(
    fault: ConnectionFault | None, monkeypatch: pytest.MonkeyPatch
) -> None:
    raised: list[object] = []
    monkeypatch.setattr(sys, "unraisablehook", lambda one: raised.append(one.exc_value))
    client, asked = socket.socket(), asyncio.Event()

    def connection_of(host: str) -> ConnectionFault | None:
        assert host == HOST
        reset_on_close(client)
        client.close()
        asked.set()
        return fault

    frontend = TlsFrontend(Certificates([HOST]), connection_of, asyncio.Protocol)
    client.connect(("127.0.0.1", frontend.open("127.0.0.1", 0)))
    client.sendall(client_hello())
    await asyncio.wait_for(asked.wait(), 30)
    await frontend.close()
    assert not raised
