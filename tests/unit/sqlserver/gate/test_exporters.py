"""Which exporter answers for a server, what the others report differently, and every response that is no list."""

import json

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from exporter.core.secrets import remember
from exporter.core.values import Vantage
from exporter.sqlserver.gate.conditions import GateReason, reason
from exporter.sqlserver.gate.exporters import MOST_OF_READINGS, read_readings, read_state
from exporter.sqlserver.gate.render import as_json, as_text
from exporter.sqlserver.reading import reading_values
from tests.support.gate_factories import HOUR, NOW, URL, V2, answer, answer_of, body, conditions, document, row, state, time_of
from tests.support.sql_readings import an_unread_server
from tests.support.values import replace

N1, N2, C1, C2 = (f"http://{name}:10377" for name in ("n1", "n2", "c1", "c2"))
EVERY = [{"sql_instance": "SQLPRD01"}]
FAILING = {"vault_side_ready": False, "code": 3303, "step": "token"}
ANYWHERE = row(instances=EVERY)


def central(url, *rows, **changes):
    return state(url, *(rows or (ANYWHERE,)), vantage="central", host=None, **changes)


def on(host, *rows, **changes):
    return state(f"http://{host}:10377", *(rows or (ANYWHERE,)), host=host, **changes)


def silent(url):
    return reason("exporter_unreachable", url=url, cause="the connection was refused")


def answered(found):
    return {one.url: one.servers for one in found.exporters if one.servers}


def both():
    return [document(), document("N2\\SQLPRD01")]


def test_exporter_on_the_host_answers():
    found = answer_of(on("n1"), on("n2"), central(C1), inventory=both())
    assert (found.verdict, answered(found)) == ("ready", {N1: ("N1\\SQLPRD01",), N2: ("N2\\SQLPRD01",)})
    lines = as_text(found).splitlines()
    assert lines[2].endswith(f", probed by contoso-key0 at {N1}, seen from the SQL host")
    assert lines[-1] == "Reported as seen from the SQL host. Not tested: " + as_json(found)["not_tested"] + "."
    assert [one["instances"] for one in as_json(found)["exporters"]] == [["N1\\SQLPRD01"], ["N2\\SQLPRD01"], []]


def test_host_is_compared_without_case_and_domain():
    found = answer_of(on("n1"), central(C1), inventory=[document(address="n1.contoso.com\\SQLPRD01")])
    assert set(answered(found)) == {N1}
    assert set(answered(answer_of(state(N1, ANYWHERE, host="N1.contoso.com"), central(C1)))) == {N1}


def test_exporter_on_the_host_answers_although_it_has_no_target():
    found = answer_of(on("n1", row(key_version=V2)), central(C1))
    assert conditions(found) == ["key_without_target"]


def test_namesake_of_another_domain_does_not_answer():
    servers = [document(address=f"n1.{domain}\\SQLPRD01") for domain in ("a.com", "b.com")]
    of_a, of_b = (row(instances=[{"sql_instance": "SQLPRD01", "host": f"n1.{domain}"}]) for domain in ("a.com", "b.com"))
    first, second = state("http://first:1", of_a, host="n1"), state("http://second:1", of_b, host="n1")
    found = answer_of(first, second, inventory=servers)
    assert answered(found) == {"http://first:1": ("N1.a.com\\SQLPRD01",), "http://second:1": ("N1.b.com\\SQLPRD01",)}


def test_virtual_name_is_answered_by_the_nodes_that_list_it():
    cluster = row(instances=[{"sql_instance": "SQLPRD01", "host": "virtual"}])
    servers = [document("VIRTUAL\\SQLPRD01")]
    found = answer_of(on("node1", cluster), on("node2", cluster), on("n9", row()), central(C1), inventory=servers)
    assert answered(found) == {"http://node1:10377": ("VIRTUAL\\SQLPRD01",), "http://node2:10377": ("VIRTUAL\\SQLPRD01",)}
    failing = answer_of(on("node1", cluster), on("node2", cluster | FAILING), inventory=servers)
    assert conditions(failing) == ["not_ready"]
    assert "at http://node2:10377, seen from the SQL host, is not ready: 3303 at token" in failing.reasons[0].text


