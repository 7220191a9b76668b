"""Incidents: which causes the status page shows as one card, as an operator would repair them together."""

import pytest

from exporter.knowledge.causes import Began, Cause, incident_id, incidents, nearest_incident
from exporter.knowledge.reason_row import Link
from exporter.knowledge.reasons import Reason

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
