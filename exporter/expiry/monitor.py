"""Keep the last known expiry of every credential, and repeat due lookups.

A failed lookup keeps the last known date. A failure is logged once.
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
from exporter.expiry.persistence import answers_in, document_of
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
from exporter.runtime.clock import loop_time
from exporter.runtime.logging import fields

_log = logging.getLogger(__name__)

_KEPT_SECONDS: Final = 3000.0  # between two writes of an unchanged expiry


class LookupClient(Protocol):
    """Raises only CancelledError and internal errors."""

    async def fingerprint(self, watch: MonitoredCredential) -> tuple[str, ...]: ...

    async def look_up(self, watch: MonitoredCredential, source: Source) -> LookupResult: ...

    async def aclose(self) -> None: ...


@dataclass(frozen=True, slots=True, kw_only=True)
class ExpiryCallbacks:
    """Callbacks of the monitor.

    `looked_up` receives credential, source, expiry or None, and time of each answer. `bug` receives internal errors. `recall`
    and `keep` read and write the document of a credential. `forgotten` is called if an answer no longer applies after a
    reload.
    """

    looked_up: Callable[[str, Source, float | None, float], None] = lambda _name, _source, _expires_at, _at: None
    bug: Callable[[Exception], None] = lambda _error: None
    recall: Callable[[str], Mapping[str, Any] | None] = lambda _name: None
    keep: Callable[[str, Mapping[str, Any]], None] = lambda _name, _document: None
    forgotten: Callable[[str, Source], None] = lambda _name, _source: None


@dataclass(slots=True)
class _Known:
    """The last answer of one source, and its state. `due` is a loop time."""

    expires_at: float | None = None
    looked_up_at: float | None = None
    failure: str = ""
    failures: int = 0
    due: float = 0.0
    kept: tuple[float | None, float] | None = None  # as last written


@dataclass(slots=True)
class _Entry:
    """One credential and its sources."""

    watch: MonitoredCredential
    known: dict[Source, _Known]
    fingerprint: tuple[str, ...] | None = None


class ExpiryMonitor:
    """Looks up the expiry of all credentials periodically.

    To be used from one event loop.
    """

    def __init__(
        self,
        config: Config,
        lookup: LookupClient,
        callbacks: ExpiryCallbacks,
        *,
        clock: Callable[[], float] = time.time,
        draw: Callable[[], float] = random.random,
    ) -> None:
        """`clock` gives Unix time, `draw` a number in [0, 1]."""
        self._config, self._lookup, self._callbacks = config, lookup, callbacks
        self._clock, self._draw = clock, draw
        self._slots = asyncio.Semaphore(AT_ONCE)
        self._entries = {name: _new_entry(one) for name, one in monitored_credentials(config).items()}
        self._tasks: list[asyncio.Task[None]] = []
        self._started = False

    def recall(self) -> None:
        """Restore what was known before a restart; to be called before the start.

        Blocks on small files.
        """
        for name, entry in self._entries.items():
            document = self._callbacks.recall(name) if entry.known else None
            if document is not None:
                self._restore(entry, document)

    def start(self) -> None:
        """Start the periodic lookups."""
        self._started = True
        for entry in self._entries.values():
            self._plan(entry)
        self._follow_all()

    async def reconfigure(self, config: Config, lookup: LookupClient) -> None:
        """Apply a configuration.

        Answers about the same subject are kept, with their due times.
        """
        await self.aclose()
        self._config, self._lookup = config, lookup
        before, self._entries = self._entries, {name: _new_entry(one) for name, one in monitored_credentials(config).items()}
        for name, entry in self._entries.items():
            old = before.get(name)
            if old is not None and old.watch == entry.watch:
                self._entries[name] = old
            else:
                self._inherit(old, entry)
                self._plan(entry)
        if self._started:
            self._follow_all()

    async def aclose(self) -> None:
        """Cancel all running lookups."""
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)
        self._tasks.clear()
        await self._lookup.aclose()

    def _plan(self, entry: _Entry) -> None:
        """Set when the first lookups are due."""
        for source, known in entry.known.items():
            known.due = loop_time() + first_pause(source, len(self._entries), self._draw())

    def _follow_all(self) -> None:
        for name, entry in self._entries.items():
            if entry.known:
                self._tasks.append(asyncio.create_task(self._follow(entry), name=f"expiry of {name}"))

    def _inherit(self, old: _Entry | None, entry: _Entry) -> None:
        """Keep the answers about a changed credential that are about the same subject."""
        credential = entry.watch.credential
        if old is None:
            return
        for source, known in old.known.items():
            if source in entry.known and subject(old.watch.credential, source) == subject(credential, source):
                entry.known[source] = known
            else:
                self._callbacks.forgotten(credential.name, source)

    def expiry_of(self, credential_name: str) -> tuple[CredentialExpiry, ...]:
        """Return the expiry by each source, with or without an answer.

        Empty for an unknown credential.
        """
        credential = self._config.credentials.get(credential_name)
        if credential is None:  # a reload that adds it has not reached this monitor yet
            return ()
        declared = (
            (CredentialExpiry(credential=credential_name, source=Source.DECLARED, expires_at=start_of(credential.expires_on)),)
            if credential.expires_on is not None
            else ()
        )
        entry = self._entries.get(credential_name)
        return declared if entry is None else (*declared, *_expiry(entry))

    async def look_up(self, credential_name: str, target_name: str | None = None) -> tuple[CredentialExpiry, ...]:
        """Look up every source of a credential now, and return the expiry by source.

        For a credential that no target uses, lookups use the route of the named target, else of the first one.
        """
        entry = self._entries.get(credential_name)
        if entry is None:
            target = self._config.targets[target_name or next(iter(self._config.targets))]
            entry = self._entries[credential_name] = _new_entry(watch(self._config, credential_name, target))
        await asyncio.gather(*(self._look_up(entry, source) for source in entry.known))
        return self.expiry_of(credential_name)

    async def _follow(self, entry: _Entry) -> None:
        while True:
            rest = SECRET_SECONDS
            try:
                await self._look_up_due(entry)
                rest = min(rest, max(0.0, min(known.due for known in entry.known.values()) - loop_time()))
            except Exception as error:  # noqa: BLE001 - an internal error must not end the loop
                self._callbacks.bug(error)
            await asyncio.sleep(rest)

    async def _look_up_due(self, entry: _Entry) -> None:
        fingerprint = await self._lookup.fingerprint(entry.watch)
        if entry.fingerprint not in (None, fingerprint):
            for known in entry.known.values():
                known.due, known.failures = loop_time(), 0
        entry.fingerprint = fingerprint
        for source, known in entry.known.items():
            if known.due <= loop_time():
                await self._look_up(entry, source)

    async def _look_up(self, entry: _Entry, source: Source) -> None:
        known = entry.known[source]
        try:
            async with self._slots:
                result = await self._lookup.look_up(entry.watch, source)
        except Exception as error:  # noqa: BLE001 - see `_follow`
            self._callbacks.bug(error)
            result = failed("internal error")
        self._add(entry, source, result)
        # If the answer does not list the credential, the lookup is repeated soon: a new secret is listed with a delay.
        known.failures = known.failures + 1 if result.note else 0
        known.due = loop_time() + pause(source, known.failures, self._draw())

    def _add(self, entry: _Entry, source: Source, result: LookupResult) -> None:
        known, name = entry.known[source], entry.watch.credential.name
        if result.answered:
            known.expires_at, known.looked_up_at = result.expires_at, self._clock()
            self._callbacks.looked_up(name, source, known.expires_at, known.looked_up_at)
            self._keep(entry, known)
        if result.note != known.failure:
            known.failure = result.note
            _log_change(name, source, known)

    def _keep(self, entry: _Entry, known: _Known) -> None:
        if known.looked_up_at is None:
            return
        if known.kept is None or known.kept[0] != known.expires_at or known.looked_up_at - known.kept[1] >= _KEPT_SECONDS:
            known.kept = (known.expires_at, known.looked_up_at)
            self._callbacks.keep(entry.watch.credential.name, document_of(entry.watch.credential, _expiry(entry)))

    def _restore(self, entry: _Entry, document: Mapping[str, Any]) -> None:
        name = entry.watch.credential.name
        try:
            found = answers_in(document, entry.watch.credential)
        except ValueError as error:
            _log.warning("state", extra=fields(problem=f"the stored expiry of the credential {name} {error} and is ignored"))
            return
        for source, kept in found.items():
            known = entry.known.get(source)
            if known is not None:
                known.expires_at, known.looked_up_at = kept
                known.kept = (kept.expires_at, kept.looked_up_at)
                self._callbacks.looked_up(name, source, kept.expires_at, kept.looked_up_at)


def _new_entry(one: MonitoredCredential) -> _Entry:
    return _Entry(one, {source: _Known() for source in one.sources})


def _expiry(entry: _Entry) -> tuple[CredentialExpiry, ...]:
    return tuple(
        CredentialExpiry(
            credential=entry.watch.credential.name,
            source=source,
            expires_at=known.expires_at,
            looked_up_at=known.looked_up_at,
            failure=known.failure,
        )
        for source, known in entry.known.items()
    )


def _log_change(name: str, source: Source, known: _Known) -> None:
    """Log that lookups fail with another reason, or have recovered."""
    if known.failure:
        _log.warning("expiry lookup failed", extra=fields(credential=name, source=source, problem=known.failure))
    else:
        _log.info("expiry lookup recovered", extra=fields(credential=name, source=source))
