"""The values of a probe: faults, steps, facts, tokens and keys, and the rules that follow from them alone.

A failure is a value, never an exception. Results with a reason and reports are in `knowledge.report`. No value holds itself, so the garbage
collector need not look for cycles.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from enum import Enum, StrEnum
from typing import Annotated, Any, Literal, NamedTuple, Self, get_type_hints

from msgspec import Meta, Struct

from exporter.core import first_true
from exporter.core.limits import KEY_OPERATIONS, MANAGED_HSM_OPERATIONS, OTHER_OPERATIONS
from exporter.core.names import cloud_of, vault_host

# As text, a later time than the year 9999 has no date. Checked where a time is read from a file.
UnixTime = Annotated[float, Meta(ge=0, lt=253402300800)]


class Silence(Enum):
    """How a step ended without an answer. A host that gives the exporter no time may be its cause."""

    TIMEOUT = "timeout"  # the result of a deadline, the target's or that of the scrape
    LOST = "lost"  # a reset, a close, or a resolver's "try again"


_TIMEOUT, _LOST = Silence.TIMEOUT, Silence.LOST


class Fault(StrEnum):
    """What a client observed. The value is the name.

    A reason is another thing: one fault (an HTTP status) has many, and a reason, once released, is public. `classify` gives a fault
    the reason of its name, unless a row there names another.
    """

    silence: Silence | None  # None: an answer, or a fault that no slow host causes

    def __new__(cls, value: str, silence: Silence | None = None) -> Self:
        member = str.__new__(cls, value)
        member._value_ = value
        member.silence = silence
        return member

    NONE = "none"

    # names and connections
    DNS_NOT_FOUND = "dns_not_found"
    DNS_TEMPORARY = "dns_temporary", _LOST
    DNS_TIMEOUT = "dns_timeout", _TIMEOUT
    NETWORK_DOWN = "network_down"  # ENETUNREACH, ENETDOWN
    CONNECT_REFUSED = "connect_refused"
    CONNECT_RESET = "connect_reset", _LOST
    CONNECT_TIMEOUT = "connect_timeout", _TIMEOUT
    CONNECT_UNREACHABLE = "connect_unreachable"
    CONNECT_FAILED = "connect_failed"

    # TLS
    TLS_UNTRUSTED = "tls_untrusted"
    TLS_EXPIRED = "tls_expired"
    TLS_NOT_YET_VALID = "tls_not_yet_valid"
    TLS_WRONG_NAME = "tls_wrong_name"
    TLS_NOT_TLS = "tls_not_tls"
    TLS_RESET = "tls_reset", _LOST
    TLS_TIMEOUT = "tls_timeout", _TIMEOUT
    TLS_FAILED = "tls_failed"

    # the proxy
    PROXY_UNRESOLVED = "proxy_unresolved"
    PROXY_UNREACHABLE = "proxy_unreachable"
    PROXY_TIMEOUT = "proxy_timeout", _TIMEOUT
    PROXY_INVALID = "proxy_invalid"  # its response to CONNECT is not HTTP, or the tunnel carries no TLS
    PROXY_STATUS = "proxy_status"  # with the status of its response to CONNECT

    # the exchange
    CONNECTION_RESET = "connection_reset", _LOST
    CONNECTION_CLOSED = "connection_closed", _LOST
    READ_TIMEOUT = "read_timeout", _TIMEOUT  # no headers in time
    NOT_HTTP = "not_http"
    BODY_TRUNCATED = "body_truncated"
    BODY_TIMEOUT = "body_timeout", _TIMEOUT
    BODY_TOO_LARGE = "body_too_large"
    REDIRECT = "redirect"
    HTTP_STATUS = "http_status"  # any response from 400 up, with its status

    # the challenge
    NO_CHALLENGE = "no_challenge"  # 2xx without a request for a token
    CHALLENGE_ABSENT = "challenge_absent"
    CHALLENGE_NO_AUTHORIZATION = "challenge_no_authorization"
    CHALLENGE_OPEN_AUTHORIZATION = "challenge_open_authorization"
    CHALLENGE_NO_TENANT = "challenge_no_tenant"
    CHALLENGE_NO_RESOURCE = "challenge_no_resource"
    CHALLENGE_OPEN_RESOURCE = "challenge_open_resource"
    AUTHORITY_UNTRUSTED = "authority_untrusted"
    RESOURCE_MISMATCH = "resource_mismatch"

    # unusable responses
    ANSWER_EMPTY = "answer_empty"
    ANSWER_NOT_JSON = "answer_not_json"
    TOKEN_MISSING = "token_missing"  # noqa: S105 - the name of a fault
    TOKEN_UNUSABLE = "token_unusable"  # noqa: S105 - the name of a fault
    KEY_MISSING = "key_missing"
    KID_MISSING = "kid_missing"
    KID_UNUSABLE = "kid_unusable"
    KTY_MISSING = "kty_missing"
    MODULUS_MISSING = "modulus_missing"
    MODULUS_UNUSABLE = "modulus_unusable"
    EXPONENT_MISSING = "exponent_missing"
    EXPONENT_UNUSABLE = "exponent_unusable"
    VALUE_MISSING = "value_missing"
    VALUE_UNUSABLE = "value_unusable"
    BYTES_DIFFER = "bytes_differ"
    KEY_UNSUPPORTED = "key_unsupported"

    # the credential and the configuration
    KEY_NAME_TOO_LONG = "key_name_too_long"
    SECRET_TOO_SHORT = "secret_too_short"  # noqa: S105 - the name of a fault
    SECRET_UNREADABLE = "secret_unreadable"  # noqa: S105 - the name of a fault
    SECRET_TIMEOUT = "secret_timeout", _TIMEOUT  # the file was still being read
    IDENTITY_UNAVAILABLE = "identity_unavailable"
    IDENTITY_KEY_UNREADABLE = "identity_key_unreadable"  # the file that Azure Arc names as its proof
    PFX_UNREADABLE = "pfx_unreadable"
    PFX_NO_CERTIFICATE = "pfx_no_certificate"
    PFX_NO_PRIVATE_KEY = "pfx_no_private_key"
    PFX_NOT_RSA = "pfx_not_rsa"
    PFX_KEY_UNUSABLE = "pfx_key_unusable"
    PFX_REQUEST = "pfx_request"
    PEM_NO_CERTIFICATE = "pem_no_certificate"
    PEM_NO_PRIVATE_KEY = "pem_no_private_key"
    PEM_NOT_RSA = "pem_not_rsa"
    PEM_KEY_UNUSABLE = "pem_key_unusable"
    PEM_REQUEST = "pem_request"

    # the exporter itself
    INTERNAL = "internal"


# A failure counts unless this host lost so much of the step's time that a healthy vault would have failed, too.
LEAST_LATE = 0.5  # seconds
MOST_LOST = 0.5  # of the step's time
# A pause of 0.1 s moves a healthy step of some tens of milliseconds into another bucket of its histogram.
LEAST_DISTURBANCE = 0.1  # seconds
DISTURBED = 0.1  # of the step's time


def is_discarded(fault: Fault, *, late: float, took: float) -> bool:
    """Return whether a failed step says nothing: it had no answer, and for most of its time the event loop was late.

    `late` seconds of the `took` seconds.
    """
    return fault.silence is not None and late >= LEAST_LATE and late > MOST_LOST * took


def is_disturbed(*, late: float, took: float) -> bool:
    """Return whether a step took longer because of this host: its duration is no measurement of the other side."""
    return late >= max(LEAST_DISTURBANCE, DISTURBED * took)


class Step(StrEnum):
    """The five exchanges of one round trip, in the order the connector makes them."""

    CHALLENGE = "challenge"
    TOKEN = "token"  # noqa: S105 - the name of a step
    GET_KEY = "get_key"
    WRAP_KEY = "wrap_key"
    UNWRAP_KEY = "unwrap_key"


# They send a token to the vault, which limits and bills requests about a key.
KEY_STEPS = (Step.GET_KEY, Step.WRAP_KEY, Step.UNWRAP_KEY)
STEPS_WITH_KEY = KEY_STEPS[1:]  # they use the key
OPERATIONS = (Step.CHALLENGE, *KEY_STEPS)  # of the vault, in one probe: the token request goes to Entra


Endpoint = Literal["vault", "entra", "graph"]  # where a request goes, as metrics count it


class Phase(StrEnum):
    """The parts of one exchange. `dns`, `connect` and `tls` exist only if the exchange made a connection."""

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
    """The host of the exporter, a part of every verdict. A firewall may treat the exporter unlike the SQL host."""

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


# What a field says of itself: what a server fills, so that it may hold a known secret (`knowledge.report` says what is left of each);
# and where it is shown, under its own name unless the mark has another one.
CODE, VALUE, SENTENCE = (Meta(extra={"sent": kind}) for kind in ("code", "value", "sentence"))
JSON, LOG = (Meta(extra={form: ""}) for form in ("json", "log"))


def marked(kind: type[Struct], mark: str) -> dict[str, Any]:
    """Return the fields of a struct with a mark, each with what the mark says, or else its own name."""
    hints = get_type_hints(kind, include_extras=True).items()
    metas = ((name, getattr(meta, "extra", None) or {}) for name, hint in hints for meta in getattr(hint, "__metadata__", ()))
    return {name: extra[mark] or name for name, extra in metas if mark in extra}


class Facts(Struct, frozen=True, kw_only=True, gc=False, array_like=True):
    """The facts of one exchange. `classify` derives the code and the reason.

    `detail` is masked and at most 256 characters. Times are in seconds; `server_time` and certificate dates are Unix times. JSON and log lines show
    the marked fields in this order.
    """

    fault: Fault = Fault.NONE
    status: Annotated[int | None, Meta(extra={"json": "http_status", "log": "status"})] = None
    service_code: Annotated[str | None, CODE, JSON, LOG] = None  # error.code of the vault, `error` of Entra
    inner_code: Annotated[str | None, CODE, JSON, LOG] = None  # error.innererror.code of the vault, or what a message implies
    aadsts: Annotated[int | None, VALUE, JSON, LOG] = None  # of Entra: what decides the reason, else the first
    akv: Annotated[int | None, LOG] = None  # the number of an AKVnnnnn message
    request_id: Annotated[str | None, JSON, LOG] = None
    correlation_id: Annotated[str | None, VALUE, JSON] = None  # of Entra ID, whose logs have it
    client_address: Annotated[str | None, VALUE, JSON] = None  # that the vault saw and refused; shown, never a label value
    object_id: Annotated[str | None, VALUE, JSON] = None  # of the principal that the vault refused; shown, never a label value
    retry_after_seconds: Annotated[float | None, Meta(extra={"json": "", "log": "retry_after"})] = None
    endpoint: Annotated[str | None, JSON] = None  # host:port of the request
    phase_reached: Annotated[Phase | None, Meta(extra={"log": "phase"})] = None
    resent: Annotated[bool, JSON, LOG] = False  # on a new connection, because the far side had closed the kept one
    exception: Annotated[str | None, JSON, LOG] = None  # class name of the innermost exception that explains the fault
    detail: Annotated[str, SENTENCE, JSON, LOG] = ""
    raised_at: str | None = None  # `file:line < file:line` of an exception that no rule explains
    phases: Mapping[Phase, float] = {}
    cut_by_scrape: bool = False  # the deadline was Prometheus' scrape timeout, not the target's
    server_time: float | None = None  # the Date header of the response
    client_id: str | None = None  # of the sign-in; shown in advice only
    credential_kind: CredentialKind | None = None  # of the sign-in; selects the advice
    secret_file: str | None = None  # that cannot be read; shown in advice only
    proxy: str | None = None  # host:port, if the request went through one; shown in advice only
    addresses: tuple[str, ...] = ()  # to which a request without a response connected; shown in tickets only
    local_address: str | None = None  # of this host on the route there; shown in tickets only
    # `disabled`, `expired` or `not_yet_valid`, from get_key; `soft_deleted`, from the deleted keys
    key_state: str | None = None
    has_page: bool = False  # the body of an error is not the service's: a page, text or other JSON, as of a proxy
    vault: VaultHeaders | None = None
    certificate: PeerCertificate | None = None
    refused_issuer: Annotated[str | None, VALUE] = None  # of a certificate that this host refused; None before Python 3.13


class VaultHeaders(Struct, frozen=True, kw_only=True, gc=False):
    """The diagnostic headers of a vault's response."""

    region: str | None = None
    service_version: str | None = None
    connection: str | None = None  # `private` or `public`, None if unknown


