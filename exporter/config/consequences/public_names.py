"""The texts of a configuration that are no secrets: they are never masked, whatever a server or a user calls a secret."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import fields, is_dataclass
from pathlib import Path

from exporter.config.settings import Config, SecretSource, Target
from exporter.config.settings.metadata import mask_user
from exporter.core.codes import CODES
from exporter.core.endpoints import CLOUDS, ENTRA_HOSTS
from exporter.core.faults import Fault
from exporter.core.reasons import Reason


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
