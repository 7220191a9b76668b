"""What goes wrong, and the number SQL Server would show for it: one literal table.

For: the demo, the tests and the documentation, which all read this table. Each row names a fault of the fault table, what
it is set on and at which step, and what a probe must make of it in both generations.
Not for: how a fault is caused (see `faulttable`), how the table looks on a page (see `page`), nor the rules of classification, which must agree without knowing it.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace

from exporter.core.faults import Reason
from exporter.core.model import Step
from exporter.simulator.faults import Fault, Options, Scope
from exporter.simulator.faulttable import FAULTS

_DEFAULT = Options()


@dataclass(frozen=True, slots=True)
class Scenario:
    """`step` is the first that fails; `classic` and `current` are its code on either generation of the connector."""

    name: str
    fault_name: str
    scope: Scope
    step: Step
    classic: int
    current: int
    reason: Reason
    story: str
    given: Options = _DEFAULT

    @property
    def fault(self) -> Fault:
        return FAULTS[self.fault_name]

    @property
    def options(self) -> Options:
        """What was given; a fault of the answer is kept to the scenario's step."""
        return replace(self.given, step=self.step) if self.fault.answer is not None else self.given


_V, _A, _E = Scope.VAULT, Scope.APPLICATION, Scope.AUTHORITY
_CHALLENGE, _TOKEN, _GET, _WRAP, _UNWRAP = Step
_R = Reason

