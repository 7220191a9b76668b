"""The rows of proof.sql, from imitated system views."""

from datetime import timedelta

import pytest
from sqlglot import exp

from exporter.knowledge.codes import BY_CODE
from exporter.sqlserver.document import PROOF_SECTIONS, completed, document_from, known_codes, section_problem
from tests.repo.deploy.pretend import OFFSET, PROVIDER, UTC_NOW
from tests.repo.deploy.section_scripts import PROOF, query_of, section_of, section_rows

NOON = UTC_NOW.isoformat()  # two in the afternoon at the server
TEXT = (
    "Cannot open session for cryptographic provider 'AzureKV'. Provider error code: 3303. (Provider Error - No explanation ...)"
)
SALES = {"name": "sales", "database_id": 5, "state": 0, "is_encrypted": 1}
SET = UTC_NOW - timedelta(days=300)
DATES = {name: str(SET) for name in ("create_date", "regenerate_date", "modify_date", "set_date")}
BACKUP = {"database_name": "sales", "server_name": "N1\\SQLPRD01", "type": "L", "is_snapshot": 0}


def rows(section, **views):
    """Return the rows of one section, which its rules accept."""
    (batch,) = [one for one in PROOF if section_of(one) == section]
    found = section_rows((batch,), **views)[section]
    assert section_problem(section, found) is None
    return found


def local(**ago):
    return str(UTC_NOW + OFFSET - timedelta(**ago))


def utc(**ago):
    return (UTC_NOW - timedelta(**ago)).isoformat()


def test_opened_key_has_its_time_without_a_shift():
    found = rows(
        "opened",
        databases=[{"name": "tempdb", "database_id": 2}, SALES, SALES | {"name": "new", "database_id": 6}],
        dm_database_encryption_keys=[
            {"database_id": 2, "encryption_state": 3, "percent_complete": 0.0},
            {"database_id": 5, "encryption_state": 3, "percent_complete": 0.0, "opened_date": str(UTC_NOW)} | DATES,
            {"database_id": 6, "encryption_state": 2, "percent_complete": 41.7},
        ],
    )
    assert found == [
        {"database": "new", "encryption_state": 2, "percent_complete": 41},
        {"database": "sales", "opened_utc": NOON, "set_utc": SET.isoformat(), "encryption_state": 3, "percent_complete": 0},
    ]


@pytest.mark.parametrize("days", [1, -1])
def test_key_counts_from_its_last_change(days):
    moved = SET + timedelta(days=days)
    key = {"database_id": 5} | DATES | {"modify_date": str(moved)}
    (found,) = rows("opened", databases=[SALES], dm_database_encryption_keys=[key])
    assert found["set_utc"] == max(SET, moved).isoformat()


def backup(minutes, **changed):
    """Return a backup that took a minute and ended so long ago."""
    times = {"backup_start_date": local(minutes=minutes + 1), "backup_finish_date": local(minutes=minutes)}
    return BACKUP | times | changed


def test_last_backup_of_each_type_is_listed_in_utc():
    found = rows(
        "backups",
        databases=[SALES],
        backupset=[backup(90), backup(20), backup(50), backup(300, type="D"), backup(800, type="D"), backup(100, type="I")],
    )
    assert found == [
        {"database": "sales", "type": kind, "started_utc": utc(minutes=ended + 1), "finished_utc": utc(minutes=ended)}
        for kind, ended in (("D", 300), ("I", 100), ("L", 20))
    ]


@pytest.mark.parametrize(
    "changed",
    [
        {"server_name": "N2\\SQLPRD01"},  # another node of the group, or a restored history
        {"is_snapshot": 1},
        {"type": "F"},
        {"database_name": "dropped"},
        {"database_name": "plain"},
        {"backup_finish_date": local(days=2, minutes=1)},
        {"type": "D", "backup_finish_date": local(days=35, minutes=1)},
        {"type": "I", "backup_finish_date": local(days=35, minutes=1)},
    ],
)
def test_backup_that_proves_nothing_here_is_left_out(changed):
    databases = [SALES, SALES | {"name": "plain", "is_encrypted": 0}]
    assert rows("backups", databases=databases, backupset=[backup(20, **changed)]) == []


