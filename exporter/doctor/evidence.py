"""The evidence about one target: frozen facts, each from one exchange or one file.

None means that a fact was not collected or could not be found. No token and no secret is kept here.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from urllib.parse import urlsplit

from exporter.config.settings import Credential, Module, Target
from exporter.core.connector import FormatProblem
from exporter.core.names import Pin
from exporter.core.values import Challenge, Facts
from exporter.doctor.host_rules import HostFacts
from exporter.knowledge.answers import Claims
from exporter.knowledge.expiry import CredentialExpiry
from exporter.knowledge.report import ProbeReport
from exporter.knowledge.verdict import AuxiliaryResult
from exporter.sqlserver.differences import DeclaredTargets
from exporter.sqlserver.reading import SqlServerReading


@dataclass(frozen=True, slots=True, kw_only=True)
class HostCertificate:
    """A host's certificate. Dates are Unix times; texts are masked. `revocation` are http URLs."""

    subject: str
    issuer: str
    organization: str  # of the issuer
    not_before: float
    not_after: float
    revocation: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class Endpoint:
    """One host and the route to it. `skew`: seconds that this host's clock is ahead of the endpoint's."""

    host: str  # with its port unless that is 443
    facts: Facts
    proxy: str | None = None  # URL of the active proxy
    redirected: str | None = None  # the destination by `connect_to`, as host:port
    addresses: tuple[str, ...] = ()
    absolute: tuple[str, ...] | None = None  # of the name without search domains; empty: no such name, None: unknown
    certificate: HostCertificate | None = None
    skew: float | None = None
    discarded: bool = False  # it had no answer, and this host was too slow to hear one

    @property
    def proxy_address(self) -> str:
        """Host and port of the active proxy, empty without one."""
        return urlsplit(self.proxy or "").netloc.rpartition("@")[2]


@dataclass(frozen=True, slots=True, kw_only=True)
class SecretEvidence:
    """The state of the secret file. `findings` are of the connector's string; None if there is no such string."""

    failure: str = ""
    findings: tuple[FormatProblem, ...] | None = None
    client_id: str | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Evidence:
    """All evidence. `now` is a Unix time. `entra` is None for an identity that does not sign in at Entra."""

    target: Target
    credential: Credential
    module: Module
    now: float
    vault: Endpoint
    entra: Endpoint | None
    report: ProbeReport
    secret: SecretEvidence
    challenge: Challenge | None = None
    granted: bool = False
    claims: Claims | None = None
    listing: Facts | None = None
    auxiliary: tuple[AuxiliaryResult, ...] = ()
    expiry: tuple[CredentialExpiry, ...] = ()
    revocation: Mapping[str, str] = field(default_factory=dict)  # problem by revocation host, empty if it answers on port 80
    pins: tuple[tuple[str, Pin], ...] = ()  # declared by other targets, with their names
    sql_servers: tuple[SqlServerReading, ...] | None = None  # None if no SQL Server is to be read
    host: HostFacts | None = None  # None if this host was not looked up
    declared: DeclaredTargets = field(default_factory=lambda: DeclaredTargets(()))
