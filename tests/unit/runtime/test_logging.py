"""The two log formats, byte by byte, the file that rotates, and a limit on messages."""

import io
import json
import logging
import os
import re
import threading
from functools import partial
from pathlib import Path

import pytest

from exporter.runtime.logging import (
    KEPT,
    LARGEST,
    PROBES,
    LogfmtFormatter,
    LogFormat,
    LogStream,
    Throttle,
    configure,
    fields,
    logfmt_value,
    place_of,
)

# The two log formats, byte by byte.

SECRET = "kF8~Q9w.marked-secret-0123456789abcdefghijkl"


@pytest.fixture
def restored_logging():
    yield
    logging.getLogger(PROBES).setLevel(logging.NOTSET)


def record(message, *args, level=logging.INFO, name="exporter.test", exc_info=None, **extra):
    made = logging.LogRecord(name, level, __file__, 1, message, args, exc_info)
    made.created = 1767323045.678
    made.__dict__.update(extra)
    return made


def fail(error):
    raise error


def test_logfmt_line_has_all_fields():
    line = LogfmtFormatter().format(
        record("probe %s", "failed", level=logging.WARNING, **fields(target="a", code=3303, ready=False, took=0.25, nothing=None))
    )
    assert line == 'ts=2026-01-02T03:04:05.678Z level=warn msg="probe failed" target=a code=3303 ready=false took=0.25'


@pytest.mark.usefixtures("restored_logging")
def test_json_line_has_all_fields():
    stream = io.StringIO()
    configure("info", LogFormat.JSON, stream=stream)
    logging.getLogger("exporter.test").handle(record("listening", **fields(address="[::1]:10377", port=10377)))
    assert stream.getvalue() == (
        '{"ts": "2026-01-02T03:04:05.678Z", "level": "info", "msg": "listening", "address": "[::1]:10377", "port": 10377}\n'
    )


@pytest.mark.parametrize(
    ("value", "written"),
    [
        ("plain", "plain"),
        ("https://a.example/b?c", "https://a.example/b?c"),
        ("", '""'),
        ("two words", '"two words"'),
        ("a=b", '"a=b"'),
        ('a "x"', r'"a \"x\""'),
        ("back\\slash", r'"back\\slash"'),
        ("line\nlevel=error msg=forged", r'"line\nlevel=error msg=forged"'),
        ("esc\x1b[31m", r'"esc\u001b[31m"'),
        ("next\x85line", r'"next\u0085line"'),
        ("sep\u2028arator", r'"sep\u2028arator"'),
        ("größe", "größe"),
        (True, "true"),
        (None, "null"),
        (3077, "3077"),
        (0.1 + 0.2, "0.3"),
    ],
)
def test_value_cannot_break_the_line_or_forge_a_field(value, written):
    assert logfmt_value(value) == written


@pytest.mark.usefixtures("restored_logging")
@pytest.mark.parametrize("fmt", list(LogFormat))
def test_hostile_text_stays_on_one_line(fmt):
    stream = io.StringIO()
    configure("debug", fmt, stream=stream)
    hostile = "a\nb\rc\u2028d\u2029e\x0bf\x0cg\x85h"
    logging.getLogger("exporter.test").info(hostile, extra=fields(detail=hostile))
    assert len(stream.getvalue().splitlines()) == 1
    if fmt is LogFormat.JSON:
        assert json.loads(stream.getvalue())["detail"] == hostile


@pytest.mark.usefixtures("restored_logging")
@pytest.mark.parametrize(("level", "expected"), [("debug", "diwe"), ("info", "iwe"), ("warn", "we"), ("error", "e")])
def test_levels_filter_by_their_names(level, expected):
    stream = io.StringIO()
    configure(level, LogFormat.LOGFMT, stream=stream)
    for number in (logging.DEBUG, logging.INFO, logging.WARNING, logging.ERROR):
        logging.getLogger("exporter.test").log(number, "x")
    assert "".join(line.split("level=")[1][0] for line in stream.getvalue().splitlines()) == expected


@pytest.mark.usefixtures("restored_logging")
@pytest.mark.parametrize(
    ("level", "probes", "expected"),
    [
        ("info", None, ["exporter.app.service", "exporter.presentation.log"]),
        ("info", "error", ["exporter.app.service"]),
        ("error", "info", ["exporter.presentation.log"]),
        ("error", None, []),
    ],
)
def test_probe_lines_have_a_separate_level(level, probes, expected):
    stream = io.StringIO()
    configure(level, LogFormat.LOGFMT, probes=probes, stream=stream)
    for name in ("exporter.app.service", "exporter.presentation.log"):
        logging.getLogger(name).info(name)
    assert re.findall("msg=(\\S+)", stream.getvalue()) == expected
    with pytest.raises(ValueError, match="unknown log level 'loud'"):
        configure("info", LogFormat.LOGFMT, probes="loud")


def test_unknown_level_is_refused():
    with pytest.raises(ValueError, match="unknown log level 'loud'"):
        configure("loud", LogFormat.LOGFMT)


@pytest.mark.usefixtures("restored_logging")
@pytest.mark.parametrize("name", ["azure.identity", "azure.core.pipeline.policies", "msal", "aiohttp.access", "aiohttp.server"])
def test_libraries_that_log_requests_are_excluded(name):
    stream = io.StringIO()
    configure("debug", LogFormat.LOGFMT, stream=stream)
    logging.getLogger(name).error("sent %s", SECRET)
    logging.getLogger("azurelike").error("kept")
    assert SECRET not in stream.getvalue()
    assert "kept" in stream.getvalue()


