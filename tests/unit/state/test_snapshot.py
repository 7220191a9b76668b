"""Snapshots of records: what a restart restores, and damaged documents."""

import json

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from exporter.core.values import Facts, Outcome, PeerCertificate, Readiness, Step, VaultHeaders
from exporter.knowledge.reasons import Reason
from exporter.knowledge.report import StepResult
from exporter.knowledge.verdict import AuxiliaryKind, AuxiliaryResult, State
from exporter.state.history import History
from exporter.state.record import DamagedError, TargetRecord, restore, snapshot
from exporter.state.store import StateStore
from tests.support.factories import a_failure, a_key, a_report, a_target
from tests.support.values import replace

KEY = a_key(kty="RSA-HSM", modulus=bytes(range(256)), exponent=b"\1\0\1", expires=1.9e9, key_ops=("wrapKey", "unwrapKey"))


HEADERS = VaultHeaders(region="westeurope", connection="private")


NEWER = replace(KEY, version="f" * 32)


SHOWN = PeerCertificate(not_after=1.85e9, issuer="CN=Issuer")


def a_used_record():
    state = StateStore(history_limit=5)
    facts = Facts(vault=HEADERS, endpoint="payroll:443", certificate=SHOWN)
    good = StepResult(step=Step.GET_KEY, outcome=Outcome.OK, facts=facts)
    unwrapped = StepResult(step=Step.UNWRAP_KEY, outcome=Outcome.OK)
    state.record(a_target(), a_report("payroll", good, unwrapped, at=1.0, key=KEY, tenant="t1"))
    for what in (AuxiliaryKind.NEWEST, AuxiliaryKind.RECOVERY):
        state.add_auxiliary(
            a_target(), AuxiliaryResult(kind=what, name="n", vault="v", credential="c", at=3.0, usable=True, steps=(), key=NEWER)
        )
    state.record(a_target(), replace(a_failure(at=1.5), purge_at=9.0))
    return state.record(a_target(), a_failure(at=2.0, request_id="r2"))


def document_of(record):
    """Return the document as the file holds it."""
    return json.loads(msgspec.json.encode(snapshot(record)))


USED = document_of(a_used_record())


def restored(document, target=None):
    record = TargetRecord(target or a_target(), History(5))
    restore(record, document)
    return record


def test_last_known_facts_outlive_a_restart():
    before, after = a_used_record(), restored(USED)
    assert (after.key, after.vault, after.tenant) == (KEY, HEADERS, "t1")
    assert (after.last_success_at, after.verdict, after.verdict_at) == (1.0, Readiness(ready=False, why="not_ready"), 2.0)
    assert list(after.last_failures) == list(before.last_failures)
    assert (after.newest_version, after.proof_at, after.purge_at) == (NEWER.version, 3.0, 9.0)
    assert (after.key_unwrapped_at, after.unwrapped_at) == (1.0, None)
    assert (after.certificates, after.rotation_pending) == ({"payroll:443": SHOWN}, True)
    assert list(after.changes) == list(before.changes)
    assert [(each.what, each.after) for each in after.changes] == [("state", "not_ready")]
    assert (after.state, after.state_since, after.recent) == (State.NOT_READY, 1.5, "rnn")
    assert after.recent_failures == before.recent_failures == ((Step.GET_KEY, 3077, Reason.FORBIDDEN),) * 2
    assert (after.last, after.probes, after.consecutive_failures) == (None, 0, 0)


def test_a_record_without_a_probe_is_restored_empty():
    after = restored(document_of(TargetRecord(a_target(), History(5))))
    assert (after.key, after.verdict, after.last_success_at, list(after.last_failures)) == (None, None, None, [])


def test_facts_of_another_key_are_not_restored():
    after = restored(USED, a_target(key_version="1" * 32))
    assert (after.key, after.verdict, after.verdict_at, after.key_unwrapped_at) == (None, None, None, None)
    assert (after.newest_version, after.proof_at, after.purge_at) == (None, None, None)
    assert (after.vault, after.last_success_at) == (HEADERS, 1.0)


