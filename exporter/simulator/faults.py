"""Every fault that can be set, as one literal table, with its types and effects. The codes that follow are in `scenarios`.

A fault affects the environment (a key is disabled), the response (a body is truncated), the connection (a certificate is
expired) or the route (the name does not resolve).
"""

from __future__ import annotations

import gzip
import re
import time
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, replace
from enum import StrEnum
from typing import Annotated, Any, Literal

from msgspec import Meta

from exporter.core.values import KEY_STEPS, Step
from exporter.simulator.environment import (
    PERFORMANCE,
    Application,
    ClientSecret,
    Key,
    SimulatedKeyVersion,
    SimulatedSqlServer,
    SqlDatabase,
    SqlKey,
    Vault,
    invented_thumbprint,
)
from exporter.simulator.errors import ENTRA_ERRORS, GRAPH_ERRORS, VAULT_ERRORS, entra_error, graph_error, vault_error
from exporter.simulator.graph import MANAGEMENT_ERRORS, management_error
from exporter.simulator.http import Delivery, SimulatedResponse

VaultOf = Callable[[str], Vault | None]


class FaultScope(StrEnum):
    """The kind of object that a fault is set on."""

    VAULT = "vault"
    TENANT = "tenant"
    APPLICATION = "application"
    AUTHORITY = "authority"  # an Entra host
    GRAPH = "graph"  # a host of Microsoft Graph
    MANAGEMENT = "management"  # a host of Azure Resource Manager
    SQL = "sql"  # a SQL Server


ConnectionFault = Literal[
    "tls_expired",
    "tls_not_yet_valid",
    "tls_wrong_name",
    "tls_untrusted",
    "tls_alert",
    "tls_reset",  # RST as soon as the handshake begins
    "tls_closed",
    "tls_silent",  # accepted, then no data
    "plain_http",  # an HTTP response to a handshake
]
"""A failure of the connection before the first request."""

Route = Literal[
    "unresolvable",  # a name under .invalid, which never resolves (RFC 6761)
    "refused",  # a port without a listener
]
"""The address that a host name leads to. A client follows a change after it reloads its configuration."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Options:
    """The options of a fault; most faults ignore most of them.

    Times are in seconds. `key` and `version` limit a fault of a vault to one key, or to the versions of that name. `since`
    is set when the fault starts.
    """

    step: Step | None = None  # only at this step
    at: str | None = None  # only at this operation, one of `http.OPERATIONS`
    key: str | None = None
    version: str | None = None
    since: float = 0.0  # Unix time
    status: Annotated[int, Meta(ge=200, le=599)] = 500
    body: str = ""
    retry_after: Annotated[int, Meta(ge=0, le=86_400)] | None = None
    seconds: Annotated[float, Meta(ge=0, le=86_400)] = 1.0
    operation: str = "unwrapKey"
    bits: Annotated[int, Meta(ge=1024, le=16_384)] = 4096
    limit: Annotated[int, Meta(ge=0, le=1_000_000)] = 1
    right: str = PERFORMANCE
    view: str = "dm_os_loaded_modules"
    database: str | None = None  # only this one


@dataclass(frozen=True, slots=True, kw_only=True)
class SimulatedFault:
    """One row of the fault table. `steps` are the affected steps unless the options name others."""

    name: str
    broken: str
    scopes: frozenset[FaultScope]
    steps: frozenset[Step] = frozenset()
    vault: Callable[[Vault, Options], Vault] | None = None
    application: Callable[[Application, Options], Application] | None = None
    response: Callable[[SimulatedResponse, Options], SimulatedResponse] | None = None
    connection: ConnectionFault | None = None
    route: Route | None = None
    sql: SqlChange | None = None


class UnknownNameError(ValueError):
    """A fault, scope or object does not exist; the text is an error message for users."""


# The effects, which the rows of the table name.

_DAY = 86400.0  # seconds

Edit = Callable[[SimulatedResponse, Options], SimulatedResponse]


def edit_member(name: str, change: Callable[[dict[str, Any], str], object]) -> Edit:
    """Change a member of the response's document. The prefix `key.` names a member of the key."""

    def edit(response: SimulatedResponse, _options: Options) -> SimulatedResponse:
        document = response.document()
        change(document.get("key", {}) if name.startswith("key.") else document, name.removeprefix("key."))
        return response.with_document(document)

    return edit


