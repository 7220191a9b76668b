"""Expiry of credentials and certificates, and tickets about exporters."""

from tests.support.values import replace
from tests.system.alerts.case import Fired, RuleCase, at, of_credential
from tests.system.alerts.cases.tickets import HELD, lasting, minutes, ticket
from tests.system.alerts.timeline import OK, Exporter, Failed, Target

MINUTE, HOUR, DAY = 60, 3600, 86400
ENDS = 'ekm_credential_expiry_timestamp_seconds{credential="%s",source="%s"}'
KNOWN = 'ekm_credential_expiry_known{credential="%s"}'
AWAY = "_x5"
STARTED = "process_start_time_seconds"
SKEW = 'ekm_clock_skew_seconds{endpoint="%s:443"}'


def _steps() -> RuleCase:
    """A credential that expires after 31 days and is then replaced: one alert at a time.

    Another one is declared to expire tomorrow, but its lookup gives a much later date.
    """
    ends = 31 * DAY
    target = Target(interval=HOUR, probes=[OK] * (32 * 24), labels={"team": "dba"})
    stale = Target(name="stale", interval=HOUR, probes=[OK] * (32 * 24), credential="stale")
    more = {
        ENDS % ("sql-prod", "declared"): f"{ends}x123 {ends + 365 * DAY}x9",
        ENDS % ("stale", "declared"): f"{DAY}x130",
        ENDS % ("stale", "graph"): f"{400 * DAY}x130",
    }
    exporter = Exporter(targets=[target, stale], more=more)
    first, second = (of_credential(exporter, target, label_within=within) for within in ("30d", "7d"))
    page = of_credential(exporter, target)
    left = ((31, []), (29, [first]), (15, [first]), (8, [first]), (6, [second]), (2, [second]), (0.5, []), (-0.25, []))
    checks = [(round((31 - days) * DAY), "EkmCredentialExpires", fired) for days, fired in left]
    checks += [(round((31 - days) * DAY), "EkmCredentialExpiresIn1Day", [page] if days == 0.5 else []) for days, _ in left]
    return RuleCase(
        name="a credential that expires",
        exporters=[exporter],
        length=31 * DAY + 6 * HOUR,
        checks=checks,
        scrape=6 * HOUR,
    )


def _others() -> RuleCase:
    """The last day of credentials that no SQL Server uses: a canary's, and one for lookups. A shared one pages.

    One that Entra ID refuses is named by a page.
    """
    good = [OK] * 60
    canary = Target(name="canary", credential="canary", probes=good, info={"mode": "canary"})
    shared = Target(name="shared", credential="both", probes=good, info={"mode": "canary"})
    full = Target(name="full", credential="both", probes=good)
    refused = Target(name="refused", credential="refused", probes=[Failed("token", 3303, "secret_expired")] * 60)
    names = ("canary", "monitor", "both")
    more = {ENDS % (name, "declared"): minutes((400 * DAY, 5), (12 * HOUR, 30), (400 * DAY, 90)) for name in names}
    more[ENDS % ("refused", "declared")] = minutes((20 * DAY, 120))
    exporter = Exporter(targets=[canary, shared, full, refused], more=more)
    other = {"within": "7d", "role": "other"}
    monitor = Fired({"credential": "monitor", "job": "ekm", "instance": exporter.instance, **other})
    on = [of_credential(exporter, canary, label_within="7d", label_role="other"), monitor]
    checks = [
        *lasting("EkmCredentialExpires", 5, 35, on),
        *at("EkmCredentialExpiresIn1Day", {4: [], 29: [of_credential(exporter, full)], 55: []}),
    ]
    return RuleCase(name="credentials that no SQL Server uses", exporters=[exporter], length=100 * MINUTE, checks=checks)


def _over() -> RuleCase:
    """At the expiry itself the page of the last day continues until EkmCredentialExpired fires, so no "resolved" is sent.

    A declared date means the start of its day: without a refusal the page continues for a day after it.
    """
    ended = Failed("token", 3303, "secret_expired")
    target = Target(probes=[*[OK] * 20, *[ended] * 21])
    exporter = Exporter(targets=[target], more={ENDS % ("sql-prod", "declared"): f"{20 * MINUTE}x160"})
    soon = of_credential(exporter, target)
    checks = [(second, "EkmCredentialExpiresIn1Day", [soon]) for second in range(60, 34 * MINUTE, 60)]
    checks += at("EkmCredentialExpired", {24: [of_credential(exporter, target)]})
    checks += at("EkmCredentialExpiresIn1Day", {40: []})
    return RuleCase(name="a credential on its last day", exporters=[exporter], length=40 * MINUTE, checks=checks)


