"""The exact plain-text transcript, and texts of auxiliary probes, keys, paths and expiries."""

import pytest

from exporter.config.settings import ExpectPath
from exporter.core.values import Step, Vantage, VaultHeaders
from exporter.knowledge.expiry import CredentialExpiry, Source
from exporter.knowledge.reasons import Reason
from exporter.knowledge.verdict import AuxiliaryKind
from exporter.presentation import text as text_module
from exporter.presentation.text import transcript
from exporter.state.history import History
from exporter.state.record import TargetRecord
from tests.support.values import replace
from tests.support.web_factories import (
    DR,
    OLD,
    STAGED,
    STARTED,
    auxiliary_result,
    bad,
    fully_declared,
    good,
    key,
    pending_auxiliary,
    refused_auxiliary,
    target,
)

FAILED = """\
target          contoso-key0
SQL Servers     SQLPRD01 (ag AG7), SQLPRD02
vault           contoso-prod.vault.azure.net
key             ContosoRSAKey0/cgacf4f763ar42ffb0a1gca546aygd87
credential      sql-prod
started         2026-01-02T03:04:05.678Z
took            300.0 ms
result          failed
verdict         vault side not ready, seen from the SQL host
not tested      the secret inside SQL Server, the service account's proxy, Windows' TLS, registry and DLL

challenge       ok       20.0 ms
  endpoint      contoso:443
  phases        dns 1.0 ms  wait 10.0 ms

token           ok       20.0 ms
  endpoint      contoso:443
  phases        dns 1.0 ms  wait 10.0 ms

get_key         failed   200.0 ms
  code          3077 (3113 on connector 1.0.5.0) ErrorHttpOperationForbidden
  reason        forbidden_rbac
  HTTP status   403
  service code  Forbidden
  inner code    ForbiddenByRbac
  retry after   7.000 s
  request id    r-1
  endpoint      contoso:443
  phase reached transfer
  detail        caller <id> may not
  phases        dns 1.0 ms  wait 10.0 ms

wrap_key        skipped

unwrap_key      skipped
"""


def text_of(**failure):
    return transcript(target(), bad(**failure), vantage=Vantage.SQL_HOST)


def test_a_failed_probe_has_its_steps_and_then_actions():
    text = text_of(
        step=Step.GET_KEY, code=3077, reason=Reason.FORBIDDEN_RBAC, status=403, service_code="Forbidden", aadsts=None,
        inner_code="ForbiddenByRbac", retry_after_seconds=7.0, detail="caller <id> may not",
    )  # fmt: skip
    assert text.startswith(FAILED)
    advice = text[len(FAILED) :].splitlines()
    assert advice[1] == "code            3077 (3113 on connector 1.0.5.0) ErrorHttpOperationForbidden"
    labels = [line[:15].strip() for line in advice[2:] if line[:15].strip()]
    assert list(dict.fromkeys(labels)) == ["meaning", "effect", "do", "owner"]
    assert max(len(line) for line in advice if "`" not in line) <= 80
    assert "                `ekm-exporter probe contoso-key0 --config.file FILE`." in advice
    assert "TARGET" not in text


@pytest.mark.parametrize(
    ("failure", "present", "absent"),
    [
        ({"step": Step.TOKEN, "code": 3303, "reason": Reason.SECRET_EXPIRED}, ("\nmeaning         The client secret has expired.",), ("\nlikely cause",)),
        ({"step": Step.CHALLENGE, "code": 3014, "reason": Reason.TLS_UNTRUSTED, "status": None}, ("\nmeaning         No answer from the vault: the certificate was issued",), ("\nlikely cause",)),
        ({"step": Step.TOKEN, "code": 3303, "reason": Reason.ANSWER_NOT_JSON, "has_page": True, "detail": "<html>blocked</html>"}, ("\nlikely cause    A proxy, gateway or security appliance responds", "owner           network: "), ("Entra ID refused", "client secret has expired", "restart the SQL Server service")),
    ],
)  # fmt: skip
def test_a_cause_that_the_probe_shows_has_no_guesses(failure, present, absent):
    text = text_of(**({"status": 401} | failure))
    assert all(words in text for words in present)
    assert not any(words in text for words in absent)
    assert ("likely cause" in text) == ("likely cause" in present[0])
    assert "likely cause" in text or text.index(present[0]) < text.index("\ndo ")


@pytest.mark.parametrize(
    ("failure", "expected"),
    [
        ({"step": Step.UNWRAP_KEY, "reason": Reason.FORBIDDEN_POLICY}, ("effect Now: restores, DBCC CHECKDB and column encryption with an EKM key fail", "At a restart: databases stay in RECOVERY PENDING.")),
        ({"step": Step.WRAP_KEY, "reason": Reason.KEY_EXPIRED, "ready": True}, ("effect No key can be created or rotated. As far as is known, databases,", "This can wait for working hours.")),
    ],
)  # fmt: skip
def test_failed_probe_states_what_fails_now_and_later(failure, expected):
    text = " ".join(text_of(code=3077, status=403, **failure).split())
    assert all(words in text for words in expected)
    assert "If only wrap is refused" not in text  # the probe knows the step


