"""Files that another program holds, and names that Windows treats in its own way: clear texts, and never a traceback."""

import contextlib
import json
import re
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.support.broken_credentials import closed_port
from tests.support.sql_inventory import rows_of, sqlcmd
from tests.support.written import write_private
from tests.system.windows.both import Both, both
from tests.system.windows.simulated import until

__all__ = ["both"]
SECRET = "marked-secret-of-the-test"
CONFIG = f"""
modules:
  closed: {{connect_to: {{"contoso-prod.vault.azure.net:443": "127.0.0.1:{closed_port()}"}}}}
credentials:
  c: {{type: client_secret, tenant_id: contoso.invalid, client_id: 66666666-7777-8888-9999-000000000000, client_secret_file: Geheimnis}}
targets:
  - {{name: con, vault: contoso-prod, key: K/00000000000000000000000000000000, credential: c, module: closed}}
"""
HOLD = """
import ctypes, sys
kernel = ctypes.windll.kernel32
kernel.CreateFileW.restype = ctypes.c_void_p
for path in sys.argv[2:]:
    handle = kernel.CreateFileW(path, 0x80000000, int(sys.argv[1]), None, 3, 0, None)  # read an existing file
    assert handle != ctypes.c_void_p(-1).value, path
print("held", flush=True)
sys.stdin.read()
kernel.Sleep(-1)
"""
ALONE = "0"  # what the holder grants to others


@pytest.fixture
def folder(both) -> Path:
    write_private(both.folder / "Geheimnis", SECRET)
    (both.folder / "ekm.yml").write_text(CONFIG)
    return both.folder


@contextlib.contextmanager
def held(both: Both, grants: str, *names: str) -> Iterator[None]:
    """Hold files open as another program."""
    with both.host.start(both.host.python, "-c", HOLD, grants, *names, cwd=both.folder) as program:
        program.output("held")
        yield


def test_file_that_another_program_holds_is_named(both, folder):
    cause = "permission denied, or another program has it open"
    (folder / "main.yml").write_text("include: [ekm.yml, part.yml]\n")
    (folder / "part.yml").write_text("targets: []\n")
    with held(both, ALONE, "part.yml", "Geheimnis"):
        check = both.there("check", "--config.file", "main.yml")
    assert (check.code, check.out) == (2, "")
    assert f"main.yml:1:20: include[1]: {cause}\n" in check.err, check.err
    assert f"credentials.c.client_secret_file: {cause}\n" in check.err


REPLACE = """
import os, pathlib, sys, threading
from exporter.config.settings import SecretSource, SecretUnreadableError, read_secret
path, done, texts = pathlib.Path("Geheimnis"), threading.Event(), set()
def replace():
    for number in range(300):
        pathlib.Path("new").write_text(f"marked-secret-{number:04}")
        try:
            os.replace("new", path)
        except PermissionError:  # the reader has it open
            pass
    done.set()
threading.Thread(target=replace).start()
read = 0
while not done.is_set():
    try:
        read += len(read_secret(SecretSource(file=path))) in (18, 25)
    except SecretUnreadableError as error:
        texts.add(error.what)
print(read > 0, sorted(texts))
"""


@pytest.mark.usefixtures("folder")
def test_secret_that_is_replaced_while_it_is_read_is_whole_or_refused(both):
    done = both.host.call(both.host.python, "-c", REPLACE, cwd=both.folder)
    refusals = {"no such file", "permission denied, or another program has it open"}
    assert done.out.startswith("True "), done.text
    assert set(done.out.strip("True []\n'").split("', '")) <= {"", *refusals}, done.out


def test_long_path_with_blanks_and_umlauts_holds_configuration_state_and_targets(both, folder):
    deep = Path(*["Ordner mit Größe und Leerzeichen"] * 9)  # more than 260 characters
    (folder / deep).mkdir(parents=True)
    for name in ("ekm.yml", "Geheimnis"):
        write_private(folder / deep / name, (folder / name).read_bytes())
    flags = ("--state.dir", deep / "Zustand", "--web.listen-address", "127.0.0.1:0")
    with both.host.running("run", "--config.file", deep / "ekm.yml", *flags, cwd=folder) as exporter:
        exporter.output("connect_refused")
        until(lambda: list((folder / deep / "Zustand").glob("target-*.json")))
    (folder / "N1.txt").write_text(sqlcmd(rows_of("N1", databases={"Löhne": "0x2C56"})))
    both.same("inventory", "--from", "N1.txt", "--out", deep / "targets.d", writes=(str(deep / "targets.d"),))


def test_name_that_is_no_file_has_a_reason(both, folder):
    names = ("con", "NUL.yml", ".", "a|b.yml", "\\\\no-server\\share\\x.yml", "x" * 300)
    (folder / "main.yml").write_text(f"{CONFIG}include: {json.dumps(names)}\n")
    done = both.there("check", "--config.file", "main.yml")
    assert (done.code, done.out) == (2, "")
    texts = re.findall(r": include\[\d\]: (.+)", done.err)
    assert texts == [
        "a device, not a file",
        "not a regular file",
        "a directory, not a file",
        "not a valid path",
        "no such file",
        "no such file, or Windows refuses its path, which is long: shorten it, or set LongPathsEnabled",
    ], done.err
