"""The series of a SQL Server, from the rows that SQL Server answered: their values, their number, and their life in a scrape."""

from __future__ import annotations

import asyncio
from collections import Counter
from datetime import UTC, datetime

import pytest

from docs.generators.cardinality import (
    BACKUP,
    CALL,
    DATABASE,
    DIFFERENCE,
    FILLS,
    OF_SQL_SERVERS,
    of_a_sql_server,
    of_each_database,
)
from exporter.config.settings import MaintenanceWindow
from exporter.metrics.spec import Level
from exporter.metrics.sql_server import (
    alert_samples,
    difference_samples,
    labels_of,
    log_samples,
    proof_samples,
    readiness_samples,
    sql_server_samples,
)
from exporter.metrics.sql_server_families import FEW, MOST, SQL_SERVER_METRICS
from exporter.sqlserver.alerting import WatchedServer, watched
from exporter.sqlserver.document import MOST_ROWS
from exporter.sqlserver.gate.conditions import reason
from exporter.sqlserver.gate.inputs import RestartReadiness
from exporter.sqlserver.logs import LogSpace
from exporter.sqlserver.proof import ServerProof
from tests.support import client_model
from tests.support.factories import a_target
from tests.support.metric_factories import a_recorder, names_in, scrape, series, show_readiness, show_reading
from tests.support.sql_differences import URI, a_difference
from tests.support.sql_inventory import altering
from tests.support.sql_readings import (
    READ_AT,
    SESSION,
    a_call,
    a_reading,
    an_unread_server,
    proof_rows,
    sections_of,
    unix,
    with_growing_logs,
)
from tests.support.values import replace

PREFIX = "mssql_ekm_"
CREDENTIAL = {"name": "tde_cred", "identity": "contoso-prod", "provider": "AzureKV", "created_utc": "2026-01-02T03:04:05"}
OF_DATABASES = [
    spec.name for spec in SQL_SERVER_METRICS if spec.own[:1] == ("database",) and spec.name not in OF_SQL_SERVERS[FILLS]
]


READY = RestartReadiness("N1\\SQLPRD01", "n1\\SQLPRD01", "0x2C56", "key_2C56", (), READ_AT + 600)
NOT_KNOWN = replace(
    READY,
    missing=(
        reason("server_clock", server="N1", difference="is not known"),
        reason("log_not_read", server="N1", cause="x"),
    ),
)
NOT_READY = replace(
    NOT_KNOWN, missing=(*NOT_KNOWN.missing, reason("database_closed", server="N1", databases="[a]", states="SUSPECT"))
)


def shown(name, reading=None, **sections):
    """Return the samples of a family: {label values: value}."""
    values = sql_server_samples(a_reading(sections=sections) if reading is None else reading)
    return {tuple(value for _, value in labels): value for labels, value in values[PREFIX + name]}


@pytest.mark.parametrize(
    ("name", "expected"),
    [
        ("read_success", {(): 1}),
        ("objects_left_out", {(): 0}),
        ("start_timestamp_seconds", {("N1\\SQLPRD01", "N1", "16.0.4105.2"): unix("2026-11-01T00:00:00")}),
        ("provider_enabled", {("AzureKV",): 1}),
        ("provider_info", {("", "AzureKV", "1.0.5.0", "C:\\x.dll"): 1}),
        ("provider_dll_info", {("", "AzureKV", "15.0.2000.440", "C:\\x.dll"): 1}),
        ("provider_loaded_info", {("", "AzureKV", "1.0.5.0", "Azure Key Vault"): 1}),
        ("credential_modified_timestamp_seconds", {("", "AzureKV", "tde_cred", "contoso-prod"): unix("2026-01-02T03:04:05")}),
        ("credential_altered_timestamp_seconds", {}),
        ("asymmetric_key_info", {("key_2C56", "0x2C56", "AzureKV"): 1}),
        ("database_encryption_state", {("sales", "ASYMMETRIC KEY", "0x2C56"): 3}),
        ("database_encryption_percent_complete", {("sales",): 0}),
        ("database_key_opened_timestamp_seconds", {("sales",): unix("2026-11-01T00:00:10")}),
        ("database_state", {("sales", "", ""): 0}),
        (
            "backup_started_timestamp_seconds",
            {
                ("sales", "full"): unix("2026-11-26T01:00:00"),
                ("sales", "differential"): unix("2026-11-26T13:00:00"),
                ("sales", "log"): unix("2026-11-26T19:00:00"),
            },
        ),
        (
            "backup_finished_timestamp_seconds",
            {
                ("sales", "full"): unix("2026-11-26T01:05:00"),
                ("sales", "differential"): unix("2026-11-26T13:05:00"),
                ("sales", "log"): unix("2026-11-26T19:05:00"),
            },
        ),
        ("log_vlf_sequence_number", {("sales",): 4711}),
        ("trace_flag_enabled", {("15025",): 0}),
        ("error_log_lines", {("other",): 0}),
        ("error_log_last_timestamp_seconds", {}),
    ],
)
def test_family_has_the_values_of_a_healthy_server(name, expected):
    assert shown(name) == expected


