"""The secrets of a vault: versions by page without values, and single values.

The paths are `/secrets/{name}/versions` and `/secrets/{name}[/{version}]`. The latter shows a test that a client
requested more than dates. `vault` checks the caller.
"""

from __future__ import annotations

import base64
import binascii
import json
from urllib.parse import quote

from exporter.simulator.error_responses import vault_error
from exporter.simulator.model import Secret, SecretVersion, Vault
from exporter.simulator.request import Exchange
from exporter.simulator.response import SimulatedResponse

PAGE = 25  # versions on a page, which is also the largest `maxresults`


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


def _versions(vault: Vault, exchange: Exchange, versions: tuple[SecretVersion, ...]) -> SimulatedResponse:
    """Return one page of versions in the order of their names.

    A missing secret has no versions.
    """
    size, start = _page(exchange)
    if size is None or start is None:
        return vault_error("bad_parameter", found="maxresults or $skiptoken")
    name, ordered = exchange.parts[1], sorted(versions, key=lambda one: one.version)
    end = start + size
    following = _next(vault, exchange, size, end) if end < len(ordered) else None
    return SimulatedResponse().with_document(
        {"value": [_item(vault, name, one) for one in ordered[start:end]], "nextLink": following}
    )


def _page(exchange: Exchange) -> tuple[int | None, int | None]:
    """Return size and start of the page, None for an invalid value."""
    wanted = exchange.query.get("maxresults", str(PAGE))
    size = int(wanted) if wanted.isdecimal() and 1 <= int(wanted) <= PAGE else None
    token = exchange.query.get("$skiptoken")
    return size, 0 if token is None else _start(token)


def _next(vault: Vault, exchange: Exchange, size: int, start: int) -> str:
    """Return the absolute address of the next page; the service names the port."""
    token = base64.urlsafe_b64encode(json.dumps({"from": start}).encode()).decode()
    host = vault.host if ":" in vault.host else f"{vault.host}:443"
    version = quote(exchange.query.get("api-version", ""))
    return f"https://{host}{exchange.path}?api-version={version}&$skiptoken={quote(token)}&maxresults={size}"


def _start(token: str) -> int | None:
    """Return the start of a page from its token, None if it is invalid."""
    try:
        start = json.loads(base64.urlsafe_b64decode(token))["from"]
    except (ValueError, KeyError, TypeError, binascii.Error):
        return None
    return start if isinstance(start, int) and start >= 0 else None


def _item(vault: Vault, name: str, version: SecretVersion) -> dict[str, object]:
    """Return id and attributes of a version."""
    dates = {"nbf": version.nbf, "exp": version.exp, "created": version.created, "updated": version.created}
    attributes = {
        "enabled": version.enabled,
        **{key: int(date) for key, date in dates.items() if date is not None},
        "recoveryLevel": "Recoverable+Purgeable",
        "recoverableDays": int(vault.retention / 86400),
    }
    return {"id": f"https://{vault.host}/secrets/{name}/{version.version}", "attributes": attributes, "tags": {}}
