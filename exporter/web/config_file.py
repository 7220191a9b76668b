"""The file of --web.config.file: its keys, named as in exporter-toolkit, and its loading into a checked configuration or all problems.

The rows of keys are also the tables of docs/securing.md; rules that need two keys are in `_WebConfigReader`. A setting that OpenSSL
or Python cannot apply is refused with an alternative; none is ignored. `load` blocks: it reads the file, the certificates and the key.
"""

from __future__ import annotations

import hashlib
import math
import re
import ssl
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from ssl import TLSVersion

from exporter.config import fields
from exporter.config.fields import Field, FieldType, Section, read_section
from exporter.config.tree import DocumentError, Location, Problem, ProblemList, Type, read_document
from exporter.core.names import nearest
from exporter.runtime.files import FileUnreadableError, read_whole, world_readable
from exporter.web.tls import RateLimit, ServerTls, WebConfig, certificates, check_pair, context_of

# The secure suites of TLS 1.2: Go's names and OpenSSL's.
SUITES = {
    "TLS_ECDHE_ECDSA_WITH_AES_128_CBC_SHA": "ECDHE-ECDSA-AES128-SHA",
    "TLS_ECDHE_ECDSA_WITH_AES_256_CBC_SHA": "ECDHE-ECDSA-AES256-SHA",
    "TLS_ECDHE_RSA_WITH_AES_128_CBC_SHA": "ECDHE-RSA-AES128-SHA",
    "TLS_ECDHE_RSA_WITH_AES_256_CBC_SHA": "ECDHE-RSA-AES256-SHA",
    "TLS_ECDHE_ECDSA_WITH_AES_128_GCM_SHA256": "ECDHE-ECDSA-AES128-GCM-SHA256",
    "TLS_ECDHE_ECDSA_WITH_AES_256_GCM_SHA384": "ECDHE-ECDSA-AES256-GCM-SHA384",
    "TLS_ECDHE_RSA_WITH_AES_128_GCM_SHA256": "ECDHE-RSA-AES128-GCM-SHA256",
    "TLS_ECDHE_RSA_WITH_AES_256_GCM_SHA384": "ECDHE-RSA-AES256-GCM-SHA384",
    "TLS_ECDHE_RSA_WITH_CHACHA20_POLY1305_SHA256": "ECDHE-RSA-CHACHA20-POLY1305",
    "TLS_ECDHE_ECDSA_WITH_CHACHA20_POLY1305_SHA256": "ECDHE-ECDSA-CHACHA20-POLY1305",
}
# Always offered with TLS 1.3, as in Go: listing them has no effect.
SUITES_OF_1_3 = ("TLS_AES_128_GCM_SHA256", "TLS_AES_256_GCM_SHA384", "TLS_CHACHA20_POLY1305_SHA256")
CURVES = {"CurveP256": "prime256v1", "CurveP384": "secp384r1", "CurveP521": "secp521r1", "X25519": "X25519"}

_VERSIONS = {"TLS12": TLSVersion.TLSv1_2, "TLS13": TLSVersion.TLSv1_3}
_VERIFIED = "RequireAndVerifyClientCert"
_CLIENT_AUTH = {"NoClientCert": ssl.CERT_NONE, "VerifyClientCertIfGiven": ssl.CERT_OPTIONAL, _VERIFIED: ssl.CERT_REQUIRED}
_UNVERIFIED = ("RequestClientCert", "RequireAnyClientCert", "RequireClientCert")
# The last character of the salt has four bits that must be 0.
_BCRYPT = re.compile(r"\$2[aby]\$(?:0[4-9]|[12][0-9]|3[01])\$[./A-Za-z0-9]{21}[.Oeu][./A-Za-z0-9]{31}")
_GO_UNITS = {"ns": 1e-9, "us": 1e-6, "µs": 1e-6, "μs": 1e-6, "ms": 1e-3, "s": 1.0, "m": 60.0, "h": 3600.0}
_GO_PART = re.compile(rf"([0-9]{{1,9}}(?:\.[0-9]{{0,9}})?|\.[0-9]{{1,9}})({'|'.join(sorted(_GO_UNITS, key=len, reverse=True))})")
_LONGEST_INTERVAL = 86400.0


def _version(word: str) -> TLSVersion:
    if word in ("TLS10", "TLS11"):
        raise ValueError("OpenSSL refuses TLS 1.0 and 1.1: write TLS12 or TLS13")
    if word not in _VERSIONS:
        raise ValueError("expected TLS12 or TLS13")
    return _VERSIONS[word]


