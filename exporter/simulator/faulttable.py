"""Every fault that can be set, as one literal table.

For: reading what can be broken and how, and adding to it.
Not for: mechanisms (see `faults`, `wire`, `front`), nor which code a fault leads to (see `scenarios`).
"""

from __future__ import annotations

import gzip
import re
from collections.abc import Callable, Iterator, Mapping
from dataclasses import replace
from typing import Any

from exporter.core.model import Step
from exporter.simulator.answer import Answer, Delivery
from exporter.simulator.errors import ENTRA_ERRORS, VAULT_ERRORS, entra_answer, vault_answer
from exporter.simulator.estate import Application, ClientSecret, Door, Key, KeyVersion, Vault
from exporter.simulator.faults import Connection, Fault, Options, Route, Scope

_VAULT = frozenset({Scope.VAULT})
_APPLICATION = frozenset({Scope.APPLICATION})
_TOKEN_SIDE = frozenset({Scope.TENANT, Scope.APPLICATION, Scope.AUTHORITY})
_HOSTS = frozenset({Scope.VAULT, Scope.AUTHORITY})
_ANYWHERE = frozenset(Scope)

_EVERY = frozenset(Step)
_WITH_TOKEN = frozenset({Step.GET_KEY, Step.WRAP_KEY, Step.UNWRAP_KEY})
_WRAPPINGS = frozenset({Step.WRAP_KEY, Step.UNWRAP_KEY})
_CHALLENGE = frozenset({Step.CHALLENGE})
_TOKEN = frozenset({Step.TOKEN})
_GET = frozenset({Step.GET_KEY})

Edit = Callable[[Answer, Options], Answer]


def _put(name: str, value: object) -> Edit:
    """Sets a member of the answer's document; `key.` before the name reaches into the key."""

    def edit(answer: Answer, _options: Options) -> Answer:
        document = answer.document()
        _holder(document, name)[name.removeprefix("key.")] = value
        return answer.with_document(document)

    return edit


def _drop(name: str) -> Edit:
    """Takes that member out."""

    def edit(answer: Answer, _options: Options) -> Answer:
        document = answer.document()
        _holder(document, name).pop(name.removeprefix("key."), None)
        return answer.with_document(document)

    return edit


def _holder(document: dict[str, Any], name: str) -> dict[str, Any]:
    holder: dict[str, Any] = document.get("key", {}) if name.startswith("key.") else document
    return holder


def _append(members: bytes) -> Edit:
    """Adds members as they are, which may be none that a JSON writer would make, or be there already."""
    return lambda answer, _: answer.with_body(answer.body.removesuffix(b"}") + b"," + members + b"}")


def _body(text: str, *, status: int | None = None, content_type: str = "application/json; charset=utf-8") -> Edit:
    return lambda answer, _: answer.with_body(text.encode(), status=status, content_type=content_type)


def _challenge(find: str, put: str) -> Edit:
    def edit(answer: Answer, _options: Options) -> Answer:
        return answer.with_header("WWW-Authenticate", answer.challenge.replace(find, put))

    return edit


def _refuse(make: Callable[[str], Answer], name: str) -> Edit:
    """Puts a refusal in place of the answer, keeping the service's own headers."""

    def edit(answer: Answer, options: Options) -> Answer:
        refusal = make(name)
        changed = replace(answer, status=refusal.status, body=refusal.body).with_header(
            "Content-Type", refusal.headers["Content-Type"]
        )
        return changed if options.retry_after is None else changed.with_header("Retry-After", str(options.retry_after))

    return edit


def _deliver(delivery: Delivery) -> Edit:
    return lambda answer, _: replace(answer, delivery=delivery)


def _any_status(answer: Answer, options: Options) -> Answer:
    changed = answer.with_body(options.body.encode(), status=options.status)
    return changed if options.retry_after is None else changed.with_header("Retry-After", str(options.retry_after))


