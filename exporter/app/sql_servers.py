"""The SQL Servers of the configuration, which the running exporter reads.

Of the running exporter, this module alone reads SQL Servers; `inventory` and `doctor` do so too. It imports what connects to them, and the
rules, if the configuration names a SQL Server: they are an eighth of the exporter's own imports.
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
import time
from collections.abc import Callable, Collection, Iterable, Mapping
from dataclasses import replace
from functools import partial
from itertools import chain
from typing import TYPE_CHECKING, Any

from exporter.config.settings import Config, Credential, Settings
from exporter.config.usage import compared_targets
from exporter.core.durations import moment
from exporter.core.names import Match, ServerNames, told_apart
from exporter.core.values import TokenResult, Vantage
from exporter.knowledge.expiry import CredentialExpiry, Source
from exporter.metrics.recorder import Recorder
from exporter.probing.tokens import DatabaseTokens
from exporter.runtime.logging import fields
from exporter.runtime.loop import loop_time, yield_with_pauses
from exporter.runtime.process import ExtraMissingError, computer_name, is_installed
from exporter.runtime.tasks import reported
from exporter.state.store import DocumentKind, StateStore

if TYPE_CHECKING:
    from exporter.presentation.payloads import Payload
    from exporter.sqlserver.alerting import Watch
    from exporter.sqlserver.differences import DeclaredTargets, Difference
    from exporter.sqlserver.gate.conditions import TargetState
    from exporter.sqlserver.gate.inputs import RestartReadiness
    from exporter.sqlserver.monitor import SqlServerMonitor
    from exporter.sqlserver.reading import SqlServerReading

_log = logging.getLogger(__name__)
_ENDS = (Source.DECLARED, Source.GRAPH, Source.KEY_VAULT)  # of secrets; SQL Server has no certificate
_ITSELF = "this exporter"
_PAUSE_SECONDS = 15.0  # between two searches for the restart readiness
_ROWS_PER_SLICE = 25
_NOTHING = Config(settings=Settings(), credentials={}, modules={}, targets={})  # before the first configuration
_NOT_KEPT = "a refused login is tried again after each restart, so a wrong password can lock it: set --state.dir"


class SqlServerReadings:
    """What is known of the SQL Servers: nothing unless `enabled`. Use it from one event loop."""

    def __init__(
        self,
        store: StateStore,
        recorder: Recorder,
        *,
        enabled: bool,
        target_rows: Callable[[float], Iterable[Payload]],
        on_internal_error: Callable[[Exception], None],
        expiries_of: Callable[[str], Iterable[CredentialExpiry]] = lambda _credential: (),
    ) -> None:
        """`target_rows` returns what the gate needs of each target at a Unix time."""
        self._store, self._recorder, self._enabled, self._on_internal_error = store, recorder, enabled, on_internal_error
        self._expiries_of, self._target_rows = expiries_of, target_rows
        self._readiness: dict[str, list[RestartReadiness]] = {}  # by address
        self._watches: dict[str, Watch] = {}  # by address: what alerts rest on
        self._is_read = asyncio.Event()
        self._following: asyncio.Task[None] | None = None
        self._config = self._whole = _NOTHING
        self._applying = asyncio.Lock()
        self._monitor: SqlServerMonitor | None = None
        self._tokens: DatabaseTokens | None = None
        self._declared: DeclaredTargets | None = None
        self._compared: dict[str, tuple[SqlServerReading, tuple[Difference, ...]]] = {}  # by address: what is shown
        self._credentials: dict[str, tuple[Credential, ...]] = {}  # of each target of all shards: the present and the staged one
        self._told_apart: dict[str, ServerNames] = {}

    def require_driver(self, config: Config) -> None:
        """Raise ExtraMissingError if the driver is needed and not installed."""
        if config.sql_servers and self._enabled and not is_installed("sql"):
            raise ExtraMissingError("sql")

    def unread(self, config: Config) -> Collection[str]:
        """Return the SQL Servers that `apply` would begin to read."""
        return config.sql_servers.keys() - self._config.sql_servers if self._enabled else ()

    async def apply(self, config: Config, whole: Config) -> None:
        """Read the SQL Servers of this configuration from now on.

        Compare them with the targets of all shards, which `whole` has.
        """
        async with self._applying:
            before, self._config, self._whole = self._config, config, whole
            if not self._enabled or (self._monitor is None and not config.sql_servers):
                return
            from exporter.sqlserver.differences import DeclaredTargets  # noqa: PLC0415 - see above
            from exporter.sqlserver.reading import names_of  # noqa: PLC0415

            # The targets of all shards: another shard may probe the key of a SQL Server that this one reads.
            self._declared = DeclaredTargets(
                compared_targets(whole),
                lambda name: None if (record := self._store.get(name)) is None else record.key,
                lambda reading: self._told_apart.get(reading.address) or names_of(reading),  # told apart from those of the others
            )
            self._credentials = {
                target.name: tuple(whole.credentials[name] for name in (target.credential, target.next_credential) if name)
                for target in compared_targets(whole)
            }
            tokens = self._tokens
            if tokens is None or (before.credentials, before.modules) != (config.credentials, config.modules):
                self._tokens = DatabaseTokens(config, on_request=lambda: self._recorder.requested("entra"))
            if self._monitor is not None:
                await self._monitor.reconfigure(config)
                await self._compare_all()
            else:
                await self._start(config)
            if tokens is not None and tokens is not self._tokens:
                await tokens.aclose()

    async def _start(self, config: Config) -> None:
        from exporter.sqlserver.monitor import ServerReader, SqlServerMonitor  # noqa: PLC0415 - see above

        if not self._store.has_folder and any(server.user is not None for server in config.sql_servers.values()):
            _log.warning("state", extra=fields(problem=_NOT_KEPT))
        self._monitor = SqlServerMonitor(
            config,
            ServerReader(self._token_of, self._secret_ends),
            compare=self._compare,
            on_forgotten=self._forget,
            on_internal_error=self._on_internal_error,
            load=partial(self._store.recall_document, DocumentKind.SQL_SERVER),
            store=partial(self._store.keep_document, DocumentKind.SQL_SERVER),
        )
        await self._monitor.start()
        self._following = asyncio.create_task(self._follow(), name="restart readiness")

    async def aclose(self) -> None:
        """End all readings without waiting for a server."""
        if self._following is not None:
            self._following.cancel()
            await asyncio.gather(self._following, return_exceptions=True)
        if self._monitor is not None:
            await self._monitor.aclose()
        if self._tokens is not None:
            await self._tokens.aclose()

    def readings(self) -> tuple[SqlServerReading, ...]:
        """Return what is known of each SQL Server, in the order of the configuration."""
        return () if self._monitor is None else self._monitor.readings()

    def differences(self) -> tuple[Difference, ...]:
        """Return where the configuration differs from the SQL Servers."""
        known = (self._compared[each.address][1] for each in self.readings() if each.address in self._compared)
        return tuple(chain.from_iterable(known))

    def readiness(self) -> tuple[RestartReadiness, ...]:
        """Return the restart readiness of each node and key, as it was found last."""
        return tuple(each for known in self._readiness.values() for each in known)

    async def _follow(self) -> None:
        """Find the restart readiness after each reading and every 15 seconds: targets and clocks go on. It takes a twentieth of the time at most."""
        while True:
            self._is_read.clear()
            began = loop_time()
            with reported(self._on_internal_error):
                await self._find_readiness()
            await asyncio.sleep(20 * (loop_time() - began))
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(_PAUSE_SECONDS):
                    await self._is_read.wait()

    async def _find_readiness(self) -> None:
        now, readings, vantage = time.time(), self.readings(), self._config.settings.vantage
        rows = [row async for row in yield_with_pauses(self._target_rows(now), _ROWS_PER_SLICE)]
        host = computer_name() if vantage is Vantage.SQL_HOST else None
        about = {"at": moment(now), "vantage": vantage.value, "host": host, "targets": rows}
        config_file = next((each.config_file for each in self._config.targets.values()), None)
        found, targets = await asyncio.to_thread(_readiness_of, about, readings, str(config_file or ""), now)
        self._readiness = {each.address: [one for one in found if one.address == each.address] for each in readings}
        async for reading in yield_with_pauses(readings, 1):
            self._watches[reading.address], show = await asyncio.to_thread(self._watch, reading, readings, targets, now)
            if self._compared.get(reading.address, (None,))[0] is reading:  # else it was read again, or forgotten
                show()

    def _watch(
        self, reading: SqlServerReading, readings: Iterable[SqlServerReading], targets: Iterable[TargetState], now: float
    ) -> tuple[Watch, Callable[[], None]]:
        """Add what a SQL Server shows now to what is known of it, and return that with what shows the series that change between two readings."""
        from exporter.metrics.sql_server import alert_samples, readiness_samples  # noqa: PLC0415 - see above
        from exporter.sqlserver.alerting import WatchedServer, watched  # noqa: PLC0415 - see above

        listing = {} if self._declared is None else self._declared.listing(reading)
        names = {name for name, (_, match) in listing.items() if match is Match.CERTAIN}
        own, others = [each for each in targets if each.name in names], [each for each in readings if each is not reading]
        server = WatchedServer(reading, own, others)
        watch = watched(self._watches.get(reading.address), server, now)
        settings, whole = self._config.settings, self._whole
        alerts = alert_samples(
            watch,
            server,
            [whole.targets[name] for name in names & whole.targets.keys()],
            settings.sql_interval,
            now,
            windows=whole.settings.maintenance,
            targets=sorted(names & self._config.targets.keys()),
        )
        samples = readiness_samples(self._readiness.get(reading.address, ()), now) | alerts
        return watch, self._recorder.sql_servers.render(reading, samples)

    async def _compare_all(self) -> None:
        """Compare again after a reload, on a thread: a large SQL Server takes 100 ms."""
        for address, before in tuple(self._compared.items()):
            show = await asyncio.to_thread(self._compare, before[0])
            if self._compared.get(address) is before:  # else it was read again, or forgotten
                show()

    def _secret_ends(self, reading: SqlServerReading) -> dict[str, set[float]]:
        """Return when the secrets end with which a SQL Server may sign in, as far as that is known, by client id, else by credential."""
        found: dict[str, set[float]] = {}
        listing = {} if self._declared is None else self._declared.listing(reading)
        for credential in (each for target in listing for each in self._credentials.get(target, ())):
            known = [each for each in self._expiries_of(credential.name) if each.source in _ENDS and not each.wrong]
            ends = {each.expires_at for each in known if each.expires_at is not None}
            found.setdefault(credential.client_id or credential.name, set()).update(ends)
        return found

    async def _token_of(self, credential: str) -> TokenResult:
        while True:
            tokens = self._tokens
            assert tokens is not None  # noqa: S101 - `apply` made it
            result = await tokens.token_of(credential)
            if result.token is not None or tokens is self._tokens:
                return result  # else a reload has ended the request

    def _compare(self, reading: SqlServerReading) -> Callable[[], bool]:
        """Compare with the targets and render the series, on a thread.

        Return what shows both on the event loop, and whether it did: not if a reload has changed the targets since.
        """
        from exporter.metrics.sql_server import sql_server_samples  # noqa: PLC0415 - see above
        from exporter.sqlserver.differences import find_differences  # noqa: PLC0415
        from exporter.sqlserver.reading import names_of  # noqa: PLC0415

        declared = self._declared
        assert declared is not None  # noqa: S101 - `apply` set it
        self._told_apart = told_apart({each.address: names_of(each) for each in self.readings()})
        differences = find_differences(reading, declared)
        show_series = self._recorder.sql_servers.render(reading, sql_server_samples(reading, differences))

        def show() -> bool:
            if declared is not self._declared:
                return False
            _log_sections(self._compared[reading.address][0] if reading.address in self._compared else None, reading)
            self._compared[reading.address] = reading, differences
            show_series()
            self._is_read.set()
            return True

        return show

    def _forget(self, address: str) -> None:
        self._compared.pop(address, None)
        self._readiness.pop(address, None)
        self._watches.pop(address, None)
        self._recorder.sql_servers.forget(address)
        self._store.forget_document(DocumentKind.SQL_SERVER, address)


def _readiness_of(
    about: Mapping[str, Any], readings: tuple[SqlServerReading, ...], config_file: str, now: float
) -> tuple[tuple[RestartReadiness, ...], tuple[TargetState, ...]]:
    """Return what the gate answers from this exporter alone, which is asked as the gate asks it, and the targets.

    Its commands have the path of the configuration, if that is known.
    """
    from exporter.sqlserver.gate.assess import assess  # noqa: PLC0415 - see above
    from exporter.sqlserver.gate.conditions import UNKNOWN_FILE, GateReason  # noqa: PLC0415
    from exporter.sqlserver.gate.exporters import state_of  # noqa: PLC0415
    from exporter.sqlserver.gate.inputs import Inventory, Question  # noqa: PLC0415

    state = state_of(about, _ITSELF)
    if isinstance(state, GateReason):
        raise TypeError(state.text)
    question = Question(every=True, file=config_file or UNKNOWN_FILE)
    return assess(question, Inventory(), {_ITSELF: replace(state, readings=readings)}, now=now).readiness, state.targets


def _log_sections(before: SqlServerReading | None, reading: SqlServerReading) -> None:
    """Log once which sections can no longer be read, and which can again."""
    lost, losing = set(() if before is None else before.document.errors), set(reading.document.errors)
    for log, text, names in (
        (_log.warning, "SQL Server sections not read", losing - lost),
        (_log.info, "SQL Server sections read again", lost - losing),
    ):
        if names:
            log(text, extra=fields(server=reading.address, sections=",".join(sorted(names))))
