"""Loading of a web configuration: a checked configuration, or all of its problems.

The rules that need two keys are here. `load` blocks: it reads the file, the certificates and the key.
"""

from __future__ import annotations

import hashlib
import ssl
from dataclasses import dataclass, field
from pathlib import Path

from exporter.config.yaml import DocumentError, Location, Node, Problem, ProblemList, Section, read_document, read_section
from exporter.runtime.files import FileUnreadableError, read_whole, world_readable
from exporter.web.webconfig.model import RateLimit, ServerTls, WebConfig
from exporter.web.webconfig.schema import TOP
from exporter.web.webconfig.tls import certificates, check_pair, context_of
from exporter.web.webconfig.types import CURVES, SUITES

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
    """Read and check a web configuration and its files.

    Never raises for the content of a file.
    """
    problems = ProblemList(files=[str(path)])
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
        root = self._root(path)
        top = None if root is None else read_section(root, self.location.with_position(root.line, root.column), TOP)
        if top is None:
            return None, None
        tls = self._tls(top.get("tls_server_config"))
        http, users = top.get("http_server_config"), top.get("basic_auth_users") or {}
        headers = None if http is None else http.get("headers")
        self._advise_on(users, top)
        config = WebConfig(
            tls=tls,
            headers={} if headers is None else dict(headers.values),
            users=users,
            rate_limit=_rate_limit(top.get("rate_limit")),
        )
        return config, self._context(tls, top)

    def _root(self, path: Path) -> Node | None:
        data = self._read(path, self.location, "")
        try:
            return None if data is None else read_document(data)
        except DocumentError as error:
            self.location.with_position(error.line, error.column).error(error.message)
            return None

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
            client_certificate=_client_certificate(section),
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

    def _context(self, tls: ServerTls | None, top: Section) -> ssl.SSLContext | None:
        if tls is None or self.location.problems.errors:
            return None
        try:
            return context_of(tls)
        except (ssl.SSLError, ValueError) as error:
            reason = getattr(error, "reason", None) or type(error).__name__
            top.location_of("tls_server_config").error(f"refused by OpenSSL: {str(reason).lower().replace('_', ' ')}")
            return None

    def _advise_on(self, users: dict[str, str], top: Section) -> None:
        costs = {int(hashed[4:6]) for hashed in users.values()}
        location = top.location_of("basic_auth_users")
        if len(costs) > 1:
            location.warn("hashes of different cost: the time of a response reveals which users exist; use one cost")
        if costs and max(costs) > _SLOW_COST:
            location.warn(f"a cost above {_SLOW_COST} takes seconds for each password: use a cost of 10")


def _check_clients(section: Section, client_ca: bytes | None) -> None:
    required = _client_certificate(section)
    if required is None and section.get("client_auth_type") is None and section.is_set("client_auth_type"):
        return  # an invalid value, which has its own message
    has_ca = client_ca is not None or section.is_set("client_ca") or section.is_set("client_ca_file")
    if has_ca and required is None:
        _place(section, "client_ca").error("needs client_auth_type: without it, no certificate is requested")
    if required is not None and not has_ca:
        section.location_of("client_auth_type").error(
            "needs client_ca_file: without it, certificates of any public authority would be accepted"
        )
    if section.is_set("client_allowed_sans") and required is not True:
        section.location_of("client_allowed_sans").error("needs client_auth_type: RequireAndVerifyClientCert")


def _client_certificate(section: Section) -> bool | None:
    found: tuple[bool | None] | None = section.get("client_auth_type")
    return None if found is None else found[0]


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
