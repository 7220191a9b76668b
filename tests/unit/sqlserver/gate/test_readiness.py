"""What the restart readiness rests on: by row of the evidence, what is changed in a ready reading, and what is missing then."""

import pytest

from exporter.sqlserver.gate.conditions import CONDITIONS
from exporter.sqlserver.gate.readiness import EVIDENCE
from exporter.sqlserver.gate.render import as_json, as_text
from tests.support.gate_factories import DAY, HOUR, NOW, URIS, V1, V2, VAULT, answer, answer_of, conditions, row, state
from tests.support.sql_readings import SESSION, a_call, a_reading, proof_rows, sections_of, with_growing_logs
from tests.support.values import replace

TODAY = "2026-11-26T"
DENIED = "message 229: denied"
FAILING = row(vault_side_ready=False, code=3303, step="token")
OF_APP = row(client_id="app")


def reading(*, aged=(), lacks=None, about=None, uris=None, **sections):
    """A ready reading of SQLPRD01 on n1 with these rows.

    `aged` sections were read two hours ago, `lacks` has the messages of those that were never read, `about` fields of the reading.
    """
    found = a_reading(sections={**sections, **dict.fromkeys(lacks or ())})
    document = replace(found.document, errors=dict(lacks or {}), key_uris=URIS if uris is None else uris)
    times = {"registry": NOW} | {name: at for name, at in found.read_at.items() if name in document.sections}
    return replace(found, document=document, **({"read_at": {**times, **dict.fromkeys(aged, NOW - 2 * HOUR)}} | (about or {})))


def credential(modified, **changes):
    return [sections_of()["credentials"][0] | {"modified_utc": modified} | changes]


def error(code, first, last="19:50:00", **changes):
    return {"code": code, "lines": 2, "first_utc": TODAY + first, "last_utc": TODAY + last, **changes}


def backup(began, kind="L", database="sales", gaps=9, **changes):
    """A backup of five minutes, of those that are made every hour."""
    began = began if "T" in began else f"{TODAY}{began}:00"
    ended = began.replace(":00:00", ":05:00")
    row = {"database": database, "type": kind, "started_utc": began, "finished_utc": ended, "gaps": gaps, "second_seconds": 3600}
    return row | changes


def changed(what, since, first=0):
    """The fingerprints, one of which is first seen, or another, since then."""
    seen = {"since_utc": since, "first": first}
    return [each | seen if each["what"] == what else each for each in sections_of()["changes"]]


def without(what):
    return [each for each in sections_of()["changes"] if each["what"] != what]


def without_signers():
    return [each for each in sections_of()["changes"] if each["what"] != "signers"]


def ended(*times):
    """The fingerprints, and known ends of secrets of the client."""
    about = {"what": "secret_end", "name": "app", "node": "", "first": 0}
    return [*sections_of()["changes"], *({**about, "value": at, "since_utc": at} for at in times)]


def lacking(section, column):
    return {section: [{name: cell for name, cell in each.items() if name != column} for each in sections_of()[section]]}


OF_CERTIFICATE = [
    *sections_of()["encryption"],
    {"database": "hr", "encryption_state": 3, "encryptor_type": "CERTIFICATE", "thumbprint": "0xCE57"},
]
WITHOUT_CREDENTIAL = [{name: cell for name, cell in sections_of()["keys"][0].items() if name != "credential"}]
READ_LOG = sections_of()["log"][0]
START_ONLY = {"backups": []}
NAMED = [sections_of()["databases"][0], sections_of()["databases"][0] | {"name": "hr"}]


ALTERED = {"credentials": credential(f"{TODAY}17:30:00")}
WEEKLY = backup("2026-11-22T01:00:00", kind="D", gaps=3, second_seconds=7 * 86400)
SIGNED_IN = a_call("19:50:00", function="SqlCryptOpenSession")
OLD_CALL = a_call("19:00:00") | dict.fromkeys(("first_utc", "last_utc"), "2026-11-18T19:00:00")
ANOTHER_KEY = sections_of()["keys"][0] | {"name": "other", "thumbprint": "0x2C57"}


def called(*calls, uris=URIS[:1], **session):
    """A session that records the calls of the provider, by default one that signed in and unwrapped at 19:50."""
    known = SESSION | {"started_utc": "2026-11-01T00:00:00"} | session
    return {"trace": [known], "calls": [SIGNED_IN, *(calls or [a_call("19:50:00")])], "uris": uris}