def test_exception_fields_are_class_masked_message_and_frames():
    with pytest.raises(ValueError, match="refused") as caught:
        fail(ValueError(f"client_secret={SECRET} refused"))
    expected = place_of(caught.value)
    assert expected["exception"] == "ValueError"
    assert SECRET not in str(expected)
    assert str(expected["at"]).startswith("test_logging.py:")


def test_logged_exception_stays_on_its_line_and_masked():
    error = RuntimeError(f"first\nBearer {SECRET}")
    line = LogfmtFormatter().format(record("broken", level=logging.ERROR, exc_info=(type(error), error, None)))
    assert "\n" not in line
    assert SECRET not in line
    assert "exception=RuntimeError" in line


# The log file that rotates.


@pytest.fixture
def path(tmp_path):
    return tmp_path / "logs.log"


@pytest.fixture
def opened(path):
    """Return a function that opens the log; it is closed after the test."""
    streams = []

    def make(**limits):
        streams.append(LogStream(path, **limits))
        return streams[-1]

    yield make
    for stream in streams:
        stream.close()


def test_lines_are_written_in_utf_8(path, opened):
    stream = opened()
    print("grün", "\udcff", file=stream)
    assert path.read_bytes().splitlines() == ["grün \\udcff".encode()]


def test_line_in_parts_is_written_once(path, opened):
    stream = opened()
    stream.write("a")
    assert path.read_text() == ""
    stream.write("b\nc\nd")
    assert path.read_text() == "ab\nc\n"
    assert stream.last_lines() == ("ab", "c")


def test_log_rotates_at_its_limit_and_keeps_so_many_files(path, opened):
    stream = opened(largest=100, kept=2)
    for number in range(100):
        print(f"line {number:02}", file=stream)
    names = sorted(one.name for one in path.parent.iterdir())
    assert names == ["logs.log", "logs.log.1", "logs.log.2"]
    assert all(one.stat().st_size <= 100 for one in path.parent.iterdir())
    assert path.read_text().endswith("line 99\n")


def test_log_has_the_limits_of_the_documents():
    assert (LARGEST, KEPT) == (10 * 1024 * 1024, 8)


def test_no_line_is_lost_if_the_old_file_is_in_use(path, opened, monkeypatch):
    def refuse(*_):
        raise PermissionError

    monkeypatch.setattr("os.rename", refuse)
    stream = opened(largest=20, kept=2)
    for number in range(10):
        print(f"line {number}", file=stream)
    assert path.read_text().splitlines() == [f"line {number}" for number in range(10)]


@pytest.mark.parametrize("held", ["logs.log", "logs.log.1", "logs.log.2"])
def test_rotation_that_another_program_stops_loses_no_file_and_ends_a_minute_later(held, path, opened, monkeypatch):
    now, tries = [0.0], []
    monkeypatch.setattr("time.monotonic", lambda: now[0])
    for number in (1, 2):
        path.with_name(f"logs.log.{number}").write_text(f"older {number}\n")

    def only_if_free(real, source, target):
        if held in (Path(source).name, Path(target).name):
            tries.append(source)
            raise PermissionError
        real(source, target)

    with monkeypatch.context() as patch:
        for name in ("rename", "replace"):
            patch.setattr(os, name, partial(only_if_free, getattr(os, name)))
        stream = opened(largest=20, kept=3)
        for number in range(20):
            print(f"line {number}", file=stream)
            now[0] += 5.0
    assert len(tries) == 2
    kept = "".join(one.read_text() for one in path.parent.iterdir())
    lines = [*(f"older {number}" for number in (1, 2)), *(f"line {number}" for number in range(20))]
    assert sorted(kept.splitlines()) == sorted(lines)
    now[0] += 60.0
    for number in range(20, 30):
        print(f"line {number}", file=stream)
    assert sorted(one.name for one in path.parent.iterdir()) == ["logs.log", "logs.log.1", "logs.log.2", "logs.log.3"]
    assert path.read_text().endswith("line 29\n")


def test_full_disk_ends_nothing(opened, monkeypatch):
    stream = opened()

    def refuse(*_):
        raise OSError("no space")

    monkeypatch.setattr(stream._handler.stream, "write", refuse)
    print("lost", file=stream)
    assert stream.last_lines() == ("lost",)


def write_lines(logger):
    for _ in range(50):
        logger.info("m" * 200)


def test_lines_of_the_log_and_of_threads_stay_whole(path, opened):
    configure("info", LogFormat.LOGFMT, stream=opened())
    threads = [threading.Thread(target=partial(write_lines, logging.getLogger())) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    lines = path.read_text().splitlines()
    assert len(lines) == 200
    assert {line.partition("msg=")[2] for line in lines} == {"m" * 200}


# A limit on messages in a period.


def test_throttle_omits_what_exceeds_the_period_and_counts_it():
    throttle = Throttle(2, 10.0)
    assert [throttle.admit(now) for now in (0.0, 1.0, 2.0, 9.9, 10.0, 10.5, 11.0)] == [0, 0, None, None, 2, None, 1]
