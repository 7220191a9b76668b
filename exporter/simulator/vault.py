"""Key Vault and Managed HSM: access checks and key operations with real RSA.

The order of the checks is the service's: token, network, request, permission, limit, key. `state` applies faults to the
response.
"""

from __future__ import annotations

import time
from collections import deque
from collections.abc import Callable, Sequence
from dataclasses import replace
from typing import Any
from urllib.parse import quote
from uuid import uuid4

from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import padding

from exporter.clients.answers import encode
from exporter.core.json import decode, read_object
from exporter.simulator.entra import TokenClaims
from exporter.simulator.environment import (
    SECRETS_GET,
    SECRETS_LIST,
    Key,
    KeyPairs,
    SimulatedKeyVersion,
    SimulatedVersion,
    Vault,
    Versioned,
    public_numbers,
    with_port,
)
from exporter.simulator.errors import start_of, vault_error
from exporter.simulator.http import Exchange, SimulatedResponse

# The requests of a vault.

# Permissions whose name differs from the operation.
_PERMISSIONS = {
    "get_newest": "get",
    "key_versions": "list",
    "get_deleted": "get",
    "secret_versions": SECRETS_LIST,
    "secret_get": SECRETS_GET,
}
# Permissions as refusals name them: in an access policy, and as data action of a role.
_PERMISSION_NAMES = {
    "get": ("keys get", "keys/read"),
    "list": ("keys list", "keys/read"),
    "wrapKey": ("keys wrapKey", "keys/wrap/action"),
    "unwrapKey": ("keys unwrapKey", "keys/unwrap/action"),
    SECRETS_LIST: ("secrets list", "secrets/readMetadata/action"),
    SECRETS_GET: ("secrets get", "secrets/getSecret/action"),
}
_WINDOW = 10.0  # seconds of a limit's window
_PADDINGS = {
    # RSA-OAEP is OAEP with SHA-1 (RFC 7518, 4.3); the connector uses it
    "RSA-OAEP": padding.OAEP(padding.MGF1(hashes.SHA1()), hashes.SHA1(), None),  # noqa: S303 - the algorithm requires SHA-1
    "RSA-OAEP-256": padding.OAEP(padding.MGF1(hashes.SHA256()), hashes.SHA256(), None),
}