CASES = {
    "read": [
        ("nothing is changed", reading(), []),
        ("backups of two hours ago", reading(aged=["backups"]), ["reading_old"]),
        ("nodes of two hours ago", reading(aged=["nodes"]), ["reading_old"]),
        ("what is no evidence", reading(aged=["flags"]), []),
        ("no right to the backups", reading(lacks={"backups": DENIED}), ["reading_old"]),
        ("backups that arrived damaged", reading(lacks={"backups": "lines were lost"}), ["reading_old"]),
        ("a time of tomorrow", reading(about={"read_at": dict.fromkeys(sections_of(), NOW + DAY)}), ["inventory_old", "reading_old", "log_not_read"]),
        ("when the key was set is not known", reading(**lacking("opened", "set_utc")), ["inventory_gap", "credential_not_proven"]),
        ("gaps between backups are not known", reading(**lacking("backups", "gaps")), ["inventory_gap"]),
        ("their second-longest is not known", reading(**lacking("backups", "second_seconds")), ["inventory_gap"]),
        ("it is no number", reading(backups=[backup("19:00", second_seconds="3600")]), ["inventory_gap"]),
        ("a line without a time", reading(errors=[{"code": "3303", "lines": 1}]), ["inventory_gap"]),
        ("a start without a time", reading(start=[{"started_utc": "soon"}]), ["inventory_gap"]),
        ("it is true", reading(backups=[backup("19:00", gaps=3, second_seconds=True)]), ["inventory_gap", "proof_old"]),
        ("a flag of 2", reading(providers=[sections_of()["providers"][0] | {"is_enabled": 2}]), ["inventory_gap"]),
        ("no row of the providers", reading(providers=[]), ["inventory_gap", "inventory_gap"]),
        ("no fingerprints", reading(changes=None), ["inventory_gap", "credential_not_proven"]),
    ],
    "clock": [
        ("five minutes", reading(about={"clock_behind": -300.0}), []),
        ("more", reading(about={"clock_behind": -301.0}), ["server_clock"]),
        ("a day ahead", reading(about={"clock_behind": 26 * HOUR}), ["server_clock"]),
        ("no number", reading(about={"clock_behind": float("nan")}), ["server_clock"]),
        ("not known", reading(about={"clock_behind": None}), ["server_clock"]),
    ],
    "inside": [("the key's login has no credential", reading(keys=WITHOUT_CREDENTIAL), ["credential_missing"])],
    "open": [
        ("did not open", reading(databases=[sections_of()["databases"][0] | {"state": "RECOVERY_PENDING"}]), ["database_closed"]),
    ],
    "used": [
        ("neither start nor backup", reading(opened=[], backups=[]), ["inventory_gap", "credential_not_proven"]),
        ("altered, and a backup two hours later", reading(credentials=credential(f"{TODAY}17:00:00")), []),
        ("a second less", reading(credentials=credential(f"{TODAY}17:00:01")), ["credential_not_proven"]),
        ("altered at an unknown time", reading(credentials=credential("")), ["inventory_gap", "credential_not_proven"]),
        ("altered tomorrow", reading(credentials=credential("2026-11-27T00:00:00")), ["credential_not_proven"]),
        ("altered before the start", reading(credentials=credential("2026-10-31T23:59:59"), **START_ONLY), []),
        ("in the second of the start", reading(credentials=credential("2026-11-01T00:00:00"), **START_ONLY), ["credential_not_proven"]),
        ("an opening before the start is as a backup", reading(
            credentials=credential("2026-11-01T00:00:00"), start=[{"started_utc": "2026-11-02T00:00:00"}],
            opened=[sections_of()["opened"][0] | {"opened_utc": "2026-11-01T02:00:00"}], **START_ONLY), []),
        ("key set after the backup", reading(opened=[sections_of()["opened"][0] | {"set_utc": f"{TODAY}18:00:00"}]), ["credential_not_proven"]),
        ("first seen after the backup", reading(changes=changed("provider", f"{TODAY}19:30:00", 1)), ["credential_not_proven"]),
        ("first seen before it", reading(changes=changed("provider", f"{TODAY}19:00:00", 1)), []),
        ("another provider", reading(changes=changed("provider", f"{TODAY}18:00:00")), ["credential_not_proven"]),
        ("another DLL", reading(changes=changed("dll", f"{TODAY}18:00:00")), ["credential_not_proven"]),
        ("another option", reading(changes=changed("option", f"{TODAY}18:00:00")), ["credential_not_proven"]),
        ("another login or credential", reading(changes=changed("mapping", f"{TODAY}18:00:00")), ["credential_not_proven"]),
        ("a provider that was never seen", reading(changes=without("provider")), ["credential_not_proven"]),
        ("a DLL that was never seen", reading(changes=without("dll")), ["credential_not_proven"]),
        ("a DLL that is not loaded", reading(changes=without("dll"), modules=[]), []),
        ("seen at an unknown time", reading(changes=changed("option", "later")), ["inventory_gap", "credential_not_proven"]),
        ("a backup of tomorrow", reading(opened=[], backups=[backup("2026-11-27T19:00:00")]), ["inventory_gap", "credential_not_proven"]),
        ("a secondary after ALTER CREDENTIAL", reading(**ALTERED, **START_ONLY), ["credential_not_proven"]),
        ("its provider unwrapped two hours later", reading(**ALTERED, **START_ONLY, **called()), []),
        ("a minute less, as a call takes its time", reading(**ALTERED, **START_ONLY, **called(a_call("19:30:59"))), ["credential_not_proven"]),
        ("a full backup each week", reading(**ALTERED, backups=[WEEKLY]), ["credential_not_proven"]),
        ("and its provider unwrapped since", reading(**ALTERED, backups=[WEEKLY], **called()), []),
        ("a call that failed since", reading(**ALTERED, **called(a_call("19:50:00"), a_call("19:55:00", code="3303"))), ["credential_not_proven"]),
        ("a call of another provider", reading(**ALTERED, **called(a_call("19:50:00", provider="Luna"))), ["credential_not_proven"]),
        ("a session that lost events since", reading(**ALTERED, **called(lost_utc=f"{TODAY}19:55:00")), ["credential_not_proven"]),
        ("a session that began since", reading(**ALTERED, **called(started_utc=f"{TODAY}19:55:00")), ["credential_not_proven"]),
        ("a session with a predicate", reading(**ALTERED, **called(is_filtered=1)), ["credential_not_proven"]),
        ("a session that may keep failures in memory", reading(**ALTERED, **called(is_delayed=1)), ["credential_not_proven"]),
        ("a session in a folder that servers may share", reading(**ALTERED, **called(error_log=r"D:\\Log\\ERRORLOG")), ["credential_not_proven"]),
        ("calls that were read two hours ago", reading(aged=["calls"], **ALTERED, **called()), ["credential_not_proven"]),
        ("a session that was", reading(aged=["trace"], **ALTERED, **called()), ["credential_not_proven"]),
        ("a call, and the key was set since", reading(opened=[sections_of()["opened"][0] | {"set_utc": f"{TODAY}18:00:00"}], **called()),
         ["credential_not_proven"]),
        ("when the key was set is not known, but it was called", reading(**lacking("opened", "set_utc"), **called()),
         ["inventory_gap", "credential_not_proven"]),
        ("a second key of the host, as of column encryption", reading(**ALTERED, **called(uris=URIS)), ["credential_not_proven"]),
        ("a registry that is not read", reading(**ALTERED, **called(uris=())), ["credential_not_proven"]),
        ("a registry that was read two hours ago", reading(aged=["registry"], **ALTERED, **called()), ["credential_not_proven"]),
        ("a second key of the provider", reading(**ALTERED, **called(), keys=[*sections_of()["keys"], ANOTHER_KEY]), ["credential_not_proven"]),
        ("it had another credential until two hours before the call", reading(**ALTERED, changes=changed("signers", f"{TODAY}17:49:00"), **called()), []),
        ("until a minute later", reading(**ALTERED, changes=changed("signers", f"{TODAY}17:50:00"), **called()), ["credential_not_proven"]),
        ("its credentials were first seen an hour before", reading(**ALTERED, changes=changed("signers", f"{TODAY}18:50:00", 1), **called()),
         ["credential_not_proven"]),
        ("its credentials of then are not known", reading(**ALTERED, changes=without_signers(), **called()), ["credential_not_proven"]),
        ("a second credential of it", reading(credentials=[*ALTERED["credentials"], *credential(f"{TODAY}01:00:00", name="other")], **called()),
         ["credential_not_proven"]),
    ],
    "secret": [
        ("a known end of months ago", reading(changes=ended("2026-08-01T00:00:00")), []),
        ("of tomorrow", reading(changes=ended("2026-11-27T00:00:00")), []),
        ("one of two ended since", reading(changes=ended(f"{TODAY}18:00:00", "2026-12-27T00:00:00")), ["credential_left_behind"]),
        ("all ended since", reading(changes=ended(f"{TODAY}18:00:00", "2026-08-01T00:00:00")), ["secret_ended"]),
        ("all ended, and no use is known", reading(changes=ended("2026-08-01T00:00:00"), **START_ONLY, opened=[]),
         ["inventory_gap", "credential_not_proven", "secret_ended"]),
    ],
    "unfailed": [
        ("a code", reading(errors=[error("3303", "19:10:00")]), ["backups_fail"]),
        ("a number that nobody knows", reading(errors=[error("9999", "19:10:00")]), ["backups_fail"]),
        ("a line without a number", reading(errors=[error("other", "19:10:00")]), ["backups_fail"]),
        ("a DLL that was not loaded", reading(errors=[error("33027", "19:10:00")]), ["backups_fail"]),
        ("a key that is missing", reading(errors=[error("33111", "19:10:00")]), ["backups_fail"]),
        ("before the last backup", reading(errors=[error("3303", "18:10:00", "18:50:00")]), []),
        ("after a backup of tomorrow", reading(errors=[error("3303", "19:10:00")], backups=[*proof_rows("sales")["backups"], backup("2026-11-27T19:00:00", "F")]), ["backups_fail"]),
        ("a failed backup", reading(errors=[error("3041", "19:10:00")]), ["backups_fail_unexplained"]),
        ("of its database", reading(errors=[error("3041", "19:10:00", backup_of="SALES. Check")], databases=NAMED), ["backups_fail_unexplained"]),
        ("of one whose key is hidden", reading(errors=[error("3041", "19:10:00", backup_of="hr")], databases=NAMED), ["backups_fail_unexplained"]),
        ("of one with a certificate", reading(errors=[error("3041", "19:10:00", backup_of="hr")], databases=NAMED, encryption=OF_CERTIFICATE), []),
        ("of another database", reading(errors=[error("3041", "19:10:00", backup_of="sales2. Check")]), []),
        ("with a code", reading(errors=[error("3041", "19:10:00"), error("3303", "19:10:00")]), ["backups_fail"]),
        ("a device", reading(errors=[error("18204", "19:10:00")]), []),
    ],
    "log": [
        ("from the last use on", reading(log=[READ_LOG | {"since_utc": f"{TODAY}19:00:00"}]), []),
        ("from a second later on", reading(log=[READ_LOG | {"since_utc": f"{TODAY}19:00:01"}]), ["log_not_read"]),
        ("until an hour ago", reading(log=[READ_LOG | {"until_utc": f"{TODAY}19:00:00"}]), ["log_not_read"]),
        ("until tomorrow", reading(log=[READ_LOG | {"until_utc": "2026-11-27T19:00:00"}]), ["log_not_read"]),
        ("what was read is not known", reading(log=[]), ["log_not_read"]),
        ("two hours ago", reading(aged=["errors"]), ["log_not_read"]),
        ("never", reading(lacks={"errors": "message 1222: lock request time out"}), ["log_not_read"]),
        ("no right, with backups", reading(lacks={"errors": DENIED}), []),
        ("no right, and a start alone", reading(lacks={"errors": DENIED}, **START_ONLY), ["log_not_read"]),
    ],
    "recent": [
        ("a call of eight days ago", reading(credentials=credential("2026-11-17T00:00:00"), **START_ONLY, **called(OLD_CALL)), ["proof_old"]),
        ("log backups every hour", reading(backups=[backup("18:30")]), []),
        ("one is missing", reading(backups=[backup("18:00")]), ["proof_old"]),
        ("few log backups", reading(backups=[backup("2026-11-25T19:00:00", gaps=2)]), []),
        ("none for 26 hours", reading(backups=[backup("2026-11-25T18:00:00", gaps=2)]), ["proof_old"]),
        ("full ones on Sundays, since two months", reading(backups=[backup("2026-11-22T01:00:00", "D", gaps=5, second_seconds=7 * 86400)]), []),
        ("28 daily ones, then none for 3.5 days", reading(backups=[backup("2026-11-23T08:00:00", "D", gaps=28, second_seconds=86400)]), ["proof_old"]),
        ("few full ones, of eight days ago", reading(backups=[backup("2026-11-18T21:00:00", "D", gaps=0)]), []),
        ("of nine", reading(backups=[backup("2026-11-17T21:00:00", "D", gaps=0)]), ["proof_old"]),
        ("a start of 25 days ago", reading(**START_ONLY), []),
    ],
}  # fmt: skip