class PeerCertificate(Struct, frozen=True, kw_only=True, gc=False):
    """The certificate of the endpoint. `not_after` is a Unix time, the earliest known of the chain."""

    not_after: UnixTime
    issuer: str


class Challenge(Struct, frozen=True, kw_only=True, gc=False):
    """The two things the connector reads from the vault's 401."""

    authority: str  # https://host[:port]
    tenant: str
    resource: str


class TokenResult(Struct, frozen=True, kw_only=True, gc=False):
    """A token and the facts of its request. `expires_at` is the Unix time from the response, `duration` that of the fetch in seconds.

    It counts for the probe whose result is not `shared`.
    """

    facts: Facts
    token: str | None = None
    expires_at: float | None = None
    duration: float = 0.0
    shared: bool = False

    def __rich_repr__(self) -> list[tuple[str, Any]]:
        return [(name, getattr(self, name)) for name in self.__struct_fields__ if name != "token"]

    def __repr__(self) -> str:
        return f"TokenResult({', '.join(f'{name}={value}' for name, value in self.__rich_repr__())})"


class KeyFacts(Struct, frozen=True, kw_only=True, gc=False):
    """One key version of the vault. Dates are Unix seconds, None if absent."""

    name: str
    version: str
    kid: str
    kty: str
    size_bits: int
    modulus: bytes
    exponent: bytes
    enabled: bool | None = None
    not_before: UnixTime | None = None
    expires: UnixTime | None = None
    key_ops: tuple[str, ...] = ()

    @property
    def supported(self) -> bool:
        """Whether the connector accepts the key; a key that it rejects is code 3.

        The connector accepts RSA and RSA-HSM of 2048 or 3072 bits.
        """
        return self.kty in ("RSA", "RSA-HSM") and self.size_bits in (2048, 3072)


