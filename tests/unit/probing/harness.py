"""A prober with a vault and Entra on loopback, and recorded callbacks."""

import asyncio

from exporter.config.settings import Credential, Module, SecretSource
from exporter.core.values import CredentialKind, Vantage
from exporter.knowledge.verdict import AuxiliaryKind
from exporter.probing.auxiliary import AuxiliaryProbe
from exporter.probing.prober import Prober, ProberCallbacks
from exporter.probing.round_trip import ProbeRequest
from exporter.runtime.loop import LoopLag
from tests.support.factories import a_config, a_target
from tests.support.tls_server import CHALLENGE, ENTRA, TOKEN, VAULT, Wire, is_silent, response, writes
from tests.support.values import replace

SECRET = "S3CRET-MARK-of-the-harness"
GRANT = {"token_type": "Bearer", "expires_in": 3599, "access_token": TOKEN}


class Harness:
    """A prober, and one server that is both the vault and Entra.

    `instead(request)` may return another response.
    """

    def __init__(self, authority, fake_vault, folder):
        self.wire = Wire(context=authority.server(VAULT, ENTRA), answer=self._answer)
        self._authority, self._vault, self._secret = authority, fake_vault, folder / "secret"
        self._secret.write_text(SECRET)
        self.instead = lambda _request: None
        self.bugs, self.unexplained, self.starved = [], [], 0
        self.lag = LoopLag()

    async def start(self):
        await self.wire.start()
        self.target = a_target("a", vault=VAULT, key_name="Key0", key_version=self._vault.version, credential="c", timeout=5.0)
        self.config = self._config()
        callbacks = ProberCallbacks(
            on_internal_error=self.bugs.append,
            on_shortage=self._starved,
            on_unexplained=self.unexplained.append,
        )
        self.prober = Prober(self.config, lag=self.lag, callbacks=callbacks)
        self.lag.start()
        return self

    async def stop(self):
        self.lag.stop()
        await self.prober.aclose()
        await self.wire.stop()

    def _config(self, **changes):
        there = f"127.0.0.1:{self.wire.port}"
        module = Module(name="default", ca_file=self._authority.file, connect_to={f"{VAULT}:443": there, f"{ENTRA}:443": there})
        credential = Credential(
            name="c", kind=CredentialKind.CLIENT_SECRET, client_id="66666666-7777-8888-9999-000000000000",
            secret=SecretSource(file=self._secret),
        )  # fmt: skip
        return replace(a_config(self.target, credentials=[credential], modules=[module]), **changes)

    def within(self, seconds):
        """Give the target another timeout."""
        self.target = replace(self.target, timeout=seconds)
        self.config = replace(self.config, targets={"a": self.target})
        self.prober.reconfigure(self.config)

    def forget(self):
        """Empty the caches: the next probe reads the secret and fetches a token."""
        self.prober._tokens._fetches.clear()
        self.prober._secrets._entries.clear()

    async def probe(self):
        return await self.prober.probe_scheduled(self.target)

    def plan(self):
        """Return an auxiliary probe with the staged credential."""
        request = ProbeRequest(
            target=self.target, module=self.config.modules["default"], credential=self.config.credentials["c"],
            vantage=Vantage.CENTRAL, timeout=self.target.timeout,
        )  # fmt: skip
        return AuxiliaryProbe(kind=AuxiliaryKind.NEXT, name="c", request=request)

    async def nothing_open(self):
        """Wait until the server has no connection and no token request is running."""
        async with asyncio.timeout(30):
            while self.wire.open or self.prober._tokens._tasks._tasks:  # noqa: ASYNC110 - the peer's end of a socket has no event
                await asyncio.sleep(0.001)

    def _answer(self, request):
        answer = self.instead(request)
        if answer is not None:
            return answer
        if request.headers["host"] == ENTRA:
            return response(200, GRANT, Content_Type="application/json")
        if "authorization" not in request.headers:
            return response(401, b"", WWW_Authenticate=CHALLENGE)
        return self._vault(request)

    def _starved(self):
        self.starved += 1


def stalls_after_headers(status, **headers):
    """A response with a body that never ends."""
    head = response(status, b"{", **headers).replace(b"Content-Length: 1", b"Content-Length: 99")
    return writes(head, then=is_silent)