def of(*readings, rows=(OF_APP,), **question):
    return answer(*rows, inventory=[], readings=readings, **question)


@pytest.mark.parametrize(
    ("row", "read", "expected"),
    [pytest.param(row, read, expected, id=f"{row}: {name}") for row, cases in CASES.items() for name, read, expected in cases],
)
def test_what_is_missing(row, read, expected):
    found = of(read)
    assert conditions(found) == expected
    assert not expected or row in {each.evidence for each in found.reasons}
    assert {each.known for each in found.reasons} <= {False} or found.verdict == "not_ready"


NO_DATABASE = {name: [] for name in ("encryption", "databases", "opened", "backups", "logs")}
ALL_READ = dict.fromkeys((*sections_of(), "trace", "calls"), NOW)
READ_REGISTRY = {"uris": URIS[:1]}
OF_COLUMNS = [
    ("columns may need its only key", reading(**NO_DATABASE, **READ_REGISTRY), ["columns_not_proven"]),
    ("its provider unwrapped since", reading(**NO_DATABASE, **called()), []),
    ("its login has no credential, and the caller's has one", reading(**NO_DATABASE, **called(), keys=WITHOUT_CREDENTIAL), []),
    ("altered two hours before", reading(**NO_DATABASE, **called(), **ALTERED), []),
    ("a minute less", reading(**NO_DATABASE, **ALTERED, **called(a_call("19:30:59"))), ["columns_not_proven"]),
    ("altered at an unknown time", reading(**NO_DATABASE, credentials=credential(""), **called()), ["inventory_gap", "columns_not_proven"]),
    ("a second key of the host, of a user database or of another instance", reading(**NO_DATABASE, **called(uris=URIS)), ["columns_not_proven"]),
    ("a registry that is not read", reading(**NO_DATABASE, **called(uris=())), ["columns_not_proven"]),
    ("a registry that was read before the calls", reading(about={"read_at": {**ALL_READ, "registry": NOW - 300}}, **NO_DATABASE, **called()), ["columns_not_proven"]),
    ("a connector that needs no registry", reading(
        **NO_DATABASE, **called(), modules=[{"provider": "AzureKV", "file_version": "1.0.4.0"}],
        providers=[sections_of()["providers"][0] | {"version": "1.0.4.0"}]), ["columns_not_proven"]),
    ("a call that failed since", reading(**NO_DATABASE, **called(a_call("19:50:00"), a_call("19:55:00", code="3303"))), ["columns_not_proven"]),
    ("no call for eight days", reading(credentials=credential("2026-11-17T00:00:00"), **NO_DATABASE, **called(OLD_CALL)), ["proof_old"]),
    ("a code since the call", reading(**NO_DATABASE, **called(), errors=[error("33027", "19:55:00", "19:55:00")]), ["columns_not_proven"]),
    ("a failed backup, which needs no key", reading(**NO_DATABASE, **called(), errors=[error("3041", "19:55:00")]), []),
    ("two keys in master", reading(**NO_DATABASE, **called(), keys=[*sections_of()["keys"], ANOTHER_KEY]), ["columns_not_proven"]),
    ("no key in master: one of a user database is not read", reading(**NO_DATABASE, **called(), keys=[]), ["columns_not_proven"]),
    ("two credentials", reading(**NO_DATABASE, **called(), credentials=[*ALTERED["credentials"], *credential(f"{TODAY}01:00:00", name="other")]),
     ["columns_not_proven"]),
    ("neither key nor credential", reading(**NO_DATABASE, **called(), keys=[], credentials=[]), []),
    ("a database that is not online", reading(**NO_DATABASE | {"databases": [sections_of()["databases"][0] | {"state": "OFFLINE"}]}, **called()),
     ["inventory_gap", "credential_not_proven"]),
]  # fmt: skip


