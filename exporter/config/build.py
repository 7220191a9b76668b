"""Build a `Config` from the sections of all files: targets, credentials, modules and SQL Servers, with their defaults.

Checks names, references, secrets and files, and reports settings that contradict each other.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

from exporter.config.fields import Section, require
from exporter.config.files import LoadedFiles, SectionWithDefaults
from exporter.config.schema import REFERENCES, RETAINED, TARGET
from exporter.config.settings import (
    DEFAULT_MODULE,
    NEEDS_CLIENT_ID,
    SOURCES,
    Config,
    Credential,
    Module,
    Proxy,
    Retained,
    SecretSource,
    SecretUnreadableError,
    Settings,
    SqlServer,
    Target,
    plain_values,
    read_secret,
)
from exporter.config.tree import Location, ProblemList
from exporter.core import durations
from exporter.core.connector import connector_secret_findings
from exporter.core.limits import slots_for
from exporter.core.names import nearest, parse_sql_address, server_name
from exporter.core.values import HOST_IDENTITIES, CredentialKind, KeyReference
from exporter.runtime.files import CERTIFICATE_LIMIT, FileUnreadableError, read_whole, world_readable
from exporter.runtime.process import is_windows


def vault_of(section: Section) -> str | None:
    """Return the vault in the section's KeyUri; None if `key` is no KeyUri."""
    reference: KeyReference | None = section.get("key")
    return None if reference is None else reference.vault


@dataclass(frozen=True, slots=True)
class RawTarget(SectionWithDefaults):
    """A target and the defaults of its file."""

    def get(self, name: str) -> Any:
        return self.vault if name == "vault" else self.holder_of(name).get(name)

    @property
    def vault(self) -> str | None:
        """The vault of the KeyUri, if `key` is one; else the value of `vault`."""
        return vault_of(self.holder_of("key")) or self.holder_of("vault").get("vault")

    @property
    def labels(self) -> dict[str, str]:
        inherited = self.defaults.get("labels") if self.defaults is not None else None
        return {**(inherited or {}), **(self.own.get("labels") or {})}


@dataclass(frozen=True, slots=True)
class Globals:
    """The section `global`, and which of its keys are in the file."""

    settings: Settings
    timeout: float | None
    timeout_location: Location
    generation_declared: bool


def build_globals(section: Section | None, main: Location) -> Globals:
    """Build the section `global`, which may be absent. `build` raises the concurrency to what the targets need."""
    section = section or Section(main.child("global"))
    raw = plain_values(Settings, section)
    interval = raw.get("interval", Settings().interval)
    timeout = raw.pop("timeout", None)
    location = section.location_of("timeout")
    if timeout is not None and timeout > interval / 2:
        location.error(_above_half(timeout, interval))
    settings = Settings(**raw, timeout=timeout if timeout is not None else default_timeout(interval))
    return Globals(settings, timeout, location, section.is_set("connector_generation"))


def default_timeout(interval: float) -> float:
    """Return the timeout in seconds of a target that sets none."""
    return min(Settings().timeout, interval / 2)


def _above_half(timeout: float, interval: float) -> str:
    written, limited = durations.write(timeout), durations.write(interval)
    return f"a timeout of {written} exceeds half of the interval of {limited}: shorten it, or probe less often"


def build_target(raw: RawTarget, globals_: Globals) -> Target | None:
    """Build the target; None if a required key is missing or unusable. Problems are reported."""
    usable = _has_all(raw)
    interval = raw.get("interval") or globals_.settings.interval
    timeout = _timeout(raw, globals_, interval)
    retained = _retained(raw)
    if not usable:
        return None
    key: KeyReference = raw.get("key")
    values = plain_values(Target, raw)
    module = values.setdefault("module", DEFAULT_MODULE)
    declared = "generation" in values or globals_.generation_declared
    built = {
        "key_name": key.name,
        "key_version": key.version,
        "interval": interval,
        "timeout": timeout,
        "generation": values.get("generation", globals_.settings.generation),
        "generation_declared": declared,
        "next_credential": _next_credential(raw),
        "retained_versions": retained,
        "recovery_credential": _recovery_credential(raw),
        "modules": tuple(name for name in values.get("modules", ()) if name != module),
        "labels": raw.labels,
    }
    return Target(**(values | built))


def _has_all(raw: RawTarget) -> bool:
    usable = True
    for setting in TARGET:
        if not setting.required:
            continue
        usable = usable and raw.get(setting.name) is not None
        if not raw.is_set(setting.name) and not (setting.name == "vault" and raw.vault):
            elsewhere = "" if setting.name == "name" else ", here or in target_defaults"
            raw.own.location.child(setting.name).error(f"is required{elsewhere}")
    return usable


