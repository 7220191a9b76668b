"""Tickets of a target, and similar states that are none. Scraped once a minute, like the values in `more`."""

from collections import defaultdict
from collections.abc import Iterable, Sequence

from alerts.values import DURATIONS
from tests.support.values import replace
from tests.system.alerts.case import Fired, RuleCase, at, during, of_exporter, target_metric
from tests.system.alerts.cases.pages import NOT_FOUND
from tests.system.alerts.cases.spikes import FORBIDDEN, THROTTLED
from tests.system.alerts.timeline import DISCARDED, NOT_PROBED, OK, READ, Exporter, Failed, Outcome, Target

MINUTE, HOUR, DAY = 60, 3600, 86400
HELD = DURATIONS["HOLD_TICKET"] // MINUTE


def minutes(*parts: tuple[object, int]) -> str:
    """Return values, each for the given number of minutes."""
    return " ".join(f"{value}x{count - 1}" for value, count in parts)


def lasting(alert: str, begins: int, ends: int, on: Sequence[Fired]) -> list[tuple[int, str, Sequence[Fired]]]:
    """Return checks: `on` fires from the minute `begins`, its cause ends in the minute `ends`, and it is over after the hold."""
    silent = [((begins - 1) * MINUTE, alert, []), ((ends + HELD + 5) * MINUTE, alert, [])]
    return [*silent, *((minute * MINUTE, alert, on) for minute in (begins + 1, ends - 1, ends + HELD - 5))]


def ticket(
    name: str, exporters: Iterable[Exporter], *lasts: tuple[str, int, int, Sequence[Fired]], absent: Sequence[str] = ()
) -> RuleCase:
    """A case of tickets that begin and end as in `lasting`, scraped once a minute."""
    checks = [check for last in lasts for check in lasting(*last)]
    length = max(second for second, *_ in checks)
    return RuleCase(name=name, exporters=list(exporters), length=length, checks=checks, absent=absent)


def _bad(value: int, well: int) -> str:
    """Return values that are bad from the tenth minute to the sixtieth."""
    return minutes((well, 10), (value, 50), (well, 20))


def _plain() -> RuleCase:
    """Each target has one bad series. One more target has none of these series, and one is healthy."""
    version = 'ekm_retained_version_usable{key="tde",version="%s"}'
    versions = {version % "2023": _bad(0, 1), version % "2024": "1x80"}
    troubles = (
        ("EkmRecoveryUnusable", {"ekm_recovery_usable": _bad(0, 1)}, {}),
        ("EkmKeyCareDue", {"ekm_key_rotation_pending": _bad(1, 0)}, {"label_problem": "newer version"}),
        ("EkmPathNotAsExpected", {"ekm_path_as_expected": _bad(0, 1)}, {"label_problem": "network path"}),
        ("EkmRecoveryUnusable", versions, {"label_key": "tde", "label_version": "2023"}),
    )
    well = {"ekm_recovery_usable": "1x80", "ekm_key_rotation_pending": "0x80", "ekm_path_as_expected": "1x80"}
    targets = [Target(name=f"t{place}", probes=[OK] * 80, more=more) for place, (_, more, _) in enumerate(troubles)]
    others = [Target(name="silent", probes=[OK] * 80), Target(name="well", probes=[OK] * 80, more=well)]
    exporter = Exporter(targets=[*targets, *others])
    fired = defaultdict(list)
    for target, (alert, _, words) in zip(targets, troubles, strict=True):
        fired[alert].append(target_metric(exporter, target, **words))
    lasts = [(alert, 25, 60, on) for alert, on in fired.items()]
    return ticket("tickets by one series", [exporter], *lasts)


