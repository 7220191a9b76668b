"""The rows of proof.sql, from imitated system views."""

import re
from datetime import timedelta

import pytest

from exporter.sqlserver import script
from exporter.sqlserver.document import section_problem
from tests.repo.deploy.pretend import OFFSET, PROVIDER, UTC_NOW
from tests.repo.deploy.section_scripts import PROOF, section_of, section_rows

NOON = UTC_NOW.isoformat()  # two in the afternoon at the server
TEXT = (
    "Cannot open session for cryptographic provider 'AzureKV'. Provider error code: 3303. (Provider Error - No explanation ...)"
)
SALES = {
    "name": "sales",
    "database_id": 5,
    "state": 0,
    "is_encrypted": 1,
    "is_auto_close_on": 0,
    "create_date": "2024-01-01 00:00:00",
}
SET = UTC_NOW - timedelta(days=300)
DATES = {name: str(SET) for name in ("create_date", "regenerate_date", "modify_date", "set_date")}
BACKUP = {"database_name": "sales", "server_name": "N1\\SQLPRD01", "type": "L", "is_snapshot": 0, "time_zone": 8}


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


@pytest.mark.parametrize("column", DATES)
@pytest.mark.parametrize("unknown", [(), ("set_date",), ("create_date", "modify_date")])
def test_key_counts_from_its_last_change(column, unknown):
    moved = SET + timedelta(days=1)
    key = {"database_id": 5} | DATES | dict.fromkeys(unknown) | {column: str(moved)}
    (found,) = rows("opened", databases=[SALES], dm_database_encryption_keys=[key])
    assert found["set_utc"] == moved.isoformat()


@pytest.mark.parametrize("offset", [0, 60, 120, -270])
def test_start_has_the_offset_that_held_then(offset):
    ticks = {"ms_ticks": 90_000_000, "sqlserver_start_time_ms_ticks": 3_600_000}  # 24 hours
    local = str(UTC_NOW - timedelta(hours=24) + timedelta(minutes=offset, seconds=3))
    assert rows("service", dm_os_sys_info=[{"sqlserver_start_time": local} | ticks]) == [
        {"started_utc": (UTC_NOW - timedelta(hours=24) + timedelta(seconds=3)).isoformat()}
    ]


@pytest.mark.parametrize("known", [(), (7, 1009)])
def test_history_has_its_newest_number(known):
    found = rows("history", backupset=[backup(20, backup_set_id=number) for number in known])
    assert found == [{"newest_id": max(known)} if known else {}]


def backup(minutes, **changed):
    """Return a backup that took a minute and ended so long ago, at an offset of two hours."""
    times = {"backup_start_date": local(minutes=minutes + 1), "backup_finish_date": local(minutes=minutes)}
    return BACKUP | times | changed


def backups(*found, databases=(SALES,)):
    return rows("backups", databases=databases, backupset=[{"backup_set_id": n} | one for n, one in enumerate(found, 1)])


def test_last_backup_of_each_type_is_listed_in_utc_with_its_gaps():
    found = backups(
        *(backup(minutes) for minutes in (20, 90, 50, 400)),
        *(backup(minutes, type="D") for minutes in (300, 800)),
        *(backup(100, type=kind) for kind in "IFGPQ"),
    )
    gaps = {"D": {"gaps": 1, "longest_seconds": 30_000}, "L": {"gaps": 3, "longest_seconds": 18_600, "second_seconds": 2400}}
    assert found == [
        {
            "database": "sales",
            "type": kind,
            "started_utc": utc(minutes=ended + 1),
            "finished_utc": utc(minutes=ended),
            "offset_minutes": 120,
            **gaps.get(kind, {"gaps": 0}),
        }
        for kind, ended in (("D", 300), ("F", 100), ("G", 100), ("I", 100), ("L", 20), ("P", 100), ("Q", 100))
    ]


