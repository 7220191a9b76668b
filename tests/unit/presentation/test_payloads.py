"""JSON payloads of probes, targets and history entries."""

import pytest

from exporter.config.settings import Credential
from exporter.core.values import CredentialKind, Facts, Fault, KeyFacts, Outcome, Phase, Step
from exporter.knowledge.expiry import CredentialExpiry, Source
from exporter.knowledge.reasons import Reason
from exporter.knowledge.report import StepResult
from exporter.knowledge.verdict import AuxiliaryKind, AuxiliaryResult
from exporter.presentation.payloads import entry_payload, gate_row, probe_payload, schedule_payload, target_row
from exporter.state.store import StateStore
from tests.support.factories import a_failure, a_report, a_target

AT = 1_790_000_000.25
STEPS = (
    StepResult(
        step=Step.CHALLENGE, outcome=Outcome.OK, duration=0.0123456789, facts=Facts(status=401, phases={Phase.DNS: 0.0011})
    ),
    StepResult(step=Step.TOKEN, outcome=Outcome.OK, duration=0.2, facts=Facts(status=200), shared=True),
    StepResult(
        step=Step.GET_KEY,
        outcome=Outcome.FAILED,
        duration=0.03,
        code=3077,
        reason=Reason.FORBIDDEN_FIREWALL,
        facts=Facts(
            fault=Fault.HTTP_STATUS,
            status=403,
            service_code="Forbidden",
            inner_code="ForbiddenByFirewall",
            request_id="r1",
            retry_after_seconds=7.0,
            detail="Client address is not authorized",
            phase_reached=Phase.TRANSFER,
            endpoint="contoso.vault.azure.net:443",
        ),
    ),
    StepResult(step=Step.WRAP_KEY, outcome=Outcome.SKIPPED),
    StepResult(step=Step.UNWRAP_KEY, outcome=Outcome.SKIPPED),
)


def of(payload, *names):
    return tuple(payload[name] for name in names)


def test_a_probe_has_its_first_failure_and_its_time():
    payload = probe_payload(a_target(), a_report("payroll", *STEPS, at=AT, ready=False))
    assert of(payload, "target", "vault", "key", "key_version") == ("payroll", "contoso.vault.azure.net", "TdeKey", "0" * 32)
    assert of(payload, "started_at", "duration_seconds") == ("2026-09-21T14:13:20.250Z", 0.1)
    assert of(payload, "success", "vault_side_ready") == (False, False)
    assert of(payload, "step", "code", "symbol", "reason") == (
        "get_key",
        3077,
        "ErrorHttpOperationForbidden",
        "forbidden_firewall",
    )


def test_a_step_has_its_facts_and_null_if_unknown():
    challenge, token, get_key, wrap, _ = probe_payload(a_target(), a_report("payroll", *STEPS))["steps"]
    assert of(challenge, "step", "outcome", "duration_seconds", "phases") == ("challenge", "ok", 0.012346, {"dns": 0.0011})
    assert token["shared"] is True
    facts = of(get_key, "code", "http_status", "service_code", "inner_code", "request_id", "retry_after_seconds", "detail")
    assert facts == (3077, 403, "Forbidden", "ForbiddenByFirewall", "r1", 7.0, "Client address is not authorized")
    assert of(get_key, "aadsts", "exception") == (None, None)
    assert of(wrap, "outcome", "duration_seconds", "code", "reason", "http_status", "detail") == ("skipped", *[None] * 5)
    assert wrap["phases"] == {}


def test_a_good_probe_has_no_failure_and_the_found_version():
    key = KeyFacts(name="TdeKey", version="found", kid="k", kty="RSA", size_bits=2048, modulus=b"n", exponent=b"e")
    payload = probe_payload(a_target(key_version=None), a_report(key=key, ready=None))
    assert of(payload, "success", "vault_side_ready", "key_version") == (True, None, "found")
    assert of(payload, "step", "code", "symbol", "reason") == (None, None, None, None)
    assert probe_payload(a_target(key_version=None), a_report())["key_version"] is None


def test_a_row_has_the_last_probe_and_the_last_success():
    target, state = a_target(labels={"team": "dba"}, instances=({"sql_instance": "SQL1"},)), StateStore(history_limit=3)
    state.record(target, a_report(at=AT - 60))
    record = state.record(target, a_failure(at=AT))
    row = target_row(target, record, now=AT + 1)
    assert of(row, "success", "vault_side_ready", "code", "step", "reason") == (False, False, 3077, "get_key", "forbidden")
    assert of(row, "last_probe", "last_success") == ("2026-09-21T14:13:20.250Z", "2026-09-21T14:12:20.250Z")
    assert of(row, "labels", "instances") == ({"team": "dba"}, [{"sql_instance": "SQL1"}])


