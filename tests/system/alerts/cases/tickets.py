"""Tickets of a target, and similar states that are none. Scraped once a minute, like the values in `more`."""

from dataclasses import replace

from tests.system.alerts.case import Fired, RuleCase, target_metric
from tests.system.alerts.cases.pages import NOT_FOUND
from tests.system.alerts.cases.spikes import THROTTLED
from tests.system.alerts.timeline import NOT_PROBED, OK, Exporter, Failed, Target

MINUTE, HOUR, DAY = 60, 3600, 86400


def minutes(*parts: tuple[object, int]) -> str:
    """Return values, each for the given number of minutes."""
    return " ".join(f"{value}x{count - 1}" for value, count in parts)


def _bad(value: int, well: int) -> str:
    """Return values that are bad from the tenth minute to the sixtieth."""
    return minutes((well, 10), (value, 50), (well, 20))


def _plain() -> RuleCase:
    """Each target has one bad series. One more target has none of these series, and one is healthy."""
    kind = 'ekm_key_info{key="tde",version="1",kty="EC",size_bits="256"}'
    version = 'ekm_retained_version_usable{key="tde",version="%s"}'
    troubles = {
        "EkmRecoveryUnusable": (15, {"ekm_recovery_usable": _bad(0, 1)}, {}),
        "EkmKeyRotationPending": (15, {"ekm_key_rotation_pending": _bad(1, 0)}, {}),
        "EkmPathNotAsExpected": (15, {"ekm_path_as_expected": _bad(0, 1)}, {}),
        "EkmKeyUnsupported": (5, {"ekm_key_supported": _bad(0, 1), kind: "_x10 1x60"}, {"key": "EC with 256 bits;"}),
        "EkmRetainedVersionUnusable": (
            15,
            {version % "2023": _bad(0, 1), version % "2024": "1x80"},
            {"label_key": "tde", "label_version": "2023"},
        ),
    }
    well = {
        "ekm_recovery_usable": "1x80",
        "ekm_key_rotation_pending": "0x80",
        "ekm_path_as_expected": "1x80",
        "ekm_key_supported": "1x80",
    }
    good = [OK] * 80
    targets = {alert: Target(name=alert.lower(), probes=good, more=more) for alert, (_, more, _) in troubles.items()}
    exporter = Exporter(
        targets=[*targets.values(), Target(name="silent", probes=good), Target(name="well", probes=good, more=well)]
    )
    checks = []
    for alert, (after, _, words) in troubles.items():
        on = [target_metric(exporter, targets[alert], **words)]
        checks += [
            ((9 + after) * MINUTE, alert, []),
            ((10 + after) * MINUTE, alert, on),
            (59 * MINUTE, alert, on),
            (76 * MINUTE, alert, []),
        ]
    return RuleCase(name="tickets by one series", exporters=[exporter], length=76 * MINUTE, checks=checks, scrape=60)


def _expiry() -> RuleCase:
    """A key that expires, is expired, and gets another date. Other keys never expire, or are not ready."""
    target = Target(probes=[OK] * 90, more={"ekm_key_expiry_timestamp_seconds": minutes((3600, 60 + 20), (9999999, 30))})
    unready = Target(
        name="unready",
        probes=[*[OK] * 50, *[NOT_FOUND] * 50],
        more={"ekm_key_expiry_timestamp_seconds": minutes((3600, 60 + 20), (9999999, 30))},
    )
    far = Target(name="far", probes=[OK] * 90, more={"ekm_key_expiry_timestamp_seconds": minutes((31 * DAY, 110))})
    never = Target(name="never", probes=[OK] * 90)
    exporter = Exporter(targets=[target, unready, far, never])
    on, other = target_metric(exporter, target), target_metric(exporter, unready)
    expired = target_metric(exporter, target, label_state="expired")
    checks = [
        (4 * MINUTE, "EkmKeyExpires", []),
        (6 * MINUTE, "EkmKeyExpires", [on, other]),
        (59 * MINUTE, "EkmKeyExpires", [on, other]),
        (59 * MINUTE, "EkmKeyStateInvalid", []),
        (66 * MINUTE, "EkmKeyStateInvalid", [expired]),
        (76 * MINUTE, "EkmKeyExpires", []),
        (79 * MINUTE, "EkmKeyStateInvalid", [expired]),
        (96 * MINUTE, "EkmKeyStateInvalid", []),
    ]
    return RuleCase(name="a key that expires", exporters=[exporter], length=96 * MINUTE, checks=checks, scrape=60)


