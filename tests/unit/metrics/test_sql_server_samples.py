"""Each series of a SQL Server, from the rows that SQL Server answered."""

from __future__ import annotations

import pytest

from exporter.metrics.sql_server import labels_of, sql_server_samples
from exporter.metrics.sql_server_families import FEW, MOST, SQL_SERVER_METRICS
from exporter.sqlserver.document import MOST_ROWS
from tests.support.sql_readings import READ_AT, a_reading, an_unread_server, proof_rows, unix, with_growing_logs

PREFIX = "mssql_ekm_"
CREDENTIAL = {"name": "tde_cred", "identity": "contoso-prod", "provider": "AzureKV", "created_utc": "2026-01-02T03:04:05"}
OF_DATABASES = [spec.name for spec in SQL_SERVER_METRICS if spec.own[:1] == ("database",)]


def shown(name, reading=None, **sections):
    """Return the samples of a family: {label values: value}."""
    values = sql_server_samples(a_reading(sections=sections) if reading is None else reading)
    return {tuple(value for _, value in labels): value for labels, value in values[PREFIX + name]}


@pytest.mark.parametrize(
    ("name", "expected"),
    [
        ("read_success", {(): 1}),
        ("read_refused", {(): 0}),
        ("objects_left_out", {(): 0}),
        ("start_timestamp_seconds", {("N1\\SQLPRD01", "N1", "16.0.4105.2"): unix("2026-11-01T00:00:00")}),
        ("provider_enabled", {("AzureKV",): 1}),
        ("provider_info", {("", "AzureKV", "1.0.5.0", "C:\\x.dll"): 1}),
        ("provider_dll_info", {("", "AzureKV", "15.0.2000.440", "C:\\x.dll"): 1}),
        ("provider_loaded_info", {("", "AzureKV", "1.0.5.0", "Azure Key Vault"): 1}),
        ("credential_modified_after_start", {("AzureKV", "tde_cred", "contoso-prod"): 0}),
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


def test_section_times_are_those_of_the_last_good_reading():
    reading = a_reading(read_at={"keys": READ_AT, "errors": READ_AT - 60})
    assert shown("section_timestamp_seconds", reading) == {("keys",): READ_AT, ("errors",): READ_AT - 60}


def test_reading_has_samples_for_every_family_and_label():
    values = sql_server_samples(a_reading())
    assert values.keys() == {spec.name for spec in SQL_SERVER_METRICS}
    for spec in SQL_SERVER_METRICS:
        assert {tuple(name for name, _ in labels) for labels, _ in values[spec.name]} <= {spec.own}


def test_unread_server_shows_only_that_it_was_not_read():
    values = sql_server_samples(an_unread_server(refused=True))
    assert values.keys() == {spec.name for spec in SQL_SERVER_METRICS}
    assert {name: samples for name, samples in values.items() if samples} == {
        "mssql_ekm_read_success": [((), 0)],
        "mssql_ekm_read_refused": [((), 1)],
    }


def test_failed_attempt_keeps_the_last_good_series():
    reading = a_reading(failure="does not answer")
    assert shown("read_success", reading) == {(): 0}
    assert shown("database_state", reading) == {("sales", "", ""): 0}


def test_labels_are_those_of_the_reading():
    assert dict(labels_of(a_reading()).labels) == {"sql_instance": "SQLPRD01", "host": "n1"}


@pytest.mark.parametrize(
    ("address", "known", "expected"),
    [
        ("N1.contoso.com,1444", {}, ("N1.contoso.com,1444", "n1.contoso.com")),
        ("n1\\PROD", {"sql_instance": "SQLPRD01"}, ("SQLPRD01", "n1")),
        ("n1\\PROD", {"host": "web"}, ("n1\\PROD", "web")),
    ],
)
def test_address_stands_for_unknown_labels(address, known, expected):
    labels = dict(labels_of(an_unread_server(address, **known)).labels)
    assert (labels["sql_instance"], labels["host"]) == expected


@pytest.mark.parametrize(("provider", "option", "enabled"), [(1, 1, 1), (0, 1, 0), (1, 0, 0), (1, None, 1)])
def test_provider_is_enabled_if_it_and_the_option_are(provider, option, enabled):
    options = [] if option is None else [{"name": "EKM provider enabled", "value": 1, "value_in_use": option}]
    providers = [{"name": "AzureKV", "is_enabled": provider}]
    assert shown("provider_enabled", providers=providers, configurations=options) == {("AzureKV",): enabled}


def test_module_of_no_provider_has_no_series():
    assert shown("provider_dll_info", modules=[{"provider": "other", "file_version": "1"}]) == {}
    assert shown("provider_loaded_info", loaded=[{"provider": "other", "provider_version": "1"}]) == {}


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
    ("modified", "after", "altered"),
    [
        ("2026-01-02T03:04:06", 0, None),
        ("2026-01-02T03:04:07", 0, unix("2026-01-02T03:04:07")),
        ("2026-11-01T00:00:00", 0, unix("2026-11-01T00:00:00")),
        ("2026-11-01T00:00:01", 1, unix("2026-11-01T00:00:01")),
    ],
)
def test_altered_credential_is_compared_with_creation_and_start(modified, after, altered):
    credentials = [CREDENTIAL | {"modified_utc": modified}]
    assert list(shown("credential_modified_after_start", credentials=credentials).values()) == [after]
    found = list(shown("credential_altered_timestamp_seconds", credentials=credentials).values())
    assert found == ([] if altered is None else [altered])


@pytest.mark.parametrize("start", [[], None, [{"started_utc": "yesterday"}]])
def test_credential_is_not_compared_with_an_unknown_start(start):
    assert shown("credential_modified_after_start", start=start) == {}
    assert shown("start_timestamp_seconds", start=start) == {}


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


@pytest.mark.parametrize(
    ("state", "value"),
    [("RESTORING", 1), ("RECOVERING", 2), ("RECOVERY_PENDING", 3), ("SUSPECT", 4), ("EMERGENCY", 5), ("OFFLINE", 6)],
)
def test_database_state_has_the_number_of_sql_server(state, value):
    assert shown("database_state", databases=[{"name": "sales", "state": state}]) == {("sales", "", ""): value}


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
    assert len(shown("credential_modified_after_start", reading)) == FEW
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


def test_repeated_row_is_one_series():
    twice = [{"flag": 15025, "is_on": 0}, {"flag": 15025, "is_on": 1}]
    assert sql_server_samples(a_reading(sections={"flags": twice}))["mssql_ekm_trace_flag_enabled"] == [((("flag", "15025"),), 1)]


def test_other_trace_flag_has_no_series():
    assert shown("trace_flag_enabled", flags=[{"flag": 1117, "is_on": 1}]) == {}


def test_codes_of_the_error_log_have_lines_and_a_time():
    errors = [
        {"code": "other", "lines": 0},
        {"code": "3303", "lines": 2, "first_utc": "2026-11-26T18:00:00", "last_utc": "2026-11-26T19:00:00"},
        {"code": "18204", "lines": 4, "first_utc": "2026-11-26T19:01:00", "last_utc": "2026-11-26T19:01:00"},
    ]
    assert shown("error_log_lines", errors=errors) == {("other",): 0, ("3303",): 2, ("18204",): 4}
    assert shown("error_log_last_timestamp_seconds", errors=errors) == {
        ("3303",): unix("2026-11-26T19:00:00"),
        ("18204",): unix("2026-11-26T19:01:00"),
    }


def test_unread_section_has_no_series():
    assert shown("error_log_lines", errors=None) == {}
    assert shown("trace_flag_enabled", flags=None) == {}
    assert shown("database_state", databases=None, encryption=None) == {}


@pytest.mark.parametrize("value", ["3", "", None, 2**60, -(2**60), 10**400])
def test_impossible_number_has_no_series(value):
    logs = [{"database": "sales", **({} if value is None else {"vlf_sequence_number": value})}]
    assert shown("log_vlf_sequence_number", logs=logs) == {}


@pytest.mark.parametrize("value", ["", "soon", "0001-01-01T00:00:00", 7])
def test_impossible_time_has_no_series(value):
    opened = [{"database": "sales", "opened_utc": value}]
    assert shown("database_key_opened_timestamp_seconds", opened=opened) == {}


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