def test_a_stale_verdict_is_null():
    target = a_target(interval=60.0)
    record = StateStore(history_limit=3).record(target, a_report(at=AT))
    assert target_row(target, record, now=AT + 170)["vault_side_ready"] is True
    assert of(target_row(target, record, now=AT + 181), "vault_side_ready", "why", "success") == (None, "stale", True)


def test_row_has_the_start_of_the_ready_run():
    target, state = a_target(interval=60.0), StateStore(history_limit=3)
    state.record(target, a_failure(at=AT - 120))
    for at in (AT - 60, AT):
        record = state.record(target, a_report(at=at))
    row = target_row(target, record, now=AT + 1)
    assert of(row, "ready_since", "last_not_ready") == ("2026-09-21T14:12:20.250Z", "2026-09-21T14:11:20.250Z")
    assert row["last_unwrap"] == "2026-09-21T14:13:20.250Z"
    assert target_row(target, record, now=AT + 181)["ready_since"] is None  # stale
    assert of(target_row(target, None, now=AT), "ready_since", "last_not_ready", "last_unwrap") == (None, None, None)


def test_row_has_kind_and_size_of_the_key():
    target, state = a_target(), StateStore(history_limit=3)
    assert of(target_row(target, state.expect(target), now=AT), "key_type", "key_size_bits") == (None, None)
    key = KeyFacts(name="TdeKey", version="0" * 32, kid="", kty="RSA-HSM", size_bits=3072, modulus=b"", exponent=b"")
    record = state.record(target, a_report("payroll", key=key, at=AT))
    assert of(target_row(target, record, now=AT), "key_type", "key_size_bits") == ("RSA-HSM", 3072)


@pytest.mark.parametrize("usable", [True, False, None])
def test_row_has_whether_the_staged_credential_is_usable(usable):
    target, state = a_target(next_credential="staged"), StateStore(history_limit=3)
    assert target_row(target, None, now=AT)["next_credential_usable"] is None
    record = state.record(target, a_report(at=AT))
    assert target_row(target, record, now=AT)["next_credential_usable"] is None
    result = AuxiliaryResult(
        kind=AuxiliaryKind.NEXT, name="staged", vault=target.vault, credential="staged", at=AT, usable=usable, steps=()
    )
    record.auxiliary[result.identity] = result
    assert target_row(target, record, now=AT)["next_credential_usable"] is usable
    record.update_target(a_target(next_credential="newer"))
    assert target_row(record.target, record, now=AT)["next_credential_usable"] is None


def test_credential_of_a_row_has_its_kind_and_expiry():
    credential = Credential(name="sql-prod", kind=CredentialKind.CLIENT_SECRET, client_id="app")
    expiry = CredentialExpiry(credential="sql-prod", source=Source.GRAPH, expires_at=AT)
    row = gate_row(a_target(), None, credential, [expiry], now=AT)
    assert {name: row[name] for name in ("credential", "credential_type", "client_id", "credential_expires_at")} == {
        "credential": "sql-prod",
        "credential_type": "client_secret",
        "client_id": "app",
        "credential_expires_at": "2026-09-21T14:13:20.250Z",
    }
    assert gate_row(a_target(), None, credential, [], now=AT)["credential_expires_at"] is None


def test_before_the_first_probe_facts_are_null():
    row = target_row(a_target(), None, now=AT)
    assert of(row, "success", "vault_side_ready", "code", "last_probe", "last_success") == (None,) * 5
    assert row["why"] == "no_probe_yet"
    assert of(schedule_payload(None), "consecutive_failures", "next_probe") == (0, None)


def test_history_entries_are_probes_with_ids_newest_first():
    target, state = a_target(), StateStore(history_limit=3)
    for number in range(2):
        record = state.record(target, a_failure(at=AT + number), next_probe_at=AT + 60)
    entries = [entry_payload(target, entry) for entry in record.history]
    assert [entry["started_at"][17:23] for entry in entries] == ["21.250", "20.250"]
    assert all(entry["id"] for entry in entries)
    assert of(schedule_payload(record), "consecutive_failures", "next_probe") == (2, "2026-09-21T14:14:20.250Z")