def _disabled() -> RuleCase:
    """A ticket while unwrap works; a page if the verdict is not ready."""
    off = "ekm_key_enabled"
    works = Failed("wrap_key", 3077, "key_disabled", ready=True, unwraps=True)
    target = Target(probes=[*[OK] * 10, *[works] * 20, *[OK] * 20], more={off: minutes((1, 10), (0, 20), (1, 20))})
    closed = Target(
        name="closed", probes=[*[OK] * 10, *[NOT_FOUND] * 20, *[OK] * 20], more={off: minutes((1, 10), (0, 20), (1, 20))}
    )
    exporter = Exporter(targets=[target, closed])
    checks = [
        (14 * MINUTE, "EkmKeyStateInvalid", []),
        (16 * MINUTE, "EkmKeyStateInvalid", [target_metric(exporter, target, label_state="disabled")]),
        (46 * MINUTE, "EkmKeyStateInvalid", []),
    ]
    return RuleCase(name="a disabled key that unwraps", exporters=[exporter], length=46 * MINUTE, checks=checks, scrape=60)


def _unknown() -> RuleCase:
    """A ticket after 30 minutes without a verdict.

    No ticket for targets without a verdict by design, which page, or if throttled, or for a shorter gap.
    """
    none = Failed("token", 3001, "internal", ready=None)
    probes = [*[OK] * 5, *[none] * 60, *[OK] * 20]
    target = Target(probes=probes)
    canary = Target(name="canary", probes=probes, info={"mode": "canary"})
    bare = Target(name="bare", probes=probes, info={"pin": "none"})
    managed = Target(name="managed", probes=probes, credential="by-vm")
    throttled = Target(name="throttled", probes=[*[OK] * 5, *[replace(THROTTLED, ready=None)] * 60])
    moment = Target(name="moment", probes=[*[OK] * 5, *[none] * 20, *[OK] * 60])
    known = {'ekm_credential_expiry_known{credential="sql-prod"}': "1x400"}
    exporter = Exporter(targets=[target, canary, bare, managed, throttled, moment], more=known)
    checks = [
        (34 * MINUTE, "EkmVerdictUnknown", []),
        (36 * MINUTE, "EkmVerdictUnknown", [target_metric(exporter, target, none)]),
        (64 * MINUTE, "EkmVerdictUnknown", [target_metric(exporter, target, none)]),
        (81 * MINUTE, "EkmVerdictUnknown", []),
        (6 * MINUTE, "EkmProbeFails", []),
        (36 * MINUTE, "EkmProbeFails", [target_metric(exporter, one, none) for one in (canary, bare, managed)]),
        (81 * MINUTE, "EkmProbeFails", []),
    ]
    return RuleCase(name="no verdict", exporters=[exporter], length=81 * MINUTE, checks=checks, scrape=60)


def _next() -> RuleCase:
    """The staged credential is refused: a ticket only if the current one expires soon."""
    staged = {'ekm_credential_usable{role="next",credential="sql-2027"}': minutes((1, 10), (0, 30), (1, 20))}
    soon = Target(name="soon", credential="soon", probes=[OK] * 60, more=staged)
    late = Target(name="late", credential="late", probes=[OK] * 60, more=staged)
    name = 'ekm_credential_expiry_timestamp_seconds{credential="%s",source="declared"}'
    ends = {name % "soon": minutes((29 * DAY, 60)), name % "late": minutes((31 * DAY, 60))}
    exporter = Exporter(targets=[soon, late], more=ends)
    on = target_metric(exporter, soon, label_next_credential="sql-2027")
    checks = [(20 * MINUTE, "EkmNextCredentialRefused", []), (26 * MINUTE, "EkmNextCredentialRefused", [on])]
    checks += [(56 * MINUTE, "EkmNextCredentialRefused", [])]
    return RuleCase(name="the next credential is refused", exporters=[exporter], length=56 * MINUTE, checks=checks, scrape=60)


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
        (DAY + 100 * MINUTE, alert, [target_metric(exporter, refused)]),
    ]
    return RuleCase(name="an old success of recovery", exporters=[exporter], length=DAY + 100 * MINUTE, checks=checks, scrape=300)