def set_member(name: str, value: object) -> Edit:
    return edit_member(name, lambda holder, member: holder.update({member: value}))


def append_members(members: bytes) -> Edit:
    """Append raw members to the document. They may be invalid JSON, or repeat a member that is already there."""
    return lambda response, _: response.with_body(response.body.removesuffix(b"}") + b"," + members + b"}")


def set_body(text: str, *, status: int | None = None, content_type: str = "application/json; charset=utf-8") -> Edit:
    return lambda response, _: response.with_body(text.encode(), status=status, content_type=content_type)


def rewrite_challenge(rewrite: Callable[[str], str | None]) -> Edit:
    """Change the challenge, or remove it."""
    name = "WWW-Authenticate"
    return lambda response, _: response.with_header(name, rewrite(response.headers.get(name, "")))


def refuse(make: Callable[[str], SimulatedResponse], name: str) -> Edit:
    """Replace the response by an error, and keep the service's own headers."""

    def edit(response: SimulatedResponse, options: Options) -> SimulatedResponse:
        refusal = make(name)
        changed = replace(response, status=refusal.status, body=refusal.body, headers={**response.headers, **refusal.headers})
        return _with_retry_after(changed, options)

    return edit


def _with_retry_after(response: SimulatedResponse, options: Options) -> SimulatedResponse:
    return response if options.retry_after is None else response.with_header("Retry-After", str(options.retry_after))


Change = Callable[[Vault, Options], Vault]


def change(**changes: Any) -> Callable[..., Any]:
    """Set fields of a vault, an application, a SQL Server or a response."""
    return lambda thing, *_: replace(thing, **changes)


def change_keys(edit: Callable[[Key], Key]) -> Change:
    return lambda vault, options: vault.with_keys(edit, options.key, options.version)


def change_versions(**changes: object) -> Change:
    """Set fields of each key version that the options select."""
    return lambda vault, options: vault.with_versions(options.key, options.version, **changes)


def delete_keys(vault: Vault, options: Options) -> Vault:
    """Delete the selected keys; they can be recovered."""
    return vault.with_keys(lambda key: replace(key, deleted=options.since), options.key, options.version)


def purge_keys(vault: Vault, options: Options) -> Vault:
    """Delete the selected keys for good."""
    remaining = change_keys(lambda key: replace(key, versions=()))(vault, options).keys
    return replace(vault, keys={name: key for name, key in remaining.items() if key.versions})


def rotate_key(key: Key) -> Key:
    """Add a newer version with new key material."""
    last = key.versions[-1]
    version = "f" * 31 + str(len(key.versions) % 10)
    newest = replace(last, version=version, material=last.material + 1, created=last.created + _DAY)
    return replace(key, versions=(*key.versions, newest))


def remove_operation(vault: Vault, options: Options) -> Vault:
    """Remove the options' operation from `key_ops`."""
    remaining = tuple(name for name in SimulatedKeyVersion(version="").key_ops if name != options.operation)
    return vault.with_versions(options.key, options.version, key_ops=remaining)


def change_secrets(edit: Callable[[ClientSecret], ClientSecret]) -> Callable[[Application, Options], Application]:
    return lambda application, _: replace(application, secrets=tuple(edit(secret) for secret in application.secrets))


SqlChange = Callable[[SimulatedSqlServer, Options, VaultOf], SimulatedSqlServer]


def _other_version(key: SqlKey, vault_of: VaultOf) -> SqlKey:
    """Return the newest version of the key, or an invented one if the key is the newest."""
    vault = vault_of(key.vault)
    known = vault.keys.get(key.key_name.lower()) if vault is not None else None
    known = known or Key(name=key.key_name, versions=(SimulatedKeyVersion(version=key.key_version),))
    newest = known.versions[-1] if known.versions[-1].version != key.key_version else rotate_key(known).versions[-1]
    return replace(key, key_version=newest.version, thumbprint=invented_thumbprint(key.key_name, newest.version))


def _move_databases(server: SimulatedSqlServer, options: Options, vault_of: VaultOf) -> SimulatedSqlServer:
    """Protect the databases with another version of their key; the old key stays on the server."""
    chosen = [one for one in server.databases if options.database in (None, one.name)]
    used = {one.thumbprint for one in chosen}
    moved = {key.thumbprint: _other_version(key, vault_of) for key in server.keys if key.thumbprint in used}
    databases = [replace(one, thumbprint=moved[one.thumbprint].thumbprint) if one in chosen else one for one in server.databases]
    return replace(server, keys=(*server.keys, *moved.values()), databases=tuple(databases))


