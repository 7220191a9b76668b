"""Parts that only Windows has, tested on Linux: process functions, locked list, scripts."""

import asyncio
import os
import re
import shlex
import signal
import stat
import sys
from importlib.metadata import requires
from pathlib import Path

import pytest
from packaging.requirements import Requirement

from exporter.cli.main import build_parser
from exporter.config.load import load_config
from exporter.runtime import process, signals
from tests.support.transcripts import blocks

ROOT = Path(__file__).parents[3]
PLACE = ROOT / "deploy" / "windows"
STEPS = ROOT / "docs" / "windows.md"
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


def test_windows_step_flags_exist():
    commands = re.findall(r"^> ekm-exporter (.+)$", STEPS.read_text(), re.MULTILINE)
    assert commands
    for command in commands:
        if command != "--version":
            assert build_parser().parse_args(shlex.split(command.replace("\\", "/"))).handler


@pytest.mark.parametrize("script", ["install-hosts.ps1"])
def test_windows_steps_give_parameters_that_the_script_has(script):
    text = (PLACE / script).read_text()
    parameters = set(re.findall(r"^    (?:\[[^\n]*\])\$(\w+)", text.split("\nSet-StrictMode")[0], re.MULTILINE)) | {
        "WhatIf",
        "Verbose",
    }
    shown = re.findall(
        rf"(?<!\w){re.escape(script)}\"?( -[^\n`|]*)", "\n".join(blocks(STEPS.read_text(encoding="utf-8"), "powershell"))
    )
    assert shown
    assert {name for line in shown for name in re.findall(r" -(\w+)", line)} <= parameters
    documented = set(re.findall(r"^\.PARAMETER (\w+)", text, re.MULTILINE))
    assert documented == parameters - {"WhatIf", "Verbose"}


def test_windows_example_configuration_loads(tmp_path):
    shown = (PLACE / "ekm.example.yml").read_text(encoding="utf-8")
    assert [shown] == blocks(STEPS.read_text(encoding="utf-8"), "yaml")
    (tmp_path / "secrets").mkdir()
    (tmp_path / "secrets" / "ekm-credential").write_text("0" * 32 + "planted")
    (tmp_path / "secrets" / "ekm-credential").chmod(0o600)
    (tmp_path / "ekm.yml").write_text(shown.replace("secrets\\", "secrets/"))
    assert load_config(tmp_path / "ekm.yml").problems == ()


def test_locked_list_is_complete_for_windows():
    locked = set(re.findall(r"^([\w.-]+)==", (ROOT / "requirements.lock").read_text(), re.MULTILINE))
    for name in locked:
        for line in requires(name) or []:
            need = Requirement(line)
            if need.marker is None or need.marker.evaluate(WINDOWS):
                assert need.name.lower().replace("_", "-").replace(".", "-") in locked, f"{name} needs {need} on Windows"


def test_only_the_runtime_depends_on_the_platform():
    checks = re.compile(
        r"sys\.platform|os\.name\b|\bmsvcrt\b|\bfcntl\b|import resource\b|import winreg|hasattr\((?:os|signal|socket)\b"
    )
    found = {
        str(path.relative_to(ROOT / "exporter")) for path in (ROOT / "exporter").rglob("*.py") if checks.search(path.read_text())
    }
    found = {path for path in found if not path.startswith("windows/")}  # these modules are for Windows alone
    # How a shell quotes a path, and a certificate that is a file in memory where Linux offers that.
    assert found == {"runtime/process.py", "runtime/signals.py", "web/tls.py"}


@pytest.mark.usefixtures("windows")
def test_windows_has_its_own_sign_in_and_no_permission_bits():
    assert process.is_windows()
    assert not process.every_user_may_read(0o777)
    assert process.other_writers(os.stat_result((stat.S_IFDIR | 0o777, *[0] * 9))) == ""
    assert process.open_directory(ROOT) is None