def test_central_exporters_must_all_be_ready():
    assert answer_of(central(C1), central(C2)).verdict == "ready"
    found = answer_of(central(C1), central(C2, ANYWHERE | FAILING))
    assert (conditions(found), answered(found)) == (["not_ready"], {C1: ("N1\\SQLPRD01",), C2: ("N1\\SQLPRD01",)})
    assert conditions(answer_of(central(C1), silent(C2), urls=[C2])) == ["exporter_unreachable"]


def test_shards_answer_together():
    other = row(target="other", key_version=V2, instances=EVERY)
    assert answer_of(central(C1, other), central(C2)).verdict == "ready"


def test_entry_without_a_host_may_name_each_server_of_the_instance():
    assert conditions(answer_of(central(C1), inventory=both())) == ["server_not_listed"] * 2
    assert conditions(answer_of(central(C1), inventory=[document(), document("N2\\OTHER")])) == []


def test_exporter_elsewhere_answers_if_there_is_no_other():
    found = answer_of(on("n8", row(instances=[])), on("n9", row(instances=[])))
    assert conditions(found) == ["server_not_listed"]


@pytest.mark.parametrize("other", [central(C1, ANYWHERE | FAILING), on("n2", ANYWHERE | FAILING)])
def test_exporters_that_disagree_are_not_known(other):
    found = answer_of(on("n1"), other)
    assert (conditions(found), found.verdict) == (["exporters_disagree"], "not_known")
    text = found.reasons[0].text
    assert f"for N1\\SQLPRD01: contoso-key0 is ready at {N1}, seen from the SQL host, which counts; " in text
    place = "a central host" if other.url == C1 else "the SQL host"
    assert text.endswith(f"contoso-key0 is not ready (3303 at token) at {other.url}, seen from {place}")


def test_failure_on_the_host_counts_although_another_is_ready():
    found = answer_of(on("n1", ANYWHERE | FAILING), central(C1))
    assert (conditions(found), found.verdict) == (["not_ready"], "not_ready")
    assert found.notes == (
        (
            "exporters disagree on https://contoso-prod.vault.azure.net/keys/K/1111aaaa2222 for N1\\SQLPRD01: contoso-key0 is not ready "
            f"(3303 at token) at {N1}, seen from the SQL host, which counts; contoso-key0 is ready at {C1}, seen from a central host"
        ),
    )


@pytest.mark.parametrize(
    "theirs",
    [
        ANYWHERE | {"vault_side_ready": None, "why": "stale"},
        ANYWHERE | FAILING | {"key_version": V2},
        ANYWHERE | FAILING | {"instances": [{"sql_instance": "OTHER"}]},
    ],
)
def test_exporter_without_a_verdict_on_the_key_does_not_disagree(theirs):
    found = answer_of(on("n1"), central(C1, theirs))
    assert (found.verdict, found.notes) == ("ready", ())


def test_two_failing_exporters_agree():
    found = answer_of(on("n1", ANYWHERE | FAILING), central(C1, ANYWHERE | FAILING))
    assert (conditions(found), found.notes) == (["not_ready"], ())


def test_two_targets_of_one_exporter_are_no_disagreement():
    found = answer_of(on("n1", ANYWHERE, ANYWHERE | FAILING), central(C1, row(key_version=V2)))
    assert (conditions(found), found.notes) == (["not_ready"], ())


def test_silent_exporter_is_a_note_if_every_host_has_another():
    found = answer_of(on("n1"), silent(C1), urls=[C1])
    assert (found.verdict, found.notes) == ("ready", (f"the exporter at {C1} does not respond: the connection was refused",))
    assert as_json(found)["exporters"][1] == {
        "url": C1, "vantage": None, "host": None, "at": None, "failure": found.notes[0], "instances": []
    }  # fmt: skip


@pytest.mark.parametrize(
    ("states", "url", "question"),
    [
        ([on("n1")], N2, {"every": True}),  # N2 has no exporter
        ([on("n1")], "http://n1:10378", {}),  # a second one on the chosen host
        ([central(C1)], C2, {}),
        ([on("n1")], N2, {"instances": ("GONE",)}),  # whether it matters is not known
    ],
)
def test_silent_exporter_that_may_matter_is_not_known(states, url, question):
    found = answer_of(*states, silent(url), urls=[url], inventory=both() if "every" in question else None, **question)
    assert "exporter_unreachable" in conditions(found)
    assert found.verdict == "not_known"