def _expiry() -> RuleCase:
    """A key that expires, is expired, and gets another date. Other keys never expire, or are not ready."""
    ends = {"ekm_key_expiry_timestamp_seconds": minutes((3600, 60 + 20), (9999999, 130))}
    target = Target(probes=[OK] * 90, more=ends)
    unready = Target(name="unready", probes=[*[OK] * 50, *[NOT_FOUND] * 150], more=ends)
    far = Target(name="far", probes=[OK] * 90, more={"ekm_key_expiry_timestamp_seconds": minutes((31 * DAY, 210))})
    never = Target(name="never", probes=[OK] * 90)
    exporter = Exporter(targets=[target, unready, far, never])
    soon = [target_metric(exporter, one, label_problem="expires soon") for one in (target, unready)]
    expired = [target_metric(exporter, target, label_state="dates")]
    state, care = "EkmKeyStateInvalid", "EkmKeyCareDue"
    checks = [
        *((minute * MINUTE, care, fired) for minute, fired in ((4, []), (16, soon), (59, soon), (79, soon), (135, []))),
        *(
            (minute * MINUTE, state, fired)
            for minute, fired in ((59, []), (67, expired), (79, expired), (135, expired), (146, []))
        ),
    ]
    return RuleCase(name="a key that expires", exporters=[exporter], length=146 * MINUTE, checks=checks)


def _disabled() -> RuleCase:
    """A ticket while unwrap works; a page if the verdict is not ready."""
    off = {"ekm_key_enabled": minutes((1, 10), (0, 20), (1, 20))}
    works = Failed("wrap_key", 3077, "key_disabled", ready=True, unwraps=True)
    target = Target(probes=[*[OK] * 10, *[works] * 20, *[OK] * 20], more=off)
    closed = Target(name="closed", probes=[*[OK] * 10, *[NOT_FOUND] * 20, *[OK] * 20], more=off)
    exporter = Exporter(targets=[target, closed])
    on = [target_metric(exporter, target, label_state="disabled")]
    return ticket("a disabled key that unwraps", [exporter], ("EkmKeyStateInvalid", 15, 30, on))


def _unknown() -> RuleCase:
    """A ticket after 30 minutes without a verdict: also of a target in mode read_only whose probes fail on the exporter's side.

    No ticket for targets without a verdict by design, which page, or if throttled, or for a shorter gap.
    """
    none = Failed("token", 3001, "internal", ready=None)
    probes = [*[OK] * 5, *[none] * 60, *[OK] * 80]
    target = Target(probes=probes)
    reader = Target(name="reader", probes=[READ if probe is OK else probe for probe in probes], info={"mode": "read_only"})
    canary = Target(name="canary", probes=probes, info={"mode": "canary"})
    bare = Target(name="bare", probes=probes, info={"pin": "none"})
    managed = Target(name="managed", probes=probes, credential="by-vm")
    throttled = Target(name="throttled", probes=[*[OK] * 5, *[THROTTLED] * 140])
    moment = Target(name="moment", probes=[*[OK] * 5, *[none] * 20, *[OK] * 120])
    known = {'ekm_credential_expiry_known{credential="sql-prod"}': "1x400"}
    exporter = Exporter(targets=[target, reader, canary, bare, managed, throttled, moment], more=known)
    one, two = (target_metric(exporter, each) for each in (target, reader))
    alert = "EkmTargetNotProbed"
    checks = [
        *((minute * MINUTE, alert, fired) for minute, fired in ((18, []), (24, [two]), (33, [two]), (37, [one, two]))),
        *((minute * MINUTE, alert, fired) for minute, fired in ((64, [one, two]), (120, [one, two]), (131, []))),
    ]
    return RuleCase(name="no verdict", exporters=[exporter], length=131 * MINUTE, checks=checks)


def _next() -> RuleCase:
    """The staged credential is refused: a ticket only if the current one expires soon."""
    staged = {'ekm_credential_usable{role="next",credential="sql-2027"}': minutes((1, 10), (0, 30), (1, 80))}
    soon = Target(name="soon", credential="soon", probes=[OK] * 60, more=staged)
    late = Target(name="late", credential="late", probes=[OK] * 60, more=staged)
    name = 'ekm_credential_expiry_timestamp_seconds{credential="%s",source="declared"}'
    ends = {name % "soon": minutes((29 * DAY, 120)), name % "late": minutes((31 * DAY, 120))}
    exporter = Exporter(targets=[soon, late], more=ends)
    on = [target_metric(exporter, soon, label_next_credential="sql-2027")]
    return ticket("the next credential is refused", [exporter], ("EkmNextCredentialRefused", 25, 40, on))


