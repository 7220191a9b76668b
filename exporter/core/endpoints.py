"""Clouds, vault domains, audiences, and Entra hosts that may get a secret."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from types import MappingProxyType


@dataclass(frozen=True, slots=True)
class Cloud:
    """One kind of vault in one cloud; `domain` is also the audience of its tokens."""

    name: str
    domain: str
    managed_hsm: bool = False

    @property
    def resource(self) -> str:
        return f"https://{self.domain}"


CLOUDS: tuple[Cloud, ...] = (
    Cloud("public", "vault.azure.net"),
    Cloud("public", "managedhsm.azure.net", managed_hsm=True),
    Cloud("us_government", "vault.usgovcloudapi.net"),
    Cloud("us_government", "managedhsm.usgovcloudapi.net", managed_hsm=True),
    Cloud("china", "vault.azure.cn"),
    Cloud("china", "managedhsm.azure.cn", managed_hsm=True),
)

# Azure Resource Manager of each cloud; https:// and the host are also the audience of its tokens.
MANAGEMENT_HOSTS: Mapping[str, str] = MappingProxyType(
    {
        "public": "management.azure.com",
        "us_government": "management.usgovcloudapi.net",
        "china": "management.chinacloudapi.cn",
    }
)

# The hosts that may receive a secret if a challenge names them, as well as the configured authority_host.
ENTRA_HOSTS: frozenset[str] = frozenset(
    {
        "login.microsoftonline.com",
        "login.windows.net",
        "login.microsoftonline.us",
        "login.chinacloudapi.cn",
        "login.partner.microsoftonline.cn",
    }
)

_LABEL = r"[a-z0-9](?:[a-z0-9-]{0,61}[a-z0-9])?"
_HOST = re.compile(rf"{_LABEL}(?:\.{_LABEL})*")
# Nothing after the host: the resource becomes a scope, and a blank would start a second one.
_RESOURCE = re.compile(rf"https://({_LABEL}(?:\.{_LABEL})*)(?::[0-9]{{1,5}})?/?", re.ASCII | re.IGNORECASE)
_PORT = re.compile(r"[1-9][0-9]{0,4}")
_VAULT_NAME = re.compile(r"[a-z][a-z0-9-]{1,22}[a-z0-9]")


def vault_host(identity: str) -> str:
    """Return the host name, in lower case, for IDENTITY of the SQL credential.

    A bare vault name gets the public cloud's domain, as in the connector. A full host name or https URL is kept, with its port
    unless it is 443. Raises ValueError with a message for the user.
    """
    text = identity.strip().lower()
    if text.startswith("http://"):
        raise ValueError("a vault accepts https only: write https:// or the name alone")
    text = text.removeprefix("https://").removesuffix("/")
    host, colon, port = text.partition(":")
    if colon and (not _PORT.fullmatch(port) or int(port) > 65535):
        raise ValueError("the port is not a number from 1 to 65535")
    if "." not in host:
        if not _VAULT_NAME.fullmatch(host):
            raise ValueError("a vault name has 3 to 24 letters, digits and hyphens and starts with a letter")
        host = f"{host}.{CLOUDS[0].domain}"
    if len(host) > 253 or not _HOST.fullmatch(host):
        raise ValueError("expected a vault name, a host name, or an https URL without a path")
    return host if port in ("", "443") else f"{host}:{port}"


def host_name(vault: str) -> str:
    """Return the host name of a vault, without a port."""
    return vault.partition(":")[0]


def cloud_of(vault: str) -> Cloud | None:
    """Return the cloud of the vault's host name, None if unknown."""
    host = host_name(vault)
    return next((cloud for cloud in CLOUDS if host.endswith("." + cloud.domain)), None)


def is_parent_domain(resource: str, vault: str) -> bool:
    """Whether a token for `resource` may be sent to `vault`.

    The resource's host must be a parent domain of the vault's host.
    """
    named = _RESOURCE.fullmatch(resource)
    if named is None or "." not in named[1]:
        return False
    return vault.partition(":")[0].lower().endswith("." + named[1].lower())


def is_trusted_authority(authority: str, authority_host: str | None) -> bool:
    """Whether a secret may be sent to `authority` (https://host[:port]).

    It must be a known Entra ID host, or the configured one.
    """
    host = _without_default_port(authority)
    if authority_host is not None and host == _without_default_port(authority_host):
        return True
    return host.removeprefix("https://") in ENTRA_HOSTS


def _without_default_port(authority: str) -> str:
    return authority.lower().rstrip("/").removesuffix(":443")
