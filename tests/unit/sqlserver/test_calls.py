"""SQL Server's own calls: events as XML, counted rows over several readings, and what they show."""

import pytest

from exporter.sqlserver.calls import (
    FUNCTIONS,
    FailedCall,
    calls_of_an_hour,
    calls_text,
    failed_call,
    is_own,
    joined_calls,
    joined_trace,
    known_since,
    lacks_session,
    proving_call,
    read_event,
    session_of,
    with_calls,
    with_earlier_calls,
)
from exporter.sqlserver.document import Document, section_problem
from exporter.sqlserver.script import event_files, proof_batches
from tests.support.sql_readings import HOUR, READ_AT, SESSION, a_call, a_reading, an_event, unix

TODAY = "2026-11-26T"
PROVIDERS = {"azurekv": "AzureKV", r"c:\ekm.dll": "AzureKV"}
MINUTE = 60.0


def traced(*calls, session=SESSION, about=None, **sections):
    return a_reading(sections={"trace": [session] if session else [], "calls": list(calls), **sections}, **(about or {}))


def test_event_has_function_result_provider_and_its_utc_time():
    assert read_event(an_event("19:00:01"), PROVIDERS) == a_call("19:00:01")
    assert read_event(an_event("19:00:01", code=3303), PROVIDERS) == a_call("19:00:01", code="3303")
    assert read_event(an_event("19:00:01", provider=r"C:\EKM.dll"), PROVIDERS) == a_call("19:00:01")
    assert read_event(an_event("19:00:01").replace(".250Z", "Z"), PROVIDERS) == a_call("19:00:01")
    of_another = read_event(an_event("19:00:01", provider="Luna"), PROVIDERS)
    assert "provider" not in of_another


def test_unknown_functions_and_results_have_one_name():
    assert read_event(an_event("19:00:01", function="SqlCryptNew"), PROVIDERS)["function"] == "other"
    assert read_event(an_event("19:00:01", code=4_000_000_001), PROVIDERS)["code"] == "other"
    assert len(FUNCTIONS) == 17


@pytest.mark.parametrize(
    "text",
    [
        "",
        "<event",
        "\ud800",
        "<event/>",
        an_event("19:00:01")[:-9],
        an_event("19:00:01") + " " * 2000,
        '<!DOCTYPE event [<!ENTITY a "0">]>' + an_event("19:00:01").replace(">0<", ">&a;<"),
        an_event("19:00:01").replace("sec_ekm", "sec"),
        an_event("19:00:01").replace("timestamp", "time"),
        an_event("29:00:01"),
        an_event("19:00:01", code=-1),
        an_event("19:00:01", code="0x0"),
        an_event("19:00:01", code=""),
        an_event("19:00:01", function=""),
    ],
)
def test_event_that_is_cut_or_foreign_is_not_known(text):
    assert read_event(text, PROVIDERS) is None


def events(*texts, **changes):
    return tuple(
        {"event": text, "file": SESSION["file"], "offset": 512 * n, "anew": 1} | changes for n, text in enumerate(texts, 1)
    )


def read(*found, **sections):
    known = {name: tuple(rows) for name, rows in a_reading().document.sections.items()}
    return with_calls({**known, "trace": (SESSION,), "calls": found, **sections})


def test_events_become_counted_rows_with_the_place_that_is_known():
    found = read(*events(an_event("19:30:01"), an_event("19:30:59"), an_event("19:31:00", code=3303), an_event("08:00:00")))
    assert found["calls"] == (
        a_call("19:31:00", code="3303"),
        a_call("19:30:01", last="19:30:59", calls=2),
        a_call("08:00:00"),
    )
    assert found["trace"] == ({**SESSION, "offset": 2048, "anew": 1, "is_behind": 0},)
    for section in ("trace", "calls"):
        assert section_problem(section, found[section]) is None


def test_sections_without_events_or_session_stay_as_they_are():
    assert with_calls({"trace": (SESSION,)}) == {"trace": (SESSION,)}
    assert with_calls({"calls": ()}) == {"calls": ()}
    assert read()["trace"] == ({**SESSION, "is_behind": 0},)