def test_facts_of_another_vault_are_not_restored():
    after = restored(USED, a_target(vault="other.vault.azure.net"))
    assert after == TargetRecord(a_target(vault="other.vault.azure.net"), after.history)


def test_the_success_of_another_recovery_vault_is_not_restored():
    after = restored(USED, a_target(recovery_vault="dr.vault.azure.net"))
    assert (after.key, after.proof_at) == (KEY, None)


def places(document, path=()):
    """Yield the path to every value of a document."""
    for name, value in document.items() if isinstance(document, dict) else enumerate(document):
        yield (*path, name)
        if isinstance(value, (dict, list)):
            yield from places(value, (*path, name))


def changed(document, path, value):
    document = json.loads(json.dumps(document))
    location = document
    for name in path[:-1]:
        location = location[name]
    location[path[-1]] = value
    return document


WRONG = [None, True, -1, 10**400, 1e999, "text", "\ud800", [], ["x"], {}, {"x": 1}]


TOLERANT = {("subjects", place) for place in range(3)}  # compared, never used


@pytest.mark.parametrize("path", list(places(USED)), ids=lambda path: ".".join(map(str, path)))
def test_a_value_of_the_wrong_type_is_damage_or_harmless(path):
    refused = 0
    for value in WRONG:
        record = TargetRecord(a_target(), History(5))
        untouched = replace(record)
        try:
            restore(record, changed(USED, path, value))
        except DamagedError:
            refused += 1
            assert record == untouched
        else:
            snapshot(record)
    assert refused or path in TOLERANT


@pytest.mark.parametrize("moment", [1e300, -1e12, 253402300800.0])
@pytest.mark.parametrize(
    "path", [("last_success_at",), ("verdict_at",), ("key", "expires"), ("last_failures", 0, "at"), ("changes", 0, "at")]
)
def test_a_time_without_a_date_is_damage(path, moment):
    with pytest.raises(DamagedError):
        restore(TargetRecord(a_target(), History(5)), changed(USED, ("facts", *path), moment))


@pytest.mark.parametrize(
    ("path", "value"),
    [
        (("last_failures", 0, "code"), 9999),
        (("recent_failures", 0, 1), 9999),
        (("changes", 0, "failure", 1), 9999),
        (("verdict", "why"), "of another version"),
        (("verdict", "stolen"), float("nan")),
        (("verdict", "stolen"), 1e999),
        (("last_failures",), USED["facts"]["last_failures"] * 6),
        (("recent",), "r"),  # without its two failures
        (("recent",), "nnx"),
        (("recent",), "nn" + "r" * 39),
        (("key", "version"), "\ud800"),
    ],
)
def test_what_no_page_can_show_is_damage(path, value):
    with pytest.raises(DamagedError, match="damaged"):
        restored(changed(USED, ("facts", *path), value))


def test_a_change_without_a_failure_outlives_a_restart():
    state = StateStore(history_limit=5)
    for at, key in enumerate((KEY, NEWER)):
        record = state.record(a_target(), a_report(at=float(at), key=key))
    assert [each.what for each in record.changes] == ["key_version"]
    assert restored(document_of(record)).changes == record.changes


def test_a_missing_fact_is_not_known_and_without_facts_a_document_is_damaged():
    assert restored({**USED, "facts": {"region": "westeurope"}}).recent_failures == ()
    with pytest.raises(DamagedError, match="damaged"):
        restored({"subjects": USED["subjects"]})


@given(
    st.recursive(
        st.none() | st.booleans() | st.floats() | st.text(), lambda inner: st.lists(inner) | st.dictionaries(st.text(), inner)
    )
)
def test_any_other_document_is_damage(document):
    with pytest.raises(DamagedError):
        restore(TargetRecord(a_target(), History(5)), document)