@pytest.mark.parametrize(("kind", "days"), [("D", 34), ("I", 34), ("L", 1)])
def test_backup_is_found_as_long_as_its_type_is_rare(kind, days):
    ended = local(days=days, hours=23)
    found = rows("backups", databases=[SALES], backupset=[backup(0, type=kind, backup_finish_date=ended)])
    assert [row["finished_utc"] for row in found] == [utc(days=days, hours=23)]


def test_search_of_backups_has_a_range_of_its_index_for_each_type():
    (batch,) = [one for one in PROOF if section_of(one) == "backups"]
    searches = [one for one in query_of(batch).find_all(exp.Select) if "backupset" in {t.name for t in one.find_all(exp.Table)}]
    bounded = {search.args["where"].sql("tsql") for search in searches if search.args["from_"].this.name == "backupset"}
    since = "WHERE s.backup_finish_date >= DATEADD(DAY, {}, GETDATE()) AND s.type {} AND s.is_snapshot = 0"
    assert bounded == {since.format("-2", "= 'L'"), since.format("-35", "IN ('D', 'I')")}


STATS = {
    "database_id": 5,
    "current_vlf_sequence_number": 8123,
    "current_vlf_size_mb": 15.94,
    "total_vlf_count": 36,
    "total_log_size_mb": 8192.0,
    "active_log_size_mb": 512.5,
    "log_since_last_log_backup_mb": 510.25,
    "log_backup_time": local(minutes=20),
}
LOG_FILE = {"database_id": 5, "file_id": 2, "type": 1, "size": 1_048_576, "max_size": -1, "growth": 8192}
VOLUME = {"database_id": 5, "file_id": 2, "volume_mount_point": "L:\\", "available_bytes": 100 * 1024}


def log_row(*, stats=STATS, files=(LOG_FILE,), volumes=(VOLUME,), **changed):
    found = rows(
        "logs",
        databases=[SALES | {"log_reuse_wait_desc": "LOG_BACKUP"} | changed],
        dm_db_log_stats=[stats],
        master_files=[*files, LOG_FILE | {"file_id": 1, "type": 0, "max_size": 1, "size": 1}],
        dm_os_volume_stats=[*volumes, VOLUME | {"file_id": 1, "volume_mount_point": "D:\\", "available_bytes": 1024}],
    )
    return found[0] if found else None


def test_log_has_sizes_in_kilobytes_and_the_sequence_number():
    assert log_row() == {
        "database": "sales",
        "vlf_sequence_number": 8123,
        "vlf_count": 36,
        "vlf_mb": 16,
        "total_kb": 8192 * 1024,
        "used_kb": 524_800,
        "since_backup_kb": 522_496,
        "log_backup_utc": utc(minutes=20),
        "volume": "L:\\",
        "disk_free_kb": 100,
        "reuse_wait": "LOG_BACKUP",
    }


@pytest.mark.parametrize("changed", [{"is_encrypted": 0}, {"state": 3}, {"source_database_id": 4}, {"name": "tempdb"}])
def test_log_of_another_database_is_left_out(changed):
    assert log_row(**changed) is None


@pytest.mark.parametrize(
    ("files", "limit_kb"),
    [
        ([LOG_FILE], None),
        ([LOG_FILE | {"max_size": 268_435_456}], 2 * 1024**3),
        ([LOG_FILE | {"max_size": 2_000_000}, LOG_FILE | {"file_id": 3, "max_size": 1000}], 8 * 2_001_000),
        ([LOG_FILE | {"max_size": 2_000_000}, LOG_FILE | {"file_id": 3}], None),
        ([LOG_FILE | {"growth": 0}], 8 * 1_048_576),
        ([LOG_FILE | {"max_size": 0}], 8 * 1_048_576),
        ([], None),  # the login lacks VIEW ANY DEFINITION
    ],
)
def test_limit_of_a_log_is_that_of_all_its_files(files, limit_kb):
    assert log_row(files=files).get("limit_kb") == limit_kb


def test_volume_of_two_log_files_counts_once():
    second = LOG_FILE | {"file_id": 3}
    volumes = [VOLUME, VOLUME | {"file_id": 3, "available_bytes": 99 * 1024}]
    assert log_row(files=[LOG_FILE, second], volumes=volumes)["disk_free_kb"] == 99
    other = VOLUME | {"file_id": 3, "volume_mount_point": "M:\\"}
    both = log_row(files=[LOG_FILE, second], volumes=[VOLUME, other])
    assert (both["disk_free_kb"], both["volume"]) == (200, "L:\\")
    assert {"disk_free_kb", "volume"}.isdisjoint(log_row(files=[LOG_FILE | {"growth": 0}]))


