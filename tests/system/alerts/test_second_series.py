"""No rule breaks on a second series of a target: an extra label, a changed label within a window, two Prometheus replicas."""

from dataclasses import replace

import pytest

from tests.system.alerts.matrix.exposed import Fault, Target
from tests.system.alerts.matrix.firing import Batch, spans

pytestmark = pytest.mark.real
MINUTE, HOUR = 60, 3600
FAULTS = (
    Fault("get_key", 3011, "throttled"),
    Fault("unwrap_key", 3077, "forbidden_rbac"),
    Fault("token", 3303, "secret_wrong"),
    Fault("token", 3011, "throttled"),
    Fault("challenge", 3008, "connect_timeout"),
    Fault("get_key", 3076, "key_not_found"),
)


def targets(**own):
    """A fleet with a sustained and an intermittent failure of every kind."""
    for number, fault in enumerate(FAULTS):
        probes = [*[None] * 10, *[fault] * 15, *[None] * 10, *[fault, None, None] * 8, *[None] * 10]
        yield Target(instance="mon1", name=f"t{number}", interval=60, probes=probes, credential=f"c{number}", **own)


def without(alerts, *labels):
    """Return the alerts without these labels."""
    return {frozenset(pair for pair in alert if pair[0] not in labels) for alert in alerts}


SECOND_SERIES = {
    "a label of the scrape target": lambda: [*targets(labels={"rack": "a"}), *targets(labels={"rack": "b"})],
    "two replicas above the ruler": lambda: [*targets(labels={"replica": "0"}), *targets(labels={"replica": "1"})],
    "a label that appears in mid-window": lambda: [
        *(replace(one, scraped=(0, 42 * MINUTE)) for one in targets()),
        *targets(labels={"rack": "new"}, scraped=(42 * MINUTE, HOUR * 9)),
    ],
}


@pytest.mark.parametrize("name", SECOND_SERIES)
def test_second_series_changes_no_alert(name, tmp_path):
    (tmp_path / "one").mkdir()
    [single, double] = [
        spans(place, [Batch("fleet", list(fleet), 70 * MINUTE, 60)])
        for place, fleet in ((tmp_path / "one", targets()), (tmp_path, SECOND_SERIES[name]()))
    ]

    assert without(double, "rack", "replica") == without(single)
    assert len({dict(alert)["alertname"] for alert in single}) > 5
