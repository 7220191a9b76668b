"""Causes: the broken link of one failure, of many, and what belongs together."""

import pytest

from exporter.core.values import Step
from exporter.knowledge.causes import (
    TOGETHER_SECONDS,
    Began,
    Cause,
    CauseFinder,
    ChangeGroups,
    Failed,
    cause_of,
    incident_id,
    incidents,
    nearest_incident,
)
from exporter.knowledge.reason_row import Link
from exporter.knowledge.reasons import Reason, spreading_to

LATE = 86400.0


def links(vault="v1", credential="sql", region=None):
    names = {Link.HOST: "", Link.ENTRA: "login", Link.CREDENTIAL: credential, Link.VAULT: vault, Link.KEY: f"{vault}/k"}
    return names if region is None else names | {Link.REGION: region}


def failed(reason, *, step=Step.GET_KEY, since=0.0, unsteady=False, **names):
    return Failed(step=step, reason=reason, names=links(**names), since=since, unsteady=unsteady)


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
    cause = cause_of(failed(reason, step=step))
    assert (cause.link, cause.name) == (link, name)
    assert cause.id == f"{link}:{name}:{reason or ''}"


def test_every_step_and_reason_has_a_cause():
    for step in Step:
        for reason in Reason:
            assert cause_of(failed(reason, step=step)).link in Link


def test_region_is_at_fault_without_an_answer_but_not_for_a_certificate():
    assert {Reason.CONNECT_TIMEOUT, Reason.READ_TIMEOUT, Reason.BODY_TIMEOUT, Reason.SERVER_ERROR} <= spreading_to(Link.REGION)
    assert not {reason for reason in spreading_to(Link.REGION) if reason.startswith(("tls_", "dns_", "proxy_"))}


# Many failures with one cause: which link is broken, and which failures are one cause without a name.


def causes_of(*failures, healthy=()):
    """The causes of the failures, each in a vault of its own unless it names one, in a fleet with these other vaults."""
    every = CauseFinder()
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


# Incidents: which causes the status page shows as one card, as an operator would repair them together.

HOUR = 3600.0
FIREWALL, EXPIRED = Reason.FORBIDDEN_FIREWALL, Reason.SECRET_EXPIRED


def vault(name, reason=FIREWALL, *, unsteady=False):
    return Cause(Link.VAULT, name, reason, unsteady)


def began(cause, *beginnings, interval=60.0):
    return Began(cause, beginnings or (0.0,), interval)


def found(*causes):
    """The names of the links of each incident."""
    return [[each.cause.name for each in incident] for incident in incidents(causes)]


def both(first, second):
    return len(incidents([began(first), began(second)])) == 1


@pytest.mark.parametrize(
    ("first", "second", "one"),
    [
        (vault("v1"), vault("v2"), True),
        (vault(""), vault("v2"), True),  # many that began together, and one that followed
        (Cause(Link.CREDENTIAL, "a", Reason.CONDITIONAL_ACCESS), Cause(Link.CREDENTIAL, "b", Reason.CONDITIONAL_ACCESS), True),
        (Cause(Link.CREDENTIAL, "a", EXPIRED), Cause(Link.CREDENTIAL, "b", EXPIRED), False),  # each has a date of its own
        (Cause(Link.KEY, "v1/k", Reason.KEY_SOFT_DELETED), Cause(Link.KEY, "v2/k", Reason.KEY_SOFT_DELETED), False),
        (vault("v1", Reason.THROTTLED), vault("v2", Reason.THROTTLED), False),  # each has callers of its own
        (vault("v1", Reason.THROTTLED), vault("v1", Reason.THROTTLED, unsteady=True), True),
        (vault("v1"), vault("v2", Reason.FORBIDDEN_RBAC), False),  # another repair
        (vault("v1"), Cause(Link.CREDENTIAL, "a", FIREWALL), False),  # another link
        (vault("v1", None), vault("v2", None), False),  # nothing shows that they have one reason
        (Cause(Link.REGION, "North", Reason.READ_TIMEOUT), Cause(Link.REGION, "West", Reason.READ_TIMEOUT), False),
        (Cause(Link.PROXY, "p", Reason.PROXY_STATUS), Cause(Link.PROXY, "q", Reason.PROXY_STATUS), False),
    ],
    ids=str,
)
def test_causes_with_one_repair_are_one_incident(first, second, one):
    assert both(first, second) is both(second, first) is one


@pytest.mark.parametrize(
    ("gap", "interval", "one"),
    [(HOUR + 60, 60.0, True), (HOUR + 61, 60.0, False), (HOUR + 900, 900.0, True), (HOUR + 901, 900.0, False)],
)
def test_causes_far_apart_are_two_incidents(gap, interval, one):
    causes = [began(vault("v1")), began(vault("v2"), gap, interval=interval)]
    assert found(*causes) == found(*reversed(causes)) == ([["v1", "v2"]] if one else [["v1"], ["v2"]])


def test_a_change_that_reaches_vaults_one_by_one_is_one_incident():
    assert found(*(began(vault(f"v{n}"), n * HOUR) for n in range(5))) == [[f"v{n}" for n in range(5)]]


def test_each_failure_of_a_cause_counts_for_what_follows():
    several = began(vault(""), *(n * HOUR for n in range(11)))
    assert found(several, began(vault("v1"), 2 * HOUR), began(vault("v2"), 11 * HOUR)) == [["", "v1", "v2"]]
    assert found(several, began(vault("v2"), 11.1 * HOUR)) == [[""], ["v2"]]


