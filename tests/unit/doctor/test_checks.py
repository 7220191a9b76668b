"""Preflight checks with evidence that the simulator cannot produce."""

import asyncio
import socket
from dataclasses import replace

import pytest

from exporter.clients.http.network import Resolver
from exporter.config.settings import ExpectPath
from exporter.core.names import Pin
from exporter.core.values import Challenge, CredentialKind, Facts, Fault, Generation, KeyFacts, Outcome, PeerCertificate, Step
from exporter.doctor.collect import absolute_addresses
from exporter.doctor.evidence import Endpoint, HostCertificate
from exporter.doctor.run import as_text, assess_all
from exporter.knowledge.answers import Claims
from exporter.knowledge.checks_vault import CheckOutcome
from exporter.knowledge.expiry import CredentialExpiry, Source
from exporter.knowledge.reasons import Reason
from exporter.knowledge.report import StepResult
from exporter.knowledge.verdict import AuxiliaryKind, AuxiliaryResult
from exporter.runtime.tasks import DaemonThreadPool
from tests.support.doctor_simulated import KEY, OLD, VAULT
from tests.support.factories import a_key
from tests.unit.doctor.test_check_owner import FINE, observed

RESOURCE = "https://vault.azure.net"
TENANT, OTHER = "11111111-2222-3333-4444-555555555555", "0d9e7c5b-3a1f-4e8d-9c6b-7a5f3e1d0b2c"


def evidence(**changes):
    """Evidence of a probe that failed at wrap."""
    whole = replace(observed(Step.WRAP_KEY, Reason.THROTTLED, 3011), granted=True)
    challenge = Challenge(authority="https://login.microsoftonline.com", tenant=TENANT, resource=RESOURCE)
    return replace(whole, **({"challenge": challenge} | changes))


def check(name, **changes):
    results = {result.check: result for result in assess_all(evidence(**changes), again="again")}
    return results[name]


def vault_at(*addresses, facts=None):
    facts = facts or replace(FINE, vault=None)
    return Endpoint(host=VAULT, facts=facts, addresses=addresses, skew=0.0)


@pytest.mark.parametrize(
    ("addresses", "expected", "outcome"),
    [
        (("10.1.2.3",), ExpectPath.PRIVATE, CheckOutcome.PASS),
        (("10.1.2.3", "fd00::1"), ExpectPath.PRIVATE, CheckOutcome.PASS),
        (("20.1.2.3",), ExpectPath.PRIVATE, CheckOutcome.FAIL),
        (("10.1.2.3",), ExpectPath.PUBLIC, CheckOutcome.FAIL),
        (("20.1.2.3",), ExpectPath.PUBLIC, CheckOutcome.PASS),
        (("10.1.2.3", "20.1.2.3"), ExpectPath.PRIVATE, CheckOutcome.UNKNOWN),
        ((), ExpectPath.PRIVATE, CheckOutcome.UNKNOWN),
        ((), ExpectPath.ANY, CheckOutcome.PASS),
        (("fe80::1%eth0",), ExpectPath.ANY, CheckOutcome.PASS),
    ],
)
def test_path_without_header_follows_the_addresses(addresses, expected, outcome):
    path = check("path", vault=vault_at(*addresses), module=replace(evidence().module, expect_path=expected))
    assert (path.outcome, path.code) == (outcome, None)


@pytest.mark.parametrize(
    ("named", "own", "outcome"),
    [
        (TENANT, TENANT.upper(), CheckOutcome.PASS),
        (TENANT, None, CheckOutcome.PASS),
        (TENANT, OTHER, CheckOutcome.FAIL),
        (TENANT, "contoso.onmicrosoft.com", CheckOutcome.UNKNOWN),
        ("contoso.com", "Contoso.com", CheckOutcome.PASS),
        ("contoso.com", TENANT, CheckOutcome.UNKNOWN),
    ],
)
def test_tenants_are_compared_if_of_the_same_kind(named, own, outcome):
    challenge = Challenge(authority="a", tenant=named, resource=RESOURCE)
    result = check("tenant", challenge=challenge, credential=replace(evidence().credential, tenant_id=own))
    assert result.outcome is outcome


@pytest.mark.parametrize(
    ("claims", "outcome"),
    [
        (Claims(audience=RESOURCE + "/", tenant=TENANT, application="a"), CheckOutcome.PASS),
        (Claims(audience="cfa8b339-82a2-471a-a3c9-0fc0be7a4093", tenant=TENANT), CheckOutcome.PASS),
        (Claims(audience="https://graph.microsoft.com"), CheckOutcome.FAIL),
        (Claims(audience=RESOURCE, tenant=OTHER), CheckOutcome.FAIL),
        (Claims(audience=RESOURCE, application="another"), CheckOutcome.FAIL),
        (None, CheckOutcome.UNKNOWN),
    ],
)
def test_audience_checks_resource_tenant_and_application(claims, outcome):
    result = check("audience", claims=claims, secret=replace(evidence().secret, client_id="A"))
    assert result.outcome is outcome
    assert result.code == (3305 if outcome is CheckOutcome.FAIL else None)


