"""Runs a response through the code of a probe without a network.

The property tests and the fuzzer use it; `invariants` checks the outcome.
"""

import asyncio
from collections.abc import Awaitable, Callable, Coroutine
from dataclasses import dataclass, field
from typing import Any, Self

import aiohttp
from multidict import CIMultiDict

from exporter.clients.entra import fetch_token, quiet_sdk_loggers
from exporter.clients.http.exchange import CURRENT, Exchange, Response
from exporter.clients.key_vault import VaultSession
from exporter.config.settings import Credential, Module
from exporter.core.secrets import remember
from exporter.core.values import Challenge, CredentialKind, Facts, KeyFacts, Step

VAULT = "contoso.vault.azure.net"
# The exporter sends these, so no text about a response may contain them.
TOKEN = "eyJ0b2tlbg.c2VudC1ieS1pdA.bWFya2Vk"
SECRET = "S3CRET~MARK~sent by it"
CREDENTIAL = Credential(name="c", kind=CredentialKind.CLIENT_SECRET, client_id="66666666-7777-8888-9999-000000000000")
ENTRA = Challenge(
    authority="https://login.microsoftonline.com", tenant="contoso.onmicrosoft.com", resource="https://vault.azure.net"
)
KEY = KeyFacts(name="k", version="1", kid=f"https://{VAULT}/keys/k/1", kty="RSA", size_bits=2048, modulus=b"", exponent=b"")


@dataclass(frozen=True, slots=True)
class Reported:
    """One response at one step. If not `complete`, the body broke off or was late (`timed_out`)."""

    step: Step
    status: int
    headers: tuple[tuple[str, str], ...] = ()
    body: bytes = b""
    complete: bool = True
    timed_out: bool = False


@dataclass(slots=True)
class Outcome:
    facts: Facts
    value: Any = field(repr=False)
    expires_at: float | None = None


def outcome(reported: Reported) -> Outcome:
    """The facts of a step with this response, and its value if the step succeeded."""
    for sent in (SECRET, TOKEN):  # as the exporter does when it reads a secret and receives a token
        remember(sent)
    seen = _seen(reported)
    if reported.step is Step.TOKEN:
        return _token(seen)
    session, deadline = _Replayed(seen), 0.0
    query: dict[Step, Any] = {
        Step.CHALLENGE: lambda: session.challenge(deadline=deadline),
        Step.GET_KEY: lambda: session.get_key(TOKEN, KEY.name, KEY.version, deadline=deadline),
        Step.WRAP_KEY: lambda: session.operate(Step.WRAP_KEY, TOKEN, KEY, "RSA-OAEP", b"data", deadline=deadline),
        Step.UNWRAP_KEY: lambda: session.operate(Step.UNWRAP_KEY, TOKEN, KEY, "RSA-OAEP", b"data", deadline=deadline),
    }
    return Outcome(*_at_once(query[reported.step]()))


class _Replayed(VaultSession):
    """A session that returns a recorded exchange."""

    def __init__(self, seen: Exchange) -> None:
        self._seen = seen
        self.host = VAULT
        self._module, self._query = Module(name="default"), "api-version=7.4"

    async def send(self, *_: Any, **__: Any) -> Exchange:
        return self._seen


class _ReplayedNetwork:
    """A network that gives the SDK a recorded response, or the error that interrupted it."""

    module = Module(name="default")

    def __init__(self, seen: Exchange) -> None:
        self._seen = seen
        seen.connection = self

    def connection(self, *_: object) -> Self:
        return self

    async def exchange(self, call: Callable[[], Awaitable[object]], **_: float) -> Exchange:
        named = CURRENT.set(self._seen)
        try:
            self._seen.result = await call()
        except Exception as error:  # noqa: BLE001 - as in the exchange itself
            self._seen.error = error
        finally:
            CURRENT.reset(named)
        return self._seen

    async def send(self, *_: object) -> Response:
        if self._seen.error is not None:
            raise self._seen.error
        return self._seen.response

    async def close(self) -> None: ...


quiet_sdk_loggers()  # as the exporter does
_LOOP = asyncio.new_event_loop()  # no exchange waits, so it never runs


def _seen(reported: Reported) -> Exchange:
    headers = CIMultiDict(reported.headers)
    answer = Response(None, reported.status, headers, reported.body, reported.complete)
    error = None if reported.complete else aiohttp.ClientPayloadError("the body broke off")
    return Exchange(
        f"{VAULT}:443",
        response=answer,
        error=error,
        timed_out=reported.timed_out,
        at={"received": 1.0, "ended": 1.0},
        _loop=_LOOP,
    )


def _token(seen: Exchange) -> Outcome:
    reported = _at_once(fetch_token(_ReplayedNetwork(seen), CREDENTIAL, SECRET, ENTRA, deadline=0.0))
    return Outcome(reported.facts, reported.token, reported.expires_at)


def _at_once(coroutine: Coroutine[Any, Any, Any]) -> Any:
    """The result of a coroutine that never waits."""
    try:
        coroutine.send(None)
    except StopIteration as stop:
        return stop.value
    coroutine.close()
    raise AssertionError("the coroutine waited")