class Readiness(Struct, frozen=True, kw_only=True, gc=False):
    """Whether SQL Server could open its databases with this vault. `ready` is None if unknown."""

    ready: bool | None
    why: str  # a key of `verdict.WHY`
    stolen: float | None = None  # share of a step's time that this host lost: the result of the probe is discarded


def key_state(key: KeyFacts, now: float) -> str | None:
    """Return the state of a key version at a time: `disabled`, `expired`, `not_yet_valid`, or None for a usable key."""
    return first_true(
        (key.enabled is False, "disabled"),
        (key.expires is not None and key.expires <= now, "expired"),
        (key.not_before is not None and key.not_before > now, "not_yet_valid"),
        default=None,
    )


# The ways to name a key: `NAME`, `NAME/VERSION`, or the KeyUri of the registry.

_EXPECTED = "expected NAME/VERSION or the KeyUri https://VAULT/keys/NAME/VERSION"

_VERSION = r"[A-Za-z0-9]{1,64}"
_NAMED = re.compile(rf"([^/]+)(?:/({_VERSION}))?")
_URI = re.compile(rf"https://([^/?#@\\]+\.[^/?#@\\]+)/keys/([^/?#]+)(?:/({_VERSION}))?", re.IGNORECASE)
# Without anchors, for JSON Schema.
KEY_PATTERN = rf"(?:[Hh][Tt][Tt][Pp][Ss]://[^/?#@]+/keys/)?[^/:?#]+(?:/{_VERSION})?"