KEY = (("key_name", "key_2C56"), ("thumbprint", "0x2C56"))


@pytest.mark.parametrize(
    ("readiness", "now", "until", "missing"),
    [
        (READY, READ_AT, [(KEY, READ_AT + 600)], []),
        (READY, READ_AT + 600, [], []),  # silence ages
        (NOT_KNOWN, READ_AT, [], [("clock", "not_known"), ("log", "not_known")]),
        (NOT_READY, READ_AT, [(KEY, 0.0)], [("clock", "not_known"), ("log", "not_known"), ("open", "not_ready")]),
    ],
)
def test_restart_readiness_is_a_time_until_which_it_holds(readiness, now, until, missing):
    values = readiness_samples([readiness], now)
    assert values["mssql_ekm_restart_ready_until_timestamp_seconds"] == until
    assert values["mssql_ekm_restart_missing_info"] == [
        ((*KEY, ("evidence", row), ("answer", known)), 1.0) for row, known in missing
    ]


def an_owner(team, env, in_window):
    """Return a target with these labels; its maintenance window holds `READ_AT`, or ends at it."""
    begun, end = (datetime.fromtimestamp(at, UTC) for at in (READ_AT - 60, READ_AT + 60 if in_window else READ_AT))
    return a_target(labels={"team": team, "env": env}, maintenance=(MaintenanceWindow(begun, end),))


def alerts_of(reading, *owners, watch=None):
    """Return the samples of what alerts rest on."""
    server = WatchedServer(reading)
    return alert_samples(watch or watched(None, server, READ_AT), server, owners, 300.0, READ_AT)


def test_alerts_rest_on_what_a_healthy_server_shows():
    values = alerts_of(with_growing_logs(a_reading()), an_owner("dba", "prod", in_window=False))
    assert values == {
        "mssql_ekm_backups_failing_since_timestamp_seconds": [((), 0.0)],
        "mssql_ekm_proof_due_since_timestamp_seconds": [],
        "mssql_ekm_log_full_timestamp_seconds": [],
        "mssql_ekm_first_action_info": [],
        "mssql_ekm_alerts_enabled": [((("ag", ""), ("team", "dba"), ("env", "prod")), 1.0)],
        "mssql_ekm_target_info": [],
        "mssql_ekm_read_until_timestamp_seconds": [((), READ_AT + 450 + 900)],
    }


def test_alerts_rest_on_what_fails():
    line = {"lines": 2, "first_utc": "2026-11-26T19:10:00", "last_utc": "2026-11-26T19:40:00"}
    reading = with_growing_logs(
        a_reading(sections={"errors": [{"code": "3303", **line}, {"code": "3041", **line}]}, clock_behind=10.0)
    )
    late = {name: at - 3600 if name in ("backups", "logs") else at for name, at in reading.read_at.items()}
    values = alerts_of(replace(reading, read_at=late | {"backups": READ_AT + 7200}))
    assert values["mssql_ekm_backups_failing_since_timestamp_seconds"] == [((), unix("2026-11-26T19:10:00"))]
    assert values["mssql_ekm_log_full_timestamp_seconds"] == []  # they were read an hour ago
    ((labels, one),) = values["mssql_ekm_first_action_info"]
    assert (dict(labels)["about"], dict(labels)["action"][-22:], one) == ("backups", " Vault side: not known", 1.0)
    assert values["mssql_ekm_alerts_enabled"] == []
    altered = a_reading(sections={"credentials": [CREDENTIAL | {"modified_utc": "2026-11-26T19:30:00"}]})
    assert alerts_of(altered)["mssql_ekm_proof_due_since_timestamp_seconds"] == [(KEY, unix("2026-11-26T19:30:00"))]


@pytest.mark.parametrize(
    ("owners", "expected"),
    [
        ([("a", "prod", True), ("b", "prod", False), ("b", "prod", True)], ("b", "prod", 1.0)),
        ([("a", "prod", True), ("b", "test", True)], ("b", "test", 0.0)),
    ],
    ids=["one outside its window", "all in a window"],
)
def test_alerts_have_the_team_of_most_targets_and_are_off_in_the_windows_of_all(owners, expected):
    ((labels, value),) = alerts_of(an_unread_server(), *(an_owner(*each) for each in owners))["mssql_ekm_alerts_enabled"]
    assert (*(value for _, value in labels[1:]), value) == expected


