"""The ticket of a failure as text: one for each team, bounded, without a secret."""

import pytest

from exporter.core.secrets import KNOWN_SECRETS
from exporter.core.values import CredentialKind, Outcome, PeerCertificate, Step, Vantage
from exporter.knowledge.code_row import CONFIRM
from exporter.knowledge.names import fill_names
from exporter.knowledge.reasons import Reason
from exporter.knowledge.report import StepResult
from exporter.knowledge.tickets import TEAM_TITLES
from exporter.knowledge.verdict import AuxiliaryKind
from exporter.presentation.diagnosis import Diagnosis, diagnose
from exporter.presentation.ticket import (
    MOST_NAMED,
    MOST_SERVERS,
    Extent,
    extent_of,
    last_ticket,
    ticket_text,
)
from exporter.sqlserver.proof import server_proofs
from exporter.state.history import History
from exporter.state.record import TargetRecord
from exporter.state.store import StateStore
from tests.support import factories
from tests.support.sql_readings import a_reading, unix
from tests.support.values import replace
from tests.support.web_factories import STAGED, STARTED, auxiliary_result, bad, good, target
from tests.unit.knowledge import promised

CLIENT = "66666666-7777-8888-9999-000000000000"
MOST_LINES = 73
# Words of the DBA and of the exporter's operator.
NOT_THEIRS = (
    "ekm-exporter", "ALTER ", "sys.", "ekm_", "interval", "the exporter", "configur", "the module", "restart", "this host",
)  # fmt: skip


def a_subject(report=None, **changes):
    return Diagnosis(target=target(**changes), report=report or bad(client_id=CLIENT))


def text_of(given=None, extent=None):
    given = given or a_subject()
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
    given = a_subject(factories.a_report("contoso-key0", failed, ready=False), **changes)
    text = text_of(given)
    if given.team is None:
        assert text == ""
        assert given.why_no_team.startswith("No other team repairs this, but the ")
        return
    assert text.startswith(f"To: {TEAM_TITLES[given.team]}\nSubject: ")
    titles = (
        "What fails", "What depends on it", "Since", "Evidence", "What to do", "How you see that it works",
        "How the DBA sees it",
    )  # fmt: skip
    assert all(section(text, title) for title in titles)
    assert text.count("\n") <= MOST_LINES
    assert "`" not in text
    confirm = fill_names(CONFIRM[0], given.names).replace("`", "")
    todo = section(text, "What to do").replace("\n     ", " ").replace("openid-configuration", "").replace(confirm, "")
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
    text = text_of(a_subject(blocked, vantage=Vantage.SQL_HOST))
    assert "client address  203.0.113.7" in text
    assert "object id       0b1ec7" in text
    assert "seen from       mon1, a SQL Server host" in text
    assert "az keyvault network-rule add --name contoso-prod --ip-address 203.0.113.7" in text
    assert "For the DBA's records: target contoso-key0, code 3077" in text


def test_words_that_only_the_team_knows_are_explained():
    text = text_of(a_subject(bad(step=Step.GET_KEY, code=3077, reason=Reason.FORBIDDEN_RBAC, status=403)))
    assert "OBJECT_ID       object id of the principal" in section(text, "Words in capitals")
    assert "Words in capitals" not in text_of()


def test_network_ticket_names_host_certificate_and_addresses():
    issuer = PeerCertificate(not_after=0.0, issuer="Contoso TLS inspection")
    cut = bad(step=Step.CHALLENGE, code=3008, reason=Reason.TLS_UNTRUSTED, status=None, certificate=issuer, proxy="proxy:3128")
    text = text_of(replace(a_subject(cut), addresses=("10.1.2.3", "10.1.2.4")))
    assert "certificate of  Contoso TLS inspection" in text
    assert "resolves to     10.1.2.3, 10.1.2.4" in text
    assert "proxy           proxy:3128" in text
    assert "connection      from mon1 to proxy:3128\n" in text
    direct = bad(step=Step.CHALLENGE, code=3008, reason=Reason.CONNECT_TIMEOUT, status=None)
    assert "to 10.1.2.3:443 (contoso)" in text_of(replace(a_subject(direct), addresses=("10.1.2.3",)))


