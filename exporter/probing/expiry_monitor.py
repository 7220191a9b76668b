"""Keep the last known expiry of every credential, repeat due lookups, and keep the answers over a restart.

A failed lookup keeps the last known date, is logged once and is not stored. A stored document has dates and the subject of each, since a
configuration may change while the exporter is down. It contains no part of a secret and no fingerprint.
"""

from __future__ import annotations

import asyncio
import logging
import random
import time
from collections.abc import Callable, Mapping
from contextlib import suppress
from dataclasses import dataclass, replace
from typing import Any, Final

from msgspec import Struct, ValidationError, convert, to_builtins

from exporter.config.settings import Config
from exporter.core.values import UnixTime
from exporter.knowledge.expiry import CredentialExpiry, Source, start_of
from exporter.probing.expiry import (
    CONCURRENT_LOOKUPS,
    LOOKUP_SECONDS,
    SECRET_SECONDS,
    ExpiryLookup,
    MonitoredCredential,
    failed,
    first_delay,
    monitored_credential,
    monitored_credentials,
    next_delay,
    subject,
)
from exporter.runtime.logging import fields
from exporter.runtime.loop import loop_time
from exporter.runtime.tasks import PeriodicRunner, reported

_log = logging.getLogger(__name__)

_REWRITE_SECONDS: Final = 3000.0  # between two writes of an unchanged expiry


class StoredAnswer(Struct, frozen=True):
    """An answer of a source about its subject."""

    subject: tuple[str, ...]
    expires_at: UnixTime | None
    looked_up_at: UnixTime


class StoredExpiry(Struct, frozen=True):
    """The stored document of a credential: every source that has answered."""

    sources: dict[Source, StoredAnswer]


@dataclass(frozen=True, slots=True, kw_only=True)
class ExpiryCallbacks:
    """Callbacks of `ExpiryMonitor`.

    `on_lookup` receives credential, source, expiry or None, and time of each answer. `on_internal_error` receives internal
    errors. `load` and `store` read and write the document of a credential. `on_forgotten` is called if an answer no longer
    applies after a reload.
    """

    on_lookup: Callable[[str, Source, float | None, float], None] = lambda _name, _source, _expires_at, _at: None
    on_internal_error: Callable[[Exception], None] = lambda _error: None
    load: Callable[[str], Mapping[str, Any] | None] = lambda _name: None
    store: Callable[[str, Mapping[str, Any]], None] = lambda _name, _document: None
    on_forgotten: Callable[[str, Source], None] = lambda _name, _source: None


@dataclass(slots=True)
class _SourceState:
    """What one source says about its subject. `due` is a loop time."""

    subject: tuple[str, ...]
    expiry: CredentialExpiry
    failures: int = 0
    due: float = 0.0
    stored: CredentialExpiry | None = None  # as last written


@dataclass(slots=True)
class _ExpiryEntry:
    """One credential and its sources. `due` is a loop time."""

    monitored: MonitoredCredential
    states: dict[Source, _SourceState]
    due: float = 0.0
    fingerprint: tuple[str, ...] | None = None


