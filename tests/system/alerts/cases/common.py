"""Many vaults at once: one alert of their common cause, one interval before the single alerts; and failures without one."""

from collections.abc import Sequence

from tests.support.values import replace
from tests.system.alerts.case import Fired, RuleCase, at, during, of_exporter, target_metric
from tests.system.alerts.cases.spikes import FORBIDDEN
from tests.system.alerts.timeline import DISCARDED, OK, Exporter, Failed, Outcome, Target

MINUTE = 60
TIMEOUT = Failed("challenge", 3008, "connect_timeout")
GONE = Failed("challenge", 3900, "dns_not_found")
NO_DNS = Failed("challenge", 3900, "dns_temporary")
NO_PROXY = Failed("token", 3008, "proxy_unreachable")
DOWN = Failed("token", 3013, "entra_unavailable")
SILENT = Failed("token", 3008, "read_timeout")
BROKEN = Failed("get_key", 3013, "server_error")
FIREWALL = Failed("get_key", 3077, "forbidden_firewall")


def fleet(failures: Sequence[Outcome], *, bad: int = 6, good: int = 30, **more: object) -> list[Target]:
    """Return one target with its own vault for each failure; all begin to fail after five good probes."""
    return [
        Target(
            name=f"t{number}",
            vault=f"v{number}.vault.azure.net",
            probes=[*[OK] * 5, *[failure] * bad, *[OK] * good],
            **more,
        )
        for number, failure in enumerate(failures)
    ]


def _egress() -> RuleCase:
    """Two hosts have no route, one of them to its proxy, so all their targets fail. The others have no common cause."""
    here = Exporter(targets=fleet([TIMEOUT, NO_DNS, TIMEOUT]))
    behind = Exporter(targets=fleet([NO_PROXY] * 3), instance="mon5:10377")
    there = Exporter(targets=fleet([OK] * 3), instance="mon2:10377")
    some = Exporter(targets=fleet([NO_DNS, NO_DNS, NO_DNS, OK]), instance="mon3:10377")
    few = Exporter(targets=fleet([NO_DNS, NO_DNS]), instance="mon4:10377")
    on = [of_exporter(here), of_exporter(behind)]
    alone = [target_metric(one, target) for one in (some, few) for target in one.targets if target.probes[6] is not OK]
    checks = [*at("EkmEgressDown", {5.75: [], 6: on, 24: on, 32: []}), *at("EkmVaultSideNotReady", {9: alone})]
    absent = ["EkmEntraUnavailable", "EkmCredentialForbidden"]
    exporters = [here, behind, there, some, few]
    return RuleCase(name="no outbound network", exporters=exporters, length=32 * MINUTE, checks=checks, absent=absent)


def _entra() -> RuleCase:
    """Half of the targets get no token. On another exporter Entra ID refuses, which is a response."""
    here = Exporter(targets=fleet([DOWN, DOWN, SILENT, OK, OK, OK]))
    refused = Exporter(targets=fleet([Failed("token", 3303, "secret_wrong")] * 4), instance="mon2:10377")
    on = of_exporter(here)
    checks = [*at("EkmEntraUnavailable", {5.75: [], 6: [on], 32: []}), *at("EkmVaultSideNotReady", {6: []})]
    absent = ["EkmEgressDown", "EkmRegionDown", "EkmCredentialForbidden"]
    return RuleCase(name="Entra ID is down", exporters=[here, refused], length=32 * MINUTE, checks=checks, absent=absent)


def _region() -> RuleCase:
    """Three of four vaults of a region fail, and one of four of the other region."""
    bad = fleet([BROKEN, BROKEN, TIMEOUT, OK])
    well = [
        Target(name=f"n{number}", vault=f"n{number}.vault.azure.net", region="northeurope", probes=[*[OK] * 5, *[probe] * 20])
        for number, probe in enumerate([OK, OK, OK, BROKEN])
    ]
    exporter = Exporter(targets=[*bad, *well])
    on = Fired({"region": "westeurope", "job": "ekm", "instance": exporter.instance})
    checks = [*at("EkmRegionDown", {5.75: [], 6: [on], 32: []}), *at("EkmVaultSideNotReady", {6: []})]
    absent = ["EkmEgressDown", "EkmEntraUnavailable", "EkmCredentialForbidden"]
    return RuleCase(name="a region is down", exporters=[exporter], length=32 * MINUTE, checks=checks, absent=absent)