def _restart() -> RuleCase:
    """The alert stays while the exporter restarts."""
    target = Target(probes=[OK] * 30)
    more = {ENDS % ("sql-prod", "declared"): f"{5 * DAY}x39 stale {AWAY} {5 * DAY}x60"}
    exporter = Exporter(targets=[target], more=more, restarts=((600, 690),))
    on = of_credential(exporter, target, label_within="7d")
    checks = [(second, "EkmCredentialExpires", [on]) for second in range(60, 20 * MINUTE, 60)]
    return RuleCase(
        name="a credential that expires, and a restart", exporters=[exporter], length=20 * MINUTE, checks=checks, scrape=15
    )


def _stale_and_unknown() -> RuleCase:
    """A date that has passed although tokens are issued, and no date at all. A managed identity has no date."""
    stale = Target(name="stale", credential="stale", probes=[OK] * 70)
    refused = Target(name="refused", credential="refused", probes=[Failed("token", 3303, "secret_expired")] * 70)
    unknown = Target(name="unknown", credential="unknown", probes=[OK] * 70)
    managed = Target(name="managed", credential="managed", probes=[OK] * 70)
    more = {
        ENDS % ("stale", "declared"): minutes((600, 40), (9 * DAY, 80)),
        ENDS % ("refused", "declared"): minutes((600, 120)),
        KNOWN % "stale": "1x400",
        KNOWN % "refused": "1x400",
        KNOWN % "unknown": minutes((1, 10), (0, 30), (1, 80)),
        KNOWN % "staged": minutes((1, 10), (0, 30), (1, 80)),
    }
    exporter = Exporter(targets=[stale, refused, unknown, managed], more=more)
    on = [Fired({"credential": name, "job": "ekm", "instance": exporter.instance}) for name in ("stale", "unknown", "staged")]
    return ticket("dates that are stale or unknown", [exporter], ("EkmCredentialExpiryDoubtful", 25, 40, on))


def _doubtful() -> RuleCase:
    """Two sources that differ by more than a week for a day, and lookups that fail for four days."""
    good = [OK] * (5 * 24)
    names = ("apart", "near", "unread", "read")
    targets = [Target(name=name, credential=name, interval=HOUR, probes=good) for name in names]
    success = 'ekm_credential_expiry_lookup_last_success_timestamp_seconds{credential="%s",source="graph"}'
    far, eighths = 400 * DAY, 5 * 8  # a value each three hours
    more = {
        ENDS % ("apart", "declared"): f"{far}x7 {far - 8 * DAY}x7 {far}x{eighths}",
        ENDS % ("apart", "graph"): f"{far}x{eighths}",
        ENDS % ("near", "declared"): f"{far - 6 * DAY}x{eighths}",
        ENDS % ("near", "graph"): f"{far}x{eighths}",
        success % "unread": f"0x31 {4 * DAY}x8",
        success % "read": f"0+{3 * HOUR}x{eighths}",
    }
    exporter = Exporter(targets=targets, more=more)

    apart, unread = (Fired({"credential": name, "job": "ekm", "instance": exporter.instance}) for name in ("apart", "unread"))
    alert = "EkmCredentialExpiryDoubtful"
    checks = [
        (DAY - 3 * HOUR, alert, []),
        (DAY + 12 * HOUR, alert, [apart]),
        (2 * DAY + 6 * HOUR, alert, []),
        (3 * DAY, alert, []),
        (3 * DAY + 6 * HOUR, alert, [unread]),
        (4 * DAY + 6 * HOUR, alert, []),
    ]
    return RuleCase(
        name="dates that are in doubt", exporters=[exporter], length=4 * DAY + 6 * HOUR, checks=checks, scrape=3 * HOUR
    )