class ExpiryMonitor:
    """Looks up the expiry of all credentials periodically. Use it from one event loop."""

    def __init__(
        self,
        config: Config,
        lookup: ExpiryLookup,
        callbacks: ExpiryCallbacks,
        *,
        clock: Callable[[], float] = time.time,
        draw: Callable[[], float] = random.random,
    ) -> None:
        """`clock` gives Unix time, `draw` a number in [0, 1]."""
        self._config, self._lookup, self._callbacks = config, lookup, callbacks
        self._clock, self._draw = clock, draw
        self._slots = asyncio.Semaphore(CONCURRENT_LOOKUPS)
        self._entries = {name: _new_entry(one) for name, one in monitored_credentials(config).items()}
        self._runner = PeriodicRunner(
            self._look_up_due,
            pause=lambda _entry: SECRET_SECONDS,
            on_error=lambda _entry, error: callbacks.on_internal_error(error),
            name="expiry of",
        )
        self._started = False

    def restore(self) -> None:
        """Load the last known expiries from before a restart. Call it before `start`. Blocks on small files."""
        for name, entry in self._entries.items():
            document = self._callbacks.load(name) if entry.states else None
            try:
                stored = {} if document is None else convert(document, StoredExpiry).sources
            except ValidationError:
                problem = f"the stored expiry of the credential {name} is damaged and is ignored"
                _log.warning("state", extra=fields(problem=problem))
                continue
            for source, answer in stored.items():
                state = entry.states.get(source)
                if state is not None and state.subject == answer.subject:
                    known = replace(state.expiry, expires_at=answer.expires_at, looked_up_at=answer.looked_up_at)
                    state.expiry = state.stored = known
                    self._callbacks.on_lookup(name, source, answer.expires_at, answer.looked_up_at)

    def start(self) -> None:
        """Start the periodic lookups."""
        self._started = True
        for entry in self._entries.values():
            self._plan(entry)
        self._follow_all()

    async def reconfigure(self, config: Config, lookup: ExpiryLookup) -> None:
        """Apply a configuration. Answers about the same subject are kept, with their due times."""
        await self.aclose()
        self._config, self._lookup = config, lookup
        before, self._entries = self._entries, {name: _new_entry(one) for name, one in monitored_credentials(config).items()}
        for name, entry in self._entries.items():
            old = before.get(name)
            if old is not None and old.monitored == entry.monitored:
                self._entries[name] = old
                continue
            for source, state in ({} if old is None else old.states).items():
                if source in entry.states and entry.states[source].subject == state.subject:
                    entry.states[source] = state
                else:
                    self._callbacks.on_forgotten(name, source)
            self._plan(entry)
        if self._started:
            self._follow_all()

    async def aclose(self) -> None:
        """Cancel all running lookups."""
        await self._runner.aclose()
        await self._lookup.aclose()

    def _plan(self, entry: _ExpiryEntry) -> None:
        """Set the due times of the first lookups."""
        for source, state in entry.states.items():
            state.due = loop_time() + first_delay(source, len(self._entries), self._draw())

    def _follow_all(self) -> None:
        for name, entry in self._entries.items():
            if entry.states:
                entry.due = loop_time()
                self._runner.start(name, entry)

    def expiry_of(self, credential_name: str) -> tuple[CredentialExpiry, ...]:
        """Return the expiry by each source, with or without an answer. The result is empty for an unknown credential."""
        credential = self._config.credentials.get(credential_name)
        if credential is None:  # a reload adds it, and has not reached this monitor
            return ()
        declared = (
            (CredentialExpiry(credential=credential_name, source=Source.DECLARED, expires_at=start_of(credential.expires_on)),)
            if credential.expires_on is not None
            else ()
        )
        entry = self._entries.get(credential_name)
        return declared if entry is None else (*declared, *(state.expiry for state in entry.states.values()))

    async def look_up(self, credential_name: str, target_name: str | None = None) -> tuple[CredentialExpiry, ...]:
        """Look up every source of a credential now, and return the expiry by source.

        For a credential that no target uses, lookups use the route of the named target, else of the first one.
        """
        entry = self._entries.get(credential_name)
        if entry is None:
            target = self._config.targets[target_name or next(iter(self._config.targets))]
            entry = self._entries[credential_name] = _new_entry(monitored_credential(self._config, credential_name, target))
        with reported(self._callbacks.on_internal_error), suppress(TimeoutError):
            async with asyncio.timeout(LOOKUP_SECONDS):  # a file may hang
                await self._lookup.fingerprint(entry.monitored)  # reads the secrets: an answer with one of them is masked
        await asyncio.gather(*(self._look_up(entry, source) for source in entry.states))
        return self.expiry_of(credential_name)

    async def _look_up_due(self, entry: _ExpiryEntry) -> None:
        fingerprint = await self._lookup.fingerprint(entry.monitored)
        if entry.fingerprint not in (None, fingerprint):
            for state in entry.states.values():
                state.due, state.failures = loop_time(), 0
        entry.fingerprint = fingerprint
        for source, state in entry.states.items():
            if state.due <= loop_time():
                await self._look_up(entry, source)
        entry.due = min(loop_time() + SECRET_SECONDS, *(state.due for state in entry.states.values()))

    async def _look_up(self, entry: _ExpiryEntry, source: Source) -> None:
        state, result = entry.states[source], failed("internal error")
        with reported(self._callbacks.on_internal_error):
            async with self._slots:
                result = await self._lookup.look_up(entry.monitored, source)
        name, before = entry.monitored.credential.name, state.expiry
        state.expiry = replace(before, failure=result.note)
        if result.answered:
            now = self._clock()
            state.expiry = replace(state.expiry, expires_at=result.expires_at, looked_up_at=now)
            self._callbacks.on_lookup(name, source, result.expires_at, now)
            self._store(entry, state, now)
        if result.note and result.note != before.failure:
            _log.warning("expiry lookup failed", extra=fields(credential=name, source=source, problem=result.note))
        elif result.note != before.failure:
            _log.info("expiry lookup recovered", extra=fields(credential=name, source=source))
        # If the answer does not list the credential, the lookup is repeated soon: a new secret is listed with a delay.
        state.failures = state.failures + 1 if result.note else 0
        state.due = loop_time() + next_delay(source, state.failures, self._draw())

    def _store(self, entry: _ExpiryEntry, state: _SourceState, now: float) -> None:
        """Write what is known of a credential, if its date changed or the last writing is long ago."""
        kept = state.stored
        if kept is None or kept.expires_at != state.expiry.expires_at or now - (kept.looked_up_at or 0.0) >= _REWRITE_SECONDS:
            state.stored = state.expiry
            answers = {
                source: StoredAnswer(each.subject, each.expiry.expires_at, each.expiry.looked_up_at)
                for source, each in entry.states.items()
                if each.expiry.looked_up_at is not None
            }
            self._callbacks.store(entry.monitored.credential.name, to_builtins(StoredExpiry(answers)))


def _new_entry(one: MonitoredCredential) -> _ExpiryEntry:
    name = one.credential.name
    return _ExpiryEntry(
        one,
        {
            source: _SourceState(subject(one.credential, source), CredentialExpiry(credential=name, source=source))
            for source in one.sources
        },
    )