def test_log_of_a_secondary_replica_has_no_sizes():
    found = log_row(stats={"database_id": 5, "log_backup_time": local(minutes=20)})
    disk = {"volume": "L:\\", "disk_free_kb": 100}
    assert found == {"database": "sales", "log_backup_utc": utc(minutes=20), "reuse_wait": "LOG_BACKUP"} | disk


def test_log_that_was_never_backed_up_has_no_time():
    assert "log_backup_utc" not in log_row(stats=STATS | {"log_backup_time": "1900-01-01 00:00:00"})


@pytest.mark.parametrize("is_on", [0, 1])
def test_trace_flag_has_its_status(is_on):
    found = rows("flags", trace_status=[{"flag": 15025, "is_on": is_on, "is_global": None, "is_session": None}])
    assert found == [{"flag": 15025, "is_on": is_on}]


def logged(*lines):
    """Return lines and times by code, as the reader counts them."""
    found = rows("errors", error_log_lines=[{"logged": at, "process": "spid9s", "line": line} for at, line in lines])
    return {row["code"]: (row["lines"], row.get("first_utc"), row.get("last_utc")) for row in known_codes(found)}


def test_error_log_lines_are_counted_by_code():
    found = logged(
        (local(), TEXT),
        (local(hours=1), TEXT),
        (
            local(minutes=30),
            "Key with name 'akv' does not exist in the provider or access is denied. Provider error code  : 3.  (Not Supported)",
        ),
        (local(minutes=20), "Cannot open session. Provider error code: 3106"),
        (local(minutes=10), "Error: 3041, Severity: 16, State: 1."),
        (local(minutes=9), "Fehler: 18204, Schweregrad: 16, Status: 1."),
    )
    assert found == {
        "other": (0, None, None),
        "3303": (2, utc(hours=1), NOON),
        "3": (1, utc(minutes=30), utc(minutes=30)),
        "3106": (1, utc(minutes=20), utc(minutes=20)),
        "3041": (1, utc(minutes=10), utc(minutes=10)),
        "18204": (1, utc(minutes=9), utc(minutes=9)),
    }


@pytest.mark.parametrize(
    "end", [": 9999999999999999999999", ": 33030", ": -1", ": ", "", ": 3303x<script>", ": \uff13\uff13\uff10\uff13"]
)
def test_text_of_the_error_log_is_never_a_code(end):
    found = logged((local(), f"Provider error code{end}"))
    assert set(found) <= {"other", "3303"}
    assert found["other"][0] == (0 if "3303" in found else 1)


def test_every_provider_code_is_counted_by_its_number():
    found = logged(*[(local(), f"Provider error code: {code}.") for code in sorted(BY_CODE)])
    assert set(found) == {"other", *map(str, BY_CODE)}


def test_error_log_without_lines_was_read():
    assert logged() == {"other": (0, None, None)}


def test_error_log_lines_are_limited_to_the_newest():
    lines = [(local(minutes=2), TEXT)] * 1200 + [(local(minutes=1), "Error: 3041, Severity: 16, State: 1.")]
    assert [logged(*lines)[code][0] for code in ("3041", "3303")] == [1, 999]


def test_loaded_provider_describes_itself():
    found = rows(
        "loaded",
        cryptographic_providers=[PROVIDER],
        dm_cryptographic_provider_properties=[
            {"provider_id": 65536, "provider_version": "15.0.2000.440", "friendly_name": "SQL Server Connector"}
        ],
    )
    assert found == [{"provider": "AzureKV", "provider_version": "15.0.2000.440", "friendly_name": "SQL Server Connector"}]


def test_proof_sections_survive_a_document():
    sections = [{"section": name, "rows": []} for name in PROOF_SECTIONS]
    document = document_from({"inventory": 1, "sections": sections})
    assert [name for name in PROOF_SECTIONS if name in completed(document).sections] == [*PROOF_SECTIONS]
    assert not {*PROOF_SECTIONS} & {*document.errors}
