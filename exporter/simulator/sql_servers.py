"""The listening ports of all simulated SQL Servers: one port for each, one process for all."""

from __future__ import annotations

import asyncio
import contextlib
import hmac
import secrets
import ssl
import time
from collections.abc import Callable, Iterable, Mapping
from contextlib import AsyncExitStack
from dataclasses import replace
from functools import partial
from typing import Any, Self

from exporter.simulator.environment import (
    ONLINE,
    Environment,
    KeyPairs,
    SimulatedKeyVersion,
    SimulatedSqlServer,
    SqlKey,
    VaultSide,
)
from exporter.simulator.faults import FaultScope
from exporter.simulator.sql_answers import ResultSet, SimulatedMessage, SqlView, answer, event_session
from exporter.simulator.sql_day import LOG, SqlDay, begin_day, vault_side
from exporter.simulator.state import SimulatorState
from exporter.simulator.tds import Login, ProtocolError, SqlSession, Transport
from exporter.simulator.tls import CertificateAuthority

_CONNECTIONS = 100  # of one server
_FOREIGN = 3  # number of the key pair of a version that no vault has
USER = "ekm"


class SqlServers:
    """Simulated SQL Servers on loopback: an async context manager.

    `ports` has the port of each server by its name. `first_port` 0 selects free ports, another number consecutive ones. Without
    a password, one is made.
    """

    def __init__(
        self,
        environment: Environment | SimulatorState,
        *,
        password: str | None = None,
        first_port: int = 0,
        pairs: KeyPairs | None = None,
        authority: CertificateAuthority | None = None,
        accepts_token: Callable[[str], bool] = lambda _: False,
        clock: Callable[[], float] = time.time,
    ) -> None:
        self.state = environment if isinstance(environment, SimulatorState) else SimulatorState(environment, clock)
        self.password = password or secrets.token_urlsafe(16)
        self.ports: dict[str, int] = {}
        self._first_port = first_port
        self._own_pairs = pairs is None
        self._pairs = pairs or KeyPairs()
        self._authority = authority or CertificateAuthority("ekm-exporter simulator, this run only")
        self._accepts_token = accepts_token
        self._clock = clock
        self._context: ssl.SSLContext | None = None
        self._started = AsyncExitStack()
        self._sessions: set[asyncio.Task[None]] = set()
        known, now = self.state.environment.sql_servers.values(), clock()
        self._days = {server.name: begin_day(server, now) for server in known}
        self.state.before_change = self._play_days

    @property
    def ca_pem(self) -> bytes:
        return self._authority.pem

    @property
    def addresses(self) -> Mapping[str, str]:
        """Return host:port of each server by its name."""
        return {name: f"127.0.0.1:{port}" for name, port in self.ports.items()}

    async def __aenter__(self) -> Self:
        """Open a port for each server. Raises OSError if a port is in use."""
        async with AsyncExitStack() as stack:
            if self._own_pairs:
                stack.push_async_callback(self._pairs.close)
            stack.push_async_callback(self._end_sessions)
            for number, server in enumerate(self.state.environment.sql_servers.values()):
                accept = partial(self._accept, SqlBackend(self, server.name))
                listener = await asyncio.start_server(accept, "127.0.0.1", self._first_port and self._first_port + number)
                stack.callback(listener.close)
                self.ports[server.name] = listener.sockets[0].getsockname()[1]
            self._started = stack.pop_all()
        return self

    async def __aexit__(self, *_: object) -> None:
        await self._started.aclose()

    async def _end_sessions(self) -> None:
        for task in tuple(self._sessions):
            task.cancel()
        await asyncio.gather(*self._sessions, return_exceptions=True)

    def _accept(self, backend: SqlBackend, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        """Serve a connection in a task, and close the connection with it, also if it never ran."""
        session = asyncio.create_task(backend.serve(reader, writer))
        self._sessions.add(session)
        session.add_done_callback(self._sessions.discard)
        session.add_done_callback(lambda _: writer.close())

    def context(self) -> ssl.SSLContext:
        """Return the TLS context of every server, made at first use."""
        if self._context is None:
            hosts = [server.host for server in self.state.environment.sql_servers.values() if server.host]
            self._context = self._authority.context(["localhost", "127.0.0.1", *hosts], subject="localhost")
            self._context.maximum_version = ssl.TLSVersion.TLSv1_2  # 1.3 sends tickets after the handshake, outside packets
        return self._context

    def server(self, name: str) -> SimulatedSqlServer:
        """Return a server with the active faults applied."""
        return self.state.sql_server(name)

    def now(self) -> float:
        return self._clock()

    def restart(self, name: str) -> SimulatedSqlServer:
        """Restart a server: the databases open whose vault side works now. Raises UnknownNameError."""
        server, now = self.server(self.state.find(FaultScope.SQL, name)), self._clock()
        started = replace(server, ekm_in_use=server.ekm_configured)
        opened = self.day(server).restart(started, self._sides(started), now)
        self.state.change_sql_servers([name], lambda known: known.restarted(now, opened))
        return self.server(server.name)

    def day(self, server: SimulatedSqlServer) -> SqlDay:
        """Return the day of a server until now."""
        day = self._days[server.name]
        day.advance(server, self._sides(server), max(day.at, self._clock()))
        return day

    def change_day(self, names: Iterable[str], changes: Mapping[str, Any]) -> None:
        self.state.change_sql_servers(names, lambda server: replace(server, day=replace(server.day, **changes)))

    def _play_days(self) -> None:
        """Play each day until now, before something changes that it depends on."""
        for name in self._days:
            self.day(self.server(name))

    def _sides(self, server: SimulatedSqlServer) -> dict[str, VaultSide]:
        return {key.thumbprint: vault_side(self.state, server, key) for key in server.keys}

    def _primary_backups(self, server: SimulatedSqlServer) -> dict[str, float]:
        """Return the time of the last log backup of each open database that another server backs up."""
        elsewhere = [one for one in server.databases if one.state == ONLINE and not server.makes_backups(one)]
        found: dict[str, float] = {}
        for ag, names in server.groups:
            primary = self.day(self.server(names[0])).databases
            shared = [one.name for one in elsewhere if one.ag == ag and one.name in primary]
            found |= {name: primary[name].finished[LOG][1] for name in shared if LOG in primary[name].finished}
        return found

    def refusal(self, server: SimulatedSqlServer, login: Login) -> SimulatedMessage | None:
        """Return why a login is refused, None if it is not."""
        right = login.user.lower() == USER and hmac.compare_digest(login.password.encode(), self.password.encode())
        accepted = right if login.token is None else self._accepts_token(login.token)
        if accepted and not login.integrated and not server.refuses_login:
            return None
        return SimulatedMessage(18456, f"Login failed for user '{login.user or '<token-identified principal>'}'.", level=14)

    async def view(self, server: SimulatedSqlServer) -> SqlView:
        """Return the server's rows at this moment."""
        public_keys = {key.thumbprint: await self._public_key(key) for key in server.keys}
        return SqlView(server, self.day(server), public_keys, self._primary_backups(server), self._clock())

    async def _public_key(self, key: SqlKey) -> str:
        """Return the public key of the key in the vault, as sys.asymmetric_keys shows it."""
        vaults = (self.state.environment.vaults.get(key.vault), self.state.vault(key.vault))
        known = [vault.keys[key.key_name.lower()] for vault in vaults if vault is not None and key.key_name.lower() in vault.keys]
        version = next((found for one in known if (found := one.version(key.key_version)) is not None), None)
        version = version or SimulatedKeyVersion(version=key.key_version, material=_FOREIGN)
        numbers = (await self._pairs.get(version.size, version.material)).public_key().public_numbers()
        # a PUBLICKEYBLOB of the Windows CryptoAPI, which has the modulus with its last byte first
        size = (numbers.n.bit_length() + 7) // 8
        head = bytes.fromhex("0602000000A40000") + b"RSA1" + (8 * size).to_bytes(4, "little") + numbers.e.to_bytes(4, "little")
        return f"0x{(head + numbers.n.to_bytes(size, 'little')).hex().upper()}"


class SqlBackend:
    """One server: its connections, logins and statements."""

    def __init__(self, servers: SqlServers, name: str) -> None:
        self._servers, self.server_name = servers, name
        self._connections = 0

    async def serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        """Serve one connection until the client leaves."""
        self._connections += 1
        try:
            if self._connections <= _CONNECTIONS:
                session = SqlSession(Transport(reader, writer), self.server_name, self.log_in, self.run, self._servers.context)
                await session.serve()
        except (ProtocolError, EOFError, OSError, TimeoutError):
            pass  # the client has left or is none
        finally:
            self._connections -= 1
            writer.close()
            with contextlib.suppress(OSError):
                await writer.wait_closed()

    async def log_in(self, login: Login) -> SimulatedMessage | None:
        return self._servers.refusal(await self._answering(), login)

    async def run(self, text: str) -> tuple[ResultSet, ...] | SimulatedMessage:
        server = await self._answering()
        session = event_session(text, server, self._servers.now())
        if session is not None:
            self._servers.state.change_sql_servers([server.name], partial(replace, trace=session[0]))
            return ()
        return answer(text, await self._servers.view(server))

    async def _answering(self) -> SimulatedSqlServer:
        """Return the server as it is now; a silent one never returns."""
        server = self._servers.server(self.server_name)
        if server.silent:
            await asyncio.Event().wait()
        return server
