"""Series of failures: the first action and the cause of each failing target, and the common causes."""

import asyncio

import pytest

from exporter.core.values import Step, VaultHeaders
from exporter.knowledge.advice import LINE_LIMIT
from exporter.knowledge.codes import BY_CODE
from exporter.knowledge.incident import RUN
from exporter.knowledge.reasons import Reason
from exporter.knowledge.verdict import AuxiliaryKind
from exporter.metrics import recorder
from exporter.presentation.diagnosis import Diagnosis
from exporter.state.causes import MOST_CAUSES, cause_groups
from exporter.state.history import History
from exporter.state.record import TargetRecord
from tests.support.metric_factories import (
    MODULE,
    START,
    a_config,
    a_credential,
    a_recorder,
    a_report,
    a_target,
    add,
    an_auxiliary_result,
    by_identity,
    failed,
    ok,
    probed,
    record_auxiliary,
    refused,
    scrape,
    series,
    shown,
    silent,
)
from tests.support.turns import MOST_CALLS, counted_calls
from tests.support.values import replace

ACTION, CAUSE, COMMON = "ekm_failure_action_info", "ekm_failure_cause_info", "ekm_common_cause_info"
TARGETS, SERVERS = "ekm_common_cause_targets", "ekm_common_cause_sql_servers"
FAMILIES = {ACTION, CAUSE, COMMON, TARGETS, SERVERS}
SECRET = ("credential", "sql-prod", "secret_expired")
FIREWALL = failed(Step.GET_KEY, 3077, Reason.FORBIDDEN_FIREWALL, status=403)
GOOD = a_report(ready=True)


def a_fleet(count, **options):
    """The recorder of targets with a vault, a credential and a SQL Server of their own."""
    targets = [
        a_target(f"t{n}", vault=f"v{n}.vault.azure.net", credential=f"c{n}", instances=({"sql_instance": f"SQL{n}"},))
        for n in range(count)
    ]
    config = a_config(*targets, credentials=[a_credential(each.credential) for each in targets])
    return a_recorder(config=config, **options), targets


def fail(recorder, targets, result=FIREWALL, *, at=START):
    for each in targets:
        probed(recorder, a_report(each.name, ready=False, steps=[result], started_at=at))


def families_of(text):
    return {name for name, *_ in series(text)} & FAMILIES


def test_a_failing_target_shows_its_action_and_its_cause():
    recorder = a_recorder(a_target(instances=({"sql_instance": "A"}, {"sql_instance": "B"})))
    probed(recorder, a_report(ready=False, steps=[refused(client_id="6666")]))
    ((action, meaning, _, page),) = shown(recorder, ACTION)
    assert (meaning, page) == ("The client secret has expired.", "expired")
    assert action == "Create a new secret and keep the old one: az ad app credential reset --id 6666 --append."
    assert shown(recorder, CAUSE) == shown(recorder, COMMON) == {SECRET: 1}
    assert (shown(recorder, TARGETS), shown(recorder, SERVERS)) == ({SECRET: 1}, {SECRET: 2})


@pytest.mark.parametrize(
    "reports", [[], [GOOD], [a_report(ready=False, steps=[refused()]), GOOD]], ids=["no probe", "good", "again"]
)
def test_without_a_failure_there_is_no_series(reports):
    recorder = a_recorder(a_target())
    for report in reports:
        probed(recorder, report)
        found = families_of(scrape(recorder))
    assert families_of(scrape(recorder)) == set()
    assert not reports or bool(found) is False


def test_a_failure_of_an_earlier_process_has_no_series():
    recorder = a_recorder(a_target())
    add(recorder, a_target(), verdict=None, state_since=START, last_success_at=START - 60)
    assert families_of(scrape(recorder)) == set()


def test_a_changed_action_or_cause_replaces_the_old_one():
    recorder = a_recorder(a_target())
    for result in (refused(), silent(), refused(reason=Reason.SECRET_WRONG), failed(Step.GET_KEY, 3076, Reason.KEY_SOFT_DELETED)):
        probed(recorder, a_report(ready=False, steps=[result]))
        text = scrape(recorder)
        assert [len(series(text, name)) for name in sorted(FAMILIES)] == [1] * 5
        assert next(iter(series(text, CAUSE)))[2] == result.reason


def test_action_names_the_staged_credential_once_it_is_proven():
    target = a_target(next_credential="sql-next")
    recorder = a_recorder(config=a_config(target, credentials=[a_credential(), a_credential("sql-next")]))
    probed(recorder, a_report(ready=False, steps=[refused()]))
    assert "sql-next" not in str(shown(recorder, ACTION))
    proven = an_auxiliary_result(AuxiliaryKind.NEXT, "sql-next", credential="sql-next")
    record_auxiliary(recorder, auxiliary=by_identity(proven))
    assert "The staged credential sql-next is usable." in str(shown(recorder, ACTION))