def test_event_that_is_not_known_and_a_buffer_that_is_too_large_lose_events():
    now = TODAY + "20:00:00"
    assert read(*events(an_event("19:30:01"), "<event"))["trace"][0]["lost_utc"] == now
    many = events(*[an_event("19:30:01")] * 2000, offset=512)
    (trace,) = read(*many)["trace"]
    assert (trace["lost_utc"], trace["is_behind"], trace["offset"]) == (now, 1, 512)


def test_buffer_at_the_end_of_many_events_is_read_again():
    many = (*events(*[an_event("19:30:01")] * 1999, offset=512), *events(an_event("19:31:01"), offset=1024))
    found = read(*many)
    assert (found["trace"][0]["offset"], found["trace"][0]["is_behind"]) == (512, 1)
    assert "lost_utc" not in found["trace"][0]
    assert found["calls"] == (a_call("19:30:01", calls=1999),)


def test_calls_at_an_unknown_time_of_the_server_are_not_complete():
    (trace,) = read(*events("<event"), instance=())["trace"]
    assert trace["is_behind"] == 1
    assert "lost_utc" not in trace


def test_older_calls_are_one_row_before_and_one_since_a_change():
    rows = [a_call(time) for time in ("08:00:00", "09:00:00", "10:00:00", "11:00:00", "19:10:00", "19:11:00")]
    assert joined_calls(rows, READ_AT, f"{TODAY}09:30:00") == (
        a_call("19:11:00"),
        a_call("19:10:00"),
        a_call("10:00:00", last="11:00:00", calls=2),
        a_call("08:00:00", last="09:00:00", calls=2),
    )
    assert joined_calls([a_call("08:00:00")], READ_AT + 36 * 24 * HOUR) == ()
    assert len(joined_calls([a_call(f"19:{n % 60:02}:00", code=str(n)) for n in range(700)], READ_AT)) == 500


LATER = {**SESSION, "file": r"C:\Log\x_0_135.xel"}
KNOWN = {**SESSION, "offset": 512}


def test_place_stays_while_no_event_is_new():
    assert joined_trace(SESSION, {}, "now") == SESSION
    assert joined_trace(LATER, KNOWN, "now") == KNOWN
    assert joined_trace({**LATER, "offset": 64, "anew": 0}, KNOWN, "now") == {**LATER, "offset": 64, "anew": 0}


def test_events_are_lost_if_dropped_or_in_a_file_that_rolled_away():
    assert joined_trace({**LATER, "offset": 64, "anew": 1}, KNOWN, "now")["lost_utc"] == "now"
    assert joined_trace({**SESSION, "dropped": 2}, {**KNOWN, "dropped": 1}, "now")["lost_utc"] == "now"
    same = joined_trace({**SESSION, "dropped": 2}, {**KNOWN, "dropped": 2, "lost_utc": "then"}, "now")
    assert same["lost_utc"] == "then"
    again = {**SESSION, "dropped": 1, "started_utc": f"{TODAY}12:00:00"}
    assert joined_trace(again, {**KNOWN, "dropped": 2}, "now")["lost_utc"] == "now"
    other = {**SESSION, "file": r"D:\y_0_1.xel", "offset": 1, "anew": 1}
    assert joined_trace(other, {**KNOWN, "lost_utc": "then"}, "now") == other


def documents(later, earlier, errors=()):
    return [
        Document(
            sections={**a_reading().document.sections, **{name: tuple(rows) for name, rows in found.items()}},
            errors=dict.fromkeys(those, "denied"),
        )
        for found, those in ((later, errors), (earlier, ()))
    ]


def joined(later, earlier, errors=()):
    one, other = documents(later, earlier, errors)
    merged = Document(sections={**other.sections, **one.sections}, errors=one.errors, kept=dict.fromkeys(errors, "then"))
    return with_earlier_calls(merged, one, other)


def test_calls_of_readings_are_joined():
    found = joined(
        {"trace": [SESSION], "calls": [a_call("19:30:01")]}, {"trace": [KNOWN], "calls": [a_call("19:30:05")]}
    ).sections
    assert found["calls"] == (a_call("19:30:01", last="19:30:05", calls=2),)
    assert found["trace"] == (KNOWN,)
    first = joined({"trace": [SESSION], "calls": [a_call("19:30:01")]}, {}).sections
    assert first["calls"] == (a_call("19:30:01"),)
    assert "calls" not in joined({"trace": [SESSION]}, {}).sections


