"""Build a `Config` from the sections of all files: targets, credentials, modules and SQL Servers, with their defaults.

Checks names, references, secrets and files, and reports settings that contradict each other.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

from exporter.config.fields import Section, required_of
from exporter.config.files import LoadedFiles, retained_in, sql_servers_in, targets_in, vault_of
from exporter.config.schema import TARGET_DEFAULTS
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
from exporter.core.connector import CLIENT_ID_DIGITS, connector_secret_findings
from exporter.core.limits import slots_for
from exporter.core.names import nearest, parse_sql_address, server_name
from exporter.core.values import HOST_IDENTITIES, CredentialKind, KeyReference
from exporter.runtime.files import CERTIFICATE_LIMIT, FileUnreadableError, read_whole, world_readable
from exporter.runtime.process import is_windows

_WORLD_READABLE = "every user of this host can read the file: restrict its permissions"


def default_timeout(interval: float) -> float:
    """Return the timeout in seconds of a target that sets none."""
    return min(Settings().timeout, interval / 2)


def _above_half(timeout: float, interval: float) -> str:
    written, limited = durations.write(timeout), durations.write(interval)
    return f"a timeout of {written} exceeds half of the interval of {limited}: shorten it, or probe less often"


def build_target(raw: Section, settings: Settings, given: Section) -> Target | None:
    """Build the target; None if a required key is missing or unusable. `given` is the section `global`. Problems are reported."""
    usable = _has_all(raw)
    interval = raw.get("interval") or settings.interval
    timeout = _timeout(raw, given, interval)
    retained = _retained(raw)
    if not usable:
        return None
    key: KeyReference = raw.get("key")
    values = {"generation": settings.generation, "module": DEFAULT_MODULE} | plain_values(Target, raw)
    credential, staged, recovery = (raw.get(name) for name in _PROBING)
    built = {
        "vault": vault_of(raw),
        "key_name": key.name,
        "key_version": key.version,
        "interval": interval,
        "timeout": timeout,
        "generation_declared": raw.get("connector_generation") is not None or given.is_set("connector_generation"),
        # A default that this target already uses is not staged, as in a rollover with several steps.
        "next_credential": None if staged == credential else staged,
        "retained_versions": retained,
        "recovery_credential": None if raw.get("recovery_vault") is None else recovery or credential,
        "modules": tuple(name for name in values.get("modules", ()) if name != values["module"]),
    }
    return Target(**(values | built))


_NEEDED = required_of(TARGET_DEFAULTS)


def _has_all(raw: Section) -> bool:
    found = {"name": raw.get("name")}
    for name in _NEEDED:
        found[name] = vault_of(raw) if name == "vault" else raw.get(name)
        if found[name] is None and not raw.is_set(name):
            raw.location.child(name).error("is required, here or in target_defaults")
    return None not in found.values()


def _timeout(raw: Section, given: Section, interval: float) -> float:
    own: float | None = raw.get("timeout")
    timeout = own if own is not None else given.get("timeout")
    if timeout is None or (raw.is_set("interval") and raw.get("interval") is None):
        return default_timeout(interval)
    if timeout > interval / 2:
        # At the key that causes the disproportion, nearest to the target.
        places = (raw.location_of(name) for name in ("timeout", "interval") if raw.is_set(name))
        next(places, given.location_of("timeout")).error(_above_half(timeout, interval))
    return timeout


def _retained(raw: Section) -> tuple[Retained, ...]:
    found, first = [], dict[tuple[str, str, str], Section]()
    for section, key, vault in retained_in(raw):
        _same_vault(key, section)
        other = first.setdefault((key.name.lower(), (key.version or "").lower(), vault), section)
        if other is not section:
            section.location.error(f"the same key version in the same vault as {other.location.path}: remove one")
        if (credential := section.get("credential") or raw.get("credential")) is None:
            continue
        if key.version is None:
            section.location_of("key").error("a retained key needs a version: write NAME/VERSION")
        built = {"key_name": key.name, "key_version": key.version, "vault": vault, "credential": credential}
        found.append(Retained(**(plain_values(Retained, section) | built)))
    return tuple(found)


def build_credential(name: str, section: Section) -> Credential | None:
    """Build the credential; None without a usable type. Problems are reported."""
    kind: CredentialKind | None = section.get("type")
    if kind is None:
        return None
    if kind in NEEDS_CLIENT_ID and not section.is_set("client_id"):
        section.location.child("client_id").error("is required")
    stem, needed = SOURCES.get(kind, ("", False))
    is_connector = kind is CredentialKind.CONNECTOR_SECRET
    source = secret_source(section, stem, needed=needed, is_connector=is_connector) if stem else None
    if (file := section.get("certificate_file")) is not None:
        location = section.location_of("certificate_file")
        if world_readable(file):
            location.warn(_WORLD_READABLE)
        try:
            if not read_whole(file, limit=CERTIFICATE_LIMIT):
                location.error("is empty")
        except FileUnreadableError as error:
            location.error(str(error))
    attribute = "password" if kind is CredentialKind.CLIENT_CERTIFICATE else "secret"
    return Credential(name=name, **(plain_values(Credential, section) | {attribute: source}))


def secret_source(section: Section, stem: str, *, needed: bool, is_connector: bool = False) -> SecretSource | None:
    """Return the place of a secret from the keys STEM_file and STEM_env. Only one of the two is allowed, and it must be usable."""
    in_file, in_environment = f"{stem}_file", f"{stem}_env"
    if section.is_set(in_file) and section.is_set(in_environment):
        section.location_of(in_environment).error(f"the secret has two sources: keep either this or {in_file}")
        return None
    if needed and not (section.is_set(in_file) or section.is_set(in_environment) or section.holds_secret):
        section.location.child(in_file).error(f"is required (or {in_environment})")
    source = SecretSource(file=section.get(in_file), env=section.get(in_environment))
    if source.file is None and source.env is None:
        return None
    _check_secret(source, section.location_of(f"{stem}_{source.kind}"), is_connector=is_connector)
    return source


def _check_secret(source: SecretSource, location: Location, *, is_connector: bool) -> None:
    """Read the secret once and report why it is unusable. No message contains the path: it may be a pasted secret."""
    if source.file is not None and world_readable(source.file):
        location.warn(_WORLD_READABLE)
    try:
        text = read_secret(source)
    except SecretUnreadableError as error:
        location.error(error.what if source.env is None else f"the environment variable {error.what}")
        return
    location.problems.secrets.append((location, text[CLIENT_ID_DIGITS if is_connector else 0 :]))
    for finding in connector_secret_findings(text) if is_connector else ():
        location.error(finding.text)


def build_module(name: str, section: Section) -> Module:
    """Build the module. Problems are reported."""
    tls, proxy = (section.get(name) or Section(section.location) for name in ("tls", "proxy"))
    built: dict[str, Any] = {"ca_file": checked_ca(tls), "proxy": None}
    password = secret_source(proxy, "password", needed=proxy.is_set("username"))
    if password is not None and not proxy.is_set("username"):
        proxy.location.child("username").error("is required with a password")
    if proxy.get("url") is not None:
        no_proxy = tuple(host.lower() for host in proxy.get("no_proxy") or ())
        built["proxy"] = Proxy(**(plain_values(Proxy, proxy) | {"no_proxy": no_proxy, "password": password}))
    return Module(name=name, **(plain_values(Module, section) | built))


def checked_ca(section: Section) -> Path | None:
    """Return the `ca_file` of a section, if it has one, and report a file without a certificate in PEM."""
    file: Path | None = section.get("ca_file")
    if file is None:
        return None
    import ssl  # noqa: PLC0415 - it takes a twentieth of a check, and few configurations have such a file

    try:
        text = read_whole(file, limit=4 * 1024 * 1024).decode("ascii", "replace")
        ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT).load_verify_locations(cadata=text)
    except FileUnreadableError as error:
        section.location_of("ca_file").error(str(error))
    except (ssl.SSLError, ValueError):
        section.location_of("ca_file").error("contains no certificate in PEM")
    return file


_NO_LOGIN = "no login: set user with password_file, or entra_credential, because an account signs in without them on Windows only"
_NO_TENANT = (
    "the credential has no tenant_id, and SQL Server names none: write it there (`az account show --query tenantId` shows it)"
)


def build_sql_server(raw: Section, credentials: Mapping[str, Section | None]) -> SqlServer | None:
    """Build one; None without a usable address. Problems are reported."""
    _check_login(raw, credentials)
    password = secret_source(raw, "password", needed=raw.is_set("user"))
    if raw.is_set("ca_file") and raw.is_set("certificate_sha256"):
        raw.location_of("certificate_sha256").error("ca_file and certificate_sha256 exclude each other: keep one")
    checked_ca(raw)
    if raw.get("address") is None:
        return None
    return SqlServer(**(plain_values(SqlServer, raw) | {"password": password}))


def _check_login(raw: Section, credentials: Mapping[str, Section | None]) -> None:
    has_user, has_credential = raw.is_set("user"), raw.is_set("entra_credential")
    if not has_user and (raw.is_set("password_file") or raw.is_set("password_env")):
        raw.location.child("user").error("is required with a password")
    elif has_user and has_credential:
        raw.location_of("entra_credential").error("user and entra_credential exclude each other: keep one")
    elif not has_user and not has_credential and not is_windows():
        raw.location.error(_NO_LOGIN)
    credential = credentials.get(raw.get("entra_credential") or "")
    if credential is not None and credential.get("type") not in HOST_IDENTITIES and not credential.is_set("tenant_id"):
        raw.location_of("entra_credential").error(_NO_TENANT)


# Keys of a target that name a credential, and its role.
_PROBING = {
    "credential": "the credential",
    "next_credential": "the staged credential",
    "recovery_credential": "the recovery credential",
}


def check_target(raw: Section) -> None:
    """Report contradictions within a target, at the key to change."""
    key: KeyReference | None = raw.get("key")
    if key is not None and (
        raw.sets("vault") or not raw.sets("key")
    ):  # a target's own KeyUri replaces the vault of target_defaults
        _same_vault(key, raw)
    credential, vault = raw.get("credential"), vault_of(raw)
    if raw.sets("next_credential") and credential is not None and raw.get("next_credential") == credential:
        raw.location_of("next_credential").error("is the same as credential: name its successor, or remove it")
    if vault is not None and raw.get("recovery_vault") == vault:
        raw.location_of("recovery_vault").error("is the target's own vault: name the vault that holds the restored key")
    names = raw.get("modules") or [] if raw.sets("modules") else []
    for index, name in enumerate(names):
        if name in names[:index]:
            raw.location_of("modules").item(index).error("listed twice: remove one")


def check_lookup_credentials(credentials: Mapping[str, Section | None], targets: Mapping[str, Section]) -> None:
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


def _same_vault(key: KeyReference, section: Section) -> None:
    vault = section.get("vault")
    if key.contradicts(vault):
        where = f"vault in line {section.location_of('vault').line}"
        section.location_of("key").error(f"names the vault {key.vault}, but {where} is {vault}: correct one, or remove vault")


def _users(targets: Mapping[str, Section]) -> Iterator[tuple[str, str]]:
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
    targets: dict[str, Section] = field(default_factory=dict)
    sql_servers: dict[str, Section] = field(default_factory=dict)  # by address
    complete: bool = True


def build_config(loaded: LoadedFiles, problems: ProblemList) -> tuple[Config | None, Declarations | None]:
    """Build the configuration; None if there is any problem. Problems are reported."""
    if not loaded.parts:
        return None, None
    parts = loaded.parts
    declared = Declarations(parts[0].location, complete=loaded.complete)
    for part in parts:
        for kind, known in (("credentials", declared.credentials), ("modules", declared.modules)):
            for name, section in (part.get(kind) or {}).items():
                first = known.setdefault(name, section)
                if first is not section and first is not None and section is not None:
                    section.location.error(f"declared twice, first at {first.location.where}: rename or remove one")
    _check_references(parts, declared, problems)
    given: Section = parts[0].get("global") or Section(declared.main.child("global"))
    values = plain_values(Settings, given)
    interval, timeout = values.get("interval", Settings().interval), values.get("timeout")
    if timeout is not None and timeout > interval / 2:
        given.location_of("timeout").error(_above_half(timeout, interval))
    settings = Settings(**({"timeout": default_timeout(interval)} | values))
    targets = [build_target(raw, settings, given) for raw in _declare_targets(parts, declared)]
    check_lookup_credentials(declared.credentials, declared.targets)
    credentials = [build_credential(name, section) for name, section in declared.credentials.items() if section is not None]
    modules = [build_module(name, section) for name, section in declared.modules.items() if section is not None]
    sql_servers = _build_sql_servers(parts, declared)
    if problems.errors:
        return None, declared
    main, *_ = loaded.files.values()
    config = Config(
        settings=settings,
        credentials={credential.name: credential for credential in credentials if credential is not None},
        modules={DEFAULT_MODULE: Module(name=DEFAULT_MODULE)} | {module.name: module for module in modules},
        targets={
            target.name: replace(target, config_file=main, vantage=settings.vantage) for target in targets if target is not None
        },
        sql_servers=sql_servers,
        files=tuple(loaded.files.values()),
    )
    if not given.is_set("concurrency"):
        enough = slots_for([(target.interval, target.timeout) for target in config.targets.values()])
        config = replace(config, settings=replace(settings, concurrency=enough))
    return config, declared


def _declare_targets(parts: list[Section], declared: Declarations) -> Iterator[Section]:
    count = 0
    for raw in (raw for part in parts for raw in targets_in(part)):
        count += 1
        name = raw.get("name")
        if name is not None and declared.targets.setdefault(name, raw) is not raw:
            first = declared.targets[name].location_of("name")
            raw.location_of("name").error(f"another target has this name, at {first.where}: rename one")
        check_target(raw)
        yield raw
    unreadable = any(part.is_set("targets") and part.get("targets") != [] for part in parts)
    if not count and not unreadable and declared.complete:
        declared.main.child("targets").error("at least one target is required")


def _build_sql_servers(parts: list[Section], declared: Declarations) -> dict[str, SqlServer]:
    found, addresses, names = dict[str, SqlServer](), dict[tuple[str, int | str], Section](), dict[str, Section]()
    for raw in (raw for part in parts for raw in sql_servers_in(part)):
        if (written := raw.get("address")) is not None:
            address = parse_sql_address(written)
            first = addresses.setdefault((address.host.casefold(), address.port or (address.instance or "").casefold()), raw)
            if first is not raw:
                where = first.location_of("address").where
                raw.location_of("address").error(f"another entry has this address, at {where}: remove one")
        labels = {name: raw.get(name) for name in ("sql_instance", "host")}
        if None not in labels.values():
            first = names.setdefault(server_name(labels).casefold(), raw)
            if first is not raw:
                where = first.location.where
                raw.location.error(f"the same sql_instance and host as at {where}, so their series would be equal: correct one")
        server = build_sql_server(raw, declared.credentials)
        if server is not None:
            declared.sql_servers[server.address], found[server.address] = raw, server
    return found


def _check_references(parts: list[Section], declared: Declarations, problems: ProblemList) -> None:
    unreadable = {kind for kind in ("credentials", "modules") for part in parts if part.is_set(kind) and part.get(kind) is None}
    known = {"credentials": tuple(declared.credentials), "modules": (*declared.modules, DEFAULT_MODULE)}
    for kind, name, location in problems.references:
        if name not in known[kind] and kind not in unreadable and declared.complete:
            action = nearest(name, known[kind]) or f": declare it under {kind}"
            location.error(f"no {kind.removesuffix('s')} has this name{action}")