@pytest.mark.parametrize("reason", [Reason.SECRET_EXPIRED, Reason.FORBIDDEN_RBAC, Reason.READ_TIMEOUT, Reason.KEY_DISABLED])
def test_action_is_the_first_one_of_the_pages(reason):
    target = a_target(labels={"team": "dba"})
    report = a_report(ready=False, steps=[failed(Step.GET_KEY, 3077, reason, endpoint="contoso.vault.azure.net:443")])
    record = TargetRecord(target, History(0))
    line, happened, owner, _ = a_recorder(target)._failures.advice_of(target, report, record)
    assert line == Diagnosis(target, report).advice().actions[0].replace("`", "")
    assert (happened, owner) == (Diagnosis(target, report).advice().happened, Diagnosis(target, report).advice().owner)
    assert 0 < len(line) <= LINE_LIMIT


def test_meaning_has_no_word_of_a_server():
    """A gateway's 404 has the code of a missing key: the label says what happened, and never what the body says."""
    recorder = a_recorder(a_target())
    probed(recorder, a_report(ready=False, steps=[failed(Step.GET_KEY, 3076, Reason.NOT_FOUND, status=404, detail="Marked")]))
    ((_, meaning, _, _),) = shown(recorder, ACTION)
    assert meaning.startswith("The server that responded has no such URL.")
    assert "Marked" not in scrape(recorder).decode()
    probed(recorder, a_report(ready=False, steps=[failed(Step.GET_KEY, 3076, None)]))
    ((_, meaning, _, _),) = shown(recorder, ACTION)
    assert meaning == BY_CODE[3076].summary


def test_targets_of_one_cause_are_counted_with_their_sql_servers():
    recorder, targets = a_fleet(5)
    fail(recorder, targets[:3])
    probed(recorder, a_report("t4", ready=False, steps=[silent()]))
    several, own = ("vault", "", "forbidden_firewall"), ("vault", "v4.vault.azure.net", "read_timeout")
    assert shown(recorder, CAUSE) == shown(recorder, COMMON) == {several: 1, own: 1}
    assert shown(recorder, TARGETS) == shown(recorder, SERVERS) == {several: 3, own: 1}


def test_an_unsteady_target_has_no_series():
    recorder = a_recorder(a_target())
    for number in range(4):
        probed(recorder, a_report(ready=False, steps=[silent()], started_at=START + number))
    probed(recorder, replace(GOOD, started_at=START + 9))
    assert families_of(scrape(recorder)) == set()


def test_recovery_and_removal_take_targets_out_of_the_cause():
    recorder, targets = a_fleet(5)
    fail(recorder, targets)
    labels = ("vault", "", "forbidden_firewall")
    assert shown(recorder, TARGETS) == {labels: 5}
    probed(recorder, a_report("t0", ready=True, started_at=START + 60))
    recorder.forget("t1")
    assert shown(recorder, TARGETS) == {labels: 3}
    assert not [key for key in series(scrape(recorder)) if "t1" in str(key)]


def test_a_reload_that_moves_a_target_renders_its_new_cause():
    recorder, targets = a_fleet(2)
    fail(recorder, targets, refused())
    moved = replace(targets[1], credential="c0")
    add(recorder, moved)
    fail(recorder, [moved], refused(), at=START + 60)
    assert shown(recorder, TARGETS) == {("credential", "c0", "secret_expired"): 2}


def test_at_most_a_hundred_causes_are_exposed():
    recorder, targets = a_fleet(MOST_CAUSES + 20)
    for number, each in enumerate(targets):
        fail(recorder, [each], at=START - 86400 * number)
    text = scrape(recorder)
    assert [len(series(text, name)) for name in (COMMON, TARGETS, SERVERS)] == [MOST_CAUSES] * 3
    assert len(series(text, CAUSE)) == len(targets)
    assert ("vault", f"v{len(targets) - 1}.vault.azure.net", "forbidden_firewall") in series(text, COMMON)  # the oldest


def test_probe_response_has_action_and_common_cause_of_its_target():
    recorder, targets = a_fleet(3)
    fail(recorder, targets)
    scrape(recorder)
    same = a_report("t0", ready=False, steps=[FIREWALL], started_at=START + 60)
    text = recorder.render_probe(targets[0], MODULE, same)
    assert series(text, CAUSE) == {("vault", "", "forbidden_firewall"): 1}
    assert len(series(text, ACTION)) == 1
    assert families_of(text) == {ACTION, CAUSE}


@pytest.mark.parametrize(
    "report", [a_report("t0", steps=[silent()]), a_report("t0", ready=True)], ids=["another failure", "good"]
)
def test_probe_response_shows_the_failure_of_its_own_report(report):
    recorder, targets = a_fleet(3)
    fail(recorder, targets)
    scrape(recorder)
    text = recorder.render_probe(targets[0], MODULE, report)
    own = {("vault", "v0.vault.azure.net", "read_timeout"): 1}
    assert series(text, CAUSE) == ({} if report.success else own)
    assert len(series(text, ACTION)) == (not report.success)