def _each_key(change: Callable[[Key], Key]) -> Callable[[Vault, Options], Vault]:
    return lambda vault, _: replace(vault, keys={name: change(key) for name, key in vault.keys.items()})


def _rotated(key: Key) -> Key:
    newest = replace(key.versions[-1], version="f" * 31 + str(len(key.versions) % 10), material=key.versions[-1].material + 1)
    return replace(key, versions=(*key.versions, newest))


def _without_operation(vault: Vault, options: Options) -> Vault:
    return vault.with_versions(key_ops=tuple(name for name in KeyVersion(version="").key_ops if name != options.operation))


def _secrets(change: Callable[[ClientSecret], ClientSecret]) -> Callable[[Application, Options], Application]:
    return lambda application, _: replace(application, secrets=tuple(change(secret) for secret in application.secrets))


def _members(  # noqa: PLR0917 - a row of the table
    prefix: str, name: str, what: str, scopes: frozenset[Scope], steps: frozenset[Step], unusable: str = "*not Base64*"
) -> Iterator[Fault]:
    """What can be wrong with one member of an answer: `prefix`_missing, and so on."""
    kinds: tuple[tuple[str, str, Edit], ...] = (
        ("missing", "is missing", _drop(name)),
        ("null", "is null", _put(name, None)),
        ("number", "is a number", _put(name, 20)),
        ("list", "is a list", _put(name, ["a"])),
        ("blank", "is empty", _put(name, "")),
        ("nul", "begins with a NUL", _put(name, "\0AAAA")),
        ("unusable", "is no such thing", _put(name, unusable)),
        ("twice", "comes again as a number", _append(f'"{name}":20'.encode())),
    )
    for kind, words, edit in kinds:
        yield Fault(name=f"{prefix}_{kind}", broken=f"{what} {words}", scopes=scopes, steps=steps, answer=edit)


_HTML = "<html><head><title>Sign in to the guest network</title></head><body>Accept the terms to go on.</body></html>"
_MEGABYTES = " " * 10_000_000
_OTHER_SERVICE = "https://graph.microsoft.com"
_OTHER_TENANT = "0d9e7c5b-3a1f-4e8d-9c6b-7a5f3e1d0b2c"
_LONG_AGO, _NEVER = 946684800.0, float(2**31)  # Unix times