def test_restart_readiness_outlives_a_reading():
    recorder, reading = a_recorder(), a_reading()
    show_reading(recorder, reading)
    show_readiness(recorder, reading, READY, now=READ_AT)
    show_reading(recorder, reading)
    assert "mssql_ekm_restart_ready_until_timestamp_seconds" in names_in(scrape(recorder))


def test_section_times_are_those_of_the_last_good_reading():
    reading = a_reading(read_at={"keys": READ_AT, "errors": READ_AT - 60})
    assert shown("section_timestamp_seconds", reading) == {("keys",): READ_AT, ("errors",): READ_AT - 60}


def test_reading_has_samples_for_every_family_and_label():
    values = sql_server_samples(a_reading())
    assert values.keys() == {spec.name for spec in SQL_SERVER_METRICS} - {
        *readiness_samples([], READ_AT),
        *alerts_of(a_reading()),
    }
    values |= readiness_samples([NOT_KNOWN], READ_AT) | alerts_of(a_reading())
    for spec in SQL_SERVER_METRICS:
        assert {tuple(name for name, _ in labels) for labels, _ in values[spec.name]} <= {spec.own}


def test_unread_server_shows_only_that_it_was_not_read():
    values = sql_server_samples(an_unread_server(refused=True))
    assert values.keys() == {spec.name for spec in SQL_SERVER_METRICS} - {
        *readiness_samples([], READ_AT),
        *alerts_of(a_reading()),
    }
    assert {name: samples for name, samples in values.items() if samples} == {
        "mssql_ekm_read_success": [((), 0)],
    }


def test_failed_attempt_keeps_the_last_good_series():
    reading = a_reading(failure="does not answer")
    assert shown("read_success", reading) == {(): 0}
    assert shown("database_state", reading) == {("sales", "", ""): 0}


@pytest.mark.parametrize(
    ("address", "known", "expected"),
    [
        ("n1\\PROD", {"sql_instance": "SQLPRD01", "host": "n1"}, ("SQLPRD01", "n1")),
        ("N1.contoso.com,1444", {}, ("N1.contoso.com,1444", "n1.contoso.com")),
        ("n1\\PROD", {"sql_instance": "SQLPRD01"}, ("SQLPRD01", "n1")),
        ("n1\\PROD", {"host": "web"}, ("n1\\PROD", "web")),
    ],
)
def test_address_stands_for_unknown_labels(address, known, expected):
    labels = dict(labels_of(an_unread_server(address, **known)).labels)
    assert (labels["sql_instance"], labels["host"]) == expected


def options(value):
    return [{"name": "EKM provider enabled", "value": 1, "value_in_use": value}]


def provided(enabled):
    return [{"name": "AzureKV", "is_enabled": enabled}]


TIMES = ("", "soon", "0001-01-01T00:00:00", 7)
NUMBERS = ("3", "", 2**60, -(2**60), 10**400)
STATES = {"RESTORING": 1, "RECOVERING": 2, "RECOVERY_PENDING": 3, "SUSPECT": 4, "EMERGENCY": 5, "OFFLINE": 6}


@pytest.mark.parametrize(
    ("name", "sections", "expected"),
    [
        ("provider_enabled", {"providers": provided(1), "configurations": options(1)}, {("AzureKV",): 1}),
        ("provider_enabled", {"providers": provided(0), "configurations": options(1)}, {("AzureKV",): 0}),
        ("provider_enabled", {"providers": provided(1), "configurations": options(0)}, {("AzureKV",): 0}),
        ("provider_enabled", {"providers": provided(1), "configurations": []}, {("AzureKV",): 1}),
        ("provider_dll_info", {"modules": [{"provider": "other", "file_version": "1"}]}, {}),  # of no provider
        ("provider_loaded_info", {"loaded": [{"provider": "other", "provider_version": "1"}]}, {}),
        *(("start_timestamp_seconds", {"start": start}, {}) for start in ([], None, [{"started_utc": "yesterday"}])),
        *(("database_state", {"databases": [{"name": "x", "state": each}]}, {("x", "", ""): STATES[each]}) for each in STATES),
        ("trace_flag_enabled", {"flags": [{"flag": 1117, "is_on": 1}]}, {}),
        ("trace_flag_enabled", {"flags": [{"flag": 15025, "is_on": 0}, {"flag": 15025, "is_on": 1}]}, {("15025",): 1}),
        ("trace_flag_enabled", {"flags": None}, {}),
        ("error_log_lines", {"errors": None}, {}),
        ("database_state", {"databases": None, "encryption": None}, {}),
        ("log_vlf_sequence_number", {"logs": [{"database": "sales"}]}, {}),
        *(("log_vlf_sequence_number", {"logs": [{"database": "sales", "vlf_sequence_number": each}]}, {}) for each in NUMBERS),
        *(
            ("database_key_opened_timestamp_seconds", {"opened": [{"database": "sales", "opened_utc": each}]}, {})
            for each in TIMES
        ),
    ],
)
def test_rows_have_these_series(name, sections, expected):
    assert shown(name, **sections) == expected