def _client_auth(word: str) -> ssl.VerifyMode:
    if word in _UNVERIFIED:
        raise ValueError(f"Python cannot request a certificate without verifying it: write {_VERIFIED}")
    if word not in _CLIENT_AUTH:
        raise ValueError(f"expected one of {', '.join(_CLIENT_AUTH)}{nearest(word, list(_CLIENT_AUTH))}")
    return _CLIENT_AUTH[word]


def _http2(word: str) -> bool:
    if word.lower() in ("true", "yes", "on", "y"):
        raise ValueError("only HTTP/1.1 is supported: write false, or omit the key")
    return False


def _pem(text: str) -> bytes:
    if "-----BEGIN " not in text:
        raise ValueError("expected PEM: a block that starts with -----BEGIN")
    return text.encode()


def _interval(text: str) -> float:
    """Parse a Go duration (`1.5s`, `1m30s`) into seconds; 0 needs no unit."""
    parts = _GO_PART.findall(text)
    if text != "0" and (not parts or "".join(number + unit for number, unit in parts) != text):
        raise ValueError("expected a duration with a unit, such as 1s or 100ms, or 0")
    seconds = math.fsum(float(number) * _GO_UNITS[unit] for number, unit in parts)
    if seconds > _LONGEST_INTERVAL:
        raise ValueError("expected at most 24h")
    return seconds


def _hash(word: str) -> str:
    if word.startswith("$2x$"):
        raise ValueError("a hash of type $2x$ comes from a faulty bcrypt: hash the password again")
    if not _BCRYPT.fullmatch(word):
        raise ValueError("expected the bcrypt hash of a password, as `htpasswd -nBC 10 NAME` prints it after the name")
    return word


def _user_name(name: str) -> str:
    return "" if name and ":" not in name and name.isprintable() else "expected a user name without a colon"


VERSION = fields.text("`TLS12` \\| `TLS13`", _version)
PEM: FieldType = fields.scalar("PEM", "a text", (Type.TEXT,), _pem)


non_empty_list = partial(fields.list_of, if_empty="is empty: omit the key, or list the allowed values")


TLS: tuple[Field, ...] = (
    Field(name="cert_file", kind=fields.PATH, doc="The certificate and any intermediate ones, in PEM."),
    Field(name="key_file", kind=fields.PATH, doc="The private key of the certificate, in PEM and without a password."),
    Field(name="cert", kind=PEM, doc="The certificate as text, instead of `cert_file`."),
    Field(
        name="key",
        kind=PEM,
        doc="The private key as text, instead of `key_file`. Protect the web configuration like a key then.",
    ),
    Field(
        name="client_auth_type",
        kind=fields.text(" \\| ".join(f"`{word}`" for word in _CLIENT_AUTH), _client_auth),
        default="NoClientCert",
        doc="Whether a client may or must present a certificate. A presented certificate is always verified.",
    ),
    Field(name="client_ca_file", kind=fields.PATH, doc="The authorities of accepted client certificates, in PEM."),
    Field(name="client_ca", kind=PEM, doc="The authorities as text, instead of `client_ca_file`."),
    Field(
        name="client_allowed_sans",
        kind=non_empty_list(fields.TEXT),
        doc="Client certificates must have exactly one of these DNS names, addresses, e-mail addresses or URIs. "
        "Only with `RequireAndVerifyClientCert`.",
    ),
    Field(name="min_version", kind=VERSION, default="TLS12", doc="The oldest TLS version."),
    Field(name="max_version", kind=VERSION, default="TLS13", doc="The newest TLS version."),
    Field(
        name="cipher_suites",
        kind=non_empty_list(fields.choice((*SUITES, *SUITES_OF_1_3))),
        default="OpenSSL's own choice",
        doc="The suites of TLS 1.2, by Go's names. All suites of TLS 1.3 are always offered.",
    ),
    Field(
        name="prefer_server_cipher_suites",
        kind=fields.BOOL,
        default="true",
        doc="Whether the server's order of suites takes precedence over the client's.",
    ),
    Field(
        name="curve_preferences",
        kind=non_empty_list(fields.choice(tuple(CURVES))),
        default="OpenSSL's own choice",
        doc="The curve of the key exchange. At most one: Python cannot set a list.",
    ),
)