def _add_database(server: SimulatedSqlServer, options: Options, _vault_of: VaultOf) -> SimulatedSqlServer:
    """Add a database under a key that no target has."""
    first, version = server.keys[0], "e" * 32
    thumbprint = invented_thumbprint("NotInConfiguration", version)
    key = replace(first, key_name="NotInConfiguration", key_version=version, thumbprint=thumbprint)
    database = SqlDatabase(name=options.database or "not-in-configuration", thumbprint=thumbprint)
    return replace(server, keys=(*server.keys, key), databases=(*server.databases, database))


_VAULT, _TENANT, _APPLICATION, _AUTHORITY, _GRAPH, _MANAGEMENT, _SQL = (frozenset({one}) for one in FaultScope)
_TOKEN_SIDE = _TENANT | _APPLICATION | _AUTHORITY
_HOSTS = _VAULT | _AUTHORITY | _GRAPH | _MANAGEMENT
_ANYWHERE = frozenset(FaultScope) - _SQL

_EVERY = frozenset(Step)
_CHALLENGE, _TOKEN, _GET, _WRAP, _UNWRAP = (frozenset({one}) for one in Step)
_WRAPPINGS = _WRAP | _UNWRAP


def _members(  # noqa: PLR0917 - a row of the table
    prefix: str, name: str, what: str, scopes: frozenset[FaultScope], steps: frozenset[Step], unusable: str = "*not Base64*"
) -> Iterator[SimulatedFault]:
    """Yield a fault for each defect of a member: `prefix`_missing and so on."""
    kinds: tuple[tuple[str, str, Edit], ...] = (
        ("missing", "is missing", edit_member(name, lambda holder, member: holder.pop(member, None))),
        ("null", "is null", set_member(name, None)),
        ("number", "is a number", set_member(name, 20)),
        ("list", "is a list", set_member(name, ["a"])),
        ("blank", "is empty", set_member(name, "")),
        ("nul", "begins with a NUL", set_member(name, "\0AAAA")),
        ("unusable", "is malformed", set_member(name, unusable)),
        ("twice", "appears twice, the second time as a number", append_members(f'"{name}":20'.encode())),
    )
    for kind, words, edit in kinds:
        yield SimulatedFault(name=f"{prefix}_{kind}", broken=f"{what} {words}", scopes=scopes, steps=steps, response=edit)


_HTML = "<html><head><title>Sign in to the guest network</title></head><body>Accept the terms to go on.</body></html>"
_MEGABYTES = " " * 10_000_000
_OTHER_SERVICE = "https://graph.microsoft.com"
_OTHER_TENANT = "0d9e7c5b-3a1f-4e8d-9c6b-7a5f3e1d0b2c"
_EXPIRED, _NEVER = time.time() - 3 * 86400, float(2**31)  # Unix times; the first is three days before this process

