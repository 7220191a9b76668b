"""Scenarios of the challenge and of Entra: how the vault sends a client to sign in, and what Entra says to it.

Not for: answers of Entra that cannot be read (see `answers`), or credentials that cannot even be tried (see `credentials`).
"""

from __future__ import annotations

from exporter.core.faults import Reason
from exporter.core.model import Step
from exporter.simulator.faults import Options, Scope
from exporter.simulator.scenarios.model import Scenario

_V, _A = Scope.VAULT, Scope.APPLICATION
_CHALLENGE, _TOKEN = Step.CHALLENGE, Step.TOKEN
_R = Reason

SIGN_IN: tuple[Scenario, ...] = (
    # the challenge
    Scenario("no_challenge", "no_challenge", _V, _CHALLENGE, 3001, 3001, _R.NO_CHALLENGE, "Something answers without asking who is there."),
    Scenario("challenge_absent", "challenge_absent", _V, _CHALLENGE, 3017, 3117, _R.CHALLENGE_ABSENT, "A gateway strips the header that says where to sign in."),
    Scenario("challenge_other_parameter", "challenge_other_parameter", _V, _CHALLENGE, 3201, 3201, _R.CHALLENGE_MALFORMED, "The header says authorization_uri."),
    Scenario("challenge_empty", "challenge_empty", _V, _CHALLENGE, 3017, 3117, _R.CHALLENGE_ABSENT, "The header that says where to sign in is empty."),
    Scenario("challenge_basic", "challenge_basic", _V, _CHALLENGE, 3201, 3201, _R.CHALLENGE_MALFORMED, "A proxy in the vault's place wants a password."),
    Scenario("challenge_swapped", "challenge_swapped", _V, _CHALLENGE, 3201, 3201, _R.CHALLENGE_MALFORMED, "The header names the resource first."),
    Scenario("challenge_http", "challenge_http", _V, _CHALLENGE, 3201, 3201, _R.CHALLENGE_MALFORMED, "The header names an authority without TLS."),
    Scenario("challenge_open_authorization", "challenge_open_authorization", _V, _CHALLENGE, 3202, 3202, _R.CHALLENGE_MALFORMED, "The header's first quote is never closed."),
    Scenario("challenge_no_tenant", "challenge_no_tenant", _V, _CHALLENGE, 3203, 3203, _R.CHALLENGE_MALFORMED, "The header names no tenant."),
    Scenario("challenge_no_host", "challenge_no_host", _V, _CHALLENGE, 3203, 3203, _R.CHALLENGE_MALFORMED, "The header names no host."),
    Scenario("challenge_no_resource", "challenge_no_resource", _V, _CHALLENGE, 3206, 3206, _R.CHALLENGE_MALFORMED, "The header names no resource."),
    Scenario("challenge_open_resource", "challenge_open_resource", _V, _CHALLENGE, 3207, 3207, _R.CHALLENGE_MALFORMED, "The header's last quote is missing."),
    Scenario("foreign_authority", "foreign_authority", _V, _CHALLENGE, 3001, 3001, _R.AUTHORITY_UNTRUSTED, "Somebody would like to be told the secret."),
    Scenario("foreign_resource", "foreign_resource", _V, _CHALLENGE, 3001, 3001, _R.RESOURCE_MISMATCH, "Somebody would like a token for another service."),
    Scenario("challenge_forbidden", "status", _V, _CHALLENGE, 3077, 3113, _R.FORBIDDEN, "A gateway refuses before the vault is asked.", Options(status=403)),
    Scenario("challenge_not_found", "status", _V, _CHALLENGE, 3076, 3112, _R.NOT_FOUND, "A gateway knows no such host.", Options(status=404)),
    Scenario("challenge_throttled", "status", _V, _CHALLENGE, 3011, 3109, _R.THROTTLED, "Too many, even for the first question.", Options(status=429)),
    Scenario("challenge_bad_request", "status", _V, _CHALLENGE, 3012, 3110, _R.BAD_REQUEST, "Something answers that wants another request.", Options(status=400)),
    Scenario("challenge_conflict", "status", _V, _CHALLENGE, 3012, 3110, _R.CONFLICT, "Something answers the first question with 409.", Options(status=409)),
    Scenario("challenge_teapot", "status", _V, _CHALLENGE, 3012, 3110, _R.CLIENT_ERROR, "A gateway answers with a status of its own.", Options(status=418)),
    Scenario("challenge_unavailable", "html_unavailable", _V, _CHALLENGE, 3013, 3111, _R.SERVER_ERROR, "A gateway shows its page of excuses."),
    # Entra
    Scenario("secret_expired", "secret_expired", _A, _TOKEN, 3303, 3303, _R.SECRET_EXPIRED, "The client secret reached its date and nobody had renewed it."),
    Scenario("secret_wrong", "secret_wrong", _A, _TOKEN, 3303, 3303, _R.SECRET_WRONG, "The secret was rolled in Entra and not in SQL Server."),
    Scenario("certificate_unknown", "certificate_unknown", _A, _TOKEN, 3303, 3303, _R.CERTIFICATE_UNKNOWN, "The certificate was never registered."),
    Scenario("federation_issuer", "federation_issuer", _A, _TOKEN, 3303, 3303, _R.FEDERATION_UNMATCHED, "The pod's cluster was rebuilt, and its tokens have another issuer."),
    Scenario("federation_subject", "federation_subject", _A, _TOKEN, 3303, 3303, _R.FEDERATION_UNMATCHED, "The pod runs under another service account."),
    Scenario("clock_skew", "assertion_outside_validity", _A, _TOKEN, 3303, 3303, _R.CLOCK_SKEW, "The host's clock is minutes off."),
    Scenario("certificate_refused", "certificate_refused", _A, _TOKEN, 3303, 3303, _R.CERTIFICATE_UNKNOWN, "The certificate's issuer is not among those allowed."),
    Scenario("certificate_expired", "certificate_expired", _A, _TOKEN, 3303, 3303, _R.CERTIFICATE_EXPIRED, "The certificate reached its date."),
    Scenario("credentials_refused", "status", _A, _TOKEN, 3303, 3303, _R.CREDENTIALS_REFUSED, "The sign-in is refused without a number.", Options(status=401)),
    Scenario("application_unknown", "application_unknown", _A, _TOKEN, 3128, 3128, _R.APPLICATION_UNKNOWN, "The application was deleted."),
    Scenario("application_not_in_tenant", "application_not_in_tenant", _A, _TOKEN, 3303, 3303, _R.APPLICATION_NOT_IN_TENANT, "The application has no service principal in the vault's tenant."),
    Scenario("application_id_invalid", "application_id_invalid", _A, _TOKEN, 3128, 3128, _R.APPLICATION_ID_INVALID, "The client id is not an application's."),
    Scenario("application_disabled", "application_disabled", _A, _TOKEN, 3128, 3128, _R.APPLICATION_DISABLED, "The application was switched off."),
    Scenario("tenant_unknown", "tenant_unknown", _A, _TOKEN, 3128, 3128, _R.TENANT_UNKNOWN, "The tenant does not exist."),
    Scenario("tenant_malformed", "tenant_malformed", _A, _TOKEN, 3128, 3128, _R.TENANT_UNKNOWN, "The tenant is misspelt."),
    Scenario("resource_principal_missing", "resource_principal_missing", _A, _TOKEN, 3128, 3128, _R.RESOURCE_PRINCIPAL_MISSING, "The tenant never used Key Vault."),
    Scenario("resource_principal_disabled", "resource_principal_disabled", _A, _TOKEN, 3128, 3128, _R.RESOURCE_PRINCIPAL_DISABLED, "An administrator disabled Key Vault in the tenant."),
    Scenario("conditional_access", "conditional_access", _A, _TOKEN, 3128, 3128, _R.CONDITIONAL_ACCESS, "A policy admits other addresses only."),
    Scenario("wrong_cloud", "wrong_cloud", _A, _TOKEN, 3128, 3128, _R.WRONG_CLOUD, "The sign-in host is another cloud's."),
    Scenario("sign_in_unclear", "status", _A, _TOKEN, 3128, 3128, _R.BAD_REQUEST, "The sign-in is refused as malformed, without a number.", Options(status=400)),
    Scenario("sign_in_forbidden", "status", _A, _TOKEN, 3077, 3113, _R.FORBIDDEN, "A gateway forbids the sign-in.", Options(status=403)),
    Scenario("sign_in_not_found", "status", _A, _TOKEN, 3076, 3112, _R.NOT_FOUND, "The sign-in host is not Entra.", Options(status=404)),
    Scenario("sign_in_conflict", "status", _A, _TOKEN, 3012, 3110, _R.CONFLICT, "Something answers the sign-in with 409.", Options(status=409)),
    Scenario("sign_in_teapot", "status", _A, _TOKEN, 3012, 3110, _R.CLIENT_ERROR, "A gateway answers the sign-in with a status of its own.", Options(status=418)),
    Scenario("sign_in_throttled", "status", _A, _TOKEN, 3011, 3109, _R.THROTTLED, "A gateway counts the sign-ins, and says until when.", Options(status=429, retry_after=7)),
    Scenario("entra_busy", "status", _A, _TOKEN, 3011, 3109, _R.THROTTLED, "Entra is busy, and gives no number.", Options(status=429, body='{"error":"temporarily_unavailable"}')),
    Scenario("entra_transient", "entra_transient", _A, _TOKEN, 3128, 3128, _R.ENTRA_UNAVAILABLE, "The sign-in service fails for the moment, and calls it a bad request."),
    Scenario("entra_throttled", "entra_throttled", _A, _TOKEN, 3011, 3109, _R.THROTTLED, "The tenant makes too many requests."),
    Scenario("entra_unavailable", "entra_unavailable", _A, _TOKEN, 3013, 3111, _R.ENTRA_UNAVAILABLE, "The sign-in service is out."),
    Scenario("entra_internal", "entra_internal", _A, _TOKEN, 3013, 3111, _R.ENTRA_UNAVAILABLE, "The sign-in service fails."),
    Scenario("portal_unavailable", "html_unavailable", _A, _TOKEN, 3013, 3111, _R.ENTRA_UNAVAILABLE, "A proxy answers the sign-in with a page of excuses."),
)  # fmt: skip
