"""A process that is killed between any two calls of a write leaves the old or the new document."""

import json
import subprocess
import sys
from pathlib import Path

import pytest

from exporter.runtime.tasks import DaemonThreadPool
from exporter.state.store import DocumentKind, StateFiles

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