def _credential() -> RuleCase:
    """Three of four vaults refuse one credential. Another one is refused by one vault, or because of the key's state."""
    expired = Failed("wrap_key", 3077, "key_expired", ready=True, unwraps=True)
    bad = fleet([FORBIDDEN, FORBIDDEN, FIREWALL, OK])
    well = [
        Target(name=f"o{number}", vault=f"o{number}.vault.azure.net", credential="other", probes=[*[OK] * 5, *[probe] * 20])
        for number, probe in enumerate([FORBIDDEN, expired, expired, OK])
    ]
    exporter = Exporter(targets=[*bad, *well])
    labels = {"credential": "sql-prod", "job": "ekm", "instance": exporter.instance}
    on = Fired(labels)
    checks = [*at("EkmCredentialForbidden", {5.75: [], 6: [on], 32: []}), *at("EkmForbiddenSpike", {6: []})]
    absent = ["EkmEgressDown", "EkmEntraUnavailable", "EkmRegionDown"]
    return RuleCase(
        name="a credential is refused by many", exporters=[exporter], length=32 * MINUTE, checks=checks, absent=absent
    )


def _restart() -> RuleCase:
    """The common cause survives a restart of the exporter, so that its page continues and no other one starts."""
    here = Exporter(targets=fleet([NO_DNS] * 3, bad=30), restarts=((605, 665),))
    on = of_exporter(here)
    checks = [(second, "EkmEgressDown", [on]) for second in range(9 * MINUTE, 25 * MINUTE, 60)]
    return RuleCase(name="a restart without outbound network", exporters=[here], length=25 * MINUTE, checks=checks, scrape=15)


def _region_and_a_restart() -> RuleCase:
    """An exporter restarts during the fault of a region, with and without a state directory: one page, and none of a vault.

    The other exporter has no page of the region before its restart, and three failed vaults of nine: a page for each.
    """
    bad = fleet([BROKEN, BROKEN, TIMEOUT, BROKEN, TIMEOUT], bad=40)
    well = [
        Target(name=f"n{number}", vault=f"n{number}.vault.azure.net", region="northeurope", probes=[OK] * 80)
        for number in range(5)
    ]
    restarts = ((15 * MINUTE + 5, 20 * MINUTE + 5), (25 * MINUTE + 5, 26 * MINUTE + 5))
    exporters = [
        Exporter(targets=[*bad, *well], instance=f"mon{number}:10377", restarts=restarts, state=state)
        for number, state in enumerate((True, False), 1)
    ]
    few = Exporter(
        targets=fleet([BROKEN, BROKEN, BROKEN, *[OK] * 6], bad=40), instance="mon3:10377", restarts=restarts, state=False
    )
    on = [Fired({"region": "westeurope", "job": one.job, "instance": one.instance}) for one in exporters]
    alone = [target_metric(few, target) for target in few.targets[:3]]
    checks = at("EkmRegionDown", {5: []})
    checks += during("EkmRegionDown", on, 7, 59)
    checks += during("EkmVaultSideNotReady", alone, 10, 59)
    checks += at("EkmRegionDown", {61: []})
    return RuleCase(name="a region and a restart", exporters=[*exporters, few], length=61 * MINUTE, checks=checks, scrape=15)


def _healed_unseen() -> RuleCase:
    """A region heals. Then two scrapes are lost, or nothing is measured for 20 minutes, or two scrapes and one probe fail later."""
    down = [*[OK] * 5, *[BROKEN] * 12]
    later = [OK] * 60

    def region(number: int, rest: Sequence[Outcome], *gaps: tuple[int, int]) -> Exporter:
        vaults = [Target(name=f"v{place}", vault=f"v{place}.vault.azure.net", probes=[*down, *rest]) for place in range(4)]
        return Exporter(targets=vaults, instance=f"mon{number}:10377", gaps=gaps)

    exporters = [
        region(1, later, (17 * MINUTE, 19 * MINUTE)),
        region(2, [*[DISCARDED] * 20, *later]),
        region(3, [*[OK] * 30, BROKEN, *later], (46 * MINUTE, 48 * MINUTE)),
    ]
    checks = at("EkmRegionDown", {70: []})
    return RuleCase(
        name="healed unseen", exporters=exporters, length=75 * MINUTE, checks=checks, absent=["EkmVaultSideNotReady"], scrape=30
    )


def _most_recover() -> RuleCase:
    """A host recovers, and two of its ten vaults stay silent: they have a page from the minute in which the common one ends."""
    exporter = Exporter(targets=fleet([TIMEOUT] * 8, bad=4, good=26))
    left = fleet([TIMEOUT] * 10, bad=30, good=0)[8:]
    exporter = replace(exporter, targets=[*exporter.targets, *left])
    on, alone = of_exporter(exporter), [target_metric(exporter, target) for target in left]
    checks = [*at("EkmEgressDown", {6: [on], 22: [on], 25: []}), *at("EkmVaultSideNotReady", {22: [], 25: alone})]
    return RuleCase(name="most vaults of a host recover", exporters=[exporter], length=30 * MINUTE, checks=checks)


CASES = [
    _egress(),
    _entra(),
    _region(),
    _credential(),
    _restart(),
    _region_and_a_restart(),
    _healed_unseen(),
    _most_recover(),
]
