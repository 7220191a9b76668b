"""Incidents that something interrupts: a lost exporter, a restart, a maintenance window, one other code. Each is one page."""

from tests.system.alerts.case import Fired, RuleCase, at, during, of_credential, target_metric
from tests.system.alerts.cases.ends import ENDS, KNOWN
from tests.system.alerts.cases.spikes import FORBIDDEN
from tests.system.alerts.timeline import NOT_PROBED, OK, Exporter, Failed, Target

MINUTE, HOUR, DAY = 60, 3600, 86400
BROKEN = Failed("get_key", 3013, "server_error")
BLOCKED = Failed("get_key", 3077, "forbidden_firewall")
UNREADABLE = Failed("token", 3001, "secret_unreadable", ready=None)
NO_DNS = Failed("challenge", 3900, "dns_temporary")
SECRET = {KNOWN % "sql-prod": "1x600"}


def _lost_exporter() -> RuleCase:
    """An exporter is not scraped for 20 minutes: the page of an incident that continues does not end in between."""
    target = Target(probes=[*[OK] * 10, *[FORBIDDEN] * 60, *[OK] * 30])
    exporter = Exporter(targets=[target], gaps=((20 * MINUTE, 40 * MINUTE),), more=SECRET)
    page = target_metric(exporter, target)
    checks = during("EkmForbiddenSpike", [page], 14, 83, 2)
    checks += at("EkmForbiddenSpike", {86: []})
    return RuleCase(name="an incident and a lost exporter", exporters=[exporter], length=88 * MINUTE, checks=checks)


def _ended_unseen() -> RuleCase:
    """The incident ends while the exporter is not scraped: the page ends after the first good scrape."""
    target = Target(probes=[*[OK] * 10, *[FORBIDDEN] * 20, *[OK] * 40])
    exporter = Exporter(targets=[target], gaps=((20 * MINUTE, 40 * MINUTE),), more=SECRET)
    page = target_metric(exporter, target)
    checks = during("EkmForbiddenSpike", [page], 14, 53, 2)
    checks += at("EkmForbiddenSpike", {57: []})
    return RuleCase(name="an incident that ends unseen", exporters=[exporter], length=58 * MINUTE, checks=checks)


def _rare_probes() -> RuleCase:
    """A restart within an incident, with a probe each ten minutes: three new failures would take longer than the page is held."""
    target = Target(interval=600, probes=[OK, OK, *[FORBIDDEN] * 8, *[OK] * 6])
    exporter = Exporter(targets=[target], restarts=((48 * MINUTE, 50 * MINUTE),), more=SECRET)
    page = target_metric(exporter, target)
    checks = during("EkmForbiddenSpike", [page], 41, 139)
    checks += at("EkmForbiddenSpike", {142: []})
    return RuleCase(name="rare probes and a restart", exporters=[exporter], length=143 * MINUTE, checks=checks)


def _planned_work() -> RuleCase:
    """Maintenance of its only target changes no label of a credential's page, and does not end the page."""
    target = Target(probes=[OK] * 90, maintenance=(20 * MINUTE, 60 * MINUTE))
    exporter = Exporter(targets=[target], more={**SECRET, ENDS % ("sql-prod", "declared"): f"{12 * HOUR}x100"})
    page = of_credential(exporter, target)
    checks = during("EkmCredentialExpiresIn1Day", [page], 1, 86, 5)
    absent = ["EkmCredentialExpires"]
    return RuleCase(name="maintenance and a credential", exporters=[exporter], length=86 * MINUTE, checks=checks, absent=absent)


def _firewall_of_both() -> RuleCase:
    """A vault's firewall refuses the central exporter and the SQL Server host: both page, and no ticket blames monitoring."""
    probes = [*[OK] * 10, *[BLOCKED] * 20, *[OK] * 30]
    central, host = Target(probes=probes), Target(probes=probes, info={"vantage": "sql_host"})
    here = Exporter(targets=[central], more=SECRET)
    there = Exporter(targets=[host], instance="sql1:10377", more=SECRET)
    alert = "EkmForbiddenSpike"
    pages = [target_metric(here, central), target_metric(there, host)]
    checks = at(alert, {10: [], 15: pages, 29: pages, 50: []})
    absent = ["EkmPathNotAsExpected"]
    return RuleCase(name="a firewall that blocks both", exporters=[here, there], length=50 * MINUTE, checks=checks, absent=absent)


def _reboot_in_a_window() -> RuleCase:
    """A host reboots within a window of all its targets: no page. It pages outside, and with a target that has no window."""
    window = (10 * MINUTE, 210 * MINUTE)
    away, length = ((20 * MINUTE, 40 * MINUTE),), 45 * MINUTE
    planned = Exporter(targets=[Target(probes=[OK] * 90, maintenance=window)], gaps=away)
    partly = Exporter(
        instance="mon2:10377",
        targets=[Target(probes=[OK] * 90, maintenance=window), Target(name="b", probes=[OK] * 90)],
        gaps=away,
    )
    down = [Fired({"job": "ekm", "instance": partly.instance})]
    checks = [*at("EkmExporterDown", {23: []}), *during("EkmExporterDown", down, 26, 45)]
    return RuleCase(name="a reboot in a window", exporters=[planned, partly], length=length, checks=checks)


