"""Advice that does not contradict itself, on the page of a target and in the command `probe`."""

import time
from pathlib import Path

import pytest

from exporter.core.values import CredentialKind, Readiness, Step, Vantage
from exporter.knowledge.code_row import DO_NOT_RESTART, SET_ONLINE, WRITE_SECRET
from exporter.knowledge.reasons import Reason
from exporter.knowledge.verdict import AuxiliaryKind, deciding_failure
from exporter.presentation import text
from exporter.presentation.diagnosis import Diagnosis
from exporter.presentation.text import transcript
from exporter.state.history import History
from exporter.state.record import TargetRecord
from tests.support.values import replace
from tests.support.web_factories import (
    STAGED,
    STARTED,
    auxiliary_result,
    bad,
    fully_declared,
    fully_declared_config,
    good,
    refused_auxiliary,
    wrap_and_unwrap_failed,
)
from tests.support.web_server import Service, get, serving, words

CLIENT = "66666666-7777-8888-9999-000000000000"
TARGET = fully_declared(config_file=Path("/etc/ekm exporter/ekm.yml"))


def record_of(report, *results, target=TARGET):
    record = TargetRecord(target, History(1))
    record.add_report(report)
    for result in results:
        record.add_auxiliary(result)
    return record


def auxiliary_advice(record, target=TARGET):
    results = text.auxiliary_results(target, record, now=STARTED)
    return {identity[0]: advice for identity, _, advice in text.auxiliary_actions(target, record, results)}


@pytest.mark.parametrize("reason", [Reason.SECRET_EXPIRED, Reason.SECRET_WRONG, Reason.CREDENTIALS_REFUSED])
def test_refused_staged_credential_is_not_given_to_sql_server(reason):
    record = record_of(good(), refused_auxiliary(AuxiliaryKind.NEXT, reason=reason))
    advice = " ".join(auxiliary_advice(record)[AuxiliaryKind.NEXT])
    assert advice.startswith("Do not give it to SQL Server yet.")
    assert "az ad app credential" in advice
    assert "alter-credential" not in advice
    assert "restart" not in advice


def test_proven_staged_credential_replaces_an_expired_one():
    report = bad()
    record = record_of(report, auxiliary_result(AuxiliaryKind.NEXT))
    advice = Diagnosis(TARGET, report, record).advice().actions
    assert advice[0].startswith(f"The staged credential {STAGED} is usable.")
    assert advice[0].endswith(WRITE_SECRET[0])
    assert advice[1] == WRITE_SECRET[1]
    assert f"`credential: {STAGED}`" in advice[2]
    assert "credential reset" not in " ".join(advice)
    assert "restart the SQL Server service" not in " ".join(advice)
    assert advice[-2:] == (DO_NOT_RESTART, SET_ONLINE)
    assert "staged credential" in transcript(TARGET, report, vantage=Vantage.CENTRAL, record=record)


def test_proven_staged_certificate_is_not_given_to_sql_server():
    report = bad()
    signed = tuple(
        replace(each, facts=replace(each.facts, credential_kind=CredentialKind.CLIENT_CERTIFICATE)) if each.facts else each
        for each in report.steps
    )
    report = replace(report, steps=signed)
    advice = Diagnosis(TARGET, report, record_of(report, auxiliary_result(AuxiliaryKind.NEXT))).advice().actions
    assert advice[0].startswith(f"The staged credential {STAGED} is usable. In the configuration, set")
    assert "SECRET" not in " ".join(advice)
    assert "restart" not in " ".join(advice)


@pytest.mark.parametrize("usable", [False, None])
def test_unproven_staged_credential_is_no_replacement(usable):
    report = bad()
    record = record_of(report, refused_auxiliary(AuxiliaryKind.NEXT, usable=usable))
    assert Diagnosis(TARGET, report, record).advice().actions == Diagnosis(TARGET, report).advice().actions
    assert "credential reset" in " ".join(Diagnosis(TARGET, report, record).advice().actions)


def test_one_cause_has_its_actions_once():
    record = record_of(
        bad(),
        refused_auxiliary(AuxiliaryKind.NEXT),
        refused_auxiliary(AuxiliaryKind.RETAINED),
        refused_auxiliary(AuxiliaryKind.RECOVERY, step=Step.GET_KEY, code=3076, reason=Reason.KEY_NOT_FOUND),
    )
    advice = auxiliary_advice(record)
    assert advice[AuxiliaryKind.RETAINED] == (
        "Backups that need this key version could not be restored.",
        "The cause and its actions are stated above.",
    )
    assert len(advice[AuxiliaryKind.NEXT]) > 2  # another credential, so another cause
    assert "The cause and its actions are stated above." not in advice[AuxiliaryKind.RECOVERY]


