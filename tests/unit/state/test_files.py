"""Documents in the state directory: writes, restarts, damage and locks."""

import asyncio
import json
import subprocess
import sys
import threading
from pathlib import Path

import pytest

from exporter.state.store import DocumentKind, StateDirError, StateFiles


async def restarted(files, open_files, folder):
    await files.aclose()
    return open_files(folder)


def the_file(folder, kind=DocumentKind.TARGET):
    [path] = folder.glob(f"{kind}-*.json")
    return path


async def test_a_document_outlives_a_restart(open_files, tmp_path):
    files = open_files(tmp_path)
    files.put(DocumentKind.TARGET, "payroll", {"answer": 42})
    files.put(DocumentKind.CREDENTIAL, "payroll", {"answer": 43})
    files = await restarted(files, open_files, tmp_path)
    assert files.load(DocumentKind.TARGET, "payroll")["answer"] == 42
    assert files.load(DocumentKind.CREDENTIAL, "payroll")["answer"] == 43
    assert files.load(DocumentKind.TARGET, "other") is None


async def test_the_last_document_counts_and_no_temporary_file_stays(open_files, tmp_path):
    files = open_files(tmp_path)
    for number in range(200):
        files.put(DocumentKind.TARGET, "payroll", {"answer": number})
    files = await restarted(files, open_files, tmp_path)
    assert files.load(DocumentKind.TARGET, "payroll")["answer"] == 199
    assert sorted(path.suffix for path in tmp_path.iterdir()) == ["", ".json"]


async def test_an_unchanged_document_is_not_written_again(open_files, tmp_path):
    files = open_files(tmp_path)
    files.put(DocumentKind.TARGET, "payroll", {"answer": 1})
    await files._writer
    the_file(tmp_path).unlink()
    files.put(DocumentKind.TARGET, "payroll", {"answer": 1})
    assert not files._pending


async def test_a_removed_document_is_gone(open_files, tmp_path):
    files = open_files(tmp_path)
    files.put(DocumentKind.TARGET, "payroll", {"answer": 1})
    files.remove(DocumentKind.TARGET, "payroll")
    files.remove(DocumentKind.TARGET, "never there")
    files = await restarted(files, open_files, tmp_path)
    assert files.load(DocumentKind.TARGET, "payroll") is None


async def test_names_that_are_no_file_names_are_stored(open_files, tmp_path):
    files = open_files(tmp_path)
    names = ["../../etc/passwd", "a/b", "CON", "ä" * 300, "A", "a"]
    for name in names:
        files.put(DocumentKind.TARGET, name, {"name of": name})
    files = await restarted(files, open_files, tmp_path)
    assert [files.load(DocumentKind.TARGET, name)["name of"] for name in names] == names
    assert len(list(tmp_path.iterdir())) == len(names) + 1


async def test_only_the_owner_has_access(open_files, tmp_path):
    folder = tmp_path / "a" / "state"
    files = open_files(folder)
    files.put(DocumentKind.TARGET, "payroll", {"answer": 1})
    await files._writer
    assert folder.stat().st_mode & 0o777 == 0o700
    assert the_file(folder).stat().st_mode & 0o777 == 0o600


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (b"", "damaged"),
        (b'{"version": 1, "kind": "target", "na', "damaged"),
        (b"\x00" * 512, "damaged"),
        (b"\xff\xfe", "damaged"),
        (b"[" * 100_000, "damaged"),
        (b"[1]", "damaged"),
        (b"{}", "another version"),
        (b'{"version": 2}', "another version"),
        (b'{"version": 1, "kind": "target", "name": "other"}', "something else"),
        (b" " * (1024 * 1024 + 1), "larger"),
    ],
    ids=["empty", "cut", "zeros", "not text", "deep", "list", "bare", "newer", "another's", "huge"],
)
async def test_a_damaged_file_is_reported_once_and_affects_no_other(open_files, tmp_path, problems, content, message):
    files = open_files(tmp_path)
    files.put(DocumentKind.TARGET, "payroll", {"answer": 1})
    files.put(DocumentKind.TARGET, "sound", {"answer": 2})
    await files._writer
    path = next(each for each in tmp_path.glob("*.json") if json.loads(each.read_text())["name"] == "payroll")
    path.write_bytes(content)
    files = await restarted(files, open_files, tmp_path)
    assert files.load(DocumentKind.TARGET, "payroll") is None
    assert files.load(DocumentKind.TARGET, "sound")["answer"] == 2
    [problem] = problems
    assert message in problem
    assert str(path) in problem
    files.put(DocumentKind.TARGET, "payroll", {"answer": 3})
    files = await restarted(files, open_files, tmp_path)
    assert files.load(DocumentKind.TARGET, "payroll")["answer"] == 3


