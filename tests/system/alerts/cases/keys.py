"""The state of a key if only some probes test the unwrap, or none. Scraped once a minute."""

from tests.system.alerts.case import RuleCase, target_metric
from tests.system.alerts.cases.tickets import minutes
from tests.system.alerts.timeline import OK, READ, Exporter, Target

MINUTE = 60


def _disabled() -> RuleCase:
    """If no probe unwraps, a page. If the last round trip was within the hour, a ticket with its result."""
    off = {"ekm_key_enabled": minutes((1, 10), (0, 20), (1, 40))}
    untested = Target(name="untested", probes=[READ] * 60, info={"mode": "read_only"}, more=off)
    rare = Target(name="rare", probes=[OK, *[READ] * 60], more=off)
    well = Target(name="well", probes=[READ] * 60, info={"mode": "read_only"}, more={"ekm_key_enabled": "1x60"})
    exporter = Exporter(targets=[untested, rare, well])
    page, ticket = [target_metric(exporter, untested)], [target_metric(exporter, rare, label_state="disabled")]
    checks = [
        (9 * MINUTE, "EkmKeyDisabledUntested", []),
        (11 * MINUTE, "EkmKeyDisabledUntested", page),
        (16 * MINUTE, "EkmKeyStateInvalid", ticket),
        (29 * MINUTE, "EkmKeyDisabledUntested", page),
        (29 * MINUTE, "EkmKeyStateInvalid", ticket),
        (46 * MINUTE, "EkmKeyDisabledUntested", []),
        (46 * MINUTE, "EkmKeyStateInvalid", []),
    ]
    return RuleCase(name="a disabled key that no probe tests", exporters=[exporter], length=46 * MINUTE, checks=checks, scrape=60)


def _expired() -> RuleCase:
    ends = {"ekm_key_expiry_timestamp_seconds": minutes((600, 60))}
    untested = Target(probes=[READ] * 60, info={"mode": "read_only"}, more=ends)
    exporter = Exporter(targets=[untested])
    checks = [
        (9 * MINUTE, "EkmKeyStateInvalid", []),
        (16 * MINUTE, "EkmKeyStateInvalid", [target_metric(exporter, untested, label_state="expired")]),
    ]
    return RuleCase(name="an expired key that no probe tests", exporters=[exporter], length=16 * MINUTE, checks=checks, scrape=60)


def _auxiliary() -> RuleCase:
    """A refusal, then no result for hours: the alert stays. It ends with the first good result."""
    version = 'ekm_retained_version_usable{key="tde",version="2023"}'
    values = "1x9 0x29 stale _x240 1x60"
    target = Target(probes=[OK] * 340, more={version: values, "ekm_recovery_usable": values})
    never = Target(name="never", probes=[OK] * 340)
    exporter = Exporter(targets=[target, never])
    retained = target_metric(exporter, target, label_key="tde", label_version="2023")
    recovery = target_metric(exporter, target)
    checks = [
        (minute * MINUTE, alert, fires)
        for alert, on in (("EkmRetainedVersionUnusable", retained), ("EkmRecoveryUnusable", recovery))
        for minute, fires in ((24, []), (26, [on]), (120, [on]), (280, [on]), (300, []))
    ]
    return RuleCase(name="no result after a refusal", exporters=[exporter], length=300 * MINUTE, checks=checks, scrape=60)


CASES = [_disabled(), _expired(), _auxiliary()]
