"""The log file that rotates."""

import logging
import os
import threading
from functools import partial
from pathlib import Path

import pytest

from exporter.runtime.logging import KEPT, LARGEST, LogFormat, LogStream, configure


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
    stream = opened()
    root = logging.getLogger()
    before, level = root.handlers[:], root.level
    try:
        configure("info", LogFormat.LOGFMT, stream=stream)
        threads = [threading.Thread(target=partial(write_lines, root)) for _ in range(4)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
    finally:
        root.handlers[:] = before
        root.setLevel(level)
    lines = path.read_text().splitlines()
    assert len(lines) == 200
    assert {line.partition("msg=")[2] for line in lines} == {"m" * 200}
