"""Scenarios in which the vault refuses: token, caller, limit, key.

Unreadable responses are in `unusable_bodies`.
"""

from __future__ import annotations

from exporter.core.model import Step
from exporter.core.reasons import Reason
from exporter.simulator.faults import FaultScope, Options
from exporter.simulator.scenarios.model import Scenario

_V, _A = FaultScope.VAULT, FaultScope.APPLICATION
_GET, _WRAP, _UNWRAP = Step.GET_KEY, Step.WRAP_KEY, Step.UNWRAP_KEY
_R = Reason

REFUSALS: tuple[Scenario, ...] = (
    # the vault refuses
    Scenario("token_rejected", "vault_token_unknown", _V, _GET, 3010, 3108, _R.TOKEN_REJECTED, "The vault rejects the token."),
    Scenario("token_signature", "vault_token_signature", _V, _GET, 3010, 3108, _R.TOKEN_UNVERIFIABLE, "The vault cannot verify tokens at the moment."),
    Scenario("token_expired", "vault_token_expired", _V, _GET, 3010, 3108, _R.TOKEN_EXPIRED, "The clock of the vault's host or of this one is wrong."),
    Scenario("token_revoked", "vault_token_revoked", _V, _GET, 3010, 3108, _R.TOKEN_REVOKED, "Continuous access evaluation revokes the token."),
    Scenario("nsp_forbidden", "vault_forbidden_nsp", _V, _GET, 3077, 3113, _R.FORBIDDEN_NSP, "The vault joined a network security perimeter without a rule for this network."),
    Scenario("firewall_by_sentence", "vault_firewall_by_sentence", _V, _GET, 3077, 3113, _R.FORBIDDEN_FIREWALL, "The vault's firewall lacks this address, and the response has no inner code."),
    Scenario("connection_by_sentence", "vault_connection_by_sentence", _V, _GET, 3077, 3113, _R.FORBIDDEN_CONNECTION, "Public access is disabled, and the response has no inner code."),
    Scenario("connection_not_approved", "vault_connection_not_approved", _V, _GET, 3077, 3113, _R.FORBIDDEN_CONNECTION, "The private link is not approved, and the response has no inner code."),
    Scenario("disabled_by_sentence", "vault_disabled_by_sentence", _V, _UNWRAP, 3077, 3113, _R.KEY_DISABLED, "The key is disabled, and the response has no inner code."),
    Scenario("hsm_role_missing", "vault_hsm_access_denied", _V, _GET, 3077, 3113, _R.FORBIDDEN_RBAC, "The Managed HSM has no role assignment for the application."),
    Scenario("page_forbidden", "html_forbidden", _V, _GET, 3077, 3113, _R.ANSWER_NOT_JSON, "A proxy that inspects TLS blocks the request with its page."),
    Scenario("text_forbidden", "text_forbidden", _V, _GET, 3077, 3113, _R.ANSWER_NOT_JSON, "A firewall on the route blocks the request with a plain text."),
    Scenario("policy_by_sentence", "vault_policy_by_sentence", _V, _GET, 3077, 3113, _R.FORBIDDEN_POLICY, "The application is in no access policy, and the inner code names none."),
    Scenario("firewall_private", "vault_firewall_private", _V, _GET, 3077, 3113, _R.FORBIDDEN_FIREWALL, "The request reaches the vault's firewall from a private address."),
    Scenario("operation_by_sentence", "vault_operation_by_sentence", _V, _UNWRAP, 3077, 3113, _R.KEY_OPERATION_FORBIDDEN, "The key's operations lack unwrapKey, and the response has no inner code."),
    Scenario("token_wrong_audience", "vault_token_audience", _V, _GET, 3305, 3305, _R.TOKEN_WRONG_AUDIENCE, "The token is for another service."),
    Scenario("token_wrong_issuer", "vault_token_issuer", _V, _GET, 3305, 3305, _R.TOKEN_WRONG_ISSUER, "The token and the vault belong to different tenants."),
    Scenario("token_for_other_service", "token_for_other_service", _A, _GET, 3305, 3305, _R.TOKEN_WRONG_AUDIENCE, "Entra issues a token for another service than the requested one."),
    Scenario("token_of_other_tenant", "token_of_other_tenant", _A, _GET, 3305, 3305, _R.TOKEN_WRONG_ISSUER, "Entra issues a token of another tenant."),
    Scenario("token_ended", "token_ended", _A, _GET, 3010, 3108, _R.TOKEN_REJECTED, "The token has already expired."),
    Scenario("vault_in_other_tenant", "vault_in_other_tenant", _V, _GET, 3305, 3305, _R.TOKEN_WRONG_ISSUER, "The subscription moved to another tenant, and the vault with it."),
    Scenario("wrap_token_rejected", "vault_token_unknown", _V, _WRAP, 3010, 3108, _R.TOKEN_REJECTED, "The vault rejects the token at the wrap."),
    Scenario("unwrap_token_rejected", "vault_token_unknown", _V, _UNWRAP, 3010, 3108, _R.TOKEN_REJECTED, "The vault rejects the token at the unwrap."),
    Scenario("wrap_wrong_audience", "vault_token_audience", _V, _WRAP, 3305, 3305, _R.TOKEN_WRONG_AUDIENCE, "Another node handles the wrap and expects another audience."),
    Scenario("unwrap_wrong_audience", "vault_token_audience", _V, _UNWRAP, 3305, 3305, _R.TOKEN_WRONG_AUDIENCE, "Another node handles the unwrap and expects another audience."),
    Scenario("wrap_wrong_issuer", "vault_token_issuer", _V, _WRAP, 3305, 3305, _R.TOKEN_WRONG_ISSUER, "Another node handles the wrap and expects another issuer."),
    Scenario("unwrap_wrong_issuer", "vault_token_issuer", _V, _UNWRAP, 3305, 3305, _R.TOKEN_WRONG_ISSUER, "Another node handles the unwrap and expects another issuer."),
    Scenario("get_forbidden", "permission_removed", _V, _GET, 3077, 3113, _R.FORBIDDEN_POLICY, "The access policy lost get.", Options(operation="get")),
    Scenario("wrap_forbidden", "permission_removed", _V, _WRAP, 3077, 3113, _R.FORBIDDEN_POLICY, "The access policy lost wrapKey.", Options(operation="wrapKey")),
    Scenario("unwrap_forbidden", "permission_removed", _V, _UNWRAP, 3077, 3113, _R.FORBIDDEN_POLICY, "The access policy lost unwrapKey: backups fail, and a restart leaves databases closed."),
    Scenario("role_removed", "role_removed", _V, _GET, 3077, 3113, _R.FORBIDDEN_RBAC, "A cleanup removed the role assignment.", Options(operation="get")),
    Scenario("wrap_role_removed", "role_removed", _V, _WRAP, 3077, 3113, _R.FORBIDDEN_RBAC, "The role only permits reading.", Options(operation="wrapKey")),
    Scenario("unwrap_role_removed", "role_removed", _V, _UNWRAP, 3077, 3113, _R.FORBIDDEN_RBAC, "The role no longer permits unwrapKey."),
    Scenario("firewall", "firewall", _V, _GET, 3077, 3113, _R.FORBIDDEN_FIREWALL, "The vault's firewall lost this address."),
    Scenario("private_only", "private_only", _V, _GET, 3077, 3113, _R.FORBIDDEN_CONNECTION, "Public access is off, and the private endpoint is not used."),
    Scenario("forbidden", "vault_forbidden", _V, _GET, 3077, 3113, _R.FORBIDDEN, "The vault refuses without a reason."),
    Scenario("wrap_refused", "vault_forbidden", _V, _WRAP, 3077, 3113, _R.FORBIDDEN, "The vault refuses the wrap without a reason."),
    Scenario("unwrap_denied", "vault_forbidden", _V, _UNWRAP, 3077, 3113, _R.FORBIDDEN, "The vault refuses the unwrap without a reason."),
    Scenario("bad_parameter", "vault_bad_parameter", _V, _GET, 3012, 3110, _R.BAD_REQUEST, "The vault rejects the request as malformed."),
    Scenario("conflict", "vault_conflict", _V, _GET, 3012, 3110, _R.CONFLICT, "Another client is changing the key."),
    Scenario("wrap_bad_parameter", "vault_bad_parameter", _V, _WRAP, 3012, 3110, _R.BAD_REQUEST, "The vault does not support the algorithm."),
    Scenario("wrap_conflict", "vault_conflict", _V, _WRAP, 3012, 3110, _R.CONFLICT, "Another client is changing the key at the wrap."),
    Scenario("unwrap_conflict", "vault_conflict", _V, _UNWRAP, 3012, 3110, _R.CONFLICT, "Another client is changing the key at the unwrap."),
    Scenario("get_teapot", "status", _V, _GET, 3012, 3110, _R.CLIENT_ERROR, "A gateway returns its own status instead of the key.", Options(status=418)),
    Scenario("wrap_teapot", "status", _V, _WRAP, 3012, 3110, _R.CLIENT_ERROR, "A gateway returns its own status for the wrap.", Options(status=418)),
    Scenario("unwrap_teapot", "status", _V, _UNWRAP, 3012, 3110, _R.CLIENT_ERROR, "A gateway returns its own status for the unwrap.", Options(status=418)),
    Scenario("throttled", "throttled", _V, _GET, 3011, 3109, _R.THROTTLED, "The vault throttles without a Retry-After."),
    Scenario("throttled_retry_after", "throttled", _V, _GET, 3011, 3109, _R.THROTTLED, "The vault throttles with a Retry-After.", Options(retry_after=7)),
    Scenario("wrap_throttled", "throttled", _V, _WRAP, 3011, 3109, _R.THROTTLED, "The vault throttles the wrap."),
    Scenario("unwrap_throttled", "throttled", _V, _UNWRAP, 3011, 3109, _R.THROTTLED, "The vault throttles the unwrap."),
    Scenario("vault_internal", "vault_internal", _V, _GET, 3013, 3111, _R.SERVER_ERROR, "The vault has an internal error."),
    Scenario("vault_bad_gateway", "vault_bad_gateway", _V, _GET, 3013, 3111, _R.SERVER_ERROR, "A gateway cannot reach the vault."),
    Scenario("vault_unavailable", "vault_unavailable", _V, _WRAP, 3013, 3111, _R.SERVER_ERROR, "The vault is unavailable at the wrap."),
    Scenario("unwrap_gateway_timeout", "vault_gateway_timeout", _V, _UNWRAP, 3013, 3111, _R.SERVER_ERROR, "The vault times out at the unwrap."),
    # the key
    Scenario("key_soft_deleted", "key_soft_deleted", _V, _GET, 3076, 3112, _R.KEY_SOFT_DELETED, "The key was deleted and can be recovered."),
    Scenario("key_soft_deleted_unreadable", "key_soft_deleted_unreadable", _V, _GET, 3076, 3112, _R.KEY_NOT_FOUND, "The key was deleted, and the caller may not read deleted keys."),
    Scenario("key_purged", "key_purged", _V, _GET, 3076, 3112, _R.KEY_NOT_FOUND, "The key was purged."),
    Scenario("version_missing", "versions_replaced", _V, _GET, 3076, 3112, _R.KEY_NOT_FOUND, "The pinned version is gone; only a newer one exists."),
    Scenario("nothing_there", "vault_not_found", _V, _GET, 3076, 3112, _R.NOT_FOUND, "Another service answers at the vault's address."),
    Scenario("wrap_nothing_there", "vault_not_found", _V, _WRAP, 3076, 3112, _R.NOT_FOUND, "A gateway allows only GET."),
    Scenario("unwrap_nothing_there", "vault_not_found", _V, _UNWRAP, 3076, 3112, _R.NOT_FOUND, "A gateway does not forward the unwrap."),
    Scenario("wrap_key_gone", "vault_key_not_found", _V, _WRAP, 3076, 3112, _R.KEY_NOT_FOUND, "The key is deleted between two requests."),
    Scenario("unwrap_key_gone", "vault_key_not_found", _V, _UNWRAP, 3076, 3112, _R.KEY_NOT_FOUND, "The key is deleted just before the unwrap."),
    Scenario("key_disabled_unreadable", "vault_key_disabled", _V, _GET, 3077, 3113, _R.KEY_DISABLED, "The disabled version cannot be read."),
    Scenario("key_disabled_unwrap", "vault_key_disabled", _V, _UNWRAP, 3077, 3113, _R.KEY_DISABLED, "The disabled version wraps but does not unwrap."),
    Scenario("key_disabled_without_reason", "key_disabled_without_reason", _V, _WRAP, 3077, 3113, _R.KEY_DISABLED, "The key is disabled, and the refusal names a policy."),
    Scenario("key_expired_without_reason", "key_expired_without_reason", _V, _WRAP, 3077, 3113, _R.KEY_EXPIRED, "The key has expired, and the refusal names a policy."),
    Scenario("key_not_yet_valid_without_reason", "key_not_yet_valid_without_reason", _V, _WRAP, 3077, 3113, _R.KEY_NOT_YET_VALID, "The key is not yet valid, and the refusal names a policy."),
    Scenario("key_disabled", "key_disabled", _V, _WRAP, 3077, 3113, _R.KEY_DISABLED, "The key version was disabled."),
    Scenario("key_expired", "key_expired", _V, _WRAP, 3077, 3113, _R.KEY_EXPIRED, "The key has expired: databases still open, rotation fails."),
    Scenario("key_not_yet_valid", "key_not_yet_valid", _V, _WRAP, 3077, 3113, _R.KEY_NOT_YET_VALID, "The key is not yet valid."),
    Scenario("wrap_not_in_key_ops", "key_operation_removed", _V, _WRAP, 3077, 3113, _R.KEY_OPERATION_FORBIDDEN, "The key was created without wrapKey.", Options(operation="wrapKey")),
    Scenario("unwrap_not_in_key_ops", "key_operation_removed", _V, _UNWRAP, 3077, 3113, _R.KEY_OPERATION_FORBIDDEN, "The key was created without unwrapKey."),
    Scenario("key_4096_bits", "key_size", _V, _GET, 3, 3, _R.KEY_UNSUPPORTED, "The connector does not support this size.", Options(bits=4096)),
    Scenario("key_ec", "key_type_ec", _V, _GET, 3, 3, _R.KEY_UNSUPPORTED, "The key is an EC key."),
    Scenario("key_oct_hsm", "key_type_oct_hsm", _V, _GET, 3, 3, _R.KEY_UNSUPPORTED, "The key is a symmetric HSM key."),
    Scenario("key_1024_bits", "key_size", _V, _GET, 3, 3, _R.KEY_UNSUPPORTED, "The key is older than today's minimum size.", Options(bits=1024)),
    # the round trip
    Scenario("unwrap_refused", "cannot_unwrap", _V, _UNWRAP, 3012, 3110, _R.BAD_REQUEST, "The vault rejects the bytes to unwrap as malformed."),
    Scenario("wrapped_elsewhere", "wrapped_elsewhere", _V, _UNWRAP, 3012, 3110, _R.BAD_REQUEST, "The bytes were wrapped under another version.", Options(step=_WRAP)),
)  # fmt: skip