HEADERS: tuple[Field, ...] = (
    Field(
        name="Content-Security-Policy",
        kind=fields.TEXT,
        doc="Replaces the exporter's own policy, which allows only its style sheet and scripts.",
    ),
    Field(
        name="X-Frame-Options",
        kind=fields.choice(("deny", "sameorigin")),
        default="deny",
        doc="Whether other pages can frame a page.",
    ),
    Field(
        name="X-Content-Type-Options",
        kind=fields.choice(("nosniff",)),
        default="nosniff",
        doc="Browsers do not guess content types.",
    ),
    Field(name="X-XSS-Protection", kind=fields.TEXT, doc="For old browsers."),
    Field(
        name="Strict-Transport-Security",
        kind=fields.TEXT,
        doc="Makes browsers use HTTPS for this host name, on every port.",
    ),
)

HTTP: tuple[Field, ...] = (
    Field(
        name="http2",
        kind=fields.scalar("`false`", "true or false", (Type.BOOL,), _http2),
        default="false",
        doc="HTTP/2 is not supported; `true` is refused.",
    ),
    Field(name="headers", kind=fields.section(HEADERS), doc="Headers of every response."),
)

RATE_LIMIT: tuple[Field, ...] = (
    Field(
        name="interval",
        kind=fields.scalar("duration", "a duration such as 1s", (Type.TEXT, Type.NUMBER), _interval),
        default="0",
        doc="Time between two requests, after the burst; 0 for no limit.",
    ),
    Field(name="burst", kind=fields.whole(1, 1_000_000), doc="Requests allowed at once. Required with an interval."),
)

TOP: tuple[Field, ...] = (
    Field(name="tls_server_config", kind=fields.section(TLS), doc="TLS; without it, plain HTTP."),
    Field(name="http_server_config", kind=fields.section(HTTP), doc="HTTP."),
    Field(
        name="basic_auth_users",
        kind=fields.mapping("names and bcrypt hashes", fields.text("bcrypt hash", _hash), _user_name, {}),
        doc="Users and the bcrypt hashes of their passwords.",
    ),
    Field(name="rate_limit", kind=fields.section(RATE_LIMIT), doc="Limit on the requests of all clients together."),
)

SIZE_LIMIT = 1024 * 1024
_SLOW_COST = 14  # about one second of one processor


@dataclass(frozen=True, slots=True, kw_only=True)
class WebLoaded:
    """The result of `load`.

    `config` is None if there are problems, `context` also without TLS. `seen` has the signature of each file, read or missing.
    """

    config: WebConfig | None
    context: ssl.SSLContext | None
    problems: tuple[Problem, ...]
    warnings: tuple[Problem, ...]
    seen: dict[Path, str]


def load(path: Path) -> WebLoaded:
    """Read and check a web configuration and its files. Never raises for the content of a file."""
    problems = ProblemList({str(path): 0})
    reader = _WebConfigReader(Location(problems=problems, file=str(path), base=Path.cwd() / path.parent))
    config, context = reader.run(Path.cwd() / path)
    if problems.errors:
        config = context = None
    return WebLoaded(config=config, context=context, problems=problems.errors, warnings=problems.warnings, seen=reader.seen)


def file_signature(path: Path) -> str:
    """Return a text that changes with the file's content. Blocks."""
    try:
        return hashlib.sha256(read_whole(path, limit=SIZE_LIMIT)).hexdigest()
    except FileUnreadableError as error:
        return str(error)