def test_providers_and_credentials_are_listed_under_each_group():
    groups = [{"ag": name, "server_name": "N1"} for name in ("AG8", "AG7", "AG7")]
    for name in ("provider_info", "provider_dll_info", "provider_loaded_info", "credential_modified_timestamp_seconds"):
        assert {labels[0] for labels in shown(name, replicas=groups)} == {"AG7", "AG8"}
    altered = shown(
        "credential_altered_timestamp_seconds",
        replicas=groups,
        credentials=[CREDENTIAL | {"modified_utc": "2026-03-01T00:00:00"}],
    )
    assert altered == {(group, "AzureKV", "tde_cred", "contoso-prod"): unix("2026-03-01T00:00:00") for group in ("AG7", "AG8")}


def test_state_of_a_database_names_its_group_and_its_replicas():
    """Groups of one name may be of two clusters."""
    replicas = [{"ag": "AG7", "server_name": name} for name in ("N2", "n1", "N2")] + [{"ag": "AG8", "server_name": "N3"}]
    databases = [{"name": "pay", "state": "ONLINE", "is_encrypted": 1, "in_group": 1, "ag": "AG7"}]
    assert shown("database_state", replicas=replicas, databases=databases)["pay", "AG7", "n1 n2"] == 0


@pytest.mark.parametrize(
    ("modified", "altered"),
    [("2026-01-02T03:04:06", None), ("2026-01-02T03:04:07", unix("2026-01-02T03:04:07"))],
)
def test_altered_credential_is_compared_with_its_creation(modified, altered):
    credentials = [CREDENTIAL | {"modified_utc": modified}]
    found = list(shown("credential_altered_timestamp_seconds", credentials=credentials).values())
    assert found == ([] if altered is None else [altered])


def test_databases_are_the_encrypted_ones_and_those_not_online():
    databases = [
        {"name": "tempdb", "state": "ONLINE", "is_encrypted": 1},
        {"name": "plain in a group", "state": "ONLINE", "is_encrypted": 0, "in_group": 1},
        {"name": "closed", "state": "RECOVERY_PENDING", "is_encrypted": 1},
        {"name": "copying", "state": "COPYING", "is_encrypted": 0},
        {"name": "sales", "state": "ONLINE", "is_encrypted": 1},
        {"name": "was encrypted", "state": "ONLINE", "is_encrypted": 0},
    ]
    encryption = [{"database": "was encrypted", "encryption_state": 1}]
    assert shown("database_state", databases=databases, encryption=encryption) == {
        ("closed", "", ""): 3,
        ("sales", "", ""): 0,
        ("was encrypted", "", ""): 0,
    }
    assert shown("database_encryption_state", databases=databases, encryption=encryption) == {("was encrypted", "", ""): 1}


def test_databases_above_the_limit_are_left_out_and_counted():
    names = [f"db{number:05}" for number in range(MOST + 7)]
    databases = [{"name": name, "state": "ONLINE", "is_encrypted": 1} for name in names]
    databases[-1]["state"] = "SUSPECT"
    reading = a_reading(*names, sections={"databases": databases})
    assert shown("objects_left_out", reading) == {(): 7}
    kept = {names[-1], *names[: MOST - 1]}
    for name in OF_DATABASES:
        found = {labels[0] for labels in shown(name.removeprefix(PREFIX), reading)}
        assert found in (kept, set())
    assert {labels[0] for labels in shown("backup_finished_timestamp_seconds", reading)} == kept


def test_logs_without_a_series_take_room_of_their_volume():
    names = [f"db{number:05}" for number in range(MOST + 7)]
    (row,) = proof_rows("any")["logs"]
    logs = [{**row, "database": name, "volume": "L:", "total_kb": row["used_kb"]} for name in names]
    full, alone = (
        shown("log_full_seconds", with_growing_logs(a_reading(*names, sections={"logs": some}))) for some in (logs, logs[:1])
    )
    assert len(full) == MOST
    assert full[names[0],] == pytest.approx(10_485_760 / 1024 * 300 / len(names))
    assert alone[names[0],] > full[names[0],]