# Faults of the challenge: the new one by the old one, None without a header.
_CHALLENGES: tuple[tuple[str, str, Callable[[str], str | None]], ...] = (
    ("challenge_absent", "the 401 has no challenge", lambda _: None),
    ("challenge_empty", "the challenge is empty", lambda _: ""),
    ("challenge_basic", "the challenge requires a password", lambda _: 'Basic realm="vault"'),
    ("challenge_swapped", "the challenge names the resource first", lambda old: "Bearer " + ", ".join(reversed(old.removeprefix("Bearer ").split(", ")))),
    ("challenge_no_host", "the challenge names no host", lambda old: re.sub("https://[^/]*", "https://", old, count=1)),
    ("challenge_other_parameter", "the challenge has authorization_uri", lambda old: old.replace("authorization=", "authorization_uri=")),
    ("challenge_http", "the challenge's authority is an http address", lambda old: old.replace("https://", "http://")),
    ("challenge_open_authorization", "the challenge's first quote is never closed", lambda old: old.partition('",')[0]),
    ("challenge_no_tenant", "the challenge names no tenant", lambda _: 'Bearer authorization="https://login.microsoftonline.com", resource="https://vault.azure.net"'),
    ("challenge_no_resource", "the challenge names no resource", lambda old: old.replace("resource=", "audience=")),
    ("challenge_open_resource", "the challenge's last quote is missing", lambda old: old.removesuffix('"')),
    ("foreign_authority", "the challenge names an authority that is not Entra", lambda old: old.replace("login.", "login-")),
    ("foreign_resource", "the challenge names a resource that is not the vault's", lambda old: old.partition('resource="')[0] + 'resource="https://graph.microsoft.com"'),
)  # fmt: skip
# Faults of SQL Servers: name, what is broken, change.
_SQL_FAULTS: tuple[tuple[str, str, SqlChange], ...] = (
    ("sql_silent", "SQL Server accepts connections and sends no answer", change(silent=True)),
    ("sql_login_refused", "SQL Server refuses every login (message 18456)", change(refuses_login=True)),
    ("sql_right_missing", "the login lacks the `right` (message 300, or lists that stay empty)", lambda server, options, _: replace(server, rights=server.rights - {options.right.upper()})),
    ("sql_view_missing", "SQL Server lacks the system view `view` (message 208)", lambda server, options, _: replace(server, missing=server.missing | {options.view})),
    ("sql_2014", "SQL Server is version 2014, which has no FOR JSON (messages 102 and 207)", change(product_version="12.0.6024.0")),
    ("sql_provider_disabled", "the EKM provider is disabled", change(provider_enabled=False)),
    ("sql_library_missing", "SQL Server cannot load the DLL of the provider (message 33027)", change(library_loads=False)),
    ("sql_credential_altered", "the credentials were altered `seconds` ago, and have the secret that Entra accepts", lambda server, options, _: replace(server, altered=options.since - options.seconds, secret_accepted=True)),
    ("sql_secret_changed", "the credentials were altered `seconds` ago, and have a secret that Entra refuses", lambda server, options, _: replace(server, altered=options.since - options.seconds, secret_accepted=False)),
    ("sql_secret_old", "the credentials still have an old secret, which Entra refuses", change(secret_accepted=False)),
    ("sql_login_without_credential", "the logins of the keys have no credential (message 33046)", change(login_has_credential=False)),
    ("sql_registry_refused", "the login may not read the registry (message 229)", change(registry_readable=False)),
    ("sql_backups_fail", "backups fail for a cause of their own, such as a full disk (messages 18204 and 3041 alone)", change(backups_fail=True)),
    ("sql_section_damaged", "the section of the scripts whose name is `view` arrives without its rows", lambda server, options, _: replace(server, without_rows=server.without_rows | {options.view})),
    ("sql_errors_logged", "the error log has a new line with provider error code 3303, as if the secret inside SQL Server were wrong", lambda server, options, _: replace(server, logged=(*server.logged, (options.since, "3303")))),
    ("sql_databases_moved", "the databases, or only `database`, use another version of their key", _move_databases),
    ("sql_columns_alone", "no database is encrypted: only columns of the databases need their keys, once a minute", lambda server, _, __: replace(server, databases=(), columns=server.databases)),
    ("sql_database_added", "a further database uses a key that no target has", _add_database),
)  # fmt: skip

