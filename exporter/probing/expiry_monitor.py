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
from dataclasses import dataclass
from typing import Any, Final, NamedTuple, Protocol

from exporter.clients.answers import unix_time
from exporter.config.settings import Config, Credential
from exporter.knowledge.expiry import CredentialExpiry, LookupResult, Source, start_of
from exporter.probing.expiry import (
    CONCURRENT_LOOKUPS,
    SECRET_SECONDS,
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


class StoredExpiry(NamedTuple):
    """An answer of a source, in Unix times."""

    expires_at: float | None
    looked_up_at: float


def document_of(credential: Credential, answers: tuple[CredentialExpiry, ...]) -> dict[str, Any]:
    """Return a JSON document with every source that has answered."""
    return {
        "sources": {
            str(answer.source): {
                "subject": list(subject(credential, answer.source)),
                "expires_at": answer.expires_at,
                "looked_up_at": answer.looked_up_at,
            }
            for answer in answers
            if answer.looked_up_at is not None
        }
    }


def answers_in(document: Mapping[str, Any], credential: Credential) -> dict[Source, StoredExpiry]:
    """Return the answers about this credential. Raises ValueError for a damaged document."""
    try:
        sources = {Source(name): dict(entry) for name, entry in document["sources"].items()}
        return {
            source: StoredExpiry(
                None if entry["expires_at"] is None else _known_time(entry["expires_at"]), _known_time(entry["looked_up_at"])
            )
            for source, entry in sources.items()
            if entry["subject"] == list(subject(credential, source))
        }
    except (KeyError, TypeError, AttributeError, ValueError) as error:
        raise ValueError(f"is damaged ({type(error).__name__})") from None


def _known_time(value: object) -> float:
    moment = unix_time(value)
    if moment is None:
        raise ValueError("no time")
    return moment


class LookupClient(Protocol):
    """Raises only CancelledError and internal errors."""

    async def fingerprint(self, monitored: MonitoredCredential) -> tuple[str, ...]: ...

    async def look_up(self, monitored: MonitoredCredential, source: Source) -> LookupResult: ...

    async def aclose(self) -> None: ...


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
    """The last answer of one source, and its state. `due` is a loop time."""

    expires_at: float | None = None
    looked_up_at: float | None = None
    failure: str = ""
    failures: int = 0
    due: float = 0.0
    stored: tuple[float | None, float] | None = None  # as last written


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
        lookup: LookupClient,
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
            if document is not None:
                self._restore_entry(entry, document)

    def start(self) -> None:
        """Start the periodic lookups."""
        self._started = True
        for entry in self._entries.values():
            self._plan(entry)
        self._follow_all()

    async def reconfigure(self, config: Config, lookup: LookupClient) -> None:
        """Apply a configuration. Answers about the same subject are kept, with their due times."""
        await self.aclose()
        self._config, self._lookup = config, lookup
        before, self._entries = self._entries, {name: _new_entry(one) for name, one in monitored_credentials(config).items()}
        for name, entry in self._entries.items():
            old = before.get(name)
            if old is not None and old.monitored == entry.monitored:
                self._entries[name] = old
            else:
                self._inherit(old, entry)
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

    def _inherit(self, old: _ExpiryEntry | None, entry: _ExpiryEntry) -> None:
        """Keep those answers about a changed credential that have the same subject."""
        credential = entry.monitored.credential
        if old is None:
            return
        for source, state in old.states.items():
            if source in entry.states and subject(old.monitored.credential, source) == subject(credential, source):
                entry.states[source] = state
            else:
                self._callbacks.on_forgotten(credential.name, source)

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
        return declared if entry is None else (*declared, *_expiry(entry))

    async def look_up(self, credential_name: str, target_name: str | None = None) -> tuple[CredentialExpiry, ...]:
        """Look up every source of a credential now, and return the expiry by source.

        For a credential that no target uses, lookups use the route of the named target, else of the first one.
        """
        entry = self._entries.get(credential_name)
        if entry is None:
            target = self._config.targets[target_name or next(iter(self._config.targets))]
            entry = self._entries[credential_name] = _new_entry(monitored_credential(self._config, credential_name, target))
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
        self._add(entry, source, result)
        # If the answer does not list the credential, the lookup is repeated soon: a new secret is listed with a delay.
        state.failures = state.failures + 1 if result.note else 0
        state.due = loop_time() + next_delay(source, state.failures, self._draw())

    def _add(self, entry: _ExpiryEntry, source: Source, result: LookupResult) -> None:
        state, name = entry.states[source], entry.monitored.credential.name
        if result.answered:
            state.expires_at, state.looked_up_at = result.expires_at, self._clock()
            self._callbacks.on_lookup(name, source, state.expires_at, state.looked_up_at)
            self._store(entry, state)
        if result.note != state.failure:
            state.failure = result.note
            if result.note:
                _log.warning("expiry lookup failed", extra=fields(credential=name, source=source, problem=result.note))
            else:
                _log.info("expiry lookup recovered", extra=fields(credential=name, source=source))

    def _store(self, entry: _ExpiryEntry, state: _SourceState) -> None:
        if state.looked_up_at is None:
            return
        if (
            state.stored is None
            or state.stored[0] != state.expires_at
            or state.looked_up_at - state.stored[1] >= _REWRITE_SECONDS
        ):
            state.stored = (state.expires_at, state.looked_up_at)
            self._callbacks.store(entry.monitored.credential.name, document_of(entry.monitored.credential, _expiry(entry)))

    def _restore_entry(self, entry: _ExpiryEntry, document: Mapping[str, Any]) -> None:
        name = entry.monitored.credential.name
        try:
            found = answers_in(document, entry.monitored.credential)
        except ValueError as error:
            _log.warning("state", extra=fields(problem=f"the stored expiry of the credential {name} {error} and is ignored"))
            return
        for source, kept in found.items():
            state = entry.states.get(source)
            if state is not None:
                state.expires_at, state.looked_up_at = kept
                state.stored = (kept.expires_at, kept.looked_up_at)
                self._callbacks.on_lookup(name, source, kept.expires_at, kept.looked_up_at)


def _new_entry(one: MonitoredCredential) -> _ExpiryEntry:
    return _ExpiryEntry(one, {source: _SourceState() for source in one.sources})


def _expiry(entry: _ExpiryEntry) -> tuple[CredentialExpiry, ...]:
    return tuple(
        CredentialExpiry(
            credential=entry.monitored.credential.name,
            source=source,
            expires_at=state.expires_at,
            looked_up_at=state.looked_up_at,
            failure=state.failure,
        )
        for source, state in entry.states.items()
    )