def test_refusal_of_the_monitor_is_not_confirmed():
    blocked = bad(step=Step.GET_KEY, code=3077, reason=Reason.FORBIDDEN_FIREWALL, status=403, client_address="203.0.113.7")
    text = text_of(a_subject(blocked))
    assert "not confirmed from a SQL Server" in section(text, "What fails")
    assert "If the vault refuses SQL Server too:" in section(text, "What depends on it")
    assert "1. On each SQL Server host, see whether the vault refuses it too," in section(text, "What to do")
    assert "--ip-address ADDRESS" in section(text, "What to do")
    assert "not confirmed" not in text_of(a_subject(blocked, vantage=Vantage.SQL_HOST))


@pytest.mark.parametrize("reason", [Reason.FORBIDDEN_FIREWALL, Reason.FORBIDDEN_CONNECTION, Reason.FORBIDDEN_RBAC])
def test_refusals_by_one_change_undo_it_first(reason):
    refused = bad(step=Step.GET_KEY, code=3077, reason=reason, status=403)
    several = (a_subject(refused, name=name, vault=f"{vault}.vault.azure.net") for name, vault in (("pay", "v1"), ("hr", "v2")))
    todo = section(of_several(*several), "What to do")
    assert "Only for" not in todo
    assert "\n  1. Undo the change that the activity log shows." in todo
    shell = '"$(az keyvault show --name v1 --query id --output tsv)"'
    assert f" az monitor activity-log list --resource-id {shell} --offset 6h\n" in todo
    assert "portal      Key vaults > v1 > Activity log\n     also for    v2\n" in todo
    on_hsm = a_subject(refused, vault="h1.managedhsm.azure.net")
    assert "Undo the change" not in text_of(on_hsm)


def test_other_failures_have_no_change_to_undo():
    assert "Undo the change" not in text_of()


def a_proof(code, first="19:10:00", last="19:50:00"):
    errors = [{"code": code, "lines": 2, "first_utc": f"2026-11-26T{first}", "last_utc": f"2026-11-26T{last}"}]
    return server_proofs(a_reading(sections={"errors": errors}))


REFUSED = {
    "step": Step.GET_KEY, "code": 3077, "reason": Reason.FORBIDDEN_FIREWALL, "status": 403, "client_address": "203.0.113.7",
}  # fmt: skip
BEGAN = unix("2026-11-26T19:30:00")


@pytest.mark.parametrize("code", ["3077", "3113"], ids=["the same", "its counterpart"])
def test_refusal_that_sql_server_logged_is_confirmed(code):
    text = text_of(replace(a_subject(bad(**REFUSED)), proofs=a_proof(code)), Extent(began=BEGAN))
    shown = f"SQL Server SQLPRD01 on n1 logged {code} itself since 2026-11-26T19:10:00Z."
    assert shown in section(text, "What fails").replace("\n  ", " ")
    assert "not confirmed" not in text
    assert "too:" not in section(text, "What depends on it")
    assert "Allow the public address of the SQL Server host" in text


@pytest.mark.parametrize(
    ("proofs", "began"),
    [(a_proof("3303"), BEGAN), (a_proof("3077"), BEGAN + 3600), ((), BEGAN)],
    ids=["another code", "an earlier failure", "nothing read"],
)
def test_other_lines_of_the_log_confirm_no_refusal(proofs, began):
    text = text_of(replace(a_subject(bad(**REFUSED)), proofs=proofs), Extent(began=began))
    assert "not confirmed from a SQL Server host" in section(text, "What fails")
    assert "whether the vault refuses it too" in text
    assert "logged" not in text


