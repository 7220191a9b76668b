"""The command `events` on files in the format of Windows, read by the library that is shipped for it."""

import json
import os
import sys

import pytest

from exporter.cli.main import main
from tests.support.evtx_writer import CONNECTOR, event, log


@pytest.fixture
def run(tmp_path, capsys):
    def run(*arguments, code=0, **files):
        paths = []
        for name, content in files.items():
            path = tmp_path / f"{name}.evtx"
            path.write_bytes(content)
            paths.append(str(path))
        assert main(["events", *paths, *arguments]) == code
        return capsys.readouterr()

    return run


def incident():
    return [
        event(CONNECTOR, 4096, "Operation: acquireToken failed. Error 3303", at="2026-11-24T10:02:00"),
        event("MSSQLSERVER", 33049, "0xAB", "asymmetric key", "3303", "Provider error", at="2026-11-24T10:03:00"),
        event("MSSQL$ONE", 33111, "0xAB", at="2026-11-24T10:04:00"),
        event("Service Control Manager", 7036, "error 3303", at="2026-11-24T10:04:30"),
    ]


def test_log_is_listed_by_code(run, tmp_path):
    output = run(one=log(incident())).out
    assert output.startswith(f"{tmp_path / 'one.evtx'}: 4 records read\n COUNT  FIRST (UTC)")
    assert "     2  2026-11-24 10:02:00  2026-11-24 10:03:00  3303 ErrorGetTokenBadCredentials\n" in output
    assert "     1  2026-11-24 10:04:00  2026-11-24 10:04:00  Message 33111 of SQL Server: Cannot find server" in output
    assert "7036" not in output


def test_several_files_and_chunks_are_one_list(run):
    many = [event(CONNECTOR, 1, "Error 3303 " + "x" * 500)] * 300
    output = run(one=log(many), two=log(many)).out
    assert output.count(": 300 records read\n") == 2
    assert "   600  2026-11-24" in output


def test_pattern_stands_for_its_files(run, tmp_path):
    (tmp_path / "b.evtx").write_bytes(log(incident()))
    (tmp_path / "a[1].evtx").write_bytes(log(incident()[:1]))
    output = run(str(tmp_path / "*.evtx")).out
    assert [line.rpartition(": ")[2] for line in output.splitlines()[:2]] == ["1 record read", "4 records read"]
    assert "1 record read" in run(str(tmp_path / "a[1].evtx")).out


def test_details_and_limits_of_time(run):
    output = run("--all", "--since", "2026-11-24T10:03", "--until", "2026-11-24T11:03:30+01:00", one=log(incident())).out
    assert "2026-11-24 10:03:00  3303  n1.contoso.invalid  MSSQLSERVER  event 33049\n" in output
    assert "        0xAB | asymmetric key | 3303 | Provider error\n" in output
    assert "33111" not in output


def test_json_names_files_and_codes(run):
    data = json.loads(run("--json", one=log(incident())).out)
    assert [(file["records"], file["unreadable"], file["defect"]) for file in data["files"]] == [(4, 0, None)]
    assert {group["label"]: group["count"] for group in data["groups"]}["3303"] == 2


def test_control_characters_do_not_reach_the_terminal(run):
    output = run("--all", one=log([event(CONNECTOR, 1, "Error 3303 \x1b[2J\x07\u202e secret=abcdefgh1234")])).out
    assert not {sign for sign in output if not sign.isprintable()} - {"\n"}
    assert "abcdefgh" not in output


WHOLE = log([event(CONNECTOR, 1, "Error 3303 " + "x" * 500)] * 300)


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (b"", "is empty: save the log again"),
        (b"Level,Date and Time,Source\r\n" * 400, "is no event log of Windows: save it as .evtx, not as XML or text (0 records"),
        (b'<?xml version="1.0"?><Events/>', "is no event log of Windows"),
        (WHOLE[:1000], "cut off: it has only a part of its header"),
        (WHOLE[: 4096 + 65536 + 1000], "cut off: it has 1 whole chunks of 9: copy it again"),
        (WHOLE[:8] + b"\xff" * 120 + WHOLE[128:], "cut off: it has"),
        (WHOLE[: 4096 + 540] + b"\xff" * 80 + WHOLE[4096 + 620 :], "299 records read, 1 unreadable"),
    ],
    ids=["empty", "text", "xml", "header", "truncated", "damaged header", "damaged record"],
)
def test_defect_of_a_file_is_one_line(run, content, message):
    captured = run(code=1, one=content, two=log(incident()))
    (line,) = captured.err.splitlines()
    assert message in line
    assert " 3303 " in captured.out  # of the second file