def _timeout(raw: RawTarget, globals_: Globals, interval: float) -> float:
    own: float | None = raw.get("timeout")
    timeout = own if own is not None else globals_.timeout
    if timeout is None or (raw.is_set("interval") and raw.get("interval") is None):
        return default_timeout(interval)
    if timeout > interval / 2:
        _timeout_location(raw, globals_).error(_above_half(timeout, interval))
    return timeout


def _timeout_location(raw: RawTarget, globals_: Globals) -> Location:
    """The location of the key that causes the disproportion, nearest to the target."""
    for name in ("timeout", "interval"):
        if raw.is_set(name):
            return raw.location_of(name)
    return globals_.timeout_location


def _next_credential(raw: RawTarget) -> str | None:
    """Return the staged credential.

    The result is None if the staged credential is a default that this target already uses, as in a rollover with several steps.
    """
    staged: str | None = raw.get("next_credential")
    return None if staged == raw.get("credential") else staged


def _recovery_credential(raw: RawTarget) -> str | None:
    if raw.get("recovery_vault") is None:
        return None
    credential: str | None = raw.get("recovery_credential") or raw.get("credential")
    return credential


def retained_vault(section: Section, raw: RawTarget) -> str | None:
    """Return the vault of a retained key: of its KeyUri, its own, or the target's."""
    return vault_of(section) or section.get("vault") or raw.vault


def _retained(raw: RawTarget) -> tuple[Retained, ...]:
    found = []
    for section in raw.get("retained_versions") or ():
        require(section, RETAINED)
        key: KeyReference | None = section.get("key")
        vault, credential = retained_vault(section, raw), section.get("credential") or raw.get("credential")
        if key is None or vault is None or credential is None:
            continue
        if key.version is None:
            section.location_of("key").error("a retained key needs a version: write NAME/VERSION")
        found.append(
            Retained(key_name=key.name, key_version=key.version, vault=vault, credential=credential, until=section.get("until"))
        )
    return tuple(found)


def build_credential(name: str, section: Section) -> Credential | None:
    """Build the credential; None without a usable type. Problems are reported."""
    kind: CredentialKind | None = section.get("type")
    if kind is None:
        return None
    if kind in NEEDS_CLIENT_ID and not section.is_set("client_id"):
        section.location.child("client_id").error("is required")
    stem, needed = SOURCES.get(kind, ("", False))
    source = secret_source(section, stem, needed=needed) if stem else None
    if source is not None:
        location = section.location_of(f"{stem}_{source.kind}")
        text = check_secret(source, location)
        if text is not None and kind is CredentialKind.CONNECTOR_SECRET:
            for finding in connector_secret_findings(text):
                location.error(finding.text)
    if section.get("certificate_file") is not None:
        _check_certificate(section)
    attribute = "password" if kind is CredentialKind.CLIENT_CERTIFICATE else "secret"
    return Credential(name=name, **(plain_values(Credential, section) | {attribute: source}))


def secret_source(section: Section | SectionWithDefaults, stem: str, *, needed: bool) -> SecretSource | None:
    """Return the place of a secret from the keys STEM_file and STEM_env. Only one of the two is allowed."""
    in_file, in_environment = f"{stem}_file", f"{stem}_env"
    own = section.own if isinstance(section, SectionWithDefaults) else section
    if section.is_set(in_file) and section.is_set(in_environment):
        section.location_of(in_environment).error(f"the secret has two sources: keep either this or {in_file}")
        return None
    if needed and not (section.is_set(in_file) or section.is_set(in_environment) or own.holds_secret):
        own.location.child(in_file).error(f"is required (or {in_environment})")
    if (file := section.get(in_file)) is not None:
        return SecretSource(file=file)
    if (variable := section.get(in_environment)) is not None:
        return SecretSource(env=variable)
    return None


def check_secret(source: SecretSource, location: Location) -> str | None:
    """Read the secret once and report why it is unusable. No message contains the path: it may be a pasted secret."""
    if source.file is not None and world_readable(source.file):
        location.warn("every user of this host can read the file: restrict its permissions")
    try:
        return read_secret(source)
    except SecretUnreadableError as error:
        location.error(error.what if source.env is None else f"the environment variable {error.what}")
        return None


def _check_certificate(section: Section) -> None:
    location = section.location_of("certificate_file")
    file = section.get("certificate_file")
    if world_readable(file):
        location.warn("every user of this host can read the file: restrict its permissions")
    try:
        if not read_whole(file, limit=CERTIFICATE_LIMIT):
            location.error("is empty")
    except FileUnreadableError as error:
        location.error(str(error))


