"""The systemd unit is valid for systemd and starts an existing command. No test boots systemd."""

import re
import shlex
import subprocess
from pathlib import Path

import pytest
import yaml

from exporter.cli.main import build_parser

ROOT = Path(__file__).parents[3]
UNIT = ROOT / "deploy" / "systemd" / "ekm-exporter.service"
INSTALL = ROOT / "docs" / "install.md"

DROP_IN = re.findall(r"```ini\n(.*?)```", INSTALL.read_text(), re.DOTALL)[0]


def analyze(*arguments: str | Path) -> str:
    done = subprocess.run(["systemd-analyze", *arguments], capture_output=True, text=True, check=False)  # noqa: S603, S607 - Debian's
    return done.stdout + done.stderr


def settings(name: str) -> list[str]:
    return re.findall(rf"^{name}=(.*)$", UNIT.read_text(), re.MULTILINE)


@pytest.mark.real
def test_unit_exposure_is_rated_below_two():
    rated = re.search(r"exposure level for \S+: ([\d.]+)", analyze("security", "--offline=true", UNIT))
    assert rated is not None
    assert float(rated[1]) < 2.0


def placed(folder: Path) -> Path:
    """Return the unit with an existing program."""
    program = folder / "ekm-exporter"
    program.write_text("#!/bin/sh\n")
    program.chmod(0o755)
    unit = folder / UNIT.name
    unit.write_text(UNIT.read_text().replace("/opt/ekm-exporter/bin/ekm-exporter", str(program)))
    return unit


@pytest.mark.real
def test_systemd_accepts_the_unit(tmp_path):
    assert analyze("verify", placed(tmp_path)) == ""


@pytest.mark.real
@pytest.mark.parametrize(("added", "complaint"), [("", ""), ("LoadCredentialEncrypted=sql-prod:../up\n", "../up")])
def test_systemd_accepts_the_unit_with_encrypted_secrets(added, complaint, tmp_path):
    unit = placed(tmp_path)
    folder = unit.with_name(f"{unit.name}.d")
    folder.mkdir()
    (folder / "override.conf").write_text(DROP_IN + added)
    output = analyze("verify", unit)
    assert complaint in output
    assert bool(output) == bool(complaint)


def test_encrypted_secrets_replace_the_clear_ones():
    _, reset, *encrypted = DROP_IN.splitlines()
    assert reset == "LoadCredential="
    names = {line.removeprefix("LoadCredentialEncrypted=").partition(":")[0] for line in encrypted}
    assert names == {value.partition(":")[0] for value in settings("LoadCredential")}


def test_unit_steps_check_the_configuration_after_the_start():
    steps = INSTALL.read_text().split("## systemd\n")[1].split("```sh\n")[1]
    assert steps.index("systemctl enable --now") < steps.index("ekm-exporter check")


def test_unit_command_parses():
    program, *arguments = shlex.split(settings("ExecStart")[0])
    assert program == "/opt/ekm-exporter/bin/ekm-exporter"
    assert build_parser().parse_args(arguments).handler
    assert settings("ExecReload") == ["/bin/kill -HUP $MAINPID"]


def test_unit_restarts_after_any_exit_without_limit():
    # A busy port and a late mount have exit code 2 like a bad configuration, and end without an action.
    # systemd does not treat SIGHUP and SIGTERM as failures: with `on-failure` the exporter stays stopped.
    assert settings("Restart") == ["always"]
    assert settings("RestartPreventExitStatus") == []
    assert settings("StartLimitIntervalSec") == ["0"]
    assert float(settings("RestartSec")[0]) >= 10


def test_unit_sets_no_core_dump():
    assert settings("LimitCORE") == ["0"]


def test_unit_allows_the_file_limit_calls():
    # getrlimit and setrlimit are in systemd's group @resources; without them the exporter does not start.
    assert settings("SystemCallFilter") == ["@system-service", "~@privileged"]


def test_unit_configuration_names_the_path_of_the_credential():
    names = [value.partition(":")[0] for value in settings("LoadCredential")]
    shown = [yaml.safe_load(block) for block in re.findall(r"```yaml\n(.*?)```", INSTALL.read_text(), re.DOTALL)]
    files = {
        one["client_secret_file"] for page in shown for one in page.get("credentials", {}).values() if "client_secret_file" in one
    }
    assert {f"/run/credentials/{UNIT.name}/{name}" for name in names} <= files
