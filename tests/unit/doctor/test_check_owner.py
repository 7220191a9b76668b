"""Each failure of a step is reported by exactly one check."""

import dataclasses
import re
from pathlib import Path

import pytest

from exporter.config.settings import Credential, Module
from exporter.core.values import Challenge, CredentialKind, Facts, Fault, Generation, Outcome, Readiness, Step, VaultHeaders
from exporter.doctor.evidence import Endpoint, Evidence, SecretEvidence
from exporter.doctor.run import assess_all
from exporter.knowledge.checks import BY_NAME, CHECKS, owner_of
from exporter.knowledge.checks_host import SQL
from exporter.knowledge.checks_vault import CheckOutcome
from exporter.knowledge.code_row import DO_NOT_RESTART
from exporter.knowledge.reasons import Reason
from exporter.knowledge.report import ProbeReport, StepResult
from exporter.presentation.text import recommended_actions
from tests.support.doctor_simulated import CLIENT, ENTRA, TARGET, VAULT

PROBE = "ekm-exporter probe contoso-key0 --config.file /etc/ekm.yml"
NAME = re.compile(r"(?<![A-Z] )\b(VAULT|KEY|TARGET|HOST|PROXY|CLIENT_ID|OBJECT_ID|SECRET_FILE|VERSION|NUMBER)\b")
FINE = Facts(status=404, fault=Fault.HTTP_STATUS, server_time=1.8e9, vault=VaultHeaders(connection="public"))


def observed(step, reason, code):
    """Evidence of a probe that failed at one step; later steps were skipped."""
    steps = [
        StepResult(step=one, outcome=Outcome.OK, facts=Facts())
        if place < list(Step).index(step)
        else StepResult(step=one, outcome=Outcome.FAILED if one is step else Outcome.SKIPPED)
        for place, one in enumerate(Step)
    ]
    steps[list(Step).index(step)] = StepResult(step=step, outcome=Outcome.FAILED, code=code, reason=reason, facts=Facts())
    report = ProbeReport(
        target="t", started_at=1.8e9, duration=1.0, steps=tuple(steps), readiness=Readiness(ready=False, why="not_ready")
    )
    return Evidence(
        target=dataclasses.replace(TARGET, retained_versions=()),
        credential=Credential(name="sql-prod", kind=CredentialKind.CLIENT_SECRET),
        module=Module(name="default"),
        now=1.8e9,
        vault=Endpoint(host=VAULT, facts=FINE, addresses=("192.0.2.1",), skew=0.0),
        entra=Endpoint(host=ENTRA, facts=FINE, addresses=("192.0.2.2",), skew=0.0),
        report=report,
        secret=SecretEvidence(findings=()),
        challenge=None if step is Step.CHALLENGE else Challenge(authority="a", tenant="t", resource="r"),
    )


@pytest.mark.parametrize("step", list(Step))
def test_each_failure_is_reported_by_its_owner_with_its_code(step):
    for reason in Reason:
        evidence, owner = observed(step, reason, 3077), owner_of(step, reason)
        target = dataclasses.replace(evidence.target, generation=Generation.CURRENT)
        results = {result.check: result for result in assess_all(dataclasses.replace(evidence, target=target), again="again")}
        reported = {name for name, result in results.items() if result.outcome in (CheckOutcome.FAIL, CheckOutcome.WARN)}
        assert reported == {owner}, reason
        assert results[owner].code == (None if owner == "secret" else 3113), reason


def plain(texts):
    """The letters of actions or lines: without backticks, points and line breaks."""
    return re.sub(r"[`:.\s]", "", " ".join(texts).replace(f"from `{PROBE}`", "below"))


# Only a sign-in has advice by kind. A managed identity has the most.
OF_SIGN_IN = [(Step.TOKEN, kind) for kind in CredentialKind]
OF_OTHERS = [(step, CredentialKind.MANAGED_IDENTITY) for step in Step if step is not Step.TOKEN]


@pytest.mark.parametrize(("step", "kind"), [*OF_SIGN_IN, *OF_OTHERS])
def test_fix_has_the_actions_and_names_of_page_and_probe(step, kind):
    facts = Facts(
        credential_kind=kind,
        client_id=CLIENT,
        aadsts=700030,
        object_id="0a1b",
        client_address="203.0.113.7",
        endpoint=ENTRA if step is Step.TOKEN else VAULT,
        secret_file="/etc/secret",
        proxy="proxy.example:3128",
    )
    for reason in Reason:
        given = observed(step, reason, 2050 if reason is Reason.SECRET_TOO_SHORT else 3077)
        steps = tuple(dataclasses.replace(each, facts=facts) if each.facts else each for each in given.report.steps)
        report = dataclasses.replace(given.report, steps=steps)
        target = dataclasses.replace(given.target, config_file=Path("/etc/ekm.yml"))
        credential = dataclasses.replace(given.credential, kind=kind)
        evidence = dataclasses.replace(given, report=report, credential=credential, target=target)
        results = {result.check: result for result in assess_all(evidence, again=PROBE)}
        fix = results[owner_of(step, reason)].fix
        page = [
            each
            for each in recommended_actions(target, report)
            if each not in (DO_NOT_RESTART, f"Then repeat the probe: `{PROBE}`.")
        ]
        assert fix, reason
        assert plain(fix) == plain(page), reason
        commands = [line for line in fix if line.startswith("  ")]
        assert [line for line in commands if NAME.search(line)] == [], reason


def test_owners_are_checks():
    assert {owner_of(step, reason) for step in Step for reason in (None, *Reason)} <= set(BY_NAME)


def test_checks_follow_those_that_they_need():
    before = set()
    for check in CHECKS:
        assert set(check.needs) <= before, check.name
        before.add(check.name)


def test_titles_fit_their_column():
    assert [check.title for check in BY_NAME.values() if len(check.title) > 27] == []
    assert len(BY_NAME) == len((*CHECKS, *SQL))
