"""The incident of each failing target, as the recorder shows it: its page, since when, and the cause that many targets share."""

import asyncio
from datetime import UTC, date, datetime

import pytest

from exporter.config.settings import MaintenanceWindow
from exporter.core.values import Readiness, Step
from exporter.knowledge.expiry import Source
from exporter.knowledge.incident import MANY, RUN, RUN_SLOW
from exporter.knowledge.reasons import Reason
from exporter.knowledge.verdict import State
from exporter.metrics.spec import Level
from tests.support.metric_factories import (
    MODULE,
    START,
    a_config,
    a_credential,
    a_recorder,
    a_report,
    a_target,
    add,
    failed,
    headers,
    ok,
    probed,
    refused,
    scrape,
    series,
    shown,
    silent,
    throttled,
)
from tests.support.turns import MOST_CALLS
from tests.support.values import replace
from tests.unit.metrics.test_failure_series import FIREWALL, a_fleet, calls_of_a_scrape
from tests.unit.metrics.test_protobuf import scrape_protobuf

INCIDENT, UNSTEADY, ACTION = "ekm_incident", "ekm_unsteady_failures_total", "ekm_failure_action_info"
FORBIDDEN = failed(Step.GET_KEY, 3077, Reason.FORBIDDEN_RBAC, status=403)
NO_NETWORK = failed(Step.CHALLENGE, 3900, Reason.NETWORK_DOWN)
NO_ENTRA = failed(Step.TOKEN, 3900, Reason.ENTRA_UNAVAILABLE, status=503)
DELETED = failed(Step.GET_KEY, 3076, Reason.KEY_SOFT_DELETED, status=404)
TODAY = datetime.fromtimestamp(START, UTC).date()
MIDNIGHT = datetime(TODAY.year, TODAY.month, TODAY.day, tzinfo=UTC).timestamp()


def fail(recorder, result, count=1, *, names=("t",), at=START, ready=False, interval=60, **known):
    """Let the probes of these targets fail one after another."""
    for number in range(count):
        for name in names:
            report = a_report(name, ready=ready, steps=[result], started_at=at + interval * number)
            probed(recorder, report, **({"next_probe_at": report.started_at + interval} | known))


def incidents(recorder):
    """Page, cause, name and beginning of each incident, by target."""
    found = {}
    for (name, *labels), value in series(scrape(recorder)).items():
        if name == INCIDENT:
            own = dict(labels)
            found[own["target"]] = own["page"], own["cause"], own["name"], value - START
    return found


def pages(recorder):
    """The page of each failure, however short its run."""
    return [page for *_, page in shown(recorder, ACTION)]


def count_of(recorder):
    return list(shown(recorder, UNSTEADY).values())


def first_page(recorder, result, *, most=6, **options):
    """After how many failed probes a target pages; None if it does not."""
    interval = options.get("interval", 60)
    for number in range(most):
        fail(recorder, result, at=START + interval * number, **options)
        if incidents(recorder):
            return number + 1
    return None


@pytest.mark.parametrize(
    ("result", "options", "run"),
    [
        (FORBIDDEN, {}, RUN),
        (silent(), {}, RUN),
        (FORBIDDEN, {"interval": 300}, RUN_SLOW),
        (throttled(), {}, RUN),
        (throttled(), {"next_probe_at": START + 600}, RUN_SLOW),
        (FORBIDDEN, {"next_probe_at": START + 600}, RUN),
        (throttled(Step.WRAP_KEY), {"ready": True}, RUN),
        (failed(Step.WRAP_KEY, 3077, Reason.FORBIDDEN_RBAC), {"ready": True}, RUN),
        (failed(Step.WRAP_KEY, 3077, Reason.KEY_EXPIRED), {"ready": True}, None),
        (FORBIDDEN, {"ready": None}, None),
    ],
)
def test_incident_begins_with_the_run_that_counts(result, options, run):
    recorder = a_recorder(a_target(interval=options.get("interval", 60)))
    assert first_page(recorder, result, **options) == run


def test_incident_has_the_time_of_the_first_failure_and_ends_with_a_good_probe():
    recorder = a_recorder(a_target())
    fail(recorder, FORBIDDEN, RUN, at=START + 60)
    assert incidents(recorder) == {"t": ("forbidden", "", "", 60)}
    fail(recorder, silent(), at=START + 300)
    assert incidents(recorder) == {"t": ("not_ready", "", "", 60)}
    probed(recorder, a_report(ready=True, started_at=START + 360))
    assert (incidents(recorder), pages(recorder)) == ({}, [])