def test_open_reason_lists_the_likely_causes_of_its_code():
    text = text_of(step=Step.TOKEN, code=3303, reason=Reason.CREDENTIALS_REFUSED, status=401)
    assert text.count("likely cause") == 5
    assert "\ncause " not in text


def test_a_good_probe_has_equal_bytes_and_no_code():
    text = transcript(target(), good(), vantage=Vantage.CENTRAL)
    assert "result          every step succeeded and the bytes came back equal\n" in text
    assert "verdict         vault side ready, seen from a central host\n" in text
    assert "\ncode " not in text


NOW = STARTED + 60
DAY = 86400


def a_record(*results, **changes):
    record = TargetRecord(fully_declared(), History(5))
    for each in results:
        record.add_auxiliary(each)
    for name, value in changes.items():
        setattr(record, name, value)
    return record


def lines_of(record, *, of=None):
    """Return title, answer and reason of each configured auxiliary probe."""
    wanted = of or fully_declared()
    return [
        (text_module.title(wanted, identity), text_module.answer(each), text_module.reason_text(record, identity, each))
        for identity, each in text_module.auxiliary_results(wanted, record, now=NOW)
    ]


def test_a_usable_result_is_yes_without_a_reason():
    record = a_record(*(auxiliary_result(what) for what in AuxiliaryKind))
    retained, newest = f"retained version ContosoRSAKey0/{OLD}", "newest version of ContosoRSAKey0"
    assert lines_of(record) == [
        (title, "yes", "") for title in (f"staged credential {STAGED}", retained, newest, f"recovery vault {DR}")
    ]


def test_a_result_not_yet_made_is_unknown():
    assert [(answer, why) for _, answer, why in lines_of(a_record())] == [
        *[("unknown", "not probed yet")] * 3,
        ("unknown", "the key that the recovery vault must hold is not read yet"),
    ]
    assert lines_of(a_record(key=key()))[-1][2] == "not probed yet"


@pytest.mark.parametrize(
    ("place", "result", "answer", "why"),
    [
        (1, refused_auxiliary(AuxiliaryKind.RETAINED, step=Step.GET_KEY, code=3076, reason=Reason.KEY_NOT_FOUND), "no", "step get_key failed with 3076 (3112 on connector 1.0.5.0) ErrorHttpResourceNotFound, reason key_not_found"),
        (0, refused_auxiliary(AuxiliaryKind.NEXT, usable=None, step=Step.CHALLENGE, code=3008, reason=Reason.CONNECT_TIMEOUT), "unknown", "step challenge failed with 3008"),
        (1, auxiliary_result(AuxiliaryKind.RETAINED, usable=None, steps=good().steps[:3]), "unknown", "unwrap was not tested"),
        (0, auxiliary_result(AuxiliaryKind.NEXT, usable=None, steps=good().steps), "unknown", "a managed identity belongs to its host, and this exporter runs on another host"),
        (2, replace(auxiliary_result(AuxiliaryKind.NEWEST), usable=False, key=replace(key(), enabled=False)), "no", "the version is disabled"),
    ],
    ids=["refused", "no response", "no unwrap", "an identity of another host", "a disabled newest version"],
)  # fmt: skip
def test_a_result_that_is_not_usable_has_its_reason(place, result, answer, why):
    _, shown, reason = lines_of(a_record(result))[place]
    assert shown == answer
    assert reason.startswith(why)


def test_a_version_in_another_vault_names_it():
    retained = tuple(replace(old, vault="old.vault.azure.net") for old in fully_declared().retained_versions)
    titles = [title for title, _, _ in lines_of(a_record(), of=fully_declared(retained_versions=retained))]
    assert f"retained version ContosoRSAKey0/{OLD} in old.vault.azure.net" in titles


def actions_of(result):
    """The actions of an auxiliary probe of a target without another failure."""
    ((_, _, actions),) = text_module.auxiliary_actions(fully_declared(), a_record(), [((result.kind, "", ""), result)])
    return actions


@pytest.mark.parametrize(
    ("what", "meaning"),
    [
        (AuxiliaryKind.NEXT, "Do not give it to SQL Server yet."),
        (AuxiliaryKind.RETAINED, "Backups that need this key version could not be restored."),
        (AuxiliaryKind.RECOVERY, "It could not replace a lost vault."),
    ],
)
def test_actions_begin_with_the_consequence(what, meaning):
    actions = actions_of(refused_auxiliary(what, step=Step.GET_KEY, code=3076, reason=Reason.NOT_FOUND))
    assert actions[0] == meaning
    assert len(actions) > 2
    assert not any("do not restart" in each for each in actions)


