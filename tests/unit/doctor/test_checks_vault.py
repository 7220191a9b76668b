"""The checks of network, sign-in, vault and key, by evidence alone; and the check that owns each failure."""

import re
from pathlib import Path

import pytest

from exporter.config.settings import Credential, ExpectPath, Module
from exporter.core.names import Pin
from exporter.core.values import (
    Challenge,
    CredentialKind,
    Facts,
    Fault,
    Generation,
    KeyFacts,
    Outcome,
    PeerCertificate,
    Readiness,
    Step,
    VaultHeaders,
)
from exporter.doctor.evidence import Endpoint, Evidence, HostCertificate, SecretEvidence
from exporter.doctor.run import as_text, assess_all
from exporter.explain.numbers import codes_of
from exporter.knowledge.answers import Claims
from exporter.knowledge.checks import BY_NAME, CHECKS, check_of
from exporter.knowledge.checks_host import SQL
from exporter.knowledge.checks_vault import CheckOutcome
from exporter.knowledge.code_row import DO_NOT_RESTART
from exporter.knowledge.expiry import CredentialExpiry, Source
from exporter.knowledge.reasons import Reason
from exporter.knowledge.report import ProbeReport, StepResult
from exporter.knowledge.verdict import AuxiliaryKind, AuxiliaryResult
from exporter.presentation.diagnosis import Diagnosis
from tests.support.doctor_simulated import CLIENT, ENTRA, KEY, OLD, TARGET, VAULT
from tests.support.factories import a_key
from tests.support.values import replace

PROBE = "ekm-exporter probe contoso-key0 --config.file /etc/ekm.yml"
NAME = re.compile(r"(?<![A-Z] )\b(VAULT|KEY|TARGET|HOST|PROXY|CLIENT_ID|OBJECT_ID|SECRET_FILE|VERSION|NUMBER)\b")
PASS, WARN, FAIL, SKIPPED, UNKNOWN = CheckOutcome
FINE = Facts(status=404, fault=Fault.HTTP_STATUS, server_time=1.8e9, vault=VaultHeaders(connection="public"))


def observed(step, reason, code):
    """Evidence of a probe that failed at one step; later steps were skipped."""
    steps = [
        StepResult(step=one, outcome=Outcome.OK, facts=Facts())
        if place < list(Step).index(step)
        else StepResult(step=one, outcome=Outcome.FAILED if one is step else Outcome.SKIPPED)
        for place, one in enumerate(Step)
    ]
    steps[list(Step).index(step)] = StepResult(step=step, outcome=Outcome.FAILED, code=code, reason=reason, facts=Facts())
    report = ProbeReport(
        target="t", started_at=1.8e9, duration=1.0, steps=tuple(steps), readiness=Readiness(ready=False, why="not_ready")
    )
    return Evidence(
        target=replace(TARGET, retained_versions=()),
        credential=Credential(name="sql-prod", kind=CredentialKind.CLIENT_SECRET),
        module=Module(name="default"),
        now=1.8e9,
        vault=Endpoint(host=VAULT, facts=FINE, addresses=("192.0.2.1",), skew=0.0),
        entra=Endpoint(host=ENTRA, facts=FINE, addresses=("192.0.2.2",), skew=0.0),
        report=report,
        secret=SecretEvidence(findings=()),
        challenge=None if step is Step.CHALLENGE else Challenge(authority="a", tenant="t", resource="r"),
    )


@pytest.mark.parametrize("step", list(Step))
def test_each_failure_is_reported_by_its_owner_with_its_code(step):
    for reason in Reason:
        evidence, owner = observed(step, reason, 3077), check_of(step, reason)
        target = replace(evidence.target, generation=Generation.CURRENT)
        results = {result.check: result for result in assess_all(replace(evidence, target=target), again="again")}
        reported = {name for name, result in results.items() if result.outcome in (FAIL, WARN)}
        assert reported == {owner}, reason
        assert results[owner].code == (None if owner == "secret" else 3113), reason


def plain(texts):
    """The letters of actions or lines: without backticks, points and line breaks."""
    return re.sub(r"[`:.\s]", "", " ".join(texts).replace(f"from `{PROBE}`", "below"))


