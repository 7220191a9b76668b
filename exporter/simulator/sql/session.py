"""One connection of a client: encryption, login, then statements until the client leaves."""

from __future__ import annotations

import asyncio
import re
import ssl
import struct
from collections.abc import Callable
from typing import Any, Protocol

from exporter.simulator.sql import response
from exporter.simulator.sql.login import Encryption, Login, read_login, read_prelogin, write_prelogin
from exporter.simulator.sql.response import ResultSet, SimulatedMessage
from exporter.simulator.sql.transport import PacketType, ProtocolError, TdsMessage, Transport

_LOGIN_SECONDS = 30.0
_LOGIN_BYTES = 131_072  # an access token has a few thousand characters
_REQUEST_BYTES = 1_048_576
_OLDEST, _NEWEST = 0x72000000, 0x74000004
_OLD_CLIENT = SimulatedMessage(17836, "The simulator needs a client of TDS 7.2 or later.", level=20)
_FOLLOWING = {300: SimulatedMessage(297, "The user does not have permission to perform this action.")}
_USE = re.compile(r"\s*USE\s+\[?([^\]\s;]+)\]?\s*;?\s*", re.IGNORECASE)


class SqlBackend(Protocol):
    """The instance behind a connection."""

    @property
    def server_name(self) -> str: ...

    async def log_in(self, login: Login) -> SimulatedMessage | None:
        """Return the refusal, None if the client may enter."""

    async def run(self, text: str) -> tuple[ResultSet, ...] | SimulatedMessage:
        """Return the results of a batch, or its error."""


class SqlSession:
    """Serves one connection."""

    def __init__(self, transport: Transport, backend: SqlBackend, context: Callable[[], ssl.SSLContext]) -> None:
        self._transport, self._backend, self._context = transport, backend, context

    async def serve(self) -> None:
        """Serve until the client leaves. Raises ProtocolError, OSError or TimeoutError."""
        async with asyncio.timeout(_LOGIN_SECONDS):
            entered = await self._enter()
        if not entered:
            return
        tasks: list[asyncio.Task[Any]] = [asyncio.create_task(self._transport.receive(_REQUEST_BYTES))]
        try:
            await self._serve_requests(tasks)
        finally:
            for task in tasks:
                task.cancel()
            await asyncio.gather(*tasks, return_exceptions=True)

    async def _serve_requests(self, tasks: list[asyncio.Task[Any]]) -> None:
        """Answer each request while the next message is awaited: an attention ends the work. The caller ends the tasks."""
        while True:
            request: TdsMessage = await tasks[0]
            working = asyncio.create_task(self._answer(request))
            receiving = asyncio.create_task(self._transport.receive(_REQUEST_BYTES))
            tasks[:] = [receiving, working]
            await asyncio.wait(tasks, return_when=asyncio.FIRST_COMPLETED)
            if not working.done() and receiving.result().type == PacketType.ATTENTION:
                working.cancel()
                continue
            await self._transport.send(await working)

    async def _enter(self) -> bool:
        first = await self._transport.receive(_LOGIN_BYTES)
        if first.type != PacketType.PRELOGIN:
            raise ProtocolError("the first message is not PRELOGIN")
        client = read_prelogin(first.body)
        await self._transport.send(write_prelogin(client))
        if client.answer is not Encryption.NOT_SUPPORTED:
            await self._transport.start_tls(self._context(), _LOGIN_BYTES)
        second = await self._transport.receive(_LOGIN_BYTES)
        if client.answer is Encryption.LOGIN_ONLY:
            self._transport.end_tls()
        if second.type != PacketType.LOGIN7:
            raise ProtocolError("the second message is not LOGIN7")
        return await self._log_in(read_login(second.body))

    async def _log_in(self, login: Login) -> bool:
        refusal = _OLD_CLIENT if login.version < _OLDEST else await self._backend.log_in(login)
        name = self._backend.server_name
        if refusal is not None:
            await self._transport.send(response.message(refusal, name) + response.done(response.FAILED))
            return False
        version, database = min(login.version, _NEWEST), login.database or "master"
        token = login.token is not None
        await self._transport.send(response.login_acknowledged(version, database, name, token=token))
        return True

    async def _answer(self, request: TdsMessage) -> bytes:
        match request.type:
            case PacketType.SQL_BATCH:
                return await self._batch(read_batch(request.body))
            case PacketType.ATTENTION:
                return response.done(response.ATTENTION)
        raise ProtocolError(f"the message type {request.type} is not supported")

    async def _batch(self, text: str) -> bytes:
        answer = await self._backend.run(text)
        if isinstance(answer, SimulatedMessage):
            return self._messages(answer) + response.done(response.FAILED if answer.level > 10 else 0)
        used = _USE.fullmatch(text)
        parts = [response.database_changed(used[1])] if used else []
        for number, result in enumerate(answer, start=1):
            more = response.MORE if number < len(answer) else 0
            parts += [response.rows(result), response.done(response.COUNTED | more, len(result.rows))]
        return b"".join(parts) if answer else b"".join(parts) + response.done()

    def _messages(self, message: SimulatedMessage) -> bytes:
        following = _FOLLOWING.get(message.number)
        name = self._backend.server_name
        return response.message(message, name) + (response.message(following, name) if following is not None else b"")


def read_batch(body: bytes) -> str:
    """Return the text of a batch, after its headers (MS-TDS 2.2.6.7). Raises ProtocolError."""
    if len(body) < 4:
        raise ProtocolError("the batch is cut short")
    (length,) = struct.unpack_from("<I", body)
    if not 4 <= length <= len(body):
        raise ProtocolError("the headers are cut short")
    return body[length:].decode("utf-16-le", "replace")