def test_clock_of_an_exporter_matters_where_it_answers():
    late = {"at": time_of(NOW - HOUR)}
    assert conditions(answer_of(on("n1", **late), central(C1), ready_for=60.0, unwrap_age=2 * HOUR))[0] == "clocks_differ"
    found = answer_of(on("n1"), central(C1, **late))
    assert found.verdict == "ready"
    assert "but the clock of this host shows" in found.notes[0]


def test_readings_that_were_not_sent_are_not_known():
    unread = reason("exporter_foreign", url=N1, cause="it has HTTP status 404")
    found = answer_of(replace(on("n1"), unread=unread))
    assert conditions(found) == ["exporter_foreign"]
    assert answer_of(on("n1"), replace(central(C1), unread=unread)).notes == (unread.text,)


def test_vantage_of_exporters_that_differ_is_null():
    found = answer_of(on("n1", row()), central(C1, row(instances=[{"host": "n2"}])), inventory=both())
    assert set(answered(found)) == {N1, C1}
    assert as_json(found)["vantage"] is None
    assert as_text(found).splitlines()[-1].startswith("Not tested: the secret inside SQL Server")


def test_other_target_counts_where_its_exporter_answers():
    moved = row(target="new", key_version=V2, instances=EVERY, **FAILING)
    assert conditions(answer_of(on("n1"), central(C1, moved))) == []
    assert conditions(answer_of(on("n1", ANYWHERE, moved), central(C1))) == ["other_target_fails"]


NEW_FIELDS = (
    "ready_since",
    "last_not_ready",
    "last_unwrap",
    "key_type",
    "key_size_bits",
    "credential",
    "credential_type",
    "client_id",
    "credential_expires_at",
)


def test_targets_are_read():
    found = read_state(body(row(), row(target="second", key_version=None)), URL)
    assert (found.at, found.vantage) == (NOW, Vantage.SQL_HOST)
    assert [(one.name, one.key_version, one.ready) for one in found.targets] == [
        ("contoso-key0", "1111aaaa2222", True),
        ("second", None, True),
    ]


def test_exporter_without_targets_is_read():
    found = read_state(body(targets=[]), URL)
    assert found.targets == ()


@pytest.mark.parametrize(
    "data",
    [
        b"",
        b"<html>login</html>",
        b"[]",
        b"null",
        b"{}",
        b'{"targets": {}}',
        b"[" * 100_000,
        b"\xff\xfe",
        *(body().decode().encode(encoding) for encoding in ("utf-8-sig", "utf-16", "utf-16-le", "utf-16-be", "utf-32")),
        body()[:-1],
        body([]),
        body("target"),
        body(at="soon"),
        body(at="0001-01-01T00:00:00Z"),
        body(at=7),
        body(vantage="nowhere"),
        body(row(vault_side_ready=1)),
        body(row(target=None)),
        body(row(ready_since=1764187200)),
        body(row(ready_since="2026-13-01T00:00:00Z")),
        body(row(credential_expires_at="9999-12-31T23:59:59-14:00")),
        body(row(key_size_bits="2048")),
        body(row(last_unwrap=True)),
        body(row(success="true")),
        body(row(why="not_ready")),
        body(row(credential_type="a_later_kind")),
        body(row(credential_type=["client_secret"])),
        body(row(instances=7)),
        body(row(instances=["SQLPRD01"])),
        body(row(instances=[{"sql_instance": 1}])),
    ],
    ids=lambda data: data[:24].decode("latin-1") + f"...{len(data)}",
)
def test_other_response_is_not_known(data):
    found = read_state(data, URL)
    assert found.condition == "exporter_foreign"


@pytest.mark.parametrize("field", NEW_FIELDS)
def test_response_of_an_older_exporter_names_the_field(field):
    older = row()
    del older[field]
    found = read_state(body(row(), older), URL)
    assert (found.condition, found.text) == (
        "exporter_old",
        f"the exporter at {URL} does not report {field}: it has another version than this program",
    )


def test_older_list_without_a_time_names_it():
    content = json.loads(body())
    del content["at"]
    found = read_state(json.dumps(content).encode(), URL)
    assert found.condition == "exporter_old"