def test_calls_that_were_not_read_stay_and_a_session_that_is_gone_leaves_nothing():
    kept = joined({"trace": [SESSION]}, {"trace": [KNOWN], "calls": [a_call("19:30:05")]}, ["calls"])
    assert kept.sections["calls"] == (a_call("19:30:05"),)
    unread = joined({}, {"trace": [KNOWN], "calls": [a_call("19:30:05")]}, ["trace", "calls"])
    assert (unread.sections["trace"], unread.sections["calls"]) == ((KNOWN,), (a_call("19:30:05"),))
    gone = joined({"trace": []}, {"trace": [KNOWN], "calls": [a_call("19:30:05")]}, ["calls"])
    assert gone.sections["trace"] == ()
    assert "calls" not in {*gone.sections, *gone.errors, *gone.kept}


def test_session_is_there_gone_or_not_known():
    assert session_of(traced()) == SESSION
    assert lacks_session(traced(session=None))
    assert not lacks_session(traced())
    assert not lacks_session(a_reading())
    assert known_since(traced()) == unix(f"{TODAY}06:00:00")
    assert known_since(traced(session={**SESSION, "lost_utc": f"{TODAY}19:30:00"})) == unix(f"{TODAY}19:30:00")
    assert known_since(traced(session={**SESSION, "lost_utc": "soon"})) is None
    assert known_since(traced(session={**SESSION, "is_behind": 1})) is None
    assert known_since(a_reading()) is None


def test_calls_of_the_last_hour_are_counted_by_function_and_result():
    calls = [
        a_call("19:59:00", calls=3),
        a_call("19:10:00", calls=2),
        a_call("19:10:00", code="3303"),
        a_call("18:00:00", calls=9),
    ]
    assert calls_of_an_hour(traced(*calls)) == {("SqlCryptDecrypt", "0"): 5, ("SqlCryptDecrypt", "3303"): 1}
    assert calls_of_an_hour(traced()) == {}


@pytest.mark.parametrize(
    "changes",
    [
        {"is_filtered": 1},
        {"is_delayed": 1},
        {"error_log": r"D:\Log\ERRORLOG"},
        {"is_behind": 1},
        {"started_utc": f"{TODAY}19:30:00"},
        {"lost_utc": f"{TODAY}19:30:00"},
    ],
)
def test_count_is_not_known_if_calls_may_be_missing(changes):
    reading = traced(a_call("19:59:00"), session=SESSION | changes)
    assert calls_of_an_hour(reading) is None
    text = (
        "how often this server asked its provider is not known: its session has a predicate, may keep events in memory for more than "
        "a minute, writes outside of the error log's folder, lost events, or runs for less than an hour"
    )
    assert calls_text(reading, None, READ_AT) == text


@pytest.mark.parametrize(
    ("file", "error_log", "own"),
    [
        (r"C:\Log\x_0_134.xel", r"c:\log\ERRORLOG", True),
        ("/var/opt/mssql/log/x_0_134.xel", "/var/opt/mssql/log/errorlog", True),
        (r"C:\Log\sub\x_0_134.xel", r"C:\Log\ERRORLOG", False),
        (r"\\share\traces\x_0_134.xel", r"C:\Log\ERRORLOG", False),
        ("x_0_134.xel", "ERRORLOG", False),
        ("x_0_134.xel", "", False),
    ],
)
def test_files_in_the_folder_of_the_error_log_are_of_this_instance_alone(file, error_log, own):
    assert is_own({"file": file, "error_log": error_log}) is own
    assert not is_own({"file": file})


def test_count_is_of_one_reading():
    old = dict.fromkeys(traced().read_at, READ_AT) | {"calls": READ_AT - 300}
    assert calls_of_an_hour(traced(a_call("19:50:00"), about={"read_at": old})) is None
    assert calls_of_an_hour(traced(instance=[])) is None


SIGNED_IN, UNWRAPPED = a_call("18:50:00", function="SqlCryptOpenSession"), a_call("19:00:00")
UNKNOWN_PROVIDER = {name: cell for name, cell in a_call("19:30:00", code="3303").items() if name != "provider"}


def proving(*calls, **changes):
    return proving_call(traced(*calls, session=SESSION | changes), "AzureKV")