@pytest.mark.parametrize(("read", "expected"), [pytest.param(read, expected, id=name) for name, read, expected in OF_COLUMNS])
def test_column_encryption_alone(read, expected):
    found = of(read)
    assert conditions(found) == expected
    assert found.verdict == ("not_known" if expected else "ready")


def test_words_of_column_encryption_alone():
    def first(read, *rows, **question):
        return as_text(of(read, rows=rows, **question)).splitlines()

    ready = first(reading(**NO_DATABASE, **called()))
    assert ready[0] == "ready: 1 instance, 1 key, 0 databases"
    assert f"N1\\SQLPRD01: columns, if any, under https://{VAULT}/keys/K/{V1}, probed by contoso-key0" in ready
    assert "  SQL Server itself: 10 min ago, successful SqlCryptDecrypt" in ready
    unknown = reading(**NO_DATABASE, **called(uris=URIS))
    assert first(unknown)[1] == (
        "  - not known: N1\\SQLPRD01: no database needs a key of its EKM provider, but columns may, and no recorded sign-in and unwrap can be "
        "of key [key_2C56] alone, with a credential that was the only one for two hours (the registry of the host names 2 keys, for all databases "
        "and instances; connectors before 15.0 need no entry), so whether SQL Server itself gets it is not known"
    )
    assert first(unknown, accepted=(("used", "N1"),))[0].startswith("ready")
    assert (
        "master has 0 keys and 1 credential of a provider, keys of user databases are not read"
        in first(reading(**NO_DATABASE, **called(), keys=[]))[1]
    )
    elsewhere = row(key_version=V2)
    assert conditions(of(reading(**NO_DATABASE, **called()), rows=[elsewhere])) == ["column_key_without_target"]


