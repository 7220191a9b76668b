"""Credentials, modules and hosts of a configuration that need not be complete.

`check` refuses a configuration whose secrets are missing. The inventory runs before they are supplied.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path

from exporter.config.loader import RawTarget, build_credential, build_module, read_with_includes
from exporter.config.settings import DEFAULT_MODULE, Config, Credential, Module, Settings
from exporter.config.yaml import ProblemList


@dataclass(frozen=True, slots=True)
class Declared:
    """What the files declare: credentials and modules by name, and the uses of each vault by targets."""

    credentials: Mapping[str, Credential] = field(default_factory=dict)
    modules: Mapping[str, Module] = field(default_factory=lambda: {DEFAULT_MODULE: Module(name=DEFAULT_MODULE)})
    uses: Mapping[str, tuple[tuple[str, str], ...]] = field(default_factory=dict)  # vault: credential and module
    hosts: Mapping[str, str] = field(default_factory=dict)  # of sql_servers, by address; both in lower case

    @property
    def config(self) -> Config:
        """Return a configuration without targets, for the networks of the modules."""
        return Config(settings=Settings(), credentials=dict(self.credentials), modules=dict(self.modules), targets={})


def read_declared(path: Path | None) -> Declared:
    """Read the file and its includes; what is unusable in them is left out. Blocks."""
    if path is None:
        return Declared()
    credentials: dict[str, Credential] = {}
    modules = {DEFAULT_MODULE: Module(name=DEFAULT_MODULE)}
    uses: dict[str, dict[tuple[str, str], None]] = {}
    hosts: dict[str, str] = {}
    for part in read_with_includes(path, ProblemList()).parts:
        for name, section in (part.get("credentials") or {}).items():
            credential = build_credential(name, section) if section is not None else None
            if credential is not None:
                credentials[name] = credential
        modules |= {name: build_module(name, one) for name, one in (part.get("modules") or {}).items() if one is not None}
        for section in part.get("targets") or ():
            raw = RawTarget(section, part.get("target_defaults"))
            if raw.vault is not None and raw.get("credential") is not None:
                uses.setdefault(raw.vault, {})[raw.get("credential"), raw.get("module") or DEFAULT_MODULE] = None
        for server in part.get("sql_servers") or ():
            if server.get("address") is not None and server.get("host") is not None:
                hosts[server.get("address").lower()] = server.get("host").lower().rstrip(".")
    return Declared(credentials, modules, {vault: tuple(those) for vault, those in uses.items()}, hosts)
