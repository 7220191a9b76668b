"""The collector for sql_exporter: form, columns, rights and results of its queries."""

import re

import pytest
import sqlglot
import yaml
from sqlglot import exp
from sqlglot.optimizer.qualify import qualify

from exporter.core.codes import BY_CODE
from tests.repo.deploy.pretend import EKM_KEY, PROVIDER, SQL, credential, rows_of, schema, without_database
from tests.repo.deploy.system_views import VIEWS

COLLECTOR = yaml.safe_load((SQL / "ekm.collector.yml").read_text())
METRICS = {metric["metric_name"]: metric for metric in COLLECTOR["metrics"]}
NAMED = {query["query_name"]: query["query"] for query in COLLECTOR["queries"]}
QUERIES = {name: metric["query"] for name, metric in METRICS.items() if "query" in metric} | NAMED

# The keys that sql_exporter accepts (config/*.go). sql_exporter refuses any other key.
KEYS = {
    "file": {"collector_name", "min_interval", "metrics", "queries"},
    "query": {"query_name", "query", "no_prepared_statement"},
    "metric": {
        *("metric_name", "type", "help", "key_labels", "static_labels", "value_label", "values", "query", "query_ref"),
        *("no_prepared_statement", "static_value", "timestamp_value"),
    },
}
RESERVED_LABELS = {"job", "target", "instance", "sql_instance", "host", "le"}


def select_of(query: str, *, was_read: bool = True) -> str:
    """Return the SELECT of a query; lines of the error log come from a view."""
    found = re.search(r"^SELECT\b.*", query, re.MULTILINE | re.DOTALL)
    assert found
    return found[0].replace("@log", "sys.error_log_lines").replace("@was_read", str(int(was_read)))


def parsed(query: str) -> exp.Expression:
    """Return the only SELECT; every part of it must be parsed."""
    (statement,) = sqlglot.parse(select_of(query), dialect="tsql")
    assert isinstance(statement, exp.Select)
    return statement


def views(statement: exp.Expression) -> set[str]:
    return {table.name for table in statement.find_all(exp.Table)}


def columns_of(name: str) -> set[str]:
    """Return the columns that the metrics of this query use."""
    using = [metric for metric in METRICS.values() if name in (metric["metric_name"], metric.get("query_ref"))]
    return {column for metric in using for column in [*metric["key_labels"], *metric.get("values", [])]}


def test_collector_has_the_form_of_sql_exporter():
    assert set(COLLECTOR) <= KEYS["file"]
    assert all(set(query) <= KEYS["query"] for query in COLLECTOR["queries"])
    for metric in METRICS.values():
        assert set(metric) <= KEYS["metric"]
        assert metric["type"] == "gauge"
        assert metric["help"]
        assert ("query" in metric) != ("query_ref" in metric)
        assert ("values" in metric) != ("static_value" in metric)
        assert len(metric.get("values", ["one"])) == 1
        assert metric.get("query_ref", next(iter(NAMED))) in NAMED


def test_metric_names_and_labels_are_valid():
    assert len(METRICS) == len(COLLECTOR["metrics"])
    for name, metric in METRICS.items():
        assert re.fullmatch(r"mssql_ekm_[a-z_]+", name)
        assert not RESERVED_LABELS & set(metric["key_labels"])
        assert ("static_value" in metric) == name.endswith("_info")


@pytest.mark.parametrize("name", QUERIES)
def test_query_yields_exactly_the_columns_of_its_metrics(name):
    assert {column.alias_or_name for column in parsed(QUERIES[name]).selects} == columns_of(name)


@pytest.mark.parametrize("name", QUERIES)
def test_query_uses_views_and_columns_of_sql_server(name):
    qualify(without_database(parsed(QUERIES[name])), schema=schema(), dialect="tsql", validate_qualify_columns=True)


def test_unknown_column_is_detected():
    with pytest.raises(sqlglot.errors.OptimizeError):
        qualify(parsed("SELECT c.modified FROM sys.credentials AS c"), schema=schema(), dialect="tsql")


@pytest.mark.parametrize("name", QUERIES)
def test_value_column_is_no_bare_bit(name):
    bits = {column for _, _, those in VIEWS.values() for column in those.split()}
    assert not [
        one for one in parsed(QUERIES[name]).selects if isinstance(one.unalias(), exp.Column) and one.unalias().name in bits
    ]


