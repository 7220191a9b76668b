"""The MSI by Wine's Windows Installer: a small one for what it passes on and keeps, and the real one once, with its service."""

import io
import json
import re
import shutil
import socket
import zipfile
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest

from deploy.windows import make_msi
from tests.system.windows import parts
from tests.system.windows.host import Host
from tests.system.windows.simulated import answered, fetch

NEEDED = {"python.exe", "python313.dll", "python313.zip", "vcruntime140.dll"}
# Stands for the command `service`: keeps the options, and fails if a file demands it.
SERVICE = b"""
import json, pathlib, sys
base = pathlib.Path(sys.executable).parents[2]
with (base / "calls").open("a") as file:
    print(json.dumps([(base / "app/VERSION").read_text(), *sys.argv[1:]]), file=file)
if sys.argv[2] == "install":
    fails = (base / "refuse").exists()
    pathlib.Path(sys.argv[3].partition("=")[2]).write_text("ekm.yml: a problem" if fails else "")
    sys.exit(fails)
"""
KEPT = ["service", "install", r"--log.file=C:\Program Files\ekm-exporter\install.log"]  # changes no setting
EMPTY = [*KEPT, "--config.file=", "--web.listen-address=", "--arguments=", "--account=", "--prometheus="]
ROLLED_BACK = 1627  # Windows: 1603
REFUSED = 1603


@dataclass
class Installer:
    """Windows Installer of a host. `base` is where the MSI installs."""

    host: Host
    work: Path

    @property
    def base(self) -> Path:
        return self.host.prefix / "drive_c" / "Program Files" / "ekm-exporter"

    def run(self, words: str) -> int:
        """Run msiexec with these words, quoted as in a batch file, and return its exit code: that of a process has one byte here."""
        script = self.work / "run.cmd"
        script.write_text(f"@msiexec /qn {words}\r\n@echo %ERRORLEVEL%\r\n", newline="")
        return int(self.host.call("cmd", "/c", self.host.windows_path(script)).out)

    @property
    def log(self) -> str:
        """What `service install` has printed."""
        path = self.base / "install.log"
        return path.read_text(encoding="utf-8") if path.exists() else ""

    def calls(self) -> list[list[str]]:
        """The calls of the command `service` since the last look: the version of the program, and the words."""
        path = self.base / "calls"
        found = [json.loads(line) for line in path.read_text().splitlines()] if path.exists() else []
        path.unlink(missing_ok=True)
        return found

    def programs(self) -> set[str]:
        """The modules and bytecode below `lib`."""
        return {path.name for path in (self.base / "app" / "lib").rglob("*.py*")}


@pytest.fixture(scope="module")
def small(tmp_path_factory) -> Callable[[str], Path]:
    """Return a function that makes the MSI of a version with few files."""
    place = tmp_path_factory.mktemp("small")
    with zipfile.ZipFile(io.BytesIO(parts.embeddable_python())) as archive:
        python = {f"app/python/{name}": archive.read(name) for name in NEEDED}
    python["app/python/python313._pth"] = b"python313.zip\r\n.\r\n..\\lib\r\n"
    own = {"ekm.example.yml": b"targets: []\r\n", "app/lib/exporter/__init__.py": b"", "app/lib/exporter/__main__.py": SERVICE}

    def make(version: str) -> Path:
        out = place / f"{version}.msi"
        if not out.exists():
            only = {f"app/lib/only{version.replace('.', '')}.py": b""}
            make_msi.make({**python, **own, **only, "app/VERSION": version.encode()}, version, out)
        return out

    return make


@pytest.fixture
def installer(wine) -> Iterator[Installer]:
    """Windows Installer, with nothing installed before and after the test."""
    work = wine / "drive_c" / "msi files"
    work.mkdir()
    found = Installer(Host(wine, work), work)
    yield found
    for product in sorted(work.glob("*.msi")):
        found.run(f'/x "{found.host.windows_path(product)}"')
    shutil.rmtree(found.base, ignore_errors=True)
    shutil.rmtree(work)


@pytest.fixture
def install(installer, small) -> Callable[..., int]:
    """Return a function that installs a version with properties."""

    def run(version: str, properties: str = "") -> int:
        place = installer.work / f"{version}.msi"
        if not place.exists():
            shutil.copy(small(version), place)
        return installer.run(f'/i "{installer.host.windows_path(place)}" {properties}')

    return run