def test_every_row_has_a_condition_and_every_condition_a_row():
    assert {each.evidence for each in CONDITIONS.values()} == {*EVIDENCE}


def growing(*, sections=None, **changes):
    """A reading whose log grows by 1 MiB in five minutes, from 100 MiB of 2 GiB; log backups stopped hours ago."""
    logs = [proof_rows("sales")["logs"][0] | changes]
    return with_growing_logs(a_reading(sections={"logs": logs, "backups": [backup("16:00")], **(sections or {})}))


FOUR_HOURS = 102_400 + 1024 * 48


@pytest.mark.parametrize(
    ("rows", "read", "fills"),
    [
        ([FAILING], growing(limit_kb=FOUR_HOURS), True),
        ([FAILING], growing(limit_kb=FOUR_HOURS + 1024), False),
        ([], growing(limit_kb=FOUR_HOURS), False),
        ([], growing(limit_kb=FOUR_HOURS, sections={"errors": [error("3303", "19:10:00")]}), True),
        ([FAILING], growing(limit_kb=FOUR_HOURS, sections={"backups": [backup("19:35")]}), False),  # which truncates it
    ],
)
def test_log_that_is_full_soon_while_something_fails(rows, read, fills):
    assert ("log_fills" in conditions(of(replace(read, document=replace(read.document, key_uris=URIS)), rows=rows))) == fills


def test_room_of_the_log_is_in_the_reasons():
    read = growing(limit_kb=102_400 + 1024 * 44)
    found = answer(FAILING, readings=[read])
    by_condition = {each.condition: each.text for each in found.reasons}
    assert by_condition["not_ready"].endswith(
        "needed by N1\\SQLPRD01. Once log backups fail, at the present rate the log of [sales] of N1\\SQLPRD01 is full in 3 h 40 min; "
        "the next virtual log file (VLF) is due in about 5 h 20 min (trace flag 15025 is off)"
    )
    assert by_condition["log_fills"] == (
        "N1\\SQLPRD01: the log of [sales] is full in 3 h 40 min at the present rate, and its last log backup was 3 h 55 min ago"
    )
    assert as_json(found)["logs"] == [
        {
            "instance": "N1\\SQLPRD01",
            "database": "sales",
            "read_at": "2026-11-26T20:00:00.000Z",
            "full_in_seconds": 13200,
            "next_file_in_seconds": 19200,
        }
    ]
    unknown = answer(FAILING, readings=[growing(limit_kb=FOUR_HOURS, sections={"backups": []})])
    assert "at the present rate, and no log backup is known" in as_text(unknown)


def test_rate_of_hours_ago_is_none():
    read = growing(limit_kb=FOUR_HOURS)
    old = replace(read, read_at={**read.read_at, "logs": NOW - 2 * HOUR}, earlier_logs=(NOW - 3 * HOUR, read.earlier_logs[1]))
    found = answer(FAILING, readings=[old])
    assert "log_fills" not in conditions(found)
    assert "While SQL Server cannot use the key, log backups fail" in as_text(found)


