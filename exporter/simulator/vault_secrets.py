"""What a vault says of the secrets that it keeps: their versions, page by page, without values; and a value where one is asked for.

For: `/secrets/{name}/versions`, and `/secrets/{name}[/{version}]`, which shows that somebody asked for more than dates.
Not for: who may ask (see `vault`), or keys.
"""

from __future__ import annotations

import base64
import binascii
import json
from urllib.parse import quote

from exporter.simulator.error_responses import vault_answer
from exporter.simulator.model import Secret, SecretVersion, Vault
from exporter.simulator.request import Exchange
from exporter.simulator.response import SimulatedResponse

PAGE = 25  # versions on a page, as many as may be asked for


def secret_answer(vault: Vault, exchange: Exchange, operation: str) -> SimulatedResponse:
    """What the vault answers to a caller that it admits."""
    secret = vault.secrets.get(exchange.parts[1].lower())
    if operation == "secret_versions":
        return _versions(vault, exchange, () if secret is None else secret.versions)
    return _value(vault, exchange, secret)


def _value(vault: Vault, exchange: Exchange, secret: Secret | None) -> SimulatedResponse:
    wanted = exchange.parts[2] if len(exchange.parts) > 2 else None
    version = None if secret is None else secret.version(wanted)
    if secret is None or version is None:
        return vault_answer("secret_not_found", key=exchange.parts[1])
    if not version.enabled:
        return vault_answer("secret_disabled", operation="get")
    return SimulatedResponse().with_document({"value": version.value, **_item(vault, secret.name, version)})


def _versions(vault: Vault, exchange: Exchange, versions: tuple[SecretVersion, ...]) -> SimulatedResponse:
    """One page, by the versions' names: neither the newest first nor last. A secret that is not there has no versions."""
    size, start = _page(exchange)
    if size is None or start is None:
        return vault_answer("bad_parameter", found="maxresults or $skiptoken")
    name, ordered = exchange.parts[1], sorted(versions, key=lambda one: one.version)
    end = start + size
    following = _next(vault, exchange, size, end) if end < len(ordered) else None
    return SimulatedResponse().with_document(
        {"value": [_item(vault, name, one) for one in ordered[start:end]], "nextLink": following}
    )


def _page(exchange: Exchange) -> tuple[int | None, int | None]:
    """How many from which on; None for what cannot be meant."""
    asked = exchange.query.get("maxresults", str(PAGE))
    size = int(asked) if asked.isdecimal() and 1 <= int(asked) <= PAGE else None
    token = exchange.query.get("$skiptoken")
    return size, 0 if token is None else _start(token)


def _next(vault: Vault, exchange: Exchange, size: int, start: int) -> str:
    """An absolute address; the service names the port."""
    token = base64.urlsafe_b64encode(json.dumps({"from": start}).encode()).decode()
    host = vault.host if ":" in vault.host else f"{vault.host}:443"
    version = quote(exchange.query.get("api-version", ""))
    return f"https://{host}{exchange.path}?api-version={version}&$skiptoken={quote(token)}&maxresults={size}"


def _start(token: str) -> int | None:
    try:
        start = json.loads(base64.urlsafe_b64decode(token))["from"]
    except (ValueError, KeyError, TypeError, binascii.Error):
        return None
    return start if isinstance(start, int) and start >= 0 else None


def _item(vault: Vault, name: str, version: SecretVersion) -> dict[str, object]:
    dates = {"nbf": version.nbf, "exp": version.exp, "created": version.created, "updated": version.created}
    attributes = {
        "enabled": version.enabled,
        **{key: int(date) for key, date in dates.items() if date is not None},
        "recoveryLevel": "Recoverable+Purgeable",
        "recoverableDays": int(vault.retention / 86400),
    }
    return {"id": f"https://{vault.host}/secrets/{name}/{version.version}", "attributes": attributes, "tags": {}}
