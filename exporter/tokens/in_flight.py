"""Token requests under way, and their responses: what probes of one credential share."""

from __future__ import annotations

import asyncio
from collections.abc import Hashable
from contextvars import Context, copy_context
from dataclasses import dataclass, field
from typing import NamedTuple

from exporter.clients.http.network import Network
from exporter.config.settings import Credential, Module
from exporter.core.model import Challenge, TokenResponse
from exporter.runtime.thread_pool import PoolExhausted
from exporter.tokens.secret_cache import CredentialSecret


class TokenKey(NamedTuple):
    """What a token depends on, in addition to the credential and its secret."""

    authority: str
    tenant: str
    resource: str
    route: Hashable


@dataclass(slots=True, eq=False)
class CredentialEntry:
    """Fetches of one credential with one secret. A changed secret gets a new entry."""

    credential: Credential
    secret: CredentialSecret
    flights: dict[TokenKey, InFlightFetch] = field(default_factory=dict)

    def empty(self) -> None:
        """Give the responses of all fetches to no later probe."""
        for flight in list(self.flights.values()):
            flight.forget()


@dataclass(slots=True, eq=False)
class InFlightFetch:
    """A fetch and, when it is done, its response. All times are loop times."""

    entry: CredentialEntry
    key: TokenKey
    network: Network  # of the probe that started it; a reload does not change it
    challenge: Challenge
    window_start: float  # the start of the first probe that needed it
    began: float
    context: Context = field(default_factory=copy_context)
    # PoolExhausted is a result: a raised error would keep this object alive, and this object keeps the task.
    task: asyncio.Task[TokenResponse | PoolExhausted] = field(init=False)
    duration: float = 0.0
    unusable_from: float = float("inf")  # end of the token's life, less the last seconds
    counted: bool = False  # one probe has received it as its own measurement
    timer: asyncio.TimerHandle | None = None

    @property
    def module(self) -> Module:
        return self.network.module

    @property
    def current(self) -> bool:
        return self.entry.flights.get(self.key) is self

    @property
    def granted(self) -> bool:
        """Whether the finished fetch brought a token."""
        response = self.task.result()
        return not isinstance(response, PoolExhausted) and response.token is not None

    def forget(self) -> None:
        """Give the response to no later probe; those that wait still receive it."""
        if self.current:
            del self.entry.flights[self.key]
        if self.timer is not None:
            self.timer.cancel()