@pytest.mark.parametrize(("zone", "hours", "offset"), [(4, 1, 60), (0, 0, 0), (-18, -4.5, -270), (127, 2, None), (None, 2, None)])
def test_backup_counts_by_the_offset_that_is_stored_with_it(zone, hours, offset):
    started, finished = (str(UTC_NOW + timedelta(hours=hours, minutes=minutes)) for minutes in (-91, -90))
    (found,) = backups(backup(0, time_zone=zone, backup_start_date=started, backup_finish_date=finished))
    assert (found["started_utc"], found["finished_utc"]) == (utc(minutes=91), utc(minutes=90))
    assert found.get("offset_minutes") == offset


@pytest.mark.parametrize(("moved", "finished"), [(60, utc(minutes=0)), (-60, utc(minutes=10))])
def test_end_of_a_backup_over_a_change_of_the_offset_is_between_its_start_and_now(moved, finished):
    (found,) = backups(backup(0, backup_start_date=local(minutes=10), backup_finish_date=local(minutes=5 - moved)))
    assert (found["started_utc"], found["finished_utc"]) == (utc(minutes=10), finished)


@pytest.mark.parametrize(
    "changed",
    [
        {"server_name": "N2\\SQLPRD01"},  # another node of the group, or a restored history
        {"is_snapshot": 1},
        {"database_name": "dropped"},
        {"database_name": "plain"},
        {"database_name": "again"},  # an earlier database of this name
        {"backup_finish_date": local(days=35, minutes=1)},
        {"type": "D", "backup_finish_date": local(days=35, minutes=1)},
    ],
)
def test_backup_that_proves_nothing_here_is_left_out(changed):
    databases = [
        SALES,
        SALES | {"name": "plain", "is_encrypted": 0},
        SALES | {"name": "again", "create_date": local(minutes=20, seconds=30)},
    ]
    assert backups(backup(20, **changed), databases=databases) == []


def test_search_of_backups_is_bounded():
    found = backups(backup(20, backup_set_id=1), backup(50, type="D", backup_set_id=500_001))
    assert [row["type"] for row in found] == ["D"]


def test_backups_are_read_on_from_a_number_less_the_overlap():
    sent = dict(script.proof_batches(after=600_000))["backups"]
    assert "WHERE s.backup_set_id > 599000\n" in sent
    assert sent.replace("599000", script._NEWEST) == dict(script.batches(script.PROOF))["backups"]


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
GIB = 1024**2  # KB
LOG_FILE = {"database_id": 5, "file_id": 2, "type": 1, "size": 1_048_576, "max_size": -1, "growth": 1, "is_percent_growth": 0}
VOLUME = {"database_id": 5, "file_id": 2, "volume_mount_point": "L:\\", "available_bytes": 104 * 1024}


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
        "disk_free_kb": 104,
        "reuse_wait": "LOG_BACKUP",
    }


@pytest.mark.parametrize(
    "changed", [{"is_encrypted": 0}, {"state": 3}, {"source_database_id": 4}, {"is_auto_close_on": 1}, {"name": "tempdb"}]
)
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
    volumes = [VOLUME, VOLUME | {"file_id": 3, "available_bytes": 96 * 1024}]
    assert log_row(files=[LOG_FILE, second], volumes=volumes)["disk_free_kb"] == 96
    other = VOLUME | {"file_id": 3, "volume_mount_point": "M:\\"}
    both = log_row(files=[LOG_FILE, second], volumes=[VOLUME, other])
    assert (both["disk_free_kb"], both["volume"], both["last_volume"]) == (208, "L:\\", "M:\\")
    assert {"disk_free_kb", "volume"}.isdisjoint(log_row(files=[LOG_FILE | {"growth": 0}]))


@pytest.mark.parametrize("full", [{"max_size": 1_048_576}, {"growth": 0}, {"max_size": 0}])
def test_file_that_cannot_grow_lends_nothing_of_its_disk(full):
    large = VOLUME | {"file_id": 3, "volume_mount_point": "M:\\", "available_bytes": 91 * GIB * 1024}
    found = log_row(files=[LOG_FILE, LOG_FILE | {"file_id": 3} | full], volumes=[VOLUME, large])
    assert (found["disk_free_kb"], found["volume"]) == (104, "L:\\")