def _lost_in_a_window() -> RuleCase:
    """An exporter that does not come back within an hour of its window pages."""
    planned = Exporter(targets=[Target(probes=[OK] * 20, maintenance=(0, 40 * MINUTE))], gaps=((20 * MINUTE, 120 * MINUTE),))
    down = [Fired({"job": "ekm", "instance": planned.instance})]
    checks = at("EkmExporterDown", {75: [], 85: down})
    return RuleCase(name="lost in a window", exporters=[planned], length=85 * MINUTE, checks=checks)


def _clock_behind() -> RuleCase:
    """A host's clock is an hour behind, so each probe seems old: no page and no ticket while the counter of probes grows."""
    behind = {"ekm_last_probe_timestamp_seconds": "-3600+60x60"}
    target = Target(probes=[OK] * 60, more=behind)
    stopped = Target(probes=[*[OK] * 20, *[NOT_PROBED] * 40], more={"ekm_last_probe_timestamp_seconds": "-3600+60x19 -2460x40"})
    slow = Target(interval=600, probes=[OK] * 6, more={"ekm_last_probe_timestamp_seconds": "-7200+60x60"})
    well, rare = Exporter(targets=[target]), Exporter(targets=[slow], instance="mon3:10377")
    stops = Exporter(targets=[stopped], instance="mon2:10377")
    alert = "EkmEveryProbeStale"
    checks = during(alert, [], 20)
    checks += during(alert, [Fired({"job": "ekm", "instance": stops.instance})], 32, 55)
    absent = ["EkmTargetNotProbed"]
    exporters = [well, rare, stops]
    return RuleCase(name="a clock that is behind", exporters=exporters, length=55 * MINUTE, checks=checks, absent=absent)


def _two_exporters_two_codes() -> RuleCase:
    """Two exporters see the same vault in two ways, at the same time or one later: one page by one name."""
    well = [*[OK] * 10, *[FORBIDDEN] * 15, *[OK] * 20]
    here = Exporter(targets=[Target(probes=well)], more=SECRET)
    there = Exporter(targets=[Target(probes=[*[OK] * 12, *[BROKEN] * 13, *[OK] * 20])], instance="sql1:10377", more=SECRET)
    pages = [target_metric(one, one.targets[0]) for one in (here, there)]
    alert = "EkmForbiddenSpike"
    checks = at(alert, {12: [], 14: pages[:1], 17: pages, 38: pages})
    checks += at(alert, {42: []})
    absent = ["EkmVaultSideNotReady"]
    return RuleCase(name="two codes of two exporters", exporters=[here, there], length=44 * MINUTE, checks=checks, absent=absent)


def _other_credentials() -> RuleCase:
    """Two exporters with a credential each on one vault: the expired one of the first is no page of the second, which has its own."""
    expired, begins = Failed("token", 3303, "secret_expired"), [*[OK] * 5, *[FORBIDDEN] * 12, *[OK] * 20]
    first = Target(probes=[*[OK] * 2, *[expired] * 20, *[OK] * 15], credential="first")
    second = Target(probes=begins, credential="second")
    here, there = Exporter(targets=[first]), Exporter(targets=[second], instance="mon2:10377")
    on = target_metric(there, second)
    checks = [
        *during("EkmCredentialExpired", [of_credential(here, first)], 7, 30, 2),
        *during("EkmForbiddenSpike", [on], 9, 30, 2),
    ]
    return RuleCase(name="two credentials on one vault", exporters=[here, there], length=31 * MINUTE, checks=checks)


def _host_is_lost() -> RuleCase:
    """A firewall refuses the exporter on the SQL Server host, which is then lost, and the central one: that one pages, too."""
    central = Target(probes=[*[OK] * 10, *[BLOCKED] * 40])
    host = Target(probes=[*[OK] * 5, *[BLOCKED] * 40], info={"vantage": "sql_host"})
    outside = Exporter(targets=[central])
    inside = Exporter(targets=[host], instance="sql1:10377", gaps=((10 * MINUTE, 45 * MINUTE),))
    on = [target_metric(outside, central), target_metric(inside, host)]
    checks = during("EkmForbiddenSpike", on, 14, 24)
    return RuleCase(name="the exporter on the host is lost", exporters=[outside, inside], length=25 * MINUTE, checks=checks)


def _planned_restarts() -> RuleCase:
    """Restarts within a window of all targets are planned, also half an hour after it."""
    restarts = tuple((minute * MINUTE, minute * MINUTE + 60) for minute in (12, 15, 18, 21, 24))
    target = Target(probes=[OK] * 60, maintenance=(10 * MINUTE, 26 * MINUTE))
    started = "100x12 " + " ".join(f"{100 + minute}x2" for minute in (12, 15, 18, 21)) + " 130x30"
    exporter = Exporter(targets=[target], restarts=restarts, more={"process_start_time_seconds": started})
    return RuleCase(
        name="planned restarts",
        exporters=[exporter],
        length=55 * MINUTE,
        checks=at("EkmExporterDown", {50: []}),
        absent=["EkmExporterDown"],
    )


CASES = [
    _other_credentials(),
    _host_is_lost(),
    _planned_restarts(),
    _two_exporters_two_codes(),
    _reboot_in_a_window(),
    _lost_in_a_window(),
    _clock_behind(),
    _lost_exporter(),
    _ended_unseen(),
    _rare_probes(),
    _planned_work(),
    _firewall_of_both(),
]