def test_objects_above_the_limits_are_left_out_and_counted():
    many = [f"x{number:05}" for number in range(MOST + 3)]
    sections = {
        "replicas": [{"ag": name, "server_name": "N1"} for name in many],
        "providers": [{"name": name, "is_enabled": 1} for name in many],
        "credentials": [CREDENTIAL | {"name": name, "modified_utc": CREDENTIAL["created_utc"]} for name in many],
        "keys": [{"name": name, "thumbprint": "0x2C56", "provider": "x00001"} for name in many],
    }
    reading = a_reading(sections=sections)
    assert shown("objects_left_out", reading) == {(): 3 * (MOST + 3 - FEW) + 3}
    assert len(shown("provider_info", reading)) == FEW * FEW
    assert len(shown("credential_modified_timestamp_seconds", reading)) == FEW * FEW
    assert len(shown("asymmetric_key_info", reading)) == MOST


@pytest.mark.parametrize("section", ["modules", "loaded", "flags", "errors", "instance"])
def test_rows_above_those_of_the_limits_make_no_more_series(section):
    strange = [
        {"provider": f"x{number}", "flag": number, "code": str(number), "server_name": f"n{number}"}
        for number in range(MOST_ROWS)
    ]
    values = sql_server_samples(a_reading(sections={section: strange}))
    assert sum(map(len, values.values())) < 300


def test_repeated_provider_or_database_has_its_last_row():
    count = range(MOST_ROWS)
    sections = {
        "replicas": [{"ag": f"AG{number:02}", "server_name": "N1"} for number in range(FEW)],
        "modules": [{"provider": "AzureKV", "file_version": str(number)} for number in count],
        "loaded": [{"provider": "AzureKV", "provider_version": str(number)} for number in count],
        "encryption": [{"database": "sales", "encryption_state": 3, "thumbprint": f"0x{number:04X}"} for number in count],
    }
    reading = a_reading(sections=sections)
    last = str(MOST_ROWS - 1)
    for name in ("provider_dll_info", "provider_loaded_info"):
        assert [labels[2] for labels in shown(name, reading)] == [last] * FEW
    assert shown("database_encryption_state", reading) == {("sales", "", f"0x{MOST_ROWS - 1:04X}"): 3}


def test_names_of_a_server_are_bounded_and_printable():
    providers = [{"name": "a\u202eb\n" + "x" * 128, "dll_path": "y" * 8000, "is_enabled": 1}]
    ((_, provider, _, path),) = shown("provider_info", providers=providers)
    assert provider == "a?b?" + "x" * 128
    assert path == "y" * 256


def test_thumbprints_have_the_form_of_targets():
    keys = [{"name": "k", "thumbprint": "0x2c56", "provider": "AzureKV"}]
    encryption = [{"database": "sales", "encryption_state": 3, "encryptor_type": "ASYMMETRIC KEY", "thumbprint": "2C56"}]
    assert {labels[1] for labels in shown("asymmetric_key_info", keys=keys)} == {"0x2C56"}
    assert {labels[2] for labels in shown("database_encryption_state", encryption=encryption)} == {"0x2C56"}


ALTERED, PROVEN = 1_800_000_000.0, 1_800_086_400.0


def a_proof(**changes):
    written = {
        "server": "SQLPRD01 on n1",
        "reading": a_reading(),
        "thumbprint": "0x2C56",
        "key_name": "K",
        "login": "tde_login",
        "credential": "tde_cred",
        "credential_missing": False,
        "provider_disabled": False,
        "candidate": "",
        "altered_at": ALTERED,
        "databases": ("hr", "sales"),
        "proven_from": PROVEN,
        "proven_at": PROVEN,
        "source": "log_backup",
        "database": "sales",
    }
    return ServerProof(**(written | changes))


def of_proof(name, **changes):
    """Return the samples of a family: {label values: value}."""
    samples = proof_samples([a_proof(**changes)])[f"mssql_ekm_{name}"]
    return {tuple(str(value) for _, value in labels): value for labels, value in samples}


def unproven(**changes):
    return {"proven_at": None, "source": None, "database": ""} | changes


def test_proof_names_key_source_and_database():
    assert of_proof("proven_timestamp_seconds") == {("K", "0x2C56", "log_backup", "sales"): PROVEN}
    assert of_proof("proven_timestamp_seconds", **unproven()) == {}


@pytest.mark.parametrize(
    ("changes", "expected"),
    [
        ({}, {("K", "0x2C56"): 0}),
        ({"altered_at": None}, {("K", "0x2C56"): 0}),
        (unproven(), {("K", "0x2C56"): 1}),
        (unproven(altered_at=None), {}),
        ({"altered_at": None, "credential_missing": True}, {("K", "0x2C56"): 1}),
    ],
)
def test_proof_is_due_until_sql_server_proves_the_key(changes, expected):
    assert of_proof("proof_due", **changes) == expected