# Only a sign-in has advice by kind. A managed identity has the most.
OF_SIGN_IN = [(Step.TOKEN, kind) for kind in CredentialKind]
OF_OTHERS = [(step, CredentialKind.MANAGED_IDENTITY) for step in Step if step is not Step.TOKEN]


@pytest.mark.parametrize(("step", "kind"), [*OF_SIGN_IN, *OF_OTHERS])
def test_fix_has_the_actions_and_names_of_page_and_probe(step, kind):
    facts = Facts(
        credential_kind=kind,
        client_id=CLIENT,
        aadsts=700030,
        object_id="0a1b",
        client_address="203.0.113.7",
        endpoint=ENTRA if step is Step.TOKEN else VAULT,
        secret_file="/etc/secret",
        proxy="proxy.example:3128",
    )
    for reason in Reason:
        given = observed(step, reason, next(iter(codes_of(reason)), 3077))
        steps = tuple(replace(each, facts=facts) if each.facts else each for each in given.report.steps)
        report = replace(given.report, steps=steps)
        target = replace(given.target, config_file=Path("/etc/ekm.yml"))
        credential = replace(given.credential, kind=kind)
        evidence = replace(given, report=report, credential=credential, target=target)
        results = {result.check: result for result in assess_all(evidence, again=PROBE)}
        fix = results[check_of(step, reason)].fix
        page = [
            each
            for each in Diagnosis(target, report).advice().actions
            if each not in (DO_NOT_RESTART, f"Then repeat the probe: `{PROBE}`.")
        ]
        assert fix, reason
        assert plain(fix) == plain(page), reason
        commands = [line for line in fix if line.startswith("  ")]
        assert [line for line in commands if NAME.search(line)] == [], reason


def test_owners_are_checks():
    assert {check_of(step, reason) for step in Step for reason in (None, *Reason)} <= set(BY_NAME)


def test_checks_follow_those_that_they_need():
    before = set()
    for check in CHECKS:
        assert set(check.needs) <= before, check.name
        before.add(check.name)


def test_titles_fit_their_column():
    assert [check.title for check in BY_NAME.values() if len(check.title) > 27] == []
    assert len(BY_NAME) == len((*CHECKS, *SQL))


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
        (("10.1.2.3",), ExpectPath.PRIVATE, PASS),
        (("10.1.2.3", "fd00::1"), ExpectPath.PRIVATE, PASS),
        (("20.1.2.3",), ExpectPath.PRIVATE, FAIL),
        (("10.1.2.3",), ExpectPath.PUBLIC, FAIL),
        (("20.1.2.3",), ExpectPath.PUBLIC, PASS),
        (("10.1.2.3", "20.1.2.3"), ExpectPath.PRIVATE, UNKNOWN),
        ((), ExpectPath.PRIVATE, UNKNOWN),
        ((), ExpectPath.ANY, PASS),
        (("fe80::1%eth0",), ExpectPath.ANY, PASS),
    ],
)
def test_path_without_header_follows_the_addresses(addresses, expected, outcome):
    path = check("path", vault=vault_at(*addresses), module=replace(evidence().module, expect_path=expected))
    assert (path.outcome, path.code) == (outcome, None)


@pytest.mark.parametrize(
    ("named", "own", "outcome"),
    [
        (TENANT, TENANT.upper(), PASS),
        (TENANT, None, PASS),
        (TENANT, OTHER, FAIL),
        (TENANT, "contoso.onmicrosoft.com", UNKNOWN),
        ("contoso.com", "Contoso.com", PASS),
        ("contoso.com", TENANT, UNKNOWN),
    ],
)
def test_tenants_are_compared_if_of_the_same_kind(named, own, outcome):
    challenge = Challenge(authority="a", tenant=named, resource=RESOURCE)
    result = check("tenant", challenge=challenge, credential=replace(evidence().credential, tenant_id=own))
    assert result.outcome is outcome


