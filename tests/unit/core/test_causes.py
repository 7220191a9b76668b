"""Common causes: the link that a failure breaks, alone and together with others."""

import re

import pytest

from alerts.values import REASONS
from exporter.core.causes import Cause, Failed, Link, cause_of, common_causes
from exporter.core.model import Step
from exporter.core.reasons import Reason, spreading_to


def links(vault="v1", credential="sql", **changes):
    names = {Link.HOST: "this host", Link.ENTRA: "login", Link.CREDENTIAL: credential, Link.VAULT: vault, Link.KEY: f"{vault}/k"}
    return names | changes


def failed(step, reason, **names):
    return Failed(step=step, reason=reason, names=links(**names))


@pytest.mark.parametrize(
    ("step", "reason", "link", "name"),
    [
        (Step.CHALLENGE, Reason.NETWORK_DOWN, Link.HOST, "this host"),
        (Step.TOKEN, Reason.CLOCK_SKEW, Link.HOST, "this host"),
        (Step.TOKEN, Reason.PROXY_AUTH, Link.PROXY, ""),
        (Step.TOKEN, Reason.ENTRA_UNAVAILABLE, Link.ENTRA, "login"),
        (Step.TOKEN, Reason.CONNECT_TIMEOUT, Link.ENTRA, "login"),
        (Step.TOKEN, Reason.SECRET_EXPIRED, Link.CREDENTIAL, "sql"),
        (Step.GET_KEY, Reason.TOKEN_WRONG_ISSUER, Link.CREDENTIAL, "sql"),
        (Step.CHALLENGE, Reason.CONNECT_TIMEOUT, Link.VAULT, "v1"),
        (Step.UNWRAP_KEY, Reason.FORBIDDEN_POLICY, Link.VAULT, "v1"),
        (Step.GET_KEY, Reason.KEY_SOFT_DELETED, Link.KEY, "v1/k"),
        (Step.UNWRAP_KEY, Reason.BYTES_DIFFER, Link.KEY, "v1/k"),
        (Step.WRAP_KEY, None, Link.VAULT, "v1"),
    ],
)
def test_each_failure_breaks_one_link(step, reason, link, name):
    cause = cause_of(failed(step, reason))
    assert (cause.link, cause.name) == (link, name)
    assert cause.id == f"{link}:{name}:{reason or ''}"


def test_every_step_and_reason_has_a_cause():
    for step in Step:
        for reason in Reason:
            assert cause_of(failed(step, reason)).link in Link


def spread(reason, *, broken, healthy, step=Step.GET_KEY):
    failures = {f"t{n}": failed(step, reason, vault=f"v{n}") for n in range(broken)}
    return failures, common_causes(failures, [links(vault=f"v{n}") for n in range(broken + healthy)])


@pytest.mark.parametrize(
    ("reason", "link", "name"),
    [(Reason.CONNECT_TIMEOUT, Link.HOST, "this host"), (Reason.FORBIDDEN_RBAC, Link.CREDENTIAL, "sql")],
)
def test_many_vaults_alike_have_an_earlier_cause(reason, link, name):
    _, together = spread(reason, broken=3, healthy=3)
    assert set(together.values()) == {Cause(link, name, reason)}
    for few in (spread(reason, broken=2, healthy=0), spread(reason, broken=3, healthy=4)):
        assert {cause.link for cause in few[1].values()} == {Link.VAULT}


def test_a_spread_cause_has_the_most_frequent_reason():
    failures = {f"t{n}": failed(Step.CHALLENGE, Reason.CONNECT_TIMEOUT, vault=f"v{n}") for n in range(3)}
    failures["t9"] = failed(Step.CHALLENGE, Reason.DNS_TIMEOUT, vault="v9")
    causes = common_causes(failures, [each.names for each in failures.values()])
    assert set(causes.values()) == {Cause(Link.HOST, "this host", Reason.CONNECT_TIMEOUT)}


def test_another_credential_keeps_its_own_cause():
    failures = {f"t{n}": failed(Step.GET_KEY, Reason.FORBIDDEN, vault=f"v{n}") for n in range(3)}
    failures["t9"] = failed(Step.GET_KEY, Reason.FORBIDDEN, vault="v9", credential="web")
    causes = common_causes(failures, [each.names for each in failures.values()])
    assert causes["t0"] == Cause(Link.CREDENTIAL, "sql", Reason.FORBIDDEN)
    assert causes["t9"] == Cause(Link.VAULT, "v9", Reason.FORBIDDEN)


def test_reasons_that_spread_to_the_host_are_those_of_the_alerts():
    alerted = {reason for reason in Reason if re.fullmatch(f"{REASONS['NO_VAULT_ANSWER']}|dns_temporary|dns_timeout", reason)}
    assert alerted == spreading_to(Link.HOST)
    assert all(re.fullmatch(REASONS["NO_EGRESS"], reason) for reason in ("dns_temporary", "dns_timeout"))


def test_region_is_at_fault_without_an_answer_but_not_for_a_certificate():
    assert {Reason.CONNECT_TIMEOUT, Reason.READ_TIMEOUT, Reason.BODY_TIMEOUT, Reason.SERVER_ERROR} <= spreading_to(Link.REGION)
    assert not {reason for reason in spreading_to(Link.REGION) if reason.startswith(("tls_", "dns_", "proxy_"))}