def test_without_a_scheduler_requested_probes_make_the_causes():
    recorder, targets = a_fleet(4, per_target_gauges=False)
    fail(recorder, targets)
    text = scrape(recorder)
    assert families_of(text) == {COMMON, TARGETS, SERVERS}
    assert series(text, TARGETS) == {("vault", "", "forbidden_firewall"): 4}


HOSTILE = 'secret"}\n# HELP 203.0.113.7'


def test_no_text_of_an_answer_is_a_label():
    recorder, targets = a_fleet(4)
    answer = {
        "service_code": HOSTILE,
        "inner_code": HOSTILE,
        "aadsts": 66666,
        "akv": 66666,
        "detail": HOSTILE,
        "request_id": HOSTILE,
        "exception": HOSTILE,
        "client_address": "203.0.113.7",
        "object_id": "0a1b2c3d",
        "key_state": HOSTILE,
        "vault": VaultHeaders(region="Forged", service_version="Forged"),
    }
    for reason in Reason:
        for step in (Step.CHALLENGE, Step.TOKEN, Step.GET_KEY, Step.UNWRAP_KEY):
            fail(recorder, targets, failed(step, 3077, reason, **answer))
            lines = [line for line in scrape(recorder).decode().splitlines() if line.startswith(tuple(FAMILIES))]
            assert len(lines) >= 9
            assert not [line for line in lines for word in ("HELP", "203.0", "0a1b", "66666", "Forged") if word in line]


def test_unstable_answers_change_no_series():
    recorder, targets = a_fleet(4)
    rendered = set()
    for number in range(5):
        changing = {
            "client_address": f"203.0.113.{number}",
            "object_id": str(number),
            "aadsts": number,
            "detail": str(number),
            "vault": VaultHeaders(region=f"Region {number}"),
        }
        fail(recorder, targets, failed(Step.GET_KEY, 3077, Reason.FORBIDDEN_FIREWALL, **changing), at=START + number)
        rendered.add(tuple(line for line in scrape(recorder).decode().splitlines() if line.startswith(tuple(FAMILIES))))
    assert len(rendered) == 1


def computations(monkeypatch):
    counted = []

    async def counting(targets):
        counted.append(1)
        return await cause_groups(targets)

    monkeypatch.setattr(recorder, "cause_groups", counting)
    return counted


def test_causes_are_computed_again_only_after_a_failure_changed(monkeypatch):
    counted = computations(monkeypatch)
    recorder, targets = a_fleet(3)
    steps = [ok(Step.GET_KEY, vault=VaultHeaders(region="West Europe"))]
    for at in (START, START + 60):
        probed(recorder, a_report("t2", ready=True, started_at=at))
        scrape(recorder)
    assert len(counted) == 0
    for number in range(RUN + 2):
        fail(recorder, targets[:1], at=START + 60 * number)
        scrape(recorder)
        scrape(recorder)
    assert len(counted) == RUN
    probed(recorder, a_report("t2", ready=True, steps=steps, started_at=START + 600))  # a region of one more vault
    scrape(recorder)
    assert len(counted) == RUN + 1


def test_a_scrape_that_ends_early_leaves_the_causes_to_the_next():
    recorder, targets = a_fleet(250)
    fail(recorder, targets)

    async def interrupted():
        refreshing = asyncio.create_task(recorder._failures.refresh())
        await asyncio.sleep(0)
        refreshing.cancel()
        await asyncio.gather(refreshing, return_exceptions=True)

    asyncio.run(interrupted())
    assert shown(recorder, TARGETS) == {("vault", "", "forbidden_firewall"): 250}


def test_a_target_that_recovers_during_a_scrape_has_no_cause():
    recorder, targets = a_fleet(250)
    fail(recorder, targets)

    async def recovering():
        refreshing = asyncio.create_task(recorder._failures.refresh())
        await asyncio.sleep(0)
        probed(recorder, a_report("t249", ready=True, started_at=START + 60))
        recorder.forget("t248")
        await refreshing
        return recorder._exposition.render(openmetrics=False)

    text = asyncio.run(recovering())
    assert len(series(text, CAUSE)) == 1
    assert not [key for key in series(text) if ("t249" in str(key) and key[0] in FAMILIES) or "t248" in str(key)]


async def calls_of_a_scrape(recorder):
    async with counted_calls() as found:
        async for _ in recorder.scrape(openmetrics=False):
            pass
    return found


@pytest.mark.parametrize("result", [FIREWALL, refused(), silent()], ids=lambda result: result.reason)
def test_no_part_of_a_scrape_holds_the_event_loop(result):
    recorder, targets = a_fleet(2000)
    fail(recorder, targets, result)
    assert max(asyncio.run(calls_of_a_scrape(recorder))) < MOST_CALLS
