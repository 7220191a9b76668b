"""An answer as somebody might send it, taken through the code that a probe uses for it, without a network.

For: the property tests and the fuzzer, which differ only in who makes up the answers.
Not for: what must hold of the outcome (see `invariants`).
"""

import asyncio
from collections.abc import Coroutine
from dataclasses import dataclass, field
from types import SimpleNamespace
from typing import Any, Self

import aiohttp
from azure.identity.aio import ClientSecretCredential
from multidict import CIMultiDict

from exporter.config.model import CredentialKind, Module
from exporter.core.model import Facts, KeyFacts, Step
from exporter.keyvault import entra
from exporter.keyvault.answer import Answer, Replay
from exporter.keyvault.client import USER_AGENT, VaultSession
from exporter.keyvault.tracing import Recorder
from exporter.keyvault.transport import Observation

VAULT = "contoso.vault.azure.net"
# What we send, and what therefore must not stand in any text about what came back.
TOKEN = "eyJ0b2tlbg.c2VudC1ieS11cw.bWFya2Vk"
SECRET = "S3CRET~MARK~sent by us"
KEY = KeyFacts(name="k", version="1", kid=f"https://{VAULT}/keys/k/1", kty="RSA", size_bits=2048, modulus=b"", exponent=b"")


@dataclass(frozen=True, slots=True)
class Told:
    """One answer at one step. `complete`: its body came whole; otherwise it broke off, or was late (`timed_out`)."""

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


def outcome(told: Told) -> Outcome:
    """What a probe's step makes of the answer: the facts, and the value where nothing was at fault."""
    seen = _seen(told)
    if told.step is Step.TOKEN:
        return _token(seen)
    session, deadline = _Replayed(seen), 0.0
    ask: dict[Step, Any] = {
        Step.CHALLENGE: lambda: session.challenge(deadline=deadline),
        Step.GET_KEY: lambda: session.get_key(TOKEN, KEY.name, KEY.version, deadline=deadline),
        Step.WRAP_KEY: lambda: session.wrap_key(TOKEN, KEY, "RSA-OAEP", b"data", deadline=deadline),
        Step.UNWRAP_KEY: lambda: session.unwrap_key(TOKEN, KEY, "RSA-OAEP", b"data", deadline=deadline),
    }
    return Outcome(*_at_once(ask[told.step]()))


class _Replayed(VaultSession):
    """A session whose exchanges have all taken place already."""

    def __init__(self, seen: Observation) -> None:
        self._seen = seen
        self._host = VAULT
        self._network = SimpleNamespace(module=Module(name="default"))

    async def _ask(self, *_: Any, **__: Any) -> Observation:
        return self._seen


class _ReplayedTransport:
    """Gives the SDK the answer that was noted, or the error that broke it off."""

    def __init__(self, seen: Observation) -> None:
        self._seen = seen

    async def send(self, request: Any, **_: Any) -> Replay:
        if self._seen.error is not None:
            raise self._seen.error
        return Replay(request, self._seen.answer)

    async def open(self) -> None: ...

    async def close(self) -> None: ...

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(self, *_: object) -> None: ...


async def _recorder() -> Recorder:
    recorder = Recorder()
    recorder.headers_received()
    recorder.finish()
    return recorder


entra.quiet_sdk_loggers()  # as the exporter does
_RECORDER = asyncio.run(_recorder())


def _seen(told: Told) -> Observation:
    headers = CIMultiDict(told.headers)
    answer = Answer(status=told.status, headers=headers, body=told.body, complete=told.complete)
    error = None if told.complete else aiohttp.ClientPayloadError("the body broke off")
    return Observation(endpoint=f"{VAULT}:443", recorder=_RECORDER, answer=answer, error=error, timed_out=told.timed_out)


def _token(seen: Observation) -> Outcome:
    """As `Link.exchange` and `fetch_token` do it: the SDK's exceptions are values, and the answer is judged."""
    identity = ClientSecretCredential(
        "contoso.onmicrosoft.com",
        "66666666-7777-8888-9999-000000000000",
        SECRET,
        transport=_ReplayedTransport(seen),
        retry_total=0,
        policies=[entra.UserAgentPolicy(user_agent=USER_AGENT, user_agent_overwrite=True, user_agent_use_env=False)],
    )
    try:
        seen.result = _at_once(identity.get_token("https://vault.azure.net/.default"))
    except Exception as error:  # noqa: BLE001 - as in the exchange itself
        seen.error = error
    told = entra._judge(seen, entra._KINDS[CredentialKind.CLIENT_SECRET], (SECRET,))
    return Outcome(told.facts, told.token, told.expires_at)


def _at_once(coroutine: Coroutine[Any, Any, Any]) -> Any:
    """The result of a coroutine that has nothing to wait for."""
    try:
        coroutine.send(None)
    except StopIteration as stop:
        return stop.value
    coroutine.close()
    raise AssertionError("it waited for something")
