"""A module of the configuration: settings for how to probe."""

from __future__ import annotations

from collections.abc import Hashable, Mapping
from dataclasses import dataclass, field
from enum import StrEnum
from functools import cached_property
from pathlib import Path

from exporter.config.settings import azure_types
from exporter.config.settings.metadata import fields_of, row, secret_setting, setting
from exporter.config.settings.secret_source import SecretSource
from exporter.config.yaml import types
from exporter.core.endpoints import cloud_of
from exporter.core.model import Mode

DEFAULT_MODULE = "default"  # always exists

_WEEK = 7 * types.DAY


class ExpectPath(StrEnum):
    """Endpoint through which the vault should be reached."""

    PRIVATE = "private"
    PUBLIC = "public"
    ANY = "any"

    def met_by(self, connection: str | None) -> bool | None:
        """Whether the vault was reached as expected.

        The result is None without an expectation or without a reported `connection`.
        """
        return None if self is ExpectPath.ANY or connection is None else connection == self.value


@dataclass(frozen=True, slots=True, kw_only=True)
class Proxy:
    """The HTTP proxy of a module."""

    url: str = field(metadata=row(azure_types.PROXY_URL, "The proxy, without user and password."))
    no_proxy: tuple[str, ...] = setting(
        types.list_of(azure_types.NO_PROXY), "Hosts reached directly; `.vault.azure.net` includes every host below it.", ()
    )
    username: str | None = setting(types.TEXT, "User for basic authentication at the proxy.")
    password: SecretSource | None = secret_setting("password", password=("that user's password", ()))


@dataclass(frozen=True, slots=True, kw_only=True)
class ModuleTls:
    """The TLS settings of a module."""

    ca_file: Path | None = setting(
        types.PATH, "File with trusted CA certificates in PEM, instead of the system's.", shown="the system's certificates"
    )


@dataclass(frozen=True, kw_only=True)  # no slots: `entra_route` is cached
class Module:
    """How to probe. Durations are in seconds."""

    name: str
    mode: Mode = setting(
        types.choice(Mode),
        "`full` makes the whole round trip, as SQL Server does; `read_only` stops after reading the key; "
        "`canary` makes the whole round trip with its own identity and key and gives no verdict about SQL Server.",
        Mode.FULL,
    )
    algorithm: str = setting(
        types.choice(("RSA-OAEP", "RSA-OAEP-256")), "Algorithm of wrap and unwrap. The connector uses RSA-OAEP.", "RSA-OAEP"
    )
    api_version: str = setting(azure_types.API_VERSION, "API version sent to the vault.", "7.4", shown='"7.4"')
    token_max_age: float = setting(
        types.duration(0, 50 * 60),
        "Longest time for which a token is reused. `0s` fetches a token in each interval, which detects an expired secret at once.",
        0.0,
    )
    round_trip_interval: float = setting(
        types.duration(0, _WEEK),
        "Least time between two round trips (wrap and unwrap) of a target. With `0s` every probe makes one. With `5m`, most probes "
        "only read, and a removed permission is detected up to five minutes later: until then the verdict uses the last unwrap.",
        0.0,
    )
    auxiliary_interval: float = setting(
        types.duration(0, _WEEK),
        "Least time between two auxiliary probes of the same kind: staged credential, retained versions, recovery vault, "
        "newest version. They never change the verdict. An auxiliary probe that failed or has no result yet runs with every probe; "
        "with `0s`, each does. A longer interval detects a disabled retained version later.",
        300.0,
    )
    proxy: Proxy | None = setting(
        types.section(fields_of(Proxy)), "Proxy for the vault and Entra ID.", shown="none; environment variables are ignored"
    )
    ca_file: Path | None = setting(
        types.section(fields_of(ModuleTls)),
        "Certificates that the exporter trusts.",
        name="tls",
        dumped=lambda module: ModuleTls(ca_file=module.ca_file),
    )
    authority_host: str | None = setting(
        azure_types.AUTHORITY,
        "The Entra ID host that may receive the secret.",
        shown="the host in the challenge, if it is a known Entra host",
    )
    # "host:port" to "host:port", in lower case.
    connect_to: Mapping[str, str] = setting(
        azure_types.CONNECT_TO,
        "Addresses to connect to instead of the resolved ones, as with `curl --connect-to`. These connections use no proxy.",
        {},
    )
    expect_path: ExpectPath = setting(
        types.choice(ExpectPath),
        "Endpoint through which the vault should be reached. Another one is reported as a warning.",
        ExpectPath.ANY,
    )
    crl_check: bool = setting(
        types.BOOL, "Whether a preflight check connects to the hosts of CRL and OCSP on port 80, as Windows does.", default=True
    )

    @cached_property
    def entra_route(self) -> Hashable:
        """The settings that decide how Entra ID is reached.

        Modules with equal values share tokens. Each probe reads this, so it leaves out the connections to vaults: there may be
        thousands.
        """
        elsewhere = {host: to for host, to in self.connect_to.items() if cloud_of(host) is None}
        return self.proxy, self.ca_file, self.authority_host, tuple(sorted(elsewhere.items()))
