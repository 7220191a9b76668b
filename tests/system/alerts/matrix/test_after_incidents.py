"""Incidents of one and of many targets: one page names the cause, and nothing new is sent for an hour after recovery.

Nor is anything after one more random failure, or after a maintenance window that ends between two probes.
"""

from dataclasses import dataclass

import pytest

from tests.system.alerts.firing import fleet, spans
from tests.system.alerts.matrix.notified import sent
from tests.system.alerts.timeline import Exporter, Failed, Target

pytestmark = pytest.mark.real
MINUTE, LENGTH = 60, 225 * 60
BEGIN = {60: 20, 300: 6}  # good probes first
FORBIDDEN, BROKEN = Failed("unwrap_key", 3077, "forbidden_rbac"), Failed("get_key", 3013, "server_error")


@dataclass(frozen=True)
class After:
    """`probes`: whether each probe fails, from the first failure on. `page`: the one page; empty for none.

    `maintenance` has begin and end in seconds after the first failure. The vaults may have one credential.
    """

    interval: int
    fault: Failed
    probes: list[bool]
    page: str
    vaults: int = 1
    maintenance: tuple[int, ...] = ()
    credential: str = ""

    def exporter(self, name):
        begin = BEGIN[self.interval]
        probes = [*[None] * begin, *(self.fault if one else None for one in self.probes)]
        probes += [None] * (LENGTH // self.interval - len(probes))
        window = [begin * self.interval + second for second in self.maintenance]
        names = [f"{name}-{number}" for number in range(self.vaults)]
        own = {"interval": self.interval, "probes": probes, "maintenance": window, "instances": ()}
        targets = [Target(name=one, vault=f"{one}.vault.azure.net", credential=self.credential or one, **own) for one in names]
        return Exporter(targets=targets, instance=name)


def then(bad, good):
    """An outage, its end, and one more failure."""
    return [*[True] * bad, *[False] * good, True]


AFTER = {
    "vault": After(60, FORBIDDEN, then(12, 25), "EkmForbiddenSpike"),
    "slow-vault": After(300, FORBIDDEN, then(9, 18), "EkmForbiddenSpike"),
    "region": After(60, BROKEN, then(12, 25), "EkmRegionDown", vaults=4),
    "slow-region": After(300, BROKEN, then(9, 18), "EkmRegionDown", vaults=4),
    "slow-flapping": After(300, BROKEN, [True, True, False] * 10, "EkmRegionDown", vaults=4),
    "maintenance": After(300, FORBIDDEN, [True] * 10, "", maintenance=(-60, 48 * 60)),
}


@pytest.fixture(scope="session")
def fired(tmp_path_factory):
    batch = fleet("after", [case.exporter(name) for name, case in AFTER.items()], LENGTH, MINUTE)
    return spans(tmp_path_factory.mktemp("after"), [batch])


@pytest.mark.parametrize("name", AFTER)
def test_nothing_is_sent_after_the_page(name, fired):
    messages = sent({alert: periods for alert, periods in fired.items() if dict(alert).get("instance") == name})
    assert [one.alertname for one in messages] == [AFTER[name].page] * bool(AFTER[name].page)


# A vault alone, then many for less than a quarter of an hour, then all is well, then the vault alone again.
ALONE = {
    "forbidden": (FORBIDDEN, "EkmForbiddenSpike"),
    "throttled": (Failed("get_key", 3011, "throttled"), "EkmThrottledSpike"),
    "not-found": (Failed("get_key", 3076, "key_not_found"), "EkmVaultSideNotReady"),
    "gone": (Failed("challenge", 3900, "dns_not_found"), "EkmVaultHostNameGone"),
    "refused": (Failed("token", 3303, "secret_wrong"), "EkmCredentialRefused"),
    "server-error": (BROKEN, "EkmVaultSideNotReady"),
}
MANY = {
    "region": (BROKEN, "EkmRegionDown"),
    "host": (Failed("challenge", 3900, "dns_temporary"), "EkmEgressDown"),
    "entra": (Failed("token", 3013, "entra_unavailable"), "EkmEntraUnavailable"),
    "credential": (Failed("get_key", 3077, "forbidden_policy"), "EkmCredentialForbidden"),
}
PAIRS = {f"{one}-{many}": (ALONE[one], MANY[many]) for one in ALONE for many in MANY}
PAIRS |= {f"{one}-{many}": (MANY[one], MANY[many]) for one in MANY for many in MANY if one != many}
AGAIN = 110  # minutes: more than an hour later


def pair(name):
    """Three vaults with one credential; the first fails alone before and after, or all of them before."""
    (first, _), (many, _) = PAIRS[name]
    together = name.partition("-")[0] in MANY
    own = {"credential": name, "info": {"vantage": "sql_host"}, "instances": ()}
    probes = [*[None] * 10, *[first] * 10, *[many] * 14, *[None] * (AGAIN - 34), *[first] * 10, *[None] * 20]
    others = probes if together else [*[None] * 20, *probes[20:AGAIN], *[None] * 30]
    targets = [Target(name=f"{name}-0", vault=f"{name}-0.vault.azure.net", probes=probes, **own)]
    targets += [Target(name=f"{name}-{n}", vault=f"{name}-{n}.vault.azure.net", probes=others, **own) for n in (1, 2)]
    return Exporter(targets=targets, instance=name)


@pytest.fixture(scope="session")
def fired_in_pairs(tmp_path_factory):
    batch = fleet("pairs", [pair(name) for name in PAIRS], (AGAIN + 30) * MINUTE, MINUTE)
    return spans(tmp_path_factory.mktemp("pairs"), [batch])


@pytest.mark.parametrize("name", PAIRS)
def test_incident_after_a_common_cause_pages_at_once(name, fired_in_pairs):
    (_, first), (_, many) = PAIRS[name]
    messages = sent({alert: periods for alert, periods in fired_in_pairs.items() if dict(alert).get("instance") == name})
    found = [(one.alertname, one.at // MINUTE) for one in messages if one.receiver.startswith("page-")]
    # The page of the host still fires: what seems to be a region, or Entra ID, starts after it only if it lasts.
    covered = name in ("host-region", "host-entra")
    assert [alert for alert, _ in found] == ([first, first] if covered else [first, many, first]), found
    assert found[-1][1] <= AGAIN + 5, found