def _old_success() -> RuleCase:
    old, new = "ekm_recovery_last_success_timestamp_seconds", "ekm_recovery_usable"
    values = " ".join(["0x300", f"{25 * HOUR}x60"])
    target = Target(interval=300, probes=[OK] * 360, more={old: values})
    refused = Target(name="refused", interval=300, probes=[OK] * 360, more={old: values, new: "0x400"})
    exporter = Exporter(targets=[target, refused])
    alert = "EkmRecoveryUnusable"
    checks = [
        (DAY, alert, [target_metric(exporter, refused)]),
        (DAY + 30 * MINUTE, alert, [target_metric(exporter, target), target_metric(exporter, refused)]),
        (DAY + 140 * MINUTE, alert, [target_metric(exporter, refused)]),
    ]
    return RuleCase(name="an old success of recovery", exporters=[exporter], length=DAY + 140 * MINUTE, checks=checks, scrape=300)


def _slow() -> RuleCase:
    """From the 60th minute on, a quarter of the steps is above 1 s; or too few steps are."""

    def histogram(name: str, above_1s: int) -> Target:
        steps, series = 20, "ekm_step_duration_seconds_%s"
        fast = steps - above_1s
        less = f"0+{steps}x60 {60 * steps + fast}+{fast}x59 {60 * steps + 60 * fast}+{steps}x140"
        more = {series % 'bucket{step="get_key",le="1.0"}': less, series % 'count{step="get_key"}': f"0+{steps}x260"}
        return Target(name=name, probes=[OK] * 250, more=more)

    slow, few = histogram("slow", 5), histogram("few", 1)
    exporter = Exporter(targets=[slow, few])
    on = [target_metric(exporter, slow)]
    checks = [(minute * MINUTE, "EkmLatencyHigh", fired) for minute, fired in ((60, []), (110, on), (240, []))]
    return RuleCase(name="slow responses", exporters=[exporter], length=240 * MINUTE, checks=checks)


def _firewall() -> RuleCase:
    """Refused on a central host but not on SQL Server's: a ticket and no page. Without the second exporter it pages."""
    refused = Failed("get_key", 3077, "forbidden_firewall")
    central = Target(probes=[*[OK] * 5, *[refused] * 40, *[OK] * 80])
    alone = Target(name="alone", vault="alone.vault.azure.net", probes=central.probes)
    on_host = Target(probes=[OK] * 130, info={"vantage": "sql_host"})
    one, two = Exporter(targets=[central, alone]), Exporter(targets=[on_host], instance="sql1:10377")
    many, seen = _behind_firewalls(refused)
    refused_here = [(one, central), *((many, target) for target in many.targets)]
    on = [target_metric(exporter, target, label_problem="firewall") for exporter, target in refused_here]
    checks = [
        *lasting("EkmPathNotAsExpected", 20, 45, on),
        *during("EkmCredentialForbidden", [], 5, 61),
        *at("EkmForbiddenSpike", {30: [target_metric(one, alone)]}),
    ]
    exporters = [one, two, many, seen]
    return RuleCase(
        name="a firewall that blocks monitoring",
        exporters=exporters,
        length=110 * MINUTE,
        checks=checks,
        absent=["EkmErrorBudgetBurns"],
    )


def _behind_firewalls(refused: Failed) -> tuple[Exporter, Exporter]:
    """Return three vaults of one credential that refuse only a central exporter: no page of a common cause."""
    names = [f"wall{number}" for number in range(3)]
    outside = [
        Target(name=name, vault=f"{name}.vault.azure.net", probes=[*[OK] * 5, *[refused] * 40, *[OK] * 80]) for name in names
    ]
    inside = [replace(target, probes=[OK] * 130, info={"vantage": "sql_host"}) for target in outside]
    return Exporter(targets=outside, instance="mon2:10377"), Exporter(targets=inside, instance="sql2:10377")


