"""No rule breaks on a second series of a target: an extra label, a changed label within a window, two Prometheus replicas."""

import pytest

from tests.system.alerts.matrix.firing import Batch, spans
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


@pytest.mark.parametrize("name", SECOND_SERIES)
def test_second_series_changes_no_alert(name, tmp_path):
    (tmp_path / "one").mkdir()
    [single, double] = [
        spans(place, [Batch("fleet", fleet, 70 * MINUTE, 60)])
        for place, fleet in ((tmp_path / "one", [exporter()]), (tmp_path, SECOND_SERIES[name]()))
    ]

    assert without(double, "rack", "replica") == without(single)
    assert len({dict(alert)["alertname"] for alert in single}) > 5
