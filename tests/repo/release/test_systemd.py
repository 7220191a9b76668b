"""The systemd units are valid for systemd and start an existing command. No test boots systemd."""

import os
import re
import shlex
import subprocess
from pathlib import Path

import pytest
import yaml

from docs.generators import units
from exporter.cli.main import build_parser
from tests.support.patience import PROGRAM_SECONDS

ROOT = Path(__file__).parents[3]
FOLDER = ROOT / "deploy" / "systemd"
UNIT, SHARD, TARGET = (FOLDER / f"ekm-exporter{end}" for end in (".service", "@.service", ".target"))
INSTALL = ROOT / "docs" / "install.md"

DROP_IN = re.findall(r"```ini\n(.*?)```", INSTALL.read_text(), re.DOTALL)[0]


def analyze(*arguments: str | Path) -> str:
    done = subprocess.run(["systemd-analyze", *arguments], capture_output=True, text=True, check=False, timeout=PROGRAM_SECONDS)  # noqa: S603, S607 - Debian's
    return done.stdout + done.stderr


def settings(name: str, unit: Path = UNIT) -> list[str]:
    return re.findall(rf"^{name}=(.*)$", unit.read_text(), re.MULTILINE)


@pytest.mark.real
@pytest.mark.parametrize("unit", [UNIT, SHARD], ids=["single", "shard"])
def test_unit_exposure_is_rated_below_two(unit):
    rated = re.search(r"exposure level for \S+: ([\d.]+)", analyze("security", "--offline=true", unit))
    assert float(rated[1]) < 2.0


def placed(folder: Path) -> Path:
    """Return the unit with an existing program."""
    program = folder / "ekm-exporter"
    program.write_text("#!/bin/sh\n")
    program.chmod(0o755)
    for unit in (UNIT, SHARD, TARGET):
        (folder / unit.name).write_text(unit.read_text().replace("/opt/ekm-exporter/bin/ekm-exporter", str(program)))
    return folder / UNIT.name


@pytest.mark.real
@pytest.mark.parametrize("name", [UNIT.name, "ekm-exporter@0.service", "ekm-exporter.target"])
def test_systemd_accepts_the_unit(name, tmp_path):
    assert analyze("verify", placed(tmp_path).with_name(name)) == ""


@pytest.mark.parametrize("unit", [SHARD, TARGET], ids=["shard", "target"])
def test_units_of_shards_are_generated_from_the_single_unit(unit):
    assert unit.read_text() == units.UNITS[unit.name]()


def test_target_wants_every_shard_that_the_condition_allows():
    assert settings("Wants", TARGET) == [" ".join(f"ekm-exporter@{index}.service" for index in range(units.MOST))]
    assert f"-le {units.MOST} " in settings("ExecCondition", SHARD)[0]
    assert f"from 1 to {units.MOST}." in INSTALL.read_text()


@pytest.mark.parametrize(
    ("number", "codes"),
    [("1", [0, 1, 1]), ("2", [0, 0, 1]), ("8", [0, 0, 0]), *((bad, [255] * 3) for bad in ("0", "9", "-1", "x", "", "2x"))],
)
def test_shards_from_the_number_on_are_skipped_and_a_bad_number_fails(number, codes):
    # systemd skips a unit whose condition exits with 1 to 254; 255 is a failure.
    shell, flag, condition = shlex.split(settings("ExecCondition", SHARD)[0])
    commands = [[shell, flag, condition.replace("%i", str(index)).replace("$$", "$")] for index in (0, 1, 2)]
    environment = {"PATH": os.environ["PATH"], "EKM_SHARDS": number}
    done = [
        subprocess.run(command, env=environment, check=False, capture_output=True, timeout=PROGRAM_SECONDS).returncode  # noqa: S603 - the unit's
        for command in commands
    ]
    assert done == codes


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


def test_unit_command_parses():
    for unit in (UNIT, SHARD):
        command = settings("ExecStart", unit)[0].replace("%i", "1").replace("${EKM_SHARDS}", "2")
        program, *arguments = shlex.split(command)
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