@pytest.mark.parametrize(
    ("changes", "expected"),
    [
        ({}, {}),
        ({"credential": "", "credential_missing": True}, {("K", "0x2C56", "tde_login"): 1}),
        ({"credential": "", "credential_missing": True, "login": ""}, {("K", "0x2C56", ""): 1}),
        ({"credential": ""}, {}),
    ],
)
def test_key_lacks_a_credential_also_if_its_login_is_unknown(changes, expected):
    assert of_proof("key_without_credential", **changes) == expected


def test_keys_above_the_limit_have_no_proofs():
    values = proof_samples([a_proof(key_name=f"k{number:04}") for number in reversed(range(MOST + 2))])
    names = [dict(labels)["key_name"] for labels, _ in values["mssql_ekm_proof_due"]]
    assert names == [f"k{number:04}" for number in range(MOST)]


def a_log(**changes):
    written = {"database": "sales", "used_bytes": 1e6, "free_bytes": 2e6, "rate": 10.0, "full_in": 2e5, "next_file_in": 60.0}
    return LogSpace(**(written | changes))


def of_log(**changes):
    """Return the samples of a log: {family: value}."""
    values = log_samples([a_log(**changes)], {"sales"})
    return {name.removeprefix("mssql_ekm_log_"): value for name, samples in values.items() for _, value in samples}


def test_log_shows_used_and_free_space_and_time():
    assert of_log() == {"used_bytes": 1e6, "free_bytes": 2e6, "full_seconds": 2e5}
    assert log_samples([a_log(database="a\nb")], {"a?b"})["mssql_ekm_log_used_bytes"] == [((("database", "a?b"),), 1e6)]


def test_unknown_space_and_time_have_no_series():
    assert of_log(free_bytes=None, full_in=None) == {"used_bytes": 1e6}


FAMILY = "mssql_ekm_difference_databases"


@pytest.mark.parametrize(
    ("changes", "target"), [({}, "sales"), ({"target": "", "other": "claims"}, "claims"), ({"target": "", "other": ""}, "")]
)
def test_sample_names_target_and_key_and_counts_databases(changes, target):
    found = a_difference(**changes)
    labels = (("kind", "other_version"), ("target", target), ("thumbprint", "0x2C56"), ("key_uri", URI))
    assert difference_samples([found]) == {FAMILY: [((*labels, ("difference", found.sentence), ("action", found.action)), 2.0)]}


def test_samples_are_bounded_in_number_and_length():
    samples = difference_samples([a_difference(thumbprint="0x" + "A" * 999, target=f"t{number}") for number in range(FEW + 1)])
    assert len(samples[FAMILY]) == FEW
    assert {len(dict(labels)["thumbprint"]) for labels, _ in samples[FAMILY]} == {256}


def test_next_reading_replaces_the_differences_of_its_server():
    recorder = a_recorder()
    show_reading(recorder, a_reading(), a_difference())
    show_reading(recorder, a_reading(address="n2", host="n2"), a_difference(target="other"))
    show_reading(recorder, a_reading())
    assert {dict(labels)["host"] for name, *labels in series(scrape(recorder)) if name == FAMILY} == {"n2"}


ALTERING = altering("credentials", created_utc="2025-01-01T00:00:00")
LINE = {"code": "3303", "lines": 1, "last_utc": "2026-11-26T19:00:00"}
OTHER = {"code": "other", "lines": 1, "last_utc": "2026-11-26T19:00:00"}


def of_the_fullest(*databases, level=Level.FULL, change=None):
    """Return the families of a fully known SQL Server, counted by their series; `change` changes its rows."""
    sections = sections_of(*databases, errors=[OTHER])
    for each in (ALTERING, *([change] if change else ())):
        each(sections)
    recorder = a_recorder(level=level)
    reading = with_growing_logs(a_reading(*databases, sections=sections))
    show_reading(recorder, reading)
    keys = {row["thumbprint"] for row in sections["encryption"]}
    show_readiness(recorder, reading, *(replace(READY, thumbprint=key) for key in keys), now=READ_AT)
    server = WatchedServer(reading)
    watch = watched(None, server, READ_AT)
    recorder.sql_servers.render(reading, alert_samples(watch, server, (), 300.0, READ_AT))()
    return Counter(name for name, *_ in series(scrape(recorder)) if name.startswith("mssql_ekm_"))


def adding(section, **row):
    return lambda sections: sections[section].append(sections[section][0] | row)


def grouped(sections):
    sections["replicas"] += [{"ag": "AG7", "server_name": "N1"}, {"ag": "AG8", "server_name": "N1"}]


def another_key_in_use(sections):
    for section, row in (
        ("keys", {"name": "K", "thumbprint": "0x2C57"}),
        ("encryption", {"database": "hr", "thumbprint": "0x2C57"}),
        ("backups", {"database": "hr"}),
    ):
        adding(section, **row)(sections)


