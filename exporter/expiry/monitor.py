"""Keeps, for every credential in use, what each source last said of its end, and asks again when it is time.

For: who is asked when, how many at once, what a failed look-up leaves standing, saying a failure once. It never raises.
Not for: asking (see `lookup`), pauses as numbers (see `sources`), files (see `exporter.state.store`), metrics.
"""

from __future__ import annotations

import asyncio
import logging
import random
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any, Final, Protocol

from exporter.config.model import Config
from exporter.core.credential_expiry import CredentialExpiry, LookupResult, Source, start_of
from exporter.expiry.messages import failed
from exporter.expiry.persistence import document_of, kept_in
from exporter.expiry.sources import (
    AT_ONCE,
    SECRET_SECONDS,
    MonitoredCredential,
    first_pause,
    monitored_credentials,
    pause,
    subject,
    watch,
)
from exporter.runtime.logging import fields

_log = logging.getLogger(__name__)

_KEPT_SECONDS: Final = 3000.0  # a document is not written anew just because the same was said again, more often than that


class LookupClient(Protocol):
    """Raises nothing but CancelledError, and what would be a bug."""

    async def fingerprint(self, watch: MonitoredCredential) -> tuple[str, ...]: ...

    async def look(self, watch: MonitoredCredential, source: Source) -> LookupResult: ...

    async def aclose(self) -> None: ...


@dataclass(frozen=True, slots=True, kw_only=True)
class ExpiryCallbacks:
    """Who hears of answers (credential, source, end or None, time of the answer) and bugs; what outlives a restart, by
    name; what is known no more, since the configuration now means something else.
    """

    looked_up: Callable[[str, Source, float | None, float], None] = lambda _name, _source, _expires_at, _at: None
    bug: Callable[[Exception], None] = lambda _error: None
    recall: Callable[[str], Mapping[str, Any] | None] = lambda _name: None
    keep: Callable[[str, Mapping[str, Any]], None] = lambda _name, _document: None
    forgotten: Callable[[str, Source], None] = lambda _name, _source: None


@dataclass(slots=True)
class _Known:
    """What one source last said. `due` is in the loop's time."""

    expires_at: float | None = None
    looked_up_at: float | None = None
    failure: str = ""
    failures: int = 0
    due: float = 0.0
    kept: tuple[float | None, float] | None = None  # as it was last written


@dataclass(slots=True)
class _Entry:
    """One credential."""

    watch: MonitoredCredential
    known: dict[Source, _Known]
    stamp: tuple[str, ...] | None = None


