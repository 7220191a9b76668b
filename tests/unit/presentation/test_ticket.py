"""The ticket of a failure as text: one for each team, bounded, without a secret."""

from dataclasses import replace

import pytest

from exporter.core.auxiliary import AuxiliaryKind
from exporter.core.known_secrets import KNOWN_SECRETS
from exporter.core.model import CredentialKind, Outcome, PeerCertificate, Step, StepResult, Vantage
from exporter.core.reasons import Reason
from exporter.core.tickets.team import TITLES
from exporter.presentation.incident import Extent, Incident, extent_of
from exporter.presentation.ticket import MOST_SERVERS, MOST_VAULTS, last_ticket, ticket_text
from exporter.state.history import History
from exporter.state.records import TargetRecord
from tests.support import factories
from tests.support.web_factories import STAGED, STARTED, auxiliary_result, bad, good, target
from tests.unit.core import promised

CLIENT = "66666666-7777-8888-9999-000000000000"
MOST_LINES = 72
# Words of the DBA and of the exporter's operator.
NOT_THEIRS = (
    "ekm-exporter",
    "ALTER ",
    "sys.",
    "ekm_",
    "interval",
    "the exporter",
    "configur",
    "the module",
    "restart",
    "this host",
)


def incident(report=None, **changes):
    return Incident(target=target(**changes), report=report or bad(client_id=CLIENT))


def text_of(given=None, extent=None):
    given = given or incident()
    return ticket_text(given, extent or extent_of(given), "mon1")


def section(text, title):
    return text.split(f"\n{title}\n")[1].split("\n\n")[0]


def promises():
    """Return a failed step for each reason, at the sign-in and at another step."""
    found = {}
    for table in vars(promised).values():
        for row in table if isinstance(table, tuple | list) else ():
            for step, facts in row.cases() if isinstance(row, promised.Promise) else ():
                found.setdefault((row.reason, step is Step.TOKEN), (step, row.code, facts))
    return [(reason, *rest) for (reason, _), rest in sorted(found.items())]


@pytest.mark.parametrize(
    "changes",
    [
        {"vault": f"contoso{domain}", "vantage": vantage}
        for domain in (".vault.azure.net", ".managedhsm.azure.net")
        for vantage in Vantage
    ],
    ids=["vault-central", "vault-sql", "hsm-central", "hsm-sql"],
)
@pytest.mark.parametrize(("reason", "step", "code", "facts"), promises())
def test_every_reason_has_a_whole_ticket_or_none(reason, step, code, facts, changes):
    seen = replace(
        facts, request_id="r-1", endpoint="contoso:443", client_id=CLIENT, credential_kind=CredentialKind.CLIENT_SECRET
    )
    failed = StepResult(step=step, outcome=Outcome.FAILED, code=code, reason=reason, facts=seen)
    given = incident(factories.a_report("contoso-key0", failed, ready=False), **changes)
    text = text_of(given)
    if given.team is None:
        assert text == ""
        assert given.why_no_team.startswith("No other team repairs this, but the ")
        return
    assert text.startswith(f"To: {TITLES[given.team]}\nSubject: ")
    titles = (
        "What fails",
        "What depends on it",
        "Since",
        "Evidence",
        "What to do",
        "How you see that it works",
        "How the DBA sees it",
    )
    assert all(section(text, title) for title in titles)
    assert text.count("\n") <= MOST_LINES
    assert "`" not in text
    todo = section(text, "What to do")
    assert not [word for word in NOT_THEIRS if word in todo.replace('"ekm-exporter/"', "").replace('"ekm-exporter"', "")]
    assert "that caller" not in todo or "Row one is the caller" in todo.partition("that caller")[0]


def test_identity_ticket_names_application_and_evidence():
    text = text_of()
    assert f"Subject: application {CLIENT}: the client secret has expired\n" in text
    assert "SQL Servers (2): SQLPRD01, SQLPRD02" in section(text, "What depends on it")
    assert "At a restart: databases stay in RECOVERY PENDING." in text
    evidence = section(text, "Evidence")
    for line in ("HTTP status     401", "Entra error     AADSTS7000222", "request id      r-1", f"client id       {CLIENT}"):
        assert line in evidence
    assert f"az ad app credential reset --id {CLIENT} --append" in section(text, "What to do")
    assert "never in a ticket" in section(text, "How the DBA sees it")
    assert "runs every 1m" in section(text, "How the DBA sees it")


def test_vault_ticket_names_the_refused_caller():
    facts = {"client_address": "203.0.113.7", "object_id": "0b1ec7", "inner_code": "ForbiddenByFirewall"}
    blocked = bad(step=Step.GET_KEY, code=3077, reason=Reason.FORBIDDEN_FIREWALL, status=403, **facts)
    text = text_of(incident(blocked, vantage=Vantage.SQL_HOST))
    assert "client address  203.0.113.7" in text
    assert "object id       0b1ec7" in text
    assert "seen from       mon1, a SQL Server host" in text
    assert "az keyvault network-rule add --name contoso-prod --ip-address 203.0.113.7" in text
    assert "For the DBA's records: target contoso-key0, code 3077" in text


def test_words_that_only_the_team_knows_are_explained():
    text = text_of(incident(bad(step=Step.GET_KEY, code=3077, reason=Reason.FORBIDDEN_RBAC, status=403)))
    assert "OBJECT_ID       object id of the principal" in section(text, "Words in capitals")
    assert "Words in capitals" not in text_of()


