"""Load a configuration file: the checked configuration, or all problems, and its warnings.

Blocks: reads files, secrets and certificates.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from datetime import UTC, date, datetime
from pathlib import Path

from exporter.config.build import Declarations, build_config
from exporter.config.cost import vault_shares
from exporter.config.files import read_with_includes
from exporter.config.settings import (
    DEFAULT_MODULE,
    Config,
    Credential,
    ExpectPath,
    Module,
    Target,
)
from exporter.config.tree import Location, Problem, ProblemList
from exporter.config.usage import credentials_in_use, public_names, unlisted_instances
from exporter.core import counted, durations
from exporter.core.limits import ALERTED_SECONDS, OWN_SHARE
from exporter.core.names import Pin, contradiction, server_name
from exporter.core.secrets import SHORTEST, KnownSecrets
from exporter.core.values import CredentialKind, Mode, Vantage

# Targets without a verdict, and auxiliary probes that prove little. `NO_VERDICT` has a row for each reason of `knowledge.verdict.WHY` that a configuration can cause.

Rows = Iterator[tuple[object, str, str]]  # whether it applies, the key of the section, the message

_RUN_ON_HOST = "run the exporter on the SQL Server's host with vantage: sql_host"
_PLACE_OF_URI = "in the registry of the SQL Server host, below the thumbprint in sys.dm_database_encryption_keys"
_UNWRAPPING = ("next_credential", "retained_versions", "recovery_vault")


def _mode(target: Target, config: Config) -> Mode:
    return config.modules[target.module].mode


def _central(config: Config) -> bool:
    return config.settings.vantage is Vantage.CENTRAL


# By `why` of the verdict: the targets, the key to warn at, the message.
NO_VERDICT: Mapping[str, tuple[Callable[[Target, Config], bool], str, str]] = {
    "version_not_pinned": (
        lambda target, config: target.key_version is None and _mode(target, config) is not Mode.CANARY,
        "key",
        f"no version, so no verdict: write NAME/VERSION or the KeyUri ({_PLACE_OF_URI})",
    ),
    "identity_of_another_host": (
        lambda target, config: (
            config.credentials[target.credential].kind.is_managed
            and _central(config)
            and _mode(target, config) is not Mode.CANARY
        ),
        "credential",
        f"a managed identity belongs to its host, so there is no verdict from another host: {_RUN_ON_HOST}",
    ),
    "read_only": (
        lambda target, config: target.key_version is not None and _mode(target, config) is Mode.READ_ONLY,
        "module",
        "mode read_only never unwraps, so the verdict can be not ready or unknown, never ready: use mode full",
    ),
    "canary": (
        lambda target, config: _mode(target, config) is Mode.CANARY,
        "module",
        "mode canary never gives a verdict, because its identity and key are not SQL Server's: probe those with mode full",
    ),
}


def no_verdict(target: Target, config: Config, _: date) -> Rows:
    """Yield every reason why the target never gets a verdict, or never a good one."""
    return ((applies(target, config), key, message) for applies, key, message in NO_VERDICT.values())


def weak_proof(target: Target, config: Config, _: date) -> Rows:
    """Yield the settings that prove less than they seem to, mostly auxiliary probes."""
    mode, staged = _mode(target, config), config.credentials.get(target.next_credential or "")
    for key in _UNWRAPPING:
        yield (
            getattr(target, key) and mode is Mode.READ_ONLY,
            key,
            "mode read_only never unwraps, so this can fail but never prove anything: use mode full",
        )
        yield (
            getattr(target, key) and mode is Mode.CANARY and key != "next_credential",
            key,
            "the key of mode canary is not SQL Server's, so this proves nothing about its backups: move it to a target in mode full",
        )
    yield (
        staged is not None and staged.kind.is_managed and _central(config),
        "next_credential",
        f"a managed identity belongs to its host, so no other host can test it: {_RUN_ON_HOST}",
    )
    yield (
        config.credentials[target.credential].kind is CredentialKind.DEFAULT and _central(config) and mode is not Mode.CANARY,
        "credential",
        "type default can use the identity of this host: write a type that names SQL Server's identity",
    )
    yield (
        target.recovery_vault is not None and target.key_version is None,
        "recovery_vault",
        "the key has no version, so only its newest version is tested in the recovery vault: write NAME/VERSION",
    )
    probed = target.vault, target.key.lower(), target.credential
    for retained in target.retained_versions:
        yield (
            (retained.vault, retained.key.lower(), retained.credential) == probed,
            "retained_versions",
            f"{retained.key} is the key that the probe already tests: remove this entry",
        )


# The other warnings about a configuration without a problem: each kind has one function.

Advice = Iterator[tuple[Location, str]]
_SECRET_KINDS = (CredentialKind.CLIENT_SECRET, CredentialKind.CONNECTOR_SECRET)  # a certificate has its own expiry date
# The settings of a module that decide which hosts receive a secret.
_TRUST: Mapping[str, Callable[[Module], object]] = {
    "authority_host": lambda module: module.authority_host,
    "proxy": lambda module: module.proxy,
    "tls.ca_file": lambda module: module.ca_file,
    "connect_to": lambda module: module.connect_to,
}
_UNMASKED = (
    f"the secret has fewer than {SHORTEST} characters or is part of a configured name, so logs and pages would show it if a server"
    " returned it: create another one"
)
_TENANT = "`az account show --query tenantId` and the label tenant of ekm_target_info show it"


def advise(config: Config, declared: Declarations, today: date) -> None:
    """Add every warning at its location."""
    for kind in (_generation, _budget, _unused, _same, _thumbprints, _unmasked_secrets):
        for location, message in kind(config, declared, today):
            location.warn(message)
    for per_target in _PER_TARGET:
        for target in config.targets.values():
            for applies, key, message in per_target(target, config, today):
                if applies:
                    declared.targets[target.name].location_of(key).warn(message)
    used = credentials_in_use(config)
    for credential in config.credentials.values():
        section = declared.credentials[credential.name]
        for applies, key, message in _credential(credential, config, today, used=credential.name in used):
            if applies and section is not None:
                section.location_of(key).warn(message)


def _generation(config: Config, declared: Declarations, _: date) -> Advice:
    unset = [target.name for target in config.targets.values() if not target.generation_declared]
    if unset:
        which = ", ".join(unset[:3]) + (", …" if len(unset) > 3 else "")
        message = f"not set, so {counted(len(unset), 'target')} ({which}) get the classic codes (30xx)"
        advice = "write current for connector 1.0.5.0, which Azure's SQL IaaS extension installs since March 2026, or classic"
        yield declared.main.child("global.connector_generation"), f"{message}: {advice}"


def _budget(config: Config, declared: Declarations, today: date) -> Advice:
    for vault, share in vault_shares(config, today).items():
        if share.ratio > OWN_SHARE:
            location = declared.targets[share.targets[0]].location_of("interval")
            who = counted(len(share.targets), "target")
            yield location, f"{who} would use up to {share.ratio:.1%} of the request limit of {vault}: probe less often"


def _unused(config: Config, declared: Declarations, _: date) -> Advice:
    used = credentials_in_use(config) | {server.entra_credential for server in config.sql_servers.values()}
    modules = {name for target in config.targets.values() for name in (target.module, *target.modules)} | {DEFAULT_MODULE}
    for kind, sections, in_use in (("credential", declared.credentials, used), ("module", declared.modules, modules)):
        for name, section in sections.items():
            if name not in in_use and section is not None:
                yield section.location, f"no target uses this {kind}: remove it, or use it"


def _settings(target: Target, config: Config, today: date) -> Rows:
    own = config.modules[target.module]
    is_proxied = own.proxy is not None and not own.proxy.leaves_out(target.vault.partition(":")[0])
    yield (
        own.expect_path is ExpectPath.PRIVATE and is_proxied,
        "module",
        "expect_path is private, but the proxy gets the vault's requests: name the vault in no_proxy",
    )
    for name in target.modules:
        other = [key for key, value in _TRUST.items() if value(config.modules[name]) != value(own)]
        difference = f"module {name} differs from module {own.name} in {', '.join(other)}"
        yield (
            other,
            "modules",
            f"{difference}, so a request to /probe can send this target's secret there: remove the module unless you want that",
        )
    longest, page = durations.write(ALERTED_SECONDS), durations.write(4 * target.interval)
    yield (
        target.interval > ALERTED_SECONDS,
        "interval",
        f"longer than {longest}, so the shipped alerts are late: a fault pages after {page}, a burning error budget perhaps never",
    )
    yield target.backup_on is not None and target.backup_on > today, "backup_on", "is in the future: correct the date"
    for retained in target.retained_versions:
        yield (
            retained.until is not None and retained.until < today,
            "retained_versions",
            f"{retained.key_name} was needed until {retained.until}: remove this entry, or correct the date",
        )
    for instance in unlisted_instances(target, config.sql_servers.values()):
        name = server_name(instance)
        yield (
            True,
            "instances",
            f"{name} is not under sql_servers, though others of this target are: add it, or correct its labels",
        )


_PER_TARGET: tuple[Callable[[Target, Config, date], Rows], ...] = (
    no_verdict,
    _settings,
    weak_proof,
)


def _credential(credential: Credential, config: Config, today: date, *, used: bool) -> Rows:
    yield (
        credential.expires_on is not None and credential.expires_on < today,
        "expires_on",
        f"{credential.expires_on} is in the past: write the date of the current secret",
    )
    sources = (credential.expires_on, credential.graph_credential, credential.key_vault_secret)
    yield (
        used and credential.kind in _SECRET_KINDS and all(source is None for source in sources),
        "expires_on",
        "the expiry of the secret is unknown: write expires_on, graph_credential or key_vault_secret",
    )
    lookup = config.credentials.get(credential.graph_credential or "")
    yield (
        # the environment of the other kinds sets it
        lookup is not None and lookup.has_own_secret and not (lookup.tenant_id or credential.tenant_id),
        "graph_credential",
        f"credential {credential.graph_credential} has no tenant_id, and Microsoft Graph names none: write it there ({_TENANT})",
    )


def _same(config: Config, declared: Declarations, _: date) -> Advice:
    first: dict[tuple[str, ...], str] = {}
    for target in config.targets.values():
        other = first.setdefault((target.vault, target.key.lower(), target.credential, target.module), target.name)
        if other != target.name:
            yield (
                declared.targets[target.name].location,
                f"same vault, key and credential as {other}: list all SQL Servers in the instances of one target",
            )


def _thumbprints(config: Config, declared: Declarations, _: date) -> Advice:
    """Yield each target whose pin contradicts that of an earlier one, or proves nothing."""
    pins = [(target.name, pin) for target in config.targets.values() if (pin := target.pin) is not None]
    for name, pin in pins:
        if pin.key_version is None:
            yield (
                declared.targets[name].location_of("thumbprint"),
                "the key has no version, so the thumbprint proves nothing: write key as NAME/VERSION",
            )
    # Only pins with one thumbprint or one key can contradict each other: thousands of targets are not compared in pairs.
    for same in (lambda pin: pin.thumbprint, lambda pin: (pin.key_name.lower(), (pin.key_version or "").lower())):
        first: dict[object, tuple[str, Pin]] = {}
        for name, pin in pins:
            other, known = first.setdefault(same(pin), (name, pin))
            if why := contradiction(pin, known):
                yield declared.targets[name].location_of("thumbprint"), f"target {other} has {why}: correct one"


def _unmasked_secrets(config: Config, declared: Declarations, _: date) -> Advice:
    """Yield each secret that logs and pages could show, because it is short or part of a name."""
    known = KnownSecrets()
    known.spare(lambda: public_names(config))
    for location, text in declared.main.problems.secrets:
        known.remember(text)
        if not known.reveals(text):
            yield location, _UNMASKED


@dataclass(frozen=True, slots=True, kw_only=True)
class Loaded:
    """A result of `load_config`. `config` is None if and only if there are problems.

    `files` (read or missing) and `patterns` (of includes) are what to watch for changes.
    """

    config: Config | None
    problems: tuple[Problem, ...]
    warnings: tuple[Problem, ...]
    files: tuple[Path, ...]
    patterns: tuple[str, ...] = ()


def load_config(path: Path, *, today: date | None = None) -> Loaded:
    """Read, check and merge the configuration. No content of a file makes it raise."""
    problems = ProblemList()
    loaded = read_with_includes(Path(path), problems)
    config, declared = build_config(loaded, problems)
    if config is not None and declared is not None:
        advise(config, declared, today or datetime.now(UTC).date())
    return Loaded(
        config=config,
        problems=problems.errors,
        warnings=problems.warnings,
        files=tuple(loaded.files.values()),
        patterns=tuple(loaded.patterns),
    )