def build_module(name: str, section: Section) -> Module:
    """Build the module. Problems are reported."""
    tls: Section | None = section.get("tls")
    proxy: Section | None = section.get("proxy")
    ca_file: Path | None = tls.get("ca_file") if tls is not None else None
    if tls is not None and ca_file is not None:
        check_ca(ca_file, tls.location_of("ca_file"))
    built = {"ca_file": ca_file, "proxy": _proxy(proxy) if proxy is not None else None}
    return Module(name=name, **(plain_values(Module, section) | built))


def _proxy(section: Section) -> Proxy | None:
    password = secret_source(section, "password", needed=section.is_set("username"))
    if password is not None:
        check_secret(password, section.location_of(f"password_{password.kind}"))
        if not section.is_set("username"):
            section.location.child("username").error("is required with a password")
    if section.get("url") is None:
        return None
    built = {"no_proxy": tuple(host.lower() for host in section.get("no_proxy") or ()), "password": password}
    return Proxy(**(plain_values(Proxy, section) | built))


def check_ca(file: Path, location: Location) -> None:
    """Report a file without a certificate in PEM."""
    import ssl  # noqa: PLC0415 - it takes a twentieth of a check, and few configurations have such a file

    try:
        text = read_whole(file, limit=4 * 1024 * 1024).decode("ascii", "replace")
        ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT).load_verify_locations(cadata=text)
    except FileUnreadableError as error:
        location.error(str(error))
    except (ssl.SSLError, ValueError):
        location.error("contains no certificate in PEM")


# A way to sign in, or to trust a certificate, replaces another way of the defaults.
REPLACED_BY: Mapping[str, tuple[str, ...]] = {
    "user": ("entra_credential",),
    "password_file": ("entra_credential", "password_env"),
    "password_env": ("entra_credential", "password_file"),
    "entra_credential": ("user",),
    "ca_file": ("certificate_sha256",),
    "certificate_sha256": ("ca_file",),
}
_NO_LOGIN = "no login: set user with password_file, or entra_credential, because an account signs in without them on Windows only"
_NO_TENANT = (
    "the credential has no tenant_id, and SQL Server names none: write it there (`az account show --query tenantId` shows it)"
)


class SqlServerBuilder:
    """Builds the SQL Servers of all files. Problems are reported."""

    def __init__(self, credentials: Mapping[str, Section | None]) -> None:
        self._credentials = credentials
        self._addresses: dict[tuple[str, int | str], SectionWithDefaults] = {}
        self._names: dict[str, SectionWithDefaults] = {}

    def build(self, raw: SectionWithDefaults) -> SqlServer | None:
        """Build one; None without a usable address."""
        self._check_address(raw)
        self._check_labels(raw)
        self._check_login(raw)
        password = secret_source(raw, "password", needed=raw.is_set("user"))
        if password is not None:
            check_secret(password, raw.location_of(f"password_{password.kind}"))
        if raw.is_set("ca_file") and raw.is_set("certificate_sha256"):
            raw.location_of("certificate_sha256").error("ca_file and certificate_sha256 exclude each other: keep one")
        if raw.get("ca_file") is not None:
            check_ca(raw.get("ca_file"), raw.location_of("ca_file"))
        if raw.get("address") is None:
            return None
        return SqlServer(**(plain_values(SqlServer, raw) | {"password": password}))

    def _check_address(self, raw: SectionWithDefaults) -> None:
        if not raw.own.is_set("address"):
            raw.own.location.child("address").error("is required")
        if (written := raw.own.get("address")) is None:
            return
        address = parse_sql_address(written)
        key = address.host.casefold(), address.port or (address.instance or "").casefold()
        first = self._addresses.setdefault(key, raw)
        if first is not raw:
            where = first.own.location_of("address").where
            raw.own.location_of("address").error(f"another entry has this address, at {where}: remove one")

    def _check_labels(self, raw: SectionWithDefaults) -> None:
        labels = {name: raw.get(name) for name in ("sql_instance", "host")}
        if None in labels.values():
            return
        first = self._names.setdefault(server_name(labels).casefold(), raw)
        if first is not raw:
            where = first.own.location.where
            raw.own.location.error(f"the same sql_instance and host as at {where}, so their series would be equal: correct one")

    def _check_login(self, raw: SectionWithDefaults) -> None:
        has_user, has_credential = raw.is_set("user"), raw.is_set("entra_credential")
        if not has_user and (raw.is_set("password_file") or raw.is_set("password_env")):
            raw.own.location.child("user").error("is required with a password")
        elif has_user and has_credential:
            raw.location_of("entra_credential").error("user and entra_credential exclude each other: keep one")
        elif not has_user and not has_credential and not is_windows():
            raw.own.location.error(_NO_LOGIN)
        credential = self._credentials.get(raw.get("entra_credential") or "")
        if credential is not None and credential.get("type") not in HOST_IDENTITIES and not credential.is_set("tenant_id"):
            raw.location_of("entra_credential").error(_NO_TENANT)


