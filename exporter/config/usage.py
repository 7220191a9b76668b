"""What targets use: credentials, vaults, auxiliary probes, SQL Servers and names for commands; and what a new configuration changes."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import fields, is_dataclass, replace
from datetime import date
from pathlib import Path
from typing import TypeVar

from exporter.config.settings import Config, Credential, SecretSource, SqlServer, Target, mask_user
from exporter.core.names import CLOUDS, ENTRA_HOSTS, ServerNames, match_entry, server_names_at
from exporter.core.values import Fault, KeyFacts, Mode
from exporter.knowledge.codes import CODES
from exporter.knowledge.names import Names
from exporter.knowledge.reasons import Reason
from exporter.knowledge.report import StepResult
from exporter.knowledge.verdict import AuxiliaryKind, AuxiliaryResult, Identity


def credentials_in_use(config: Config) -> set[str]:
    """Names of the credentials that targets use, lookup credentials included."""
    return with_lookup_credentials(config, {name for target in config.targets.values() for name in probing_credentials(target)})


def with_lookup_credentials(config: Config, names: Iterable[str]) -> set[str]:
    """Return these names of credentials, and those of the credentials that look up when they expire."""
    pending, used = set(names), set[str]()
    while pending:
        name = pending.pop()
        used.add(name)
        pending |= set(config.credentials[name].lookup_credentials) - used
    return used


def probing_credentials(target: Target) -> tuple[str, ...]:
    """Names of the credentials that a target's probe and auxiliary probes use."""
    return tuple(name for name, _ in credential_uses(target))


def credential_uses(target: Target) -> Iterator[tuple[str, str]]:
    """Yield the names of these credentials, each with its use: one credential may have several uses."""
    uses = ((target.credential, "current"), (target.next_credential, "next"), (target.recovery_credential, "recovery vault"))
    yield from ((name, use) for name, use in uses if name is not None)
    yield from ((retained.credential, "retained version") for retained in target.retained_versions)


def probed_vaults(target: Target) -> set[str]:
    """Hosts that a target's probe and auxiliary probes send requests to."""
    return {vault for vault in (target.vault, target.recovery_vault) if vault is not None} | {
        old.vault for old in target.retained_versions
    }


def configured_auxiliary(target: Target, today: date) -> tuple[Identity, ...]:
    """Return the identities of a target's auxiliary probes. Results of other identities are obsolete."""
    return tuple(identity for identity, _ in list_auxiliary_probes(target, today))


def list_auxiliary_probes(target: Target, today: date) -> Iterator[tuple[Identity, str]]:
    """Yield the identity and the credential of each auxiliary probe of a target."""
    if target.next_credential is not None:
        yield (AuxiliaryKind.NEXT, target.next_credential, target.vault), target.next_credential
    for old in target.retained_versions:
        if old.is_needed(today):
            yield (AuxiliaryKind.RETAINED, f"{old.key_name}/{old.key_version}", old.vault), old.credential
    if target.key_version is not None:
        yield (AuxiliaryKind.NEWEST, target.key_name, target.vault), target.credential
    if target.recovery_vault is not None:
        credential = target.recovery_credential or target.credential
        yield (AuxiliaryKind.RECOVERY, target.recovery_vault, target.recovery_vault), credential


# Differences between two configurations: a credential or module may have changed under its name.

_Facts = tuple[object, ...]


def changed_targets(before: Config, after: Config) -> set[str]:
    """Names of the targets that are new or whose configuration differs in anything."""
    return _changed(before, after, _all_of)


def changed_verdicts(before: Config, after: Config) -> set[str]:
    """Names of the targets that are new or whose earlier verdict no longer applies."""
    return _changed(before, after, _verdict_of)


def _changed(before: Config, after: Config, of: Callable[[Config, Target], _Facts]) -> set[str]:
    earlier = {name: of(before, target) for name, target in before.targets.items() if name in after.targets}
    return {name for name, target in after.targets.items() if earlier.get(name) != of(after, target)}


def _all_of(config: Config, target: Target) -> _Facts:
    in_use = credentials_in_use(replace(config, targets={target.name: target}))
    credentials = tuple(config.credentials[name] for name in sorted(in_use))
    return target, credentials, *_surroundings(config, target)


def _verdict_of(config: Config, target: Target) -> _Facts:
    """The key, the credential without its expiry, and the network path."""
    credential = replace(
        config.credentials[target.credential],
        expires_on=None,
        graph_credential=None,
        key_vault_secret=None,
        key_vault_credential=None,
    )
    return target.vault, target.key, credential, *_surroundings(config, target)


def _surroundings(config: Config, target: Target) -> _Facts:
    return config.modules[target.module], config.settings.vantage


# Which SQL Server of the configuration is one that a target declares.


def compared_targets(config: Config) -> Iterator[Target]:
    """Yield the targets whose key SQL Servers use: a canary has a key of its own."""
    return (target for target in config.targets.values() if config.modules[target.module].mode is not Mode.CANARY)


def servers_of(target: Target, servers: Iterable[SqlServer]) -> tuple[SqlServer, ...]:
    """Return the SQL Servers that may be one of a target's instances."""
    named = [(server, names_at(server)) for server in servers]
    return tuple(server for server, names in named if any(match_entry(entry, names) for entry in target.instances))