async def test_an_unreadable_file_is_reported(open_files, tmp_path, problems):
    files = open_files(tmp_path)
    files.put(DocumentKind.TARGET, "payroll", {})
    await files._writer
    path = the_file(tmp_path)
    path.unlink()
    path.mkdir()
    assert files.load(DocumentKind.TARGET, "payroll") is None
    assert "cannot be read" in problems[0]


async def test_failed_writes_are_reported_once_until_a_success(open_files, tmp_path, problems):
    files = open_files(tmp_path)
    files.put(DocumentKind.TARGET, "payroll", {"answer": 0})
    await files._writer
    path = the_file(tmp_path)
    path.unlink()
    path.mkdir()  # os.replace cannot put a file there
    for number in range(1, 4):
        files.put(DocumentKind.TARGET, "payroll", {"answer": number})
        await files._writer
    assert len(problems) == 1
    assert "cannot be written" in problems[0]
    path.rmdir()
    files.put(DocumentKind.TARGET, "payroll", {"answer": 3})
    await files._writer
    assert json.loads(path.read_text())["answer"] == 3
    assert len(problems) == 1


async def test_a_directory_in_use_is_refused_until_it_is_free(open_files, tmp_path):
    files = open_files(tmp_path)
    with pytest.raises(StateDirError, match="another exporter uses this"):
        open_files(tmp_path)
    await restarted(files, open_files, tmp_path)


async def test_a_killed_process_leaves_its_documents_and_no_lock(open_files, tmp_path):
    program = (
        "import asyncio, sys, pathlib\n"
        "from exporter.state.store import DocumentKind, StateFiles\n"
        "from exporter.runtime.tasks import DaemonThreadPool\n"
        "async def main():\n"
        "    files = StateFiles(pathlib.Path(sys.argv[1]), pool=DaemonThreadPool(1), on_problem=print)\n"
        "    files.open()\n"
        "    files.put(DocumentKind.TARGET, 'payroll', {'answer': 42})\n"
        "    await files._writer\n"
        "    print('written', flush=True)\n"
        "    await asyncio.sleep(60)\n"
        "asyncio.run(main())\n"
    )
    root = Path(__file__).parents[3]
    with subprocess.Popen([sys.executable, "-c", program, tmp_path], stdout=subprocess.PIPE, cwd=root) as process:  # noqa: S603, ASYNC220 - the interpreter of the tests
        try:
            assert process.stdout.readline() == b"written\n"
            with pytest.raises(StateDirError):
                open_files(tmp_path)
        finally:
            process.kill()
    assert open_files(tmp_path).load(DocumentKind.TARGET, "payroll")["answer"] == 42


@pytest.mark.parametrize("there", ["file", "missing parent that is a file"])
async def test_an_unusable_directory_is_one_clear_error(open_files, tmp_path, there):
    blocked = tmp_path / "blocked"
    blocked.write_text("")
    with pytest.raises(StateDirError, match=r"cannot be used: .*: name one that the exporter may create and write$"):
        open_files(blocked if there == "file" else blocked / "state")


@pytest.mark.parametrize("hanging", ["disk", "mount"])
async def test_closing_does_not_wait_for_a_hanging_call(tmp_path, pool, problems, monkeypatch, hanging):
    monkeypatch.setattr("exporter.state.store.CLOSING_SECONDS", 0.1)
    files = StateFiles(tmp_path, pool=pool, on_problem=problems.append)
    files.open()
    over, close = threading.Event(), files._directory.close
    if hanging == "disk":
        monkeypatch.setattr("exporter.state.store._write_all", lambda *_: over.wait(60))
    else:
        monkeypatch.setattr(files._directory, "close", lambda: over.wait(60) and close())
    files.put(DocumentKind.TARGET, "payroll", {})
    async with asyncio.timeout(30):
        await files.aclose()
    over.set()


async def test_without_a_thread_the_failed_write_is_reported(tmp_path, pool, problems):
    files = StateFiles(tmp_path, pool=pool, on_problem=problems.append)
    files.open()
    pool.close()
    files.put(DocumentKind.TARGET, "payroll", {})
    await files.aclose()
    assert "cannot be written" in problems[0]