def _of_exporters() -> RuleCase:
    """One exporter with every fault of its own, another just below each threshold; both recover after an hour."""
    end = 'ekm_tls_certificate_expiry_timestamp_seconds{endpoint="contoso.vault.azure.net:443"}'
    skipped = 'ekm_exporter_probes_skipped_total{reason="%s"}'
    targets = [Target(name="a", probes=[OK] * 160), Target(name="b", probes=[OK] * 160)]
    bad = Exporter(
        targets=targets,
        more={
            end: minutes((15 * DAY, 10), (13 * DAY, 50), (90 * DAY, 140)),
            skipped % "overlap": "0x9 0+4x50 200x150",
            skipped % "backoff": "0+4x200",
            "ekm_exporter_probes_tainted_total": "0x9 0+4x50 200x150",
            "ekm_exporter_internal_errors_total": "0x9 0+1x50 50x150",
            STARTED: minutes((100, 10), *((100 + 300 * number, 5) for number in range(1, 11)), (3100, 140)),
            "ekm_exporter_config_last_reload_successful": minutes((1, 10), (0, 50), (1, 140)),
            "ekm_exporter_state_writable": minutes((1, 10), (0, 50), (1, 140)),
            SKEW % "contoso.vault.azure.net": minutes((110, 10), (-130, 50), (1, 140)),
            SKEW % "login.microsoftonline.com": minutes((110, 10), (-130.5, 50), (1, 140)),
            SKEW % "fabrikam.vault.azure.net": "0.5x200",
        },
    )
    good = Exporter(
        targets=targets,
        instance="mon2:10377",
        more={
            end: minutes((15 * DAY, 150)),
            skipped % "overlap": "0x25 1x75 2x100",
            "ekm_exporter_probes_tainted_total": "0x25 1x75 2x100",
            "ekm_exporter_internal_errors_total": "0x25 2x75 4x100",  # two at once, and two more after an hour and a quarter
            STARTED: minutes((100, 20), (1300, 5), (1600, 175)),  # stopped and started twice, as in maintenance
            "ekm_exporter_config_last_reload_successful": "1x200",
            "ekm_exporter_state_writable": minutes((1, 10), (0, 12), (1, 178)),  # full for twelve minutes
            SKEW % "contoso.vault.azure.net": "9000x200",
            SKEW % "login.microsoftonline.com": "-119x200",
            SKEW % "fabrikam.vault.azure.net": "0.5x200",
        },
    )
    empty = Exporter(instance="mon3:10377", more={"ekm_exporter_targets": minutes((2, 10), (0, 50), (2, 140))})
    labels = {"job": "ekm", "instance": bad.instance}
    faults = {
        "EkmTlsCertificateExpires": Fired({**labels, "endpoint": "contoso.vault.azure.net:443"}),
        "EkmExporterOverloaded": Fired(labels),
        "EkmExporterInternalErrors": Fired(labels),
        "EkmExporterDown": Fired(labels),
        "EkmClockSkew": Fired(labels),
        "EkmExporterMisconfigured": Fired(labels),
    }
    checks = [(9 * MINUTE, alert, []) for alert in faults]
    checks += [(50 * MINUTE, alert, [on]) for alert, on in faults.items() if alert != "EkmExporterMisconfigured"]
    problems = [Fired({**labels, "problem": problem}) for problem in ("configuration", "state directory")]
    problems.append(Fired({"job": "ekm", "instance": empty.instance, "problem": "no targets"}))
    checks += at("EkmExporterMisconfigured", {50: problems})
    checks += [(190 * MINUTE, alert, []) for alert in faults]
    checks += [(second, "EkmWatchdog", [Fired({})]) for second in (0, 190 * MINUTE)]
    return RuleCase(name="faults of exporters", exporters=[bad, good, empty], length=190 * MINUTE, checks=checks)


_REST = ("key", "module", "cloud", "tenant", "generation", "vantage")


