"""The values of a probe: steps, facts, results and reports.

All are frozen. A failure is a value, never an exception.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import field
from enum import StrEnum
from http import HTTPStatus
from typing import TYPE_CHECKING

from exporter.core.faults import Fault
from exporter.core.frozen import dataclass

if TYPE_CHECKING:
    from exporter.core.reasons import Reason


class Step(StrEnum):
    """The five exchanges of one round trip, in the order the connector makes them."""

    CHALLENGE = "challenge"
    TOKEN = "token"  # noqa: S105 - the name of a step
    GET_KEY = "get_key"
    WRAP_KEY = "wrap_key"
    UNWRAP_KEY = "unwrap_key"


KEY_STEPS = (Step.GET_KEY, Step.WRAP_KEY, Step.UNWRAP_KEY)  # they send a token to the vault


class Phase(StrEnum):
    """The parts of one exchange.

    `dns`, `connect` and `tls` exist only if the exchange made a connection.
    """

    DNS = "dns"
    CONNECT = "connect"
    TLS = "tls"
    WAIT = "wait"
    TRANSFER = "transfer"


class Outcome(StrEnum):
    OK = "ok"
    FAILED = "failed"
    SKIPPED = "skipped"


class Generation(StrEnum):
    """Which numbers the HTTP layer uses: classic is 30xx, current is 31xx."""

    CLASSIC = "classic"
    CURRENT = "current"


class Mode(StrEnum):
    FULL = "full"
    READ_ONLY = "read_only"
    CANARY = "canary"


class Vantage(StrEnum):
    """The host of the exporter, a part of every verdict.

    A firewall may treat the exporter unlike the SQL host.
    """

    CENTRAL = "central"
    SQL_HOST = "sql_host"


class CredentialKind(StrEnum):
    """Kind of identity; the value of `type`."""

    CLIENT_SECRET = "client_secret"  # noqa: S105 - a kind of credential
    CONNECTOR_SECRET = "connector_secret"  # noqa: S105 - a kind of credential
    CLIENT_CERTIFICATE = "client_certificate"
    MANAGED_IDENTITY = "managed_identity"
    WORKLOAD_IDENTITY = "workload_identity"
    DEFAULT = "default"

    @property
    def has_secret(self) -> bool:
        """Whether it is a client secret, as SQL Server's own credential is."""
        return self in (CredentialKind.CLIENT_SECRET, CredentialKind.CONNECTOR_SECRET)

    @property
    def is_managed(self) -> bool:
        """Whether it is an identity that belongs to one host."""
        return self is CredentialKind.MANAGED_IDENTITY


HOST_IDENTITIES = frozenset({CredentialKind.MANAGED_IDENTITY, CredentialKind.DEFAULT})  # need no tenant


@dataclass(frozen=True, slots=True, kw_only=True)
class Facts:
    """The facts of one exchange. `classify` derives the code and the reason.

    `detail` is masked and at most 256 characters. Times are in seconds; `server_time` and certificate dates are Unix times.
    """

    fault: Fault = Fault.NONE
    status: int | None = None
    service_code: str | None = None  # error.code of the vault, `error` of Entra
    inner_code: str | None = None  # error.innererror.code of the vault, or the one that its or Entra's message implies
    aadsts: int | None = None  # the number of Entra's error_codes or description that decides the reason, else the first
    akv: int | None = None  # the number of an AKVnnnnn message
    retry_after_seconds: float | None = None
    request_id: str | None = None
    correlation_id: str | None = None  # of Entra ID, whose logs have it
    exception: str | None = None  # class name of the innermost exception that explains the fault
    detail: str = ""
    raised_at: str | None = None  # `file:line < file:line` of an exception that no rule explains
    phases: Mapping[Phase, float] = field(default_factory=dict)
    phase_reached: Phase | None = None
    cut_by_scrape: bool = False  # the deadline was Prometheus' scrape timeout, not the target's
    server_time: float | None = None  # the Date header of the response
    endpoint: str | None = None  # host:port of the request
    client_id: str | None = None  # of the sign-in; shown in advice only
    credential_kind: CredentialKind | None = None  # of the sign-in; selects the advice
    client_address: str | None = None  # that the vault saw and refused; shown, never a label value
    secret_file: str | None = None  # that cannot be read; shown in advice only
    proxy: str | None = None  # host:port, if the request went through one; shown in advice only
    addresses: tuple[str, ...] = ()  # to which a request without a response connected; shown in tickets only
    local_address: str | None = None  # of this host on the route there; shown in tickets only
    resent: bool = False  # the far side had closed the connection, so the request was sent again on a new one
    # `disabled`, `expired` or `not_yet_valid`, from get_key; `soft_deleted`, from the deleted keys
    key_state: str | None = None
    has_page: bool = False  # the body of an error is not the service's: a page, text or other JSON, as of a proxy
    vault: VaultHeaders | None = None
    certificate: PeerCertificate | None = None
    refused_issuer: str | None = None  # of a certificate that this host refused; None before Python 3.13
    object_id: str | None = None  # of the principal that the vault refused; shown, never a label value