# Keys of a target that name a credential, and its role.
_PROBING = {
    "credential": "the credential",
    "next_credential": "the staged credential",
    "recovery_credential": "the recovery credential",
}


def check_target(raw: RawTarget) -> None:
    """Report contradictions within a target, at the key to change."""
    _check_key_uri(raw)
    if raw.own.is_set("next_credential") and _same(raw, "next_credential", "credential"):
        raw.location_of("next_credential").error("is the same as credential: name its successor, or remove it")
    if _same(raw, "recovery_vault", "vault"):
        raw.location_of("recovery_vault").error("is the target's own vault: name the vault that holds the restored key")
    if raw.own.is_set("modules"):
        _each_once(raw.own.get("modules") or [], raw.own.location_of("modules"))
    first: dict[tuple[str, str | None, str], Section] = {}
    for section in raw.get("retained_versions") or ():
        key: KeyReference | None = section.get("key")
        vault = retained_vault(section, raw)
        if key is None or vault is None:
            continue
        _same_vault(key, section.location_of("key"), section)
        other = first.setdefault((key.name.lower(), (key.version or "").lower(), vault), section)
        if other is not section:
            section.location.error(f"the same key version in the same vault as {other.location.path}: remove one")


def check_lookup_credentials(credentials: Mapping[str, Section | None], targets: Mapping[str, RawTarget]) -> None:
    """Report credentials for expiry lookups that can do more than look up."""
    users = dict(_users(targets))
    for name, section in credentials.items():
        if section is None:
            continue
        graph = section.get("graph_credential")
        if graph == name:
            section.location_of("graph_credential").error("a credential cannot look up its own expiry: name another one")
        elif graph in users:
            problem = f"is {users[graph]}: use a separate identity for Graph that cannot read keys"
            section.location_of("graph_credential").error(problem)
        if section.is_set("key_vault_credential") and not section.is_set("key_vault_secret"):
            section.location_of("key_vault_credential").error("has no effect: write key_vault_secret, or remove it")


def _check_key_uri(raw: RawTarget) -> None:
    """Report a KeyUri and a `vault` that name different vaults. A target's own KeyUri replaces the `vault` of target_defaults."""
    inherited_vault = not raw.own.is_set("vault")
    key: KeyReference | None = raw.own.get("key")
    if key is None and raw.defaults is not None and not raw.own.is_set("key"):
        key = raw.defaults.get("key")
        inherited_vault = False
    if key is None or inherited_vault:
        return
    _same_vault(key, raw.location_of("key"), raw.own if raw.own.is_set("vault") else raw.defaults or raw.own)


def _same_vault(key: KeyReference, location: Location, section: Section) -> None:
    vault = section.get("vault")
    if key.contradicts(vault):
        line = section.location_of("vault").line
        location.error(f"names the vault {key.vault}, but vault in line {line} is {vault}: correct one, or remove vault")


def _each_once(names: list[str], location: Location) -> None:
    for index, name in enumerate(names):
        if name in names[:index]:
            location.item(index).error("listed twice: remove one")


def _same(raw: RawTarget, one: str, other: str) -> bool:
    return raw.get(one) is not None and raw.get(one) == raw.get(other)


def _users(targets: Mapping[str, RawTarget]) -> Iterator[tuple[str, str]]:
    """Yield pairs of a credential and its role for a target. The first target comes last, because the last pair wins."""
    for target, raw in reversed(list(targets.items())):
        for section in raw.get("retained_versions") or ():
            if section.get("credential") is not None:
                yield section.get("credential"), f"the credential of a retained key of {target}"
        for setting, role in _PROBING.items():
            if raw.get(setting) is not None:
                yield raw.get(setting), f"{role} of {target}"


@dataclass(slots=True)
class Declarations:
    """The sections by name, for later problems and warnings."""

    main: Location
    credentials: dict[str, Section | None] = field(default_factory=dict)
    modules: dict[str, Section | None] = field(default_factory=dict)
    targets: dict[str, RawTarget] = field(default_factory=dict)
    sql_servers: dict[str, SectionWithDefaults] = field(default_factory=dict)  # by address
    concurrency: bool = False
    complete: bool = True