class ExpiryMonitor:
    """To be used from one event loop."""

    def __init__(
        self,
        config: Config,
        asking: LookupClient,
        ports: ExpiryCallbacks,
        *,
        clock: Callable[[], float] = time.time,
        draw: Callable[[], float] = random.random,
    ) -> None:
        """`clock` gives Unix time, `draw` a number in [0, 1]."""
        self._config, self._asking, self._ports = config, asking, ports
        self._clock, self._draw = clock, draw
        self._slots = asyncio.Semaphore(AT_ONCE)
        self._files = {name: _file(one) for name, one in monitored_credentials(config).items()}
        self._tasks: list[asyncio.Task[None]] = []
        self._started = False

    def recall(self) -> None:
        """Takes up what was known before a restart; for the start, before anything is served. Blocks on small files."""
        for name, file in self._files.items():
            document = self._ports.recall(name) if file.known else None
            if document is not None:
                self._restore(file, document)

    def start(self) -> None:
        """From now on every source is asked at its pace."""
        self._started = True
        for file in self._files.values():
            self._plan(file)
        self._follow_all()

    async def reconfigure(self, config: Config, asking: LookupClient) -> None:
        """From now on this configuration holds. What is known of the same subject is kept, and its look-ups go on when due."""
        await self.aclose()
        self._config, self._asking = config, asking
        before, self._files = self._files, {name: _file(one) for name, one in monitored_credentials(config).items()}
        for name, file in self._files.items():
            old = before.get(name)
            if old is not None and old.watch == file.watch:
                self._files[name] = old
            else:
                self._take_over(old, file)
                self._plan(file)
        if self._started:
            self._follow_all()

    async def aclose(self) -> None:
        """Ends every look-up under way."""
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)
        self._tasks.clear()
        await self._asking.aclose()

    def _plan(self, file: _Entry) -> None:
        """When its first look-ups are due."""
        for source, known in file.known.items():
            known.due = _now() + first_pause(source, len(self._files), self._draw())

    def _follow_all(self) -> None:
        for name, file in self._files.items():
            if file.known:
                self._tasks.append(asyncio.create_task(self._follow(file), name=f"expiry of {name}"))

    def _take_over(self, old: _Entry | None, file: _Entry) -> None:
        """What is known of a credential whose configuration has changed, as far as it is about the same subject."""
        credential = file.watch.credential
        if old is None:
            return
        for source, known in old.known.items():
            if source in file.known and subject(old.watch.credential, source) == subject(credential, source):
                file.known[source] = known
            else:
                self._ports.forgotten(credential.name, source)

    def ends_of(self, credential_name: str) -> tuple[CredentialExpiry, ...]:
        """What each source says of this credential, those that have not answered yet included; nothing of one that it does not know."""
        credential = self._config.credentials.get(credential_name)
        if credential is None:  # a reload has brought it, and has not come here yet
            return ()
        declared = (
            (CredentialExpiry(credential=credential_name, source=Source.DECLARED, expires_at=start_of(credential.expires_on)),)
            if credential.expires_on is not None
            else ()
        )
        file = self._files.get(credential_name)
        return declared if file is None else (*declared, *_ends(file))

    async def look_up(self, credential_name: str, target_name: str | None = None) -> tuple[CredentialExpiry, ...]:
        """Asks every source of this credential now, and returns what is known then.

        A credential that no target uses is asked about over the way of the named target, else of the first one.
        """
        file = self._files.get(credential_name)
        if file is None:
            target = self._config.targets[target_name or next(iter(self._config.targets))]
            file = self._files[credential_name] = _file(watch(self._config, credential_name, target))
        await asyncio.gather(*(self._look(file, source) for source in file.known))
        return self.ends_of(credential_name)

    async def _follow(self, file: _Entry) -> None:
        while True:
            rest = SECRET_SECONDS
            try:
                await self._look_at_what_is_due(file)
                rest = min(rest, max(0.0, min(known.due for known in file.known.values()) - _now()))
            except Exception as error:  # noqa: BLE001 - a bug ends here: the next look-up may well go better
                self._ports.bug(error)
            await asyncio.sleep(rest)

    async def _look_at_what_is_due(self, file: _Entry) -> None:
        stamp = await self._asking.fingerprint(file.watch)
        if file.stamp not in (None, stamp):
            for known in file.known.values():
                known.due, known.failures = _now(), 0
        file.stamp = stamp
        for source, known in file.known.items():
            if known.due <= _now():
                await self._look(file, source)

    async def _look(self, file: _Entry, source: Source) -> None:
        known = file.known[source]
        try:
            async with self._slots:
                finding = await self._asking.look(file.watch, source)
        except Exception as error:  # noqa: BLE001 - see `_follow`
            self._ports.bug(error)
            finding = failed("internal error")
        self._take_in(file, source, finding)
        # An answer that knows nothing of ours is asked for again soon, too: a new secret is not listed in the same moment.
        known.failures = known.failures + 1 if finding.note else 0
        known.due = _now() + pause(source, known.failures, self._draw())

    def _take_in(self, file: _Entry, source: Source, finding: LookupResult) -> None:
        known, name = file.known[source], file.watch.credential.name
        if finding.answered:
            known.expires_at, known.looked_up_at = finding.expires_at, self._clock()
            self._ports.looked_up(name, source, known.expires_at, known.looked_up_at)
            self._keep(file, known)
        if finding.note != known.failure:
            known.failure = finding.note
            _say(name, source, known)

    def _keep(self, file: _Entry, known: _Known) -> None:
        if known.looked_up_at is None:
            return
        if known.kept is None or known.kept[0] != known.expires_at or known.looked_up_at - known.kept[1] >= _KEPT_SECONDS:
            known.kept = (known.expires_at, known.looked_up_at)
            self._ports.keep(file.watch.credential.name, document_of(file.watch.credential, _ends(file)))

    def _restore(self, file: _Entry, document: Mapping[str, Any]) -> None:
        name = file.watch.credential.name
        try:
            found = kept_in(document, file.watch.credential)
        except ValueError as error:
            _log.warning("state", extra=fields(problem=f"what was kept of the credential {name} {error} and is ignored"))
            return
        for source, kept in found.items():
            known = file.known.get(source)
            if known is not None:
                known.expires_at, known.looked_up_at = kept
                known.kept = (kept.expires_at, kept.looked_up_at)
                self._ports.looked_up(name, source, kept.expires_at, kept.looked_up_at)


def _file(one: MonitoredCredential) -> _Entry:
    return _Entry(one, {source: _Known() for source in one.sources})


def _ends(file: _Entry) -> tuple[CredentialExpiry, ...]:
    return tuple(
        CredentialExpiry(
            credential=file.watch.credential.name,
            source=source,
            expires_at=known.expires_at,
            looked_up_at=known.looked_up_at,
            failure=known.failure,
        )
        for source, known in file.known.items()
    )


def _say(name: str, source: Source, known: _Known) -> None:
    """Once per change: a failure that goes on is not said again."""
    if known.failure:
        _log.warning("expiry lookup failed", extra=fields(credential=name, source=source, problem=known.failure))
    else:
        _log.info("expiry looked up again", extra=fields(credential=name, source=source))


def _now() -> float:
    return asyncio.get_running_loop().time()