@pytest.mark.parametrize(
    ("changes", "text"),
    [
        ({"code": 3303, "symbol": "E", "step": "token", "reason": "secret_expired"}, "3303 E at token (secret_expired)"),
        ({"code": 3303, "step": "token"}, "3303 at token"),
        (
            {"code": [], "symbol": {}, "step": 7, "reason": 7},
            "a step that SQL Server needs for backups, virtual log files (VLF) and starts failed",
        ),
    ],
)
def test_failure_is_one_line(changes, text):
    found = read_state(body(row(vault_side_ready=False, **changes)), URL)
    assert found.targets[0].failure == text


@pytest.mark.parametrize(
    ("changes", "fails", "answers"),
    [
        ({}, False, True),
        ({"vault_side_ready": False, "why": "not_ready", "step": "token"}, True, False),
        ({"vault_side_ready": None, "why": "identity_of_another_host"}, False, True),
        ({"vault_side_ready": None, "why": "identity_of_another_host", "step": "challenge", "success": False}, True, False),
        ({"vault_side_ready": None, "why": "canary", "step": "wrap_key", "success": False}, False, True),
        ({"vault_side_ready": None, "why": "stale", "step": "token", "success": False}, False, False),
    ],
    ids=["ready", "not ready", "no verdict", "no verdict, fails", "no verdict, wrap_key alone fails", "old"],
)
def test_target_fails_or_answers_also_without_a_verdict(changes, fails, answers):
    found = read_state(body(row(**changes)), URL).targets[0]
    assert (found.fails, found.answers) == (fails, answers)


def test_control_characters_of_names_are_replaced():
    found = read_state(body(row(target="a\x1b[2Jb")), URL)
    assert found.targets[0].name == "a?[2Jb"


def test_password_that_equals_a_name_changes_no_reading():
    remember("contoso-key0")
    remember("1111aaaa2222")
    assert read_state(body(row()), URL).targets[0].name == "contoso-key0"
    assert read_state(body(row()), URL).targets[0].key_version == "1111aaaa2222"


def test_reason_names_the_field_and_not_its_value():
    found = read_state(body(row(vault_side_ready="hunter2")), URL)
    assert (
        found.text == f"the response of {URL} is not that of an exporter: its field vault_side_ready has a value of another kind"
    )


VALUES = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=20), lambda one: st.lists(one) | st.dictionaries(st.text(), one)
)  # fmt: skip


# The kind of a value that `row` does not have.
KINDS = {name: type(value) for name, value in row(client_id="", last_not_ready="", next_credential_usable=False).items()}


@given(st.sampled_from(sorted(row())), VALUES)
@example("next_credential_usable", False)
def test_no_value_of_another_kind_makes_it_ready(field, value):
    """Whatever a field has: a reason, or a verdict that the value itself justifies; never an exception."""
    found = answer(row(**{field: value}))
    if found.verdict == "ready":
        assert type(value) is KINDS[field] or value is None or field in {"step", "code", "symbol", "reason"}
    assert as_text(found)
    assert json.dumps(as_json(found))


def test_millions_of_nested_values_are_not_parsed():
    found = read_state(b'{"targets": [' + b"[]," * 3_000_000 + b"[]]}", URL)
    assert "is not that of an exporter: it has more than 3000000 values" in found.text


@given(st.binary(max_size=300))
def test_no_bytes_are_an_exception(data):
    assert isinstance(read_state(data, URL), GateReason)


def readings_body(*readings):
    return json.dumps({"at": "2026-11-26T20:00:00.000Z", "sql_servers": readings}).encode()


def test_readings_are_read():
    reading = an_unread_server()
    assert read_readings(readings_body(reading_values(reading)), URL) == (reading,)
    assert read_readings(readings_body(), URL) == ()


@pytest.mark.parametrize(
    ("data", "cause"),
    [
        (b"<html>", "it is not JSON in UTF-8"),
        (body(), "it has no list of SQL Servers"),
        (readings_body(reading_values(an_unread_server()), {}), "SQL Server 2 of its list is damaged (KeyError)"),
        (b'{"sql_servers": [' + b"," * MOST_OF_READINGS + b"]}", f"it has more than {MOST_OF_READINGS} values"),
    ],
    ids=["html", "targets", "damaged", "large"],
)
def test_response_without_readings_is_no_shorter_list(data, cause):
    found = read_readings(data, URL)
    assert found.condition == "exporter_foreign"
    assert found.text == f"the response of {URL} is not that of an exporter: {cause}"