@dataclass(frozen=True, slots=True, kw_only=True)
class VaultHeaders:
    """The diagnostic headers of a vault's response."""

    region: str | None = None
    service_version: str | None = None
    connection: str | None = None  # `private` or `public`, None if unknown


@dataclass(frozen=True, slots=True, kw_only=True)
class PeerCertificate:
    """The certificate of the endpoint.

    `not_after` is a Unix time, the earliest known of the chain.
    """

    not_after: float
    issuer: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Challenge:
    """The two things the connector reads from the vault's 401."""

    authority: str  # https://host[:port]
    tenant: str
    resource: str


@dataclass(frozen=True, slots=True, kw_only=True)
class TokenResult:
    """A token for a probe.

    `duration` is that of the fetch in seconds. It counts for the probe whose result is not `shared`.
    """

    facts: Facts
    token: str | None = field(repr=False)
    duration: float
    shared: bool


@dataclass(frozen=True, slots=True)
class TokenResponse:
    """The result of a token request; `expires_at` is the Unix time from the response."""

    facts: Facts
    token: str | None = field(default=None, repr=False)
    expires_at: float | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class KeyFacts:
    """One key version of the vault. Dates are Unix seconds, None if absent."""

    name: str
    version: str
    kid: str
    kty: str
    size_bits: int
    modulus: bytes
    exponent: bytes
    enabled: bool | None = None
    not_before: float | None = None
    expires: float | None = None
    key_ops: tuple[str, ...] = ()

    @property
    def supported(self) -> bool:
        """Whether the connector accepts the key; a key that it rejects is code 3.

        The connector accepts RSA and RSA-HSM of 2048 or 3072 bits.
        """
        return self.kty in ("RSA", "RSA-HSM") and self.size_bits in (2048, 3072)


@dataclass(frozen=True, slots=True, kw_only=True)
class StepResult:
    """One step of one probe.

    `code` is in the target's generation. It is None unless the step failed.
    """

    step: Step
    outcome: Outcome
    duration: float = 0.0
    code: int | None = None
    reason: Reason | None = None
    facts: Facts | None = None
    shared: bool = False  # another probe fetched the token: not a measurement of this one
    disturbed: bool = False  # this host was slow meanwhile: the duration is not a measurement of the other side

    @property
    def sent(self) -> bool:
        """Whether its request left this host."""
        return self.facts is not None and self.facts.phase_reached in (Phase.WAIT, Phase.TRANSFER)


@dataclass(frozen=True, slots=True, kw_only=True)
class Readiness:
    """Whether SQL Server could open its databases with this vault.

    `ready` is None if unknown.
    """

    ready: bool | None
    why: str  # a key of `readiness.WHY`
    stolen: float | None = None  # share of a step's time that this host lost: the result of the probe is discarded


@dataclass(frozen=True, slots=True, kw_only=True)
class ProbeReport:
    """One whole probe. `started_at` is a Unix time, `duration` seconds."""

    target: str
    started_at: float
    duration: float
    steps: tuple[StepResult, ...]
    readiness: Readiness
    key: KeyFacts | None = None
    tenant: str | None = None
    purge_at: float | None = None  # Unix time at which a soft-deleted key is purged
    purged: bool = False  # the key is not among the deleted ones either

    @property
    def success(self) -> bool:
        outcomes = [result.outcome for result in self.steps]
        return Outcome.OK in outcomes and Outcome.FAILED not in outcomes

    @property
    def discarded(self) -> bool:
        """Whether the probe says nothing, because this host was too slow."""
        return self.readiness.stolen is not None

    @property
    def cut_by_scrape(self) -> bool:
        """Whether the scrape timeout ended a step before the target's timeout."""
        return any(result.facts is not None and result.facts.cut_by_scrape for result in self.steps)

    def purge_after(self, known: float | None) -> float | None:
        """Return when the key is purged; None if it exists or was purged.

        `known` is the last value.
        """
        return None if self.key is not None or self.purged else self.purge_at or known

    @property
    def first_failure(self) -> StepResult | None:
        return next((result for result in self.steps if result.outcome is Outcome.FAILED), None)

    @property
    def throttled_facts(self) -> list[Facts]:
        """The facts of every step that failed with HTTP 429."""
        failed = (result.facts for result in self.steps if result.outcome is Outcome.FAILED)
        return [facts for facts in failed if facts is not None and facts.status == HTTPStatus.TOO_MANY_REQUESTS]

    def step(self, step: Step) -> StepResult | None:
        return next((result for result in self.steps if result.step is step), None)