@pytest.mark.parametrize(
    ("found", "text"),
    [
        (
            of(reading(credentials=credential(f"{TODAY}17:30:00"))),
            (
                "N1\\SQLPRD01: credential [tde_cred] was altered at 17:30 UTC, and it has not used key [key_2C56] with a new token since "
                "(last 55 min ago, log backup of [sales]), so whether SQL Server itself gets the key is not known"
            ),
        ),
        (
            of(reading(changes=changed("mapping", f"{TODAY}18:00:00"), **START_ONLY)),
            (
                "the credential of the key's login changed, as seen at 18:00 UTC, and it has not used key [key_2C56] with a new token since "
                "(last 25 d 19 h ago, start that opened [sales])"
            ),
        ),
        (of(reading(changes=without("option"))), "the option for EKM providers of this node were never seen"),
        (of(reading(opened=[], backups=[])), ""),
        (
            of(reading(errors=[error("3303", "19:10:00"), error("9999", "19:10:00", "19:40:00"), error("3041", "19:10:00")])),
            (
                "error log shows 3303 ErrorGetTokenBadCredentials and 9999 since 19:10 UTC, and backups fail, although the vault side is ready, "
                "so its databases stay closed at a restart or failover. While SQL Server cannot use the key, log backups fail"
            ),
        ),
        (of(reading(errors=[error("33027", "19:10:00")])), "error log shows message 33027 since 19:10 UTC, although"),
        (
            of(reading(errors=[error("3041", "17:45:00")])),
            "a backup of a database under the key failed (3041) since 19:00 UTC without a number that names a cause",
        ),
        (
            of(reading(log=[READ_LOG | {"since_utc": f"{TODAY}19:30:00"}])),
            "of the error log, it was read from 19:30 UTC on, and the last use began at 19:00 UTC",
        ),
        (of(reading(log=[])), "of the error log, what was read of it is not known, and"),
        (of(reading(aged=["errors"])), "of the error log, it was not read of late, and"),
        (
            of(reading(aged=["backups"], about={"failure": "login was refused"})),
            "backups were read 2h ago, longer ago than 1h, so what it shows now is not known. The last attempt failed: login was refused",
        ),
        (of(reading(lacks={"backups": DENIED})), "backups were read at an unknown time"),
        (
            of(reading(about={"clock_behind": 26 * HOUR})),
            "its clock differs from the exporter's by 26 h, more than five minutes",
        ),
        (of(reading(backups=[backup("18:00")])), "last 1 h 55 min ago, log backup of [sales], longer ago than 1h30m"),
    ],
)
def test_text_says_what_and_since_when(found, text):
    assert text in found.reasons[0].text
    assert all(each.server == "N1\\SQLPRD01" for each in found.reasons if each.evidence != "read")


def test_failed_device_is_a_note():
    found = of(reading(errors=[error("18204", "19:10:00")]))
    assert found.verdict == "ready"
    assert found.notes == (
        "N1\\SQLPRD01: a backup device failed since 19:10 UTC (message 18204), as of a full disk or a lost share, if no other number came with it",
    )


@pytest.mark.parametrize(
    ("changes", "read_at", "until"),
    [
        ({}, NOW - HOUR + 120, NOW + 120),  # the reading
        ({}, NOW, NOW - 60 + 900),  # the unwrap
        ({"credential_expires_at": "2026-11-27T20:01:00Z"}, NOW, NOW + 60),
        ({"client_id": "app"}, NOW, NOW + 30),  # the known end of a secret
    ],
)
def test_what_is_there_holds_until(changes, read_at, until):
    read = reading(changes=ended(f"{TODAY}20:00:30"), about={"read_at": dict.fromkeys(a_reading().read_at, read_at)})
    (found,) = of(read, rows=[row(**changes)]).readiness
    assert found.until == until
    assert (found.answer(found.until - 1), found.answer(found.until)) == ("ready", "not_known")


def node(name, **sections):
    """A replica of AG7 that an exporter reads."""
    host = name.lower()
    group = [{"ag": "AG7", "server_name": f"{one}\\SQLPRD01"} for one in ("N1", "N2")]
    own = [sections_of()["instance"][0] | {"server_name": f"{name}\\SQLPRD01", "machine": name, "node": name}]
    member = [sections_of()["databases"][0] | {"in_group": 1, "ag": "AG7"}]
    seen = [each | {"node": host} for each in sections_of()["changes"]]
    read = reading(**{"instance": own, "replicas": group, "databases": member, "changes": seen} | sections)
    return replace(read, address=f"{host}\\SQLPRD01", host=host)


IN_GROUP = row(client_id="app", instances=[{"sql_instance": "SQLPRD01", "host": host} for host in ("n1", "n2")])
REPAIRED = {"errors": [error("3303", "12:00:00", "13:50:00")], "credentials": credential(f"{TODAY}14:00:00")}
REFUSED = {"errors": [error("3303", "19:30:00")]}
OLD_BACKUPS = {"backups": [backup("2026-11-20T19:00:00")]}


