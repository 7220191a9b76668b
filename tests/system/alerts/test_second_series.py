"""No rule breaks on a second series of a target: an extra label, a changed label within a window, two Prometheus replicas."""

import pytest

from tests.support.values import replace
from tests.system.alerts.case import differences, named, spans_by_case
from tests.system.alerts.cases import ends, keys, tickets
from tests.system.alerts.firing import fleet, spans
from tests.system.alerts.timeline import Exporter, Failed, Target

pytestmark = pytest.mark.real
MINUTE, HOUR = 60, 3600
FAULTS = (
    Failed("get_key", 3011, "throttled"),
    Failed("unwrap_key", 3077, "forbidden_rbac"),
    Failed("token", 3303, "secret_wrong"),
    Failed("token", 3011, "throttled"),
    Failed("challenge", 3008, "connect_timeout"),
    Failed("get_key", 3076, "key_not_found"),
)


def exporter(**own):
    """A fleet with a sustained and an intermittent failure of every kind."""
    targets = [
        Target(
            name=f"t{number}",
            vault=f"t{number}.vault.azure.net",
            credential=f"c{number}",
            info={"vantage": "sql_host"},
            probes=[*[None] * 10, *[fault] * 15, *[None] * 10, *[fault, None, None] * 8, *[None] * 10],
        )
        for number, fault in enumerate(FAULTS)
    ]
    return Exporter(targets=targets, **own)


def without(alerts, *labels):
    """Return the alerts without these labels."""
    return {frozenset(pair for pair in alert if pair[0] not in labels) for alert in alerts}


SECOND_SERIES = {
    "a label of the scrape target": lambda: [exporter(labels={"rack": "a"}), exporter(labels={"rack": "b"})],
    "two replicas above the ruler": lambda: [exporter(labels={"replica": "0"}), exporter(labels={"replica": "1"})],
    "a label that appears in mid-window": lambda: [
        exporter(gaps=((42 * MINUTE, HOUR * 9),), listed=False),
        exporter(labels={"rack": "new"}, gaps=((0, 42 * MINUTE),), listed=False),
    ],
}


@pytest.fixture(scope="module")
def fired(tmp_path_factory):
    """The alerts of one series, and those of each pair of series, whose instances have its name."""
    place = tmp_path_factory.mktemp("series")
    series = {"one": [exporter()], **{name: exporters() for name, exporters in SECOND_SERIES.items()}}
    named = [replace(one, instance=name) for name, exporters in series.items() for one in exporters]
    found = spans(place, [fleet("fleet", named, 70 * MINUTE, 60)])
    return {name: {alert for alert in found if dict(alert).get("instance", name) == name} for name in series}


@pytest.mark.parametrize("name", SECOND_SERIES)
def test_second_series_changes_no_alert(name, fired):
    assert without(fired[name], "rack", "replica", "instance") == without(fired["one"], "instance")
    assert len({dict(alert)["alertname"] for alert in fired["one"]}) > 5


def without_replica(found):
    """Return the spans of alerts without the label of a replica."""
    return {frozenset(pair for pair in alert if pair[0] != "replica"): periods for alert, periods in found.items()}


SCRAPED_TWICE = named(case for table in (tickets, ends, keys) for case in table.CASES if case.scrape == MINUTE)


@pytest.fixture(scope="module")
def fired_twice(tmp_path_factory):
    """When each alert fires if every series is there twice: no evaluation may fail, which the run itself asserts."""
    twice = {
        prefix: replace(case, exporters=[replace(one, labels={"replica": name}) for one in case.exporters for name in "ab"])
        for prefix, case in SCRAPED_TWICE.items()
    }
    found = spans_by_case(tmp_path_factory.mktemp("twice"), twice)
    return {prefix: without_replica(found[prefix]) for prefix in twice}


@pytest.mark.parametrize("prefix", SCRAPED_TWICE, ids=[case.name for case in SCRAPED_TWICE.values()])
def test_ticket_is_the_same_if_every_series_is_there_twice(prefix, fired_twice):
    assert list(differences(SCRAPED_TWICE[prefix], prefix, fired_twice[prefix])) == []