@pytest.mark.parametrize(
    ("changed", "available_kb", "lent_kb"),
    [
        ({"growth": 8192}, 200_000, 196_608),  # three steps of 64 MB
        ({"growth": 8192}, 65_535, 0),
        ({"growth": 10, "is_percent_growth": 1}, 2 * GIB, 1_677_712),  # steps of 0.8 GB
        ({"growth": 8192, "max_size": 1_048_576 + 1000}, 200_000, 8000),  # the last step is shorter
        ({"growth": 8192, "max_size": 1_048_576 + 100_000}, 200_000, 196_608),
    ],
)
def test_disk_lends_whole_steps_until_the_maximum_of_the_file(changed, available_kb, lent_kb):
    volume = VOLUME | {"available_bytes": available_kb * 1024}
    assert log_row(files=[LOG_FILE | changed], volumes=[volume])["disk_free_kb"] == lent_kb


def test_log_of_a_secondary_replica_has_no_sizes():
    found = log_row(stats={"database_id": 5, "log_backup_time": local(minutes=20)})
    disk = {"volume": "L:\\", "disk_free_kb": 104}
    assert found == {"database": "sales", "log_backup_utc": utc(minutes=20), "reuse_wait": "LOG_BACKUP"} | disk


def test_log_that_was_never_backed_up_has_no_time():
    assert "log_backup_utc" not in log_row(stats=STATS | {"log_backup_time": "1900-01-01 00:00:00"})


@pytest.mark.parametrize("is_on", [0, 1])
def test_trace_flag_has_its_status(is_on):
    found = rows("flags", trace_status=[{"flag": 15025, "is_on": is_on, "is_global": None, "is_session": None}])
    assert found == [{"flag": 15025, "is_on": is_on}]


def logged(*lines):
    """Return lines and times by code and by what was backed up."""
    found = rows("errors", error_log_lines=[{"logged": at, "process": process, "line": line} for at, process, line in lines])
    return {
        (row["code"], row.get("backup_of")): (row["lines"], row.get("first_utc"), row.get("last_utc"))
        for row in found
        if row["code"] != script.READ
    }


def lines_of(*texts, minutes=0, process="spid9s"):
    """Return lines of one moment and process."""
    return [(local(minutes=minutes), process, text) for text in texts]


def codes(*texts):
    """Return the codes of lines of one moment and process, and what was backed up."""
    return sorted((code if backup_of is None else f"{code} {backup_of}") for code, backup_of in logged(*lines_of(*texts)))


def test_error_log_lines_are_counted_by_code():
    key = "Key with name 'akv' does not exist in the provider or access is denied. Provider error code  : 3.  (Not Supported)"
    found = logged(
        *lines_of(TEXT),
        *lines_of(TEXT, minutes=60),
        *lines_of("Error: 33049, Severity: 16, State: 1.", key, minutes=30),
        *lines_of("Cannot open session. Provider error code: 3106", minutes=20),
        *lines_of("Error: 3041, Severity: 16, State: 1.", minutes=10),
        *lines_of("Fehler: 18204, Schweregrad: 16, Status: 1.", minutes=9),
        *lines_of("Error: 18456, Severity: 14, State: 8.", "Login failed for user 'ekm'.", minutes=8),
    )
    assert {code: times for (code, _), times in found.items()} == {
        "3303": (2, utc(hours=1), NOON),
        "3": (1, utc(minutes=30), utc(minutes=30)),
        "3106": (1, utc(minutes=20), utc(minutes=20)),
        "3041": (1, utc(minutes=10), utc(minutes=10)),
        "18204": (1, utc(minutes=9), utc(minutes=9)),
    }