@pytest.mark.parametrize(
    ("first", "second", "expected"),
    [
        ({}, {}, []),
        ({}, START_ONLY, []),  # a secondary
        ({}, OLD_BACKUPS, []),  # backups moved to the other node
        (OLD_BACKUPS, OLD_BACKUPS, ["proof_old", "proof_old"]),  # they stopped
        (START_ONLY, START_ONLY, []),
        ({}, {"errors": [error("3303", "18:30:00")], **START_ONLY}, ["credential_left_behind", "backups_fail"]),
        ({}, {"errors": [error("3041", "18:30:00")], **START_ONLY}, ["backups_fail_unexplained"]),
        (REPAIRED, START_ONLY, ["credential_left_behind"]),
        (REPAIRED, {}, []),  # its own backups used another token
        (REPAIRED, REPAIRED, []),  # a roll-over on each
        (REFUSED, {}, ["backups_fail", "credential_left_behind"]),
        ({}, {"keys": WITHOUT_CREDENTIAL}, ["credential_missing"]),
        ({}, {"credentials": credential(f"{TODAY}17:30:00")}, ["credential_left_behind", "credential_not_proven"]),
    ],
)
def test_nodes_of_a_group(first, second, expected):
    nodes = node("N1", **first), node("N2", **second)
    assert conditions(of(*nodes, rows=[IN_GROUP], group="AG7")) == expected
    for one in ("N1", "N2"):  # a replica that does not restart
        assert sorted(conditions(of(*nodes, rows=[IN_GROUP], instances=(f"{one}\\SQLPRD01",)))) == sorted(expected)


def test_replica_is_named_as_one():
    old = replace(node("N2"), read_at={**node("N2").read_at, "backups": NOW - 2 * HOUR})
    found = of(node("N1"), old, rows=[IN_GROUP], instances=("N1\\SQLPRD01",))
    assert conditions(found) == ["reading_old"]
    assert found.reasons[0].text.startswith("N2\\SQLPRD01 (a replica that does not restart): backups were read 2h ago")
    assert conditions(of(node("N1"), old, rows=[IN_GROUP], instances=("N1\\SQLPRD01",), accepted=(("read", "n2"),))) == []
    # Backups that this reading of two hours ago has do not show that they moved.
    assert "proof_old" in conditions(of(node("N1", **OLD_BACKUPS), old, rows=[IN_GROUP], group="AG7"))


def test_text_of_a_secret_that_may_be_gone():
    found = of(node("N1", **REPAIRED), node("N2", **START_ONLY), rows=[IN_GROUP], group="AG7")
    assert found.reasons[0].text == (
        "N2\\SQLPRD01: the secret was altered on N1\\SQLPRD01 at 14:00 UTC, and key [key_2C56] was not used on N2\\SQLPRD01 since "
        "with a new token, so it may hold a secret that is gone"
    )
    refused = of(node("N1", **REFUSED), node("N2"), rows=[IN_GROUP], instances=("N2\\SQLPRD01",))
    assert "Entra ID refused the secret of N1\\SQLPRD01 since 19:30 UTC" in as_text(refused)


@pytest.mark.parametrize(
    ("changes", "expected"),
    [
        ({"credential": "tde"}, ["credential_left_behind"]),
        ({"credential": "other"}, []),
        ({"credential": "other", "client_id": "APP"}, ["credential_left_behind"]),  # one client id under two names
        ({"credential": "tde", "client_id": "another"}, []),
    ],
)
def test_instance_elsewhere_with_the_same_client_counts(changes, expected):
    own = [sections_of()["instance"][0] | {"server_name": "M1\\SQLPRD01", "machine": "M1", "node": "M1"}]
    elsewhere = replace(reading(instance=own, **REPAIRED), address="m1", host="m1")
    rows = (
        row(client_id="app" if "client_id" in changes else None),
        row(target="of-m1", **changes, instances=[{"sql_instance": "SQLPRD01", "host": "m1"}]),
    )
    assert conditions(of(reading(**START_ONLY), elsewhere, rows=rows, instances=("N1\\SQLPRD01",))) == expected


@pytest.mark.parametrize(("aged", "expected"), [([], []), (["credentials"], ["credential_left_behind"])])
def test_instance_elsewhere_that_is_not_read_of_late_may_have_another_secret(aged, expected):
    own = [sections_of()["instance"][0] | {"server_name": "M1\\SQLPRD01", "machine": "M1", "node": "M1"}]
    elsewhere = replace(reading(aged=aged, instance=own), address="m1", host="m1")
    rows = row(client_id="app"), row(target="of-m1", client_id="app", instances=[{"sql_instance": "SQLPRD01", "host": "m1"}])
    assert conditions(of(reading(), elsewhere, rows=rows, instances=("N1\\SQLPRD01",))) == expected


@pytest.mark.parametrize("name", ["A1", "Z1"], ids=["before", "after"])
def test_refusal_elsewhere_counts_in_any_order_of_servers(name):
    """A call that proves the key on the other server since is no proof for this one."""
    seen = {
        "instance": [sections_of()["instance"][0] | {"server_name": f"{name}\\SQLPRD01", "machine": name, "node": name}],
        "changes": [each | {"node": name} for each in sections_of()["changes"]],
        "backups": [backup("2026-11-26T15:00:00")],
        "errors": [error("3303", "18:30:00", "18:30:00")],
    }
    elsewhere = replace(reading(**seen, **called()), address=name.lower(), host=name.lower())
    rows = (
        row(client_id="app"),
        row(target="other", client_id="app", instances=[{"sql_instance": "SQLPRD01", "host": name.lower()}]),
    )
    nodes = (elsewhere, reading()) if name == "A1" else (reading(), elsewhere)
    texts = {each.condition: each.text for each in of(*nodes, rows=rows).reasons}
    assert set(texts) == {"credential_left_behind", "proof_old"}
    # Its backups stopped, and the call of late is not what is too old.
    assert "last 4 h 55 min ago, log backup of [sales], longer ago than 1h30m" in texts["proof_old"]


