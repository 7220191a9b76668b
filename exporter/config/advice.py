"""What is allowed and yet worth a word: warnings about a configuration without a problem.

For: one small function per kind of advice, each saying what to do.
Not for: problems; anything that needs the network.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from datetime import date

from exporter.config.assemble import DEFAULT_MODULE, Declared, credentials_in_use, same_probe
from exporter.config.cost import vault_shares
from exporter.config.model import Config, Credential, CredentialKind, ExpectPath, Module, Target
from exporter.config.problems import Spot
from exporter.core.model import Mode, Vantage

BUDGET_SHARE = 0.01  # of what one vault takes: more than that is no longer nothing beside SQL Server's own work

Advice = Iterator[tuple[Spot, str]]
_WITH_A_SECRET = (CredentialKind.CLIENT_SECRET, CredentialKind.CONNECTOR_SECRET)


def advise(config: Config, declared: Declared, today: date) -> None:
    """Add every warning at its place."""
    for kind in (_generation, _budget, _unused):
        for spot, message in kind(config, declared):
            spot.warn(message)
    for per_target in _PER_TARGET:
        for target in config.targets.values():
            for key, message in per_target(target, config, today):
                declared.targets[target.name].spot_of(key).warn(message)
    used = credentials_in_use(config)
    for credential in config.credentials.values():
        section = declared.credentials[credential.name]
        for key, message in _credential(credential, today, used=credential.name in used):
            if section is not None:
                section.spot_of(key).warn(message)
    for name, message in _same(config):
        declared.targets[name].own.spot.warn(message)


def _generation(config: Config, declared: Declared) -> Advice:
    silent = [target.name for target in config.targets.values() if not target.generation_declared]
    if silent:
        which = ", ".join(silent[:3]) + (", …" if len(silent) > 3 else "")
        message = f"not declared, so classic codes (30xx) for {_count(len(silent), 'target')} ({which})"
        yield declared.main.child("global.connector_generation"), f"{message}: write classic or current"


def _budget(config: Config, declared: Declared) -> Advice:
    for vault, share in vault_shares(config).items():
        if share.ratio > BUDGET_SHARE:
            spot = declared.targets[share.targets[0]].spot_of("interval")
            who = f"{_count(len(share.targets), 'target')} of {vault}"
            yield spot, f"{who} would use up to {share.ratio:.1%} of what the vault takes: probe less often"


def _unused(config: Config, declared: Declared) -> Advice:
    used = credentials_in_use(config)
    modules = {target.module for target in config.targets.values()} | {DEFAULT_MODULE}
    for kind, sections, in_use in (("credential", declared.credentials, used), ("module", declared.modules, modules)):
        for name, section in sections.items():
            if name not in in_use and section is not None:
                yield section.spot, f"no target uses this {kind}"


_Lines = Iterator[tuple[str, str]]  # key of the section, what to say there


def _pin(target: Target, config: Config, _: date) -> _Lines:
    if target.key_version is None and config.modules[target.module].mode is not Mode.CANARY:
        where = "sys.dm_database_encryption_keys, or KeyUri in the registry of the SQL Server host, shows it"
        yield "key", f"no version, so no verdict whether SQL Server could open its databases: write NAME/VERSION ({where})"


def _verdict(target: Target, config: Config, _: date) -> _Lines:
    kind = config.credentials[target.credential].kind
    if kind is CredentialKind.MANAGED_IDENTITY and config.settings.vantage is Vantage.CENTRAL:
        message = "a managed identity belongs to its host, so there is no verdict from elsewhere"
        yield "credential", f"{message}: run on the SQL Server's host with vantage: sql_host"
    if target.key_version is not None and config.modules[target.module].mode is Mode.READ_ONLY:
        yield "module", "mode read_only never unwraps, so the verdict can be no or unknown, never yes"


def _path(target: Target, config: Config, _: date) -> _Lines:
    module = config.modules[target.module]
    if module.expect_path is ExpectPath.PRIVATE and module.proxy is not None and not _direct(module, target.vault):
        yield (
            "module",
            "expects a private endpoint and yet sends the vault's requests through a proxy: name the vault in no_proxy",
        )


def _dates(target: Target, _: Config, today: date) -> _Lines:
    if target.backup_on is not None and target.backup_on > today:
        yield "backup_on", "lies in the future"
    for retained in target.retained:
        if retained.until is not None and retained.until < today:
            yield "retained", f"{retained.key_name} was needed until {retained.until}: take it out, or correct the date"


def _not_acted_on(target: Target, config: Config, _: date) -> _Lines:
    """What may be written and is not probed: said, so that nobody relies on it."""
    if target.next_credential is not None:
        yield "next_credential", "is not probed by this version: try it with `probe --credential`"
    if target.retained:
        yield "retained", "is not probed by this version"
    if target.recovery_vault is not None:
        yield "recovery_vault", "is not probed by this version"
    if config.modules[target.module].expect_path is not ExpectPath.ANY:
        yield "module", "its expect_path is not checked by this version"


_PER_TARGET: tuple[Callable[[Target, Config, date], _Lines], ...] = (_pin, _verdict, _path, _dates, _not_acted_on)


def _credential(credential: Credential, today: date, *, used: bool) -> _Lines:
    if credential.expires_on is not None and credential.expires_on < today:
        yield "expires_on", f"{credential.expires_on} has passed: correct the date if there is a new secret"
    for key in ("graph_credential", "key_vault_secret"):
        if getattr(credential, key) is not None:
            yield key, "is not asked by this version: write expires_on"
    sources = (credential.expires_on, credential.graph_credential, credential.key_vault_secret)
    if used and credential.kind in _WITH_A_SECRET and not any(source is not None for source in sources):
        yield "expires_on", "nobody knows when the secret ends: write expires_on"


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