class VaultService:
    """Turns one request to one vault into one response."""

    def __init__(self, pairs: KeyPairs, clock: Callable[[], float] = time.time) -> None:
        self._pairs, self._clock = pairs, clock
        self._recent: dict[str, deque[float]] = {}

    async def respond(self, vault: Vault, exchange: Exchange, caller: TokenClaims | None) -> SimulatedResponse:
        """Return the vault's response with its diagnostic headers, which differ for a managed HSM."""
        response = await self._respond(vault, exchange, caller)
        headers = {"x-ms-request-id": str(uuid4())}
        if (client_request := exchange.headers.get("x-ms-client-request-id")) is not None:
            headers["x-ms-client-request-id"] = client_request
        if vault.managed_hsm:
            headers["x-ms-server-latency"] = "1"
        else:
            connection = "PrivateLink" if vault.network_refusal == "forbidden_connection" else "Ipv4"
            network = f"conn_type={connection};addr=203.0.113.10;act_addr_fam=InterNetwork;"
            own = {"region": vault.region, "service-version": "1.9.2200.1", "network-info": network}
            headers |= {f"x-ms-keyvault-{name}": value for name, value in own.items()}
        return replace(response, headers={**response.headers, **headers})

    async def _respond(self, vault: Vault, exchange: Exchange, caller: TokenClaims | None) -> SimulatedResponse:
        operation = exchange.vault_operation()
        if vault.managed_hsm and operation.startswith("secret"):
            operation = "other"  # a managed HSM has no secrets
        if operation == "health":
            return SimulatedResponse().with_body(b"true")
        refusal = self._refusal(vault, exchange, operation, caller)
        if refusal is not None:
            return refusal
        name, *version = (*exchange.parts[1:3], "")
        match operation:
            case "list" | "key_versions" | "secret_versions":
                return _page(vault, exchange, _listed(vault, operation, name.lower()))
            case "secret_get":
                return _secret(vault, name, version[0])
            case "get_deleted":
                return await self._deleted_key(vault, name)
        return await self._key_operation(vault, exchange, operation)

    def _refusal(self, vault: Vault, exchange: Exchange, operation: str, caller: TokenClaims | None) -> SimulatedResponse | None:
        """Return the first refusal before the key is read, None if there is none."""
        if caller is None or (caller.aud, caller.tid) != (vault.resource, vault.tenant_id):
            return _unauthorized(vault, exchange, caller)
        permission = _PERMISSIONS.get(operation, operation)
        called, action = _PERMISSION_NAMES.get(permission, ("-", "-"))
        named = f"appid={caller.appid};oid={caller.oid};iss=https://sts.windows.net/{caller.tid}/"
        words = {"permission": called, "action": action, "vault": vault.name, "caller": named}
        if vault.network_refusal is not None:
            return vault_error(vault.network_refusal, **words)
        if "api-version" not in exchange.query:
            return vault_error("bad_parameter", found="api-version is missing")
        if operation == "other":
            return vault_error("not_found")
        if operation in vault.closed or permission not in vault.permissions.get(caller.appid, frozenset()):
            return vault_error("forbidden_rbac" if vault.rbac else "forbidden_policy", **words)
        return vault_error("throttled") if self._is_over_limit(vault) else None

    def _is_over_limit(self, vault: Vault) -> bool:
        """Count the request, and return whether it exceeds the vault's limit."""
        if vault.limit is None:
            return False
        now, recent = self._clock(), self._recent.setdefault(vault.host, deque())
        while recent and recent[0] <= now - _WINDOW:
            recent.popleft()
        if len(recent) >= vault.limit:
            return True  # refused requests do not count
        recent.append(now)
        return False

    async def _deleted_key(self, vault: Vault, name: str) -> SimulatedResponse:
        key = vault.keys.get(name.lower())
        if key is None or not key.versions or key.deleted is None:
            return vault_error("key_not_found", key=name)
        document = await self._document(vault, key, key.versions[-1])
        document["recoveryId"] = f"https://{vault.host}/deletedkeys/{key.name}"
        document["deletedDate"], document["scheduledPurgeDate"] = int(key.deleted), int(key.deleted + vault.retention)
        return SimulatedResponse().with_document(document)

    async def _key_operation(self, vault: Vault, exchange: Exchange, operation: str) -> SimulatedResponse:
        """Return the key, or the bytes after a wrap or unwrap.

        Outside its dates a key still unwraps. That a disabled key refuses the wrap is an assumption.
        """
        name, wanted = exchange.subject
        key, now = vault.keys.get(name), self._clock()
        version = key.version(wanted) if key is not None and key.deleted is None else None
        if key is None or version is None:
            return vault_error("key_not_found", key="/".join(exchange.parts[1:3] if wanted else exchange.parts[1:2]))
        if operation in ("get", "get_newest"):
            return SimulatedResponse().with_document(await self._document(vault, key, version))
        refusals = {
            "key_disabled": not version.enabled,
            "key_operation": operation not in version.key_ops or not version.is_rsa,
            "key_expired": operation == "wrapKey" and version.exp is not None and version.exp <= now,
            "key_not_yet_valid": operation == "wrapKey" and version.nbf is not None and version.nbf > now,
        }
        for refusal, applies in refusals.items():
            if applies:
                return vault_error(refusal, operation=operation)
        request = read_object(exchange.body) or {}
        algorithm, value = _PADDINGS.get(str(request.get("alg"))), decode(str(request.get("value", "")))
        if algorithm is None or value is None:
            return vault_error("bad_parameter", found="alg or value")
        pair = await self._pairs.get(version.size, version.material)
        try:
            done = pair.public_key().encrypt(value, algorithm) if operation == "wrapKey" else pair.decrypt(value, algorithm)
        except ValueError:  # too long to wrap, or wrapped under another key
            return vault_error("bad_parameter", found="value")
        return SimulatedResponse().with_document({"kid": _kid(vault, key, version), "value": encode(done)})

    async def _document(self, vault: Vault, key: Key, version: SimulatedKeyVersion) -> dict[str, object]:
        jwk: dict[str, object] = {"kid": _kid(vault, key, version), "kty": version.kty, "key_ops": list(version.key_ops)}
        if version.is_rsa:
            jwk["n"], jwk["e"] = public_numbers(await self._pairs.get(version.size, version.material))
        return {"key": jwk, "attributes": _attributes(vault, version)}