def test_properties_become_options_of_the_service(installer, install):
    given = r'CONFIG="C:\msi files\ekm.yml" LISTEN=:10399 ARGUMENTS="--web.enable-pages --log.level=debug"'
    assert install("0.1.0", rf'{given} SERVICEACCOUNT="CONTOSO\ekm$" PROMETHEUS="10.1.2.3 10.1.2.4"') == 0
    settings = ["--web.listen-address=:10399", "--arguments=--web.enable-pages --log.level=debug", r"--account=CONTOSO\ekm$"]
    options = [r"--config.file=C:\msi files\ekm.yml", *settings, "--prometheus=10.1.2.3 10.1.2.4"]
    assert installer.calls() == [["0.1.0", *KEPT, *options]]


def test_upgrade_replaces_the_program_and_keeps_the_rest(installer, install):
    install("0.1.0")
    (installer.base / "ekm.yml").write_text("mine")
    assert install("0.2.0") == 0
    assert (installer.base / "app" / "VERSION").read_text() == "0.2.0"
    assert {"only020.py", "only020.cpython-313.pyc"} <= installer.programs()
    assert {"only010.py", "only010.cpython-313.pyc"} & installer.programs() == set()
    assert (installer.base / "ekm.yml").read_text() == "mine"
    assert installer.calls()[-1] == ["0.2.0", *EMPTY]


@pytest.mark.parametrize("given", [r'ARGUMENTS="\" --base=C: "', r'LISTEN="C:\" ARGUMENTS=" --base=C:"'])
def test_value_that_ends_its_quotes_is_refused_and_nothing_changes(given, installer, install):
    assert install("0.1.0", given) == REFUSED
    assert not installer.base.exists()


def test_repair_runs_no_program(installer, install):
    """Any user may start one."""
    install("0.1.0")
    installer.calls()
    assert install("0.1.0", r'CONFIG=C:\other.yml ARGUMENTS="\" ^& echo^> C:\injected ^& rem "') == 0
    assert not (installer.host.prefix / "drive_c" / "injected").exists()
    assert installer.calls() == []


def test_service_that_cannot_be_installed_fails_the_installation_with_the_reason(installer, install):
    installer.base.mkdir()
    (installer.base / "refuse").touch()
    assert install("0.1.0") == ROLLED_BACK
    assert "ekm.yml: a problem" in installer.log
    assert not (installer.base / "app" / "VERSION").exists()


def test_uninstallation_keeps_what_it_did_not_install(installer, install):
    install("0.1.0")
    (installer.base / "ekm.yml").write_text("mine")
    installer.calls()
    assert installer.run(r'/x "C:\msi files\0.1.0.msi"') == 0
    assert installer.calls() == [["0.1.0", "service", "remove"]]
    assert {path.name for path in installer.base.iterdir()} == {"ekm.yml"}


def test_msi_of_the_release_runs_the_service_and_a_later_one_replaces_it(installer, install, windows_msi, simulator):
    """The later one is small: it has to stop the service, and to remove every file and the bytecode."""
    config = simulator.configure(installer.host, installer.work / "own")
    with socket.create_server(("127.0.0.1", 0)) as free:
        address = f"127.0.0.1:{free.getsockname()[1]}"
    shutil.copy(windows_msi, installer.work / "real.msi")

    assert installer.run(rf'/i "C:\msi files\real.msi" CONFIG="C:\msi files\own\{config.name}" LISTEN={address}') == 0, (
        installer.log
    )
    assert "running: http://" in installer.log
    answered(
        f"http://{address}/metrics",
        lambda text: bool(re.search(r'^ekm_probe_success\{target="fine".* 1\.0$', text, re.MULTILINE)),
    )
    key = r"HKLM\System\CurrentControlSet\Services\ekm-exporter"
    shown = installer.host.call("reg", "query", key, "/v", "ImagePath").out
    assert r' "C:\Program Files\ekm-exporter\app\python\python.exe" ' in shown
    assert (installer.base / "ekm.yml").read_text() == config.read_text()

    assert install("99.0.0") == 0
    assert installer.calls() == [["99.0.0", *EMPTY]]
    assert len(installer.programs()) == 6
    assert address in json.loads((installer.base / "service.json").read_text())["listen"]
    assert (installer.base / "ekm.yml").read_text() == config.read_text()
    with pytest.raises(OSError, match="refused"):
        fetch(f"http://{address}/-/healthy")
