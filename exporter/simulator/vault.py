"""Key Vault and Managed HSM: access checks and key operations with real RSA.

The order of the checks is the service's: token, network, request, permission, limit, key. `state` applies faults to the
response.
"""

from __future__ import annotations

import time
from collections import deque
from collections.abc import Callable
from uuid import uuid4

from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import padding

from exporter.clients.answers import encode
from exporter.core.json import decode, read_object
from exporter.simulator.entra import TokenClaims, TokenMint
from exporter.simulator.environment import (
    SECRETS_GET,
    SECRETS_LIST,
    Key,
    KeyPairs,
    NetworkAccess,
    SimulatedKeyVersion,
    SimulatedVersion,
    Vault,
    public_numbers,
)
from exporter.simulator.errors import list_page, vault_error
from exporter.simulator.http import Exchange, SimulatedResponse

# The secrets of a vault: versions by page without values, and single values. The latter show a test that a client requested
# more than dates.


def _secret_response(vault: Vault, exchange: Exchange, operation: str) -> SimulatedResponse:
    """Return the vault's response to a permitted caller."""
    name, secret = exchange.parts[1], vault.secrets.get(exchange.parts[1].lower())
    if operation == "secret_versions":
        versions = () if secret is None else sorted(secret.versions, key=lambda one: one.version)
        return list_page(vault.host, exchange, versions, lambda one: _item(vault, "id", f"secrets/{name}/{one.version}", one))
    version = None if secret is None else secret.version(exchange.parts[2] if len(exchange.parts) > 2 else None)
    if secret is None or version is None:
        return vault_error("secret_not_found", key=name)
    if not version.enabled:
        return vault_error("secret_disabled", operation="get")
    item = _item(vault, "id", f"secrets/{secret.name}/{version.version}", version)
    return SimulatedResponse().with_document({"value": version.value, **item})


def _item(vault: Vault, member: str, path: str, version: SimulatedVersion) -> dict[str, object]:
    return {member: f"https://{vault.host}/{path}", "attributes": attributes_of(vault, version), "tags": {}}


def attributes_of(vault: Vault, version: SimulatedVersion) -> dict[str, object]:
    dates = {"nbf": version.nbf, "exp": version.exp, "created": version.created, "updated": version.created}
    return {
        "enabled": version.enabled,
        **{name: int(date) for name, date in dates.items() if date is not None},
        "recoveryLevel": "Recoverable+Purgeable",
        "recoverableDays": int(vault.retention / 86400),
    }


# The requests of a vault.

