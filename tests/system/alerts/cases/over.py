"""What is over, or planned: removed targets, a check that an outage failed, and maintenance. Nothing may fire because of it."""

from tests.system.alerts.case import RuleCase, at, during, target_metric
from tests.system.alerts.cases.pages import NOT_FOUND
from tests.system.alerts.cases.spikes import FORBIDDEN, THROTTLED
from tests.system.alerts.timeline import OK, Exporter, Target

MINUTE, HOUR = 60, 3600


def _removed_target() -> RuleCase:
    """A reload removes three targets: one that pages, one after two failures in a row, one that fails intermittently.

    The page of the first ends. No other alert begins, about the targets or about the exporter.
    """
    gone = 20 * MINUTE
    paged = Target(name="paged", probes=[*[OK] * 5, *[FORBIDDEN] * 40], removed=gone)
    twice = Target(name="twice", probes=[*[OK] * 18, *[FORBIDDEN] * 40], removed=gone)
    now_and_then = Target(name="now-and-then", probes=[*[OK] * 5, *[FORBIDDEN, OK, OK, OK] * 10], removed=gone)
    stays = Target(name="stays", probes=[OK] * 100)
    exporter = Exporter(targets=[paged, twice, now_and_then, stays])
    page = target_metric(exporter, paged)
    checks = [
        *at("EkmForbiddenSpike", {7: []}),
        *during("EkmForbiddenSpike", [page], 8, 34),
        *during("EkmForbiddenSpike", [], 36, 91),
    ]
    absent = ["EkmVaultSideNotReady", "EkmExporterDown", "EkmTargetNotProbed", "EkmEveryProbeStale", "EkmErrorBudgetBurns"]
    return RuleCase(name="removed targets", exporters=[exporter], length=90 * MINUTE, checks=checks, absent=absent)


def _failed_by_an_outage() -> RuleCase:
    """Preflight checks ran during an outage and failed; the next run, six hours later, passes: no ticket.

    On another target that run fails as well: a ticket, once the outage is no longer the cause.
    """
    count = "ekm_preflight_failed_checks"  # a value each five minutes
    probes = [*[OK] * 10, *[NOT_FOUND] * 12, *[OK] * (8 * 60)]
    passes = Target(name="passes", probes=probes, more={count: "0x2 3x71 0x36"})
    fails = Target(name="fails", probes=probes, more={count: "0x2 3x91 0x16"})
    exporter = Exporter(targets=[passes, fails])
    alert = "EkmPreflightFailed"
    on = target_metric(exporter, fails)
    checks = [
        *((minute * MINUTE, alert, []) for minute in range(0, 22 + 6 * 60 + 30, 5)),
        (7 * HOUR + 25 * MINUTE, alert, [on]),
        (9 * HOUR + 10 * MINUTE, alert, []),
    ]
    return RuleCase(
        name="a check that an outage failed", exporters=[exporter], length=9 * HOUR + 10 * MINUTE, checks=checks, scrape=300
    )


def _maintenance() -> RuleCase:
    """Planned work in a declared window: nothing fires, also if failures were intermittent. What fails afterwards pages."""
    window = (10 * MINUTE, 50 * MINUTE)
    work = [*[OK] * 12, *[FORBIDDEN] * 30, *[OK] * 90]
    inside = Target(name="inside", probes=work, maintenance=window)
    intermittent = Target(name="intermittent", probes=[*[OK] * 12, *[FORBIDDEN, OK] * 18, *[OK] * 90], maintenance=window)
    longer = Target(name="longer", probes=[*[OK] * 12, *[FORBIDDEN] * 58, *[OK] * 60], maintenance=window)
    unplanned = Target(name="unplanned", probes=work)
    exporter = Exporter(targets=[inside, intermittent, longer, unplanned])
    now, after = target_metric(exporter, unplanned), target_metric(exporter, longer)
    alert = "EkmForbiddenSpike"
    checks = [
        *during(alert, [now], 16, 50),
        *during(alert, [now, after], 52, 56),
        *during(alert, [after], 61, 84),
        *during(alert, [], 87, 119),
    ]
    return RuleCase(name="maintenance", exporters=[exporter], length=119 * MINUTE, checks=checks)


def _next_incident() -> RuleCase:
    """An incident is over, its page too. The next one, with another code, has its own page; a repeat within the hold has the first one."""
    first = [*[OK] * 10, *[FORBIDDEN] * 10]
    later = Target(name="later", probes=[*first, *[OK] * 18, *[THROTTLED] * 10, *[OK] * 60])
    soon = Target(name="soon", probes=[*first, *[OK] * 8, *[THROTTLED] * 10, *[OK] * 60])
    exporter = Exporter(targets=[later, soon])
    on_later, on_soon = target_metric(exporter, later), target_metric(exporter, soon)
    checks = [
        *during("EkmForbiddenSpike", [on_later, on_soon], 14, 34),
        *during("EkmForbiddenSpike", [on_soon], 36, 52),
        *at("EkmForbiddenSpike", {55: []}),
        *during("EkmThrottledSpike", [], 41),
        *during("EkmThrottledSpike", [on_later], 42, 62),
        *at("EkmThrottledSpike", {65: []}),
    ]
    return RuleCase(name="the next incident", exporters=[exporter], length=66 * MINUTE, checks=checks)


def _down_in_a_window() -> RuleCase:
    """A window begins during an incident, and the exporter goes down in it: the page ends with its hold, and nothing pages until the end."""
    target = Target(probes=[*[OK] * 5, *[FORBIDDEN] * 115], maintenance=(15 * MINUTE, 110 * MINUTE))
    exporter = Exporter(targets=[target], gaps=((20 * MINUTE, 70 * MINUTE),))
    on, alert = target_metric(exporter, target), "EkmForbiddenSpike"
    checks = [*during(alert, [on], 9, 28), *during(alert, [], 33, 110), *at(alert, {112: [on]})]
    return RuleCase(name="down in a window", exporters=[exporter], length=113 * MINUTE, checks=checks, absent=["EkmExporterDown"])


CASES = [_removed_target(), _failed_by_an_outage(), _maintenance(), _next_incident(), _down_in_a_window()]
