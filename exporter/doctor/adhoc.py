"""A target without a configuration file: vault, key and credential string.

A DBA has these three, and a code from the error log. A proxy or a private certificate authority needs a configuration file.
"""

from __future__ import annotations

import re
from pathlib import Path

from exporter.config.settings import Config, Credential, Module, SecretSource, Settings, Target
from exporter.core.endpoints import vault_host
from exporter.core.key_reference import KeyReference, parse_key
from exporter.core.model import CredentialKind, Generation

NAME = "connector-secret-file"
_TENANT = re.compile(r"[0-9A-Fa-f]{8}-(?:[0-9A-Fa-f]{4}-){3}[0-9A-Fa-f]{12}|(?:[A-Za-z0-9-]{1,63}\.)+[A-Za-z]{2,63}")


def key_in(vault: str | None, text: str, *, source: str) -> KeyReference:
    """Parse a key whose KeyUri must name the same vault; a preflight check tests the name.

    `source` is what names `vault`. Raises ValueError with a text for the user.
    """
    try:
        reference = parse_key(text)
    except ValueError as error:
        raise ValueError(f"--key: {error}") from None
    if reference.contradicts(vault):
        raise ValueError(f"--key names the vault {reference.vault}, but {source} is {vault}: correct one")
    return reference


def _vault(text: str) -> str:
    try:
        return vault_host(text)
    except ValueError as error:
        raise ValueError(f"--vault: {error}") from None


def bare_config(vault: str | None, key: str, secret_file: Path, tenant: str | None) -> Config:
    """Return a configuration of one target.

    `vault` may be None if `key` is a KeyUri. Raises ValueError with a text for the user.
    """
    host = None if vault is None else _vault(vault)
    name, version, named = key_in(host, key, source="--vault")
    host = host or named
    if host is None:
        raise ValueError("--key names no vault: add --vault, or give the KeyUri")
    if tenant is not None and not _TENANT.fullmatch(tenant):
        raise ValueError("--tenant: expected its GUID or one of its domain names")
    settings, module = Settings(), Module(name="default")
    credential = Credential(
        name=NAME, kind=CredentialKind.CONNECTOR_SECRET, tenant_id=tenant, secret=SecretSource(file=secret_file)
    )
    target = Target(
        name=host,
        vault=host,
        key_name=name,
        key_version=version,
        credential=NAME,
        module=module.name,
        interval=settings.interval,
        timeout=settings.timeout,
        generation=Generation.CLASSIC,
        generation_declared=False,
    )
    return Config(
        settings=settings,
        credentials={NAME: credential},
        modules={module.name: module},
        targets={target.name: target},
    )