def test_vaults_without_a_logged_code_stay_unconfirmed():
    first, second = (a_subject(bad(**REFUSED), vault=f"{name}.vault.azure.net") for name in ("v1", "v2"))
    text = of_several(first, replace(second, proofs=a_proof("3077")), began=BEGAN)
    assert "Not confirmed for 1 more." in section(text, "What fails").replace("\n  ", " ")


def test_urgency_of_the_sql_servers_is_shown():
    text = text_of(extent=Extent(urgency="backups of SQLPRD01 fail since 19:10 UTC"))
    assert "\n  Backups of SQLPRD01 fail since 19:10 UTC.\n" in section(text, "What depends on it")


def test_different_causes_are_counted():
    reasons = [Reason.FORBIDDEN_FIREWALL] * 3 + [Reason.FORBIDDEN_CONNECTION, Reason.FORBIDDEN_RBAC]
    several = [a_subject(bad(**REFUSED | {"reason": each}), vault=f"v{n}.vault.azure.net") for n, each in enumerate(reasons)]
    text = of_several(*several)
    assert (
        "Subject: 5 key vaults: the vault's firewall blocks the probe's address (203.0.113.7, mon1), and 2 other causes\n" in text
    )
    counted = (
        "It also fails for others, in all 5 key vaults: v0, v1, v2, v3, v4. The causes differ. 3: the vault's firewall blocks the probe's address (203.0.113.7, mon1); 1: the vault only accepts private endpoints (203.0.113.7, mon1); "
        "1: no role of the application allows the operation."
    )
    assert counted in section(text, "What fails").replace("\n  ", " ")
    assert "The causes differ" not in of_several(*several[:3])
    assert ", and 1 other cause\n" in of_several(*several[:4])


def test_failure_that_another_team_repairs_is_not_in_the_ticket():
    untrusted = bad(step=Step.CHALLENGE, code=3008, reason=Reason.TLS_UNTRUSTED, status=None)
    text = of_several(a_subject(bad(**REFUSED)), a_subject(untrusted, name="hr", vault="of-the-network.vault.azure.net"))
    assert "of-the-network" not in text


def test_refused_certificate_names_its_issuer():
    refused = bad(
        step=Step.CHALLENGE, code=3008, reason=Reason.TLS_UNTRUSTED, status=None, refused_issuer="CN=Contoso Inspection"
    )
    text = text_of(a_subject(refused))
    assert "an authority that the probe's host does not trust (issuer CN=Contoso Inspection)\n" in text
    assert "issuer          CN=Contoso Inspection\n" in section(text, "Evidence")
    unknown = text_of(a_subject(bad(step=Step.CHALLENGE, code=3008, reason=Reason.TLS_UNTRUSTED, status=None)))
    assert "issuer          ekm-exporter doctor contoso-key0, run on mon1, shows it" in section(unknown, "Evidence")
    reset = text_of(a_subject(bad(step=Step.CHALLENGE, code=3008, reason=Reason.TLS_RESET, status=None)))
    assert "issuer " not in section(reset, "Evidence")


def test_throttled_vault_has_the_query_of_its_callers():
    text = text_of(a_subject(bad(step=Step.GET_KEY, code=3011, reason=Reason.THROTTLED, status=429)))
    todo = section(text, "What to do")
    assert 'Logs        let vault = "contoso-prod.vault.azure.net"; ' in todo
    assert "AzureDiagnostics" in todo
    assert "//" not in todo.replace("https://", "")
    assert "az account set --subscription SUBSCRIPTION" in todo
    assert "SUBSCRIPTION" in section(text, "Words in capitals")


def test_ticket_of_microsoft_requests_support():
    text = text_of(a_subject(bad(step=Step.GET_KEY, code=3013, reason=Reason.SERVER_ERROR, status=500)))
    assert text.startswith("To: Microsoft's support\n")
    assert "Open a support request with the request ids and times" in section(text, "What to do")