STARTED = {"sqlserver_start_time": "2026-11-20 10:00:00"}  # local time: 08:00 UTC


def test_credential_altered_after_the_start_is_marked():
    rows = rows_of(
        QUERIES["mssql_ekm_credential_modified_after_start"],
        cryptographic_providers=[PROVIDER],
        dm_os_sys_info=[STARTED],
        credentials=[
            credential("before", "2025-01-01 09:00:00", "2026-11-20 09:59:59"),
            credential("after", "2025-01-01 09:00:00", "2026-11-20 10:00:01"),
            credential("of a file share", "2025-01-01 09:00:00", "2026-11-21 10:00:00", target_type=None, target_id=0),
        ],
    )

    assert {row["credential"]: row["modified_after_start"] for row in rows} == {"before": 0, "after": 1}


def test_created_credential_has_a_unix_time_and_no_alteration():
    rows = rows_of(
        QUERIES["credentials"],
        cryptographic_providers=[PROVIDER],
        credentials=[
            credential("created", "2026-11-24 14:00:00.1", "2026-11-24 14:00:00.2"),
            credential("altered", "2025-01-01 09:00:00", "2026-11-24 14:00:00"),
        ],
    )

    noon = 1795521600  # 2026-11-24 12:00 UTC, two in the afternoon at the server
    assert [(row["credential"], row["ag"], row["modified"], row["altered"]) for row in rows] == [
        ("created", "", noon, None),
        ("altered", "", noon, noon),
    ]


def test_credential_is_listed_under_each_local_group():
    rows = rows_of(
        QUERIES["credentials"],
        cryptographic_providers=[PROVIDER],
        credentials=[credential("c", "2025-01-01 09:00:00", "2025-01-01 09:00:00")],
        availability_groups=[{"name": "AG7"}, {"name": "AG8", "is_distributed": 0}, {"name": "far", "is_distributed": 1}],
    )

    assert sorted(row["ag"] for row in rows) == ["AG7", "AG8"]


@pytest.mark.parametrize(("provider", "option", "enabled"), [(1, 1, 1), (0, 1, 0), (1, 0, 0), (1, None, 1)])
def test_provider_is_enabled_if_it_and_the_option_are(provider, option, enabled):
    rows = rows_of(
        QUERIES["mssql_ekm_provider_enabled"],
        cryptographic_providers=[PROVIDER | {"is_enabled": provider}],
        configurations=[{"name": "EKM provider enabled", "value_in_use": option}] if option is not None else [],
    )

    assert rows == [{"provider": "AzureKV", "provider_enabled": enabled}]


def test_loaded_dll_is_shown_with_the_file_version_of_its_path():
    dll = "C:\\EKM\\ekm.dll"
    rows = rows_of(
        QUERIES["mssql_ekm_provider_dll_info"],
        cryptographic_providers=[PROVIDER | {"dll_path": dll}, PROVIDER | {"name": "unused", "dll_path": "C:\\old.dll"}],
        dm_os_loaded_modules=[{"name": dll, "file_version": "15.0:2000.440"}, {"name": "other.dll", "file_version": "1.0:0.0"}],
    )

    assert rows == [{"ag": "", "provider": "AzureKV", "file_version": "15.0.2000.440", "dll_path": dll}]


def test_database_and_key_thumbprints_have_one_form():
    thumbprint = bytes.fromhex("00ff" * 10)
    keys = rows_of(
        QUERIES["mssql_ekm_asymmetric_key_info"],
        cryptographic_providers=[PROVIDER],
        asymmetric_keys=[
            EKM_KEY | {"name": "K1", "thumbprint": thumbprint},
            {"name": "of a certificate", "thumbprint": thumbprint},
        ],
    )
    states = rows_of(
        QUERIES["encryption"],
        databases=[{"name": "tempdb", "database_id": 2}, {"name": "sales", "database_id": 5}],
        dm_database_encryption_keys=[
            {"database_id": 2, "encryption_state": 3},
            {"database_id": 5, "encryption_state": 3, "encryptor_thumbprint": thumbprint, "opened_date": "1970-01-02 00:00:00"},
        ],
    )

    assert keys == [{"key_name": "K1", "thumbprint": "0x" + "00FF" * 10, "provider": "AzureKV"}]
    assert [(row["database"], row["encryptor_thumbprint"], row["opened"]) for row in states] == [
        ("sales", keys[0]["thumbprint"], 86400)
    ]