@pytest.mark.parametrize("why", ["canary", "version_not_pinned", "identity_of_another_host"])
def test_target_without_a_verdict_by_design_pages_by_its_failures(why):
    recorder = a_recorder(a_target())
    for number in range(RUN):
        assert incidents(recorder) == {}
        report = a_report(steps=[FORBIDDEN], started_at=START + 60 * number)
        probed(recorder, replace(report, readiness=Readiness(ready=None, why=why)))
    assert incidents(recorder) == {"t": ("forbidden", "", "", 0)}


def window(start, end):
    return MaintenanceWindow(datetime.fromtimestamp(START + start, UTC), datetime.fromtimestamp(START + end, UTC))


def test_failure_pages_with_the_first_probe_after_a_maintenance_window_and_no_longer_in_one():
    recorder = a_recorder(a_target(maintenance=(window(0, 300), window(420, 600))))
    fail(recorder, FORBIDDEN, 5)
    assert (incidents(recorder), pages(recorder), count_of(recorder)) == ({}, ["forbidden"], [0])
    fail(recorder, FORBIDDEN, at=START + 300)
    assert incidents(recorder) == {"t": ("forbidden", "", "", 0)}
    fail(recorder, FORBIDDEN, at=START + 420)
    assert incidents(recorder) == {}


def test_discarded_result_ends_no_incident_but_a_target_that_is_not_measured_has_none():
    recorder = a_recorder(a_target(maintenance=(window(300, 600),)))
    fail(recorder, FORBIDDEN, RUN)
    probed(recorder, a_report(discarded=True, started_at=START + 240))
    assert incidents(recorder) == {"t": ("forbidden", "", "", 0)}
    probed(recorder, a_report(discarded=True, started_at=START + 300))
    assert incidents(recorder) == {}
    probed(recorder, a_report(discarded=True, started_at=START + 600))
    assert incidents(recorder) == {"t": ("forbidden", "", "", 0)}
    recorder.records.get("t").last = None
    recorder.drop_result("t")
    assert incidents(recorder) == {}


def test_a_restart_counts_again_and_the_state_directory_knows_the_first_failure():
    recorder = a_recorder(a_target())
    add(recorder, a_target(), state=State.NOT_READY, state_since=START - 540)
    assert first_page(recorder, FORBIDDEN) == RUN
    assert incidents(recorder) == {"t": ("forbidden", "", "", -540)}


def test_a_reload_changes_the_threshold_and_the_credential_and_removes_the_target():
    recorder = a_recorder(a_target())
    fail(recorder, refused(reason=Reason.SECRET_WRONG), RUN_SLOW)
    assert incidents(recorder) == {}
    moved = a_target(interval=300, credential="other")
    recorder.configure(a_config(moved, credentials=[a_credential("other", expires_on=date(2020, 1, 1))]))
    assert incidents(recorder) == {}  # between two targets: the old one has a credential that is gone
    add(recorder, moved)
    assert incidents(recorder) == {"t": ("expired", "", "", 0)}
    recorder.forget("t")
    assert incidents(recorder) == {}


# The page.


def test_expiry_date_makes_a_refusal_the_expiry_once_it_has_passed():
    config = a_config(a_target(), credentials=[a_credential(expires_on=TODAY)])
    recorder = a_recorder(config=config)
    fail(recorder, refused(reason=Reason.SECRET_WRONG), RUN, at=MIDNIGHT - 600)
    assert (pages(recorder), [page for page, *_ in incidents(recorder).values()]) == (["refused"], ["refused"])
    recorder.sweep(MIDNIGHT)
    assert (pages(recorder), [page for page, *_ in incidents(recorder).values()]) == (["expired"], ["expired"])


def test_a_scrape_that_ends_early_leaves_the_new_page_to_the_next(monkeypatch):
    targets = [a_target(f"t{number}") for number in range(9)]
    recorder = a_recorder(config=a_config(*targets, credentials=[a_credential(expires_on=TODAY)]))
    fail(recorder, refused(reason=Reason.SECRET_WRONG), RUN, names=names(targets), at=MIDNIGHT - 600)
    scrape(recorder)
    recorder.sweep(MIDNIGHT)
    show = recorder._failures._show_failure

    def ended(block, *known):
        if block.target.name == "t5":
            raise asyncio.CancelledError
        show(block, *known)

    monkeypatch.setattr(recorder._failures, "_show_failure", ended)
    with pytest.raises(asyncio.CancelledError):
        scrape(recorder)
    monkeypatch.undo()
    assert {page for page, *_ in incidents(recorder).values()} == {"expired"}