@pytest.mark.parametrize(
    ("reports", "since"),
    [
        ([bad()], "  before 2026-01-02T03:04:05Z, first observed then"),
        ([good(started_at=STARTED - 60), bad(), bad(started_at=STARTED + 60)], "  2026-01-02T03:04:05Z"),
    ],
    ids=["first observed", "after a success"],
)
def test_failure_has_a_beginning_after_a_success_only(reports, since):
    state = StateStore(history_limit=5)
    for made in reports:
        record = state.record(target(), made)
    assert section(last_ticket(target(), record, "mon1", now=made.started_at), "Since") == since


def test_beginnings_of_several_are_a_range():
    many = Extent(began=STARTED, last=STARTED + 90)
    assert section(text_of(extent=many), "Since") == "  2026-01-02T03:04:05Z to 2026-01-02T03:05:35Z, one after another"
    seen = replace(many, is_first_seen=True)
    assert "05Z (first observed then) to 2026" in section(text_of(extent=seen), "Since")
    assert section(text_of(extent=Extent(began=STARTED, last=STARTED + 9)), "Since") == "  2026-01-02T03:04:05Z"


def test_target_without_sql_servers_names_its_credential():
    assert "SQL Servers that use the credential sql-prod" in text_of(a_subject(instances=()))


def test_refused_wrap_names_what_it_stops():
    failed = bad(step=Step.WRAP_KEY, code=3077, reason=Reason.FORBIDDEN_RBAC, status=403, ready=True)
    assert "No key can be created or rotated." in section(text_of(a_subject(failed)), "What depends on it")


def unsteady_record(*, client="203.0.113.7", history=True):
    """A record of eight probes. Every second one failed, and the last one succeeded."""
    state = StateStore(history_limit=20)
    facts = {"status": 403, "aadsts": None, "client_address": client}
    for number in range(8):
        failed = bad(
            step=Step.GET_KEY, code=3077, reason=Reason.FORBIDDEN_FIREWALL, request_id=f"r-{number}", started_at=STARTED + number * 60, **facts
        )  # fmt: skip
        record = state.record(target(), good(started_at=failed.started_at) if number % 2 else failed)
    if not history:
        record.history = History(1)
    return record


def test_unsteady_target_has_the_evidence_of_its_last_failure():
    text = last_ticket(target(), unsteady_record(), "mon1", now=STARTED + 420)
    assert "Unsteady: 3077 in 4 of the last 8 probes." in section(text, "What fails")
    assert "fails again and again" in section(text, "What depends on it")
    evidence, at = section(text, "Evidence"), "time            2026-01-02T03:10:05.678Z"
    for line in (at, "HTTP status     403", "request id      r-6", "client address  203.0.113.7"):
        assert line in evidence
    assert section(text, "Since") == "  before 2026-01-02T03:04:05Z, first observed then"
    assert "shows after 40m: no failure among the next 40 probes." in section(text, "How the DBA sees it").replace("\n  ", " ")


def test_unsteady_target_after_a_restart_has_what_is_left():
    text = last_ticket(target(), unsteady_record(history=False), "mon1", now=STARTED + 420)
    evidence = section(text, "Evidence")
    for line in ("request id      r-6", "HTTP status     403", "time            2026-01-02T03:10:05.678Z"):
        assert line in evidence
    record = unsteady_record(history=False)
    record.last_failures = ()
    subject = diagnose(record.target, record, STARTED + 420)
    assert "the vault's firewall blocks the probe's address" in text_of(subject, Extent(began=STARTED))