def _slow() -> RuleCase:
    """From the 60th minute on, a quarter of the steps is above 1 s, or above 5 s; or too few steps are."""

    def histogram(name: str, above_1s: int, above_5s: int, steps: int = 20) -> Target:
        def grown(each: int) -> str:
            return f"0+{steps}x60 {60 * steps + each}+{each}x59 {60 * steps + 60 * each}+{steps}x80"

        series = 'ekm_step_duration_seconds_bucket{step="get_key",le="%s"}'
        return Target(
            name=name,
            probes=[OK] * 200,
            more={
                series % "1.0": grown(steps - above_1s),
                series % "5.0": grown(steps - above_5s),
                'ekm_step_duration_seconds_count{step="get_key"}': grown(steps),
            },
        )

    one, five, few = histogram("one", 5, 0), histogram("five", 5, 5), histogram("few", 1, 1)
    exporter = Exporter(targets=[one, five, few])
    checks = [
        (60 * MINUTE, "EkmLatencyHigh", []),
        (110 * MINUTE, "EkmLatencyHigh", [target_metric(exporter, target) for target in (one, five)]),
        (190 * MINUTE, "EkmLatencyHigh", []),
    ]
    return RuleCase(name="slow responses", exporters=[exporter], length=190 * MINUTE, checks=checks, scrape=60)


def _path() -> RuleCase:
    name = 'ekm_path_changes_total{what="%s"}'
    never = {name % what: "0x400" for what in ("region", "connection", "tls_issuer")}
    target = Target(probes=[OK] * 90, more={**never, name % "region": minutes((0, 10), (1, 80))})
    restarted = Target(name="restarted", probes=[OK] * 90, more={**never, name % "region": minutes((2, 10), (0, 80))})
    exporter = Exporter(targets=[target, restarted])
    on = target_metric(exporter, target, label_what="region")
    checks = [(9 * MINUTE, "EkmPathChanged", []), (11 * MINUTE, "EkmPathChanged", [on]), (87 * MINUTE, "EkmPathChanged", [])]
    return RuleCase(name="a path that changes", exporters=[exporter], length=87 * MINUTE, checks=checks, scrape=60)


def _firewall() -> RuleCase:
    """Refused on a central host but not on SQL Server's: a ticket and no page. Without the second exporter it pages."""
    refused = Failed("get_key", 3077, "forbidden_firewall")
    central = Target(probes=[*[OK] * 5, *[refused] * 40, *[OK] * 30])
    alone = Target(name="alone", vault="alone.vault.azure.net", probes=central.probes)
    on_host = Target(probes=[OK] * 80, info={"vantage": "sql_host"})
    one, two = Exporter(targets=[central, alone]), Exporter(targets=[on_host], instance="sql1:10377")
    many, seen = _behind_firewalls(refused)
    on = target_metric(one, central)
    checks = [
        (19 * MINUTE, "EkmFirewallRefusesMonitoring", []),
        (21 * MINUTE, "EkmFirewallRefusesMonitoring", [on, *(target_metric(many, target) for target in many.targets)]),
        *((minute * MINUTE, "EkmCredentialForbidden", []) for minute in range(5, 61)),
        (30 * MINUTE, "EkmForbiddenSpike", [target_metric(one, alone, refused)]),
        (30 * MINUTE, "EkmVaultSideNotReady", [target_metric(one, alone, refused, vantage=" on a central host")]),
        (61 * MINUTE, "EkmFirewallRefusesMonitoring", []),
    ]
    exporters = [one, two, many, seen]
    return RuleCase(name="a firewall that blocks monitoring", exporters=exporters, length=61 * MINUTE, checks=checks, scrape=60)


def _behind_firewalls(refused: Failed) -> tuple[Exporter, Exporter]:
    """Return three vaults of one credential that refuse only a central exporter: no page of a common cause."""
    names = [f"wall{number}" for number in range(3)]
    outside = [
        Target(name=name, vault=f"{name}.vault.azure.net", probes=[*[OK] * 5, *[refused] * 40, *[OK] * 30]) for name in names
    ]
    inside = [replace(target, probes=[OK] * 80, info={"vantage": "sql_host"}) for target in outside]
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
        for second in range(0, 65 * MINUTE, 15)
        for alert in ("EkmForbiddenSpike", "EkmVaultSideNotReady", "EkmErrorBudgetBurns")
    ]
    return RuleCase(name="a bad moment behind a firewall", exporters=[here, there], length=65 * MINUTE, checks=checks)


