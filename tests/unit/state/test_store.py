"""Documents in the state directory: writes, kills, restarts, damage, locks, and times without writing."""

import asyncio
import errno
import json
import os
import shutil
import subprocess
import sys
import threading
from pathlib import Path
from types import SimpleNamespace

import pytest

from exporter.runtime import process
from exporter.runtime.tasks import DaemonThreadPool
from exporter.state.store import DocumentKind, StateDirError, StateFiles

# Documents in the state directory: writes, restarts, damage and locks.


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
        (b'{"version": 1}', "another version"),
        (b'{"version": 2, "kind": "target", "name": "other"}', "something else"),
        (b" " * (1024 * 1024 + 1), "larger"),
    ],
    ids=["empty", "cut", "zeros", "not text", "deep", "list", "bare", "older", "another's", "huge"],
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


async def test_a_directory_in_use_is_refused_until_it_is_free(open_files, tmp_path):
    files = open_files(tmp_path)
    with pytest.raises(StateDirError, match="another exporter uses this"):
        open_files(tmp_path)
    await restarted(files, open_files, tmp_path)


async def test_a_link_of_another_user_to_an_own_directory_is_refused(open_files, tmp_path, monkeypatch):
    (tmp_path / "own").mkdir(mode=0o700)
    (tmp_path / "link").symlink_to("own")
    seen = (tmp_path / "link").lstat()
    other = SimpleNamespace(st_uid=os.geteuid() + 1, st_gid=seen.st_gid, st_mode=seen.st_mode)
    monkeypatch.setattr("pathlib.Path.lstat", lambda _: other)
    with pytest.raises(StateDirError, match=f"user {other.st_uid} owns it"):
        open_files(tmp_path / "link")


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


# A process that is killed between any two calls of a write leaves the old or the new document.

ROOT = Path(__file__).parents[3]


# Writes a second document over the first, and ends without any clean-up after the given number of calls to the system.
PROGRAM = """
import os, sys
from pathlib import Path
from exporter.state.store import PrivateDirectory
directory, calls = PrivateDirectory(Path(sys.argv[1])), int(sys.argv[2])
directory.open()
def counted(call):
    def calling(*arguments, **options):
        global calls
        calls -= 1
        if calls < 0:
            os._exit(9)
        return call(*arguments, **options)
    return calling
for name in ("open", "fdopen", "replace", "unlink", "fstat"):
    setattr(os, name, counted(getattr(os, name)))
directory.write(sys.argv[3], Path(sys.argv[4]).read_bytes())
os._exit(0)
"""


@pytest.fixture
async def state_dir(tmp_path):
    """A directory with one document of a target."""
    pool = DaemonThreadPool(1)
    files = StateFiles(tmp_path / "state", pool=pool, on_problem=pytest.fail)
    files.open()
    files.put(DocumentKind.TARGET, "payroll", {"answer": "old"})
    await files.aclose()
    pool.close()
    return tmp_path / "state"


def answer_after(state_dir):
    """The document that the next process finds, which then writes another one."""
    files = StateFiles(state_dir, pool=None, on_problem=pytest.fail)
    files.open()
    found = files.load(DocumentKind.TARGET, "payroll")["answer"]
    files._directory.write("other.json", b"{}")
    files._directory.close()
    return found


async def test_killed_write_leaves_the_old_or_the_new_document(state_dir, tmp_path):
    [path] = state_dir.glob("target-*.json")
    old = json.loads(path.read_text())
    (tmp_path / "new").write_text(json.dumps(old | {"answer": "new"}))
    found = []
    for calls in range(20):
        path.write_text(json.dumps(old))
        arguments = [sys.executable, "-c", PROGRAM, state_dir, str(calls), path.name, tmp_path / "new"]
        code = subprocess.run(arguments, cwd=ROOT, check=False).returncode  # noqa: S603, ASYNC221 - the interpreter of the tests
        found.append(answer_after(state_dir))
        if code == 0:
            break
    assert code == 0
    assert len(found) >= 4
    assert found == ["old"] * (len(found) - 1) + ["new"]
    assert list(state_dir.glob("*.tmp")) == []


# A state directory that cannot be written at the start or for a time: the exporter reads it and reports that once.

NAMES = ("payroll", "billing")


CAUSES = ("EROFS", "EACCES", "EPERM", "ENOSPC", "EDQUOT", "EIO", "ESTALE")


