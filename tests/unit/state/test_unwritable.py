"""A state directory that cannot be written at the start or for a time: the exporter reads it and reports that once."""

import errno
import json
import os

import pytest

from exporter.runtime import process
from exporter.state.store import DocumentKind, StateDirError

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


async def test_directory_of_another_user_is_not_used_later(open_files, tmp_path, broken_disk, monkeypatch, problems):
    monkeypatch.setattr("pathlib.Path.mkdir", lambda *_, **__: broken_disk(errno.EROFS) or os.open(tmp_path / "x", os.O_CREAT))
    files = open_files(tmp_path / "state")
    assert (answers(files), len(problems)) == ([None, None], 1)
    monkeypatch.undo()
    (tmp_path / "state").mkdir(mode=0o777)
    (tmp_path / "state").chmod(0o777)
    await put(files, 1)
    assert list((tmp_path / "state").iterdir()) == []
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