def _firewall_and_a_bad_moment() -> RuleCase:
    """One failed probe and one lost scrape on the SQL Server host, one lost scrape here, then recovery: no page."""
    refused = Failed("get_key", 3077, "forbidden_firewall")
    lost = Failed("challenge", 3008, "connection_reset")
    central = Target(probes=[*[OK] * 5, *[refused] * 45, *[OK] * 30])
    on_host = Target(probes=[*[OK] * 20, lost, *[OK] * 60], info={"vantage": "sql_host"})
    here = Exporter(targets=[central], gaps=((40 * MINUTE, 40 * MINUTE + 15),))
    there = Exporter(targets=[on_host], instance="sql1:10377", gaps=((30 * MINUTE, 30 * MINUTE + 15),))
    checks = [
        (second, alert, [])
        for second in range(0, 65 * MINUTE, MINUTE)
        for alert in ("EkmForbiddenSpike", "EkmVaultSideNotReady", "EkmErrorBudgetBurns")
    ]
    return RuleCase(name="a bad moment behind a firewall", exporters=[here, there], length=65 * MINUTE, checks=checks)


def _preflight() -> RuleCase:
    """Preflight checks fail while probes succeed: a ticket, through a restart, until a run passes. None if probes fail."""
    count, one = "ekm_preflight_failed_checks", 'ekm_preflight_failed{check="%s"}'
    failing = {  # a restart in the 30th minute, and the next run half an hour later
        count: "0x9 2x19 stale _x29 2x39 0x110",
        one % "revocation": "_x10 1x19 stale _x29 1x39 stale",
        one % "clock": "_x10 1x19 stale",
    }
    target = Target(probes=[OK] * 210, more=failing)
    closed = Target(name="closed", probes=[NOT_FOUND] * 210, more={count: "3x210", one % "dns_vault": "1x210"})
    well = Target(name="well", probes=[OK] * 210, more={count: "0x210"})
    exporter = Exporter(targets=[target, closed, well, Target(name="new", probes=[OK] * 210)])
    return ticket(
        "a check fails while probes succeed", [exporter], ("EkmPreflightFailed", 25, 100, [target_metric(exporter, target)])
    )


def _ticket_continues() -> RuleCase:
    """A ticket goes on through a restart, through a page of its target, and while its exporter is away. Then it ends."""
    values = {"ekm_key_rotation_pending": "0x4 1x24 stale _ 1x68 _x40 1x19 0x70"}
    target = Target(probes=[*[OK] * 40, *[FORBIDDEN] * 20, *[OK] * 170], more=values)
    exporter = Exporter(targets=[target], restarts=((1800, 1875),), gaps=((100 * MINUTE, 140 * MINUTE),))
    on = [target_metric(exporter, target, label_problem="newer version")]
    alert = "EkmKeyCareDue"
    checks = [
        *during(alert, on, 24, 215),
        *at("EkmForbiddenSpike", {50: [target_metric(exporter, target)]}),
        *at("EkmExporterDown", {110: [Fired({"job": "ekm", "instance": exporter.instance})]}),
        *at(alert, {230: []}),
    ]
    return RuleCase(name="a ticket that continues", exporters=[exporter], length=230 * MINUTE, checks=checks)


def _never_probed() -> RuleCase:
    """One target of two is not probed for a while: one ticket. If an exporter probes none, its page is enough."""
    stops = [*[OK] * 5, *[NOT_PROBED] * 40, *[OK] * 90]
    stopped, well = Target(name="stopped", probes=stops), Target(name="well", probes=[OK] * 140)
    exporter = Exporter(targets=[stopped, well])
    idle = Exporter(targets=[replace(stopped, name=name) for name in ("one", "two")], instance="mon2:10377")
    checks = [
        *lasting("EkmTargetNotProbed", 26, 45, [target_metric(exporter, stopped)]),
        *at("EkmEveryProbeStale", {40: [Fired({"job": "ekm", "instance": idle.instance})]}),
    ]
    return RuleCase(name="a target is no longer probed", exporters=[exporter, idle], length=110 * MINUTE, checks=checks)