_NETWORK_ERRORS = {NetworkAccess.FIREWALL: "forbidden_firewall", NetworkAccess.PRIVATE_ONLY: "forbidden_connection"}
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

    def __init__(self, mint: TokenMint, pairs: KeyPairs, clock: Callable[[], float] = time.time) -> None:
        self._mint = mint
        self._pairs = pairs
        self._clock = clock
        self._recent: dict[str, deque[float]] = {}

    async def respond(self, vault: Vault, exchange: Exchange) -> SimulatedResponse:
        """Return the vault's response with its diagnostic headers."""
        return _with_headers(vault, exchange, await self._respond(vault, exchange))

    async def _respond(self, vault: Vault, exchange: Exchange) -> SimulatedResponse:
        operation = exchange.vault_operation()
        if vault.managed_hsm and operation.startswith("secret"):
            operation = "other"  # a managed HSM has no secrets
        if operation == "health":
            return SimulatedResponse().with_body(b"true")
        caller = self._mint.read(exchange.bearer)
        refusal = self._refusal(vault, exchange, operation, caller)
        if refusal is not None or caller is None:
            return refusal or vault_error("token_unknown")
        if operation == "list":
            return _list(vault, exchange)
        if operation == "key_versions":
            return _key_versions(vault, exchange)
        if operation in ("secret_versions", "secret_get"):
            return _secret_response(vault, exchange, operation)
        if operation == "get_deleted":
            return await self._deleted_key(vault, exchange)
        return await self._key_operation(vault, exchange, operation)

    def _refusal(self, vault: Vault, exchange: Exchange, operation: str, caller: TokenClaims | None) -> SimulatedResponse | None:
        """Return the first refusal before the key is read, None if there is none."""
        refusal = self._token_refusal(vault, exchange, caller)
        if refusal is not None or caller is None:
            return refusal
        permission = _PERMISSIONS.get(operation, operation)
        called, action = _PERMISSION_NAMES.get(permission, ("-", "-"))
        words = {"permission": called, "action": action, "vault": vault.name, "caller": _caller(caller)}
        if vault.network_access is not NetworkAccess.OPEN:
            return vault_error(_NETWORK_ERRORS[vault.network_access], **words)
        if "api-version" not in exchange.query:
            return vault_error("bad_parameter", found="api-version is missing")
        if operation == "other":
            return vault_error("not_found")
        if operation in vault.closed or permission not in vault.permissions.get(caller.appid, frozenset()):
            return vault_error("forbidden_rbac" if vault.rbac else "forbidden_policy", **words)
        return vault_error("throttled") if self._over_limit(vault) else None

    def _token_refusal(self, vault: Vault, exchange: Exchange, caller: TokenClaims | None) -> SimulatedResponse | None:
        """Return the 401 for a missing or wrong token, None for a valid token."""
        challenge = f'Bearer authorization="https://{vault.authority}/{vault.tenant_id}", resource="{vault.resource}"'
        if exchange.bearer is None:
            response = SimulatedResponse(status=401) if vault.managed_hsm else vault_error("token_missing")
        elif caller is None:
            response = vault_error("token_unknown")
        elif caller.aud != vault.resource:
            response = vault_error("token_audience", found=caller.aud)
        elif caller.tid != vault.tenant_id:
            response = vault_error("token_issuer", found=caller.tid)
        else:
            return None
        return response.with_header("WWW-Authenticate", challenge)

    def _over_limit(self, vault: Vault) -> bool:
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

    async def _deleted_key(self, vault: Vault, exchange: Exchange) -> SimulatedResponse:
        key = vault.keys.get(exchange.parts[1].lower())
        version = key.version(None) if key is not None else None
        if key is None or version is None or key.deleted is None:
            return vault_error("key_not_found", key=exchange.parts[1])
        document = await self._document(vault, key, version)
        document["recoveryId"] = f"https://{vault.host}/deletedkeys/{key.name}"
        document["deletedDate"], document["scheduledPurgeDate"] = int(key.deleted), int(key.deleted + vault.retention)
        return SimulatedResponse().with_document(document)

    async def _key_operation(self, vault: Vault, exchange: Exchange, operation: str) -> SimulatedResponse:
        name, wanted = exchange.subject
        key = vault.keys.get(name)
        version = key.version(wanted) if key is not None and key.deleted is None else None
        if key is None or version is None:
            return vault_error("key_not_found", key="/".join(exchange.parts[1:3] if wanted else exchange.parts[1:2]))
        if operation in ("get", "get_newest"):
            return SimulatedResponse().with_document(await self._document(vault, key, version))
        return self._key_refusal(version, operation) or await self._crypt(vault, key, version, operation, exchange)

    def _key_refusal(self, version: SimulatedKeyVersion, operation: str) -> SimulatedResponse | None:
        """Return the refusal by the key version's state, None if there is none.

        Outside its dates a key still unwraps. That a disabled key refuses the wrap is an assumption.
        """
        if not version.enabled:
            return vault_error("key_disabled", operation=operation)
        if operation not in version.key_ops or version.kty not in ("RSA", "RSA-HSM"):
            return vault_error("key_operation", operation=operation)
        if operation == "wrapKey" and version.exp is not None and version.exp <= self._clock():
            return vault_error("key_expired", operation=operation)
        if operation == "wrapKey" and version.nbf is not None and version.nbf > self._clock():
            return vault_error("key_not_yet_valid", operation=operation)
        return None

    async def _crypt(
        self, vault: Vault, key: Key, version: SimulatedKeyVersion, operation: str, exchange: Exchange
    ) -> SimulatedResponse:
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
        if version.kty in ("RSA", "RSA-HSM"):
            jwk["n"], jwk["e"] = public_numbers(await self._pairs.get(version.size, version.material))
        return {"key": jwk, "attributes": attributes_of(vault, version)}


def _list(vault: Vault, exchange: Exchange) -> SimulatedResponse:
    """Return one page of the keys, each with the attributes of its newest version."""
    keys = [key for key in vault.keys.values() if key.deleted is None and key.versions]
    return list_page(vault.host, exchange, keys, lambda key: _item(vault, "kid", f"keys/{key.name}", key.versions[-1]))


def _key_versions(vault: Vault, exchange: Exchange) -> SimulatedResponse:
    """Return one page of a key's versions, without key material. A missing key has no versions."""
    key = vault.keys.get(exchange.parts[1].lower())
    named = [] if key is None or key.deleted is not None else [(f"keys/{key.name}/{one.version}", one) for one in key.versions]
    return list_page(vault.host, exchange, sorted(named, key=lambda one: one[0]), lambda one: _item(vault, "kid", *one))


def _kid(vault: Vault, key: Key, version: SimulatedKeyVersion) -> str:
    return f"https://{vault.host}/keys/{key.name}/{version.version}"


def _caller(claims: TokenClaims) -> str:
    return f"appid={claims.appid};oid={claims.oid};iss=https://sts.windows.net/{claims.tid}/"


def _with_headers(vault: Vault, exchange: Exchange, response: SimulatedResponse) -> SimulatedResponse:
    """Add the diagnostic headers, which differ for a managed HSM."""
    response = response.with_header("x-ms-request-id", str(uuid4()))
    client_request = exchange.headers.get("x-ms-client-request-id")
    if client_request is not None:
        response = response.with_header("x-ms-client-request-id", client_request)
    if vault.managed_hsm:
        return response.with_header("x-ms-server-latency", "1")
    network = f"conn_type={'PrivateLink' if vault.network_access is NetworkAccess.PRIVATE_ONLY else 'Ipv4'};addr=203.0.113.10;act_addr_fam=InterNetwork;"
    for name, value in (("region", vault.region), ("service-version", "1.9.2200.1"), ("network-info", network)):
        response = response.with_header(f"x-ms-keyvault-{name}", value)
    return response
