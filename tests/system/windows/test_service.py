"""The exporter as a service of Windows, under Wine: installed, changed, killed, stopped and removed.

Wine keeps no event log, starts no service again after a failure, has no rights per account and no firewall: only Windows shows these.
"""

import contextlib
import json
import os
import re
import shutil
import signal
import socket
import urllib.request
from pathlib import Path

import pytest

from tests.support.patience import PATIENCE
from tests.support.values import replace
from tests.system.windows.simulated import until

NAME = "ekm-of-test"
CONFIGURATION = """\
credentials:
  sql-prod: {type: client_secret, client_id: 66666666-7777-8888-9999-000000000000, client_secret_file: secrets/ekm-credential}
targets:
"""
READ_KEY = """
import json, sys, winreg
key = winreg.OpenKey(winreg.HKEY_LOCAL_MACHINE, sys.argv[1])
print(json.dumps({name: value for name, value, _ in (winreg.EnumValue(key, i) for i in range(winreg.QueryInfoKey(key)[1]))}))
"""
TARGET = "  - {{name: {}, vault: contoso, key: K/00000000000000000000000000000000, credential: sql-prod}}\n"


class Installed:
    """A service on the host of the tests, in a folder of its own with the program."""

    def __init__(self, host, place):
        self.base, self.given = host.prefix / "drive_c" / "Dienst Übung", place / "mine.yml"
        shutil.copytree(host.folder / "app", self.base / "app")
        self.host = replace(host, folder=self.base)
        (place / "secrets").mkdir()
        (place / "secrets" / "ekm-credential").write_text("x" * 30)
        with socket.create_server(("127.0.0.1", 0)) as listener:
            self.port = listener.getsockname()[1]
        self.write("first")

    def write(self, *targets, place=None):
        (place or self.given).write_text(CONFIGURATION + "".join(TARGET.format(name) for name in targets))

    def run(self, command, *flags):
        return self.host.run("service", command, "--name", NAME, *flags)

    def install(self, *flags):
        given = ("--config.file", self.host.windows_path(self.given), "--web.listen-address", f"127.0.0.1:{self.port}")
        return self.run("install", *given, *flags)

    def targets(self):
        """Return the names in the metrics, or None if the service does not listen."""
        with contextlib.suppress(OSError):
            text = urllib.request.urlopen(f"http://127.0.0.1:{self.port}/metrics", timeout=PATIENCE).read().decode()
            return set(re.findall(r'^ekm_target_info\{[^}]*target="([^"]*)"', text, re.MULTILINE))
        return None

    def processes(self):
        words = f"\0service\0run\0--name\0{NAME}\0".encode()
        found = []
        for path in Path("/proc").glob("[0-9]*/cmdline"):
            with contextlib.suppress(OSError):
                found += [int(path.parent.name)] if words in path.read_bytes() else []
        return found

    def registry(self, key):
        """Return the values of a key below `HKLM\\System\\CurrentControlSet\\Services`, or None if there is no such key."""
        done = self.host.call(self.host.python, "-X", "utf8", "-c", READ_KEY, rf"System\CurrentControlSet\Services\{key}")
        assert done.code == 0 or "FileNotFoundError" in done.err, done
        return json.loads(done.out) if done.code == 0 else None

    @property
    def log(self):
        return (self.base / "logs" / "ekm-exporter.log").read_text()


@pytest.fixture(scope="module")
def installed(host, tmp_path_factory):
    service = Installed(host, tmp_path_factory.mktemp("given"))
    done = service.install("--prometheus", "10.1.2.3")
    assert done.code == 0, done.text
    assert done.out.splitlines() == [
        f"service {NAME}: changed: program, service, configuration, secrets, firewall, start",
        f"running: http://127.0.0.1:{service.port}/metrics",
    ]
    yield service
    service.run("remove", "--remove-data")
    shutil.rmtree(service.base)


def test_service_runs_only_once_it_listens(installed):
    """The installation waits for the state RUNNING alone."""
    assert installed.targets() == {"first"}
    assert (installed.base / "state").is_dir()


def test_service_is_registered_with_a_quoted_command_and_its_own_account(installed):
    values = installed.registry(NAME)
    base = installed.host.windows_path(installed.base)
    command = (
        f'"{installed.host.windows_path(installed.host.python)}" -X utf8 -m exporter service run --name {NAME} --base "{base}"'
    )
    assert values["ImagePath"] == f"{command} -- --web.listen-address 127.0.0.1:{installed.port}"
    assert (values["ObjectName"], values["Start"], values["DelayedAutoStart"]) == (rf"NT SERVICE\{NAME}", 2, 1)


def test_source_of_the_event_log_is_registered(installed):
    values = installed.registry(rf"EventLog\Application\{NAME}")
    assert values == {"EventMessageFile": r"%SystemRoot%\System32\EventCreate.exe", "TypesSupported": 7, "CustomSource": 1}


def test_second_installation_changes_nothing(installed):
    before = installed.processes()
    done = installed.run("install", "--prometheus", "none", "--dry-run")
    assert (done.code, done.out) == (0, f"service {NAME}: would change: firewall\n")
    assert installed.install().out.splitlines()[0] == f"service {NAME}: unchanged"
    assert installed.processes() == before


def test_changed_file_is_applied_without_a_restart(installed):
    before = installed.processes()
    installed.write("second", place=installed.base / "ekm.yml")
    until(lambda: installed.targets() == {"second"})
    installed.write("third")
    assert "changed: configuration\n" in installed.install().out  # which requests a reload
    until(lambda: installed.targets() == {"third"})
    assert installed.processes() == before


def test_start_that_fails_names_the_reason_and_the_previous_service_returns(installed):
    with socket.create_server(("127.0.0.1", 0)) as other:
        taken = f"127.0.0.1:{other.getsockname()[1]}"
        done = installed.run("install", "--web.listen-address", taken)
    assert done.code == 1, done.text
    assert f"the service {NAME} ended with exit code 2. The end of " in done.err
    assert f"cannot listen on {taken}" in done.err
    until(lambda: installed.targets() is not None)


def test_killed_service_starts_again_and_stops_cleanly(installed):
    """Wine does not start it again by itself: `net start` does. The lock of the state directory has ended with the process."""
    for process in until(installed.processes):
        os.kill(process, signal.SIGKILL)
    until(lambda: not installed.processes())
    assert installed.host.call("net", "start", NAME).code == 0
    until(installed.targets)
    assert installed.host.call("net", "stop", NAME).code == 0
    until(lambda: not installed.processes())
    assert installed.log.splitlines()[-1].endswith("msg=stopping")


def test_removal_keeps_the_data_without_the_flag(installed):
    base = installed.host.windows_path(installed.base)
    done = installed.run("remove")
    assert done.text.endswith(f"event source\nkept: {base}\n"), done.text
    assert installed.processes() == []
    assert installed.registry(NAME) is None
    assert installed.registry(rf"EventLog\Application\{NAME}") is None
    assert (installed.base / "secrets" / "ekm-credential").exists()
    assert installed.run("remove", "--remove-data").code == 0
    assert [path.name for path in installed.base.iterdir()] == ["app"]