@dataclass(slots=True)
class _WebConfigReader:
    location: Location
    seen: dict[Path, str] = field(default_factory=dict)

    def run(self, path: Path) -> tuple[WebConfig | None, ssl.SSLContext | None]:
        data = self._read(path, self.location, "")
        try:
            root = None if data is None else read_document(data)
        except DocumentError as error:
            self.location.with_position(error.line, error.column).error(error.message)
            return None, None
        top = None if root is None else read_section(root, self.location.with_position(root.line, root.column), TOP)
        if top is None:
            return None, None
        tls = self._tls(top.get("tls_server_config"))
        http, users = top.get("http_server_config"), top.get("basic_auth_users") or {}
        headers = None if http is None else http.get("headers")
        _advise_on(users, top.location_of("basic_auth_users"))
        rate_limit, context = _rate_limit(top.get("rate_limit")), None
        try:
            context = None if tls is None or self.location.problems.errors else context_of(tls)
        except (ssl.SSLError, ValueError) as error:
            reason = getattr(error, "reason", None) or type(error).__name__
            top.location_of("tls_server_config").error(f"refused by OpenSSL: {str(reason).lower().replace('_', ' ')}")
        given = {} if headers is None else dict(headers.values)
        return WebConfig(tls=tls, headers=given, users=users, rate_limit=rate_limit), context

    def _read(self, path: Path, location: Location, named: str) -> bytes | None:
        try:
            data = read_whole(path, limit=SIZE_LIMIT)
        except FileUnreadableError as error:
            self.seen[path] = str(error)
            location.error(f"{named}{error}")
            return None
        self.seen[path] = hashlib.sha256(data).hexdigest()
        return data

    def _tls(self, section: Section | None) -> ServerTls | None:
        if section is None:
            return None
        certificate = self._material(section, "cert", required=True)
        key = self._material(section, "key", required=True)
        client_ca = self._material(section, "client_ca", required=False)
        _check_clients(section, client_ca)
        minimum, maximum = section.get("min_version"), section.get("max_version")
        if minimum and maximum and minimum > maximum:
            section.location_of("max_version").error("is older than min_version")
        if client_ca is not None:
            certificates(client_ca, _place(section, "client_ca"))
        if certificate is None or key is None:
            return None
        check_pair(certificate, key, _place(section, "cert"), _place(section, "key"))
        given = {"minimum": minimum, "maximum": maximum, "server_preference": section.get("prefer_server_cipher_suites")}
        names = section.get("client_allowed_sans")
        return ServerTls(
            certificate=certificate,
            key=key,
            client_certificate=section.get("client_auth_type") or ssl.CERT_NONE,
            client_ca=client_ca,
            allowed_names=None if names is None else frozenset(names),
            ciphers=_ciphers(section),
            curve=_curve(section),
            **{name: value for name, value in given.items() if value is not None},
        )

    def _material(self, section: Section, name: str, *, required: bool) -> bytes | None:
        """Return the bytes of NAME or NAME_file."""
        from_file = f"{name}_file"
        if section.is_set(name) and section.is_set(from_file):
            section.location_of(name).error(f"conflicts with {from_file}: write one of them")
        elif required and not section.is_set(name) and not section.is_set(from_file):
            section.location.child(from_file).error("is required")
        path: Path | None = section.get(from_file)
        if path is None:
            inline: bytes | None = section.get(name)
            return inline
        if name == "key" and world_readable(path):
            section.location_of(from_file).warn(f"file {path}: every user of this host can read it: restrict its permissions")
        return self._read(path, section.location_of(from_file), f"file {path}: ")


def _advise_on(users: dict[str, str], location: Location) -> None:
    costs = {int(hashed[4:6]) for hashed in users.values()}
    if len(costs) > 1:
        location.warn("hashes of different cost: the time of a response reveals which users exist; use one cost")
    if max(costs, default=0) > _SLOW_COST:
        location.warn(f"a cost above {_SLOW_COST} takes seconds for each password: use a cost of 10")


def _check_clients(section: Section, client_ca: bytes | None) -> None:
    required = section.get("client_auth_type") or ssl.CERT_NONE
    if section.get("client_auth_type") is None and section.is_set("client_auth_type"):
        return  # an invalid value, which has its own message
    has_ca = client_ca is not None or section.is_set("client_ca") or section.is_set("client_ca_file")
    if has_ca and required is ssl.CERT_NONE:
        _place(section, "client_ca").error("needs client_auth_type: without it, no certificate is requested")
    if not has_ca and required is not ssl.CERT_NONE:
        accepted = "certificates of any public authority would be accepted"
        section.location_of("client_auth_type").error(f"needs client_ca_file: without it, {accepted}")
    if section.is_set("client_allowed_sans") and required is not ssl.CERT_REQUIRED:
        section.location_of("client_allowed_sans").error("needs client_auth_type: RequireAndVerifyClientCert")


def _place(section: Section, name: str) -> Location:
    return section.location_of(name if section.is_set(name) else f"{name}_file")


def _ciphers(section: Section) -> str:
    named: list[str] = section.get("cipher_suites") or []
    usable = [SUITES[name] for name in named if name in SUITES]
    location = section.location_of("cipher_suites")
    if len(usable) < len(named):
        location.warn("suites of TLS 1.3 cannot be chosen: all three are always offered")
    if named and not usable and section.get("min_version") is not ssl.TLSVersion.TLSv1_3:
        location.error("names no suite of TLS 1.2: add one, or write min_version: TLS13")
    return ":".join(usable)


def _curve(section: Section) -> str:
    named: list[str] = section.get("curve_preferences") or []
    if len(named) > 1:
        section.location_of("curve_preferences").error("Python can set only one curve: write one, or omit the key")
    return CURVES[named[0]] if named else ""


def _rate_limit(section: Section | None) -> RateLimit | None:
    if section is None:
        return None
    interval, burst = section.get("interval"), section.get("burst")
    if interval and not section.is_set("burst"):
        section.location.child("burst").error("is required: without it, every request would be refused")
    return RateLimit(interval=interval, burst=burst) if interval and burst else None