def clustered(*starts, nodes=("N1", "N2"), node="N1", **sections):
    """A failover cluster instance that runs on n1, with its known starts by node."""
    own = [sections_of()["instance"][0] | {"server_name": "SQLPRD01V\\SQLPRD01", "machine": "SQLPRD01V", "node": node}]
    begun = [{"what": "start", "name": "", "value": "", "node": node, "since_utc": at, "first": 0} for node, at in starts]
    seen = {"instance": own, "nodes": [{"name": each} for each in nodes], "changes": [*without("start"), *begun]}
    return replace(reading(**seen | sections), host="sqlprd01v", address="sqlprd01v")


OF_CLUSTER = row(instances=[{"sql_instance": "SQLPRD01", "host": "sqlprd01v"}])
ON_BOTH = ("n1", "2026-11-01T00:00:00"), ("n2", "2026-10-30T00:00:00")


@pytest.mark.parametrize(
    ("read", "expected"),
    [
        (clustered(*ON_BOTH), []),
        (clustered(ON_BOTH[0]), ["node_not_proven"]),
        (clustered(ON_BOTH[0], ("n2", "2026-10-22T19:59:59")), ["node_not_proven"]),  # 35 days ago
        (clustered(ON_BOTH[0], ("n2", "2026-10-22T20:00:00")), []),
        (clustered(ON_BOTH[0], ("n2", "2026-12-22T20:00:00")), ["node_not_proven"]),
        (clustered(nodes=["N1"]), []),
        (clustered(nodes=[]), ["inventory_gap"]),
        # It moved an hour ago: what the other node did proves nothing here.
        (clustered(*ON_BOTH, start=[{"started_utc": f"{TODAY}19:30:00"}], opened=[]), ["inventory_gap", "credential_not_proven"]),
        (clustered(*ON_BOTH, start=[{"started_utc": f"{TODAY}19:30:00"}],
                   opened=[sections_of()["opened"][0] | {"opened_utc": f"{TODAY}19:30:10"}]), []),
    ],
)  # fmt: skip
def test_nodes_of_a_cluster(read, expected):
    assert conditions(of(read, rows=[OF_CLUSTER])) == expected


def test_other_provider_needs_a_start_of_each_node_since():
    begun = [{"what": "start", "name": "", "value": "", "node": name, "since_utc": at, "first": 0} for name, at in ON_BOTH]
    seen = [each for each in changed("provider", "2026-11-02T00:00:00") if each["what"] != "start"]
    assert conditions(of(clustered(changes=[*seen, *begun]), rows=[OF_CLUSTER])) == ["node_not_proven"]


def test_node_is_proven_by_an_exporter_there_or_vouched_for():
    read = clustered(ON_BOTH[0])
    here = state("http://n1", OF_CLUSTER, readings=[read])
    for changes, expected in (
        ({}, []),
        ({"vault_side_ready": False}, ["node_not_proven"]),
        ({"key_version": "9"}, ["node_not_proven"]),
    ):
        there = state("http://n2", OF_CLUSTER | changes, host="n2")
        assert [each for each in conditions(answer_of(here, there, inventory=[])) if each == "node_not_proven"] == expected
    found = of(read, rows=[OF_CLUSTER], accepted=(("nodes", "N2"),))
    assert (found.verdict, [each.condition for each in found.accepted]) == ("ready", ["node_not_proven"])
    assert "accepted (nodes@n2): SQLPRD01V\\SQLPRD01 may move to n2" in as_text(found)
    assert [each["evidence"] for each in as_json(found)["accepted"]] == ["nodes"]
    assert conditions(of(read, rows=[OF_CLUSTER], accepted=(("nodes", "n3"), ("read", "n2")))) == ["node_not_proven"]


@pytest.mark.parametrize(
    ("rows", "code", "named"), [([OF_APP], "3303", "401"), ([OF_APP], "3077", "3077"), ([FAILING], "3303", "3303")]
)
def test_ready_target_leads_a_refused_secret_to_that_of_sql_server(rows, code, named):
    fixes = {each.condition: each.fix for each in of(reading(errors=[error(code, "19:10:00")]), rows=rows).reasons}
    assert f"ekm-exporter explain {named} has the repair" in fixes["backups_fail"]


def test_known_objection_cannot_be_accepted():
    assert conditions(of(reading(errors=[error("3303", "19:10:00")]), accepted=(("unfailed", "n1"),))) == ["backups_fail"]


def test_narrow_question_keeps_what_is_known():
    assert conditions(of(reading(aged=["backups"], errors=[error("3303", "19:10:00")]), vault_side=True)) == ["backups_fail"]
    found = of(reading(aged=["backups"]), vault_side=True)
    assert as_text(found).startswith("ready: the vault side of 1 instance, 1 key, 1 database\n")
    assert as_json(found)["vault_side_only"] is True


def test_server_that_nobody_reads_is_not_known():
    (found,) = answer(vault_side=False).reasons
    assert found.condition == "not_read_itself"
    assert "--vault-side" in found.fix