def _removed_target() -> RuleCase:
    """A reload drops a target: one ticket, which ends a day later. A target that another exporter has now is not gone.

    Nor is one that has a new name. Another key of the same vault is gone, and so is another credential. Without a scheduler only counters show which targets there are: gauges end with a failed scrape of /probe.
    """
    kept = {"interval": HOUR, "probes": [OK] * 30}
    gone = Target(name="gone", vault="gone.vault.azure.net", **kept, removed=HOUR)
    moved = Target(name="moved", vault="moved.vault.azure.net", **kept)
    new = Target(**kept)
    old = replace(new, name="old-name", removed=HOUR)
    others = [
        replace(old, name="other-key", info={"key": "audit/4"}),
        replace(old, name="other-credential", credential="sql-test"),
    ]
    first = Exporter(targets=[new, old, gone, *others, replace(moved, removed=HOUR)])
    second = Exporter(instance="mon2:10377", targets=[moved])
    emptied = Exporter(instance="mon3:10377", targets=[replace(gone, name="last")], more={"ekm_exporter_targets": "1x5 0x170"})
    stopped = Exporter(instance="mon4:10377", targets=[Target(name="stopped", **kept)], gaps=((HOUR, 30 * HOUR),), listed=False)
    counter = 'ekm_probes_total{target="%s",vault="contoso.vault.azure.net"}'
    info = {"credential": "sql-prod", "mode": "full", "pin": "config", **dict.fromkeys(_REST, "-")}
    shown = ",".join(f'{name}="{value}"' for name, value in {"target": "unread", "vault": gone.vault, **info}.items())
    counters = {counter % "dropped": "5x5 stale", counter % "unread": "5x170", f"ekm_target_info{{{shown}}}": "1x5 stale"}
    requested = Exporter(instance="mon5:10377", more=counters)
    labels = {"job": "ekm", "instance": first.instance, "target": "gone", "vault": gone.vault, "credential": gone.credential}
    dropped = {"job": "ekm", "instance": requested.instance, "target": "dropped", "vault": new.vault}
    on = [Fired({**labels, **gone.labels}), Fired(dropped)]
    on += [
        Fired({**labels, **one.labels, "target": one.name, "vault": one.vault, "credential": one.credential}) for one in others
    ]
    alert = "EkmTargetGone"
    checks = [(HOUR + 10 * MINUTE, alert, []), (HOUR + 30 * MINUTE, alert, on), (24 * HOUR, alert, on)]
    checks += [(27 * HOUR, alert, [])]
    exporters = [first, second, emptied, stopped, requested]
    return RuleCase(name="a removed target", exporters=exporters, length=28 * HOUR, checks=checks, scrape=10 * MINUTE)


def _missing_shard() -> RuleCase:
    """Shard 2 of 3 is not scraped for an hour. Complete shards, one of them twice, cause no ticket."""
    shards = 'ekm_exporter_shards{shard="%s",of="%s"}'

    def shard(index: int, of: int, values: str = "", host: str = "mon") -> Exporter:
        more = {shards % (index, of): values or f"{of}x150"}
        return Exporter(instance=f"{host}{of}:{10377 + index}", more=more)

    missing = minutes((3, 10), ("_", 60), (3, 80))
    of_three = [shard(0, 3), shard(1, 3), shard(2, 3, missing)]
    of_two = [shard(0, 2), shard(1, 2), shard(1, 2, host="other")]
    alert, on = "EkmShardMissing", Fired({"job": "ekm", "of": "3"})
    checks = at(alert, {9: [], 24: [], 32: [on], 69: [on]})
    checks += [((85 + HELD) * MINUTE, alert, [])]
    return RuleCase(name="a missing shard", exporters=[*of_three, *of_two], length=150 * MINUTE, checks=checks, apart=True)


def _shard_that_is_down() -> RuleCase:
    """Shard 2 of 3 is a scrape target that does not answer: EkmExporterDown pages, and no ticket repeats it."""
    shards = 'ekm_exporter_shards{shard="%s",of="3"}'
    running = [Exporter(instance=f"mon1:{10377 + index}", more={shards % index: "3x60"}) for index in (0, 1)]
    down = Exporter(
        instance="mon1:10379", gaps=((10 * MINUTE, 50 * MINUTE),), more={shards % 2: minutes((3, 10), ("_", 40), (3, 10))}
    )
    on = Fired({"job": "ekm", "instance": down.instance})
    checks = at("EkmExporterDown", {40: [on]})
    return RuleCase(
        name="a shard that is down",
        exporters=[*running, down],
        length=59 * MINUTE,
        checks=checks,
        absent=["EkmShardMissing"],
        apart=True,
    )


def _rare_internal_errors() -> RuleCase:
    """One internal error in each preflight run, every six hours, is a ticket from the third run on. Two bursts in a day are none."""
    rare = Exporter(more={"ekm_exporter_internal_errors_total": "0x35 1x35 2x35 3x35 4x95"})
    burst = Exporter(instance="mon2:10377", more={"ekm_exporter_internal_errors_total": "0x47 2x29 4x161"})
    alert, on = "EkmExporterInternalErrors", Fired({"job": "ekm", "instance": rare.instance})
    checks = [
        *((hour * HOUR, alert, []) for hour in range(19)),
        *((hour * HOUR, alert, [on]) for hour in range(19, 31)),
        *((hour * HOUR, alert, []) for hour in range(32, 40)),
    ]
    return RuleCase(name="rare internal errors", exporters=[rare, burst], length=39 * HOUR, checks=checks, scrape=10 * MINUTE)


CASES = [
    _steps(),
    _others(),
    _over(),
    _restart(),
    _stale_and_unknown(),
    _doubtful(),
    _of_exporters(),
    _removed_target(),
    _missing_shard(),
    _shard_that_is_down(),
    _rare_internal_errors(),
]