@pytest.mark.parametrize(
    ("code", "texts"),
    [
        ("9999", ["Cannot open session for cryptographic provider 'a:5'. Provider error code: 9999. (Provider Error)"]),
        ("3303", ["Fehler: 33049, Schweregrad: 16, Status: 1.", "Der Zugriff wird verweigert. Anbietercode: 3303. (Fehler)"]),
        ("3303", ["Die Sitzung kann nicht geoeffnet werden. Anbieterfehlercode: 3303. (Fehler)"]),
        ("3303", ["Impossible d'ouvrir. Code d'erreur du fournisseur\xa0: 3303. (Erreur)"]),
        ("3303", ["Keine Sitzung. Nummer: 3303. (Fehler - Details beim EKM-Anbieter)"]),
        (
            "3303",
            [
                "\u30a8\u30e9\u30fc: 33028\u3001\u91cd\u5927\u5ea6: 16\u3001\u72b6\u614b: 1\u3002",
                "\u30b3\u30fc\u30c9\uff1a3303\u3002",
            ],
        ),
        ("33111", ["Error: 33111, Severity: 16, State: 3.", "Cannot find server asymmetric key with thumbprint '0x1A'."]),
        (
            "33027",
            ["Error: 33027, Severity: 16, State: 1.", r"Cannot load library 'C:\ekm.dll'. See errorlog for more information."],
        ),
        ("33029", ["Error: 33029, Severity: 16, State: 1.", "Cannot initialize. Provider error code: 0. (Success)"]),
        ("other", ["Provider error code: -1"]),
    ],
)
def test_line_of_a_provider_has_its_code_in_any_language(code, texts):
    assert codes(*texts) == [code]


@pytest.mark.parametrize(
    "text",
    [
        "Configuration option 'EKM provider enabled' changed from 0 to 1. Run the RECONFIGURE statement to install.",
        (
            "Log was backed up. Database: ekm, creation date(time): 2026/01/05(09:00:00), first LSN: 37:24:1, number of dump devices: 1, "
            "device information: (FILE=1, TYPE=DISK: {'D:\\EKM\\1.trn'})."
        ),
        "Error: 9002, Severity: 17, State: 2.",
        "Login failed for user 'x'. Reason: 3041: 5: 6: 7",
        "BACKUP DATABASE successfully processed 378 pages in 0.03 seconds (98.400 MB/sec).",
    ],
)
def test_other_line_has_no_code(text):
    assert codes(text) == []


FAILED = "BACKUP failed to complete the command BACKUP {} {}. Check the backup application log for detailed messages."


@pytest.mark.parametrize("kind", ["DATABASE", "LOG"])
@pytest.mark.parametrize(
    "texts",
    [
        ["Error: 3041, Severity: 16, State: 1.", FAILED],
        ["Fehler: 3041, Schweregrad: 16, Status: 1.", "Fehler beim Befehl BACKUP {} {}. Weitere Meldungen stehen im Log."],
        [FAILED],
    ],
)
def test_failed_backup_names_its_database(kind, texts):
    ((code, of),) = logged(*lines_of(*(text.format(kind, "sales") for text in texts)))
    assert code == "3041"
    assert of.startswith("sales. ")


def test_failed_backup_with_its_device_and_a_code_at_the_same_time():
    found = codes(
        "Error: 18204, Severity: 16, State: 1.",
        "BackupDiskFile::CreateMedia: Backup device 'X' failed to create.",
        "Error: 3041, Severity: 16, State: 1.",
        FAILED.format("LOG", "s" * 200),
        "Error: 33028, Severity: 16, State: 1.",
        TEXT,
    )
    assert found == ["18204", f"3041 {'s' * 140}", "3303"]


@pytest.mark.parametrize(
    "end", [": 9999999999999999999999", ": 33030", ": -1", ": ", "", ": 3303x<script>", ": \uff13\uff13\uff10\uff13"]
)
def test_code_is_digits_or_other(end):
    (found,) = codes(f"Provider error code{end}")
    assert found == "other" or re.fullmatch("[0-9]{1,20}", found)


