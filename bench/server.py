"""A fast TLS server with canned responses for every vault and for Entra.

All compared programs use this server. It wraps by padding, unwraps by cutting, and checks no token. It can wait before each
response of a vault and records the real waits. A control port reports the requests and sets how vaults fail: `silent`
(no response), `causes` (three causes: vaults with even numbers
refuse the caller, vault 1 has no such key, vault 3 refuses to unwrap).
"""

from __future__ import annotations

import asyncio
import json
import statistics
import sys
import time
from collections import Counter
from pathlib import Path
from typing import cast
from urllib.parse import parse_qsl

from exporter.clients.answers import encode
from exporter.core.json import decode
from exporter.simulator.tls import Certificates

TENANT = "5f2a9c1e-0b7d-4c36-9e58-3a1d7c2b8f40"
_LENGTH = 256  # bytes of a wrapped value of an RSA key with 2,048 bits
_MODULUS, _DATA = encode(b"\xc5" * _LENGTH), 32
_TOKEN = json.dumps({"token_type": "Bearer", "expires_in": 3599, "ext_expires_in": 3599, "access_token": "t" * 1200}).encode()
_CHALLENGE = (
    b'WWW-Authenticate: Bearer authorization="https://login.microsoftonline.com/' + TENANT.encode() + b'", '
    b'resource="https://vault.azure.net"\r\n'
)
_REFUSED = b'{"error":{"code":"Unauthorized","message":"no token"}}'
_REFUSED_CALLER = b'{"error":{"code":"Forbidden","message":"access denied","innererror":{"code":"AccessDenied"}}}'
_NO_KEY = b'{"error":{"code":"KeyNotFound","message":"A key with (name/id) Key was not found in this key vault"}}'


class State:
    """How vaults fail, and the requests since the last reset. `unwrapped_at` is the time of the first unwrap on CLOCK_MONOTONIC."""

    wait = 0.0
    failing = ""
    first = 0  # the vaults with lower numbers fail

    def reset(self) -> None:
        self.requested, self.waits, self.unwrapped_at = Counter[str](), list[float](), 0.0

    def output(self) -> bytes:
        waited = statistics.median(self.waits) if self.waits else 0.0
        return json.dumps({**self.requested, "waited": waited, "unwrapped_at": self.unwrapped_at}).encode()


STATE = State()
STATE.reset()


class Answering(asyncio.Protocol):
    """A connection with sequential requests of known length."""

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport, self._buffer = cast("asyncio.Transport", transport), b""

    def data_received(self, data: bytes) -> None:
        came = time.monotonic()
        self._buffer += data
        head, end, body = self._buffer.partition(b"\r\n\r\n")
        if not end:
            return
        fields = dict(line.lower().split(b": ", 1) for line in head.split(b"\r\n")[1:] if b": " in line)
        length = int(fields.get(b"content-length", b"0"))
        if len(body) < length:
            return
        self._buffer = body[length:]
        method, path, _ = head.split(b" ", 2)
        operation, status, extra, answer = reply(method, path, fields, body[:length])
        STATE.requested[operation] += 1
        if STATE.failing and operation != "token" and _number(fields) < STATE.first:
            if STATE.failing == "silent":
                return
            status, answer = in_three_causes(_number(fields), operation, (status, answer))
        if STATE.wait and operation != "token":
            asyncio.get_running_loop().call_later(STATE.wait, self._send, operation, status, extra, answer, came)
        else:
            self._send(operation, status, extra, answer, None)

    def _send(self, operation: str, status: bytes, extra: bytes, answer: bytes, requested: float | None) -> None:
        if requested is not None:
            STATE.waits.append(time.monotonic() - requested)
        if operation == "unwrapkey":
            STATE.unwrapped_at = STATE.unwrapped_at or time.monotonic()
        head = b"HTTP/1.1 " + status + b"\r\nContent-Type: application/json; charset=utf-8\r\n" + extra
        self._transport.write(head + b"Content-Length: %d\r\n\r\n" % len(answer) + answer)


def reply(method: bytes, path: bytes, fields: dict[bytes, bytes], body: bytes) -> tuple[str, bytes, bytes, bytes]:
    """The operation, and the status, extra headers and body of its response. `fields` are in lower case."""
    bare = path.partition(b"?")[0]
    if b"/oauth2/" in bare:
        return "token", b"200 OK", b"", _TOKEN
    if b"authorization" not in fields:
        return "challenge", b"401 Unauthorized", _CHALLENGE, _REFUSED
    if method == b"POST":
        return _crypt(bare, body)
    host, name = fields[b"host"].decode(), bare.decode()
    if name.count("/") == 2:  # the newest version is the only one: the number of the vault
        name += f"/{_number(fields):032x}"
    kid = f"https://{host}{name}"
    key = {"kid": kid, "kty": "RSA", "key_ops": ["wrapKey", "unwrapKey"], "n": _MODULUS, "e": "AQAB"}
    return "get", b"200 OK", b"", json.dumps({"key": key, "attributes": {"enabled": True}}).encode()


def in_three_causes(vault: int, operation: str, good: tuple[bytes, bytes]) -> tuple[bytes, bytes]:
    """The status and body of a vault's response while vaults fail in three causes; `good` is what it is otherwise."""
    if (vault % 2 == 0 and operation == "get") or (vault == 3 and operation == "unwrapkey"):
        return b"403 Forbidden", _REFUSED_CALLER
    return (b"404 Not Found", _NO_KEY) if vault == 1 and operation == "get" else good


def _crypt(path: bytes, body: bytes) -> tuple[str, bytes, bytes, bytes]:
    operation = path.rpartition(b"/")[2].decode()
    value = decode(json.loads(body)["value"]) or b""
    changed = value.ljust(_LENGTH, b"\0") if operation == "wrapkey" else value[:_DATA]
    return operation, b"200 OK", b"", json.dumps({"kid": path.decode(), "value": encode(changed)}).encode()


def _number(fields: dict[bytes, bytes]) -> int:
    """The number of a vault, from its name such as bench-0042.vault.azure.net."""
    return int(fields[b"host"][6:10])


async def control(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    """Serve `GET /reset`, which reports the requests, and `GET /behave?failing=WORD&first=NUMBER&wait=SECONDS`."""
    path, _, query = (await reader.readline()).split(b" ")[1].decode().partition("?")
    while (await reader.readline()).strip():
        pass
    output = STATE.output()
    if path == "/reset":
        STATE.reset()
    else:
        wanted = dict(parse_qsl(query))
        STATE.failing, STATE.first, STATE.wait = wanted.get("failing", ""), int(wanted["first"]), float(wanted["wait"])
    writer.write(b"HTTP/1.0 200 OK\r\nContent-Length: %d\r\n\r\n" % len(output) + output)
    await writer.drain()
    writer.close()


async def serve(certificates: Certificates) -> None:
    """Print both ports, and serve."""
    context, loop = certificates.context(None), asyncio.get_running_loop()
    server = await loop.create_server(Answering, "127.0.0.1", 0, ssl=context, backlog=4096, ssl_handshake_timeout=10)
    monitor = await asyncio.start_server(control, "127.0.0.1", 0)
    print(f"ports={','.join(str(each.sockets[0].getsockname()[1]) for each in (server, monitor))}", flush=True)
    await monitor.serve_forever()


if __name__ == "__main__":
    authority = Certificates(["login.microsoftonline.com", "bench.vault.azure.net"])
    Path(sys.argv[1]).write_bytes(authority.authority.pem)
    asyncio.run(serve(authority))
