"""Scenarios of the challenge and of Entra's refusals.

Unreadable responses are in `unusable_bodies`, unusable credential files in `exporter_side`.
"""

from __future__ import annotations

from exporter.core.model import Step
from exporter.core.reasons import Reason
from exporter.simulator.faults import FaultScope, Options
from exporter.simulator.scenarios.model import Scenario

_V, _A = FaultScope.VAULT, FaultScope.APPLICATION
_CHALLENGE, _TOKEN = Step.CHALLENGE, Step.TOKEN
_R = Reason

SIGN_IN: tuple[Scenario, ...] = (
    # the challenge
    Scenario("no_challenge", "no_challenge", _V, _CHALLENGE, 3001, 3001, _R.NO_CHALLENGE, "Another service answers without authentication."),
    Scenario("challenge_absent", "challenge_absent", _V, _CHALLENGE, 3017, 3117, _R.CHALLENGE_ABSENT, "A gateway removes the header that names the sign-in host."),
    Scenario("challenge_other_parameter", "challenge_other_parameter", _V, _CHALLENGE, 3201, 3201, _R.CHALLENGE_MALFORMED, "The header has authorization_uri instead of authorization."),
    Scenario("challenge_empty", "challenge_empty", _V, _CHALLENGE, 3017, 3117, _R.CHALLENGE_ABSENT, "The header that names the sign-in host is empty."),
    Scenario("challenge_basic", "challenge_basic", _V, _CHALLENGE, 3201, 3201, _R.CHALLENGE_MALFORMED, "A proxy in the vault's place requires a password."),
    Scenario("challenge_swapped", "challenge_swapped", _V, _CHALLENGE, 3201, 3201, _R.CHALLENGE_MALFORMED, "The header names the resource first."),
    Scenario("challenge_http", "challenge_http", _V, _CHALLENGE, 3201, 3201, _R.CHALLENGE_MALFORMED, "The header names an authority without TLS."),
    Scenario("challenge_open_authorization", "challenge_open_authorization", _V, _CHALLENGE, 3202, 3202, _R.CHALLENGE_MALFORMED, "The header's first quote is never closed."),
    Scenario("challenge_no_tenant", "challenge_no_tenant", _V, _CHALLENGE, 3203, 3203, _R.CHALLENGE_MALFORMED, "The header names no tenant."),
    Scenario("challenge_no_host", "challenge_no_host", _V, _CHALLENGE, 3203, 3203, _R.CHALLENGE_MALFORMED, "The header names no host."),
    Scenario("challenge_no_resource", "challenge_no_resource", _V, _CHALLENGE, 3206, 3206, _R.CHALLENGE_MALFORMED, "The header names no resource."),
    Scenario("challenge_open_resource", "challenge_open_resource", _V, _CHALLENGE, 3207, 3207, _R.CHALLENGE_MALFORMED, "The header's last quote is missing."),
    Scenario("foreign_authority", "foreign_authority", _V, _CHALLENGE, 3001, 3001, _R.AUTHORITY_UNTRUSTED, "An attacker tries to obtain the secret."),
    Scenario("foreign_resource", "foreign_resource", _V, _CHALLENGE, 3001, 3001, _R.RESOURCE_MISMATCH, "An attacker tries to obtain a token for another service."),
    Scenario("challenge_forbidden", "status", _V, _CHALLENGE, 3077, 3113, _R.FORBIDDEN, "A gateway refuses the request before the vault.", Options(status=403)),
    Scenario("challenge_not_found", "status", _V, _CHALLENGE, 3076, 3112, _R.NOT_FOUND, "A gateway does not serve this host.", Options(status=404)),
    Scenario("challenge_throttled", "status", _V, _CHALLENGE, 3011, 3109, _R.THROTTLED, "A gateway throttles the first request.", Options(status=429)),
    Scenario("challenge_bad_request", "status", _V, _CHALLENGE, 3012, 3110, _R.BAD_REQUEST, "Another service rejects the request as malformed.", Options(status=400)),
    Scenario("challenge_conflict", "status", _V, _CHALLENGE, 3012, 3110, _R.CONFLICT, "Another service returns 409 for the first request.", Options(status=409)),
    Scenario("challenge_teapot", "status", _V, _CHALLENGE, 3012, 3110, _R.CLIENT_ERROR, "A gateway returns its own status.", Options(status=418)),
    Scenario("challenge_unavailable", "html_unavailable", _V, _CHALLENGE, 3013, 3111, _R.SERVER_ERROR, "A gateway returns its error page."),
    # Entra
    Scenario("secret_expired", "secret_expired", _A, _TOKEN, 3303, 3303, _R.SECRET_EXPIRED, "The client secret expired and was not renewed."),
    Scenario("secret_wrong", "secret_wrong", _A, _TOKEN, 3303, 3303, _R.SECRET_WRONG, "The secret was changed in Entra but not in SQL Server."),
    Scenario("certificate_unknown", "certificate_unknown", _A, _TOKEN, 3303, 3303, _R.CERTIFICATE_UNKNOWN, "The certificate was never registered."),
    Scenario("federation_issuer", "federation_issuer", _A, _TOKEN, 3303, 3303, _R.FEDERATION_UNMATCHED, "The pod's cluster was rebuilt, and its tokens have another issuer."),
    Scenario("federation_subject", "federation_subject", _A, _TOKEN, 3303, 3303, _R.FEDERATION_UNMATCHED, "The pod runs under another service account."),
    Scenario("clock_skew", "assertion_outside_validity", _A, _TOKEN, 3303, 3303, _R.CLOCK_SKEW, "The host's clock is wrong by minutes."),
    Scenario("certificate_refused", "certificate_refused", _A, _TOKEN, 3303, 3303, _R.CERTIFICATE_UNKNOWN, "The certificate's issuer is not allowed."),
    Scenario("certificate_expired", "certificate_expired", _A, _TOKEN, 3303, 3303, _R.CERTIFICATE_EXPIRED, "The certificate has expired."),
    Scenario("certificate_key_expired", "certificate_key_expired", _A, _TOKEN, 3303, 3303, _R.CERTIFICATE_EXPIRED, "The certificate has expired, and only the sentence names it."),
    Scenario("certificate_revoked", "certificate_revoked", _A, _TOKEN, 3303, 3303, _R.CERTIFICATE_REFUSED, "The certificate was revoked."),
    Scenario("federation_unreachable", "federation_unreachable", _A, _TOKEN, 3128, 3128, _R.FEDERATION_UNREACHABLE, "The cluster's issuer is not reachable from the internet."),
    Scenario("secret_wrong_by_sentence", "secret_wrong_by_sentence", _A, _TOKEN, 3303, 3303, _R.SECRET_WRONG, "The secret is wrong, and only the sentence names it."),
    Scenario("assertion_late_by_sentence", "assertion_late_by_sentence", _A, _TOKEN, 3303, 3303, _R.CLOCK_SKEW, "The clock is wrong, and only the sentence names it."),
    Scenario("assertion_refused", "assertion_refused", _A, _TOKEN, 3303, 3303, _R.CERTIFICATE_UNKNOWN, "The assertion has an unknown signature, and an older number."),
    Scenario("credential_invalid", "credential_invalid", _A, _TOKEN, 3303, 3303, _R.CREDENTIALS_REFUSED, "Entra refuses the sign-in with a number that names no cause."),
    Scenario("refusal_unknown", "refusal_unknown", _A, _TOKEN, 3303, 3303, _R.SIGN_IN_REFUSED, "Entra refuses the credential with a number that no rule names."),
    Scenario("credentials_refused", "status", _A, _TOKEN, 3303, 3303, _R.CREDENTIALS_REFUSED, "Entra refuses the sign-in without a number.", Options(status=401)),
    Scenario("portal_unauthorized", "html_unauthorized", _A, _TOKEN, 3303, 3303, _R.ANSWER_NOT_JSON, "A proxy requests a login with its page."),
    Scenario("application_unknown", "application_unknown", _A, _TOKEN, 3128, 3128, _R.APPLICATION_UNKNOWN, "The application was deleted."),
    Scenario("application_not_found", "application_not_found", _A, _TOKEN, 3128, 3128, _R.APPLICATION_UNKNOWN, "The application is unknown, and the number is an older one."),
    Scenario("application_disabled_by_sentence", "application_disabled_by_sentence", _A, _TOKEN, 3128, 3128, _R.APPLICATION_DISABLED, "The application is disabled, and only the sentence names it."),
    Scenario("application_not_in_tenant", "application_not_in_tenant", _A, _TOKEN, 3303, 3303, _R.APPLICATION_NOT_IN_TENANT, "The application has no service principal in the vault's tenant."),
    Scenario("application_id_invalid", "application_id_invalid", _A, _TOKEN, 3128, 3128, _R.APPLICATION_ID_INVALID, "The client id does not belong to an application."),
    Scenario("application_disabled", "application_disabled", _A, _TOKEN, 3128, 3128, _R.APPLICATION_DISABLED, "The application was disabled."),
    Scenario("tenant_unknown", "tenant_unknown", _A, _TOKEN, 3128, 3128, _R.TENANT_UNKNOWN, "The tenant does not exist."),
    Scenario("tenant_malformed", "tenant_malformed", _A, _TOKEN, 3128, 3128, _R.TENANT_UNKNOWN, "The tenant is misspelt."),
    Scenario("tenant_unnamed", "tenant_unnamed", _A, _TOKEN, 3128, 3128, _R.TENANT_UNKNOWN, "The sign-in names no tenant."),
    Scenario("tenant_blocked", "tenant_blocked", _A, _TOKEN, 3128, 3128, _R.TENANT_BLOCKED, "The tenant was deactivated."),
    Scenario("tenant_restricted", "tenant_restricted", _A, _TOKEN, 3128, 3128, _R.TENANT_RESTRICTED, "The company's proxy permits other tenants only."),
    Scenario("tenant_forbidden", "tenant_forbidden", _A, _TOKEN, 3128, 3128, _R.TENANT_RESTRICTED, "A cross-tenant policy does not permit the vault's tenant."),
    Scenario("resource_principal_missing", "resource_principal_missing", _A, _TOKEN, 3128, 3128, _R.RESOURCE_PRINCIPAL_MISSING, "The tenant never used Key Vault."),
    Scenario("resource_principal_disabled", "resource_principal_disabled", _A, _TOKEN, 3128, 3128, _R.RESOURCE_PRINCIPAL_DISABLED, "An administrator disabled Key Vault in the tenant."),
    Scenario("conditional_access", "conditional_access", _A, _TOKEN, 3128, 3128, _R.CONDITIONAL_ACCESS, "A policy allows only other addresses."),
    Scenario("conditional_access_second", "conditional_access_second", _A, _TOKEN, 3128, 3128, _R.CONDITIONAL_ACCESS, "A policy blocks the sign-in, and its number is the second in the list."),
    Scenario("policy_decision", "policy_decision", _A, _TOKEN, 3128, 3128, _R.CONDITIONAL_ACCESS, "A policy blocks the sign-in without a number of its own."),
    Scenario("outdated_tls", "outdated_tls", _A, _TOKEN, 3128, 3128, _R.OUTDATED_TLS, "A proxy that inspects TLS connects to Entra with TLS 1.0."),
    Scenario("number_unknown", "number_unknown", _A, _TOKEN, 3128, 3128, _R.SIGN_IN_REFUSED, "Entra rejects the sign-in with a number that no rule names."),
    Scenario("wrong_cloud", "wrong_cloud", _A, _TOKEN, 3128, 3128, _R.WRONG_CLOUD, "The sign-in host belongs to another cloud."),
    Scenario("sign_in_unclear", "status", _A, _TOKEN, 3128, 3128, _R.BAD_REQUEST, "Entra rejects the sign-in as malformed, without a number.", Options(status=400)),
    Scenario("sign_in_forbidden", "status", _A, _TOKEN, 3077, 3113, _R.FORBIDDEN, "A gateway forbids the sign-in.", Options(status=403)),
    Scenario("sign_in_not_found", "status", _A, _TOKEN, 3076, 3112, _R.NOT_FOUND, "The sign-in host is not Entra.", Options(status=404)),
    Scenario("sign_in_conflict", "status", _A, _TOKEN, 3012, 3110, _R.CONFLICT, "Another service returns 409 for the sign-in.", Options(status=409)),
    Scenario("sign_in_teapot", "status", _A, _TOKEN, 3012, 3110, _R.CLIENT_ERROR, "A gateway returns its own status for the sign-in.", Options(status=418)),
    Scenario("sign_in_throttled", "status", _A, _TOKEN, 3011, 3109, _R.THROTTLED, "A gateway throttles sign-ins with a Retry-After.", Options(status=429, retry_after=7)),
    Scenario("entra_busy", "status", _A, _TOKEN, 3011, 3109, _R.THROTTLED, "Entra is busy and returns no number.", Options(status=429, body='{"error":"temporarily_unavailable"}')),
    Scenario("entra_transient", "entra_transient", _A, _TOKEN, 3128, 3128, _R.ENTRA_UNAVAILABLE, "Entra has a temporary failure and returns 400."),
    Scenario("entra_throttled", "entra_throttled", _A, _TOKEN, 3011, 3109, _R.THROTTLED, "The tenant sends too many requests."),
    Scenario("entra_unavailable", "entra_unavailable", _A, _TOKEN, 3013, 3111, _R.ENTRA_UNAVAILABLE, "Entra is unavailable."),
    Scenario("entra_internal", "entra_internal", _A, _TOKEN, 3013, 3111, _R.ENTRA_UNAVAILABLE, "Entra has an internal error."),
    Scenario("portal_unavailable", "html_unavailable", _A, _TOKEN, 3013, 3111, _R.ENTRA_UNAVAILABLE, "A proxy returns its error page for the sign-in."),
)  # fmt: skip