_TABLE: tuple[Fault, ...] = (
    # the route
    Fault(name="unresolvable", broken="the host name does not resolve", scopes=_HOSTS, route=Route.UNRESOLVABLE),
    Fault(name="refused", broken="the port refuses connections", scopes=_HOSTS, route=Route.REFUSED),
    # the connection
    Fault(name="tls_expired", broken="the certificate is expired", scopes=_HOSTS, connection=Connection.EXPIRED),
    Fault(name="tls_not_yet_valid", broken="the certificate is not yet valid", scopes=_HOSTS, connection=Connection.NOT_YET_VALID),
    Fault(name="tls_wrong_name", broken="the certificate is another host's", scopes=_HOSTS, connection=Connection.WRONG_NAME),
    Fault(name="tls_untrusted", broken="nobody trusts the certificate's issuer", scopes=_HOSTS, connection=Connection.UNTRUSTED),
    Fault(name="tls_alert", broken="the handshake is refused", scopes=_HOSTS, connection=Connection.REFUSED_HANDSHAKE),
    Fault(name="tls_reset", broken="the connection is reset in the handshake", scopes=_HOSTS, connection=Connection.RESET),
    Fault(name="tls_closed", broken="the connection ends in the handshake", scopes=_HOSTS, connection=Connection.CLOSED),
    Fault(name="tls_silent", broken="the connection is accepted, then silence", scopes=_HOSTS, connection=Connection.SILENT),
    Fault(name="plain_http", broken="plain HTTP is spoken on the TLS port", scopes=_HOSTS, connection=Connection.PLAIN_HTTP),
    # the exchange
    Fault(name="reset", broken="the connection is reset after the request", scopes=_ANYWHERE, steps=_EVERY, answer=_deliver(Delivery.RESET)),
    Fault(name="closed", broken="the connection ends without an answer", scopes=_ANYWHERE, steps=_EVERY, answer=_deliver(Delivery.CLOSED)),
    Fault(name="silent", broken="no answer comes", scopes=_ANYWHERE, steps=_EVERY, answer=_deliver(Delivery.SILENT)),
    Fault(name="endless_header", broken="the header never ends", scopes=_ANYWHERE, steps=_EVERY, answer=_deliver(Delivery.ENDLESS_HEADER)),
    Fault(name="garbage", broken="the answer is no HTTP", scopes=_ANYWHERE, steps=_EVERY, answer=_deliver(Delivery.GARBAGE)),
    Fault(name="truncated", broken="the body is cut short", scopes=_ANYWHERE, steps=_EVERY, answer=_deliver(Delivery.TRUNCATED)),
    Fault(name="trickling", broken="the body comes a byte at a time", scopes=_ANYWHERE, steps=_EVERY, answer=_deliver(Delivery.TRICKLING)),
    Fault(name="informational", broken="a 103 comes before the answer", scopes=_ANYWHERE, steps=_EVERY, answer=_deliver(Delivery.INFORMATIONAL)),
    Fault(name="delayed", broken="the answer comes late", scopes=_ANYWHERE, steps=_EVERY, answer=lambda a, o: replace(a, delay=o.seconds)),
    Fault(name="redirected", broken="the answer is a redirect", scopes=_ANYWHERE, steps=_EVERY,
          answer=lambda a, _: a.with_body(b"", status=302).with_header("Location", "https://elsewhere.invalid/")),
    Fault(name="status", broken="any status with any body", scopes=_ANYWHERE, steps=_EVERY, answer=_any_status),
    Fault(name="html", broken="a page comes instead of JSON", scopes=_ANYWHERE, steps=_EVERY, answer=_body(_HTML, status=200, content_type="text/html")),
    Fault(name="html_unavailable", broken="a page with 503", scopes=_ANYWHERE, steps=_EVERY, answer=_body(_HTML, status=503, content_type="text/html")),
    Fault(name="empty", broken="the body is empty", scopes=_ANYWHERE, steps=_EVERY, answer=_body("")),
    Fault(name="not_json", broken="the body is cut JSON", scopes=_ANYWHERE, steps=_EVERY, answer=_body('{"key":{"kid":')),
    Fault(name="json_list", broken="the body is a JSON list", scopes=_ANYWHERE, steps=_EVERY, answer=_body("[1,2,3]")),
    Fault(name="whitespace", broken="the body is blanks", scopes=_ANYWHERE, steps=_EVERY, answer=_body(" \r\n")),
    Fault(name="json_text", broken="the body is a JSON text", scopes=_ANYWHERE, steps=_EVERY, answer=_body('"value"')),
    Fault(name="json_number", broken="the body is a JSON number", scopes=_ANYWHERE, steps=_EVERY, answer=_body("429")),
    Fault(name="json_null", broken="the body is JSON's null", scopes=_ANYWHERE, steps=_EVERY, answer=_body("null")),
    Fault(name="json_pair", broken="the body is the answer twice over", scopes=_ANYWHERE, steps=_EVERY, answer=lambda a, _: a.with_body(a.body * 2)),
    Fault(name="json_deep", broken="the body is JSON nested 100,000 deep", scopes=_ANYWHERE, steps=_EVERY, answer=_body("[" * 100_000)),
    Fault(name="json_huge_number", broken="a number in the body has 100,000 digits", scopes=_ANYWHERE, steps=_EVERY, answer=_append(b'"more":' + b"9" * 100_000)),
    Fault(name="nul_bytes", broken="a text in the body holds NUL bytes", scopes=_ANYWHERE, steps=_EVERY, answer=_append(b'"more":"\x00\x00"')),
    Fault(name="not_utf8", broken="a text in the body is not UTF-8", scopes=_ANYWHERE, steps=_EVERY, answer=_append(b'"more":"\xff\xfe"')),
    Fault(name="huge", broken="the body has ten million bytes", scopes=_ANYWHERE, steps=_EVERY, answer=_body(_MEGABYTES)),
    Fault(name="broken_gzip", broken="the body is compressed and cut short", scopes=_ANYWHERE, steps=_EVERY,
          answer=lambda a, _: replace(a, body=gzip.compress(a.body)[:-12]).with_header("Content-Encoding", "gzip")),
    # the challenge
    Fault(name="no_challenge", broken="200 without a token", scopes=_VAULT, steps=_CHALLENGE,
          answer=lambda a, _: a.with_header("WWW-Authenticate", None).with_body(b'{"value":[]}', status=200)),
    Fault(name="challenge_absent", broken="the 401 names nobody to ask", scopes=_VAULT, steps=_CHALLENGE,
          answer=lambda a, _: a.with_header("WWW-Authenticate", None)),
    Fault(name="challenge_empty", broken="the challenge is empty", scopes=_VAULT, steps=_CHALLENGE,
          answer=lambda a, _: a.with_header("WWW-Authenticate", "")),
    Fault(name="challenge_basic", broken="the challenge is for a password", scopes=_VAULT, steps=_CHALLENGE,
          answer=lambda a, _: a.with_header("WWW-Authenticate", 'Basic realm="vault"')),
    Fault(name="challenge_swapped", broken="the challenge names the resource first", scopes=_VAULT, steps=_CHALLENGE,
          answer=lambda a, _: a.with_header("WWW-Authenticate", "Bearer " + ", ".join(reversed(a.challenge.removeprefix("Bearer ").split(", "))))),
    Fault(name="challenge_no_host", broken="the challenge names no host", scopes=_VAULT, steps=_CHALLENGE,
          answer=lambda a, _: a.with_header("WWW-Authenticate", re.sub("https://[^/]*", "https://", a.challenge, count=1))),
    Fault(name="challenge_other_parameter", broken="the challenge says authorization_uri", scopes=_VAULT, steps=_CHALLENGE,
          answer=_challenge("authorization=", "authorization_uri=")),
    Fault(name="challenge_http", broken="the challenge's authority is http", scopes=_VAULT, steps=_CHALLENGE, answer=_challenge("https://", "http://")),
    Fault(name="challenge_open_authorization", broken="the challenge's first quote is never closed", scopes=_VAULT, steps=_CHALLENGE,
          answer=lambda a, _: a.with_header("WWW-Authenticate", a.challenge.partition('",')[0])),
    Fault(name="challenge_no_tenant", broken="the challenge names no tenant", scopes=_VAULT, steps=_CHALLENGE,
          answer=lambda a, _: a.with_header("WWW-Authenticate", 'Bearer authorization="https://login.microsoftonline.com", resource="https://vault.azure.net"')),
    Fault(name="challenge_no_resource", broken="the challenge names no resource", scopes=_VAULT, steps=_CHALLENGE,
          answer=_challenge("resource=", "audience=")),
    Fault(name="challenge_open_resource", broken="the challenge's last quote is missing", scopes=_VAULT, steps=_CHALLENGE,
          answer=lambda a, _: a.with_header("WWW-Authenticate", a.challenge.removesuffix('"'))),
    Fault(name="foreign_authority", broken="the challenge names an authority that is not Entra", scopes=_VAULT, steps=_CHALLENGE,
          answer=_challenge("login.", "login-")),
    Fault(name="foreign_resource", broken="the challenge names a resource that is not the vault's", scopes=_VAULT, steps=_CHALLENGE,
          answer=lambda a, _: a.with_header("WWW-Authenticate", a.challenge.partition('resource="')[0] + 'resource="https://graph.microsoft.com"')),
    # Entra: its refusals, and answers that are no tokens
    *(
        Fault(name=name, broken=f"Entra says AADSTS{error.aadsts}: {error.sentence}", scopes=_TOKEN_SIDE, steps=_TOKEN,
              answer=_refuse(entra_answer, name))
        for name, error in ENTRA_ERRORS.items() if name not in ("secret_wrong", "secret_expired")
    ),
    Fault(name="secret_wrong", broken="the application has another secret", scopes=_APPLICATION,
          application=_secrets(lambda secret: replace(secret, value=secret.value + "-replaced"))),
    Fault(name="secret_expired", broken="the application's secret has expired", scopes=_APPLICATION,
          application=_secrets(lambda secret: replace(secret, expires=_LONG_AGO))),
    Fault(name="token_for_other_service", broken="Entra gives tokens for another audience", scopes=_APPLICATION,
          application=lambda application, _: replace(application, token_audience=_OTHER_SERVICE)),
    Fault(name="token_of_other_tenant", broken="Entra gives tokens of another tenant", scopes=_APPLICATION,
          application=lambda application, _: replace(application, token_tenant=_OTHER_TENANT)),
    Fault(name="token_ended", broken="Entra gives tokens that have ended", scopes=_APPLICATION,
          application=lambda application, _: replace(application, token_lifetime=0)),
    Fault(name="certificates_removed", broken="the application's certificates are taken away", scopes=_APPLICATION,
          application=lambda application, _: replace(application, certificates=())),
    *_members("token", "access_token", "the access_token", _TOKEN_SIDE, _TOKEN, unusable="not a\ntoken"),
    # the vault: refusals that do not depend on anything
    *(
        Fault(name=f"vault_{name}", broken=f"the vault says {error.status} {error.inner or error.code}", scopes=_VAULT, steps=_WITH_TOKEN,
              answer=_refuse(vault_answer, name))
        for name, error in VAULT_ERRORS.items()
    ),
    Fault(name="throttled", broken="every request with a token is one too many", scopes=_VAULT, steps=_WITH_TOKEN, answer=_refuse(vault_answer, "throttled")),
    # the vault: its state
    Fault(name="permission_removed", broken="a permission is taken away (operation: get, wrapKey, unwrapKey, list)", scopes=_VAULT,
          vault=lambda vault, options: vault.without(options.operation)),
    Fault(name="role_removed", broken="a role assignment is taken away (operation as above)", scopes=_VAULT,
          vault=lambda vault, options: replace(vault.without(options.operation), rbac=True)),
    Fault(name="firewall", broken="the vault's firewall does not know the address", scopes=_VAULT, vault=lambda vault, _: replace(vault, door=Door.FIREWALL)),
    Fault(name="private_only", broken="public network access is off", scopes=_VAULT, vault=lambda vault, _: replace(vault, door=Door.PRIVATE_ONLY)),
    Fault(name="limited", broken="the vault takes no more than `limit` requests per ten seconds", scopes=_VAULT,
          vault=lambda vault, options: replace(vault, limit=options.limit)),
    Fault(name="slow", broken="every answer takes `seconds`", scopes=_VAULT, vault=lambda vault, options: replace(vault, latency=options.seconds)),
    Fault(name="vault_in_other_tenant", broken="the vault belongs to another tenant", scopes=_VAULT,
          vault=lambda vault, _: replace(vault, tenant_id=_OTHER_TENANT)),
    Fault(name="moved", broken="the vault failed over to another region", scopes=_VAULT, vault=lambda vault, _: replace(vault, region="northeurope")),
    # keys
    Fault(name="key_disabled", broken="the key's versions are disabled", scopes=_VAULT, vault=lambda vault, _: vault.with_versions(enabled=False)),
    Fault(name="key_expired", broken="the key is past its date", scopes=_VAULT, vault=lambda vault, _: vault.with_versions(exp=_LONG_AGO)),
    Fault(name="key_not_yet_valid", broken="the key is before its date", scopes=_VAULT, vault=lambda vault, _: vault.with_versions(nbf=_NEVER)),
    # the same, where the vault gives no reason
    Fault(name="key_disabled_unsaid", broken="the key is disabled, and the refusal does not say so", scopes=_VAULT, steps=_WRAPPINGS,
          vault=lambda vault, _: vault.with_versions(enabled=False), answer=_refuse(vault_answer, "forbidden_policy")),
    Fault(name="key_expired_unsaid", broken="the key is past its date, and the refusal does not say so", scopes=_VAULT, steps=_WRAPPINGS,
          vault=lambda vault, _: vault.with_versions(exp=_LONG_AGO), answer=_refuse(vault_answer, "forbidden_policy")),
    Fault(name="key_not_yet_valid_unsaid", broken="the key is before its date, and the refusal does not say so", scopes=_VAULT, steps=_WRAPPINGS,
          vault=lambda vault, _: vault.with_versions(nbf=_NEVER), answer=_refuse(vault_answer, "forbidden_policy")),
    Fault(name="key_soft_deleted", broken="the keys are deleted and can be recovered", scopes=_VAULT, vault=_each_key(lambda key: replace(key, deleted=True))),
    Fault(name="key_purged", broken="the keys are gone for good", scopes=_VAULT, vault=lambda vault, _: replace(vault, keys={})),
    Fault(name="versions_replaced", broken="only a newer version of each key is left", scopes=_VAULT,
          vault=_each_key(lambda key: replace(key, versions=_rotated(key).versions[-1:]))),
    Fault(name="key_rotated", broken="each key has a newer version", scopes=_VAULT, vault=_each_key(_rotated)),
    Fault(name="cannot_unwrap", broken="what was wrapped no longer unwraps", scopes=_VAULT, steps=frozenset({Step.UNWRAP_KEY}),
          answer=_refuse(vault_answer, "bad_parameter")),
    Fault(name="key_size", broken="the keys have `bits` bits", scopes=_VAULT, vault=lambda vault, options: vault.with_versions(size=options.bits)),
    Fault(name="key_type_ec", broken="the keys are EC keys", scopes=_VAULT, vault=lambda vault, _: vault.with_versions(kty="EC")),
    Fault(name="key_type_oct_hsm", broken="the keys are symmetric HSM keys", scopes=_VAULT, vault=lambda vault, _: vault.with_versions(kty="oct-HSM")),
    Fault(name="key_operation_removed", broken="key_ops lacks the `operation`", scopes=_VAULT, vault=_without_operation),
    # answers about keys that cannot be used
    *_members("key", "key", "the key", _VAULT, _GET),
    *_members("kid", "key.kid", "the key's kid", _VAULT, _GET, unusable="keys/only"),
    *_members("kty", "key.kty", "the key's kty", _VAULT, _GET, unusable="R S A"),
    *_members("n", "key.n", "the key's modulus", _VAULT, _GET),
    *_members("e", "key.e", "the key's exponent", _VAULT, _GET),
    *_members("value", "value", "the value", _VAULT, _WRAPPINGS),
    Fault(name="wrapped_elsewhere", broken="what was wrapped comes from another version", scopes=_VAULT, steps=frozenset({Step.WRAP_KEY}),
          answer=_put("value", "A" * 340 + "AQ")),
    Fault(name="other_bytes", broken="other bytes come back than were wrapped", scopes=_VAULT, steps=frozenset({Step.UNWRAP_KEY}),
          answer=_put("value", "AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA")),
)  # fmt: skip

FAULTS: Mapping[str, Fault] = {fault.name: fault for fault in _TABLE}
