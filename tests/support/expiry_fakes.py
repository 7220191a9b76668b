"""Configurations and fake sources for the tests of the expiry monitor."""

import asyncio
from pathlib import Path

from exporter.core.values import CredentialKind
from exporter.knowledge.expiry import LookupResult, Source
from exporter.probing.expiry_monitor import ExpiryCallbacks, ExpiryMonitor
from tests.support import factories
from tests.support.factories import a_target

WALL = 1_800_000_000.0
EXPIRES_AT = WALL + 30 * 86400.0
FAILED = LookupResult(answered=False, note="Microsoft Graph answered HTTP 403")


def now():
    return asyncio.get_running_loop().time()


def a_credential(name="sql", *, kind=CredentialKind.CLIENT_SECRET, **more):
    if kind is CredentialKind.CLIENT_SECRET:
        more = {"file": Path(f"secrets/{name}"), "client_id": "66666666-7777-8888-9999-000000000000"} | more
    return factories.a_credential(name, kind=kind, **more)


def by_graph(name="sql", **more):
    return a_credential(name, graph_credential="monitor", **more)


def by_certificate(name="cert", **more):
    return a_credential(name, kind=CredentialKind.CLIENT_CERTIFICATE, **{"certificate_file": Path("sp.pem"), **more})


def a_config(*credentials, targets=None):
    targets = targets or [a_target(f"of-{credential.name}", credential=credential.name) for credential in credentials]
    return factories.a_config(*targets, credentials=(*credentials, a_credential("monitor")))


class Sources:
    """Fake lookups. `answers` by (credential, source) are used in turn; the last one repeats."""

    def __init__(self):
        self.answers, self.fingerprints = {}, {}
        self.lookups, self.under_way, self.most, self.takes = [], 0, 0, 0.5
        self.closed = False

    async def fingerprint(self, monitored):
        fingerprint = self.fingerprints.get(monitored.credential.name, "first")
        if isinstance(fingerprint, BaseException):
            raise fingerprint
        return (fingerprint,)

    async def look_up(self, monitored, source):
        self.lookups.append((now(), monitored.credential.name, source))
        self.under_way += 1
        self.most = max(self.most, self.under_way)
        try:
            await asyncio.sleep(self.takes)
        finally:
            self.under_way -= 1
        answers = self.answers.setdefault(
            (monitored.credential.name, source), [LookupResult(answered=True, expires_at=EXPIRES_AT)]
        )
        answer = answers.pop(0) if len(answers) > 1 else answers[0]
        if isinstance(answer, BaseException):
            raise answer
        return answer

    def times(self, name="sql", source=Source.GRAPH):
        return [at for at, credential, found in self.lookups if (credential, found) == (name, source)]

    async def aclose(self):
        self.closed = True


class Recorded:
    """Records the monitor's callbacks, and is its state directory."""

    def __init__(self):
        self.reported, self.bugs, self.documents, self.writes, self.forgotten = [], [], {}, 0, []

    def looked_up(self, name, source, expires_at, at):
        self.reported.append((name, source, expires_at, at))

    def keep(self, name, document):
        self.documents[name] = document
        self.writes += 1

    @property
    def callbacks(self):
        return ExpiryCallbacks(
            on_lookup=self.looked_up,
            on_internal_error=self.bugs.append,
            load=self.documents.get,
            store=self.keep,
            on_forgotten=lambda name, source: self.forgotten.append((name, source)),
        )


def a_monitor(config, sources, recorded, **more):
    return ExpiryMonitor(config, sources, recorded.callbacks, **{"clock": lambda: WALL + now(), "draw": lambda: 0.5, **more})
