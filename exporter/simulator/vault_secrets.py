"""The secrets of a vault: versions by page without values, and single values.

The paths are `/secrets/{name}/versions` and `/secrets/{name}[/{version}]`. The latter shows a test that a client
requested more than dates. `vault` checks the caller.
"""

from __future__ import annotations

from exporter.simulator.error_responses import vault_error
from exporter.simulator.model import Secret, SimulatedKeyVersion, SimulatedSecretVersion, Vault
from exporter.simulator.paging import list_page
from exporter.simulator.request import Exchange
from exporter.simulator.response import SimulatedResponse


def secret_response(vault: Vault, exchange: Exchange, operation: str) -> SimulatedResponse:
    """Return the vault's response to a permitted caller."""
    secret = vault.secrets.get(exchange.parts[1].lower())
    if operation == "secret_versions":
        return _versions(vault, exchange, () if secret is None else secret.versions)
    return _value(vault, exchange, secret)


def _value(vault: Vault, exchange: Exchange, secret: Secret | None) -> SimulatedResponse:
    """Return one version with its value."""
    wanted = exchange.parts[2] if len(exchange.parts) > 2 else None
    version = None if secret is None else secret.version(wanted)
    if secret is None or version is None:
        return vault_error("secret_not_found", key=exchange.parts[1])
    if not version.enabled:
        return vault_error("secret_disabled", operation="get")
    return SimulatedResponse().with_document({"value": version.value, **_item(vault, secret.name, version)})


def _versions(vault: Vault, exchange: Exchange, versions: tuple[SimulatedSecretVersion, ...]) -> SimulatedResponse:
    """Return one page of versions in the order of their names.

    A missing secret has no versions.
    """
    ordered = sorted(versions, key=lambda one: one.version)
    return list_page(vault.host, exchange, ordered, lambda one: _item(vault, exchange.parts[1], one))


def _item(vault: Vault, name: str, version: SimulatedSecretVersion) -> dict[str, object]:
    """Return id and attributes of a version."""
    address = f"https://{vault.host}/secrets/{name}/{version.version}"
    return {"id": address, "attributes": attributes_of(vault, version), "tags": {}}


def attributes_of(vault: Vault, version: SimulatedKeyVersion | SimulatedSecretVersion) -> dict[str, object]:
    """Return the attributes of a version of a key or a secret."""
    dates = {"nbf": version.nbf, "exp": version.exp, "created": version.created, "updated": version.created}
    return {
        "enabled": version.enabled,
        **{name: int(date) for name, date in dates.items() if date is not None},
        "recoveryLevel": "Recoverable+Purgeable",
        "recoverableDays": int(vault.retention / 86400),
    }
