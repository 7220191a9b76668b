"""What is allowed and yet worth a word: warnings about a configuration without a problem.

For: one small function per kind of advice, each saying what to do.
Not for: problems; what stays unproven (`unproven`); anything that needs the network.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from datetime import date

from exporter.config.build import DEFAULT_MODULE, Declarations, credentials_in_use, same_probe
from exporter.config.cost import vault_shares
from exporter.config.coverage import beside, no_verdict
from exporter.config.model import Config, Credential, CredentialKind, ExpectPath, Module, Target
from exporter.config.problems import Location
from exporter.core import durations
from exporter.core.timing import ALERTED_SECONDS

BUDGET_SHARE = 0.01  # of what one vault takes: more than that is no longer nothing beside SQL Server's own work

Advice = Iterator[tuple[Location, str]]
_WITH_A_SECRET = (CredentialKind.CLIENT_SECRET, CredentialKind.CONNECTOR_SECRET)  # a certificate names its own end
_NEEDS_A_TENANT = (*_WITH_A_SECRET, CredentialKind.CLIENT_CERTIFICATE)  # the others are told theirs by where they run
# What of a module decides where a secret goes, and who may read it on its way.
_TRUST: Mapping[str, Callable[[Module], object]] = {
    "authority_host": lambda module: module.authority_host,
    "proxy": lambda module: module.proxy,
    "tls.ca_file": lambda module: module.ca_file,
    "connect_to": lambda module: module.connect_to,
}
_TENANT = "`az account show --query tenantId` shows it, and so does the label tenant of ekm_target_info"


def advise(config: Config, declared: Declarations, today: date) -> None:
    """Add every warning at its place."""
    for kind in (_generation, _budget, _unused):
        for location, message in kind(config, declared, today):
            location.warn(message)
    for per_target in _PER_TARGET:
        for target in config.targets.values():
            for key, message in per_target(target, config, today):
                declared.targets[target.name].location_of(key).warn(message)
    used = credentials_in_use(config)
    for credential in config.credentials.values():
        section = declared.credentials[credential.name]
        for key, message in _credential(credential, config, today, used=credential.name in used):
            if section is not None:
                section.location_of(key).warn(message)
    for name, message in _same(config):
        declared.targets[name].own.location.warn(message)


def _generation(config: Config, declared: Declarations, _: date) -> Advice:
    silent = [target.name for target in config.targets.values() if not target.generation_declared]
    if silent:
        which = ", ".join(silent[:3]) + (", …" if len(silent) > 3 else "")
        message = f"not declared, so classic codes (30xx) for {_count(len(silent), 'target')} ({which})"
        yield declared.main.child("global.connector_generation"), f"{message}: write classic or current"


def _budget(config: Config, declared: Declarations, today: date) -> Advice:
    for vault, share in vault_shares(config, today).items():
        if share.ratio > BUDGET_SHARE:
            location = declared.targets[share.targets[0]].location_of("interval")
            who = _count(len(share.targets), "target")
            yield location, f"{who} would use up to {share.ratio:.1%} of what {vault} takes: probe less often"


def _unused(config: Config, declared: Declarations, _: date) -> Advice:
    used = credentials_in_use(config)
    modules = {name for target in config.targets.values() for name in (target.module, *target.modules)} | {DEFAULT_MODULE}
    for kind, sections, in_use in (("credential", declared.credentials, used), ("module", declared.modules, modules)):
        for name, section in sections.items():
            if name not in in_use and section is not None:
                yield section.location, f"no target uses this {kind}"


_Lines = Iterator[tuple[str, str]]  # key of the section, what to say there


def _path(target: Target, config: Config, _: date) -> _Lines:
    module = config.modules[target.module]
    if module.expect_path is ExpectPath.PRIVATE and module.proxy is not None and not _direct(module, target.vault):
        yield (
            "module",
            "expects a private endpoint and yet sends the vault's requests through a proxy: name the vault in no_proxy",
        )


def _trust(target: Target, config: Config, _: date) -> _Lines:
    own = config.modules[target.module]
    for name in target.modules:
        other = [key for key, value in _TRUST.items() if value(config.modules[name]) != value(own)]
        if other:
            differs = f"module {name} differs from module {own.name} in {', '.join(other)}"
            yield (
                "modules",
                f"{differs}: a request of /probe may send this target's secret there, so take it out unless that is meant",
            )


def _pace(target: Target, _config: Config, _: date) -> _Lines:
    if target.interval > ALERTED_SECONDS:
        longest, page = durations.write(ALERTED_SECONDS), durations.write(4 * target.interval)
        yield (
            "interval",
            f"above {longest} the shipped alerts are late: a fault pages after {page}, and a burning budget perhaps never",
        )


def _dates(target: Target, _: Config, today: date) -> _Lines:
    if target.backup_on is not None and target.backup_on > today:
        yield "backup_on", "lies in the future"
    for retained in target.retained_versions:
        if retained.until is not None and retained.until < today:
            yield "retained_versions", f"{retained.key_name} was needed until {retained.until}: take it out, or correct the date"


_PER_TARGET: tuple[Callable[[Target, Config, date], _Lines], ...] = (no_verdict, _path, _trust, _pace, _dates, beside)


def _credential(credential: Credential, config: Config, today: date, *, used: bool) -> _Lines:
    if credential.expires_on is not None and credential.expires_on < today:
        yield "expires_on", f"{credential.expires_on} has passed: correct the date if there is a new secret"
    if used and credential.kind in _WITH_A_SECRET and not _knows_its_end(credential):
        yield "expires_on", "nobody knows when the secret ends: write expires_on, graph_credential or key_vault_secret"
    asker = config.credentials.get(credential.graph_credential or "")
    if asker is not None and asker.kind in _NEEDS_A_TENANT and not (asker.tenant_id or credential.tenant_id):
        yield (
            "graph_credential",
            f"Microsoft Graph names no tenant, and neither does {asker.name}: write tenant_id there ({_TENANT})",
        )


def _knows_its_end(credential: Credential) -> bool:
    return any(source is not None for source in (credential.expires_on, credential.graph_credential, credential.key_vault_secret))


def _same(config: Config) -> Iterator[tuple[str, str]]:
    first: dict[tuple[str, ...], str] = {}
    for target in config.targets.values():
        other = first.setdefault(same_probe(target), target.name)
        if other != target.name:
            yield target.name, f"the same vault, key and credential as {other}: one target can name many instances"


def _direct(module: Module, vault: str) -> bool:
    host = vault.partition(":")[0]
    hosts = module.proxy.no_proxy if module.proxy is not None else ()
    return any(host == entry or ("." + host).endswith("." + entry.lstrip(".")) or entry == "*" for entry in hosts)


def _count(number: int, noun: str) -> str:
    return f"{number} {noun}" if number == 1 else f"{number} {noun}s"
