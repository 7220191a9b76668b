"""The link that a failure breaks."""

import pytest

from exporter.core.values import Step
from exporter.knowledge.causes import Failed, cause_of
from exporter.knowledge.reason_row import Link
from exporter.knowledge.reasons import Reason, spreading_to

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