@pytest.mark.parametrize(
    ("skews", "outcome"),
    [
        ((119.0, 119.0), CheckOutcome.PASS),
        ((121.0, 125.0), CheckOutcome.WARN),
        ((-301.0, -310.0), CheckOutcome.FAIL),
        ((900.0, 3.0), CheckOutcome.PASS),  # one service's clock is wrong, not this host's
        ((None, None), CheckOutcome.UNKNOWN),
        ((None, 400.0), CheckOutcome.FAIL),
    ],
)
def test_clock_uses_the_smallest_difference(skews, outcome):
    vault, entra = (replace(one, skew=skew) for one, skew in zip((evidence().vault, evidence().entra), skews, strict=True))
    result = check("clock", vault=vault, entra=entra)
    assert (result.outcome, result.code) == (outcome, None)


def test_certificate_near_its_expiry_is_a_warning():
    soon = replace(FINE, certificate=PeerCertificate(not_after=1.8e9 + 3600, issuer="i"))
    late = replace(FINE, certificate=PeerCertificate(not_after=1.8e9 + 30 * 86400, issuer="i"))
    assert check("tls_vault", vault=vault_at("20.1.2.3", facts=soon)).outcome is CheckOutcome.WARN
    assert check("tls_vault", vault=vault_at("20.1.2.3", facts=late)).outcome is CheckOutcome.PASS
    assert check("tls_vault", vault=vault_at("20.1.2.3")).outcome is CheckOutcome.UNKNOWN


def a_result(what, reason, *, usable, vault="old.vault.azure.net", step=Step.UNWRAP_KEY):
    steps = (StepResult(step=step, outcome=Outcome.FAILED, code=3077, reason=reason, facts=Facts(status=403)),)
    name = f"{KEY}/{OLD}"
    return AuxiliaryResult(kind=what, name=name, vault=vault, credential="other", at=1.8e9, usable=usable, steps=steps)


def test_retained_version_without_an_answer_is_unknown():
    unsure = a_result(AuxiliaryKind.RETAINED, Reason.READ_TIMEOUT, usable=None)
    assert check("retained_versions", auxiliary=(unsure,)).outcome is CheckOutcome.UNKNOWN
    broken = a_result(AuxiliaryKind.RETAINED, Reason.KEY_DISABLED, usable=False)
    result = check("retained_versions", auxiliary=(unsure, broken))
    assert (result.outcome, result.code) == (CheckOutcome.FAIL, 3077)


def test_failure_of_the_probe_blocks_retained_versions():
    same = a_result(AuxiliaryKind.RETAINED, Reason.THROTTLED, usable=None, vault=VAULT, step=Step.GET_KEY)
    elsewhere = replace(same, vault="old.vault.azure.net")
    stopped = observed(Step.GET_KEY, Reason.THROTTLED, 3011).report
    assert check("retained_versions", auxiliary=(same,), report=stopped).outcome is CheckOutcome.SKIPPED
    assert check("retained_versions", auxiliary=(elsewhere,), report=stopped).outcome is CheckOutcome.UNKNOWN


def test_failed_source_is_named_without_another_expiry():
    failed = CredentialExpiry(credential="sql-prod", source=Source.GRAPH, failure="Microsoft Graph answered HTTP 403")
    assert "graph: Microsoft Graph answered HTTP 403" in check("credential_expiry", expiry=(failed,)).detail


NOW, DAY = 1.8e9, 86400.0


def expiries(**days):
    """One expiry per source, in days from now."""
    return tuple(
        CredentialExpiry(credential="sql-prod", source=Source(name), expires_at=NOW + day * DAY) for name, day in days.items()
    )


@pytest.mark.parametrize(
    ("known", "granted", "outcome", "code", "text"),
    [
        (
            expiries(declared=-100),
            True,
            CheckOutcome.WARN,
            None,
            "declared as expired on 2026-10-07, yet Entra issues tokens: correct expires_on",
        ),
        (expiries(declared=-100), False, CheckOutcome.FAIL, 3303, "expired on 2026-10-07 (declared)"),
        (expiries(declared=-100, graph=200), True, CheckOutcome.PASS, None, "(graph)"),
        (expiries(declared=-100, graph=200), False, CheckOutcome.PASS, None, "(graph)"),
        (expiries(declared=200, graph=9), True, CheckOutcome.WARN, 3303, "(graph)"),
        (expiries(certificate=300, key_vault=9, declared=1), True, CheckOutcome.WARN, 3303, "(key_vault)"),
        (
            expiries(key_vault=-1, graph=200),
            True,
            CheckOutcome.WARN,
            None,
            "(key_vault), yet Entra issues tokens: correct that source",
        ),
        (expiries(key_vault=-1, graph=200), False, CheckOutcome.FAIL, 3303, "(key_vault)"),
    ],
)
def test_expiry_prefers_lookups_and_tokens(known, granted, outcome, code, text):
    result = check("credential_expiry", expiry=known, granted=granted)
    assert (result.outcome, result.code) == (outcome, code)
    assert text in result.detail