SCENARIOS: tuple[Scenario, ...] = (
    # the name, the connection, TLS
    Scenario("vault_deleted", "unresolvable", _V, _CHALLENGE, 3900, 3900, _R.DNS_NOT_FOUND, "The vault was deleted and its name is gone."),
    Scenario("vault_refused", "refused", _V, _CHALLENGE, 3008, 3106, _R.CONNECT_REFUSED, "Something between answers for the vault and refuses."),
    Scenario("vault_tls_expired", "tls_expired", _V, _CHALLENGE, 3008, 3106, _R.TLS_EXPIRED, "The certificate ran out."),
    Scenario("vault_tls_not_yet_valid", "tls_not_yet_valid", _V, _CHALLENGE, 3008, 3106, _R.TLS_NOT_YET_VALID, "The host's clock is behind, or the certificate ahead."),
    Scenario("vault_tls_wrong_name", "tls_wrong_name", _V, _CHALLENGE, 3008, 3106, _R.TLS_WRONG_NAME, "A private DNS zone points to another service."),
    Scenario("vault_tls_untrusted", "tls_untrusted", _V, _CHALLENGE, 3008, 3106, _R.TLS_UNTRUSTED, "A proxy opens TLS and signs with an authority of its own."),
    Scenario("vault_tls_alert", "tls_alert", _V, _CHALLENGE, 3008, 3106, _R.TLS_FAILED, "The two ends agree on no handshake."),
    Scenario("vault_tls_reset", "tls_reset", _V, _CHALLENGE, 3008, 3106, _R.TLS_RESET, "A firewall reads the name in the handshake and cuts."),
    Scenario("vault_tls_silent", "tls_silent", _V, _CHALLENGE, 3008, 3106, _R.TLS_TIMEOUT, "A firewall accepts the connection and drops what follows."),
    Scenario("vault_plain_http", "plain_http", _V, _CHALLENGE, 3008, 3106, _R.TLS_NOT_TLS, "A captive portal answers in plain HTTP."),
    Scenario("entra_deleted", "unresolvable", _E, _TOKEN, 3900, 3900, _R.DNS_NOT_FOUND, "The sign-in host does not resolve from here."),
    Scenario("entra_refused", "refused", _E, _TOKEN, 3008, 3106, _R.CONNECT_REFUSED, "The firewall lets the vault through and forgot the sign-in host."),
    Scenario("entra_tls_untrusted", "tls_untrusted", _E, _TOKEN, 3008, 3106, _R.TLS_UNTRUSTED, "A proxy opens TLS to the sign-in host."),
    # the exchange
    Scenario("vault_reset", "reset", _V, _CHALLENGE, 3008, 3106, _R.CONNECTION_RESET, "The connection is torn down after the request."),
    Scenario("vault_closed", "closed", _V, _CHALLENGE, 3008, 3106, _R.CONNECTION_CLOSED, "The connection is closed without a word."),
    Scenario("vault_silent", "silent", _V, _CHALLENGE, 3008, 3106, _R.READ_TIMEOUT, "The request is swallowed."),
    Scenario("vault_endless_header", "endless_header", _V, _GET, 3008, 3106, _R.READ_TIMEOUT, "The header of the answer never ends."),
    Scenario("vault_garbage", "garbage", _V, _CHALLENGE, 3008, 3106, _R.NOT_HTTP, "Something answers that speaks no HTTP."),
    Scenario("vault_redirected", "redirected", _V, _CHALLENGE, 3001, 3001, _R.REDIRECT, "A portal redirects to its page."),
    Scenario("key_redirected", "redirected", _V, _GET, 3001, 3001, _R.REDIRECT, "A portal redirects once it is asked for data."),
    Scenario("key_truncated", "truncated", _V, _GET, 3019, 3119, _R.BODY_TRUNCATED, "The answer breaks off."),
    Scenario("key_trickling", "trickling", _V, _GET, 3019, 3119, _R.BODY_TIMEOUT, "The answer comes too slowly to be of use."),
    Scenario("key_huge", "huge", _V, _GET, 3019, 3119, _R.BODY_TOO_LARGE, "The answer is larger than any key."),
    Scenario("key_silent", "silent", _V, _GET, 3008, 3106, _R.READ_TIMEOUT, "The vault asks for a token, then says no more."),
    Scenario("wrap_reset", "reset", _V, _WRAP, 3008, 3106, _R.CONNECTION_RESET, "The connection is torn down at the wrap."),
    Scenario("unwrap_closed", "closed", _V, _UNWRAP, 3008, 3106, _R.CONNECTION_CLOSED, "The connection is closed at the unwrap."),
    Scenario("unwrap_truncated", "truncated", _V, _UNWRAP, 3019, 3119, _R.BODY_TRUNCATED, "The unwrapped key breaks off."),
    Scenario("token_silent", "silent", _A, _TOKEN, 3008, 3106, _R.READ_TIMEOUT, "The sign-in service swallows the request."),
    Scenario("token_reset", "reset", _A, _TOKEN, 3008, 3106, _R.CONNECTION_RESET, "The connection to the sign-in service is torn down."),
    Scenario("token_truncated", "truncated", _A, _TOKEN, 3019, 3119, _R.BODY_TRUNCATED, "The token breaks off."),
    Scenario("token_redirected", "redirected", _A, _TOKEN, 3001, 3001, _R.REDIRECT, "A portal redirects the sign-in."),
    # the challenge
    Scenario("no_challenge", "no_challenge", _V, _CHALLENGE, 3001, 3001, _R.NO_CHALLENGE, "Something answers without asking who is there."),
    Scenario("challenge_absent", "challenge_absent", _V, _CHALLENGE, 3017, 3117, _R.CHALLENGE_ABSENT, "A gateway strips the header that says where to sign in."),
    Scenario("challenge_other_parameter", "challenge_other_parameter", _V, _CHALLENGE, 3201, 3201, _R.CHALLENGE_MALFORMED, "The header says authorization_uri."),
    Scenario("challenge_http", "challenge_http", _V, _CHALLENGE, 3201, 3201, _R.CHALLENGE_MALFORMED, "The header names an authority without TLS."),
    Scenario("challenge_open_authorization", "challenge_open_authorization", _V, _CHALLENGE, 3202, 3202, _R.CHALLENGE_MALFORMED, "The header's first quote is never closed."),
    Scenario("challenge_no_tenant", "challenge_no_tenant", _V, _CHALLENGE, 3203, 3203, _R.CHALLENGE_MALFORMED, "The header names no tenant."),
    Scenario("challenge_no_resource", "challenge_no_resource", _V, _CHALLENGE, 3206, 3206, _R.CHALLENGE_MALFORMED, "The header names no resource."),
    Scenario("challenge_open_resource", "challenge_open_resource", _V, _CHALLENGE, 3207, 3207, _R.CHALLENGE_MALFORMED, "The header's last quote is missing."),
    Scenario("foreign_authority", "foreign_authority", _V, _CHALLENGE, 3001, 3001, _R.AUTHORITY_UNTRUSTED, "Somebody would like to be told the secret."),
    Scenario("foreign_resource", "foreign_resource", _V, _CHALLENGE, 3001, 3001, _R.RESOURCE_MISMATCH, "Somebody would like a token for another service."),
    Scenario("challenge_forbidden", "status", _V, _CHALLENGE, 3077, 3113, _R.FORBIDDEN, "A gateway refuses before the vault is asked.", Options(status=403)),
    Scenario("challenge_not_found", "status", _V, _CHALLENGE, 3076, 3112, _R.NOT_FOUND, "A gateway knows no such host.", Options(status=404)),
    Scenario("challenge_throttled", "status", _V, _CHALLENGE, 3011, 3109, _R.THROTTLED, "Too many, even for the first question.", Options(status=429)),
    Scenario("challenge_teapot", "status", _V, _CHALLENGE, 3012, 3110, _R.CLIENT_ERROR, "A gateway answers with a status of its own.", Options(status=418)),
    Scenario("challenge_unavailable", "html_unavailable", _V, _CHALLENGE, 3013, 3111, _R.SERVER_ERROR, "A gateway shows its page of excuses."),
    # Entra
    Scenario("secret_expired", "secret_expired", _A, _TOKEN, 3303, 3303, _R.SECRET_EXPIRED, "The client secret reached its date and nobody had renewed it."),
    Scenario("secret_wrong", "secret_wrong", _A, _TOKEN, 3303, 3303, _R.SECRET_WRONG, "The secret was rolled in Entra and not in SQL Server."),
    Scenario("certificate_unknown", "certificate_unknown", _A, _TOKEN, 3303, 3303, _R.CERTIFICATE_UNKNOWN, "The certificate was never registered."),
    Scenario("clock_skew", "assertion_outside_validity", _A, _TOKEN, 3303, 3303, _R.CLOCK_SKEW, "The host's clock is minutes off."),
    Scenario("application_unknown", "application_unknown", _A, _TOKEN, 3128, 3128, _R.APPLICATION_UNKNOWN, "The application was deleted."),
    Scenario("application_disabled", "application_disabled", _A, _TOKEN, 3128, 3128, _R.APPLICATION_DISABLED, "The application was switched off."),
    Scenario("tenant_unknown", "tenant_unknown", _A, _TOKEN, 3128, 3128, _R.TENANT_UNKNOWN, "The tenant does not exist."),
    Scenario("tenant_malformed", "tenant_malformed", _A, _TOKEN, 3128, 3128, _R.TENANT_UNKNOWN, "The tenant is misspelt."),
    Scenario("resource_principal_missing", "resource_principal_missing", _A, _TOKEN, 3128, 3128, _R.RESOURCE_PRINCIPAL_MISSING, "The tenant never used Key Vault."),
    Scenario("conditional_access", "conditional_access", _A, _TOKEN, 3128, 3128, _R.CONDITIONAL_ACCESS, "A policy admits other addresses only."),
    Scenario("wrong_cloud", "wrong_cloud", _A, _TOKEN, 3128, 3128, _R.WRONG_CLOUD, "The sign-in host is another cloud's."),
    Scenario("entra_throttled", "entra_throttled", _A, _TOKEN, 3011, 3109, _R.THROTTLED, "The tenant makes too many requests."),
    Scenario("entra_unavailable", "entra_unavailable", _A, _TOKEN, 3013, 3111, _R.ENTRA_UNAVAILABLE, "The sign-in service is out."),
    Scenario("entra_internal", "entra_internal", _A, _TOKEN, 3013, 3111, _R.ENTRA_UNAVAILABLE, "The sign-in service fails."),
    Scenario("portal_at_sign_in", "html", _A, _TOKEN, 3307, 3307, _R.ANSWER_NOT_JSON, "A captive portal answers the sign-in with its page."),
    Scenario("portal_unavailable", "html_unavailable", _A, _TOKEN, 3013, 3111, _R.ENTRA_UNAVAILABLE, "A proxy answers the sign-in with a page of excuses."),
    Scenario("token_not_json", "not_json", _A, _TOKEN, 3307, 3307, _R.ANSWER_NOT_JSON, "The token answer is cut JSON."),
    Scenario("token_list", "json_list", _A, _TOKEN, 3307, 3307, _R.ANSWER_NOT_JSON, "The token answer is a list."),
    Scenario("token_missing", "token_missing", _A, _TOKEN, 3306, 3306, _R.ANSWER_INCOMPLETE, "The token answer holds no token."),
    Scenario("token_unusable", "token_unusable", _A, _TOKEN, 3308, 3308, _R.ANSWER_MALFORMED, "The token cannot be sent in a header."),
    # the vault refuses
    Scenario("token_rejected", "vault_token_unknown", _V, _GET, 3010, 3108, _R.TOKEN_REJECTED, "The vault does not take the token."),
    Scenario("token_signature", "vault_token_signature", _V, _GET, 3010, 3108, _R.TOKEN_REJECTED, "The vault cannot check tokens for the moment."),
    Scenario("token_wrong_audience", "vault_token_audience", _V, _GET, 3305, 3305, _R.TOKEN_WRONG_AUDIENCE, "The token is for another service."),
    Scenario("token_wrong_issuer", "vault_token_issuer", _V, _GET, 3305, 3305, _R.TOKEN_WRONG_ISSUER, "The token is of another tenant than the vault."),
    Scenario("get_forbidden", "permission_removed", _V, _GET, 3077, 3113, _R.FORBIDDEN_POLICY, "The access policy lost get.", Options(operation="get")),
    Scenario("wrap_forbidden", "permission_removed", _V, _WRAP, 3077, 3113, _R.FORBIDDEN_POLICY, "The access policy lost wrapKey.", Options(operation="wrapKey")),
    Scenario("unwrap_forbidden", "permission_removed", _V, _UNWRAP, 3077, 3113, _R.FORBIDDEN_POLICY, "The access policy lost unwrapKey: the next restart leaves databases closed."),
    Scenario("role_removed", "role_removed", _V, _GET, 3077, 3113, _R.FORBIDDEN_RBAC, "The role assignment was cleaned up.", Options(operation="get")),
    Scenario("unwrap_role_removed", "role_removed", _V, _UNWRAP, 3077, 3113, _R.FORBIDDEN_RBAC, "The role was narrowed."),
    Scenario("firewall", "firewall", _V, _GET, 3077, 3113, _R.FORBIDDEN_FIREWALL, "The vault's firewall forgot this address."),
    Scenario("private_only", "private_only", _V, _GET, 3077, 3113, _R.FORBIDDEN_CONNECTION, "Public access was switched off and the private endpoint is not used."),
    Scenario("forbidden", "vault_forbidden", _V, _GET, 3077, 3113, _R.FORBIDDEN, "Refused without a reason."),
    Scenario("bad_parameter", "vault_bad_parameter", _V, _GET, 3012, 3110, _R.BAD_REQUEST, "The vault does not understand the request."),
    Scenario("conflict", "vault_conflict", _V, _GET, 3012, 3110, _R.CONFLICT, "Somebody else is changing the key."),
    Scenario("throttled", "throttled", _V, _GET, 3011, 3109, _R.THROTTLED, "The vault has had enough, and does not say until when."),
    Scenario("throttled_retry_after", "throttled", _V, _GET, 3011, 3109, _R.THROTTLED, "The vault has had enough, and says until when.", Options(retry_after=7)),
    Scenario("wrap_throttled", "throttled", _V, _WRAP, 3011, 3109, _R.THROTTLED, "The limit is reached at the wrap."),
    Scenario("unwrap_throttled", "throttled", _V, _UNWRAP, 3011, 3109, _R.THROTTLED, "The limit is reached at the unwrap."),
    Scenario("vault_internal", "vault_internal", _V, _GET, 3013, 3111, _R.SERVER_ERROR, "The vault fails."),
    Scenario("vault_unavailable", "vault_unavailable", _V, _WRAP, 3013, 3111, _R.SERVER_ERROR, "The vault is out at the wrap."),
    Scenario("unwrap_gateway_timeout", "vault_gateway_timeout", _V, _UNWRAP, 3013, 3111, _R.SERVER_ERROR, "The vault times out at the unwrap."),
    # the key
    Scenario("key_soft_deleted", "key_soft_deleted", _V, _GET, 3076, 3112, _R.KEY_NOT_FOUND, "The key was deleted and can be recovered."),
    Scenario("key_purged", "key_purged", _V, _GET, 3076, 3112, _R.KEY_NOT_FOUND, "The key is gone."),
    Scenario("version_missing", "versions_replaced", _V, _GET, 3076, 3112, _R.KEY_NOT_FOUND, "The pinned version is gone, a newer one is there."),
    Scenario("key_disabled", "key_disabled", _V, _WRAP, 3077, 3113, _R.KEY_DISABLED, "The key version was switched off."),
    Scenario("key_expired", "key_expired", _V, _WRAP, 3077, 3113, _R.KEY_EXPIRED, "The key reached its date: databases still open, rotation fails."),
    Scenario("key_not_yet_valid", "key_not_yet_valid", _V, _WRAP, 3077, 3113, _R.KEY_NOT_YET_VALID, "The key is not valid yet."),
    Scenario("wrap_not_in_key_ops", "key_operation_removed", _V, _WRAP, 3077, 3113, _R.FORBIDDEN, "The key was made without wrapKey.", Options(operation="wrapKey")),
    Scenario("unwrap_not_in_key_ops", "key_operation_removed", _V, _UNWRAP, 3077, 3113, _R.FORBIDDEN, "The key was made without unwrapKey."),
    Scenario("key_4096_bits", "key_size", _V, _GET, 3, 3, _R.KEY_UNSUPPORTED, "The key is larger than the connector takes.", Options(bits=4096)),
    Scenario("key_ec", "key_type_ec", _V, _GET, 3, 3, _R.KEY_UNSUPPORTED, "The key is an EC key."),
    Scenario("key_oct_hsm", "key_type_oct_hsm", _V, _GET, 3, 3, _R.KEY_UNSUPPORTED, "The key is a symmetric HSM key."),
    # answers that cannot be read
    Scenario("key_empty", "empty", _V, _GET, 3403, 3403, _R.ANSWER_EMPTY, "The key answer is empty."),
    Scenario("key_not_json", "not_json", _V, _GET, 3404, 3404, _R.ANSWER_NOT_JSON, "The key answer is cut JSON."),
    Scenario("key_html", "html", _V, _GET, 3404, 3404, _R.ANSWER_NOT_JSON, "A page comes instead of the key."),
    Scenario("key_deep", "json_deep", _V, _GET, 3404, 3404, _R.ANSWER_NOT_JSON, "The key answer is nested beyond reason."),
    Scenario("key_not_utf8", "not_utf8", _V, _GET, 3404, 3404, _R.ANSWER_NOT_JSON, "The key answer is not UTF-8."),
    Scenario("key_broken_gzip", "broken_gzip", _V, _GET, 3404, 3404, _R.ANSWER_NOT_JSON, "The key answer is compressed, unasked, and broken."),
    Scenario("key_missing", "key_missing", _V, _GET, 3405, 3405, _R.ANSWER_INCOMPLETE, "The key answer holds no key."),
    Scenario("kid_missing", "kid_missing", _V, _GET, 3406, 3406, _R.ANSWER_INCOMPLETE, "The key has no id."),
    Scenario("kty_missing", "kty_missing", _V, _GET, 3407, 3407, _R.ANSWER_INCOMPLETE, "The key has no type."),
    Scenario("modulus_missing", "n_missing", _V, _GET, 3408, 3408, _R.ANSWER_INCOMPLETE, "The key has no modulus."),
    Scenario("modulus_unusable", "n_unusable", _V, _GET, 3409, 3409, _R.ANSWER_MALFORMED, "The modulus cannot be read."),
    Scenario("exponent_missing", "e_missing", _V, _GET, 3410, 3410, _R.ANSWER_INCOMPLETE, "The key has no exponent."),
    Scenario("exponent_unusable", "e_unusable", _V, _GET, 3411, 3411, _R.ANSWER_MALFORMED, "The exponent cannot be read."),
    Scenario("kid_unusable", "kid_unusable", _V, _GET, 3412, 3412, _R.ANSWER_MALFORMED, "The key's id is no address."),
    Scenario("wrap_unusable", "value_unusable", _V, _WRAP, 3606, 3606, _R.ANSWER_MALFORMED, "The wrapped bytes cannot be read."),
    Scenario("wrap_not_json", "not_json", _V, _WRAP, 3607, 3607, _R.ANSWER_NOT_JSON, "The wrap answer is cut JSON."),
    Scenario("wrap_missing", "value_missing", _V, _WRAP, 3608, 3608, _R.ANSWER_INCOMPLETE, "The wrap answer holds nothing."),
    Scenario("wrap_number", "value_number", _V, _WRAP, 3608, 3608, _R.ANSWER_INCOMPLETE, "The wrap answer holds a number."),
    Scenario("wrap_empty", "empty", _V, _WRAP, 3609, 3609, _R.ANSWER_EMPTY, "The wrap answer is empty."),
    Scenario("unwrap_unusable", "value_unusable", _V, _UNWRAP, 3706, 3706, _R.ANSWER_MALFORMED, "The unwrapped bytes cannot be read."),
    Scenario("unwrap_not_json", "not_json", _V, _UNWRAP, 3707, 3707, _R.ANSWER_NOT_JSON, "The unwrap answer is cut JSON."),
    Scenario("unwrap_missing", "value_missing", _V, _UNWRAP, 3708, 3708, _R.ANSWER_INCOMPLETE, "The unwrap answer holds nothing."),
    Scenario("unwrap_empty", "empty", _V, _UNWRAP, 3709, 3709, _R.ANSWER_EMPTY, "The unwrap answer is empty."),
    Scenario("unwrap_refused", "cannot_unwrap", _V, _UNWRAP, 3012, 3110, _R.BAD_REQUEST, "The bytes were wrapped under another version."),
    Scenario("other_bytes", "other_bytes", _V, _UNWRAP, 1, 1, _R.BYTES_DIFFER, "Other bytes come back than went in."),
)  # fmt: skip

BY_NAME: Mapping[str, Scenario] = {scenario.name: scenario for scenario in SCENARIOS}