def _unauthorized(vault: Vault, exchange: Exchange, caller: TokenClaims | None) -> SimulatedResponse:
    """Return the 401 for a missing or wrong token."""
    challenge = f'Bearer authorization="https://{vault.authority}/{vault.tenant_id}", resource="{vault.resource}"'
    if exchange.bearer is None:
        response = SimulatedResponse(status=401) if vault.managed_hsm else vault_error("token_missing")
    elif caller is None:
        response = vault_error("token_unknown")
    elif caller.aud != vault.resource:
        response = vault_error("token_audience", found=caller.aud)
    else:
        response = vault_error("token_issuer", found=caller.tid)
    return response.with_header("WWW-Authenticate", challenge)


def _kid(vault: Vault, key: Key, version: SimulatedKeyVersion) -> str:
    return f"https://{vault.host}/keys/{key.name}/{version.version}"


def _attributes(vault: Vault, version: SimulatedVersion) -> dict[str, object]:
    dates = {"nbf": version.nbf, "exp": version.exp, "created": version.created, "updated": version.created}
    return {
        "enabled": version.enabled,
        **{name: int(date) for name, date in dates.items() if date is not None},
        "recoveryLevel": "Recoverable+Purgeable",
        "recoverableDays": int(vault.retention / 86400),
    }


def _item(vault: Vault, path: str, version: SimulatedVersion) -> dict[str, object]:
    member = "id" if path.startswith("secrets/") else "kid"
    return {member: f"https://{vault.host}/{path}", "attributes": _attributes(vault, version), "tags": {}}


def _secret(vault: Vault, name: str, wanted: str) -> SimulatedResponse:
    """Return the value of a secret, which shows a test that a client requested more than dates."""
    secret = vault.secrets.get(name.lower())
    version = None if secret is None else secret.version(wanted or None)
    if secret is None or version is None:
        return vault_error("secret_not_found", key=name)
    if not version.enabled:
        return vault_error("secret_disabled", operation="get")
    item = _item(vault, f"secrets/{secret.name}/{version.version}", version)
    return SimulatedResponse().with_document({"value": version.value, **item})


# Pages of a list: `maxresults`, `$skiptoken` and `nextLink`.

_PAGE = 25  # items on a page, which is also the largest `maxresults`


def _listed(vault: Vault, operation: str, name: str) -> list[tuple[str, SimulatedVersion]]:
    """Return path and version of each item. A missing key or secret has no versions.

    The list of the keys has the attributes of the newest version of each.
    """
    if operation == "list":
        keys = [key for key in vault.keys.values() if key.deleted is None and key.versions]
        return [(f"keys/{key.name}", key.versions[-1]) for key in keys]
    kind, holders = ("keys", vault.keys) if operation == "key_versions" else ("secrets", vault.secrets)
    holder: Versioned[Any] | None = holders.get(name)
    if holder is None or (isinstance(holder, Key) and holder.deleted is not None):
        return []
    return sorted(((f"{kind}/{holder.name}/{one.version}", one) for one in holder.versions), key=lambda item: item[0])


def _page(vault: Vault, exchange: Exchange, items: Sequence[tuple[str, SimulatedVersion]]) -> SimulatedResponse:
    wanted, start = exchange.query.get("maxresults", str(_PAGE)), start_of(exchange.query.get("$skiptoken"))
    if start is None or not wanted.isdecimal() or not 1 <= int(wanted) <= _PAGE:
        return vault_error("bad_parameter", found="maxresults or $skiptoken")
    end, following = start + int(wanted), None
    if end < len(items):  # the service names the port
        version = quote(exchange.query.get("api-version", ""))
        query = f"api-version={version}&$skiptoken={end}&maxresults={wanted}"
        following = f"https://{with_port(vault.host)}{exchange.path}?{query}"
    return SimulatedResponse().with_document({"value": [_item(vault, *one) for one in items[start:end]], "nextLink": following})