@pytest.mark.parametrize(
    ("claims", "outcome"),
    [
        (Claims(audience=RESOURCE + "/", tenant=TENANT, application="a"), PASS),
        (Claims(audience="cfa8b339-82a2-471a-a3c9-0fc0be7a4093", tenant=TENANT), PASS),
        (Claims(audience="https://graph.microsoft.com"), FAIL),
        (Claims(audience=RESOURCE, tenant=OTHER), FAIL),
        (Claims(audience=RESOURCE, application="another"), FAIL),
        (None, UNKNOWN),
    ],
)
def test_audience_checks_resource_tenant_and_application(claims, outcome):
    result = check("audience", claims=claims, secret=replace(evidence().secret, client_id="A"))
    assert result.outcome is outcome
    assert result.code == (3305 if outcome is FAIL else None)


@pytest.mark.parametrize(
    ("skews", "outcome"),
    [
        ((119.0, 119.0), PASS),
        ((121.0, 125.0), WARN),
        ((-301.0, -310.0), FAIL),
        ((900.0, 3.0), PASS),  # one service's clock is wrong, not this host's
        ((None, None), UNKNOWN),
        ((None, 400.0), FAIL),
    ],
)
def test_clock_uses_the_smallest_difference(skews, outcome):
    vault, entra = (replace(one, skew=skew) for one, skew in zip((evidence().vault, evidence().entra), skews, strict=True))
    result = check("clock", vault=vault, entra=entra)
    assert (result.outcome, result.code) == (outcome, None)


@pytest.mark.parametrize(
    ("fault", "discarded", "outcome"),
    [
        (Fault.CONNECT_TIMEOUT, True, CheckOutcome.UNKNOWN),
        (Fault.CONNECT_TIMEOUT, False, CheckOutcome.FAIL),
        (Fault.CONNECT_REFUSED, True, CheckOutcome.FAIL),
    ],
)
def test_silence_of_a_host_is_unknown_if_this_one_was_too_slow(fault, discarded, outcome):
    vault = replace(vault_at(facts=Facts(fault=fault)), discarded=discarded)
    assert check("tcp_vault", vault=vault).outcome is outcome
    assert check("tls_vault", vault=vault).outcome is CheckOutcome.SKIPPED


def test_certificate_near_its_expiry_is_a_warning():
    soon = replace(FINE, certificate=PeerCertificate(not_after=1.8e9 + 3600, issuer="i"))
    late = replace(FINE, certificate=PeerCertificate(not_after=1.8e9 + 30 * 86400, issuer="i"))
    assert check("tls_vault", vault=vault_at("20.1.2.3", facts=soon)).outcome is WARN
    assert check("tls_vault", vault=vault_at("20.1.2.3", facts=late)).outcome is PASS
    assert check("tls_vault", vault=vault_at("20.1.2.3")).outcome is UNKNOWN


def a_result(what, reason, *, usable, vault="old.vault.azure.net", step=Step.UNWRAP_KEY):
    steps = (StepResult(step=step, outcome=Outcome.FAILED, code=3077, reason=reason, facts=Facts(status=403)),)
    name = f"{KEY}/{OLD}"
    return AuxiliaryResult(kind=what, name=name, vault=vault, credential="other", at=1.8e9, usable=usable, steps=steps)


def test_retained_version_without_an_answer_is_unknown():
    unsure = a_result(AuxiliaryKind.RETAINED, Reason.READ_TIMEOUT, usable=None)
    assert check("retained_versions", auxiliary=(unsure,)).outcome is UNKNOWN
    broken = a_result(AuxiliaryKind.RETAINED, Reason.KEY_DISABLED, usable=False)
    result = check("retained_versions", auxiliary=(unsure, broken))
    assert (result.outcome, result.code) == (FAIL, 3077)