def test_commands_name_vault_key_version_and_credential():
    disabled = {"step": Step.UNWRAP_KEY, "code": 3077, "reason": Reason.KEY_DISABLED}
    kept = " ".join(actions_of(refused_auxiliary(AuxiliaryKind.RETAINED, **disabled)))
    restored = " ".join(actions_of(refused_auxiliary(AuxiliaryKind.RECOVERY, **disabled)))
    staged = " ".join(actions_of(refused_auxiliary(AuxiliaryKind.NEXT, **disabled)))
    assert f"--vault-name contoso-prod --name ContosoRSAKey0 --version {OLD}" in kept
    assert f"--vault-name contoso-dr --name ContosoRSAKey0 --version {target().key_version}" in restored
    assert f"ekm-exporter probe contoso-key0 --credential {STAGED} --config.file FILE" in staged
    assert actions_of(auxiliary_result(AuxiliaryKind.NEXT)) == ()


def test_versions_have_rotation_deletion_and_last_recovery():
    record = a_record(pending_auxiliary(), auxiliary_result(AuxiliaryKind.RECOVERY, at=STARTED), purge_at=STARTED + 90 * DAY)
    assert dict(text_module.version_lines(fully_declared(), record)) == {
        "newest version": "f" * 32
        + " (a rotation is pending: SQL Server uses the pinned version. Delete and disable neither; `ekm-exporter docs key-rotation` has the steps)",
        "deleted": "purged at 2026-04-02T03:04:05.678Z; recover it before then: "
        "`az keyvault key recover --vault-name contoso-prod --name ContosoRSAKey0`",
        "recovery test": f"2026-01-02T03:04:05.678Z, successful unwrap in {DR}",
    }


def test_recover_command_of_a_managed_hsm_names_the_hsm():
    lines = dict(text_module.version_lines(target(vault="contoso.managedhsm.azure.net"), a_record(purge_at=STARTED)))
    assert lines["deleted"].endswith("`az keyvault key recover --hsm-name contoso --name ContosoRSAKey0`")


@pytest.mark.parametrize(
    ("expected", "connection", "text"),
    [
        (ExpectPath.PRIVATE, "private", "yes: expect_path is private"),
        (ExpectPath.PRIVATE, "public", "no: expect_path is private"),
        (ExpectPath.PRIVATE, None, "unknown: expect_path is private"),
        (ExpectPath.ANY, "public", None),
    ],
)
def test_the_path_is_compared_with_expect_path(expected, connection, text):
    assert dict(text_module.path_lines(VaultHeaders(connection=connection), expected)).get("as expected") == text


@pytest.mark.parametrize(
    ("expires_at", "looked_up_at", "failure", "text"),
    [
        (NOW + 96.5 * DAY, NOW, "", "2026-04-08T15:05:05.678Z, in 96 days"),
        (NOW + DAY, NOW, "", "2026-01-03T03:05:05.678Z, in 1 day"),
        (NOW - 2 * DAY, NOW, "", "2025-12-31T03:05:05.678Z, expired 2 days ago"),
        (NOW + DAY, NOW, "Graph: timeout", "2026-01-03T03:05:05.678Z, in 1 day"),
        (None, NOW, "", "no expiry"),
        (None, NOW, "the application lists no such secret", "unknown"),
        (None, None, "", "unknown"),
    ],
)
def test_expiry_has_its_time_and_remaining_days(expires_at, looked_up_at, failure, text):
    end = CredentialExpiry(
        credential="sql-prod", source=Source.GRAPH, expires_at=expires_at, looked_up_at=looked_up_at, failure=failure
    )
    assert list(text_module.expiry_lines({"sql-prod": (end,)}, now=NOW)) == [("sql-prod", "graph", text, looked_up_at, failure)]


def test_a_credential_without_an_expiry_source_is_listed():
    shown = "by-vm", "none", "unknown", None, "no source of its expiry is configured"
    assert list(text_module.expiry_lines({"by-vm": ()}, now=NOW)) == [shown]


WARNED = (AuxiliaryKind.NEXT, AuxiliaryKind.RETAINED, AuxiliaryKind.RECOVERY)
REFUSED = a_record(*map(refused_auxiliary, WARNED), pending_auxiliary(), purge_at=NOW, vault=VaultHeaders(connection="public"))
WARNINGS = (
    "staged credential refused", "retained version unusable", "recovery vault unusable", "rotation pending", "key deleted",
    "unexpected path",
)  # fmt: skip


@pytest.mark.parametrize(
    ("declared", "record", "warnings"),
    [
        (fully_declared(), REFUSED, WARNINGS),
        (fully_declared(), a_record(*(auxiliary_result(what, usable=None) for what in WARNED)), ()),
        (fully_declared(), None, ()),
        (target(), a_record(*map(refused_auxiliary, WARNED)), ()),
    ],
    ids=["everything", "unknown", "no probe", "no longer configured"],
)
def test_warnings_are_a_few_words_each(declared, record, warnings):
    assert text_module.target_warnings(declared, record, ExpectPath.PRIVATE, now=NOW) == warnings


def test_a_failure_without_a_code_has_its_reason():
    result = refused_auxiliary(AuxiliaryKind.NEXT, code=None, reason=Reason.SECRET_UNREADABLE)
    assert text_module.reason_text(a_record(), (result.kind, "", ""), result) == "step token failed, reason secret_unreadable"