@pytest.mark.parametrize(
    ("seconds", "secret", "key"),
    [
        (0.0, CheckOutcome.FAIL, CheckOutcome.SKIPPED),
        (1.0, CheckOutcome.WARN, CheckOutcome.WARN),
        (30 * DAY - 1.0, CheckOutcome.WARN, CheckOutcome.WARN),
        (30 * DAY, CheckOutcome.PASS, CheckOutcome.PASS),
    ],
)
def test_expiry_is_reached_at_its_second_and_near_for_thirty_days(seconds, secret, key):
    assert check("credential_expiry", expiry=expiries(graph=seconds / DAY), granted=False).outcome is secret
    report = replace(evidence().report, key=a_key(expires=NOW + seconds))
    assert check("key_expiry", report=report).outcome is key


@pytest.mark.parametrize(
    ("kind", "reason", "source", "listing"),
    [
        (CredentialKind.CLIENT_SECRET, Reason.SECRET_EXPIRED, "declared", "--output tsv"),
        (CredentialKind.CLIENT_SECRET, Reason.SECRET_EXPIRED, "graph", "--output tsv"),
        (CredentialKind.CLIENT_CERTIFICATE, Reason.CERTIFICATE_EXPIRED, "certificate", "--cert"),
    ],
)
def test_date_of_a_refused_credential_is_wrong(kind, reason, source, listing):
    refused = observed(Step.TOKEN, reason, 3303)
    known = (*expiries(**{source: 80}), CredentialExpiry(credential="sql", source=Source.ENTRA, expires_at=1.0))
    result = check("credential_expiry", report=refused.report, expiry=known, credential=replace(refused.credential, kind=kind))
    assert result.outcome is CheckOutcome.WARN
    assert result.detail.startswith("Entra ID refuses it as expired: the ")
    assert result.detail.endswith(" date 2027-04-05 is wrong")
    assert result.fix[1].startswith("  az ad app credential list --id ")
    assert result.fix[1].endswith(listing)


def test_accepted_secret_needs_no_new_one():
    result = check("credential_expiry", expiry=expiries(declared=-1), granted=True)
    assert any("az ad app credential list" in line for line in result.fix)
    assert not any("--append" in line or "ALTER" in line for line in result.fix)


def test_expiring_credential_is_replaced_by_the_staged_one():
    target = replace(evidence().target, next_credential="sql-next")
    result = check("credential_expiry", expiry=expiries(declared=9), target=target)
    assert result.fix[1].endswith(" --credential sql-next")
    assert not any("credential reset" in line for line in result.fix)
    assert "From that day on, SQL Server would show 3303" in " ".join(as_text(target, [result]).split())


@pytest.mark.parametrize("kind", [CredentialKind.MANAGED_IDENTITY, CredentialKind.WORKLOAD_IDENTITY])
def test_identity_without_a_secret_never_expires(kind):
    result = check("credential_expiry", credential=replace(evidence().credential, kind=kind))
    assert (result.outcome, result.fix) == (CheckOutcome.SKIPPED, ())


@pytest.mark.parametrize(
    ("facts", "outcome"),
    [
        (Facts(), CheckOutcome.PASS),
        (Facts(fault=Fault.HTTP_STATUS, status=403), CheckOutcome.WARN),
        (Facts(fault=Fault.HTTP_STATUS, status=500), CheckOutcome.UNKNOWN),
        (Facts(fault=Fault.READ_TIMEOUT), CheckOutcome.UNKNOWN),
        (None, CheckOutcome.UNKNOWN),
    ],
)
def test_permission_list_never_fails(facts, outcome):
    assert check("permission_list", listing=facts).outcome is outcome


HERE, THERE = ("10.1.2.3",), ("20.1.2.3", "20.1.2.4")


