"""Many failures with one cause: which link is broken, and which failures are one cause without a name."""

import pytest

from exporter.core.values import Step
from exporter.knowledge.causes import TOGETHER_SECONDS, Cause, CommonCauses, Failed
from exporter.knowledge.reason_row import Link
from exporter.knowledge.reasons import Reason

LATE = 86400.0


def links(vault="v1", credential="sql", region=None):
    names = {Link.HOST: "", Link.ENTRA: "login", Link.CREDENTIAL: credential, Link.VAULT: vault, Link.KEY: f"{vault}/k"}
    return names if region is None else names | {Link.REGION: region}


def failed(reason, *, step=Step.GET_KEY, since=0.0, unsteady=False, **names):
    return Failed(step=step, reason=reason, names=links(**names), since=since, unsteady=unsteady)


def causes_of(*failures, healthy=()):
    """The causes of the failures, each in a vault of its own unless it names one, in a fleet with these other vaults."""
    every = CommonCauses()
    for number, each in enumerate(failures):
        every.add(f"t{number}", each.names, each)
    for number, names in enumerate(healthy):
        every.add(f"healthy{number}", names, None)
    found = every.find()
    return [found[f"t{number}"] for number in range(len(failures))]


def many(count, reason, **given):
    """Failures of as many vaults that began a day apart."""
    return [failed(reason, **{"vault": f"v{n}", "since": n * LATE} | given) for n in range(count)]


def others(count, **names):
    return [links(**{"vault": f"other{n}"} | names) for n in range(count)]


def links_found(causes):
    return {cause.link for cause in causes}


@pytest.mark.parametrize(
    ("reason", "broken", "healthy", "link"),
    [
        (Reason.CONNECT_TIMEOUT, 9, 1, Link.HOST),
        (Reason.CONNECT_TIMEOUT, 8, 2, Link.VAULT),
        (Reason.TLS_EXPIRED, 3, 0, Link.HOST),
        (Reason.TLS_EXPIRED, 5, 1, Link.VAULT),
        (Reason.CONNECT_TIMEOUT, 2, 0, Link.VAULT),
        (Reason.SERVER_ERROR, 9, 0, Link.VAULT),  # a vault answered
        (Reason.FORBIDDEN_RBAC, 3, 3, Link.CREDENTIAL),
        (Reason.FORBIDDEN_RBAC, 3, 4, Link.VAULT),
        (Reason.FORBIDDEN_RBAC, 2, 0, Link.VAULT),
        # No vault causes these.
        (Reason.DNS_TIMEOUT, 3, 97, Link.HOST),
        (Reason.DNS_TEMPORARY, 3, 97, Link.HOST),
        (Reason.DNS_TEMPORARY, 2, 0, Link.VAULT),
        (Reason.DNS_NOT_FOUND, 3, 97, Link.VAULT),
    ],
)
def test_vaults_alike_have_an_earlier_cause_if_they_are_many(reason, broken, healthy, link):
    found = causes_of(*many(broken, reason), healthy=others(healthy))
    assert links_found(found) == {link}
    assert all(cause.reason is reason for cause in found)


@pytest.mark.parametrize(
    ("reason", "broken", "healthy", "link"),
    [
        (Reason.CONNECT_TIMEOUT, 3, 3, Link.REGION),
        (Reason.SERVER_ERROR, 3, 3, Link.REGION),
        (Reason.READ_TIMEOUT, 3, 4, Link.VAULT),
        (Reason.READ_TIMEOUT, 2, 0, Link.VAULT),
        (Reason.TLS_EXPIRED, 5, 1, Link.VAULT),  # as of a proxy that inspects TLS
        (Reason.DNS_NOT_FOUND, 3, 3, Link.VAULT),
        (Reason.FORBIDDEN_RBAC, 3, 0, Link.CREDENTIAL),
    ],
)
def test_half_of_a_region_without_an_answer_is_the_region(reason, broken, healthy, link):
    elsewhere = [*others(10, region="North Europe"), links(vault="nowhere")]
    found = causes_of(
        *many(broken, reason, region="West Europe", credential="own"),
        healthy=[*(links(vault=f"near{n}", region="West Europe") for n in range(healthy)), *elsewhere],
    )
    assert links_found(found) == {link}
    if link is Link.REGION:
        assert set(found) == {Cause(link, "West Europe", reason)}


def test_a_vault_of_an_unknown_region_keeps_its_own_cause():
    found = causes_of(
        *many(3, Reason.READ_TIMEOUT, region="West Europe"), failed(Reason.READ_TIMEOUT, vault="x"), healthy=others(9)
    )
    assert found[0] == Cause(Link.REGION, "West Europe", Reason.READ_TIMEOUT)
    assert found[3] == Cause(Link.VAULT, "x", Reason.READ_TIMEOUT)


def test_host_takes_precedence_over_its_only_region():
    assert links_found(causes_of(*many(9, Reason.CONNECT_TIMEOUT, region="West Europe"))) == {Link.HOST}


def test_a_spread_cause_has_the_most_frequent_reason():
    kinds = [Reason.CONNECT_TIMEOUT] * 2 + [Reason.DNS_TIMEOUT, Reason.NETWORK_DOWN, Reason.CONNECT_TIMEOUT]
    found = causes_of(*(failed(reason, vault=f"v{n}") for n, reason in enumerate(kinds)))
    assert set(found) == {Cause(Link.HOST, "", Reason.CONNECT_TIMEOUT)}