def test_sign_in_and_unwrap_prove_since_the_earlier_of_their_last_successes():
    assert proving(SIGNED_IN, UNWRAPPED, a_call("18:00:00")) == unix(f"{TODAY}18:50:00")
    assert proving(a_call("19:10:00", function="SqlCryptOpenSession"), UNWRAPPED) == unix(f"{TODAY}19:00:00")
    assert proving(SIGNED_IN) is None
    assert proving(UNWRAPPED) is None  # in a session that may be older than the credential
    assert proving_call(traced(SIGNED_IN, UNWRAPPED), "Luna") is None
    assert proving() is None


@pytest.mark.parametrize(
    "failed",
    [
        a_call("19:00:00", code="3303"),
        a_call("18:55:00", function="SqlCryptOpenSession", code="3303"),  # and an older session unwraps after it
        a_call("18:50:00", function="SqlCryptOpenSession", code="other"),
        a_call("19:30:00", function="SqlCryptGetKeyInfoByThumb", code="3303"),
        a_call("19:30:00", function="SqlCryptGetKeyInfoByName", code="5"),
        a_call("19:30:00", function="SqlCryptInitializeProvider", code="other"),
        a_call("19:30:00", function="other", code="404"),
        UNKNOWN_PROVIDER,
        UNKNOWN_PROVIDER | {"last_utc": "soon"},
    ],
)
def test_call_that_failed_since_or_may_have_leaves_nothing_proven(failed):
    assert proving(SIGNED_IN, UNWRAPPED, failed) is None


def test_failure_that_proves_nothing_is_no_objection():
    for other in (
        a_call("18:59:59", code="3303"),
        a_call("18:49:59", function="SqlCryptOpenSession", code="3303"),
        a_call("19:30:00", function="SqlCryptGetKeyInfoByThumb", code="3"),
        a_call("19:30:00", code="3303", provider="Luna"),
    ):
        assert proving(SIGNED_IN, UNWRAPPED, other) == unix(f"{TODAY}18:50:00")


def test_session_with_a_predicate_or_with_losses_proves_nothing():
    for changes in (
        {"lost_utc": f"{TODAY}18:55:00"},
        {"started_utc": f"{TODAY}18:55:00"},
        {"is_behind": 1},
        {"is_filtered": 1},
        {"is_delayed": 1},
    ):
        assert proving(SIGNED_IN, UNWRAPPED, **changes) is None


def test_calls_and_session_of_two_readings_prove_nothing():
    later = dict.fromkeys(traced().read_at, READ_AT) | {"calls": READ_AT - 60}
    assert proving_call(traced(SIGNED_IN, UNWRAPPED, about={"read_at": later}), "AzureKV") is None


def test_two_providers_of_one_name_or_dll_are_no_provider():
    twins = ({"name": "AzureKV", "dll_path": r"C:\EKM.dll"}, {"name": "Old", "dll_path": r"c:\ekm.dll"})
    (row,) = read(*events(an_event("19:30:01", provider=r"C:\EKM.dll")), providers=twins)["calls"]
    assert "provider" not in row
    (row,) = read(*events(an_event("19:30:01")), providers=twins)["calls"]
    assert row["provider"] == "AzureKV"


def test_calls_of_another_session_are_not_counted_twice():
    found = joined(
        {"trace": [SESSION], "calls": [a_call("19:30:01")]},
        {"trace": [{**KNOWN, "file": r"D:\y_0_1.xel"}], "calls": [a_call("19:30:01")]},
    ).sections
    assert found["calls"] == (a_call("19:30:01"),)


def test_clock_that_was_set_back_leaves_no_call_of_the_future_and_nothing_known_to_be_complete():
    ahead = {"trace": [KNOWN], "calls": [a_call("19:30:00"), a_call("20:00:00"), a_call("20:00:01")]}
    found = joined({"trace": [SESSION]}, ahead | {"calls": ahead["calls"][:2]}, ["calls"]).sections
    assert "lost_utc" not in found["trace"][0]
    found = joined({"trace": [SESSION], "calls": []}, ahead).sections
    assert found["calls"] == (a_call("20:00:00"), a_call("19:30:00"))
    assert found["trace"] == ({**KNOWN, "lost_utc": f"{TODAY}20:00:00"},)