@pytest.mark.parametrize("name", ["none.evtx", "no*.evtx", "none\x1b.evtx"])
def test_missing_file_is_one_line_and_nothing_is_read(run, tmp_path, name):
    captured = run(str(tmp_path / name), code=2, one=log(incident()))
    shown = str(tmp_path / name).replace("\x1b", "?")
    assert (captured.out, captured.err) == ("", f"ekm-exporter events: no such file: {shown}\n")


def test_folder_and_file_that_leads_nowhere_are_named(run, tmp_path):
    (tmp_path / "link.evtx").symlink_to(tmp_path / "gone.evtx")
    captured = run(str(tmp_path), str(tmp_path / "link.evtx"), code=1)
    assert f"{tmp_path}: is no file: " in captured.err
    assert f"{tmp_path / 'link.evtx'}: cannot be read: no such file" in captured.err


def test_file_in_a_folder_that_is_not_permitted_is_not_called_absent(run, tmp_path, monkeypatch):
    def refused(path):
        raise PermissionError(13, "Permission denied", str(path))

    monkeypatch.setattr("os.lstat", refused)
    monkeypatch.setattr("exporter.cli.events._defect", refused)
    path = tmp_path / "shut" / "Application.evtx"
    assert f"{path}: cannot be read: permission denied (0 records read)" in run(str(path), code=1).err


def test_file_of_damage_alone_is_given_up(run):
    chunk = bytearray(WHOLE[4096 : 4096 + 65536])
    content = WHOLE[:4096] + bytes(chunk[:512]) + b"\xff" * (65536 - 512)
    captured = run(code=1, one=content)
    assert "one.evtx" in captured.err


def test_bad_arguments_are_named(run, capsys):
    assert "--since is later than --until" in run("--since", "2026-11-25", "--until", "2026-11-24", code=2, one=b"").err
    with pytest.raises(SystemExit) as stopped:
        main(["events", "x.evtx", "--since", "yesterday"])
    assert stopped.value.code == 2
    assert "expected a time such as 2026-11-24T10:00" in capsys.readouterr().err


def test_missing_extra_is_one_line(run, monkeypatch):
    monkeypatch.setitem(sys.modules, "evtx", None)
    captured = run(code=2, one=WHOLE)
    assert (
        captured.err
        == f'ekm-exporter events: this command needs an optional library: {sys.executable} -m pip install "ekm-exporter[events]"\n'
    )


def test_answer_of_an_incomplete_file_is_not_that_there_is_no_event(run):
    output = run(one=log([event(CONNECTOR, 1, "Error 3303")])[:5000], code=1).out
    assert output == "No such event in the records that were read. Not every record was read.\n"


def test_pipe_is_not_waited_for(run, tmp_path):
    os.mkfifo(tmp_path / "pipe.evtx")
    assert "is no file: name a saved log" in run(str(tmp_path / "pipe.evtx"), code=1).err


def test_log_above_the_limit_of_windows_is_not_read(run, tmp_path):
    path = tmp_path / "large.evtx"
    with path.open("wb") as stream:
        stream.write(log(incident()))
        stream.truncate(4 * 1024**3 + 1)  # a hole: no byte of it is on the disk
    error = run(str(path), code=1).err
    assert "large.evtx: is larger than 4 GiB: save a part of the log (wevtutil epl with /q) (0 records read)" in error


class _Parser:
    """Stands for a parser that a crafted log sends in a circle, or whose record expands."""

    def __init__(self, record):
        self._record = record

    def __call__(self, *_):
        return self

    def records_json(self):
        while True:
            yield {"data": self._record}


@pytest.mark.parametrize(
    ("record", "cause"),
    [
        ("{}", "has more records than fit into its size: the rest was not read"),
        ("x" * (1024 * 1024 + 1), "has more than 1000 unreadable records: the rest was not read"),
    ],
    ids=["circle", "expanding"],
)
def test_records_without_end_are_bounded(run, monkeypatch, record, cause):
    monkeypatch.setattr("evtx.PyEvtxParser", _Parser(record))
    assert cause in run(one=log(incident()), code=1).err