def test_disabled_versions_are_two_causes():
    disabled = {"step": Step.UNWRAP_KEY, "code": 3077, "reason": Reason.KEY_DISABLED}
    record = record_of(bad(**disabled), refused_auxiliary(AuxiliaryKind.RETAINED, **disabled))
    assert "az keyvault key set-attributes" in " ".join(auxiliary_advice(record)[AuxiliaryKind.RETAINED])


def test_failed_unwrap_decides_before_a_failed_wrap():
    report = wrap_and_unwrap_failed()
    assert deciding_failure(report).step is Step.UNWRAP_KEY
    ready = replace(report, readiness=Readiness(ready=None, why="stale"))
    assert deciding_failure(ready).step is Step.WRAP_KEY
    assert deciding_failure(good()) is None
    assert "--enabled true" in Diagnosis(TARGET, report).advice().actions[0]


async def pages_of(report, *auxiliary):
    """The words of the overview and of the page of the target."""
    service = Service(fully_declared_config())
    service.add_reports(report)
    for each in auxiliary:
        service.add_auxiliary(each)
    async with serving(service) as session:
        return [words((await get(session, path))[2]) for path in ("/", "/targets/contoso-key0")]


async def test_state_and_cause_of_a_row_name_the_same_step():
    overview, page = await pages_of(wrap_and_unwrap_failed())
    assert "the key version is disabled 3077 (3113) in step unwrap_key" in overview
    assert "step wrap_key" not in overview
    assert "Step unwrap_key: The key version is disabled." in page


async def test_banner_and_firewall_row_do_not_contradict():
    blocked = bad(step=Step.GET_KEY, code=3077, reason=Reason.FORBIDDEN_FIREWALL, started_at=time.time())
    overview, _ = await pages_of(blocked)
    assert "2 of 2 SQL Servers: vault side not ready" in overview
    assert "whether the vault refuses it too" in overview
    assert "danger" not in overview
    assert "at risk" not in overview


SENTENCE = "The caller is blocked by a rule that has no code yet"


async def test_generic_refusal_shows_the_sentence_of_the_vault():
    report = bad(step=Step.GET_KEY, code=3077, reason=Reason.FORBIDDEN, detail=SENTENCE, status=403, aadsts=None)
    kept = refused_auxiliary(AuxiliaryKind.RETAINED, step=Step.GET_KEY, code=3077, reason=Reason.FORBIDDEN, detail=SENTENCE)
    overview, page = await pages_of(report, kept)
    assert SENTENCE in overview
    assert f"Detail: {SENTENCE}" in page
    assert f"reason forbidden: {SENTENCE}" in page
    assert SENTENCE in transcript(TARGET, report, vantage=Vantage.CENTRAL)


async def test_specific_refusal_shows_no_sentence_in_a_row():
    overview, _ = await pages_of(bad(detail=SENTENCE))
    assert SENTENCE not in overview


def test_commands_have_the_names_that_the_configuration_knows():
    report = bad()
    token = replace(report.step(Step.TOKEN), facts=replace(report.step(Step.TOKEN).facts, client_id=CLIENT))
    report = replace(report, steps=tuple(token if each.step is Step.TOKEN else each for each in report.steps))
    advice = " ".join(Diagnosis(TARGET, report).advice().actions)
    assert f"az ad app credential reset --id {CLIENT} --append" in advice
    assert 'ekm-exporter probe contoso-key0 --config.file "/etc/ekm exporter/ekm.yml"' in advice
    assert "CLIENT_ID" not in advice
    assert "FILE" not in advice


def test_advice_without_a_configuration_file_has_no_paths():
    report = bad(code=3001, reason=Reason.SECRET_UNREADABLE, secret_file="/etc/ekm/secret")
    assert "/etc/ekm/secret" in " ".join(Diagnosis(TARGET, report).advice().actions)
    advice = " ".join(Diagnosis(replace(TARGET, config_file=None), report).advice().actions)
    assert "/etc/" not in advice
    assert "--config.file FILE" in advice


@pytest.mark.parametrize(
    ("step", "reason", "command"),
    [
        (Step.TOKEN, Reason.DNS_NOT_FOUND, "Resolve-DnsName login.microsoftonline.us"),
        (Step.CHALLENGE, Reason.PROXY_INVALID, "curl -v -p -x http://proxy.example:3128 https://login.microsoftonline.us"),
    ],
)
def test_commands_have_the_host_and_the_proxy_of_the_failed_step(step, reason, command):
    report = bad(step=step, code=3900, reason=reason)
    failure = deciding_failure(report)
    requested = replace(failure.facts, endpoint="login.microsoftonline.us:443", proxy="proxy.example:3128")
    steps = tuple(replace(each, facts=requested) if each is failure else each for each in report.steps)
    assert f"`{command}`" in " ".join(Diagnosis(TARGET, replace(report, steps=steps)).advice().actions)
