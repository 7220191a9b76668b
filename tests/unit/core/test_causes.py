"""The link that a failure breaks."""

import re

import pytest

from alerts.build import TEMPLATE
from alerts.values import PATTERNS
from exporter.core.causes import Failed, Link, cause_of
from exporter.core.model import Step
from exporter.core.reasons import Reason, spreading_to

NAMES = {Link.HOST: "", Link.ENTRA: "login", Link.CREDENTIAL: "sql", Link.VAULT: "v1", Link.KEY: "v1/k"}


def failed(step, reason):
    return Failed(step=step, reason=reason, names=NAMES)


@pytest.mark.parametrize(
    ("step", "reason", "link", "name"),
    [
        (Step.CHALLENGE, Reason.NETWORK_DOWN, Link.HOST, ""),
        (Step.TOKEN, Reason.CLOCK_SKEW, Link.HOST, ""),
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


def test_region_is_at_fault_without_an_answer_but_not_for_a_certificate():
    assert {Reason.CONNECT_TIMEOUT, Reason.READ_TIMEOUT, Reason.BODY_TIMEOUT, Reason.SERVER_ERROR} <= spreading_to(Link.REGION)
    assert not {reason for reason in spreading_to(Link.REGION) if reason.startswith(("tls_", "dns_", "proxy_"))}


def test_reasons_of_a_lost_route_are_those_of_the_alerts():
    connected, egress = (
        {reason for reason in Reason if re.fullmatch(PATTERNS[name], reason)} for name in ("WITH_EGRESS", "NO_EGRESS")
    )
    proxy = {reason for reason in Reason if reason.row.link is Link.PROXY}
    of_host = {reason for reason in Reason if reason.row.link_at(Step.TOKEN) is Link.HOST}
    assert egress == proxy | {Reason.DNS_TEMPORARY, Reason.DNS_TIMEOUT, Reason.NETWORK_DOWN}
    assert connected == of_host - {Reason.NETWORK_DOWN}
    assert not connected & (spreading_to(Link.HOST) | egress)


def test_rules_get_their_lists_of_reasons_from_the_rows():
    written = re.findall(r'\breason[!=]~"([^"]+)"', TEMPLATE.read_text(encoding="utf-8"))
    assert written
    assert [pattern for pattern in written if not re.fullmatch(r"@\{\w+\}", pattern)] == []