def test_a_vault_that_failed_before_and_after_connects_nothing():
    twice = began(vault("a"), 0.0, 216 * HOUR)
    assert found(twice, began(vault("b"), 96 * HOUR)) == [["a"], ["b"]]
    assert found(twice, began(vault("b"), 216.5 * HOUR)) == [["a"], ["b"]]
    assert found(twice, began(vault("b"), 0.5 * HOUR), began(vault("c"), 216.5 * HOUR)) == [["a", "b"], ["c"]]


def test_a_long_interval_counts_for_its_own_incident_alone():
    slow = began(vault("v1"), interval=86400.0)
    assert found(slow, began(vault("v2"), 86400.0), began(vault("v3"), 5 * 86400.0), began(vault("v4"), 6 * 86400.0)) == [
        ["v1", "v2"], ["v3"], ["v4"],
    ]  # fmt: skip


def test_an_unsteady_cause_joins_its_link_or_what_began_with_it():
    old, new = began(vault("v1")), began(vault("v2"), 9 * HOUR)
    unsteady = [began(vault(name, unsteady=True), at * HOUR) for name, at in (("v1", 99), ("v2", 99), ("v3", 8.5), ("v4", 11))]
    incident = incidents([*unsteady, old, new])
    assert [[each.cause.name for each in one] for one in incident] == [["v1", "v1"], ["v2", "v3", "v2"], ["v4"]]
    assert [one[0].cause.unsteady for one in incident] == [False, False, True]


def test_unsteady_causes_alone_are_one_incident_if_they_began_together():
    assert found(*(began(vault(f"v{n}", unsteady=True), n * HOUR) for n in range(3))) == [["v0", "v1", "v2"]]
    assert found(*(began(vault(f"v{n}", unsteady=True), n * 9 * HOUR) for n in range(2))) == [["v0"], ["v1"]]
    assert found(*(began(Cause(Link.HOST, "", Reason.DNS_TIMEOUT, unsteady), 0) for unsteady in (True, False))) == [["", ""]]


def test_no_cause_is_no_incident():
    assert incidents([]) == []


def test_an_id_finds_the_incident_after_its_first_vault_recovered():
    old, new = (vault("v1"), 1000.0), (vault("v2"), 9000.4)
    assert incident_id(*new) == "vault:*:forbidden_firewall:9000"
    assert nearest_incident("vault:*:forbidden_firewall:8000", [old, new]) == incident_id(*new)
    assert nearest_incident("vault:*:forbidden_firewall:1200", [old, new]) == incident_id(*old)


@pytest.mark.parametrize(
    "wanted",
    ["", "vault:*:throttled:9000", "key:*:forbidden_firewall:9000", "vault:v1:forbidden_firewall", "vault:*:forbidden_firewall:x",
     "vault:*:forbidden_firewall:", f"vault:*:forbidden_firewall:{'9' * 300}"],
)  # fmt: skip
def test_an_id_of_nothing_finds_nothing(wanted):
    assert nearest_incident(wanted, [(vault("v1"), 1000.0)]) == ""


# Which changes of several targets are one, and where the list ends.

NOW = 1767323050.0


def grouped(*changes, most=10):
    """The groups of (seconds ago, kind, target), and the answers of `add`."""
    groups = ChangeGroups(most)
    answers = [groups.add(kind, NOW - ago, target, (kind, ago)) for ago, kind, target in sorted(changes)]
    return [(group.newest[0], list(group.targets), NOW - group.oldest) for group in groups.groups], answers


def test_forty_targets_with_one_kind_of_change_are_one_group():
    changes = [(10.0 + number, "firewall", f"vault{number:02}") for number in range(40)]
    assert grouped(*changes) == ([("firewall", [target for _, _, target in changes], 49.0)], [True] * 40)


def test_changes_of_other_kinds_are_groups_of_their_own():
    found, _ = grouped((1.0, "firewall", "a"), (2.0, "secret", "b"), (3.0, "firewall", "c"))
    assert found == [("firewall", ["a", "c"], 3.0), ("secret", ["b"], 2.0)]


def test_changes_far_apart_are_two_groups():
    found, _ = grouped((0.0, "firewall", "a"), (TOGETHER_SECONDS, "firewall", "b"), (2 * TOGETHER_SECONDS + 1, "firewall", "c"))
    assert found == [("firewall", ["a", "b"], TOGETHER_SECONDS), ("firewall", ["c"], 2 * TOGETHER_SECONDS + 1)]


def test_target_that_changes_twice_counts_once_with_its_newest_change():
    groups = ChangeGroups(10)
    for ago in (1.0, 2.0):
        groups.add("firewall", NOW - ago, "a", ago)
    assert groups.groups[0].targets == {"a": 1.0}


def test_full_list_only_completes_its_groups():
    found, answers = grouped(
        (1.0, "firewall", "a"), (2.0, "secret", "b"), (3.0, "firewall", "c"), (TOGETHER_SECONDS + 4, "secret", "d"), most=1
    )
    assert found == [("firewall", ["a", "c"], 3.0)]
    assert answers == [True, True, True, False]


def test_full_list_opens_no_second_group_of_a_kind():
    found, answers = grouped((1.0, "firewall", "a"), (TOGETHER_SECONDS + 2, "firewall", "b"), most=1)
    assert (found, answers) == ([("firewall", ["a"], 1.0)], [True, False])