def test_network_ticket_names_source_and_destination():
    facts = {"status": None, "endpoint": "contoso:443", "addresses": ("10.1.2.3", "fd00::7"), "local_address": "10.9.9.9"}
    detail = "Multiple exceptions: [Errno 111] Connect call failed ('<address>', 443), [Errno 101] Connect call failed ('<address>', 443)"
    refused = bad(step=Step.CHALLENGE, code=3008, reason=Reason.CONNECT_REFUSED, detail=detail, **facts)
    evidence = section(text_of(a_subject(refused)), "Evidence")
    assert "connection      from mon1 (10.9.9.9) to 10.1.2.3:443, [fd00::7]:443 (contoso)\n" in evidence
    assert "failed ('10.1.2.3', 443), [Errno 101] Connect call failed ('fd00::7', 443)" in evidence
    text = of_several(a_subject(refused), a_subject(refused, vault="v2.vault.azure.net"))
    assert "also            v2: 2026-01-02T03:04:05Z, request id r-1, to 10.1.2.3:443, [fd00::7]:443 (contoso)\n" in text
    unknown = bad(step=Step.CHALLENGE, code=3900, reason=Reason.DNS_NOT_FOUND, status=None, endpoint="contoso:443")
    assert "connection      from mon1 to contoso:443\n" in section(text_of(a_subject(unknown)), "Evidence")


@pytest.mark.parametrize(
    ("step", "reason", "code", "who"),
    [
        (Step.CHALLENGE, Reason.DNS_NOT_FOUND, 3900, "the vault team (Azure Key Vault) if the vault was deleted, else the network team"),
        (Step.GET_KEY, Reason.VAULT_NOT_FOUND, 3076, "the vault team (Azure Key Vault)"),
    ],
)  # fmt: skip
def test_missing_vault_has_its_owners_and_the_commands_of_a_recovery(step, reason, code, who):
    subject = a_subject(bad(step=step, code=code, reason=reason, status=None if code == 3900 else 404))
    to_do = section(text_of(subject), "What to do")
    assert subject.who == who
    assert to_do.index("az keyvault list-deleted") < to_do.index("az keyvault recover --name contoso-prod")
    assert "az role assignment create --role" in to_do
    assert "ekm-exporter" not in to_do


@pytest.mark.parametrize(
    ("detail", "shown"),
    [
        ("Not allowed. Caller: appid=<id>;oid=<id>;iss=https://sts.windows.net/<id>/ Vault: contoso", "Not allowed. Vault: contoso"),
        ("The application 'appid=<id>;oid=<id>;numgroups=0;iss=https://x/' has no permission", "The application has no permission"),
        ("AADSTS7000222: expired. Trace ID: <id> Correlation ID: <id> Timestamp: 2026", "AADSTS7000222: expired. Timestamp: 2026"),
    ],
)  # fmt: skip
def test_masked_ids_are_left_out(detail, shown):
    assert f"detail          {shown}\n" in text_of(a_subject(bad(detail=detail)))


def of_several(*subjects, **extent):
    first, *others = subjects
    values = {"others": others, "total": len(subjects), "vaults": len({each.target.vault for each in subjects})}
    return text_of(first, Extent(**(values | extent)))


def test_many_vaults_and_servers_are_bounded():
    facts = {"client_address": "203.0.113.7", "status": 403}
    blocked = bad(step=Step.GET_KEY, code=3077, reason=Reason.FORBIDDEN_FIREWALL, **facts)
    all_of_them = [a_subject(blocked, vault=f"v{number}.vault.azure.net", vantage=Vantage.SQL_HOST) for number in range(60)]
    servers = [f"PROD on n{number}" for number in range(100)]
    text = of_several(*all_of_them, servers=servers)
    assert "Subject: 60 key vaults: the vault's firewall blocks the probe's address (203.0.113.7, mon1)\n" in text
    assert text.count("v41") == 1  # each name once
    assert "v58, v59." in section(text, "What fails").replace("\n ", "")
    assert f"and {100 - MOST_SERVERS} more" in section(text, "What depends on it")
    named = [line for line in section(text, "What to do").split("\n") if "also for    " in line]
    assert [line.strip() for line in named] == ["also for    the other 59 key vaults, which What fails names"] * 3
    first, undo, rule = (text.index(each) for each in ("the public address of the host changed", "Undo the change", "rule add"))
    assert first < undo < rule
    assert "They see 203.0.113.7 now" in text.replace("\n     ", " ")
    assert "isnotempty(_ResourceId)" in section(text, "How you see that it works")
    assert section(text, "Evidence").count("\n  also ") == MOST_NAMED
    assert "The commands cover" not in text