_ROUTES: Mapping[Route, str] = {"unresolvable": "the host name does not resolve", "refused": "the port refuses connections"}
_CONNECTIONS: Mapping[ConnectionFault, str] = {
    "tls_expired": "the certificate is expired",
    "tls_not_yet_valid": "the certificate is not yet valid",
    "tls_wrong_name": "the certificate is another host's",
    "tls_untrusted": "the certificate's issuer is not trusted",
    "tls_alert": "the handshake is refused",
    "tls_reset": "the connection is reset in the handshake",
    "tls_closed": "the connection is closed in the handshake",
    "tls_silent": "the connection is accepted, then no data arrives",
    "plain_http": "the TLS port serves plain HTTP",
}
_DELIVERIES: Mapping[str, tuple[Delivery, str]] = {
    "reset": ("reset", "the connection is reset after the request"),
    "closed": ("closed", "the connection is closed without a response"),
    "keep_alive_lost": ("lost", "each connection serves one request and is closed by the next one"),
    "silent": ("silent", "no response arrives"),
    "endless_header": ("endless_header", "the header never ends"),
    "garbage": ("garbage", "the response is not HTTP"),
    "truncated": ("truncated", "the body is cut short"),
    "trickling": ("trickling", "the body arrives one byte at a time"),
    "informational": ("informational", "a 103 response precedes the response"),
}
_BODIES: tuple[tuple[str, str, Edit], ...] = (
    ("html", "an HTML page with 200 instead of JSON", set_body(_HTML, status=200, content_type="text/html")),
    ("html_unavailable", "an HTML page with 503", set_body(_HTML, status=503, content_type="text/html")),
    ("html_forbidden", "an HTML page with 403", set_body(_HTML, status=403, content_type="text/html")),
    ("html_unauthorized", "an HTML page with 401", set_body(_HTML, status=401, content_type="text/html")),
    ("text_forbidden", "a plain text with 403", set_body("Access denied by the security policy of the network.", status=403, content_type="text/plain")),
    ("empty", "the body is empty", set_body("")),
    ("not_json", "the body is truncated JSON", set_body('{"key":{"kid":')),
    ("json_list", "the body is a JSON list", set_body("[1,2,3]")),
    ("whitespace", "the body is blank", set_body(" \r\n")),
    ("json_text", "the body is a JSON string", set_body('"value"')),
    ("json_number", "the body is a JSON number", set_body("429")),
    ("json_null", "the body is the JSON value null", set_body("null")),
    ("json_pair", "the body is the JSON object twice", lambda a, _: a.with_body(a.body * 2)),
    ("json_deep", "the body is JSON nested 100,000 deep", set_body("[" * 100_000)),
    ("json_huge_number", "a number in the body has 100,000 digits", append_members(b'"more":' + b"9" * 100_000)),
    ("nul_bytes", "a string in the body has NUL bytes", append_members(b'"more":"\x00\x00"')),
    ("not_utf8", "a string in the body is not UTF-8", append_members(b'"more":"\xff\xfe"')),
    ("huge", "the body has ten million bytes", set_body(_MEGABYTES)),
    ("broken_gzip", "the body is truncated gzip", lambda a, _: replace(a, body=gzip.compress(a.body)[:-12]).with_header("Content-Encoding", "gzip")),
)  # fmt: skip


