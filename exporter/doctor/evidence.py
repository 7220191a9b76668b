"""What was seen for one target: the values that the checks judge.

For: frozen facts, each from one real exchange or one file. None means that it was not looked at, or not found out.
Not for: saying good or bad (see the `judge_` modules), nor secrets: neither a token nor a secret is kept here.
"""

from __future__ import annotations

from dataclasses import dataclass

from exporter.config.model import Credential, Module, Target
from exporter.core.auxiliary import AuxiliaryResult
from exporter.core.connector_secret import FormatProblem
from exporter.core.credential_expiry import CredentialExpiry
from exporter.core.model import Challenge, Facts, ProbeReport
from exporter.core.parsing.token_claims import Claims


@dataclass(frozen=True, slots=True, kw_only=True)
class Certificate:
    """What a host showed of itself. Dates are Unix times; texts are masked. `revocation` are http URLs."""

    subject: str
    issuer: str
    organization: str  # of the issuer
    starts: float
    ends: float
    revocation: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class Endpoint:
    """One host and the road to it. `skew` in seconds: how far the clock here is ahead of the host's."""

    host: str  # with its port where that is not 443
    facts: Facts
    proxy: str | None = None  # URL of the one in force
    redirected: str | None = None  # where `connect_to` sends it, as host:port
    addresses: tuple[str, ...] = ()
    certificate: Certificate | None = None
    skew: float | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Revocation:
    """A host that a certificate names for revocation; `problem` is empty where it answers on port 80."""

    host: str
    problem: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class SecretEvidence:
    """What the secret file was worth. `findings` are those of the connector's string, None where no string can be made."""

    failure: str = ""
    findings: tuple[FormatProblem, ...] | None = None
    client_id: str | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Evidence:
    """All of it. `now` is a Unix time. `entra` is None for an identity that does not sign in over the network."""

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
    looks: tuple[AuxiliaryResult, ...] = ()
    ends: tuple[CredentialExpiry, ...] = ()
    revocation: tuple[Revocation, ...] = ()