def without_credential(sections):
    del sections["keys"][0]["credential"]


@pytest.mark.parametrize("level", Level)
def test_series_of_a_sql_server_match_the_documentation(level):
    alone = of_the_fullest("sales", level=level)
    assert alone.total() == of_a_sql_server(level) + of_each_database(level)
    added = of_the_fullest("hr", "sales", level=level) - alone
    assert added.total() == of_each_database(level)


def test_a_database_adds_the_documented_series():
    added = of_the_fullest("hr", "sales") - of_the_fullest("sales")
    assert added == Counter([*OF_SQL_SERVERS[DATABASE], *OF_SQL_SERVERS[BACKUP] * 3])


@pytest.mark.parametrize(
    ("what", "change"),
    [
        ("each provider", adding("providers", name="Other")),
        ("each key", adding("keys", name="other", thumbprint="0x2C57")),
        ("each key that protects a database", another_key_in_use),
        ("each key that protects a database, and whose login has no credential", without_credential),
        ("each code in the error log", lambda sections: sections["errors"].append(LINE)),
        ("each provider in each availability group, or in none", grouped),
        ("each credential in each availability group, or in none", grouped),
    ],
)  # fmt: skip
def test_a_row_adds_the_documented_series(what, change):
    added = of_the_fullest(change=change) - of_the_fullest()
    assert {name: added[name] for name in OF_SQL_SERVERS[what]} == dict.fromkeys(OF_SQL_SERVERS[what], 1)


def test_calls_of_a_session_add_the_documented_series_and_none_without_it():
    calls = [a_call("19:59:00", calls=3), a_call("19:10:00", calls=2), a_call("18:00:00", code="3303")]
    values = sql_server_samples(a_reading(sections={"trace": [SESSION], "calls": calls}))
    unwrapped, failed = (("function", "SqlCryptDecrypt"), ("code", "0")), (("function", "SqlCryptDecrypt"), ("code", "3303"))
    assert values["mssql_ekm_calls_last_hour"] == [(unwrapped, 5.0)]
    assert dict(values["mssql_ekm_call_timestamp_seconds"]) == {
        unwrapped: unix("2026-11-26T19:59:00"),
        failed: unix("2026-11-26T18:00:00"),
    }
    sections = {dict(labels)["section"] for labels, _ in values["mssql_ekm_section_timestamp_seconds"]}
    assert sections == set(sections_of())
    partly = sql_server_samples(a_reading(sections={"trace": [SESSION | {"is_filtered": 1}], "calls": calls}))
    assert partly["mssql_ekm_calls_last_hour"] == []
    gone = sql_server_samples(a_reading(sections={"trace": []}))
    assert [gone[name] for name in OF_SQL_SERVERS[CALL]] == [[], []]


def test_a_difference_adds_the_documented_series():
    recorder = a_recorder()
    show_reading(recorder, a_reading(), a_difference(), a_difference(target="claims"))
    counted = Counter(name for name, *_ in series(scrape(recorder)))
    assert {name: counted[name] for name in OF_SQL_SERVERS[DIFFERENCE]} == {"mssql_ekm_difference_databases": 2}


def test_each_section_has_one_series():
    assert of_the_fullest()["mssql_ekm_section_timestamp_seconds"] == len(sections_of())


def test_every_family_of_a_sql_server_is_counted_once():
    counted = [name for names in OF_SQL_SERVERS.values() for name in names]
    assert sorted(counted) == sorted(spec.name for spec in SQL_SERVER_METRICS)


@pytest.mark.parametrize(("level", "alone", "each"), [(Level.MINIMAL, 37, 2), (Level.DEFAULT, 40, 14), (Level.FULL, 40, 14)])
def test_series_of_a_sql_server_stay_within_the_promise(level, alone, each):
    """Fleets are sized by these numbers: a higher one is a decision and a breaking change."""
    assert of_a_sql_server(level) <= alone
    assert of_each_database(level) <= each


STATE = "mssql_ekm_database_state"


def states(recorder):
    """Return the databases by host, and their states."""
    found = {}
    for (name, *labels), value in series(scrape(recorder)).items():
        if name == STATE:
            own = dict(labels)
            found[own["host"], own["database"]] = value
    return found


def of_sql_servers(recorder):
    return {key for key in series(scrape(recorder)) if key[0].startswith("mssql_ekm_")}


def test_reading_replaces_all_series_of_its_server():
    recorder = a_recorder()
    show_reading(recorder, a_reading("hr", "sales"))
    show_reading(recorder, a_reading("web", address="n2", host="n2"))
    assert states(recorder) == {("n1", "hr"): 0, ("n1", "sales"): 0, ("n2", "web"): 0}
    show_reading(recorder, a_reading("pay"))
    assert states(recorder) == {("n1", "pay"): 0, ("n2", "web"): 0}


