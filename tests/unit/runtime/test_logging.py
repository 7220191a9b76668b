"""The two log formats, byte by byte."""

import io
import json
import logging
import re

import pytest

from exporter.runtime.logging import PROBES, LogfmtFormatter, LogFormat, configure, fields, logfmt_value, place_of

SECRET = "kF8~Q9w.marked-secret-0123456789abcdefghijkl"


@pytest.fixture
def restored_logging():
    root = logging.getLogger()
    handlers, level = root.handlers[:], root.level
    yield
    root.handlers[:], root.level = handlers, level
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
