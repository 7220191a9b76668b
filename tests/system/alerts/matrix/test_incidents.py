"""Incidents of many targets: one page names the common cause, and nothing new is sent for an hour after recovery."""

import pytest

from tests.system.alerts.firing import fleet, spans
from tests.system.alerts.matrix.notified import sent
from tests.system.alerts.timeline import Exporter, Failed, Target

pytestmark = pytest.mark.real
MINUTE = 60
BEGIN, AFTER = 20, 65  # probes, one a minute
OUT, LONGEST = [True] * 12, 33
# The fault, which probes fail, how many targets, whether they share a credential, and the page.
INCIDENTS = {
    "region": (Failed("get_key", 3013, "server_error"), OUT, 5, False, "EkmRegionDown"),
    "egress": (Failed("challenge", 3900, "dns_temporary"), OUT, 5, False, "EkmEgressDown"),
    "entra": (Failed("token", 3013, "entra_unavailable"), OUT, 5, False, "EkmEntraUnavailable"),
    "credential": (Failed("token", 3303, "secret_wrong"), OUT, 20, True, "EkmCredentialRefused"),
    "permission": (Failed("unwrap_key", 3077, "forbidden_rbac"), OUT, 1, False, "EkmForbiddenSpike"),
    "forbidden": (Failed("get_key", 3077, "forbidden_rbac"), OUT, 5, True, "EkmCredentialForbidden"),
    "waves": (Failed("get_key", 3011, "throttled"), [*[True] * 5, *[False] * 6] * 3, 1, False, "EkmThrottledSpike"),
    "flapping": (Failed("get_key", 3013, "server_error"), [True, True, False] * 10, 5, False, "EkmRegionDown"),
}


def exporter(name):
    fault, bad, count, shared, _ = INCIDENTS[name]
    probes = [*[None] * BEGIN, *(fault if one else None for one in bad), *[None] * (AFTER + LONGEST - len(bad))]
    names = [f"{name}{number}" for number in range(count)]
    return Exporter(
        instance=name,
        targets=[
            Target(name=own, vault=f"{own}.vault.azure.net", probes=probes, credential=name if shared else own, instances=())
            for own in names
        ],
    )


@pytest.fixture(scope="session")
def fired(tmp_path_factory):
    length = (BEGIN + max(len(bad) for _, bad, *_ in INCIDENTS.values()) + AFTER) * MINUTE
    batch = fleet("incidents", [exporter(name) for name in INCIDENTS], length, MINUTE)
    return spans(tmp_path_factory.mktemp("incidents"), [batch])


@pytest.mark.parametrize("name", INCIDENTS)
def test_incident_is_one_page_and_silent_after_recovery(name, fired):
    _, bad, _, _, page = INCIDENTS[name]
    recovery = (BEGIN + len(bad) - bad[::-1].index(True)) * MINUTE
    messages = sent({alert: periods for alert, periods in fired.items() if dict(alert).get("instance") == name})

    assert [one.alertname for one in messages if one.receiver.startswith("page-")] == [page]
    assert [one for one in messages if one.at > recovery + 2 * MINUTE] == []
