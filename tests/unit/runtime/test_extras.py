"""The command that installs an extra names the environment of the running exporter."""

import shlex
import sys

import pytest

from exporter.runtime.process import install_command

SPACED = r"C:\Program Files\ekm-exporter\venv\Scripts\python.exe"


@pytest.mark.parametrize(
    ("platform", "python", "command"),
    [
        ("linux", "/opt/ekm-exporter/bin/python", '/opt/ekm-exporter/bin/python -m pip install "ekm-exporter[sql]"'),
        ("linux", "/opt/my tools/python", "'/opt/my tools/python' -m pip install \"ekm-exporter[sql]\""),
        ("win32", SPACED, f"& '{SPACED}' -m pip install \"ekm-exporter[sql]\""),
    ],
)
def test_install_command_names_the_environment(monkeypatch, platform, python, command):
    monkeypatch.setattr(sys, "platform", platform)
    monkeypatch.setattr(sys, "executable", python)
    assert install_command("sql") == command
    assert platform == "win32" or shlex.split(command)[0] == python
