"""Parts of the Windows service, tested on Linux: wrapper, process functions, locked list."""

import asyncio
import re
import shlex
import signal
import sys
import xml.etree.ElementTree as ET
from importlib.metadata import requires
from pathlib import Path

import pytest
from packaging.requirements import Requirement

from exporter.cli.main import build_parser
from exporter.config import load_config
from exporter.runtime import process, signals

ROOT = Path(__file__).parents[3]
WRAPPER = ROOT / "deploy" / "windows" / "ekm-exporter.xml"
STEPS = ROOT / "deploy" / "windows" / "README.md"
WINDOWS = {"sys_platform": "win32", "platform_system": "Windows", "os_name": "nt", "extra": ""}


@pytest.fixture
def windows(monkeypatch):
    monkeypatch.setattr(sys, "platform", "win32")
    monkeypatch.setattr(signal, "SIGBREAK", signal.SIGUSR1, raising=False)


@pytest.fixture
def handlers():
    """Restore the signal handlers after the test."""
    numbers = (signal.SIGINT, signal.SIGTERM, signal.SIGUSR1, signal.SIGHUP)
    before = {number: signal.getsignal(number) for number in numbers}
    yield before
    for number, handler in before.items():
        signal.signal(number, handler)


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM, signal.SIGUSR1])
@pytest.mark.usefixtures("windows", "handlers")
async def test_windows_stop_signals_stop_the_exporter(number):
    stopped = asyncio.Event()
    signals.on_stop(stopped.set)
    signal.raise_signal(number)
    async with asyncio.timeout(30):
        await stopped.wait()


@pytest.mark.usefixtures("windows")
async def test_windows_has_no_reload_signal(handlers):
    signals.on_reload(lambda: None)
    assert signal.getsignal(signal.SIGHUP) == handlers[signal.SIGHUP]


@pytest.mark.usefixtures("windows")
def test_windows_has_no_file_limit():
    process.raise_file_limit()
    assert process.file_limit() is None


def test_windows_wrapper_starts_run_with_auto_reload():
    # The file of the project.
    service = ET.parse(WRAPPER).getroot()  # noqa: S314 - a file of the project
    arguments = shlex.split((service.findtext("arguments") or "").replace("\\", "/"))
    parsed = build_parser().parse_args(arguments)
    assert parsed.handler
    assert parsed.auto_reload
    assert service.findtext("id") == WRAPPER.stem
    assert service.findtext("executable") == r"%BASE%\venv\Scripts\ekm-exporter.exe"


def test_windows_step_flags_exist():
    commands = re.findall(r'ekm-exporter\.exe" (check [^\n]+)', STEPS.read_text())
    assert commands
    for command in commands:
        assert build_parser().parse_args(shlex.split(command)).handler


def test_windows_steps_write_files_before_the_service_starts():
    steps = STEPS.read_text(encoding="utf-8")
    order = (
        "# classic for connector", r'exe" install', r'icacls "$base\secrets"', "[IO.File]::WriteAllText(", 'exe" check ', "Start-Service",
    )  # fmt: skip
    places = [steps.index(what) for what in order]
    assert places == sorted(places)
    # The written file is the one that the configuration names.
    assert r'"$base\secrets\ekm-credential"' in steps
    assert r"secret_file: secrets\ekm-credential" in steps


def test_windows_configuration_loads(tmp_path):
    (shown,) = re.findall(r"```yaml\n(.*?)```", STEPS.read_text(encoding="utf-8"), re.DOTALL)
    (tmp_path / "secrets").mkdir()
    (tmp_path / "secrets" / "ekm-credential").write_text("0" * 32 + "planted")
    (tmp_path / "secrets" / "ekm-credential").chmod(0o600)
    (tmp_path / "ekm.yml").write_text(shown.replace("secrets\\", "secrets/"))
    assert load_config(tmp_path / "ekm.yml").problems == ()


def test_offline_download_names_the_platform():
    for page in (STEPS, ROOT / "docs" / "install.md"):
        (command,) = [
            line for line in page.read_text(encoding="utf-8").splitlines() if "pip download" in line and "win_amd64" in line
        ]
        assert {"--only-binary", ":all:", "--platform", "--python-version", "--no-deps", "--require-hashes"} <= set(
            command.split()
        )


def test_windows_step_names_no_localised_group():
    assert re.findall(r"BUILTIN|NT AUTHORITY|Administrators:", STEPS.read_text()) == []


def test_locked_list_is_complete_for_windows():
    locked = set(re.findall(r"^([\w.-]+)==", (ROOT / "requirements.lock").read_text(), re.MULTILINE))
    for name in locked:
        for line in requires(name) or []:
            need = Requirement(line)
            if need.marker is None or need.marker.evaluate(WINDOWS):
                assert need.name.lower().replace("_", "-").replace(".", "-") in locked, f"{name} needs {need} on Windows"