@pytest.fixture
def broken_disk(monkeypatch):
    """Let each creation of a file fail with an error, until it is called with None."""
    real, failing = os.open, [None]

    def opening(path, flags, *rest, **more):
        if failing[0] is not None and flags & os.O_CREAT:
            raise OSError(failing[0], os.strerror(failing[0]))
        return real(path, flags, *rest, **more)

    monkeypatch.setattr("os.open", opening)
    return lambda error: failing.__setitem__(0, error)


async def put(files, answer):
    for name in NAMES:
        files.put(DocumentKind.TARGET, name, {"answer": answer})
    await files._writer


def answers(files):
    documents = [files.load(DocumentKind.TARGET, name) for name in NAMES]
    return [None if each is None else each["answer"] for each in documents]


@pytest.mark.parametrize("cause", CAUSES)
async def test_unwritable_directory_is_read_and_reported_once(cause, open_files, state_dir, broken_disk, problems):
    files = open_files(state_dir)
    await put(files, 1)
    await files.aclose()
    broken_disk(getattr(errno, cause))
    files = open_files(state_dir)
    assert (answers(files), files.is_writable) == ([1, 1], False)
    await put(files, 2)
    await put(files, 3)
    [problem] = problems
    assert problem.startswith(f"{state_dir}: cannot be written: ")
    assert problem.endswith("correct the mount, the rights or the space")
    assert (answers(files), files.is_writable) == ([1, 1], False)


async def test_directory_is_locked_and_written_once_it_is_writable(open_files, state_dir, broken_disk):
    broken_disk(errno.EROFS)
    files = open_files(state_dir)
    await put(files, 1)
    broken_disk(None)
    files.put(DocumentKind.TARGET, NAMES[0], {"answer": 2})
    await files._writer
    assert (answers(files), files.is_writable) == ([2, 1], True)  # the other document waited
    with pytest.raises(StateDirError, match="another exporter uses this"):
        open_files(state_dir)


async def test_failed_document_is_written_with_the_next_one(open_files, state_dir, broken_disk, problems):
    files = open_files(state_dir)
    broken_disk(errno.ENOSPC)
    files.put(DocumentKind.CREDENTIAL, "sql-prod", {"answer": 1})
    await files._writer
    assert (len(problems), files.is_writable) == (1, False)
    broken_disk(None)
    files.put(DocumentKind.TARGET, NAMES[0], {"answer": 2})
    await files._writer
    assert (files.load(DocumentKind.CREDENTIAL, "sql-prod")["answer"], files.is_writable) == (1, True)


async def test_removed_document_is_not_written_again(open_files, state_dir, broken_disk):
    files = open_files(state_dir)
    broken_disk(errno.ENOSPC)
    await put(files, 1)
    broken_disk(None)
    files.remove(DocumentKind.TARGET, NAMES[0])
    await files._writer
    assert answers(files) == [None, 1]


async def test_directory_of_another_user_is_not_used_later(open_files, state_dir, broken_disk, monkeypatch, problems):
    folder = state_dir.parent / "later"
    monkeypatch.setattr("pathlib.Path.mkdir", lambda *_, **__: broken_disk(errno.EROFS) or os.open(folder / "x", os.O_CREAT))
    files = open_files(folder)
    assert (answers(files), len(problems)) == ([None, None], 1)
    monkeypatch.undo()
    folder.mkdir(mode=0o777)
    folder.chmod(0o777)
    [planted] = state_dir.glob("target-*.json")
    shutil.copy(planted, folder)
    assert answers(files) == [None, None]
    await put(files, 1)
    assert [each.read_bytes() for each in folder.iterdir()] == [planted.read_bytes()]
    assert not files.is_writable


def fail(*_, **__):
    raise OSError(errno.EIO, "input/output error")


@pytest.mark.parametrize("call", ["os.fdopen", "os.replace", "os.unlink"])
async def test_document_is_old_or_new_whatever_call_fails(call, open_files, state_dir, monkeypatch):
    files = open_files(state_dir)
    await put(files, 1)
    with monkeypatch.context() as patched:
        patched.setattr(call, fail)
        patched.setattr(process, "lock", None)  # a held lock is not taken again
        await put(files, 2)
    assert answers(files) == [1, 1]
    assert {json.loads(each.read_text())["answer"] for each in state_dir.glob("*.json")} == {1}
    await put(files, 3)
    assert answers(files) == [3, 3]