def test_date_of_a_lookup_comes_first():
    recorder = a_recorder(config=a_config(a_target(), credentials=[a_credential(expires_on=date(2020, 1, 1))]))
    fail(recorder, refused(reason=Reason.SECRET_WRONG), RUN)
    assert pages(recorder) == ["expired"]
    recorder.credential_expiry_found("sql-prod", Source.GRAPH, START + 86400, START)
    assert (pages(recorder), incidents(recorder)) == (["refused"], {"t": ("refused", "", "", 0)})
    recorder.credential_forgotten("sql-prod", Source.GRAPH)
    assert incidents(recorder) == {"t": ("expired", "", "", 0)}


def test_key_that_will_be_purged_pages_at_once_until_it_is_purged():
    recorder = a_recorder(a_target())
    fail(recorder, DELETED, purge_at=START + 3600)
    assert incidents(recorder) == {"t": ("key_deleted", "", "", 0)}
    assert count_of(recorder) == [0]
    recorder.sweep(START + 3600)
    assert (incidents(recorder), pages(recorder)) == ({}, ["key_deleted"])
    fail(recorder, failed(Step.GET_KEY, 3076, Reason.NOT_FOUND, status=404), 3, at=START + 3660)
    assert incidents(recorder) == {"t": ("not_ready", "", "", 0)}


def test_deleted_key_without_a_date_waits_like_another_failure():
    assert first_page(a_recorder(a_target()), DELETED) == RUN


# Causes that many targets share.


def names(targets):
    return [each.name for each in targets]


def causes(recorder):
    """How many incidents have each cause."""
    found = [(cause, name) for _, cause, name, _ in incidents(recorder).values()]
    return {each: found.count(each) for each in set(found)}


def a_shared_fleet(count, *, region="westeurope"):
    """The recorder of targets with a vault of their own and one credential; their region is known."""
    targets = [a_target(f"t{number}", vault=f"v{number}.vault.azure.net") for number in range(count)]
    recorder = a_recorder(*targets)
    for name in names(targets):
        steps = [ok(Step.GET_KEY, vault=headers(region))]
        probed(recorder, a_report(name, ready=True, steps=steps, started_at=START - 60))
    return recorder, targets


@pytest.mark.parametrize(
    ("result", "fleet", "enough", "shared"),
    [
        (NO_NETWORK, 10, 9, ("host", "")),
        (NO_NETWORK, 3, 3, ("host", "")),
        (NO_ENTRA, 20, 10, ("entra", "")),
        (NO_ENTRA, 4, 3, ("entra", "")),
        (silent(), 5, 3, ("region", "westeurope")),
        (FORBIDDEN, 5, 3, ("credential", "sql-prod")),
        (FIREWALL, 5, 3, ("credential", "sql-prod")),
    ],
)
def test_two_failures_in_a_row_page_if_enough_targets_share_the_cause(result, fleet, enough, shared):
    recorder, targets = a_shared_fleet(fleet)
    fail(recorder, result, 2, names=names(targets[: enough - 1]))
    assert incidents(recorder) == {}
    fail(recorder, result, names=names(targets[enough - 1 : enough]))
    assert incidents(recorder) == {}
    fail(recorder, result, names=names(targets[enough - 1 : enough]), at=START + 60)
    assert causes(recorder) == {shared: enough}


@pytest.mark.parametrize(("failing", "shared"), [(89, {}), (90, {("host", ""): 90})])
def test_host_is_at_fault_from_nine_targets_of_ten(failing, shared):
    recorder, targets = a_shared_fleet(100)
    fail(recorder, NO_NETWORK, 2, names=names(targets[:failing]))
    assert causes(recorder) == shared


def test_reload_that_adds_or_removes_targets_changes_their_share():
    recorder, targets = a_shared_fleet(11)
    fail(recorder, NO_NETWORK, 2, names=names(targets[:9]))
    assert causes(recorder) == {}
    recorder.forget("t10")
    assert causes(recorder) == {("host", ""): 9}
    add(recorder, targets[10])
    assert causes(recorder) == {}


def test_targets_in_a_maintenance_window_are_left_out_of_the_share():
    quiet = window(30, 600)
    targets = [a_target(f"t{n}", vault=f"v{n}.vault.azure.net", maintenance=(quiet,) if n > 2 else ()) for n in range(6)]
    recorder = a_recorder(*targets)
    fail(recorder, NO_NETWORK, 2, names=names(targets[:MANY]))
    assert causes(recorder) == {}
    for each in targets[MANY:]:
        probed(recorder, a_report(each.name, ready=True, started_at=START + 60))
    assert causes(recorder) == {("host", ""): MANY}
    fail(recorder, NO_NETWORK, 2, names=names(targets), at=START + 120)
    assert set(incidents(recorder)) == {"t0", "t1", "t2"}
    probed(recorder, a_report("t5", ready=True, started_at=START + 600))
    assert set(incidents(recorder)) == {"t0", "t1", "t2"}  # three of four are no common cause, but long enough