def _not_measured() -> RuleCase:
    """A host is too slow for 40 minutes: a page if most targets have no result, a ticket otherwise, and never a failure.

    One of its targets failed before: its page ends, because nothing is known any more.
    """
    lost = [*[OK] * 20, *[DISCARDED] * 40, *[OK] * 80]
    some = [Target(name=f"lost-{number}", vault=f"v{number}.vault.azure.net", probes=lost) for number in range(4)]
    failed = Target(name="failed", vault="failed.vault.azure.net", probes=[*[OK] * 10, *[FORBIDDEN] * 10, *lost[20:]])
    well = [Target(name=f"well-{number}", probes=[OK] * 140) for number in range(4)]
    most, half = Exporter(targets=[*some, failed, *well]), Exporter(targets=[*some, *well], instance="mon2:10377")
    alert = "EkmEveryProbeStale"
    checks = at(alert, {27: [], 30: [of_exporter(most)], 58: [of_exporter(most)]})
    checks += lasting("EkmTargetNotProbed", 40, 60, [target_metric(half, each) for each in some])
    checks += during("EkmVaultSideNotReady", [], 50, 100, 10)
    absent = ["EkmErrorBudgetBurns", "EkmRegionDown", "EkmEgressDown", "EkmCredentialForbidden"]
    return RuleCase(name="not measured", exporters=[most, half], length=130 * MINUTE, checks=checks, absent=absent)


