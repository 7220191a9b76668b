"""Text of other programs, and the output that they read."""

import io
import sys

import pytest

from exporter.runtime import files

LINE = "Sicherung für März: Provider error code: 3303"


@pytest.mark.parametrize("encoding", ["utf-8", "utf-8-sig", "utf-16", "utf-16-le", "utf-16-be", "cp1252"])
def test_line_of_every_program_is_read(encoding):
    assert files.decoded(LINE.encode(encoding)) == LINE


def test_bytes_of_another_code_page_keep_the_digits():
    assert files.decoded(LINE.encode("cp850")).endswith("Provider error code: 3303")
    assert "\ufffd" in files.decoded(b"\x81")


class Stream(io.TextIOWrapper):
    def __init__(self, *, is_console=False):
        super().__init__(io.BytesIO(), encoding="cp1252")
        self.is_console = is_console

    def isatty(self):
        return self.is_console


def console(monkeypatch, code_page, **options):
    """Write to a stream of Windows."""
    stream = Stream(**options)
    monkeypatch.setattr(files, "is_windows", lambda: True)
    monkeypatch.setattr(files, "output_code_page", lambda: code_page)
    monkeypatch.setattr(sys, "stdout", stream)
    monkeypatch.setattr(sys, "stderr", None)  # a service has none
    return stream


@pytest.mark.parametrize(
    ("code_page", "written"),
    [
        (850, b"f\x81r \\u0416"),
        (1252, b"f\xfcr \\u0416"),
        (65001, "für Ж".encode()),
        (0, "für Ж".encode()),
        (20127999, "für Ж".encode()),
    ],
)
def test_pipe_gets_the_code_page_of_the_console(monkeypatch, code_page, written):
    stream = console(monkeypatch, code_page)
    files.adapt_output()
    stream.write("für Ж")
    stream.flush()
    assert stream.buffer.getvalue() == written


def test_console_keeps_its_own_encoding(monkeypatch):
    stream = console(monkeypatch, 850, is_console=True)
    files.adapt_output()
    assert stream.encoding == "cp1252"


def test_other_systems_keep_their_encoding_and_get_a_character_that_it_lacks_as_its_number(monkeypatch):
    stream = console(monkeypatch, 850)
    monkeypatch.setattr(files, "is_windows", lambda: False)
    files.adapt_output()
    stream.write("für Ж")
    stream.flush()
    assert (stream.encoding, stream.buffer.getvalue()) == ("cp1252", b"f\xfcr \\u0416")
