"""The other pages of one target or one credential, the error budget, and exporters that are down or stale."""

from tests.system.alerts.case import Fired, RuleCase, at, during, of_credential, of_exporter, target_metric
from tests.system.alerts.cases.spikes import FORBIDDEN
from tests.system.alerts.timeline import NOT_PROBED, OK, Exporter, Failed, Target

MINUTE, HOUR, DAY = 60, 3600, 86400
NOT_FOUND = Failed("get_key", 3076, "key_not_found")
GONE = Failed("challenge", 3900, "dns_not_found")
NO_DNS = Failed("challenge", 3900, "dns_temporary")
NO_ENTRA_NAME = Failed("token", 3900, "dns_not_found")
DELETED = Failed("get_key", 3076, "key_soft_deleted")
WRONG = Failed("token", 3303, "secret_wrong")
ENDED = Failed("token", 3303, "secret_expired")


def _not_ready() -> RuleCase:
    target = Target(probes=[*[OK] * 10, *[NOT_FOUND] * 5, *[OK] * 28])
    on_host = Target(name="on-host", info={"vantage": "sql_host"}, probes=target.probes)
    exporter = Exporter(targets=[target, on_host])
    on = [target_metric(exporter, one) for one in (target, on_host)]
    checks = at("EkmVaultSideNotReady", {11: [], 13: on, 41: []})
    return RuleCase(name="not ready", exporters=[exporter], length=41 * MINUTE, checks=checks)


def _names_and_keys() -> RuleCase:
    """Each target has its own cause and recovers after ten probes. A temporary DNS failure is no missing vault."""
    rest = [OK] * 20
    gone = Target(name="gone", probes=[*[OK] * 5, *[GONE] * 10, *rest])
    deleted = Target(name="deleted", probes=[*[OK] * 5, *[DELETED] * 10, *rest])
    purge = {"ekm_key_scheduled_purge_timestamp_seconds": "_x5 7776000x9 stale"}
    dated = Target(name="dated", probes=[*[OK] * 5, *[DELETED] * 10, *rest], more=purge)
    temporary = Target(name="temporary", probes=[*[OK] * 5, *[NO_DNS] * 10, *rest])
    entra = Target(name="entra", probes=[*[OK] * 5, *[NO_ENTRA_NAME] * 10, *rest])
    well = [Target(name=f"well-{number}", probes=[OK] * 40) for number in range(8)]
    exporter = Exporter(targets=[gone, deleted, dated, temporary, entra, *well])
    dated_at_once = target_metric(exporter, dated)
    checks = [
        *at("EkmKeySoftDeleted", {4.5: [], 6: [dated_at_once], 8: [target_metric(exporter, deleted), dated_at_once], 33: []}),
        *at("EkmVaultHostNameGone", {6: [], 8: [target_metric(exporter, gone)], 33: []}),
    ]
    return RuleCase(name="names and keys that are gone", exporters=[exporter], length=33 * MINUTE, checks=checks)


def _credentials() -> RuleCase:
    """Refused and expired credentials, one expired by its date alone, and an Entra ID that is only down."""
    rest = [OK] * 30
    wrong = Target(name="wrong", credential="wrong", probes=[*[OK] * 5, *[WRONG] * 10, *rest])
    ended = Target(name="ended", credential="ended", probes=[*[OK] * 5, *[ENDED] * 10, *rest])
    dated = Target(name="dated", credential="dated", probes=[*[OK] * 5, *[WRONG] * 10, *rest])
    down = Target(name="down", credential="down", probes=[*[OK] * 5, *[Failed("token", 3013, "entra_unavailable")] * 10, *rest])
    declared = '{credential="%s",source="declared"}'
    name = "ekm_credential_expiry_timestamp_seconds"
    exporter = Exporter(
        targets=[wrong, ended, dated, down],
        more={f"{name}{declared % 'dated'}": "60x45", f"{name}{declared % 'down'}": "60x45"},
    )
    refused, over = [of_credential(exporter, wrong)], [of_credential(exporter, target) for target in (ended, dated)]
    checks = [*at("EkmCredentialRefused", {6: [], 8: refused, 41: []}), *at("EkmCredentialExpired", {6: [], 8: over, 41: []})]
    return RuleCase(name="credentials refused and expired", exporters=[exporter], length=41 * MINUTE, checks=checks)


def _turned_away() -> RuleCase:
    """Entra ID responds 429 or 403 at the token step: a page of its own, and none of the vault."""
    rest = [OK] * 30
    busy = Target(name="busy", credential="busy", probes=[*[OK] * 5, *[Failed("token", 3011, "throttled")] * 10, *rest])
    blocked = Target(
        name="blocked", credential="blocked", probes=[*[OK] * 5, *[Failed("token", 3077, "proxy_status")] * 10, *rest]
    )
    well = Target(name="well", credential="well", probes=[OK] * 45)
    exporter = Exporter(targets=[busy, blocked, well])
    on = [of_credential(exporter, target) for target in (busy, blocked)]
    alert = "EkmEntraTurnsAway"
    checks = at(alert, {6: [], 8: on, 33: []})
    absent = ["EkmThrottledSpike", "EkmForbiddenSpike"]
    return RuleCase(name="turned away at sign-in", exporters=[exporter], length=33 * MINUTE, checks=checks, absent=absent)


def _crash_loop() -> RuleCase:
    """Ten restarts an hour, with scrapes lost in between: one page that stays. One or two planned restarts: none."""
    loop = " ".join(f"{100 + 360 * number}x3 stale _x1" for number in range(20))
    crashing = Exporter(more={"process_start_time_seconds": loop})
    calm = Exporter(instance="mon2:10377", more={"process_start_time_seconds": "100x40 2500x40 4900x80"})
    on = of_exporter(crashing)
    alert = "EkmExporterDown"
    checks = [*at(alert, {10: []}), *during(alert, [on], 40, 100, 5)]
    return RuleCase(name="a crash loop", exporters=[crashing, calm], length=100 * MINUTE, checks=checks)