def _preflight() -> RuleCase:
    """Preflight checks fail while probes succeed: a ticket, through a restart, until a run passes. None if probes fail."""
    count, one = "ekm_preflight_failed_checks", 'ekm_preflight_failed{check="%s"}'
    failing = {  # a restart in the 30th minute, and the next run half an hour later
        count: "0x9 2x19 stale _x29 2x39 0x60",
        one % "revocation": "_x10 1x19 stale _x29 1x39 stale",
        one % "clock": "_x10 1x19 stale",
    }
    target = Target(probes=[OK] * 160, more=failing)
    closed = Target(name="closed", probes=[NOT_FOUND] * 160, more={count: "3x160", one % "dns_vault": "1x160"})
    well = Target(name="well", probes=[OK] * 160, more={count: "0x160"})
    exporter = Exporter(targets=[target, closed, well, Target(name="new", probes=[OK] * 160)])
    alert = "EkmPreflightFailed"
    checks = [
        (24 * MINUTE, alert, []),
        (26 * MINUTE, alert, [target_metric(exporter, target, value="2", checks="clock, revocation")]),
        (50 * MINUTE, alert, [target_metric(exporter, target, value="2", checks="unknown after a restart")]),
        (90 * MINUTE, alert, [target_metric(exporter, target, value="2", checks="revocation")]),
        (120 * MINUTE, alert, []),
    ]
    return RuleCase(
        name="a check fails while probes succeed", exporters=[exporter], length=120 * MINUTE, checks=checks, scrape=60
    )


def _ticket_survives_a_restart() -> RuleCase:
    """A ticket survives a restart: it is not resolved and does not begin again."""
    target = Target(probes=[OK] * 60, more={"ekm_key_rotation_pending": "0x4 1x24 stale _ 1x60"})
    exporter = Exporter(targets=[target], restarts=((1800, 1875),))
    on: Fired = target_metric(exporter, target)
    checks = [(second, "EkmKeyRotationPending", [on]) for second in range(24 * MINUTE, 50 * MINUTE, 60)]
    return RuleCase(name="a ticket and a restart", exporters=[exporter], length=50 * MINUTE, checks=checks, scrape=60)


def _never_probed() -> RuleCase:
    """One target of two is not probed for a while. The exporter as a whole is not stale."""
    stops = [*[OK] * 5, *[NOT_PROBED] * 40, *[OK] * 30]
    stopped, well = Target(name="stopped", probes=stops), Target(name="well", probes=[OK] * 75)
    exporter = Exporter(targets=[stopped, well])
    alert = "EkmTargetNotProbed"
    checks = [(20 * MINUTE, alert, []), (30 * MINUTE, alert, [target_metric(exporter, stopped)]), (60 * MINUTE, alert, [])]
    absent = ["EkmEveryProbeStale"]
    return RuleCase(
        name="a target is no longer probed", exporters=[exporter], length=60 * MINUTE, checks=checks, absent=absent, scrape=60
    )


def _wrap() -> RuleCase:
    """Wrap fails with a server error for 20 probes while unwrap succeeds; on another target for two probes."""
    wrap = Failed("wrap_key", 3013, "server_error", ready=True, unwraps=True)
    target = Target(probes=[*[OK] * 10, *[wrap] * 20, *[OK] * 30])
    moment = Target(name="moment", probes=[*[OK] * 10, *[wrap] * 2, *[OK] * 48])
    exporter = Exporter(targets=[target, moment])
    alert = "EkmWrapFails"
    checks = [(14 * MINUTE, alert, []), (20 * MINUTE, alert, [target_metric(exporter, target)]), (42 * MINUTE, alert, [])]
    return RuleCase(name="only wrap fails", exporters=[exporter], length=42 * MINUTE, checks=checks, scrape=60)


def _backup() -> RuleCase:
    """A declared backup that becomes 180 days old, and a target without one."""
    old = Target(probes=[], interval=DAY, more={"ekm_key_backup_timestamp_seconds": f"0x190 {185 * DAY}x20"})
    never = Target(name="never", probes=[], interval=DAY)
    exporter = Exporter(targets=[old, never])
    alert = "EkmKeyBackupOld"
    checks = [(179 * DAY, alert, []), (184 * DAY, alert, [target_metric(exporter, old)]), (200 * DAY, alert, [])]
    return RuleCase(name="an old backup", exporters=[exporter], length=200 * DAY, checks=checks, scrape=DAY)


def _removed() -> RuleCase:
    """A reload removes a retained version that fails: the alert ends and does not fire again."""
    version = 'ekm_retained_version_usable{key="tde",version="2023"}'
    target = Target(probes=[OK] * 200, more={version: "1x9 0x50 stale _x140"})
    exporter = Exporter(targets=[target], more={"process_start_time_seconds": "-7200x200"})
    on = target_metric(exporter, target, label_key="tde", label_version="2023")
    alert = "EkmRetainedVersionUnusable"
    checks = [(50 * MINUTE, alert, [on]), (75 * MINUTE, alert, []), (190 * MINUTE, alert, [])]
    return RuleCase(
        name="a retained version that is removed", exporters=[exporter], length=190 * MINUTE, checks=checks, scrape=60
    )


CASES = [
    _never_probed(),
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
    _path(),
    _firewall(),
    _firewall_and_a_bad_moment(),
    _preflight(),
    _ticket_survives_a_restart(),
]
