"""State directories with files of another user, and file systems that hang."""

import asyncio
import json
import os
import socket
import stat
import threading

import pytest

from exporter.runtime import process
from exporter.state.store import DocumentKind, PrivateDirectory, StateDirError, StateFiles, StateStore
from tests.integration.process.conftest import fetch, write_configuration
from tests.integration.process.conftest import plain_command as command  # noqa: F401 - a fixture
from tests.support.patience import PATIENCE

NAMES = [f"target-{number}" for number in range(20)]


def link(path, outside):
    path.symlink_to(outside)


def dangling_link(path, outside):
    path.symlink_to(outside.with_name("nowhere"))


def pipe(path, _outside):
    os.mkfifo(path)


def folder(path, _outside):
    path.mkdir()


def unix_socket(path, _outside):
    here = os.getcwd()  # noqa: PTH109 - the address of a socket has at most 108 bytes
    os.chdir(path.parent)
    with socket.socket(socket.AF_UNIX) as made:
        made.bind(path.name)
    os.chdir(here)


TRAPS = [link, dangling_link, pipe, folder, unix_socket]


@pytest.fixture
def outside(tmp_path):
    path = tmp_path / "outside"
    path.write_text("not of the exporter")
    return path


async def kept(path, open_files):
    """Write a document for each name. Returns the file of the first one."""
    files = open_files(path)
    for name in NAMES:
        files.put(DocumentKind.TARGET, name, {"answer": name})
    await files._writer
    await files.aclose()
    return next(each for each in path.glob("*.json") if json.loads(each.read_text())["name"] == NAMES[0])


@pytest.mark.parametrize("trap", TRAPS)
async def test_trap_in_place_of_a_document_is_reported_once(open_files, state_dir, outside, trap, problems):
    path = await kept(state_dir, open_files)
    outside.write_bytes(path.read_bytes())  # a link to a valid document is refused too
    path.unlink()
    trap(path, outside)
    files = open_files(state_dir)
    assert [files.load(DocumentKind.TARGET, name) is None for name in NAMES] == [True] + [False] * 19
    assert [problem.startswith(f"{path}: cannot be read and is ignored") for problem in problems] == [True]


@pytest.mark.parametrize("trap", [link, dangling_link, pipe, unix_socket])
async def test_trap_in_place_of_a_temporary_file_is_replaced(open_files, state_dir, outside, trap, problems):
    path = await kept(state_dir, open_files)
    trap(path.with_suffix(".tmp"), outside)
    files = open_files(state_dir)
    files.put(DocumentKind.TARGET, NAMES[0], {"answer": "new"})
    await files._writer
    assert files.load(DocumentKind.TARGET, NAMES[0])["answer"] == "new"
    assert stat.S_IMODE(path.stat().st_mode) == 0o600
    assert outside.read_text() == "not of the exporter"
    assert not outside.with_name("nowhere").exists()
    assert problems == []


@pytest.mark.parametrize("trap", TRAPS)
def test_trap_in_place_of_the_lock_is_refused(open_files, state_dir, outside, trap):
    trap(state_dir / "lock", outside)
    with pytest.raises(StateDirError, match=str(state_dir)):
        open_files(state_dir)
    assert outside.read_text() == "not of the exporter"
    assert not outside.with_name("nowhere").exists()


def test_link_created_during_a_write_is_not_followed(state_dir, outside, monkeypatch):
    directory = PrivateDirectory(state_dir)
    directory.open()
    # The other user creates the link right after the exporter has removed the file.
    monkeypatch.setattr(directory, "remove", lambda name: (state_dir / name).symlink_to(outside))
    with pytest.raises(FileExistsError):
        directory.write("a.json", b"new")
    directory.close()
    assert outside.read_text() == "not of the exporter"


def test_renamed_directory_stays_in_use(state_dir, tmp_path):
    directory = PrivateDirectory(state_dir)
    directory.open()
    state_dir.rename(tmp_path / "moved")
    state_dir.mkdir()
    directory.write("a.json", b"new")
    directory.close()
    assert (tmp_path / "moved" / "a.json").read_bytes() == b"new"
    assert list(state_dir.iterdir()) == []


def seen(mode, owner=None, group=None):
    owner, group = os.geteuid() if owner is None else owner, os.getegid() if group is None else group
    return os.stat_result((mode, 0, 0, 0, owner, group, 0, 0, 0, 0))


