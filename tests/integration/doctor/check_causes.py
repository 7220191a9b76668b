"""The table of causes that make a check fail.

A cause is a real fault at the simulator, in a file, in a clock or in the network.
"""

import time
from dataclasses import dataclass
from datetime import UTC, date, datetime, timedelta

from exporter.config.settings import ExpectPath, Proxy
from exporter.knowledge.checks_vault import CheckOutcome
from exporter.simulator.faults import Options
from tests.support.broken_credentials import closed_port
from tests.support.doctor_simulated import CLIENT, ENTRA, KEY, OLD, PINNED, SECRET, VAULT
from tests.support.inspecting_proxy import COMPANY, CRL, OCSP, inspecting, write_certificates
from tests.support.values import replace

_DIGITS = CLIENT.replace("-", "")


@dataclass(frozen=True)
class Cause:
    """`code` is the classic one. `text` is a part of the detail or of the fix."""

    check: str
    how: str
    cause: object
    code: int | None
    text: str = ""
    outcome: CheckOutcome = CheckOutcome.FAIL
    effect: str = "do not restart"  # a part of the last text, for a failure
    contradicted: str = ""  # a check that warns because this one proves its date wrong


def scenario(name, **on):
    async def cause(harness, _stack):
        harness.simulator.apply(name, **(on or {"vault": VAULT}))

    return cause


def fault(name, **given):
    """A fault with options, on the vault unless something else is named."""

    async def cause(harness, _stack):
        options = dict(given)
        place = {scope: options.pop(scope) for scope in ("authority", "application") if scope in options} or {"vault": VAULT}
        harness.simulator.set_fault(name, Options(**options), **place)

    return cause


def module(**changes):
    async def cause(harness, _stack):
        harness.module |= changes

    return cause


def target(**changes):
    async def cause(harness, _stack):
        harness.target = replace(harness.target, **changes)

    return cause


def credential(**changes):
    async def cause(harness, _stack):
        harness.credential = replace(harness.credential, **changes)

    return cause


def typed(text):
    async def cause(harness, _stack):
        harness.typed(text)

    return cause


def clock(ahead):
    async def cause(harness, _stack):
        harness.clock = lambda: time.time() + ahead

    return cause


async def secret_gone(harness, _stack):
    harness.secret_file.unlink()


async def key_ends_soon(harness, _stack):
    soon = time.time() + 5 * 86400
    harness.simulator.state.change_vault(VAULT, lambda vault: vault.with_versions(KEY, PINNED, exp=soon))


def proxy_gone(host):
    """Use a closed port as the proxy for that host alone: `connect_to` bypasses it for the others."""

    async def cause(harness, _stack):
        past = {name: where for name, where in harness.simulator.connect_to.items() if name != f"{host}:443"}
        harness.module |= {"connect_to": past, "proxy": Proxy(url=f"http://127.0.0.1:{closed_port()}")}

    return cause


def inspected(*hosts, trusted=False, revocation=None, company=COMPANY):
    """Inspect TLS to these hosts. `revocation` returns the port of the revocation hosts."""

    async def cause(harness, stack):
        write_certificates(harness.folder, [VAULT, ENTRA], company=company)
        name, port = harness.simulator.address.split(":")
        mine = inspecting(harness.folder / "inspector.pem", (name, int(port)), sni=VAULT)
        here = f"127.0.0.1:{await stack.enter_async_context(mine)}"
        there = harness.simulator.connect_to | {f"{host}:443": here for host in hosts}
        if revocation is not None:
            there |= {f"{host}:80": f"127.0.0.1:{revocation()}" for host in (CRL, OCSP)}
        harness.module["connect_to"] = there
        if trusted:
            harness.module["ca_file"] = harness.folder / "inspector-ca.pem"

    return cause


_WARN = CheckOutcome.WARN
_TODAY = datetime.now(UTC).date()
# Effects of failures that leave databases open.
_CLOCK_IS_WRONG = "Entra accepts a client secret even if the clock is wrong"
_CANNOT_SIGN_IN = "SQL Server cannot sign in with such a string."
_AT_CREATION = "only when a credential or a key is created"
_STILL_OPEN = "Encrypted databases still open."