def _one_credential_for_many() -> RuleCase:
    """One alert for each team that uses the credential, for any number of targets."""
    targets = [Target(name=f"t{number}", probes=[*[OK] * 5, *[WRONG] * 5]) for number in range(4)]
    other = Target(name="u", labels={"team": "web"}, probes=[*[OK] * 5, *[WRONG] * 5])
    exporter = Exporter(targets=[*targets, other])
    on = [of_credential(exporter, target) for target in (targets[0], other)]
    checks = at("EkmCredentialRefused", {6: [], 8: on})
    return RuleCase(name="one credential of many targets", exporters=[exporter], length=8 * MINUTE, checks=checks)


def _exporter_down() -> RuleCase:
    """One exporter stays down, one is down briefly, one leaves the scrape targets, and one is of another job."""
    target = Target(probes=[OK] * 60)
    down = Exporter(targets=[target], gaps=((600, 1800),))
    moment = Exporter(targets=[target], instance="mon2:10377", restarts=((600, 720),))
    gone = Exporter(targets=[Target(name="alone", probes=[OK] * 60)], instance="mon3:10377", gaps=((600, 3600),), listed=False)
    other = Exporter(instance="mon4:9100", job="node", gaps=((600, 1800),))
    one, two = (of_exporter(exporter) for exporter in (down, gone))
    alert = "EkmExporterDown"
    checks = [
        (600 + 3 * MINUTE, alert, []),
        (600 + 5 * MINUTE + 15, alert, [one, two]),
        (28 * MINUTE, alert, [one, two]),
        (51 * MINUTE, alert, [two]),
    ]
    return RuleCase(name="exporters that are down", exporters=[down, moment, gone, other], length=52 * MINUTE, checks=checks)


def _another_pod() -> RuleCase:
    """A rollout, and a removed host: another exporter now probes the targets of the old one. No page."""
    kept, dropped = Target(probes=[OK] * 60), Target(name="dropped", probes=[OK] * 60)
    old = Exporter(targets=[kept, dropped], instance="ekm-7d9f-abcde", gaps=((600, 4800),), listed=False)
    new = Exporter(targets=[kept], instance="ekm-5c6b-fghij", gaps=((0, 630),), listed=False)
    return RuleCase(name="another pod replaces an exporter", exporters=[old, new], length=40 * MINUTE, absent=["EkmExporterDown"])


def _no_exporter() -> RuleCase:
    exporter = Exporter(targets=[Target(probes=[OK] * 60)], gaps=((0, 600),), listed=False)
    missing = Fired({"job": "ekm"})
    checks = at("EkmExporterDown", {1: [], 5: [missing], 31: []})
    return RuleCase(name="no exporter at all", exporters=[exporter], length=31 * MINUTE, checks=checks, apart=True)


def _stale() -> RuleCase:
    """All targets of one exporter are stale, one of another, and one exporter never probed."""
    stops = [OK] * 5 + [NOT_PROBED] * 20 + [OK] * 40
    all_stale = Exporter(targets=[Target(name="a", probes=stops), Target(name="b", probes=stops)])
    one_stale = Exporter(targets=[Target(name="a", probes=stops), Target(name="b", probes=[OK] * 65)], instance="mon2:10377")
    never = Exporter(targets=[Target(probes=[*[NOT_PROBED] * 25, *[OK] * 40])], instance="mon3:10377")
    on, none = of_exporter(all_stale), of_exporter(never)
    alert = "EkmEveryProbeStale"
    checks = at(alert, {4: [], 9: [], 13: [none], 15: [none], 18: [on, none], 24: [on, none], 46: []})
    return RuleCase(name="stale probes", exporters=[all_stale, one_stale, never], length=46 * MINUTE, checks=checks)


def _moved_to_another_vault() -> RuleCase:
    """After a reload the same target has another vault. Its counters exist twice for an hour, and no rule may fail."""
    before = Target(probes=[*[OK] * 10], vault="old.vault.azure.net")
    after = Target(probes=[*[NOT_PROBED] * 10, *[FORBIDDEN] * 10])
    first = Exporter(targets=[before], gaps=((600, 7200),), listed=False)
    second = Exporter(targets=[after], gaps=((0, 600),))
    checks = at("EkmForbiddenSpike", {13: [target_metric(second, after)]})
    return RuleCase(name="a target that moves to another vault", exporters=[first, second], length=19 * MINUTE, checks=checks)


def _without_requests() -> RuleCase:
    """Exporters without a scheduler show only counters on /metrics. One gets no more requests, the other does."""
    counter = 'ekm_probes_total{target="a",vault="a.vault.azure.net"}'
    silent = Exporter(more={counter: "0+1x10 10x39 11+1x40"})
    busy = Exporter(instance="mon2:10377", more={counter: "0+1x80"})
    on = of_exporter(silent)
    alert = "EkmEveryProbeStale"
    checks = at(alert, {29: [], 33: [on], 49: [on], 72: []})
    return RuleCase(name="no requests", exporters=[silent, busy], length=72 * MINUTE, checks=checks)


CASES = [
    _not_ready(),
    _names_and_keys(),
    _credentials(),
    _turned_away(),
    _crash_loop(),
    _one_credential_for_many(),
    _exporter_down(),
    _another_pod(),
    _no_exporter(),
    _stale(),
    _without_requests(),
    _moved_to_another_vault(),
]
