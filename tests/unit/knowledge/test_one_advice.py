"""One advice per reason: page, `probe`, ticket, `doctor`, label and `explain` begin with the same action, and nothing edits it."""

import re
from itertools import chain, product
from pathlib import Path

import pytest

from exporter.core.values import CredentialKind, Facts, Fault, Outcome, Step, Vantage
from exporter.explain.numbers import explain_reason
from exporter.knowledge.advice import LINE_LIMIT, NOBODY, action_line, advise
from exporter.knowledge.checks import BY_NAME, action_lines, check_actions, check_of
from exporter.knowledge.checks_vault import CheckOutcome
from exporter.knowledge.classify import classify
from exporter.knowledge.code_row import reader_of
from exporter.knowledge.codes import BY_CODE, CODES
from exporter.knowledge.names import Names
from exporter.knowledge.reasons import Reason
from exporter.knowledge.report import StepResult
from exporter.knowledge.tickets import TEAMS, Team, team_of, team_steps
from exporter.presentation.diagnosis import Diagnosis
from exporter.presentation.text import transcript
from exporter.presentation.ticket import extent_of, ticket_text
from tests.support import factories
from tests.support.values import replace
from tests.support.web_factories import target
from tests.unit.knowledge import promised

EXPORTER = Path("exporter")
VAULTS = ("contoso.vault.azure.net", "contoso.managedhsm.azure.net")


def plain(text):
    """Return what a reader sees of an action, however it is laid out."""
    return " ".join(re.sub(r"[`:.,]", " ", text).split())


def failures():
    """Return a failed step for each reason, at the sign-in and at another step."""
    found = {}
    for table in vars(promised).values():
        for row in table if isinstance(table, tuple | list) else ():
            for step, facts in row.cases() if isinstance(row, promised.Promise) else ():
                found.setdefault((row.reason, step is Step.TOKEN), (step, row.code, facts))
    return [pytest.param(reason, *rest, id=f"{reason}-{rest[0].value}") for (reason, _), rest in sorted(found.items())]


def command_of(text):
    return text.partition("`")[2].partition("`")[0]


@pytest.mark.parametrize(("reason", "step", "code", "facts"), failures())
def test_every_place_begins_with_the_same_action(reason, step, code, facts):
    for kind, vault, vantage in product(CredentialKind, VAULTS, Vantage):
        seen = replace(facts, endpoint="login.example:443", client_id="6666", credential_kind=kind)
        failed = StepResult(step=step, outcome=Outcome.FAILED, code=code, reason=reason, facts=seen)
        report, own = factories.a_report("contoso-key0", failed, ready=False), target(vault=vault, vantage=vantage)
        subject = Diagnosis(target=own, report=report)
        page = Diagnosis(own, report).advice().actions[0]
        printed = transcript(own, report, vantage=vantage).partition("\ndo ")[2]
        assert " ".join(printed.split()).startswith(" ".join(page.split()))
        line = action_line(code, reason, replace(subject.names, object_id=None), step=step)
        assert plain(line.partition("... All of it")[0]).startswith(plain(page.partition("`")[0])[:200])
        assert len(line) <= LINE_LIMIT
        check = BY_NAME[check_of(step, reason)]
        fix = action_lines(
            check_actions(check, CheckOutcome.FAIL, subject.names, code=code, reason=reason, step=step),
            subject.names,
            reason=reason,
        )
        assert plain(" ".join(fix)).startswith(plain(page))
        if subject.team is None:
            continue
        assert reader_of(page) is None or TEAMS.get(reader_of(page)) is subject.team, "its ticket has no such step"
        (first, *_) = team_steps(subject.team, subject.advice().actions, "contoso")
        words = plain(" ".join((first.text, *(line for _, line in first.lines))))
        assert words.startswith(plain(page.partition("`")[0]))
        assert plain(first.text) in plain(ticket_text(subject, extent_of(subject), "mon1").partition("\n  1 ")[2] or first.text)


@pytest.mark.parametrize(("reason", "step", "code", "facts"), failures())
def test_explain_begins_with_the_action_of_a_central_exporter(reason, step, code, facts):
    if step is Step.TOKEN or facts.client_address:
        return
    failed = StepResult(step=step, outcome=Outcome.FAILED, code=code, reason=reason, facts=facts)
    explained = explain_reason(reason, codes=(code,)).actions[0]
    assert explained == advise(failed, NOBODY, ready=False).actions[0]
    assert explained.partition("`")[0] == advise(failed, NAMES, ready=False).actions[0].partition("`")[0]


NAMES = Names(target="t", vault="contoso.vault.azure.net", key="K", version="1", client_id="6666")


def test_sign_in_has_its_own_first_action_in_explain():
    assert explain_reason(Reason.SECRET_EXPIRED).actions[0].startswith("Create a new secret")
    (first, *_) = explain_reason(Reason.SIGN_IN_REFUSED, number=700099).actions
    assert "`https://login.microsoftonline.com/error?code=700099`" in first


EDITS = re.compile(r"\b(?:actions?|texts?|advice|each|what|words)(?:\[\d\])?\.(?:replace\((?!.`)|removesuffix|removeprefix)")
READERS = (
    *(
        "knowledge/advice",
        "knowledge/checks",
        "knowledge/tickets",
        "presentation/text",
        "presentation/ticket",
        "presentation/payloads",
    ),
    *(
        "web/pages/causes",
        "web/pages/status",
        "web/pages/target",
        "web/pages/views",
        "doctor/run",
        "explain/numbers",
        "metrics/recorder",
    ),
)


