"""Why a file cannot be read or written, also as Windows reports it, and text of other programs."""

import errno
import os
import tracemalloc

import pytest

from exporter.runtime import files
from exporter.runtime.files import FileUnreadableError, plainly, read_whole, real_path

# Why a file cannot be read or written, also as Windows reports it.


def of_windows(winerror, number=errno.EACCES):
    error = OSError(number, "ein Text in der Sprache des Hosts")
    error.winerror = winerror
    return error


@pytest.fixture
def windows(monkeypatch):
    monkeypatch.setattr(files, "is_windows", lambda: True)


@pytest.mark.parametrize("winerror", [32, 33])
def test_file_of_another_program_is_named_as_that(winerror):
    assert plainly(of_windows(winerror)) == "another program has it open"


@pytest.mark.usefixtures("windows")
def test_refusal_without_its_own_number_has_both_causes():
    assert plainly(PermissionError(errno.EACCES, "x")) == "permission denied, or another program has it open"
    assert plainly(of_windows(5)) == "permission denied"


def test_refusal_elsewhere_has_one_cause():
    assert plainly(PermissionError(errno.EACCES, "x")) == "permission denied"


@pytest.mark.parametrize(
    ("error", "text"),
    [
        (OSError(errno.EINVAL, "x"), "not a valid path"),
        (OSError(errno.EBADF, "x"), "a device, not a file"),
        (OSError(errno.ENOSPC, "x"), "no space left on device"),
        (FileNotFoundError(errno.ENOENT, "x"), "no such file or directory"),
        (OSError("Some Text"), "oserror"),
        (of_windows(1450, errno.EINVAL), "no buffer space available"),
    ],
)
def test_text_does_not_depend_on_the_language_of_the_system(error, text):
    assert plainly(error) == text


@pytest.mark.usefixtures("windows")
def test_folder_that_windows_refuses_to_open_is_one(monkeypatch, tmp_path):
    def refuse(*_, **__):
        raise PermissionError(errno.EACCES, "x")

    monkeypatch.setattr(os, "open", refuse)
    with pytest.raises(FileUnreadableError, match=r"^a directory, not a file$"):
        read_whole(tmp_path, limit=1)


@pytest.mark.usefixtures("windows")
def test_long_path_that_is_not_found_has_an_action(tmp_path):
    path = tmp_path / ("a" * 250)
    with pytest.raises(
        FileUnreadableError, match=r"^no such file, or Windows refuses its path, which is long: shorten it, or set "
    ):
        read_whole(path, limit=1)
    assert "LongPathsEnabled" in plainly(FileNotFoundError(errno.ENOENT, "x", str(path)))


def test_larger_file_is_refused_and_not_read_whole(tmp_path):
    with (tmp_path / "a").open("wb") as file:
        file.truncate(64 * 1024 * 1024)
    tracemalloc.start()
    try:
        with pytest.raises(FileUnreadableError, match=r"^larger than 1 KiB$"):
            read_whole(tmp_path / "a", limit=1024)
        peak = tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()
    assert peak < 1024 * 1024


def test_short_path_that_is_not_found_has_one_cause(tmp_path):
    with pytest.raises(FileUnreadableError, match=r"^no such file$"):
        read_whole(tmp_path / "a", limit=1)


def test_path_that_the_system_cannot_follow_stays(monkeypatch, tmp_path):
    def refuse(_path):
        raise OSError(errno.EBADF, "x")

    assert real_path(tmp_path / ".." / "x") == str(tmp_path.parent / "x")
    monkeypatch.setattr(os.path, "realpath", refuse)
    assert real_path(tmp_path / ".." / "con") == str(tmp_path.parent / "con")


# Text of other programs.

LINE = "Sicherung für März: Provider error code: 3303"


@pytest.mark.parametrize("encoding", ["utf-8", "utf-8-sig", "utf-16", "utf-16-le", "utf-16-be", "cp1252"])
def test_line_of_every_program_is_read(encoding):
    assert files.decoded(LINE.encode(encoding)) == LINE


def test_bytes_of_another_code_page_keep_the_digits():
    assert files.decoded(LINE.encode("cp850")).endswith("Provider error code: 3303")
    assert "\ufffd" in files.decoded(b"\x81")