def test_deleted_key_keeps_its_page_under_a_common_cause_and_counts_among_its_targets():
    recorder, targets = a_shared_fleet(3)
    recorder.records.get("t0").purge_at = START + 86400
    fail(recorder, NO_NETWORK, 2, names=names(targets))
    assert incidents(recorder) == {
        "t0": ("key_deleted", "", "", 0),
        "t1": ("not_ready", "host", "", 0),
        "t2": ("not_ready", "host", "", 0),
    }


def test_targets_leave_the_cause_with_their_next_good_probe():
    recorder, targets = a_shared_fleet(3)
    fail(recorder, NO_NETWORK, 2, names=names(targets))
    probed(recorder, a_report("t0", ready=True, started_at=START + 120))
    assert incidents(recorder) == {}
    fail(recorder, NO_NETWORK, 2, names=names(targets[1:]), at=START + 120)
    assert causes(recorder) == {("", ""): 2}


# Failures without a page.


@pytest.mark.parametrize(
    ("results", "unsteady"),
    [
        ([FORBIDDEN] * 2, 2),
        ([FORBIDDEN] * 9, RUN - 1),
        ([FORBIDDEN] * 3 + [None] + [FORBIDDEN] * 3, 6),
        ([throttled(Step.WRAP_KEY)] * 3, 0),
        ([None] * 3, 0),
        ([], 0),
    ],
)
def test_failures_are_unsteady_as_long_as_their_run_is_short(results, unsteady):
    recorder = a_recorder(a_target())
    for number, result in enumerate(results):
        probed(recorder, a_report(ready=result is None, steps=[result] if result else [], started_at=START + 60 * number))
    assert count_of(recorder) == [unsteady]


def test_failures_of_the_exporter_and_discarded_ones_are_not_unsteady():
    recorder = a_recorder(a_target())
    fail(recorder, failed(Step.CHALLENGE, 3900, Reason.INTERNAL), 3, ready=None)
    probed(recorder, a_report(steps=[FORBIDDEN], discarded=True, started_at=START + 180))
    assert count_of(recorder) == [0]


# Where incidents stand.


def test_only_a_scrape_of_a_scheduler_has_incidents():
    for options in ({}, {"per_target_gauges": False}):
        recorder = a_recorder(a_target(), **options)
        fail(recorder, FORBIDDEN, RUN)
        assert bool(incidents(recorder)) is not bool(options)
        assert count_of(recorder) == [RUN - 1]
        text = recorder.render_probe(a_target(), MODULE, a_report(ready=False, steps=[FORBIDDEN], started_at=START + 300))
        assert (series(text, INCIDENT), [page for *_, page in series(text, ACTION)]) == ({}, ["forbidden"])


def test_every_format_has_the_same_incidents():
    recorder, targets = a_shared_fleet(5)
    fail(recorder, silent(), 2, names=names(targets[:3]))
    text, openmetrics, protobuf = scrape(recorder), scrape(recorder, openmetrics=True), scrape_protobuf(recorder)
    lines = [line for line in text.splitlines() if line.startswith(b"ekm_incident{")]
    assert len(lines) == 3
    assert [line for line in openmetrics.splitlines() if line.startswith(b"ekm_incident{")] == lines
    assert protobuf.count(b"\x05cause\x12\x06region") == 3
    fail(recorder, silent(), 2, names=names(targets[3:]))  # no vault answers, so it is the host
    assert scrape_protobuf(recorder).count(b"\x05cause\x12\x04host") == 5
    recorder.forget("t0")
    assert scrape_protobuf(recorder).count(b"\x05cause\x12\x04host") == 4


def test_a_target_that_recovers_during_a_scrape_has_no_incident():
    recorder, targets = a_fleet(250)
    fail(recorder, FORBIDDEN, RUN, names=names(targets))

    async def recovering():
        refreshing = asyncio.create_task(recorder._failures.refresh())
        await asyncio.sleep(0)
        probed(recorder, a_report("t249", ready=True, started_at=START + 600))
        recorder.forget("t248")
        await refreshing
        return recorder._exposition.render(openmetrics=False)

    found = {dict(key[1:])["target"] for key in series(asyncio.run(recovering())) if key[0] == INCIDENT}
    assert found == set(names(targets[:248]))


def test_no_part_of_a_scrape_with_incidents_holds_the_event_loop():
    targets = [a_target(f"t{number}", vault=f"v{number}.vault.azure.net") for number in range(5000)]
    recorder = a_recorder(*targets, level=Level.MINIMAL)
    fail(recorder, NO_NETWORK, 2, names=names(targets))
    assert max(asyncio.run(calls_of_a_scrape(recorder))) < MOST_CALLS
    assert scrape(recorder).count(b"\nekm_incident{") == 5000