def test_no_module_edits_the_words_of_an_action():
    """Only names are filled in, and only backquotes are left out. In a ticket, names of several vaults are told apart."""
    found = [
        (name, line)
        for name in READERS
        for line in (EXPORTER / f"{name}.py").read_text("utf-8").split("\n")
        if EDITS.search(line)
    ]
    assert [name for name, line in found if "_MARK" not in line and "_MASKED_ADDRESS" not in line] == []


def of_reason(row):
    """Return all actions of a reason."""
    return (*row.actions, *row.on_hsm, *row.if_private, *row.if_page, *row.at_sign_in.actions, *chain(*row.by_kind.values()))


EVERY = [
    *(text for row in CODES for text in row.actions),
    *(text for reason in Reason for text in of_reason(reason.row)),
    *(text for check in BY_NAME.values() for text in (*check.actions, *check.on_hsm, *check.of_certificate)),
]


def test_action_without_its_command_is_a_sentence():
    """A ticket shows a command below its sentence, so no condition ends at the colon."""
    for text in EVERY:
        assert not re.search(r"(?:^|[.] )(?:If|For|With|Without) [^,:.]*: `", text), text
        assert "ALTER CREDENTIAL" not in text


def test_reasons_name_no_place_that_only_one_reader_knows():
    for row in (reason.row for reason in Reason):
        for text in (row.text, row.at_sign_in.text, row.one_change, *of_reason(row)):
            assert not re.search(r"(?<!known )\bhere\b|\bthis (?:host|network|exporter|address)\b", text), text


@pytest.mark.parametrize(
    ("step", "facts", "reason", "owner", "begins"),
    [
        (Step.TOKEN, Facts(fault=Fault.HTTP_STATUS, status=401, has_page=True), "answer_not_json", "network", "Show the response, on the probe's host and from another network: `curl -i https://contoso.vault.azure.net/common/v2.0"),
        (Step.GET_KEY, Facts(fault=Fault.HTTP_STATUS, status=403, has_page=True), "answer_not_json", "network", "Show the response, on the probe's host and from another network: `curl -i https://contoso.vault.azure.net/keys?api"),
        (Step.TOKEN, Facts(fault=Fault.HTTP_STATUS, status=401, aadsts=7000222), "secret_expired", "identity", "Create a new secret"),
        (Step.TOKEN, Facts(fault=Fault.HTTP_STATUS, status=400, aadsts=700016), "application_unknown", "identity", "Check that the application exists"),
        (Step.GET_KEY, Facts(fault=Fault.HTTP_STATUS, status=403, inner_code="ForbiddenByRbac"), "forbidden_rbac", "vault", "Assign the role on the key"),
        (Step.GET_KEY, Facts(fault=Fault.HTTP_STATUS, status=403, inner_code="ForbiddenByPolicy"), "forbidden_policy", "vault", "Show the present permissions"),
        (Step.GET_KEY, Facts(fault=Fault.HTTP_STATUS, status=403, inner_code="ForbiddenByFirewall"), "forbidden_firewall", "vault", "On each SQL Server host, see whether"),
        (Step.GET_KEY, Facts(fault=Fault.HTTP_STATUS, status=403, inner_code="KeyDisabled"), "key_disabled", "vault", "Enable the key version"),
        (Step.CHALLENGE, Facts(fault=Fault.DNS_NOT_FOUND), "dns_not_found", "network", "List deleted vaults per subscription: `az keyvault list-deleted`. If it is there, forward this to the vault team"),
        (Step.GET_KEY, Facts(fault=Fault.HTTP_STATUS, status=429), "throttled", "vault", "Who calls?"),
        (Step.GET_KEY, Facts(fault=Fault.HTTP_STATUS, status=502), "server_error", "vault", "Check Azure's status page"),
        (Step.GET_KEY, Facts(fault=Fault.HTTP_STATUS, status=502, has_page=True), "server_error", "network", "Show the connection and its response"),
        (Step.TOKEN, Facts(fault=Fault.HTTP_STATUS, status=502, has_page=True), "entra_unavailable", "network", "Show the connection and its response"),
    ],
)  # fmt: skip
def test_reasons_have_the_first_step_that_repairs_them(step, facts, reason, owner, begins):
    found = classify(step, facts)
    assert found.reason == reason
    failed = StepResult(step=step, outcome=Outcome.FAILED, code=found.code, reason=found.reason, facts=facts)
    advice = advise(failed, replace(NAMES, has_page=facts.has_page), ready=False)
    assert advice.actions[0].startswith(begins)
    assert advice.owner == owner
    if facts.has_page:
        assert team_of(failed, BY_CODE[found.code].owner) is Team.NETWORK
    assert advice.means == BY_CODE[found.code].effect
    assert advice.happened.endswith(".")


@pytest.mark.parametrize("reason", ["forbidden_rbac", "forbidden_policy", "forbidden_firewall", "key_disabled", "key_expired"])
def test_runbook_begins_the_repair_of_a_reason_as_its_advice(reason):
    fix = Path("alerts/runbooks/EkmForbiddenSpike.md").read_text("utf-8").partition("## Fix")[2]
    (line,) = [each for each in re.split(r"\n\d\. ", fix) if f"`{reason}`" in each.partition(":")[0]]
    sentence, _, command = Reason(reason).row.actions[0].partition("`")
    names = " ".join(command.partition(" --")[0].split()[:5])
    words = re.split(r"[:,]", sentence)[0].removesuffix(" on the key").removesuffix(" the key version")
    assert words.lower() in " ".join(line.split()).lower() or names in line
