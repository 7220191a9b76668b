"""The scenarios and the codes that SQL Server would show, in a probe's order; and what the simulator assumes.

For: the demo, the tests and the documentation, which read this one table. Each row has the broken part, the
step, and the code of a probe in both generations. Every code that a probe can report is in it.
Not for: causing faults (see `faults`), or classification, whose rules must agree without using this table.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field, replace
from enum import StrEnum
from types import MappingProxyType

from exporter.core.values import Step
from exporter.knowledge.reasons import Reason
from exporter.simulator.faults import FAULTS, FaultScope, Options, SimulatedFault


class Outside(StrEnum):
    """A place outside of the simulator that has the cause of a scenario."""

    CONFIGURATION = "configuration"  # the configuration, or the files that it names
    CERTIFICATE = "certificate"  # the certificate file of a credential
    IDENTITY = "identity"  # the host's identity service
    NETWORK = "network"  # the host's own network: resolver and routes
    PROXY = "proxy"  # the proxy to the vault


@dataclass(frozen=True, slots=True)
class Scenario:
    """One row of the scenario table.

    `step` is the first failed step, None if no probe starts. `classic` and `current` are the codes in both generations.
    `cause` is the name of a fault, set on an object of that `scope`. For a place outside, it describes the cause.
    """

    name: str
    cause: str
    scope: FaultScope | Outside
    step: Step | None
    classic: int
    current: int
    reason: Reason
    story: str
    given: Options = field(default_factory=Options)

    @property
    def fault(self) -> SimulatedFault | None:
        """Return the fault that causes it, None if the cause is outside."""
        return FAULTS[self.cause] if isinstance(self.scope, FaultScope) else None

    @property
    def broken(self) -> str:
        """Return what is broken, in a few words."""
        return self.cause if self.fault is None else self.fault.broken

    @property
    def options(self) -> Options:
        """Return the options of the fault.

        A fault of the response is limited to the scenario's step unless the given options name another.
        """
        if self.fault is None or self.fault.response is None:
            return self.given
        return replace(self.given, step=self.given.step or self.step)


# The short names of the rows.
_VAULT, _ENTRA, _APPLICATION = FaultScope.VAULT, FaultScope.AUTHORITY, FaultScope.APPLICATION
_CONFIGURATION, _CERTIFICATE, _IDENTITY, _NETWORK, _PROXY = Outside
_CHALLENGE, _TOKEN, _GET, _WRAP, _UNWRAP = Step.CHALLENGE, Step.TOKEN, Step.GET_KEY, Step.WRAP_KEY, Step.UNWRAP_KEY
_R = Reason

# Of each step, for the scenarios that several steps have in common: the prefix of their names, and what it waits for.
_STEPS = {
    _CHALLENGE: ("challenge", "the challenge"),
    _TOKEN: ("token", "the token"),
    _GET: ("key", "the key"),
    _WRAP: ("wrap", "the wrapped bytes"),
    _UNWRAP: ("unwrap", "the unwrapped bytes"),
}
_BODIES = tuple(_STEPS)[1:]  # the body of the challenge is not read
_EMPTY = {_TOKEN: 3307, _GET: 3403, _WRAP: 3609, _UNWRAP: 3709}
_NOT_JSON = {_TOKEN: 3307, _GET: 3404, _WRAP: 3607, _UNWRAP: 3707}
# a member that counts as missing, a repeated member, and an unusable one
_INCOMPLETE = {"missing": "is missing", "null": "is null", "number": "is a number", "list": "is a list"}
_TWICE = {"twice": "appears twice, the second time as a number"}
_MALFORMED = {"unusable": "is malformed", "blank": "is empty", "nul": "begins with a NUL"}


def _at_each(  # noqa: PLR0917 - a row of the table
    steps: Iterable[Step], fault: str, classic: int | dict[Step, int], current: int | None, reason: Reason, story: str
) -> Iterator[Scenario]:
    """Yield the same fault at each of these steps.

    `{awaited}` in the story is what the step waits for. `classic` is one code for all steps, or one for each. `current` is
    None if the code has no counterpart.
    """
    for step in steps:
        prefix, awaited = _STEPS[step]
        scope, code = _APPLICATION if step is _TOKEN else _VAULT, classic if isinstance(classic, int) else classic[step]
        text = story.format(awaited=awaited)
        text = text[0].upper() + text[1:]
        yield Scenario(f"{prefix}_{fault}", fault, scope, step, code, code if current is None else current, reason, text)


def _member(  # noqa: PLR0917 - a row of the table
    step: Step, name: str, fault: str, what: str, code: int, reason: Reason, kinds: dict[str, str]
) -> Iterator[Scenario]:
    """Yield a scenario for each defect of one member of a response."""
    scope = _APPLICATION if step is _TOKEN else _VAULT
    for kind, words in kinds.items():
        yield Scenario(f"{name}_{kind}", f"{fault}_{kind}", scope, step, code, code, reason, f"{what} {words}.")


SCENARIOS: tuple[Scenario, ...] = (
    # the exporter itself, before a request: `check` and every start refuse these, so that no probe starts
    Scenario("key_name_long", "the key's name has 27 characters", _CONFIGURATION, None, 2049, 2049, _R.KEY_NAME_TOO_LONG, "The name does not follow the connector's rules."),
    Scenario("key_name_strange", "the key's name has an underscore", _CONFIGURATION, None, 2049, 2049, _R.KEY_NAME_TOO_LONG, "The name comes from another key store."),
    Scenario("credential_short", "the credential string has 31 characters", _CONFIGURATION, None, 2050, 2050, _R.SECRET_TOO_SHORT, "The copy lost a digit of the client id."),
    # the same files, changed while the exporter runs
    Scenario("credential_cut", "the credential string was cut to 31 characters", _CONFIGURATION, _TOKEN, 2050, 2050, _R.SECRET_TOO_SHORT, "The file was rewritten incompletely."),
    Scenario("credential_without_secret", "the credential string ends after the client id", _CONFIGURATION, _TOKEN, 2050, 2050, _R.SECRET_TOO_SHORT, "Only the client id was pasted."),
    Scenario("secret_gone", "the secret file is missing", _CONFIGURATION, _TOKEN, 3001, 3001, _R.SECRET_UNREADABLE, "A mount is missing."),
    # certificate files
    Scenario("pfx_wrong_password", "the PFX file has another password", _CERTIFICATE, _TOKEN, 3809, 3809, _R.CERTIFICATE_UNUSABLE, "The certificate was renewed, but its password file was not."),
    Scenario("pfx_cut", "the PFX file is truncated", _CERTIFICATE, _TOKEN, 3809, 3809, _R.CERTIFICATE_UNUSABLE, "The copy was interrupted."),
    Scenario("pfx_without_certificate", "the PFX file has a key and no certificate", _CERTIFICATE, _TOKEN, 3810, 3810, _R.CERTIFICATE_UNUSABLE, "The export contained only the key."),
    Scenario("pfx_without_key", "the PFX file has a certificate and no key", _CERTIFICATE, _TOKEN, 3811, 3811, _R.CERTIFICATE_UNUSABLE, "The key was not exportable."),
    Scenario("pfx_elliptic", "the PFX file's key is an EC key", _CERTIFICATE, _TOKEN, 3812, 3812, _R.CERTIFICATE_UNUSABLE, "The authority has issued EC certificates since its upgrade."),
    Scenario("pfx_other_key", "the PFX file's key belongs to another certificate", _CERTIFICATE, _TOKEN, 3813, 3813, _R.CERTIFICATE_UNUSABLE, "Two renewals were mixed up."),
    Scenario("pfx_short_key", "the PFX file's key is too short", _CERTIFICATE, _TOKEN, 3814, 3814, _R.CERTIFICATE_UNUSABLE, "The key is older than today's minimum size."),
    Scenario("pem_without_certificate", "the PEM file has a key and no certificate", _CERTIFICATE, _TOKEN, 3815, 3815, _R.CERTIFICATE_UNUSABLE, "The certificate is still in its own file."),
    Scenario("pem_without_key", "the PEM file has a certificate and no key", _CERTIFICATE, _TOKEN, 3816, 3816, _R.CERTIFICATE_UNUSABLE, "The key is still in its own file."),
    Scenario("pem_elliptic", "the PEM file's key is an EC key", _CERTIFICATE, _TOKEN, 3817, 3817, _R.CERTIFICATE_UNUSABLE, "The certificate request was made with a modern default."),
    Scenario("pem_other_key", "the PEM file's key belongs to another certificate", _CERTIFICATE, _TOKEN, 3818, 3818, _R.CERTIFICATE_UNUSABLE, "The files of two renewals were combined."),
    Scenario("pem_wrong_password", "the PEM file's key has another password", _CERTIFICATE, _TOKEN, 3818, 3818, _R.CERTIFICATE_UNUSABLE, "The key was encrypted again."),
    Scenario("pem_short_key", "the PEM file's key is too short", _CERTIFICATE, _TOKEN, 3819, 3819, _R.CERTIFICATE_UNUSABLE, "The key is older than today's minimum size."),
    Scenario("certificate_gone", "the certificate file is missing", _CERTIFICATE, _TOKEN, 3001, 3001, _R.SECRET_UNREADABLE, "A mount is missing."),
    # the host's identity
    Scenario("identity_absent", "the host has no identity service", _IDENTITY, _TOKEN, 3304, 3304, _R.IDENTITY_UNAVAILABLE, "The exporter was moved to a host without a managed identity."),
    Scenario("identity_silent", "the identity service accepts connections and sends nothing", _IDENTITY, _TOKEN, 3304, 3304, _R.IDENTITY_UNAVAILABLE, "A pod policy swallows requests to the identity service."),
    Scenario("identity_unassigned", "the host has no identity with that client id", _IDENTITY, _TOKEN, 3304, 3304, _R.IDENTITY_UNAVAILABLE, "The identity was removed from the machine."),
    Scenario("identity_not_json", "the identity service returns an HTML page", _IDENTITY, _TOKEN, 3304, 3304, _R.IDENTITY_UNAVAILABLE, "A proxy answers requests that should never leave the host."),
    Scenario("identity_key_unreadable", "the key file of Azure Arc is not readable", _IDENTITY, _TOKEN, 3304, 3304, _R.IDENTITY_KEY_UNREADABLE, "The exporter's account is not in the group of Azure Arc."),
    # the network between: real resolvers, routes and proxies, outside of the simulator
    Scenario("host_offline", "no network except loopback; the name resolves", _NETWORK, _CHALLENGE, 3005, 3103, _R.NETWORK_DOWN, "The host lost its network, and its hosts file has the vault."),
    Scenario("resolver_nxdomain", "the resolver returns NXDOMAIN", _NETWORK, _CHALLENGE, 3900, 3900, _R.DNS_NOT_FOUND, "The private DNS zone lost its record."),
    Scenario("resolver_servfail", "the resolver returns SERVFAIL", _NETWORK, _CHALLENGE, 3900, 3900, _R.DNS_TEMPORARY, "The forwarder behind the resolver is down."),
    Scenario("resolver_silent", "the resolver does not answer", _NETWORK, _CHALLENGE, 3900, 3900, _R.DNS_TIMEOUT, "Port 53 is filtered."),
    Scenario("connect_dropped", "the connection attempt gets no answer", _NETWORK, _CHALLENGE, 3008, 3106, _R.CONNECT_TIMEOUT, "A firewall drops packets to the vault."),
    Scenario("connect_unreachable", "the host is reported unreachable", _NETWORK, _CHALLENGE, 3008, 3106, _R.CONNECT_UNREACHABLE, "The private endpoint's network is not routed."),
    Scenario("proxy_refused", "the proxy refuses connections", _PROXY, _CHALLENGE, 3008, 3106, _R.PROXY_UNREACHABLE, "The proxy is down."),
    Scenario("proxy_unresolvable", "the proxy's name does not resolve", _PROXY, _CHALLENGE, 3008, 3106, _R.PROXY_UNRESOLVED, "The proxy was renamed."),
    Scenario("proxy_silent", "the proxy does not answer CONNECT", _PROXY, _CHALLENGE, 3008, 3106, _R.PROXY_TIMEOUT, "The proxy cannot reach the vault and sends no error."),
    Scenario("proxy_redirects", "the proxy redirects CONNECT", _PROXY, _CHALLENGE, 3001, 3001, _R.PROXY_STATUS, "A captive portal stands in for the proxy."),
    Scenario("proxy_unauthorized", "the proxy returns 407", _PROXY, _CHALLENGE, 3012, 3110, _R.PROXY_AUTH, "The proxy requires a password."),
    Scenario("proxy_bad_gateway", "the proxy returns 502", _PROXY, _CHALLENGE, 3013, 3111, _R.PROXY_STATUS, "The proxy cannot reach its upstream."),
    Scenario("proxy_not_http", "the proxy's response to CONNECT is not HTTP", _PROXY, _CHALLENGE, 3008, 3106, _R.PROXY_INVALID, "Another service listens on the port of the proxy."),
    # the name, the connection, TLS
    Scenario("vault_deleted", "unresolvable", _VAULT, _CHALLENGE, 3900, 3900, _R.DNS_NOT_FOUND, "The vault was deleted, and its name with it."),
    Scenario("vault_refused", "refused", _VAULT, _CHALLENGE, 3008, 3106, _R.CONNECT_REFUSED, "A device in between refuses the connection."),
    Scenario("vault_tls_expired", "tls_expired", _VAULT, _CHALLENGE, 3008, 3106, _R.TLS_EXPIRED, "The certificate was not renewed."),
    Scenario("vault_tls_not_yet_valid", "tls_not_yet_valid", _VAULT, _CHALLENGE, 3008, 3106, _R.TLS_NOT_YET_VALID, "The host's clock is behind, or the certificate starts in the future."),
    Scenario("vault_tls_wrong_name", "tls_wrong_name", _VAULT, _CHALLENGE, 3008, 3106, _R.TLS_WRONG_NAME, "A private DNS zone points to another service."),
    Scenario("vault_tls_untrusted", "tls_untrusted", _VAULT, _CHALLENGE, 3008, 3106, _R.TLS_UNTRUSTED, "A proxy decrypts TLS and signs with its own authority."),
    Scenario("vault_tls_alert", "tls_alert", _VAULT, _CHALLENGE, 3008, 3106, _R.TLS_FAILED, "Client and server have no common TLS parameters."),
    Scenario("vault_tls_reset", "tls_reset", _VAULT, _CHALLENGE, 3008, 3106, _R.TLS_RESET, "A firewall reads the name in the handshake and resets the connection."),
    Scenario("vault_tls_closed", "tls_closed", _VAULT, _CHALLENGE, 3008, 3106, _R.TLS_RESET, "A load balancer has no backend."),
    Scenario("vault_tls_silent", "tls_silent", _VAULT, _CHALLENGE, 3008, 3106, _R.TLS_TIMEOUT, "A firewall accepts the connection and drops the later packets."),
    Scenario("vault_plain_http", "plain_http", _VAULT, _CHALLENGE, 3008, 3106, _R.TLS_NOT_TLS, "A captive portal answers in plain HTTP."),
    Scenario("entra_deleted", "unresolvable", _ENTRA, _TOKEN, 3900, 3900, _R.DNS_NOT_FOUND, "The resolver has no record of the sign-in host."),
    Scenario("entra_refused", "refused", _ENTRA, _TOKEN, 3008, 3106, _R.CONNECT_REFUSED, "The firewall allows the vault but not the sign-in host."),
    Scenario("entra_tls_untrusted", "tls_untrusted", _ENTRA, _TOKEN, 3008, 3106, _R.TLS_UNTRUSTED, "A proxy decrypts TLS to the sign-in host."),
    Scenario("entra_tls_expired", "tls_expired", _ENTRA, _TOKEN, 3008, 3106, _R.TLS_EXPIRED, "The proxy's own certificate was not renewed."),
    Scenario("entra_tls_not_yet_valid", "tls_not_yet_valid", _ENTRA, _TOKEN, 3008, 3106, _R.TLS_NOT_YET_VALID, "The host's clock is behind."),
    Scenario("entra_tls_alert", "tls_alert", _ENTRA, _TOKEN, 3008, 3106, _R.TLS_FAILED, "Client and sign-in host have no common TLS parameters."),
    Scenario("entra_plain_http", "plain_http", _ENTRA, _TOKEN, 3008, 3106, _R.TLS_NOT_TLS, "A captive portal answers for the sign-in host."),
    Scenario("entra_tls_wrong_name", "tls_wrong_name", _ENTRA, _TOKEN, 3008, 3106, _R.TLS_WRONG_NAME, "The sign-in host leads to a portal."),
    Scenario("entra_tls_reset", "tls_reset", _ENTRA, _TOKEN, 3008, 3106, _R.TLS_RESET, "The firewall's list of names lacks the sign-in host."),
    Scenario("entra_tls_silent", "tls_silent", _ENTRA, _TOKEN, 3008, 3106, _R.TLS_TIMEOUT, "A firewall drops packets to the sign-in host after the connection."),
    # the exchange, at every step
    *_at_each(_STEPS, "reset", 3008, 3106, _R.CONNECTION_RESET, "The connection is reset instead of {awaited}."),
    *_at_each(_STEPS, "closed", 3008, 3106, _R.CONNECTION_CLOSED, "The connection is closed instead of {awaited}."),
    *_at_each(_STEPS, "silent", 3008, 3106, _R.READ_TIMEOUT, "The request for {awaited} gets no response."),
    *_at_each(_STEPS, "endless_header", 3008, 3106, _R.READ_TIMEOUT, "The header before {awaited} never ends."),
    *_at_each(_STEPS, "garbage", 3008, 3106, _R.NOT_HTTP, "Bytes that are not HTTP arrive instead of {awaited}."),
    *_at_each(_STEPS, "redirected", 3001, None, _R.REDIRECT, "A portal redirects the request for {awaited}."),
    *_at_each(_BODIES, "truncated", 3019, 3119, _R.BODY_TRUNCATED, "The response ends in the middle of {awaited}."),
    *_at_each(_BODIES, "trickling", 3019, 3119, _R.BODY_TIMEOUT, "The response with {awaited} arrives too slowly."),
    *_at_each(_BODIES, "huge", 3019, 3119, _R.BODY_TOO_LARGE, "Ten million bytes arrive instead of {awaited}."),
    # the challenge
    Scenario("no_challenge", "no_challenge", _VAULT, _CHALLENGE, 3001, 3001, _R.NO_CHALLENGE, "Another service answers without authentication."),
    Scenario("challenge_absent", "challenge_absent", _VAULT, _CHALLENGE, 3017, 3117, _R.CHALLENGE_ABSENT, "A gateway removes the header that names the sign-in host."),
    Scenario("challenge_other_parameter", "challenge_other_parameter", _VAULT, _CHALLENGE, 3201, 3201, _R.CHALLENGE_MALFORMED, "The header has authorization_uri instead of authorization."),
    Scenario("challenge_empty", "challenge_empty", _VAULT, _CHALLENGE, 3017, 3117, _R.CHALLENGE_ABSENT, "The header that names the sign-in host is empty."),
    Scenario("challenge_basic", "challenge_basic", _VAULT, _CHALLENGE, 3201, 3201, _R.CHALLENGE_MALFORMED, "A proxy in the vault's place requires a password."),
    Scenario("challenge_swapped", "challenge_swapped", _VAULT, _CHALLENGE, 3201, 3201, _R.CHALLENGE_MALFORMED, "The header names the resource first."),
    Scenario("challenge_http", "challenge_http", _VAULT, _CHALLENGE, 3201, 3201, _R.CHALLENGE_MALFORMED, "The header names an authority without TLS."),
    Scenario("challenge_open_authorization", "challenge_open_authorization", _VAULT, _CHALLENGE, 3202, 3202, _R.CHALLENGE_MALFORMED, "The header's first quote is never closed."),
    Scenario("challenge_no_tenant", "challenge_no_tenant", _VAULT, _CHALLENGE, 3203, 3203, _R.CHALLENGE_MALFORMED, "The header names no tenant."),
    Scenario("challenge_no_host", "challenge_no_host", _VAULT, _CHALLENGE, 3203, 3203, _R.CHALLENGE_MALFORMED, "The header names no host."),
    Scenario("challenge_no_resource", "challenge_no_resource", _VAULT, _CHALLENGE, 3206, 3206, _R.CHALLENGE_MALFORMED, "The header names no resource."),
    Scenario("challenge_open_resource", "challenge_open_resource", _VAULT, _CHALLENGE, 3207, 3207, _R.CHALLENGE_MALFORMED, "The header's last quote is missing."),
    Scenario("foreign_authority", "foreign_authority", _VAULT, _CHALLENGE, 3001, 3001, _R.AUTHORITY_UNTRUSTED, "An attacker tries to obtain the secret."),
    Scenario("foreign_resource", "foreign_resource", _VAULT, _CHALLENGE, 3001, 3001, _R.RESOURCE_MISMATCH, "An attacker tries to obtain a token for another service."),
    Scenario("challenge_forbidden", "status", _VAULT, _CHALLENGE, 3077, 3113, _R.FORBIDDEN, "A gateway refuses the request before the vault.", Options(status=403)),
    Scenario("challenge_not_found", "status", _VAULT, _CHALLENGE, 3076, 3112, _R.NOT_FOUND, "A gateway does not serve this host.", Options(status=404)),
    Scenario("challenge_throttled", "status", _VAULT, _CHALLENGE, 3011, 3109, _R.THROTTLED, "A gateway throttles the first request.", Options(status=429)),
    Scenario("challenge_bad_request", "status", _VAULT, _CHALLENGE, 3012, 3110, _R.BAD_REQUEST, "Another service rejects the request as malformed.", Options(status=400)),
    Scenario("challenge_conflict", "status", _VAULT, _CHALLENGE, 3012, 3110, _R.CONFLICT, "Another service returns 409 for the first request.", Options(status=409)),
    Scenario("challenge_teapot", "status", _VAULT, _CHALLENGE, 3012, 3110, _R.CLIENT_ERROR, "A gateway returns its own status.", Options(status=418)),
    Scenario("challenge_unavailable", "html_unavailable", _VAULT, _CHALLENGE, 3013, 3111, _R.SERVER_ERROR, "A gateway returns its error page."),
    # Entra
    Scenario("secret_expired", "secret_expired", _APPLICATION, _TOKEN, 3303, 3303, _R.SECRET_EXPIRED, "The client secret expired and was not renewed."),
    Scenario("secret_wrong", "secret_wrong", _APPLICATION, _TOKEN, 3303, 3303, _R.SECRET_WRONG, "The secret was changed in Entra but not in SQL Server."),
    Scenario("certificate_unknown", "certificate_unknown", _APPLICATION, _TOKEN, 3303, 3303, _R.CERTIFICATE_UNKNOWN, "The certificate was never registered."),
    Scenario("federation_issuer", "federation_issuer", _APPLICATION, _TOKEN, 3303, 3303, _R.FEDERATION_UNMATCHED, "The pod's cluster was rebuilt, and its tokens have another issuer."),
    Scenario("federation_subject", "federation_subject", _APPLICATION, _TOKEN, 3303, 3303, _R.FEDERATION_UNMATCHED, "The pod runs under another service account."),
    Scenario("clock_skew", "assertion_outside_validity", _APPLICATION, _TOKEN, 3303, 3303, _R.CLOCK_SKEW, "The host's clock is wrong by minutes."),
    Scenario("certificate_refused", "certificate_refused", _APPLICATION, _TOKEN, 3303, 3303, _R.CERTIFICATE_UNKNOWN, "The certificate's issuer is not allowed."),
    Scenario("certificate_expired", "certificate_expired", _APPLICATION, _TOKEN, 3303, 3303, _R.CERTIFICATE_EXPIRED, "The certificate has expired."),
    Scenario("certificate_key_expired", "certificate_key_expired", _APPLICATION, _TOKEN, 3303, 3303, _R.CERTIFICATE_EXPIRED, "The certificate has expired, and only the sentence names it."),
    Scenario("certificate_revoked", "certificate_revoked", _APPLICATION, _TOKEN, 3303, 3303, _R.CERTIFICATE_REFUSED, "The certificate was revoked."),
    Scenario("federation_unreachable", "federation_unreachable", _APPLICATION, _TOKEN, 3128, 3128, _R.FEDERATION_UNREACHABLE, "The cluster's issuer is not reachable from the internet."),
    Scenario("secret_wrong_by_sentence", "secret_wrong_by_sentence", _APPLICATION, _TOKEN, 3303, 3303, _R.SECRET_WRONG, "The secret is wrong, and only the sentence names it."),
    Scenario("assertion_late_by_sentence", "assertion_late_by_sentence", _APPLICATION, _TOKEN, 3303, 3303, _R.CLOCK_SKEW, "The clock is wrong, and only the sentence names it."),
    Scenario("assertion_refused", "assertion_refused", _APPLICATION, _TOKEN, 3303, 3303, _R.CERTIFICATE_UNKNOWN, "The assertion has an unknown signature, and an older number."),
    Scenario("credential_invalid", "credential_invalid", _APPLICATION, _TOKEN, 3303, 3303, _R.CREDENTIALS_REFUSED, "Entra refuses the sign-in with a number that names no cause."),
    Scenario("refusal_unknown", "refusal_unknown", _APPLICATION, _TOKEN, 3303, 3303, _R.SIGN_IN_REFUSED, "Entra refuses the credential with a number that no rule names."),
    Scenario("credentials_refused", "status", _APPLICATION, _TOKEN, 3303, 3303, _R.CREDENTIALS_REFUSED, "Entra refuses the sign-in without a number.", Options(status=401)),
    Scenario("portal_unauthorized", "html_unauthorized", _APPLICATION, _TOKEN, 3303, 3303, _R.ANSWER_NOT_JSON, "A proxy requests a login with its page."),
    Scenario("application_unknown", "application_unknown", _APPLICATION, _TOKEN, 3128, 3128, _R.APPLICATION_UNKNOWN, "The application was deleted."),
    Scenario("application_not_found", "application_not_found", _APPLICATION, _TOKEN, 3128, 3128, _R.APPLICATION_UNKNOWN, "The application is unknown, and the number is an older one."),
    Scenario("application_disabled_by_sentence", "application_disabled_by_sentence", _APPLICATION, _TOKEN, 3128, 3128, _R.APPLICATION_DISABLED, "The application is disabled, and only the sentence names it."),
    Scenario("application_not_in_tenant", "application_not_in_tenant", _APPLICATION, _TOKEN, 3303, 3303, _R.APPLICATION_NOT_IN_TENANT, "The application has no service principal in the vault's tenant."),
    Scenario("application_id_invalid", "application_id_invalid", _APPLICATION, _TOKEN, 3128, 3128, _R.APPLICATION_ID_INVALID, "The client id does not belong to an application."),
    Scenario("application_disabled", "application_disabled", _APPLICATION, _TOKEN, 3128, 3128, _R.APPLICATION_DISABLED, "The application was disabled."),
    Scenario("tenant_unknown", "tenant_unknown", _APPLICATION, _TOKEN, 3128, 3128, _R.TENANT_UNKNOWN, "The tenant does not exist."),
    Scenario("tenant_malformed", "tenant_malformed", _APPLICATION, _TOKEN, 3128, 3128, _R.TENANT_UNKNOWN, "The tenant is misspelt."),
    Scenario("tenant_unnamed", "tenant_unnamed", _APPLICATION, _TOKEN, 3128, 3128, _R.TENANT_UNKNOWN, "The sign-in names no tenant."),
    Scenario("tenant_blocked", "tenant_blocked", _APPLICATION, _TOKEN, 3128, 3128, _R.TENANT_BLOCKED, "The tenant was deactivated."),
    Scenario("tenant_restricted", "tenant_restricted", _APPLICATION, _TOKEN, 3128, 3128, _R.TENANT_RESTRICTED, "The company's proxy permits other tenants only."),
    Scenario("tenant_forbidden", "tenant_forbidden", _APPLICATION, _TOKEN, 3128, 3128, _R.TENANT_RESTRICTED, "A cross-tenant policy does not permit the vault's tenant."),
    Scenario("resource_principal_missing", "resource_principal_missing", _APPLICATION, _TOKEN, 3128, 3128, _R.RESOURCE_PRINCIPAL_MISSING, "The tenant never used Key Vault."),
    Scenario("resource_principal_disabled", "resource_principal_disabled", _APPLICATION, _TOKEN, 3128, 3128, _R.RESOURCE_PRINCIPAL_DISABLED, "An administrator disabled Key Vault in the tenant."),
    Scenario("conditional_access", "conditional_access", _APPLICATION, _TOKEN, 3128, 3128, _R.CONDITIONAL_ACCESS, "A policy allows only other addresses."),
    Scenario("conditional_access_second", "conditional_access_second", _APPLICATION, _TOKEN, 3128, 3128, _R.CONDITIONAL_ACCESS, "A policy blocks the sign-in, and its number is the second in the list."),
    Scenario("policy_decision", "policy_decision", _APPLICATION, _TOKEN, 3128, 3128, _R.CONDITIONAL_ACCESS, "A policy blocks the sign-in without a number of its own."),
    Scenario("outdated_tls", "outdated_tls", _APPLICATION, _TOKEN, 3128, 3128, _R.OUTDATED_TLS, "A proxy that inspects TLS connects to Entra with TLS 1.0."),
    Scenario("method_changed", "method_changed", _APPLICATION, _TOKEN, 3128, 3128, _R.METHOD_CHANGED, "A proxy follows a redirect and repeats the POST as a GET."),
    Scenario("secret_of_identity", "secret_of_identity", _APPLICATION, _TOKEN, 3303, 3303, _R.SECRET_OF_IDENTITY, "The credential names a managed identity and has a secret."),
    Scenario("application_without_credential", "application_without_credential", _APPLICATION, _TOKEN, 3303, 3303, _R.APPLICATION_WITHOUT_CREDENTIAL, "Every secret and certificate of the application was removed."),
    Scenario("assignment_required", "assignment_required", _APPLICATION, _TOKEN, 3128, 3128, _R.ASSIGNMENT_REQUIRED, "An administrator requires an assignment for Key Vault."),
    Scenario("sign_in_of_person", "sign_in_of_person", _APPLICATION, _TOKEN, 3128, 3128, _R.SIGN_IN_OF_PERSON, "The chain of identities signs in as a person."),
    Scenario("number_unknown", "number_unknown", _APPLICATION, _TOKEN, 3128, 3128, _R.SIGN_IN_REFUSED, "Entra rejects the sign-in with a number that no rule names."),
    Scenario("wrong_cloud", "wrong_cloud", _APPLICATION, _TOKEN, 3128, 3128, _R.WRONG_CLOUD, "The sign-in host belongs to another cloud."),
    Scenario("sign_in_unclear", "status", _APPLICATION, _TOKEN, 3128, 3128, _R.BAD_REQUEST, "Entra rejects the sign-in as malformed, without a number.", Options(status=400)),
    Scenario("sign_in_forbidden", "status", _APPLICATION, _TOKEN, 3077, 3113, _R.FORBIDDEN, "A gateway forbids the sign-in.", Options(status=403)),
    Scenario("sign_in_not_found", "status", _APPLICATION, _TOKEN, 3076, 3112, _R.NOT_FOUND, "The sign-in host is not Entra.", Options(status=404)),
    Scenario("sign_in_conflict", "status", _APPLICATION, _TOKEN, 3012, 3110, _R.CONFLICT, "Another service returns 409 for the sign-in.", Options(status=409)),
    Scenario("sign_in_teapot", "status", _APPLICATION, _TOKEN, 3012, 3110, _R.CLIENT_ERROR, "A gateway returns its own status for the sign-in.", Options(status=418)),
    Scenario("sign_in_throttled", "status", _APPLICATION, _TOKEN, 3011, 3109, _R.THROTTLED, "A gateway throttles sign-ins with a Retry-After.", Options(status=429, retry_after=7)),
    Scenario("entra_busy", "status", _APPLICATION, _TOKEN, 3011, 3109, _R.THROTTLED, "Entra is busy and returns no number.", Options(status=429, body='{"error":"temporarily_unavailable"}')),
    Scenario("entra_transient", "entra_transient", _APPLICATION, _TOKEN, 3128, 3128, _R.ENTRA_UNAVAILABLE, "Entra has a temporary failure and returns 400."),
    Scenario("entra_throttled", "entra_throttled", _APPLICATION, _TOKEN, 3011, 3109, _R.THROTTLED, "The tenant sends too many requests."),
    Scenario("entra_unavailable", "entra_unavailable", _APPLICATION, _TOKEN, 3013, 3111, _R.ENTRA_UNAVAILABLE, "Entra is unavailable."),
    Scenario("entra_internal", "entra_internal", _APPLICATION, _TOKEN, 3013, 3111, _R.ENTRA_UNAVAILABLE, "Entra has an internal error."),
    Scenario("portal_unavailable", "html_unavailable", _APPLICATION, _TOKEN, 3013, 3111, _R.ENTRA_UNAVAILABLE, "A proxy returns its error page for the sign-in."),
    # the vault refuses
    Scenario("token_rejected", "vault_token_unknown", _VAULT, _GET, 3010, 3108, _R.TOKEN_REJECTED, "The vault rejects the token."),
    Scenario("token_signature", "vault_token_signature", _VAULT, _GET, 3010, 3108, _R.TOKEN_UNVERIFIABLE, "The vault cannot verify tokens at the moment."),
    Scenario("token_expired", "vault_token_expired", _VAULT, _GET, 3010, 3108, _R.TOKEN_EXPIRED, "The clock of the vault's host or of this one is wrong."),
    Scenario("token_revoked", "vault_token_revoked", _VAULT, _GET, 3010, 3108, _R.TOKEN_REVOKED, "Continuous access evaluation revokes the token."),
    Scenario("nsp_forbidden", "vault_forbidden_nsp", _VAULT, _GET, 3077, 3113, _R.FORBIDDEN_NSP, "The vault joined a network security perimeter without a rule for this network."),
    Scenario("deny_assignment", "vault_forbidden_deny_assignment", _VAULT, _GET, 3077, 3113, _R.FORBIDDEN_DENY_ASSIGNMENT, "A managed application denies access to its vault."),
    Scenario("vault_not_found", "vault_vault_not_found", _VAULT, _GET, 3076, 3112, _R.VAULT_NOT_FOUND, "The vault was deleted, and its name still resolves."),
    Scenario("firewall_by_sentence", "vault_firewall_by_sentence", _VAULT, _GET, 3077, 3113, _R.FORBIDDEN_FIREWALL, "The vault's firewall lacks this address, and the response has no inner code."),
    Scenario("connection_by_sentence", "vault_connection_by_sentence", _VAULT, _GET, 3077, 3113, _R.FORBIDDEN_CONNECTION, "Public access is disabled, and the response has no inner code."),
    Scenario("connection_not_approved", "vault_connection_not_approved", _VAULT, _GET, 3077, 3113, _R.FORBIDDEN_CONNECTION, "The private link is not approved, and the response has no inner code."),
    Scenario("disabled_by_sentence", "vault_disabled_by_sentence", _VAULT, _UNWRAP, 3077, 3113, _R.KEY_DISABLED, "The key is disabled, and the response has no inner code."),
    Scenario("hsm_role_missing", "vault_hsm_access_denied", _VAULT, _GET, 3077, 3113, _R.FORBIDDEN_RBAC, "The Managed HSM has no role assignment for the application."),
    Scenario("page_forbidden", "html_forbidden", _VAULT, _GET, 3077, 3113, _R.ANSWER_NOT_JSON, "A proxy that inspects TLS blocks the request with its page."),
    Scenario("text_forbidden", "text_forbidden", _VAULT, _GET, 3077, 3113, _R.ANSWER_NOT_JSON, "A firewall on the route blocks the request with a plain text."),
    Scenario("policy_by_sentence", "vault_policy_by_sentence", _VAULT, _GET, 3077, 3113, _R.FORBIDDEN_POLICY, "The application is in no access policy, and the inner code names none."),
    Scenario("firewall_private", "vault_firewall_private", _VAULT, _GET, 3077, 3113, _R.FORBIDDEN_FIREWALL, "The request reaches the vault's firewall from a private address."),
    Scenario("operation_by_sentence", "vault_operation_by_sentence", _VAULT, _UNWRAP, 3077, 3113, _R.KEY_OPERATION_FORBIDDEN, "The key's operations lack unwrapKey, and the response has no inner code."),
    Scenario("token_wrong_audience", "vault_token_audience", _VAULT, _GET, 3305, 3305, _R.TOKEN_WRONG_AUDIENCE, "The token is for another service."),
    Scenario("token_wrong_issuer", "vault_token_issuer", _VAULT, _GET, 3305, 3305, _R.TOKEN_WRONG_ISSUER, "The token and the vault belong to different tenants."),
    Scenario("token_for_other_service", "token_for_other_service", _APPLICATION, _GET, 3305, 3305, _R.TOKEN_WRONG_AUDIENCE, "Entra issues a token for another service than the requested one."),
    Scenario("token_of_other_tenant", "token_of_other_tenant", _APPLICATION, _GET, 3305, 3305, _R.TOKEN_WRONG_ISSUER, "Entra issues a token of another tenant."),
    Scenario("token_ended", "token_ended", _APPLICATION, _GET, 3010, 3108, _R.TOKEN_REJECTED, "The token has already expired."),
    Scenario("vault_in_other_tenant", "vault_in_other_tenant", _VAULT, _GET, 3305, 3305, _R.TOKEN_WRONG_ISSUER, "The subscription moved to another tenant, and the vault with it."),
    Scenario("wrap_token_rejected", "vault_token_unknown", _VAULT, _WRAP, 3010, 3108, _R.TOKEN_REJECTED, "The vault rejects the token at the wrap."),
    Scenario("unwrap_token_rejected", "vault_token_unknown", _VAULT, _UNWRAP, 3010, 3108, _R.TOKEN_REJECTED, "The vault rejects the token at the unwrap."),
    Scenario("wrap_wrong_audience", "vault_token_audience", _VAULT, _WRAP, 3305, 3305, _R.TOKEN_WRONG_AUDIENCE, "Another node handles the wrap and expects another audience."),
    Scenario("unwrap_wrong_audience", "vault_token_audience", _VAULT, _UNWRAP, 3305, 3305, _R.TOKEN_WRONG_AUDIENCE, "Another node handles the unwrap and expects another audience."),
    Scenario("wrap_wrong_issuer", "vault_token_issuer", _VAULT, _WRAP, 3305, 3305, _R.TOKEN_WRONG_ISSUER, "Another node handles the wrap and expects another issuer."),
    Scenario("unwrap_wrong_issuer", "vault_token_issuer", _VAULT, _UNWRAP, 3305, 3305, _R.TOKEN_WRONG_ISSUER, "Another node handles the unwrap and expects another issuer."),
    Scenario("get_forbidden", "permission_removed", _VAULT, _GET, 3077, 3113, _R.FORBIDDEN_POLICY, "The access policy lost get.", Options(operation="get")),
    Scenario("wrap_forbidden", "permission_removed", _VAULT, _WRAP, 3077, 3113, _R.FORBIDDEN_POLICY, "The access policy lost wrapKey.", Options(operation="wrapKey")),
    Scenario("unwrap_forbidden", "permission_removed", _VAULT, _UNWRAP, 3077, 3113, _R.FORBIDDEN_POLICY, "The access policy lost unwrapKey: backups fail, and a restart leaves databases closed."),
    Scenario("role_removed", "role_removed", _VAULT, _GET, 3077, 3113, _R.FORBIDDEN_RBAC, "A cleanup removed the role assignment.", Options(operation="get")),
    Scenario("wrap_role_removed", "role_removed", _VAULT, _WRAP, 3077, 3113, _R.FORBIDDEN_RBAC, "The role only permits reading.", Options(operation="wrapKey")),
    Scenario("unwrap_role_removed", "role_removed", _VAULT, _UNWRAP, 3077, 3113, _R.FORBIDDEN_RBAC, "The role no longer permits unwrapKey."),
    Scenario("firewall", "firewall", _VAULT, _GET, 3077, 3113, _R.FORBIDDEN_FIREWALL, "The vault's firewall lost this address."),
    Scenario("private_only", "private_only", _VAULT, _GET, 3077, 3113, _R.FORBIDDEN_CONNECTION, "Public access is off, and the private endpoint is not used."),
    Scenario("forbidden", "vault_forbidden", _VAULT, _GET, 3077, 3113, _R.FORBIDDEN, "The vault refuses without a reason."),
    Scenario("wrap_refused", "vault_forbidden", _VAULT, _WRAP, 3077, 3113, _R.FORBIDDEN, "The vault refuses the wrap without a reason."),
    Scenario("unwrap_denied", "vault_forbidden", _VAULT, _UNWRAP, 3077, 3113, _R.FORBIDDEN, "The vault refuses the unwrap without a reason."),
    Scenario("bad_parameter", "vault_bad_parameter", _VAULT, _GET, 3012, 3110, _R.BAD_REQUEST, "The vault rejects the request as malformed."),
    Scenario("conflict", "vault_conflict", _VAULT, _GET, 3012, 3110, _R.CONFLICT, "Another client is changing the key."),
    Scenario("wrap_bad_parameter", "vault_bad_parameter", _VAULT, _WRAP, 3012, 3110, _R.BAD_REQUEST, "The vault does not support the algorithm."),
    Scenario("wrap_conflict", "vault_conflict", _VAULT, _WRAP, 3012, 3110, _R.CONFLICT, "Another client is changing the key at the wrap."),
    Scenario("unwrap_conflict", "vault_conflict", _VAULT, _UNWRAP, 3012, 3110, _R.CONFLICT, "Another client is changing the key at the unwrap."),
    Scenario("get_teapot", "status", _VAULT, _GET, 3012, 3110, _R.CLIENT_ERROR, "A gateway returns its own status instead of the key.", Options(status=418)),
    Scenario("wrap_teapot", "status", _VAULT, _WRAP, 3012, 3110, _R.CLIENT_ERROR, "A gateway returns its own status for the wrap.", Options(status=418)),
    Scenario("unwrap_teapot", "status", _VAULT, _UNWRAP, 3012, 3110, _R.CLIENT_ERROR, "A gateway returns its own status for the unwrap.", Options(status=418)),
    Scenario("throttled", "throttled", _VAULT, _GET, 3011, 3109, _R.THROTTLED, "The vault throttles without a Retry-After."),
    Scenario("throttled_retry_after", "throttled", _VAULT, _GET, 3011, 3109, _R.THROTTLED, "The vault throttles with a Retry-After.", Options(retry_after=7)),
    Scenario("wrap_throttled", "throttled", _VAULT, _WRAP, 3011, 3109, _R.THROTTLED, "The vault throttles the wrap."),
    Scenario("unwrap_throttled", "throttled", _VAULT, _UNWRAP, 3011, 3109, _R.THROTTLED, "The vault throttles the unwrap."),
    Scenario("vault_internal", "vault_internal", _VAULT, _GET, 3013, 3111, _R.SERVER_ERROR, "The vault has an internal error."),
    Scenario("vault_bad_gateway", "vault_bad_gateway", _VAULT, _GET, 3013, 3111, _R.SERVER_ERROR, "A gateway cannot reach the vault."),
    Scenario("vault_unavailable", "vault_unavailable", _VAULT, _WRAP, 3013, 3111, _R.SERVER_ERROR, "The vault is unavailable at the wrap."),
    Scenario("unwrap_gateway_timeout", "vault_gateway_timeout", _VAULT, _UNWRAP, 3013, 3111, _R.SERVER_ERROR, "The vault times out at the unwrap."),
    # the key
    Scenario("key_soft_deleted", "key_soft_deleted", _VAULT, _GET, 3076, 3112, _R.KEY_SOFT_DELETED, "The key was deleted and can be recovered."),
    Scenario("key_soft_deleted_unreadable", "key_soft_deleted_unreadable", _VAULT, _GET, 3076, 3112, _R.KEY_NOT_FOUND, "The key was deleted, and the caller may not read deleted keys."),
    Scenario("key_purged", "key_purged", _VAULT, _GET, 3076, 3112, _R.KEY_NOT_FOUND, "The key was purged."),
    Scenario("version_missing", "versions_replaced", _VAULT, _GET, 3076, 3112, _R.KEY_NOT_FOUND, "The pinned version is gone; only a newer one exists."),
    Scenario("nothing_there", "vault_not_found", _VAULT, _GET, 3076, 3112, _R.NOT_FOUND, "Another service answers at the vault's address."),
    Scenario("wrap_nothing_there", "vault_not_found", _VAULT, _WRAP, 3076, 3112, _R.NOT_FOUND, "A gateway allows only GET."),
    Scenario("unwrap_nothing_there", "vault_not_found", _VAULT, _UNWRAP, 3076, 3112, _R.NOT_FOUND, "A gateway does not forward the unwrap."),
    Scenario("wrap_key_gone", "vault_key_not_found", _VAULT, _WRAP, 3076, 3112, _R.KEY_NOT_FOUND, "The key is deleted between two requests."),
    Scenario("unwrap_key_gone", "vault_key_not_found", _VAULT, _UNWRAP, 3076, 3112, _R.KEY_NOT_FOUND, "The key is deleted just before the unwrap."),
    Scenario("key_disabled_unreadable", "vault_key_disabled", _VAULT, _GET, 3077, 3113, _R.KEY_DISABLED, "The disabled version cannot be read."),
    Scenario("key_disabled_unwrap", "vault_key_disabled", _VAULT, _UNWRAP, 3077, 3113, _R.KEY_DISABLED, "The disabled version wraps but does not unwrap."),
    Scenario("key_disabled_without_reason", "key_disabled_without_reason", _VAULT, _WRAP, 3077, 3113, _R.KEY_DISABLED, "The key is disabled, and the refusal names a policy."),
    Scenario("key_expired_without_reason", "key_expired_without_reason", _VAULT, _WRAP, 3077, 3113, _R.KEY_EXPIRED, "The key has expired, and the refusal names a policy."),
    Scenario("key_not_yet_valid_without_reason", "key_not_yet_valid_without_reason", _VAULT, _WRAP, 3077, 3113, _R.KEY_NOT_YET_VALID, "The key is not yet valid, and the refusal names a policy."),
    Scenario("key_disabled", "key_disabled", _VAULT, _WRAP, 3077, 3113, _R.KEY_DISABLED, "The key version was disabled."),
    Scenario("key_expired", "key_expired", _VAULT, _WRAP, 3077, 3113, _R.KEY_EXPIRED, "The key has expired: databases still open, rotation fails."),
    Scenario("key_not_yet_valid", "key_not_yet_valid", _VAULT, _WRAP, 3077, 3113, _R.KEY_NOT_YET_VALID, "The key is not yet valid."),
    Scenario("wrap_not_in_key_ops", "key_operation_removed", _VAULT, _WRAP, 3077, 3113, _R.KEY_OPERATION_FORBIDDEN, "The key was created without wrapKey.", Options(operation="wrapKey")),
    Scenario("unwrap_not_in_key_ops", "key_operation_removed", _VAULT, _UNWRAP, 3077, 3113, _R.KEY_OPERATION_FORBIDDEN, "The key was created without unwrapKey."),
    Scenario("key_4096_bits", "key_size", _VAULT, _GET, 3, 3, _R.KEY_UNSUPPORTED, "The connector does not support this size.", Options(bits=4096)),
    Scenario("key_ec", "key_type_ec", _VAULT, _GET, 3, 3, _R.KEY_UNSUPPORTED, "The key is an EC key."),
    Scenario("key_oct_hsm", "key_type_oct_hsm", _VAULT, _GET, 3, 3, _R.KEY_UNSUPPORTED, "The key is a symmetric HSM key."),
    Scenario("key_1024_bits", "key_size", _VAULT, _GET, 3, 3, _R.KEY_UNSUPPORTED, "The key is older than today's minimum size.", Options(bits=1024)),
    # the round trip
    Scenario("unwrap_refused", "cannot_unwrap", _VAULT, _UNWRAP, 3012, 3110, _R.BAD_REQUEST, "The vault rejects the bytes to unwrap as malformed."),
    Scenario("wrapped_elsewhere", "wrapped_elsewhere", _VAULT, _UNWRAP, 3012, 3110, _R.BAD_REQUEST, "The bytes were wrapped under another version.", Options(step=_WRAP)),
    # bodies that are not a JSON object
    *_at_each(_BODIES[:1], "empty", _EMPTY, None, _R.ANSWER_NOT_JSON, "The body is empty instead of {awaited}."),
    *_at_each(_BODIES[1:], "empty", _EMPTY, None, _R.ANSWER_EMPTY, "The body is empty instead of {awaited}."),
    *_at_each(_BODIES[1:], "whitespace", _EMPTY, None, _R.ANSWER_EMPTY, "Blanks arrive instead of {awaited}."),
    *_at_each(_BODIES, "not_json", _NOT_JSON, None, _R.ANSWER_NOT_JSON, "Truncated JSON arrives instead of {awaited}."),
    *_at_each(_BODIES, "html", _NOT_JSON, None, _R.ANSWER_NOT_JSON, "A captive portal sends its page instead of {awaited}."),
    *_at_each(_BODIES, "json_list", _NOT_JSON, None, _R.ANSWER_NOT_JSON, "A JSON list arrives instead of {awaited}."),
    *_at_each(_BODIES, "json_text", _NOT_JSON, None, _R.ANSWER_NOT_JSON, "A JSON string arrives instead of {awaited}."),
    *_at_each(_BODIES, "json_number", _NOT_JSON, None, _R.ANSWER_NOT_JSON, "A JSON number arrives instead of {awaited}."),
    *_at_each(_BODIES, "json_null", _NOT_JSON, None, _R.ANSWER_NOT_JSON, "The JSON value null arrives instead of {awaited}."),
    *_at_each(_BODIES, "json_pair", _NOT_JSON, None, _R.ANSWER_NOT_JSON, "Two JSON objects arrive instead of {awaited}."),
    *_at_each(_BODIES, "json_deep", _NOT_JSON, None, _R.ANSWER_NOT_JSON, "JSON nested 100,000 deep arrives instead of {awaited}."),
    *_at_each(_BODIES, "json_huge_number", _NOT_JSON, None, _R.ANSWER_NOT_JSON, "A number of 100,000 digits arrives with {awaited}."),
    *_at_each(_BODIES, "nul_bytes", _NOT_JSON, None, _R.ANSWER_NOT_JSON, "NUL bytes arrive with {awaited}."),
    *_at_each(_BODIES, "not_utf8", _NOT_JSON, None, _R.ANSWER_NOT_JSON, "Bytes that are not UTF-8 arrive with {awaited}."),
    *_at_each(_BODIES, "broken_gzip", _NOT_JSON, None, _R.ANSWER_NOT_JSON, "Truncated gzip arrives instead of {awaited}."),
    # the token
    *_member(_TOKEN, "token", "token", "The token", 3306, _R.ANSWER_INCOMPLETE, _INCOMPLETE | _TWICE),
    *_member(_TOKEN, "token", "token", "The token", 3308, _R.ANSWER_MALFORMED, _MALFORMED),
    # the key
    *_member(_GET, "key", "key", "The key", 3405, _R.ANSWER_INCOMPLETE, _INCOMPLETE | _TWICE),
    *_member(_GET, "kid", "kid", "The key's id", 3406, _R.ANSWER_INCOMPLETE, _INCOMPLETE),
    *_member(_GET, "kid", "kid", "The key's id", 3412, _R.ANSWER_MALFORMED, _MALFORMED),
    *_member(_GET, "kty", "kty", "The key's type", 3407, _R.ANSWER_INCOMPLETE, _INCOMPLETE),
    *_member(_GET, "kty", "kty", "The key's type", 3, _R.KEY_UNSUPPORTED, _MALFORMED),
    *_member(_GET, "modulus", "n", "The key's modulus", 3408, _R.ANSWER_INCOMPLETE, _INCOMPLETE),
    *_member(_GET, "modulus", "n", "The key's modulus", 3409, _R.ANSWER_MALFORMED, _MALFORMED),
    *_member(_GET, "exponent", "e", "The key's exponent", 3410, _R.ANSWER_INCOMPLETE, _INCOMPLETE),
    *_member(_GET, "exponent", "e", "The key's exponent", 3411, _R.ANSWER_MALFORMED, _MALFORMED),
    # the wrapped and unwrapped values
    *_member(_WRAP, "wrap", "value", "The wrapped value", 3608, _R.ANSWER_INCOMPLETE, _INCOMPLETE | _TWICE),
    *_member(_WRAP, "wrap", "value", "The wrapped value", 3606, _R.ANSWER_MALFORMED, _MALFORMED),
    *_member(_UNWRAP, "unwrap", "value", "The unwrapped value", 3708, _R.ANSWER_INCOMPLETE, _INCOMPLETE | _TWICE),
    *_member(_UNWRAP, "unwrap", "value", "The unwrapped value", 3706, _R.ANSWER_MALFORMED, _MALFORMED),
    Scenario("other_bytes", "other_bytes", _VAULT, _UNWRAP, 1, 1, _R.BYTES_DIFFER, "The unwrapped bytes differ from the original."),
)  # fmt: skip
BY_NAME: Mapping[str, Scenario] = MappingProxyType({scenario.name: scenario for scenario in SCENARIOS})
SIMULATED: tuple[Scenario, ...] = tuple(scenario for scenario in SCENARIOS if scenario.fault is not None)
"""The scenarios that the simulator can cause, in order."""

# What the simulator assumes where the behaviour of Azure or SQL Server is not documented.

ASSUMPTIONS: tuple[str, ...] = (
    (
        "An expired or not yet valid key refuses the wrap with 403 (documented) and the inner codes `KeyExpired` and "
        "`KeyNotYetValid` (not documented)."
    ),
    "A disabled key refuses the wrap too (that it refuses the unwrap is known).",
    "A request for an operation that is missing in `key_ops` gets the inner code `KeyOperationForbidden`.",
    "AADSTS700016, 90002, 7000112 and 53003 have HTTP 400.",
    (
        "An expired certificate is AADSTS1000502, an assertion for another application 700021, and one for another "
        "address 700023, all with HTTP 401."
    ),
    (
        "An identity service returns 400 for an unknown identity, with `invalid_request` on a VM and on Azure Arc. "
        "Azure Arc also returns 400 for a request without `Metadata: true`."
    ),
    (
        "Entra refuses a service account's token with HTTP 401 and AADSTS700211 (issuer), 700213 (subject), 700212 "
        "(audience), 700024 (times) or 700027 (signature). All of them except 700212 have been reported. Before 2024 "
        "the first three were 70021 with HTTP 400, as in the fault `federation_unmatched`."
    ),
    (
        "Microsoft Graph throttles with the code `TooManyRequests` and a Retry-After of 10 seconds. It names a "
        "certificate by the Base64 of its SHA-1 thumbprint. The expiry of a simulated secret without one is 2099."
    ),
    (
        "`xp_regread` and `xp_regenumkeys` report a missing entry as information message 22001 without rows; their "
        "columns have the names `Value`, `Data` and `SubKey`."
    ),
    (
        "The connector keeps a token until 75 minutes after the sign-in, also when the secret in SQL Server changes, "
        "and no answer of the vault; a start of the service forgets it."
    ),
    (
        "A database whose virtual log file (VLF) cannot be made stays online and writes nothing; a secondary replica sends no request of its own."
    ),
    (
        "Each failed backup writes the message 3041, and 18204 if its device failed; a login without a credential writes no line "
        "with a provider's code."
    ),
    "SQL Server shows a public key as PUBLICKEYBLOB of the Windows CryptoAPI.",
    "A caller can have the right to read keys without the right to read deleted keys (403 at `/deletedkeys`).",
    (
        "A missing secret has an empty list of versions; versions are in the order of their names, 25 on a page; the "
        "link to the next page names port 443."
    ),
)