def _slow_host(interval: int) -> RuleCase:
    """Most targets get no result, because all are discarded: a page after ten minutes, or after two intervals and five minutes.

    No page: targets back off after 429 next to a discarded one; every target is discarded now and then; an exporter restarts on a slow
    host and has results soon; targets are probed rarely; an exporter has no scheduler.
    """
    last, lost = 9 * interval, max(10 * MINUTE, 2 * interval + 5 * MINUTE)
    ends = last + lost + 20 * MINUTE
    count = ends // interval + 2
    slow = [*[OK] * 10, *[DISCARDED] * (count - 10)]
    rests = [*[OK] * 10, *[*[NOT_PROBED] * 4, THROTTLED] * count][:count]
    at_times = [OK, OK, *[DISCARDED, OK] * count][:count]

    def fleet(probes: Sequence[Outcome], count: int = 4, interval: int = interval) -> list[Target]:
        return [
            Target(name=f"t{number}", vault=f"t{number}.vault.azure.net", interval=interval, probes=probes)
            for number in range(count)
        ]

    discarded = Target(name="slow", vault="slow.vault.azure.net", interval=interval, probes=slow)
    resumes = -(-(last + MINUTE) // interval)  # the number of the first probe after the restart
    restarted = [*slow[: resumes + 1], *[OK] * (count - resumes)]
    on = Exporter(targets=[*fleet(slow), *[replace(each, name=f"w{each.name}", probes=[OK] * count) for each in fleet(slow, 3)]])
    others = [
        Exporter(targets=[*fleet(rests), discarded], instance="mon2:10377"),
        Exporter(targets=fleet(at_times), instance="mon3:10377"),
        Exporter(targets=fleet(restarted), instance="mon4:10377", restarts=((last + 5, last + MINUTE),)),
        Exporter(targets=[*fleet([OK, OK, OK], interval=3600), discarded], instance="mon5:10377"),
        Exporter(
            instance="mon6:10377",
            more={
                'ekm_probes_total{target="a",vault="a.vault.azure.net"}': "0+1x200",
                "ekm_exporter_probes_tainted_total": "0+1x200",
            },
        ),
    ]
    alert, scrape = "EkmEveryProbeStale", 30
    checks = [(second, alert, []) for second in range(0, last + lost - scrape, scrape)]
    checks += [(second, alert, [of_exporter(on)]) for second in range(last + lost + MINUTE, ends, scrape)]
    absent = ["EkmVaultSideNotReady", "EkmEgressDown", "EkmRegionDown", "EkmErrorBudgetBurns"]
    return RuleCase(
        name=f"a slow host, at {interval} s", exporters=[on, *others], length=ends, checks=checks, absent=absent, scrape=scrape
    )


def _wrap() -> RuleCase:
    """Wrap fails with a server error for 20 probes while unwrap succeeds; on another target for two probes."""
    wrap = Failed("wrap_key", 3013, "server_error", ready=True, unwraps=True)
    target = Target(probes=[*[OK] * 10, *[wrap] * 20, *[OK] * 80])
    moment = Target(name="moment", probes=[*[OK] * 10, *[wrap] * 2, *[OK] * 98])
    exporter = Exporter(targets=[target, moment])
    return ticket("only wrap fails", [exporter], ("EkmWrapFails", 18, 30, [target_metric(exporter, target)]))


def _backup() -> RuleCase:
    """A declared backup that becomes 180 days old, and a target without one."""
    old = Target(probes=[], interval=DAY, more={"ekm_key_backup_timestamp_seconds": f"{-178 * DAY}x8 {5 * DAY}x8"})
    never = Target(name="never", probes=[], interval=DAY)
    exporter = Exporter(targets=[old, never])
    alert = "EkmKeyCareDue"
    checks = [
        (DAY, alert, []),
        (6 * DAY, alert, [target_metric(exporter, old, label_problem="old backup")]),
        (17 * DAY, alert, []),
    ]
    return RuleCase(name="an old backup", exporters=[exporter], length=17 * DAY, checks=checks, scrape=DAY)


def _removed() -> RuleCase:
    """A reload removes a retained version that fails: the alert ends a day later and does not fire again."""
    version = 'ekm_retained_version_usable{key="tde",version="2023"}'
    target = Target(interval=600, probes=[OK] * 170, more={version: "1x2 0x5 stale"})
    exporter = Exporter(targets=[target])
    on = [target_metric(exporter, target, label_key="tde", label_version="2023")]
    alert = "EkmRecoveryUnusable"
    checks = [(20 * MINUTE, alert, []), (HOUR, alert, on), (24 * HOUR, alert, on), (27 * HOUR, alert, [])]
    return RuleCase(
        name="a retained version that is removed", exporters=[exporter], length=27 * HOUR, checks=checks, scrape=10 * MINUTE
    )


def _budget() -> RuleCase:
    """One failed probe an hour, of twelve, on two targets of one team and one of another: a ticket for each team."""
    probes = [*[OK] * (24 * 12), *[NOT_FOUND, *[OK] * 11] * 14, *[OK] * (12 * 12)]
    teams = {"billing": "dba", "payroll": "dba", "archive": "records"}
    targets = [Target(name=name, interval=300, probes=probes, labels={"team": team}) for name, team in teams.items()]
    exporter = Exporter(targets=[*targets, Target(name="well", interval=300, probes=[OK] * 900)])
    on = [Fired({"job": "ekm", "instance": exporter.instance, "team": team}) for team in ("dba", "records")]
    # After seven hours there are eight failures.
    times = ((DAY, []), (DAY + 7 * HOUR, []), (DAY + 9 * HOUR, on), (DAY + 23 * HOUR, []))
    checks = [(second, "EkmErrorBudgetBurns", fired) for second, fired in times]
    name = "an error budget that burns slowly"
    return RuleCase(name=name, exporters=[exporter], length=DAY + 23 * HOUR, checks=checks, scrape=600)


CASES = [
    _never_probed(),
    _not_measured(),
    *(_slow_host(interval) for interval in (60, 300)),
    _wrap(),
    _backup(),
    _removed(),
    _plain(),
    _expiry(),
    _disabled(),
    _unknown(),
    _next(),
    _old_success(),
    _slow(),
    _firewall(),
    _firewall_and_a_bad_moment(),
    _preflight(),
    _ticket_continues(),
    _budget(),
]