@pytest.mark.parametrize(
    ("addresses", "absolute", "outcome"),
    [
        (HERE, None, CheckOutcome.PASS),
        (HERE, HERE, CheckOutcome.PASS),
        (THERE, THERE[:1], CheckOutcome.PASS),
        (HERE, THERE, CheckOutcome.WARN),
        (HERE, (), CheckOutcome.WARN),
        ((), (), CheckOutcome.PASS),
    ],
)
def test_search_domain_that_answers_is_detected(addresses, absolute, outcome):
    result = check("dns_vault", vault=replace(vault_at(*addresses), absolute=absolute))
    assert result.outcome is outcome
    if outcome is CheckOutcome.WARN:
        shown = ", ".join(absolute) or "no address"
        assert result.detail == f"10.1.2.3, but {shown} in DNS for the name as written: a search domain or the hosts file answers"
        assert "ndots" in " ".join(result.fix)
        assert f"  Resolve-DnsName {VAULT}. -DnsOnly" in result.fix


async def test_untrusted_issuer_names_search_domains_as_a_cause():
    facts = replace(FINE, vault=None, certificate=None, fault=Fault.TLS_UNTRUSTED)
    shown = HostCertificate(subject="x", issuer="Other CA", organization="Other", not_before=0.0, not_after=2e9)
    result = check("issuer_vault", vault=replace(vault_at("10.1.2.3", facts=facts), certificate=shown))
    assert result.outcome is CheckOutcome.FAIL
    assert "a search domain answers with another host" in result.detail
    assert any(f"`nslookup {VAULT}.`" in line for line in result.fix)


@pytest.mark.parametrize(
    ("host", "error", "expected"),
    [
        ("contoso.vault.azure.net", None, ("10.0.0.1",)),
        ("contoso.vault.azure.net", socket.EAI_NONAME, ()),
        ("contoso.vault.azure.net", socket.EAI_AGAIN, None),
        ("10.1.2.3", None, None),
        ("", None, None),
    ],
)
async def test_absolute_name_is_looked_up_with_a_final_dot(monkeypatch, host, error, expected):
    names = []

    def look_up(name, *_args, **_options):
        names.append(name)
        if error is not None:
            raise socket.gaierror(error, "x")
        return [(socket.AF_INET, socket.SOCK_STREAM, 6, "", ("10.0.0.1", 443))]

    monkeypatch.setattr(socket, "getaddrinfo", look_up)
    pool = DaemonThreadPool(1, name="test-absolute")
    found = await absolute_addresses(Resolver(pool, {}), host, 443, deadline=asyncio.get_running_loop().time() + 5)
    pool.close()
    assert found == expected
    assert names == ([f"{host}."] if host and not host[0].isdigit() else [])


HASH = "0x" + "00FF" * 10
NUMBERS = bytes(range(256))


def thumbprint_check(pins=(), **declared):
    seen = evidence()
    key = KeyFacts(name=KEY, version="a" * 32, kid="k", kty="RSA", size_bits=2048, modulus=NUMBERS, exponent=b"\x01\x00\x01")
    target = replace(seen.target, **declared)
    return check("thumbprint", report=replace(seen.report, key=key), target=target, pins=pins)


@pytest.mark.parametrize(
    ("declared", "pins", "outcome", "text"),
    [
        ({}, (), CheckOutcome.UNKNOWN, "none is declared"),
        ({"thumbprint": HASH}, (), CheckOutcome.UNKNOWN, "only SQL Server can compare"),
        ({"thumbprint": HASH}, (("dr", Pin(HASH, KEY, "a" * 32)),), CheckOutcome.UNKNOWN, "only SQL Server can compare"),
        (
            {"thumbprint": HASH},
            (("b", Pin(HASH, KEY, OLD)),),
            CheckOutcome.WARN,
            "target b has the same thumbprint, but another version",
        ),
        ({"thumbprint": "0x2C56"}, (), CheckOutcome.UNKNOWN, "has 2 bytes"),
        ({"thumbprint": HASH, "key_version": None}, (), CheckOutcome.WARN, "the key has no version"),
        ({"thumbprint": HASH, "generation": Generation.CLASSIC}, (), CheckOutcome.WARN, "connector_generation is classic"),
        (
            {"thumbprint": HASH, "generation": Generation.CLASSIC, "key_name": "K" * 26},
            (),
            CheckOutcome.UNKNOWN,
            "only SQL Server",
        ),
    ],
)
def test_thumbprint_is_contradicted_or_unknown(declared, pins, outcome, text):
    result = thumbprint_check(pins, **{"generation": Generation.CURRENT} | declared)
    assert (result.outcome, result.code) == (outcome, None)
    assert text in result.detail


def test_thumbprint_query_has_the_modulus_in_both_orders():
    query = "\n".join(thumbprint_check(thumbprint=HASH, generation=Generation.CURRENT).fix)
    assert NUMBERS[-32:].hex().upper() in query
    assert NUMBERS[-32:][::-1].hex().upper() in query
    assert "MODULUS" not in query