def test_calls_stay_if_the_time_of_a_reading_is_not_known():
    later, earlier = documents(
        {"trace": [SESSION], "calls": [], "instance": []}, {"trace": [KNOWN], "calls": [a_call("20:00:01")]}
    )
    found = with_earlier_calls(later, later, earlier).sections
    assert (found["calls"], found["trace"]) == ((a_call("20:00:01"),), (KNOWN,))


@pytest.mark.parametrize(
    ("call", "lost"),
    [
        (a_call("19:29:59", code="3303"), True),
        (a_call("19:30:00", code="3303"), False),
        (a_call("19:29:59"), False),
        (a_call("19:29:59", function="SqlCryptGetKeyInfoByThumb", code="3"), False),
    ],
)
def test_failure_that_is_read_after_a_success_of_a_later_time_leaves_nothing_known_to_be_complete(call, lost):
    earlier = {"trace": [KNOWN], "calls": [a_call("19:30:00"), a_call("19:40:00", code="3303")]}
    (trace,) = joined({"trace": [SESSION], "calls": [call]}, earlier).sections["trace"]
    assert ("lost_utc" in trace) is lost
    failed = an_event(call["last_utc"].partition("T")[2], function=call["function"], code=call["code"])
    assert ("lost_utc" in read(*events(an_event("19:30:00"), failed))["trace"][0]) is lost  # also within one reading


def test_page_has_the_count_and_the_first_failure_since_a_change():
    reading = traced(
        a_call("19:59:00", calls=3), a_call("19:30:00", function="SqlCryptOpenSession", code="3303", last="19:40:00")
    )
    count = "this server asked its provider 4 times in the last hour, 3 of them SqlCryptDecrypt"
    assert calls_text(reading, None, READ_AT) == count
    assert calls_text(reading, READ_AT - MINUTE, READ_AT) == count
    assert calls_text(reading, unix(f"{TODAY}18:10:00"), READ_AT) == (
        f"{count}; SqlCryptOpenSession failed with 3303 at 19:30 UTC, 1 h 20 min after the credential was altered "
        "(an older token is assumed to serve for two hours)"
    )
    assert calls_text(reading, None, READ_AT + 2 * HOUR) == f"{count} (read 2h ago)"
    assert calls_text(a_reading(), None, READ_AT) == ""


def test_failed_call_is_the_last_one_or_the_first():
    reading = traced(a_call("19:30:00", code="other", last="19:40:00"), a_call("19:35:00"))
    assert failed_call(reading) == FailedCall(unix(f"{TODAY}19:40:00"), "SqlCryptDecrypt", "other")
    assert failed_call(reading, first=True).text(READ_AT) == "SqlCryptDecrypt failed with an unknown code at 19:30 UTC"
    assert failed_call(reading, READ_AT) is None


def batches(*calls, trace=None, known=None):
    wanted = [batch for name, batch in proof_batches(trace=known) if name == "calls"]
    return [batch({"trace": () if trace is None else (trace,), **({"calls": calls} if calls else {})}) for batch in wanted]


def test_events_are_read_on_from_the_place_that_is_known_and_else_anew():
    anew = r"sys.fn_xe_file_target_read_file(N'C:\Log\x_0_*.xel', NULL, NULL, NULL)"
    after = r"sys.fn_xe_file_target_read_file(N'C:\Log\x_0_*.xel', NULL, N'C:\Log\x_0_134.xel', 512)"
    assert batches() == ["", ""]
    assert batches(trace={"file": "no pattern*"}) == ["", ""]
    for known in (None, SESSION, {**KNOWN, "file": r"D:\y_0_1.xel"}):
        assert [anew in batch for batch in batches(trace=LATER, known=known)] == [True, True]
    first, second = batches(trace=LATER, known=KNOWN)
    assert (after in first, "0 AS anew" in first, anew in second, "1 AS anew" in second) == (True, True, True, True)
    assert batches({"event": ""}, trace=LATER, known=KNOWN)[1] == ""


def test_path_is_quoted():
    assert event_files([{"file": "C:\\it's_0_1.xel"}]) == "C:\\it's_0_*.xel"
    assert "N'C:\\it''s_0_*.xel'" in batches(trace={"file": "C:\\it's_0_1.xel"})[0]