def test_failure_of_the_probe_blocks_retained_versions():
    same = a_result(AuxiliaryKind.RETAINED, Reason.THROTTLED, usable=None, vault=VAULT, step=Step.GET_KEY)
    elsewhere = replace(same, vault="old.vault.azure.net")
    stopped = observed(Step.GET_KEY, Reason.THROTTLED, 3011).report
    assert check("retained_versions", auxiliary=(same,), report=stopped).outcome is SKIPPED
    assert check("retained_versions", auxiliary=(elsewhere,), report=stopped).outcome is UNKNOWN


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
        (expiries(declared=-100), True, WARN, None, "declared as expired on 2026-10-07, yet Entra issues tokens: correct expires_on"),
        (expiries(declared=-100), False, FAIL, 3303, "expired on 2026-10-07 (declared)"),
        (expiries(declared=-100, graph=200), True, PASS, None, "(graph)"),
        (expiries(declared=-100, graph=200), False, PASS, None, "(graph)"),
        (expiries(declared=200, graph=9), True, WARN, 3303, "(graph)"),
        (expiries(certificate=300, key_vault=9, declared=1), True, WARN, 3303, "(key_vault)"),
        (expiries(key_vault=-1, graph=200), True, WARN, None, "(key_vault), yet Entra issues tokens: correct that source"),
        (expiries(key_vault=-1, graph=200), False, FAIL, 3303, "(key_vault)"),
    ],
)  # fmt: skip
def test_expiry_prefers_lookups_and_tokens(known, granted, outcome, code, text):
    result = check("credential_expiry", expiry=known, granted=granted)
    assert (result.outcome, result.code) == (outcome, code)
    assert text in result.detail


@pytest.mark.parametrize(
    ("seconds", "secret", "key"), [(0.0, FAIL, SKIPPED), (1.0, WARN, WARN), (30 * DAY - 1.0, WARN, WARN), (30 * DAY, PASS, PASS)]
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
    assert result.outcome is WARN
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
    assert (result.outcome, result.fix) == (SKIPPED, ())


@pytest.mark.parametrize(
    ("facts", "outcome"),
    [
        (Facts(), PASS),
        (Facts(fault=Fault.HTTP_STATUS, status=403), WARN),
        (Facts(fault=Fault.HTTP_STATUS, status=500), UNKNOWN),
        (Facts(fault=Fault.READ_TIMEOUT), UNKNOWN),
        (None, UNKNOWN),
    ],
)
def test_permission_list_never_fails(facts, outcome):
    assert check("permission_list", listing=facts).outcome is outcome


HERE, THERE = ("10.1.2.3",), ("20.1.2.3", "20.1.2.4")


@pytest.mark.parametrize(
    ("addresses", "absolute", "outcome"),
    [(HERE, None, PASS), (HERE, HERE, PASS), (THERE, THERE[:1], PASS), (HERE, THERE, WARN), (HERE, (), WARN), ((), (), PASS)],
)
def test_search_domain_that_answers_is_detected(addresses, absolute, outcome):
    result = check("dns_vault", vault=replace(vault_at(*addresses), absolute=absolute))
    assert result.outcome is outcome
    if outcome is WARN:
        shown = ", ".join(absolute) or "no address"
        assert result.detail == f"10.1.2.3, but {shown} in DNS for the name as written: a search domain or the hosts file answers"
        assert "ndots" in " ".join(result.fix)
        assert f"  Resolve-DnsName {VAULT}. -DnsOnly" in result.fix


async def test_untrusted_issuer_names_search_domains_as_a_cause():
    facts = replace(FINE, vault=None, certificate=None, fault=Fault.TLS_UNTRUSTED)
    shown = HostCertificate(subject="x", issuer="Other CA", organization="Other", not_before=0.0, not_after=2e9)
    result = check("issuer_vault", vault=replace(vault_at("10.1.2.3", facts=facts), certificate=shown))
    assert result.outcome is FAIL
    assert "a search domain answers with another host" in result.detail
    assert any(f"`nslookup {VAULT}.`" in line for line in result.fix)


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
        ({}, (), UNKNOWN, "none is declared"),
        ({"thumbprint": HASH}, (), UNKNOWN, "only SQL Server can compare"),
        ({"thumbprint": HASH}, (("dr", Pin(HASH, KEY, "a" * 32)),), UNKNOWN, "only SQL Server can compare"),
        ({"thumbprint": HASH}, (("b", Pin(HASH, KEY, OLD)),), WARN, "target b has the same thumbprint, but another version"),
        ({"thumbprint": "0x2C56"}, (), UNKNOWN, "has 2 bytes"),
        ({"thumbprint": HASH, "key_version": None}, (), WARN, "the key has no version"),
        ({"thumbprint": HASH, "generation": Generation.CLASSIC}, (), WARN, "connector_generation is classic"),
        ({"thumbprint": HASH, "generation": Generation.CLASSIC, "key_name": "K" * 26}, (), UNKNOWN, "only SQL Server"),
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