_TABLE: tuple[SimulatedFault, ...] = (
    *(SimulatedFault(name=route, broken=broken, scopes=_HOSTS, route=route) for route, broken in _ROUTES.items()),
    *(SimulatedFault(name=fault, broken=broken, scopes=_HOSTS, connection=fault) for fault, broken in _CONNECTIONS.items()),
    # the exchange
    *(
        SimulatedFault(name=name, broken=broken, scopes=_ANYWHERE, steps=_EVERY, response=change(delivery=delivery))
        for name, (delivery, broken) in _DELIVERIES.items()
    ),
    SimulatedFault(name="delayed", broken="the response is delayed by `seconds`", scopes=_ANYWHERE, steps=_EVERY, response=lambda a, o: replace(a, delay=o.seconds)),
    SimulatedFault(name="redirected", broken="the response is a redirect", scopes=_ANYWHERE, steps=_EVERY,
          response=lambda a, _: a.with_body(b"", status=302).with_header("Location", "https://elsewhere.invalid/")),
    SimulatedFault(name="status", broken="any status with any body", scopes=_ANYWHERE, steps=_EVERY,
          response=lambda a, o: _with_retry_after(a.with_body(o.body.encode(), status=o.status), o)),
    *(SimulatedFault(name=name, broken=broken, scopes=_ANYWHERE, steps=_EVERY, response=edit) for name, broken, edit in _BODIES),
    # the challenge
    SimulatedFault(name="no_challenge", broken="200 without a token", scopes=_VAULT, steps=_CHALLENGE,
          response=lambda a, _: a.with_header("WWW-Authenticate", None).with_body(b'{"value":[]}', status=200)),
    *(
        SimulatedFault(name=name, broken=broken, scopes=_VAULT, steps=_CHALLENGE,
              response=rewrite_challenge(rewrite))
        for name, broken, rewrite in _CHALLENGES
    ),
    # Entra: refusals, and responses without a usable token
    *(
        SimulatedFault(name=name, broken=f"Entra returns AADSTS{error.aadsts}: {error.sentence}", scopes=_TOKEN_SIDE, steps=_TOKEN,
              response=refuse(entra_error, name))
        for name, error in ENTRA_ERRORS.items() if name not in ("secret_wrong", "secret_expired")
    ),
    SimulatedFault(name="secret_wrong", broken="the application has another secret", scopes=_APPLICATION,
          application=change_secrets(lambda secret: replace(secret, value=secret.value + "-replaced"))),
    SimulatedFault(name="secret_expired", broken="the application's secret has expired", scopes=_APPLICATION,
          application=change_secrets(lambda secret: replace(secret, expires=_EXPIRED))),
    SimulatedFault(name="token_for_other_service", broken="Entra issues tokens for another audience", scopes=_APPLICATION, application=change(token_audience=_OTHER_SERVICE)),
    SimulatedFault(name="token_of_other_tenant", broken="Entra issues tokens of another tenant", scopes=_APPLICATION, application=change(token_tenant=_OTHER_TENANT)),
    SimulatedFault(name="token_ended", broken="Entra issues expired tokens", scopes=_APPLICATION, application=change(token_lifetime=0)),
    SimulatedFault(name="certificates_removed", broken="the application's certificates are removed", scopes=_APPLICATION, application=change(certificates=())),
    *_members("token", "access_token", "the access_token", _TOKEN_SIDE, _TOKEN, unusable="not a\ntoken"),
    # the vault: refusals without a condition
    *(
        SimulatedFault(name=f"vault_{name}", broken=f"the vault returns {error.status} {error.inner or error.code}", scopes=_VAULT, steps=frozenset(KEY_STEPS),
              response=refuse(vault_error, name))
        for name, error in VAULT_ERRORS.items()
    ),
    SimulatedFault(name="throttled", broken="every request with a token is throttled", scopes=_VAULT, steps=frozenset(KEY_STEPS), response=refuse(vault_error, "throttled")),
    # Microsoft Graph
    *(
        SimulatedFault(name=f"graph_{name}", broken=f"Microsoft Graph returns {error.status} {error.code}: {error.message}", scopes=_GRAPH,
              response=refuse(graph_error, name))
        for name, error in GRAPH_ERRORS.items()
    ),
    SimulatedFault(name="graph_permission_removed", broken="the application has no permission in Microsoft Graph", scopes=_APPLICATION, application=change(graph_reader=False)),
    # Azure Resource Graph
    *(
        SimulatedFault(name=f"resource_graph_{name}", broken=f"Azure Resource Graph returns {error.status} {error.code}: {error.message}", scopes=_MANAGEMENT,
              response=refuse(management_error, name))
        for name, error in MANAGEMENT_ERRORS.items()
    ),
    SimulatedFault(name="resource_graph_empty", broken="Azure Resource Graph lists nothing", scopes=_MANAGEMENT,
          response=lambda a, _: a.with_document({"totalRecords": 0, "count": 0, "data": [], "facets": [], "resultTruncated": "false"})),
    SimulatedFault(name="azure_role_removed", broken="the application has no role on the subscription", scopes=_APPLICATION, application=change(azure_reader=False)),
    # the vault: its state
    SimulatedFault(name="permission_removed", broken="a permission is removed (`operation`: get, wrapKey, unwrapKey, list)", scopes=_VAULT,
          vault=lambda vault, options: vault.without(options.operation)),
    SimulatedFault(name="role_removed", broken="a role assignment is removed (`operation` as above)", scopes=_VAULT,
          vault=lambda vault, options: replace(vault.without(options.operation), rbac=True)),
    SimulatedFault(name="firewall", broken="the vault's firewall blocks the address", scopes=_VAULT, vault=change(network_refusal="forbidden_firewall")),
    SimulatedFault(name="private_only", broken="public network access is off", scopes=_VAULT, vault=change(network_refusal="forbidden_connection")),
    SimulatedFault(name="limited", broken="the vault accepts at most `limit` requests per ten seconds", scopes=_VAULT,
          vault=lambda vault, options: replace(vault, limit=options.limit)),
    SimulatedFault(name="slow", broken="every response takes `seconds`", scopes=_VAULT, vault=lambda vault, options: replace(vault, latency=options.seconds)),
    SimulatedFault(name="vault_in_other_tenant", broken="the vault belongs to another tenant", scopes=_VAULT, vault=change(tenant_id=_OTHER_TENANT)),
    SimulatedFault(name="moved", broken="the vault failed over to another region", scopes=_VAULT, vault=change(region="northeurope")),
    # keys
    SimulatedFault(name="key_disabled", broken="the key's versions are disabled", scopes=_VAULT, vault=change_versions(enabled=False)),
    SimulatedFault(name="key_expired", broken="the key has expired", scopes=_VAULT, vault=change_versions(exp=_EXPIRED)),
    SimulatedFault(name="key_not_yet_valid", broken="the key is not yet valid", scopes=_VAULT, vault=change_versions(nbf=_NEVER)),
    # the same without a reason in the response
    SimulatedFault(name="key_disabled_without_reason", broken="the key is disabled, and the refusal gives no reason", scopes=_VAULT, steps=_WRAPPINGS,
          vault=change_versions(enabled=False), response=refuse(vault_error, "forbidden_policy")),
    SimulatedFault(name="key_expired_without_reason", broken="the key has expired, and the refusal gives no reason", scopes=_VAULT, steps=_WRAPPINGS,
          vault=change_versions(exp=_EXPIRED), response=refuse(vault_error, "forbidden_policy")),
    SimulatedFault(name="key_not_yet_valid_without_reason", broken="the key is not yet valid, and the refusal gives no reason", scopes=_VAULT, steps=_WRAPPINGS,
          vault=change_versions(nbf=_NEVER), response=refuse(vault_error, "forbidden_policy")),
    SimulatedFault(name="key_soft_deleted", broken="the keys are deleted and can be recovered", scopes=_VAULT, vault=delete_keys),
    SimulatedFault(name="key_soft_deleted_unreadable", broken="the keys are deleted, and deleted keys cannot be read", scopes=_VAULT,
          vault=lambda vault, options: replace(delete_keys(vault, options), closed=frozenset({"get_deleted"}))),
    SimulatedFault(name="key_purged", broken="the keys are purged", scopes=_VAULT, vault=purge_keys),
    SimulatedFault(name="versions_replaced", broken="each key has only a newer version", scopes=_VAULT,
          vault=change_keys(lambda key: replace(key, versions=rotate_key(key).versions[-1:]))),
    SimulatedFault(name="key_rotated", broken="each key has a newer version", scopes=_VAULT, vault=change_keys(rotate_key)),
    SimulatedFault(name="cannot_unwrap", broken="the unwrap of wrapped bytes fails", scopes=_VAULT, steps=_UNWRAP,
          response=refuse(vault_error, "bad_parameter")),
    SimulatedFault(name="key_size", broken="the keys have `bits` bits", scopes=_VAULT, vault=lambda vault, options: vault.with_versions(options.key, options.version, size=options.bits)),
    SimulatedFault(name="key_type_ec", broken="the keys are EC keys", scopes=_VAULT, vault=change_versions(kty="EC")),
    SimulatedFault(name="key_type_oct_hsm", broken="the keys are symmetric HSM keys", scopes=_VAULT, vault=change_versions(kty="oct-HSM")),
    SimulatedFault(name="key_operation_removed", broken="key_ops lacks the `operation`", scopes=_VAULT, vault=remove_operation),
    # unusable responses about keys
    *_members("key", "key", "the key", _VAULT, _GET),
    *_members("kid", "key.kid", "the key's kid", _VAULT, _GET, unusable="keys/only"),
    *_members("kty", "key.kty", "the key's kty", _VAULT, _GET, unusable="R S A"),
    *_members("n", "key.n", "the key's modulus", _VAULT, _GET),
    *_members("e", "key.e", "the key's exponent", _VAULT, _GET),
    *_members("value", "value", "the value", _VAULT, _WRAPPINGS),
    SimulatedFault(name="wrapped_elsewhere", broken="the wrapped bytes belong to another version", scopes=_VAULT, steps=_WRAP,
          response=set_member("value", "A" * 340 + "AQ")),
    SimulatedFault(name="other_bytes", broken="the unwrapped bytes differ from the original", scopes=_VAULT, steps=_UNWRAP,
          response=set_member("value", "AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA")),
    # SQL Servers
    *(SimulatedFault(name=name, broken=broken, scopes=_SQL, sql=edit) for name, broken, edit in _SQL_FAULTS),
)  # fmt: skip

FAULTS: Mapping[str, SimulatedFault] = {fault.name: fault for fault in _TABLE}
