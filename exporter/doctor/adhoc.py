"""A target without a configuration file.

A vault, a key and SQL Server's credential string.

A DBA has these three, and a code from the error log. A proxy or a private certificate authority needs a configuration file.
"""

from __future__ import annotations

import re
from pathlib import Path

from exporter.config.model import Config, Credential, CredentialKind, Module, SecretSource, Settings, Target
from exporter.core.endpoints import vault_host
from exporter.core.model import Generation

NAME = "typed"
_TENANT = re.compile(r"[0-9A-Fa-f]{8}-(?:[0-9A-Fa-f]{4}-){3}[0-9A-Fa-f]{12}|(?:[A-Za-z0-9-]{1,63}\.)+[A-Za-z]{2,63}")
_VERSION = re.compile(r"[A-Za-z0-9]{1,64}")


def split_key(text: str) -> tuple[str, str | None]:
    """Split NAME[/VERSION]; a preflight check tests the name. Raises ValueError."""
    name, slash, version = text.partition("/")
    if not name.strip() or not name.isprintable() or (slash and not _VERSION.fullmatch(version)):
        raise ValueError("expected NAME/VERSION with a version of letters and digits, not the URL of the key")
    return name, version or None


def bare_config(vault: str, key: str, secret_file: Path, tenant: str | None) -> Config:
    """Return a configuration of one target.

    Raises ValueError with a text for the user.
    """
    host, (name, version) = vault_host(vault), split_key(key)
    if tenant is not None and not _TENANT.fullmatch(tenant):
        raise ValueError("expected a tenant: its GUID or one of its domain names")
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