def test_another_credential_keeps_its_own_cause():
    found = causes_of(*many(3, Reason.FORBIDDEN), failed(Reason.FORBIDDEN, vault="v9", credential="web"))
    assert found[0] == Cause(Link.CREDENTIAL, "sql", Reason.FORBIDDEN)
    assert found[3] == Cause(Link.VAULT, "v9", Reason.FORBIDDEN)


def at(*times, reason=Reason.FORBIDDEN_FIREWALL, **given):
    """Failures of several vaults and credentials that began at these times."""
    return [failed(reason, vault=f"v{n}", credential=f"c{n}", since=float(since), **given) for n, since in enumerate(times)]


@pytest.mark.parametrize(
    ("reason", "step", "link"),
    [
        (Reason.FORBIDDEN_FIREWALL, Step.GET_KEY, Link.VAULT),
        (Reason.KEY_EXPIRED, Step.WRAP_KEY, Link.KEY),
        (Reason.CONDITIONAL_ACCESS, Step.TOKEN, Link.CREDENTIAL),
    ],
)
def test_failures_alike_that_began_together_are_one_cause(reason, step, link):
    found = causes_of(*at(0, 20, 40, reason=reason, step=step))
    assert set(found) == {Cause(link, "", reason)}
    assert found[0].is_several


@pytest.mark.parametrize(
    ("times", "named"),
    [
        ((0, 10), {"v0", "v1"}),
        ((0, 10, 20), {""}),
        ((0, TOGETHER_SECONDS, 2 * TOGETHER_SECONDS), {""}),  # each soon after the one before
        ((0, TOGETHER_SECONDS, 2 * TOGETHER_SECONDS + 1), {"v0", "v1", "v2"}),
        ((20, 0, 9000, 10), {"", "v2"}),
    ],
)
def test_one_cause_needs_three_vaults_within_minutes(times, named):
    assert {cause.name for cause in causes_of(*at(*times))} == named


def test_a_single_firewall_among_refusals_is_the_credentials_cause():
    found = causes_of(*many(2, Reason.FORBIDDEN_RBAC), failed(Reason.FORBIDDEN_FIREWALL, vault="v9"))
    assert set(found) == {Cause(Link.CREDENTIAL, "sql", Reason.FORBIDDEN_RBAC)}


@pytest.mark.parametrize("reason", [Reason.FORBIDDEN_FIREWALL, Reason.FORBIDDEN_CONNECTION, Reason.FORBIDDEN_NSP])
@pytest.mark.parametrize(("healthy", "names"), [(3, {""}), (4, {"v0", "v1", "v2"})])
def test_many_vaults_that_refuse_an_address_are_one_cause_of_no_credential(reason, healthy, names):
    found = causes_of(*many(3, reason), healthy=others(healthy))
    assert {(cause.link, cause.name) for cause in found} == {(Link.VAULT, name) for name in names}


def test_two_credentials_that_began_together_are_one_cause():
    failures = [failed(Reason.CONDITIONAL_ACCESS, step=Step.TOKEN, vault=f"v{n}", credential=f"c{n % 2}") for n in range(3)]
    assert set(causes_of(*failures)) == {Cause(Link.CREDENTIAL, "", Reason.CONDITIONAL_ACCESS)}


def test_targets_of_two_vaults_are_no_common_cause():
    failures = [failed(Reason.FORBIDDEN_FIREWALL, vault=f"v{n % 2}", credential=f"c{n}") for n in range(6)]
    assert {cause.name for cause in causes_of(*failures, healthy=others(9))} == {"v0", "v1"}


def test_three_keys_of_one_vault_are_three_causes():
    failures = [failed(Reason.KEY_EXPIRED) for _ in range(3)]
    for number, each in enumerate(failures):
        each.names[Link.KEY] = f"v1/k{number}"
    assert len(set(causes_of(*failures))) == 3


def test_one_credential_of_three_vaults_keeps_its_name():
    assert set(causes_of(*many(3, Reason.SECRET_EXPIRED, step=Step.TOKEN, since=0.0))) == {
        Cause(Link.CREDENTIAL, "sql", Reason.SECRET_EXPIRED)
    }


def test_another_reason_or_step_is_another_cause():
    failures = at(0, 0, reason=Reason.FORBIDDEN_FIREWALL)
    failures += [failed(Reason.FORBIDDEN_NSP, vault="x"), failed(Reason.FORBIDDEN_FIREWALL, vault="y", step=Step.UNWRAP_KEY)]
    assert {cause.name for cause in causes_of(*failures, healthy=others(9))} == {"v0", "v1", "x", "y"}


def test_unsteady_targets_are_causes_of_their_own():
    shaky = [failed(Reason.CONNECT_TIMEOUT, vault=f"u{n}", unsteady=True) for n in range(3)]
    found = causes_of(*shaky, *many(9, Reason.CONNECT_TIMEOUT))
    assert found[:3] == [Cause(Link.VAULT, f"u{n}", Reason.CONNECT_TIMEOUT, unsteady=True) for n in range(3)]
    assert {cause.id for cause in found[:3]} == {f"vault:u{n}:connect_timeout:unsteady" for n in range(3)}


def test_no_failure_has_no_cause():
    assert causes_of(healthy=[links()]) == []
