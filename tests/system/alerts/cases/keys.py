"""The state of a key if only some probes test the unwrap, or none. Scraped once a minute."""

from tests.system.alerts.case import RuleCase, at, target_metric
from tests.system.alerts.cases.tickets import HELD, minutes
from tests.system.alerts.timeline import OK, READ, Exporter, Failed, Target

MINUTE = 60


def _disabled() -> RuleCase:
    """A ticket. If no probe unwraps, also a page."""
    off = {"ekm_key_enabled": minutes((1, 10), (0, 20), (1, 90))}
    untested = Target(name="untested", probes=[READ] * 60, info={"mode": "read_only"}, more=off)
    rare = Target(name="rare", probes=[OK, *[READ] * 60], more=off)
    well = Target(name="well", probes=[READ] * 60, info={"mode": "read_only"}, more={"ekm_key_enabled": "1x120"})
    exporter = Exporter(targets=[untested, rare, well])
    page = [target_metric(exporter, untested)]
    ticket = [target_metric(exporter, one, label_state="disabled") for one in (untested, rare)]
    checks = [
        (9 * MINUTE, "EkmKeyDisabledUntested", []),
        (11 * MINUTE, "EkmKeyDisabledUntested", page),
        (16 * MINUTE, "EkmKeyStateInvalid", ticket),
        (29 * MINUTE, "EkmKeyDisabledUntested", page),
        (29 * MINUTE, "EkmKeyStateInvalid", ticket),
        (46 * MINUTE, "EkmKeyDisabledUntested", []),
        ((35 + HELD) * MINUTE, "EkmKeyStateInvalid", []),
    ]
    return RuleCase(name="a disabled key that no probe tests", exporters=[exporter], length=95 * MINUTE, checks=checks)


def _not_yet_valid() -> RuleCase:
    """A key whose first day comes in half an hour. Wrap is refused until then, and unwrap works: a ticket and no page."""
    begins = {"ekm_key_not_before_timestamp_seconds": minutes((1800, 60))}
    refused = Failed("wrap_key", 3077, "key_not_yet_valid", ready=True, unwraps=True)
    full = Target(probes=[*[refused] * 30, *[OK] * 30], more=begins)
    reader = Target(name="reader", probes=[READ] * 60, info={"mode": "read_only"}, more=begins)
    past = Target(name="past", probes=[OK] * 60, more={"ekm_key_not_before_timestamp_seconds": minutes((-1800, 60))})
    exporter = Exporter(targets=[full, reader, past])
    on = [target_metric(exporter, target, label_state="dates") for target in (full, reader)]
    alert = "EkmKeyStateInvalid"
    checks = at(alert, {4: [], 6: on, 29: on, 95: []})
    absent = ["EkmForbiddenSpike", "EkmVaultSideNotReady"]
    return RuleCase(name="a key that is not yet valid", exporters=[exporter], length=95 * MINUTE, checks=checks, absent=absent)


def _auxiliary() -> RuleCase:
    """A refusal, then no result for hours: the alert stays. It ends with the first good result."""
    version = 'ekm_retained_version_usable{key="tde",version="2023"}'
    values = "1x1 0x5 stale _x48 1x22"  # a value each five minutes
    target = Target(probes=[OK] * 340, more={version: values, "ekm_recovery_usable": values})
    never = Target(name="never", probes=[OK] * 340)
    exporter = Exporter(targets=[target, never])
    retained = target_metric(exporter, target, label_key="tde", label_version="2023")
    recovery = target_metric(exporter, target)
    checks = [
        (minute * MINUTE, "EkmRecoveryUnusable", fires)
        for minute, fires in (
            (24, []),
            (26, [retained, recovery]),
            (120, [retained, recovery]),
            (280, [retained, recovery]),
            (350, []),
        )
    ]
    return RuleCase(name="no result after a refusal", exporters=[exporter], length=350 * MINUTE, checks=checks, scrape=300)


CASES = [_disabled(), _not_yet_valid(), _auxiliary()]