class KeyReference(NamedTuple):
    """A key as the user named it.

    `version` is None for a key that is not pinned. `vault` is the host name of a KeyUri in lower case, with its port unless it is 443.
    """

    name: str
    version: str | None
    vault: str | None = None

    def contradicts(self, vault: str | None) -> bool:
        """Whether the KeyUri names another vault than this one."""
        return self.vault is not None and vault is not None and self.vault != vault


def parse_key(text: str) -> KeyReference:
    """Parse NAME, NAME/VERSION or a KeyUri.

    Raises ValueError with a message that does not contain the text. The connector's rules for names are not checked.
    """
    if "://" in text:
        return _parse_uri(text)
    named = _NAMED.fullmatch(text)
    if named is None or not named[1].strip() or not text.isprintable():
        raise ValueError(f"{_EXPECTED}, with a version of letters and digits")
    return KeyReference(named[1], named[2])


def _parse_uri(text: str) -> KeyReference:
    if "@" in text:
        raise ValueError(f"{_EXPECTED}, without user and password: the configuration must not contain secrets")
    uri = _URI.fullmatch(text)
    if uri is None or not text.isprintable():
        raise ValueError(f"{_EXPECTED}, with the vault's full host name and a version of letters and digits")
    return KeyReference(uri[2], uri[3], vault_host(uri[1]))