def test_vaults_that_no_command_has_are_counted():
    blocked = bad(step=Step.GET_KEY, code=3077, reason=Reason.FORBIDDEN_FIREWALL, status=403)
    text = of_several(a_subject(blocked), a_subject(blocked, vault="v2.vault.azure.net"), total=60, vaults=60)
    assert "The commands cover 2 of 60." in section(text, "What to do")


def test_two_applications_are_named_with_commands_for_each():
    text = of_several(a_subject(bad(client_id="6666")), a_subject(bad(client_id="7777", request_id="r-2")))
    assert "Subject: 2 applications: the client secret has expired\n" in text
    assert "The same holds for 2 applications: 6666, 7777." in section(text, "What fails")
    assert " az ad app credential reset --id 6666 --append\n" in section(text, "What to do")
    assert "     also for    7777" in section(text, "What to do")
    assert "also            7777: 2026-01-02T03:04:05Z, request id r-2" in section(text, "Evidence")
    assert 'AppId in ("6666", "7777")' in section(text, "How you see that it works")


def test_two_keys_of_a_vault_are_named():
    deleted = bad(step=Step.GET_KEY, code=3076, reason=Reason.KEY_SOFT_DELETED, status=404)
    text = of_several(*(a_subject(deleted, key_name=key) for key in ("K1", "K2")))
    assert "Subject: 2 keys of contoso-prod: the key" in text
    assert "The same holds for 2 keys: K1, K2." in section(text, "What fails")
    assert " az keyvault key recover --vault-name contoso-prod --name K1\n" in text
    assert "     also for    K2\n" in text
    assert "So does each other one of the 2." in section(text, "How the DBA sees it").replace("\n  ", " ")


def test_known_secret_is_hidden():
    KNOWN_SECRETS.remember("Tr0ub4dor-and-3-horses")
    text = text_of(a_subject(bad(detail="sent Tr0ub4dor-and-3-horses here", reason=Reason.CREDENTIALS_REFUSED)))
    assert "detail          sent <secret> here" in text


def test_usable_staged_credential_needs_no_team():
    record = TargetRecord(target(next_credential=STAGED), History(1))
    record.add_auxiliary(auxiliary_result(AuxiliaryKind.NEXT))
    given = Diagnosis(target=record.target, report=bad(), record=record)
    assert given.team is None
    assert given.why_no_team == f"The staged credential {STAGED} is usable: the DBA can use it."


def test_success_has_no_ticket():
    given = a_subject(good())
    assert text_of(given) == ""
    assert given.advice() is None
    waves = "If it fails in waves, the status page of the running exporter has the ticket."
    assert given.why_no_team == f"No step failed in this probe. {waves}"


def test_last_ticket_is_that_of_the_last_probe():
    record = TargetRecord(target(), History(1))
    assert last_ticket(target(), None, "mon1", now=STARTED) == ""
    assert last_ticket(target(), record, "mon1", now=STARTED) == ""
    record.add_report(bad(proxy="10.0.0.1:3128"))
    assert "proxy           10.0.0.1:3128" in last_ticket(target(), record, "mon1", now=STARTED)


def test_ticket_of_a_bundle_has_no_addresses():
    record = TargetRecord(target(), History(1))
    facts = {"addresses": ("10.1.2.3",), "local_address": "10.9.9.9", "proxy": "10.0.0.1:3128"}
    record.add_report(bad(step=Step.CHALLENGE, code=3008, reason=Reason.CONNECT_TIMEOUT, status=None, **facts))
    text = last_ticket(target(), record, "mon1", now=STARTED, mask_address=lambda _address: "hidden")
    assert "10." not in section(text, "Evidence")
    assert "connection      from mon1 (hidden) to " in text
