import json

from exporter.core.faults import Fault, Reason
from exporter.core.model import Facts, KeyFacts, Outcome, Phase, Step, StepResult
from exporter.presentation.payloads import entry_payload, probe_payload, target_payload, target_row
from exporter.state.records import TargetRecords
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
OF_A_PROBE = {
    *("target", "vault", "key", "key_version", "started_at", "duration_seconds", "success", "vault_side_ready"),
    *("step", "code", "symbol", "reason", "steps"),
}
OF_A_STEP = {
    *("step", "outcome", "code", "symbol", "reason", "duration_seconds", "phases", "http_status", "service_code"),
    *("inner_code", "aadsts", "request_id", "retry_after_seconds", "detail"),
}
OF_A_ROW = {
    *("target", "vault", "key", "success", "vault_side_ready", "code", "symbol", "step", "reason"),
    *("last_probe", "last_success", "labels", "instances"),
}


def of(shape, *names):
    return tuple(shape[name] for name in names)


def test_a_probe_names_its_first_failure_and_when_it_was():
    shape = probe_payload(a_target(), a_report("payroll", *STEPS, at=AT, ready=False))
    assert set(shape) >= OF_A_PROBE
    assert of(shape, "target", "vault", "key", "key_version") == ("payroll", "contoso.vault.azure.net", "TdeKey", "0" * 32)
    assert of(shape, "started_at", "duration_seconds") == ("2026-09-21T14:13:20.250Z", 0.1)
    assert of(shape, "success", "vault_side_ready") == (False, False)
    assert of(shape, "step", "code", "symbol", "reason") == ("get_key", 3077, "ErrorHttpOperationForbidden", "forbidden_firewall")


def test_a_step_tells_its_facts_and_what_is_not_known_is_null():
    challenge, token, get_key, wrap, _ = probe_payload(a_target(), a_report("payroll", *STEPS))["steps"]
    assert all(set(step) >= OF_A_STEP for step in (challenge, token, get_key, wrap))
    assert of(challenge, "step", "outcome", "duration_seconds", "phases") == ("challenge", "ok", 0.012346, {"dns": 0.0011})
    assert token["shared"] is True
    told = of(get_key, "code", "http_status", "service_code", "inner_code", "request_id", "retry_after_seconds", "detail")
    assert told == (3077, 403, "Forbidden", "ForbiddenByFirewall", "r1", 7.0, "Client address is not authorized")
    assert of(get_key, "aadsts", "exception") == (None, None)
    assert of(wrap, "outcome", "duration_seconds", "code", "reason", "http_status", "detail") == ("skipped", *[None] * 5)
    assert wrap["phases"] == {}


def test_a_good_probe_names_no_failure_and_the_version_it_met():
    key = KeyFacts(name="TdeKey", version="met", kid="k", kty="RSA", size_bits=2048, modulus=b"n", exponent=b"e")
    shape = probe_payload(a_target(key_version=None), a_report(key=key, ready=None))
    assert of(shape, "success", "vault_side_ready", "key_version") == (True, None, "met")
    assert of(shape, "step", "code", "symbol", "reason") == (None, None, None, None)
    assert probe_payload(a_target(key_version=None), a_report())["key_version"] is None


def test_a_row_tells_the_last_probe_and_the_last_success():
    target, state = a_target(labels={"team": "dba"}, instances=({"sql_instance": "SQL1"},)), TargetRecords(history_limit=3)
    state.record(target, a_report(at=AT - 60))
    record = state.record(target, a_failure(at=AT))
    row = target_row(target, record, now=AT + 1)
    assert set(row) >= OF_A_ROW
    assert of(row, "success", "vault_side_ready", "code", "step", "reason") == (False, False, 3077, "get_key", "forbidden")
    assert of(row, "last_probe", "last_success") == ("2026-09-21T14:13:20.250Z", "2026-09-21T14:12:20.250Z")
    assert of(row, "labels", "instances") == ({"team": "dba"}, [{"sql_instance": "SQL1"}])


def test_a_verdict_that_is_too_old_is_none():
    target = a_target(interval=60.0)
    record = TargetRecords(history_limit=3).record(target, a_report(at=AT))
    assert target_row(target, record, now=AT + 170)["vault_side_ready"] is True
    assert of(target_row(target, record, now=AT + 181), "vault_side_ready", "why", "success") == (None, "stale", True)


def test_before_the_first_probe_everything_learned_is_null():
    row = target_row(a_target(), None, now=AT)
    assert of(row, "success", "vault_side_ready", "code", "last_probe", "last_success") == (None,) * 5
    assert row["why"] == "no_probe_yet"
    assert of(target_payload(a_target(), None, now=AT), "consecutive_failures", "next_probe") == (0, None)


def test_the_entries_of_a_history_are_probes_with_ids_newest_first():
    target, state = a_target(), TargetRecords(history_limit=3)
    for number in range(2):
        record = state.record(target, a_failure(at=AT + number), next_probe_at=AT + 60)
    entries = [entry_payload(target, entry) for entry in record.history]
    assert [entry["started_at"][17:23] for entry in entries] == ["21.250", "20.250"]
    assert all(set(entry) >= OF_A_PROBE and entry["id"] for entry in entries)
    assert of(target_payload(target, record, now=AT), "consecutive_failures", "next_probe") == (2, "2026-09-21T14:14:20.250Z")


def test_every_shape_is_json():
    target = a_target(labels={"team": "dba"})
    record = TargetRecords(history_limit=3).record(target, a_report("payroll", *STEPS, at=AT, ready=False))
    shapes = [target_payload(target, record, now=AT), *(entry_payload(target, entry) for entry in record.history)]
    assert json.loads(json.dumps(shapes, allow_nan=False)) == shapes