def test_lines_of_failed_backups_push_no_code_out():
    texts = [FAILED.format("LOG", f"database{number}") for number in range(1200)]
    found = logged(*lines_of(TEXT, minutes=90), *lines_of(*texts))
    assert found["3303", None][0] == 1
    assert len(found) == 999


def test_file_of_the_error_log_says_what_was_asked_for_and_its_oldest_line():
    (found,) = rows("errors", error_log_lines=[{"logged": local(minutes=at), "line": "text"} for at in (5, 90, 7)])
    read = {"first_utc": utc(minutes=90), "last_utc": utc(minutes=5), "since_utc": utc(hours=24)}
    assert found == {"code": script.READ, "lines": 3, **read}
    assert rows("errors") == [{"code": script.READ, "lines": 0, "since_utc": utc(hours=24)}]


def test_loaded_provider_describes_itself():
    found = rows(
        "loaded",
        cryptographic_providers=[PROVIDER],
        dm_cryptographic_provider_properties=[
            {"provider_id": 65536, "provider_version": "15.0.2000.440", "friendly_name": "SQL Server Connector"}
        ],
    )
    assert found == [{"provider": "AzureKV", "provider_version": "15.0.2000.440", "friendly_name": "SQL Server Connector"}]


SESSION = {
    "address": b"\x01",
    "name": "audit of somebody",
    "create_time": local(hours=3),
    "dropped_event_count": 2,
    "dropped_buffer_count": 1,
}
CALLED = {"event_session_address": b"\x01", "event_name": "sec_ekm_provider_called"}
FILE = "C:\\Log\\x_0_134.xel"
TARGET = {
    "event_session_address": b"\x01",
    "target_name": "event_file",
    "target_data": f'<EventFileTarget truncated="0"><Buffers logged="1" dropped="0"/><File name="{FILE}"/></EventFileTarget>',
}


def traces(session=SESSION, event=CALLED, target=TARGET, latency=5000):
    defined = [] if latency is None else [{"name": "audit of somebody", "max_dispatch_latency": latency}, {"name": "other"}]
    views = {"dm_xe_sessions": [session], "dm_xe_session_events": [event], "dm_xe_session_targets": [target]}
    return rows("trace", server_event_sessions=defined, **views)


def test_session_is_found_by_what_it_records():
    found = {
        "started_utc": utc(hours=3),
        "dropped": 3,
        "is_filtered": 0,
        "is_delayed": 0,
        "file": FILE,
        "error_log": "C:\\Log\\ERRORLOG",
    }
    assert traces() == [found]
    assert traces(event=CALLED | {"event_predicate": "(NOT [cred_prov_result]=(0))"}) == [found | {"is_filtered": 1}]
    assert traces(event=CALLED | {"event_name": "wait_info"}) == []
    assert traces(target=TARGET | {"target_name": "ring_buffer"}) == []
    assert traces(target=TARGET | {"target_data": "<EventFileTarget/>"}) == []


@pytest.mark.parametrize(("latency", "is_delayed"), [(1, 0), (60_000, 0), (60_001, 1), (0, 1), (-1, 1), (None, 1)])
def test_session_that_may_keep_events_in_memory_for_more_than_a_minute_is_delayed(latency, is_delayed):
    assert [row["is_delayed"] for row in traces(latency=latency)] == [is_delayed]


def test_calls_have_events_of_providers_alone_in_their_order():
    event = {"object_name": "sec_ekm_provider_called", "event_data": "<event/>" + "x" * 3000, "file_name": FILE}
    found = rows(
        "calls",
        fn_xe_file_target_read_file=[
            event | {"file_offset": 1024},
            event | {"file_offset": 512},
            event | {"object_name": "login"},
        ],
    )
    assert [row["offset"] for row in found] == [512, 1024]
    assert {(row["file"], row["anew"], len(row["event"])) for row in found} == {(FILE, 1, 2000)}
