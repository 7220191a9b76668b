"""The Windows zip, unpacked on a host of Wine, and a simulator on this machine. Wine proves the exporter, not Windows."""

import shutil
import subprocess
import sys
import zipfile
from collections.abc import Iterator
from pathlib import Path

import pytest

from deploy.windows import make_msi, make_zip
from exporter import __version__
from tests.support.patience import PROGRAM_SECONDS
from tests.system.windows import parts
from tests.system.windows.host import Host
from tests.system.windows.simulated import Simulated, simulating

pytest.register_assert_rewrite("tests.system.windows.both")
ROOT = Path(__file__).parents[3]


@pytest.hookimpl(tryfirst=True)
def pytest_collection_modifyitems(items):
    for item in items:
        if item.path.is_relative_to(Path(__file__).parent):
            item.add_marker(pytest.mark.windows)


@pytest.fixture(scope="session")
def windows_wheel(tmp_path_factory) -> Path:
    place = tmp_path_factory.mktemp("wheel")
    command = [sys.executable, "-m", "build", "--no-isolation", "--wheel", "--outdir", place, ROOT]
    subprocess.run(command, check=True, capture_output=True, timeout=PROGRAM_SECONDS)  # noqa: S603 - no outside input commands
    (wheel,) = place.glob("*.whl")
    return wheel


@pytest.fixture(scope="session")
def windows_files(windows_wheel, tmp_path_factory) -> dict[str, bytes]:
    """Return every file of the zip by its name."""
    downloads = tmp_path_factory.mktemp("downloads")
    return make_zip.contents(windows_wheel, downloads, parts.pins(downloads), parts.LOCKED_WHEELS)


@pytest.fixture(scope="session")
def windows_zip(windows_files, tmp_path_factory) -> Path:
    out = tmp_path_factory.mktemp("zip") / f"ekm-exporter-{__version__}-windows-amd64.zip"
    make_zip.pack(windows_files, out)
    return out


@pytest.fixture(scope="session")
def windows_msi(windows_zip) -> Path:
    out = windows_zip.with_suffix(".msi")
    make_msi.make(make_msi.read(windows_zip), __version__, out)
    return out


@pytest.fixture(scope="session")
def wine(tmp_path_factory) -> Iterator[Path]:
    """Return the folder of a new Windows, whose services run until the end of the tests."""
    prefix = tmp_path_factory.mktemp("wine") / "prefix"
    computer = Host(prefix, prefix)
    try:
        for command in (("wineboot", "--init"), ("wineserver", "--wait"), ("wineserver", "--persistent")):
            assert computer.manage(*command) == 0, command
        yield prefix
    finally:
        computer.manage("wineserver", "--kill")
        computer.manage("wineserver", "--wait")
        shutil.rmtree(prefix)


@pytest.fixture(scope="session")
def host(windows_zip, wine) -> Host:
    place = wine / "drive_c" / "DBA Übung"
    with zipfile.ZipFile(windows_zip) as archive:
        archive.extractall(place)
    return Host(wine, place / windows_zip.stem)


@pytest.fixture(scope="session")
def simulator(tmp_path_factory) -> Iterator[Simulated]:
    """A simulator for all tests: a test that breaks a vault repairs it."""
    with simulating(tmp_path_factory.mktemp("simulator")) as simulated:
        yield simulated


@pytest.fixture
def config(host, simulator, request) -> Path:
    """Return a configuration for the simulator, in a folder of its own on the host."""
    return simulator.configure(host, host.prefix / "drive_c" / "Prüfung" / request.node.name)