def test_forgotten_server_has_no_series():
    recorder = a_recorder()
    show_reading(recorder, a_reading())
    show_reading(recorder, a_reading(address="n2", host="n2"))
    recorder.sql_servers.forget("n1\\SQLPRD01")
    recorder.sql_servers.forget("never read")
    assert {dict(labels)["host"] for _, *labels in of_sql_servers(recorder)} == {"n2"}
    recorder.sql_servers.forget("n2")
    assert of_sql_servers(recorder) == set()


def test_first_reading_replaces_the_address_by_the_names():
    recorder = a_recorder()
    show_reading(recorder, an_unread_server())
    show_readiness(recorder, an_unread_server(), READY, now=READ_AT)  # a reading alone does not render it again
    assert {dict(labels)["sql_instance"] for _, *labels in of_sql_servers(recorder)} == {"n1\\SQLPRD01"}
    show_reading(recorder, a_reading())
    assert {dict(labels)["sql_instance"] for _, *labels in of_sql_servers(recorder)} == {"SQLPRD01"}


def test_server_whose_names_another_one_answers_has_its_address():
    recorder = a_recorder()
    show_reading(recorder, a_reading("sales", address="10.0.0.5,1433"))
    show_reading(recorder, a_reading("sales", address="10.0.0.5,1433", contested=True))
    show_reading(recorder, a_reading(sections={"databases": [{"name": "sales", "state": "RECOVERY_PENDING"}]}))
    assert states(recorder) == {("10.0.0.5", "sales"): 0, ("n1", "sales"): 3}
    assert {dict(labels)["sql_instance"] for _, *labels in of_sql_servers(recorder)} == {"SQLPRD01", "10.0.0.5,1433"}


async def _protobuf(recorder):
    return b"".join([piece async for piece in recorder.scrape_protobuf()])


@pytest.mark.parametrize("scraped_before", [False, True])
def test_every_format_has_the_same_series(scraped_before):
    recorder = a_recorder()
    if scraped_before:
        asyncio.run(_protobuf(recorder))
    show_reading(recorder, a_reading('a "quoted" \\ name', "ümlaut"))
    body = asyncio.run(_protobuf(recorder))
    encoded = {key: value for key, value in client_model.series(body).items() if key[0].startswith("mssql_ekm_")}
    text = {key: value for key, value in series(scrape(recorder)).items() if key[0].startswith("mssql_ekm_")}
    plain = {line for line in scrape(recorder).splitlines() if line.startswith(b"mssql_ekm_")}
    assert encoded == text
    assert {line for line in scrape(recorder, openmetrics=True).splitlines() if line.startswith(b"mssql_ekm_")} == plain
    assert len(plain) > 30


@pytest.mark.parametrize("level", Level)
def test_levels_leave_out_series_of_sql_servers(level):
    recorder = a_recorder(level=level)
    show_reading(recorder, a_reading())
    names = names_in(scrape(recorder))
    assert "mssql_ekm_database_state" in names
    assert ("mssql_ekm_backup_started_timestamp_seconds" in names) is (level is not Level.MINIMAL)


def test_exporter_without_scheduler_shows_no_sql_server():
    recorder = a_recorder(per_target_gauges=False)
    show_reading(recorder, a_reading())
    assert of_sql_servers(recorder) == set()


def test_unknown_codes_have_one_label():
    rows = [OTHER | {"lines": 0}, OTHER | {"code": "9999"}, OTHER | {"code": "8888", "last_utc": "2026-11-26T20:00:00"}, LINE]
    rows.append(LINE | {"code": "3041", "backup_of": "sales"})
    rows.append(LINE | {"code": "3041", "backup_of": "hr", "lines": 2})
    recorder = a_recorder()
    show_reading(recorder, a_reading(sections={"errors": rows}))
    found = {
        (name, dict(labels)["code"]): value
        for (name, *labels), value in series(scrape(recorder)).items()
        if "_error_log_" in name
    }
    assert found == {
        ("mssql_ekm_error_log_lines", "other"): 2.0,
        ("mssql_ekm_error_log_lines", "3303"): 1.0,
        ("mssql_ekm_error_log_lines", "3041"): 3.0,
        ("mssql_ekm_error_log_last_timestamp_seconds", "other"): unix("2026-11-26T20:00:00"),
        ("mssql_ekm_error_log_last_timestamp_seconds", "3303"): unix("2026-11-26T19:00:00"),
        ("mssql_ekm_error_log_last_timestamp_seconds", "3041"): unix("2026-11-26T19:00:00"),
    }