CAUSES = (
    # Network.
    Cause("proxy_vault", "the port is closed", proxy_gone(VAULT), 3008, "proxy unreachable"),
    Cause("proxy_entra", "the port is closed", proxy_gone(ENTRA), 3008, "proxy unreachable"),
    Cause("dns_vault", "no such name", fault("unresolvable"), 3900, "Resolve-DnsName contoso-prod.vault.azure.net"),
    Cause("dns_entra", "no such name", fault("unresolvable", authority=ENTRA), 3900, "Resolve-DnsName login.microsoftonline.com"),
    Cause("tcp_vault", "the port is closed", fault("refused"), 3008, "connect refused"),
    Cause("tcp_entra", "the port is closed", fault("refused", authority=ENTRA), 3008, "Test-NetConnection login.microsoftonline.com"),
    Cause("issuer_vault", "TLS is inspected", inspected(VAULT), 3008, "'Contoso Inspection CA' of 'Contoso Security'"),
    Cause("issuer_entra", "TLS is inspected", inspected(ENTRA), 3008, "'Contoso Inspection CA' of 'Contoso Security'"),
    Cause("tls_vault", "the certificate has ended", fault("tls_expired"), 3008, "it expired on"),
    Cause("tls_vault", "the certificate has not begun", fault("tls_not_yet_valid"), 3008, "it is valid from"),
    Cause("tls_vault", "the certificate is another host's", fault("tls_wrong_name"), 3008, "it is for"),
    Cause("tls_vault", "no TLS is spoken", fault("plain_http"), 3008, "tls not tls"),
    Cause("tls_entra", "the certificate has ended", fault("tls_expired", authority=ENTRA), 3008, "it expired on"),
    Cause(
        "revocation", "port 80 is closed", inspected(VAULT, ENTRA, trusted=True, revocation=closed_port), None, CRL, outcome=_WARN
    ),
    Cause("path", "public where private is expected", module(expect_path=ExpectPath.PRIVATE), None, "privatelink", effect="over another network path than the module expects."),
    Cause("clock", "six minutes ahead", clock(360), None, "s ahead of", effect=_CLOCK_IS_WRONG),
    Cause("clock", "three minutes ahead", clock(180), None, "w32tm /resync", outcome=_WARN),
    Cause("clock", "Entra rejects the time", fault("assertion_outside_validity", application=CLIENT), 3303, "AADSTS700024"),
    # Sign-in.
    Cause("challenge", "none comes", fault("challenge_absent"), 3017),
    Cause("challenge", "it names no tenant", fault("challenge_no_tenant"), 3203),
    Cause("challenge", "it sends secrets elsewhere", fault("foreign_authority"), 3001, "authority untrusted"),
    Cause("tenant", "the vault is in another one", fault("vault_in_other_tenant"), 3128, "tenantId"),
    Cause("secret", "the file is gone", secret_gone, None, effect="This is the exporter's copy of the secret."),
    Cause("credential_string", "31 characters", typed(_DIGITS[:31]), 2050, "alter-credential.sql"),
    Cause("credential_string", "hyphens in the client id", typed(CLIENT + SECRET), 3128, "hyphens"),
    Cause("credential_string", "121 characters", typed(_DIGITS + "s" * 89), None, "message 33067", effect=_CANNOT_SIGN_IN),
    Cause("token", "the secret has ended", scenario("secret_expired"), 3303, "alter-credential.sql", contradicted="credential_expiry"),
    Cause("token", "the secret is wrong", scenario("secret_wrong"), 3303, "not its id"),
    Cause("token", "the answer holds none", fault("token_missing", application=CLIENT), 3306),
    Cause("audience", "it is for another service", fault("token_for_other_service", application=CLIENT), 3305, "graph.microsoft.com"),
    Cause("audience", "the vault does not take it", fault("token_ended", application=CLIENT), 3010),
    Cause("firewall", "the address is not on the list", fault("firewall"), 3077, "az keyvault network-rule add --name contoso-prod"),
    Cause("firewall", "private endpoints alone", fault("private_only"), 3077, "The vault only accepts private endpoints"),
    Cause("vault_answers", "too many requests", fault("throttled"), 3011),
    Cause("vault_answers", "a wrap without a value", fault("value_missing", at="wrapKey"), 3608, effect=_STILL_OPEN),
    # Key.
    Cause("key_name", "27 characters", target(key_name="K" * 27), 2049, "at most 26", effect=_AT_CREATION),
    Cause("permission_get", "the role is gone", fault("role_removed", operation="get"), 3077, "Key Vault Crypto Service Encryption User"),
    Cause("key_version", "another version is wanted", target(key_version="c" * 32), 3076, "list-versions"),
    Cause("key_version", "the key is deleted", fault("key_soft_deleted"), 3076, "az keyvault key recover --vault-name contoso-prod"),
    Cause("key_type", "4096 bits", fault("key_size", version=PINNED, bits=4096), 3, "RSA 4096", effect=_AT_CREATION),
    Cause("key_enabled", "it is disabled", fault("key_disabled", version=PINNED), 3077, "--enabled true"),
    Cause("key_dates", "it has expired", fault("key_expired", version=PINNED), 3077, "databases still open", outcome=_WARN),
    Cause("key_ops", "it may not wrap", fault("key_operation_removed", operation="wrapKey", version=PINNED), 3077, "wrapKey missing", effect=_STILL_OPEN),
    Cause("permission_wrap", "the role is gone", fault("role_removed", operation="wrapKey"), 3077, "az role assignment create", effect=_STILL_OPEN),
    Cause("permission_unwrap", "the role is gone", fault("role_removed", operation="unwrapKey"), 3077, "az role assignment create"),
    Cause("permission_list", "it is not given", fault("permission_removed", operation="list"), None, "does not need it", outcome=_WARN),
    Cause("round_trip", "other bytes come back", fault("other_bytes"), 1, "bytes differ"),
    Cause("retained_versions", "an old one is disabled", fault("key_disabled", version=OLD), 3077, f"{KEY}/{OLD}", effect="backups that need that key version cannot be restored"),
    Cause("newest_version", "there is a newer one", fault("key_rotated"), None, "PROVIDER_KEY_NAME = 'ContosoRSAKey0/fff", outcome=_WARN),
    Cause("thumbprint", "of the other connector", target(thumbprint="0x" + "00FF" * 10), None, "connector_generation is classic", outcome=_WARN),
    Cause("credential_expiry", "its declared day has passed", credential(expires_on=date(2020, 1, 1)), None, "correct expires_on", outcome=_WARN),
    Cause(
        "credential_expiry", "its day is near", credential(expires_on=_TODAY + timedelta(days=9)), 3303, "--append", outcome=_WARN
    ),
    Cause("key_expiry", "its day is near", key_ends_soon, None, "--expires", outcome=_WARN),
)  # fmt: skip