def different_key(name: str, version: str | None, found: KeyFacts) -> str | None:
    """Return what `found` is instead of the requested key; None if it is that key.

    Key Vault ignores case in names and versions.
    """
    if found.name.lower() != name.lower():
        return f"key {found.name}"
    return f"version {found.version}" if version is not None and found.version.lower() != version.lower() else None


# A timeout is charged to the step that used the time, not to the step that had none left.

# A step with less than this share of the probe's timeout had too little time: its timeout is not the server's fault.
FAIR_SHARE = 0.1

# The fault of a timeout by the phase it ended. None: no time to start.
TIMEOUT_IN: Mapping[Phase | None, Fault] = {
    None: Fault.READ_TIMEOUT,
    Phase.DNS: Fault.DNS_TIMEOUT,
    Phase.CONNECT: Fault.CONNECT_TIMEOUT,
    Phase.TLS: Fault.TLS_TIMEOUT,
    Phase.WAIT: Fault.READ_TIMEOUT,
    Phase.TRANSFER: Fault.BODY_TIMEOUT,
}


def slow_in(phases: Mapping[Phase, float]) -> Fault:
    """Return the fault of a step that used the time of later steps. The fault is the timeout of the step's longest phase."""
    return TIMEOUT_IN[max(phases, key=phases.__getitem__, default=None)]


def slowest(spent: Mapping[Step, float], *, left: float, timeout: float) -> Step | None:
    """Return the step to charge if the timed-out step had `left` seconds. Returns None if that was a fair share."""
    step = max(spent, key=spent.__getitem__, default=None)
    return step if step is not None and left < FAIR_SHARE * timeout and spent[step] > left else None


# How many operations of each kind a vault allows.


def operations_of(mode: Mode) -> tuple[Step, ...]:
    """Return the vault operations of a probe in this mode."""
    return tuple(step for step in OPERATIONS if mode is not Mode.READ_ONLY or step not in STEPS_WITH_KEY)


def key_operations_limit(vault: str, *, hardware: bool = True, size_bits: int = 3072) -> float:
    """Return the requests about a key in one window. The default is the lowest limit of the supported keys."""
    return MANAGED_HSM_OPERATIONS[size_bits] if _is_managed_hsm(vault) else KEY_OPERATIONS[hardware, size_bits]


def operation_limit(operation: Step, vault: str, *, hardware: bool = True, size_bits: int = 3072) -> float:
    """Return how many of these operations a vault allows in one window.

    A key of an unsupported size has the default's limit. A managed HSM has a capacity for operations that use a key alone.
    """
    if operation not in KEY_STEPS or (operation not in STEPS_WITH_KEY and _is_managed_hsm(vault)):
        return OTHER_OPERATIONS
    try:
        return key_operations_limit(vault, hardware=hardware, size_bits=size_bits)
    except KeyError:
        return key_operations_limit(vault)


def has_limits(vault: str) -> bool:
    """Return whether limits are published: not for a managed HSM or an unknown cloud."""
    return cloud_of(vault) is not None and not _is_managed_hsm(vault)


def _is_managed_hsm(vault: str) -> bool:
    cloud = cloud_of(vault)
    return cloud is not None and cloud.managed_hsm
