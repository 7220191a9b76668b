"""The configuration as it applies: includes merged, defaults filled in, paths whole.

For: `check --print-effective`, the page `/config`, and whoever wants a configuration of the same shape with a few values
changed. What comes out can be read in again. Secrets are not in a `Config`; where they are is shown.
Not for: comments or the layout of the files it came from.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from datetime import date
from enum import Enum
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import yaml

from exporter.config.model import Config, Credential, Module, Proxy, Retained, SecretSource, Settings, Target
from exporter.config.schema import SOURCES
from exporter.core import durations

MASKED = "<secret>"


def dump_yaml(config: Config) -> str:
    """As YAML, in the order of the configuration."""
    return "".join(effective_pieces(config))


def effective_pieces(config: Config) -> Iterator[str]:
    """The same text, a few entries at a time: for thousands of targets the whole takes close to a second."""
    yield _yaml({"global": _settings(config.settings)})
    yield from _entries("credentials", ({name: _credential(each)} for name, each in config.credentials.items()))
    yield from _entries("modules", ({name: _module(each)} for name, each in config.modules.items()))
    yield from _entries("targets", ([_target(each)] for each in config.targets.values()))


def effective_module(module: Module) -> str:
    """One module as it stands in that text, under its name."""
    return _yaml({module.name: _module(module)})


def _entries(section: str, entries: Iterable[Any]) -> Iterator[str]:
    heading = f"{section}:\n"
    yield heading
    for entry in entries:
        yield _yaml({section: entry}).removeprefix(heading)


def _yaml(data: Any) -> str:
    text: str = yaml.dump(data, Dumper=_Dumper, sort_keys=False, allow_unicode=True, width=130)
    return text


class _Dumper(getattr(yaml, "CSafeDumper", yaml.SafeDumper)):  # type: ignore[misc] # libyaml where there is one
    def ignore_aliases(self, data: Any) -> bool:  # noqa: ARG002 - an alias would be correct and unreadable
        return True


def _settings(settings: Settings) -> dict[str, Any]:
    return {
        "interval": durations.write(settings.interval),
        "timeout": durations.write(settings.timeout),
        "min_interval": durations.write(settings.min_interval),
        "preflight_interval": durations.write(settings.preflight_interval),
        "concurrency": settings.concurrency,
        "connector_generation": str(settings.generation),
        "vantage": str(settings.vantage),
        **_written({"maintenance": [str(window) for window in settings.maintenance]}),
    }


def _credential(credential: Credential) -> dict[str, Any]:
    stem, _ = SOURCES.get(credential.kind, ("", False))
    return _written(
        {
            "type": credential.kind,
            "tenant_id": credential.tenant_id,
            "client_id": credential.client_id,
            **_source(stem, credential.secret or credential.password),
            "certificate_file": credential.certificate_file,
            "expires_on": credential.expires_on,
            "graph_credential": credential.graph_credential,
            "key_vault_secret": credential.key_vault_secret,
            "key_vault_credential": credential.key_vault_credential,
        }
    )


def _module(module: Module) -> dict[str, Any]:
    return _written(
        {
            "mode": module.mode,
            "algorithm": module.algorithm,
            "api_version": module.api_version,
            "token_max_age": durations.write(module.token_max_age),
            "round_trip_interval": durations.write(module.round_trip_interval),
            "auxiliary_interval": durations.write(module.auxiliary_interval),
            "proxy": _proxy(module.proxy),
            "tls": _written({"ca_file": module.ca_file}),
            "authority_host": module.authority_host,
            "connect_to": dict(module.connect_to),
            "expect_path": module.expect_path,
            "crl_check": module.crl_check,
        }
    )


def _proxy(proxy: Proxy | None) -> dict[str, Any] | None:
    if proxy is None:
        return None
    return _written(
        {
            "url": without_user(proxy.url),
            "no_proxy": list(proxy.no_proxy),
            "username": proxy.username,
            **_source("password", proxy.password),
        }
    )


def without_user(url: str) -> str:
    """The URL with whatever stands before an @ masked."""
    parts = urlsplit(url)
    user, at, host = parts.netloc.rpartition("@")
    return parts._replace(netloc=f"{MASKED}@{host}").geturl() if at and user else url


def _target(target: Target) -> dict[str, Any]:
    return _written(
        {
            "name": target.name,
            "vault": target.vault,
            "key": target.key,
            "retained_versions": [_retained(retained) for retained in target.retained_versions],
            "credential": target.credential,
            "next_credential": target.next_credential,
            "recovery_vault": target.recovery_vault,
            "recovery_credential": target.recovery_credential,
            "backup_on": target.backup_on,
            "maintenance": [str(window) for window in target.maintenance],
            "module": target.module,
            "modules": list(target.modules),
            "interval": durations.write(target.interval),
            "timeout": durations.write(target.timeout),
            "connector_generation": target.generation,
            "labels": dict(target.labels),
            "instances": [dict(instance) for instance in target.instances],
        }
    )


def _retained(retained: Retained) -> dict[str, Any]:
    key = retained.key_name if retained.key_version is None else f"{retained.key_name}/{retained.key_version}"
    return _written({"key": key, "vault": retained.vault, "credential": retained.credential, "until": retained.until})


def _source(stem: str, source: SecretSource | None) -> dict[str, Any]:
    if source is None:
        return {}
    return {f"{stem}_file": source.file} if source.file is not None else {f"{stem}_env": source.env}


def _written(values: Mapping[str, Any]) -> dict[str, Any]:
    """Without what is not there, in types that YAML has."""
    return {key: _plain(value) for key, value in values.items() if value is not None and value not in ({}, [])}


def _plain(value: Any) -> Any:
    match value:
        case Enum() | Path():
            return str(value)
        case date() | bool() | int() | str() | list() | dict():
            return value
        case _:
            raise TypeError(f"no type of a configuration: {type(value).__name__}")