def build_config(loaded: LoadedFiles, problems: ProblemList) -> tuple[Config | None, Declarations | None]:
    """Build the configuration; None if there is any problem. Problems are reported."""
    if not loaded.parts:
        return None, None
    parts = loaded.parts
    declared = Declarations(parts[0].location, complete=loaded.complete)
    _declare_names(parts, declared)
    _check_references(parts, declared)
    globals_ = build_globals(parts[0].get("global"), declared.main)
    targets = [build_target(raw, globals_) for raw in _declare_targets(parts, declared)]
    check_lookup_credentials(declared.credentials, declared.targets)
    credentials = [build_credential(name, section) for name, section in declared.credentials.items() if section is not None]
    modules = [build_module(name, section) for name, section in declared.modules.items() if section is not None]
    sql_servers = _build_sql_servers(parts, declared)
    if problems.errors:
        return None, declared
    config = Config(
        settings=globals_.settings,
        credentials={credential.name: credential for credential in credentials if credential is not None},
        modules={DEFAULT_MODULE: Module(name=DEFAULT_MODULE)} | {module.name: module for module in modules},
        targets={
            target.name: replace(target, config_file=loaded.files[0], vantage=globals_.settings.vantage)
            for target in targets
            if target is not None
        },
        sql_servers=sql_servers,
        files=tuple(loaded.files),
    )
    if not declared.concurrency:
        enough = slots_for([(target.interval, target.timeout) for target in config.targets.values()])
        config = replace(config, settings=replace(config.settings, concurrency=enough))
    return config, declared


def _declare_names(parts: list[Section], declared: Declarations) -> None:
    settings: Section | None = parts[0].get("global")
    declared.concurrency = settings is not None and settings.is_set("concurrency")
    for part in parts:
        for kind, known in (("credentials", declared.credentials), ("modules", declared.modules)):
            for name, section in (part.get(kind) or {}).items():
                first = known.setdefault(name, section)
                if first is not section and first is not None and section is not None:
                    section.location.error(f"declared twice, first at {first.location.where}: rename or remove one")


def _declare_targets(parts: list[Section], declared: Declarations) -> Iterator[RawTarget]:
    count = 0
    for part in parts:
        for section in part.get("targets") or ():
            count += 1
            raw = RawTarget(section, part.get("target_defaults"))
            name = section.get("name")
            if name is not None and declared.targets.setdefault(name, raw) is not raw:
                first = declared.targets[name].own.location_of("name")
                section.location_of("name").error(f"another target has this name, at {first.where}: rename one")
            check_target(raw)
            yield raw
    unreadable = any(part.is_set("targets") and part.get("targets") != [] for part in parts)
    if not count and not unreadable and declared.complete:
        declared.main.child("targets").error("at least one target is required")


def _build_sql_servers(parts: list[Section], declared: Declarations) -> dict[str, SqlServer]:
    builder, found = SqlServerBuilder(declared.credentials), dict[str, SqlServer]()
    for part in parts:
        for section in part.get("sql_servers") or ():
            raw = SectionWithDefaults(section, part.get("sql_server_defaults"), REPLACED_BY)
            server = builder.build(raw)
            if server is not None:
                declared.sql_servers[server.address], found[server.address] = raw, server
    return found


def _check_references(parts: list[Section], declared: Declarations) -> None:
    unreadable = {kind for kind in ("credentials", "modules") for part in parts if part.is_set(kind) and part.get(kind) is None}
    known = {"credentials": tuple(declared.credentials), "modules": (*declared.modules, DEFAULT_MODULE)}
    for section in _referring(parts):
        for name, kind in REFERENCES.items():
            for reference, location in _references(section, name):
                if reference not in known[kind] and kind not in unreadable and declared.complete:
                    action = nearest(reference, known[kind]) or f": declare it under {kind}"
                    location.error(f"no {kind.removesuffix('s')} has this name{action}")


def _references(section: Section, name: str) -> Iterator[tuple[str, Location]]:
    """Each name in a field, single or in a list, and its location."""
    value, location = section.get(name), section.location_of(name)
    if isinstance(value, str):
        yield value, location
    elif isinstance(value, list):
        yield from ((each, location.item(index)) for index, each in enumerate(value))


def _referring(parts: list[Section]) -> Iterator[Section]:
    for part in parts:
        yield from (section for section in (part.get("credentials") or {}).values() if section is not None)
        for defaults, entries in (("target_defaults", "targets"), ("sql_server_defaults", "sql_servers")):
            lenders = [part.get(defaults)] if part.get(defaults) is not None else []
            for section in (*lenders, *(part.get(entries) or ())):
                yield section
                yield from section.get("retained_versions") or ()