def test_start_metric_names_computer_and_time():
    (row,) = rows_of(QUERIES["mssql_ekm_start_timestamp_seconds"], dm_os_sys_info=[STARTED])

    assert (row["server_name"], row["node"], row["started"]) == ("N1\\SQLPRD01", "N1", 1795161600)


BATCH = QUERIES["error_log"]
TEXT = (
    "Cannot open session for cryptographic provider 'AzureKV'. Provider error code: 3303. (Provider Error - No explanation ...)"
)


def logged(*lines: tuple[str, str], was_read: bool = True) -> dict[str, tuple[int, int | None]]:
    """Return number and time by code, for lines of the error log with their local times."""
    rows = [{"logged": at, "process": "spid9s", "line": line} for at, line in lines]
    found = rows_of(select_of(BATCH, was_read=was_read), error_log_lines=rows)
    return {row["code"]: (row["lines"], row["last_seen"]) for row in found}


def test_error_log_batch_reads_and_never_fails():
    frame = BATCH[: BATCH.index("SELECT\n")]
    tried = re.fullmatch(
        r"SET NOCOUNT ON;\n(DECLARE .+;\nDECLARE .+;\n)BEGIN TRY\n  INSERT INTO @log \(logged, process, line\)\n  (EXEC .+;)\n"
        r"  SET @was_read = 1;\nEND TRY\nBEGIN CATCH\n  SET @was_read = 0;\nEND CATCH;\n",
        frame,
    )
    assert tried
    assert {type(one) for one in sqlglot.parse(tried[1], dialect="tsql")} == {exp.Declare}
    assert tried[2] == "EXEC master.sys.xp_readerrorlog 0, 1, N'Provider error code', NULL, @since, @until, N'desc';"
    assert "@since datetime = DATEADD(hour, -24, GETDATE())" in tried[1]


def test_error_log_lines_are_counted_by_code():
    noon = 1795521600  # 2026-11-24 12:00 UTC, two in the afternoon at the server
    found = logged(
        ("2026-11-24 14:00:00", TEXT),
        ("2026-11-24 13:00:00", TEXT),
        (
            "2026-11-24 13:30:00",
            "Key with name 'akv' does not exist in the provider or access is denied. Provider error code  : 3.  (Not Supported)",
        ),
        ("2026-11-24 13:40:00", "Cannot open session. Provider error code: 3106"),
    )
    assert found == {"3303": (2, noon), "3": (1, noon - 1800), "3106": (1, noon - 1200), "other": (0, None)}


@pytest.mark.parametrize(
    "end", [": 9999999999999999999999", ": 33030", ": -1", ": ", "", ": 3303x<script>", ": \uff13\uff13\uff10\uff13"]
)
def test_text_of_the_error_log_is_never_a_label(end):
    found = logged(("2026-11-24 14:00:00", f"Provider error code{end}"))
    assert set(found) <= {"other", "3303"}
    assert found["other"][0] == (0 if "3303" in found else 1)


def test_labels_of_the_error_log_are_the_known_codes():
    (listed,) = re.findall(r"n\.number IN \(([^)]+)\)", BATCH)
    assert re.findall(r"'(\w+)'", listed) == [str(code) for code in sorted(BY_CODE)]


def test_error_log_without_a_right_has_no_series():
    assert logged(was_read=False) == {}
    assert logged() == {"other": (0, None)}


def test_error_log_lines_are_limited():
    assert logged(*[("2026-11-24 14:00:00", TEXT)] * 1200)["3303"][0] == 1000


def test_sql_exporter_example_loads_the_collector():
    example = yaml.safe_load((SQL / "sql_exporter.yml").read_text())

    assert set(example) == {"global", "target", "collector_files"}
    assert set(example["target"]) == {"data_source_name", "collectors"}
    assert example["target"]["collectors"] == [COLLECTOR["collector_name"]]
    assert [(SQL / name).is_file() for name in example["collector_files"]] == [True]