def test_network_ticket_names_host_certificate_and_addresses():
    issuer = PeerCertificate(not_after=0.0, issuer="Contoso TLS inspection")
    cut = bad(step=Step.CHALLENGE, code=3008, reason=Reason.TLS_UNTRUSTED, status=None, certificate=issuer, proxy="proxy:3128")
    text = text_of(replace(incident(cut), addresses=("10.1.2.3", "10.1.2.4")))
    assert "certificate of  Contoso TLS inspection" in text
    assert "resolves to     10.1.2.3, 10.1.2.4" in text
    assert "proxy           proxy:3128" in text


def test_refusal_of_the_monitor_is_not_confirmed():
    blocked = bad(step=Step.GET_KEY, code=3077, reason=Reason.FORBIDDEN_FIREWALL, status=403, client_address="203.0.113.7")
    text = text_of(incident(blocked))
    assert "not confirmed from a SQL Server" in section(text, "What fails")
    assert "If the vault refuses SQL Server too:" in section(text, "What depends on it")
    assert "1. Does the vault refuse SQL Server too?" in section(text, "What to do")
    assert "--ip-address ADDRESS" in section(text, "What to do")
    assert "not confirmed" not in text_of(incident(blocked, vantage=Vantage.SQL_HOST))


def test_throttled_vault_has_the_query_of_its_callers():
    text = text_of(incident(bad(step=Step.GET_KEY, code=3011, reason=Reason.THROTTLED, status=429)))
    todo = section(text, "What to do")
    assert 'KQL         let vault = "contoso-prod.vault.azure.net"; ' in todo
    assert "AzureDiagnostics" in todo
    assert "//" not in todo.replace("https://", "")
    assert "az account set --subscription SUBSCRIPTION" in todo
    assert "SUBSCRIPTION" in section(text, "Words in capitals")


def test_ticket_of_microsoft_requests_support():
    text = text_of(incident(bad(step=Step.GET_KEY, code=3013, reason=Reason.SERVER_ERROR, status=500)))
    assert text.startswith("To: Microsoft's support\n")
    assert "Open a support request with the request ids and times" in section(text, "What to do")


def test_beginning_is_named_if_known():
    assert "observed at 2026-01-02T03:04:05.678Z; when it began is not known" in section(text_of(), "Since")
    assert section(text_of(extent=Extent(since=STARTED)), "Since") == "  2026-01-02T03:04:05.678Z"


def test_target_without_sql_servers_names_its_credential():
    assert "SQL Servers that use the credential sql-prod" in text_of(incident(instances=()))


def test_refused_wrap_names_what_it_stops():
    failed = bad(step=Step.WRAP_KEY, code=3077, reason=Reason.FORBIDDEN_RBAC, status=403, ready=True)
    assert "No key can be created or rotated." in section(text_of(incident(failed)), "What depends on it")


def test_unsteady_target_names_its_course():
    failed = StepResult(step=Step.CHALLENGE, outcome=Outcome.FAILED, code=3008, reason=Reason.CONNECT_TIMEOUT)
    given = Incident(target=target(), report=good(), other=failed)
    text = text_of(given, Extent(note="unsteady: 3008 in 4 of the last 20 probes"))
    assert "Unsteady: 3008 in 4 of the last 20 probes." in section(text, "What fails")
    assert "fails again and again" in section(text, "What depends on it")


def test_many_vaults_and_servers_are_bounded():
    facts = {"client_address": "203.0.113.7", "status": 403}
    blocked = bad(step=Step.GET_KEY, code=3077, reason=Reason.FORBIDDEN_FIREWALL, **facts)
    first, *others = (
        incident(blocked, vault=f"v{number}.vault.azure.net", vantage=Vantage.SQL_HOST) for number in range(MOST_VAULTS)
    )
    servers = [f"PROD on n{number}" for number in range(100)]
    text = text_of(first, Extent(servers=servers, others=others, vaults=60))
    assert "Subject: 60 key vaults: the vault's firewall blocks this address" in text
    assert "and 20 more." in section(text, "What fails")
    assert f"and {100 - MOST_SERVERS} more" in section(text, "What depends on it")
    assert "for vault in v0 v1 " in text
    assert text.count("\n") <= MOST_LINES
    assert len(text) < 10_000


def test_known_secret_is_hidden():
    KNOWN_SECRETS.remember("Tr0ub4dor-and-3-horses")
    text = text_of(incident(bad(detail="sent Tr0ub4dor-and-3-horses here", reason=Reason.CREDENTIALS_REFUSED)))
    assert "detail          sent <secret> here" in text


def test_usable_staged_credential_needs_no_team():
    record = TargetRecord(target(next_credential=STAGED), History(1))
    record.add_auxiliary(auxiliary_result(AuxiliaryKind.NEXT))
    given = Incident(target=record.target, report=bad(), record=record)
    assert given.team is None
    assert given.why_no_team == f"The staged credential {STAGED} is usable: the DBA can use it."


def test_success_has_no_ticket():
    given = incident(good())
    assert text_of(given) == ""
    assert given.actions == ()
    assert given.why_no_team == "No step failed."


def test_last_ticket_is_that_of_the_last_probe():
    record = TargetRecord(target(), History(1))
    assert last_ticket(target(), None, "mon1") == ""
    assert last_ticket(target(), record, "mon1") == ""
    record.add_report(bad(proxy="10.0.0.1:3128"))
    assert "proxy           10.0.0.1:3128" in last_ticket(target(), record, "mon1")
    assert "proxy           hidden" in last_ticket(target(), record, "mon1", mask_proxy=lambda _proxy: "hidden")