def unlisted_instances(target: Target, servers: Iterable[SqlServer]) -> Iterator[Mapping[str, str]]:
    """Yield the instances of a target that none of its SQL Servers may be. Without any SQL Server, there are none."""
    listed = [names_at(server) for server in servers_of(target, servers)]
    for entry in target.instances if listed else ():
        if not any(match_entry(entry, names) for names in listed):
            yield entry


def names_at(server: SqlServer) -> ServerNames:
    """Return the names of a SQL Server before it was read."""
    return server_names_at(server.address, server.sql_instance or "", server.host or "")


# The names for commands about a target, from its configuration and what its probes report.

_T = TypeVar("_T")


def names_of(
    target: Target,
    steps: Sequence[StepResult],
    failure: StepResult | None = None,
    *,
    auxiliary: Iterable[AuxiliaryResult] = (),
    credential: Credential | None = None,
    key: KeyFacts | None = None,
) -> Names:
    """Return the names: those of the target, of the sign-in in `steps`, and of the failed step.

    `auxiliary` has the staged credential and the newest version, `key` the version of a target without one. A target
    without `config_file`, as in a support bundle, gets no paths unless its credential is given.
    """
    facts = [result.facts for result in steps if result.facts is not None]
    results = list(auxiliary)
    newest = next((one.key for one in results if one.kind is AuxiliaryKind.NEWEST and one.key is not None), None)
    given = (None, None, None) if credential is None else (credential.client_id, credential.kind, credential.secret_path)
    return Names(
        target=target.name,
        vault=target.vault,
        key=target.key_name,
        version=target.key_version or (None if key is None else key.version),
        client_id=_first(each.client_id for each in facts) or given[0],
        kind=_first(each.credential_kind for each in facts) or given[1],
        aadsts=_first(each.aadsts for each in facts),
        client_address=_first(each.client_address for each in facts),
        object_id=_first(each.object_id for each in facts),
        proxy=_first(each.proxy for each in facts),
        host=None if failure is None or failure.facts is None else failure.facts.endpoint,
        config_file=None if target.config_file is None else str(target.config_file),
        secret_file=_first(each.secret_file for each in facts if target.config_file is not None) or given[2],
        vantage=target.vantage,
        has_page=failure is not None and failure.facts is not None and failure.facts.has_page,
        staged=target.next_credential,
        staged_usable=any(
            one.kind is AuxiliaryKind.NEXT and one.credential == target.next_credential and one.usable is True for one in results
        ),
        newest=None if newest is None else newest.version,
        modulus=b"" if key is None else key.modulus,
    )


def _first(values: Iterable[_T | None]) -> _T | None:
    return next((each for each in values if each), None)


def names_of_auxiliary(target: Target, result: AuxiliaryResult) -> Names:
    """Return the names for the failure of an auxiliary probe: of its own vault, key version and credential."""
    staged, retained = result.kind is AuxiliaryKind.NEXT, result.kind is AuxiliaryKind.RETAINED
    key, _, version = result.name.rpartition("/") if retained else (target.key_name, "", target.key_version)
    return replace(
        names_of(target, result.steps, result.failure),
        other_credential=result.credential if staged else None,
        vault=result.vault,
        key=key,
        version=None if result.kind is AuxiliaryKind.NEWEST else version,
    )


# The texts of a configuration that are no secrets: they are never masked, whatever a server or a user calls a secret.


def public_names(config: Config) -> Iterator[str]:
    """Yield every text of the configuration, the URLs made of them, and the exporter's own words."""
    yield from _OWN_WORDS
    yield from _texts((config.credentials, config.modules, config.targets, config.sql_servers))
    for target in config.targets.values():
        yield from _urls(target)
    for credential in config.credentials.values():
        if credential.client_id is not None:
            yield credential.client_id.replace("-", "")  # as in the connector's string
        if credential.tenant_id is not None:
            yield from (f"https://{host}/{credential.tenant_id}/oauth2/v2.0/token" for host in ENTRA_HOSTS)


_OWN_WORDS = (*Fault, *Reason, *(code.symbol for code in CODES), *ENTRA_HOSTS, *(cloud.resource for cloud in CLOUDS))


def _urls(target: Target) -> Iterator[str]:
    keys = [(target.vault, target.key_name, target.key_version)]
    keys += [(each.vault, each.key_name, each.key_version) for each in target.retained_versions]
    keys += [(target.recovery_vault, target.key_name, target.key_version)] if target.recovery_vault else []
    yield from (f"https://{vault}/keys/{name}/{version or ''}" for vault, name, version in keys)


def _texts(value: object) -> Iterator[str]:
    match value:
        case str():
            yield mask_user(value)
        case Path():
            yield str(value)
        case Mapping():
            yield from _texts(tuple(value))
            yield from _texts(tuple(value.values()))
        case tuple() | frozenset() | list():
            for each in value:
                yield from _texts(each)
        case SecretSource():
            return
        case _ if is_dataclass(value):
            yield from _texts(tuple(getattr(value, each.name) for each in fields(value)))