STRANGER = os.geteuid() + 1000


@pytest.mark.parametrize(
    ("status", "reason"),
    [
        (seen(stat.S_IFDIR | 0o700), ""),
        (seen(stat.S_IFDIR | 0o755, owner=0), ""),
        (seen(stat.S_IFDIR | 0o2770), ""),  # a volume of Kubernetes with fsGroup
        (seen(stat.S_IFDIR | 0o2775, owner=0), ""),
        (seen(stat.S_IFLNK | 0o777, owner=0), ""),  # systemd with DynamicUser
        (seen(stat.S_IFDIR | 0o770, group=os.getegid() + 1), f"group {os.getegid() + 1} may write to it"),
        (seen(stat.S_IFDIR | 0o777), "every user may write to it"),
        (seen(stat.S_IFDIR | 0o1777, owner=0), "every user may write to it"),
        (seen(stat.S_IFDIR | 0o700, owner=STRANGER), f"user {STRANGER} owns it"),
        (seen(stat.S_IFLNK | 0o777, owner=STRANGER), f"user {STRANGER} owns it"),
    ],
)
def test_only_exporter_root_and_its_group_may_write(status, reason):
    assert process.other_writers(status) == reason


async def test_world_writable_directory_is_exit_code_2(command, tmp_path, state_dir):  # noqa: F811 - a fixture
    state_dir.chmod(0o777)
    running = await command("run", "--config.file", write_configuration(tmp_path), "--no-scheduler", "--state.dir", state_dir)
    assert await running.end() == 2
    [line] = [line for line in running.err if line.startswith("ekm-exporter run: ")]
    assert "every user may write to it" in line
    assert "chmod 0700" in line
    assert list(state_dir.iterdir()) == []


async def test_exporter_runs_with_a_read_only_directory(command, tmp_path):  # noqa: F811 - a fixture
    flags = (
        "--no-scheduler", "--web.listen-address", "127.0.0.1:0", "--state.dir", "/sys/kernel",
    )  # where no user can create a file  # fmt: skip
    running = await command("run", "--config.file", write_configuration(tmp_path), *flags)
    url = (await running.output(r"url=(http://\S+)"))[1]
    _, metrics = await fetch(f"{url}/metrics")
    assert "\nekm_exporter_state_writable 0.0\n" in metrics
    assert "The state directory cannot be written" in (await fetch(f"{url}/"))[1]
    assert running.text.count('msg=state problem="/sys/kernel: cannot be written: ') == 1
    assert await running.stop() == 0


@pytest.fixture
def hang():
    """A function that does not return before the test ends."""
    over = threading.Event()
    yield lambda *_: over.wait(60)
    over.set()


@pytest.fixture
async def memory(state_dir, monkeypatch):
    monkeypatch.setattr("exporter.state.store.OPENING_SECONDS", 0.5)
    monkeypatch.setattr("exporter.state.store.LOADING_SECONDS", 0.5)
    made = StateStore(state_dir, history_limit=1)
    yield made
    await made.aclose()


@pytest.fixture
async def documents(state_dir, open_files):
    return await kept(state_dir, open_files)


async def test_hanging_document_loses_only_itself(documents, memory, hang, monkeypatch, caplog):
    load = StateFiles.load
    monkeypatch.setattr(
        StateFiles, "load", lambda self, _, name: hang() if name == NAMES[0] else load(self, DocumentKind.TARGET, name)
    )
    async with asyncio.timeout(PATIENCE):
        await memory.open((), NAMES)
    assert [memory.recall_document(DocumentKind.CREDENTIAL, name) is None for name in NAMES] == [True] + [False] * 19
    assert [
        f"1 of 20 files in {documents.parent} could not be read in time" in str(vars(record)) for record in caplog.records
    ] == [True]


async def test_hanging_directory_is_unused_and_reported_once(state_dir, memory, hang, monkeypatch, caplog):
    monkeypatch.setattr(StateFiles, "open", hang)
    async with asyncio.timeout(PATIENCE):
        await memory.open(NAMES, NAMES)
    memory.keep_document(DocumentKind.CREDENTIAL, "sql", {})
    assert [f"{state_dir} did not answer within 0.5 s" in str(vars(record)) for record in caplog.records] == [True]
    assert list(state_dir.iterdir()) == []
