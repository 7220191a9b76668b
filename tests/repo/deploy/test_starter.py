"""The files of deploy/starter: made from the shipped ones, valid, the same on both systems, and complete in the archive."""

import re
import shlex
import shutil
import subprocess
import tarfile
import xml.etree.ElementTree as ET
from pathlib import Path

import pytest
import yaml

from alerts import starter
from deploy import starter_archive
from tests.system.alerts.alertmanager.test_routes import settings

ROOT = Path(__file__).parents[3]
PAGE = (ROOT / "docs" / "production.md").read_text()
SERVICES = ("ekm-prometheus", "ekm-alertmanager")
PROGRAMS = {"ekm-prometheus": "prometheus", "ekm-alertmanager": "alertmanager"}


@pytest.fixture(scope="module")
def unpacked(tmp_path_factory):
    place = tmp_path_factory.mktemp("starter")
    with tarfile.open(starter_archive.pack(place, ROOT, "0", 0)) as archive:
        archive.extractall(place, filter="data")
    return place / "ekm-starter-0"


@pytest.fixture(scope="module")
def alertmanager():
    return yaml.safe_load((starter.STARTER / "alertmanager.yml").read_text())


def unit(name):
    return (starter.STARTER / f"{name}.service").read_text()


def command(name):
    (line,) = re.findall(r"^ExecStart=(.*)$", unit(name).replace("\\\n", " "), re.MULTILINE)
    return shlex.split(line)


def service(name):
    return ET.parse(starter.STARTER / f"{name}.xml").getroot()  # noqa: S314 - a file of the project


def test_configurations_are_made_from_the_shipped_ones():
    assert (starter.STARTER / "alertmanager.yml").read_text() == starter.alertmanager()
    assert (starter.STARTER / "prometheus.yml").read_text() == starter.prometheus()


def test_pages_are_mails_and_cards_and_all_others_mails(alertmanager):
    kinds = {one["name"]: {key for key in one if key != "name"} for one in alertmanager["receivers"]}
    assert kinds == {
        "page-dba": {"email_configs", "msteamsv2_configs"},
        "page-platform": {"email_configs", "msteamsv2_configs"},
        "ticket-dba": {"email_configs"},
        "mail-platform": {"email_configs"},
        "default": {"email_configs"},
        "daily-mail": {"email_configs"},
        "blackhole": set(),
    }
    used = {value for key, value in settings(alertmanager["route"]) if key == "receiver"}
    assert used == set(kinds)


def test_secrets_come_only_from_files_that_the_page_writes(alertmanager):
    files = {value for key, value in settings(alertmanager) if key.endswith("_file")}
    assert files == {"secrets/smtp-password", "secrets/teams-url"}
    for name in (file.removeprefix("secrets/") for file in files):
        assert f"> {name};" in PAGE
        assert rf'"$base\secrets\{name}"' in PAGE
    inline = {"smtp_auth_password", "auth_password", "password", "webhook_url", "url", "credentials"}
    assert inline.isdisjoint(key for key, _ in settings(alertmanager))


@pytest.mark.parametrize("name", SERVICES)
def test_windows_service_has_the_flags_of_the_unit(name):
    program, *flags = command(name)
    folders = {"/etc/ekm-monitoring": "%BASE%", "/var/lib/ekm-monitoring": "%BASE%/data"}
    for old, new in folders.items():
        flags = [flag.replace(old, new) for flag in flags]
    windows = service(name)
    assert shlex.split(windows.findtext("arguments").replace("\\", "/")) == flags
    assert windows.findtext("executable") == rf"%BASE%\{PROGRAMS[name]}.exe"
    assert program == f"/opt/ekm-monitoring/{PROGRAMS[name]}"
    assert windows.findtext("id") == name
    environment = {one.get("name"): one.get("value") for one in windows.findall("env")}
    assert environment == dict(re.findall(r"^Environment=(\w+)=(.*)$", unit(name), re.MULTILINE))
    # Relative paths of secrets.
    assert (windows.findtext("workingdirectory"), "WorkingDirectory=/etc/ekm-monitoring\n" in unit(name)) == ("%BASE%", True)


@pytest.mark.parametrize("name", SERVICES)
def test_program_listens_on_loopback_only(name):
    listening = [flag.partition("=")[2] for flag in command(name) if "listen-address" in flag]
    assert {address.rpartition(":")[0] for address in listening} <= {"127.0.0.1", ""}
    assert any(address for address in listening)


def test_archive_is_complete_and_reproducible(unpacked, tmp_path):
    names = {path.relative_to(unpacked).as_posix() for path in unpacked.rglob("*") if path.is_file()}
    runbooks = {f"runbooks/{path.name}" for path in (ROOT / "alerts" / "runbooks").iterdir()}
    assert names == set(starter_archive.FILES) | runbooks
    made = []
    for number in ("a", "b"):
        (tmp_path / number).mkdir()
        made.append(starter_archive.pack(tmp_path / number, ROOT, "1", 1_580_601_600).read_bytes())
    assert made[0] == made[1]


def test_archive_has_every_file_of_the_folder_except_templates():
    sources = {path for path in starter_archive.FILES.values() if path.startswith("deploy/starter/")}
    files = {path.relative_to(ROOT).as_posix() for path in starter.STARTER.iterdir()}
    assert files - sources == {"deploy/starter/alertmanager.template.yml"}


def accepted(*arguments):
    done = subprocess.run(arguments, capture_output=True, text=True, check=False, timeout=60)  # noqa: S603 - commands of this file
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout + done.stderr


@pytest.mark.real
def test_promtool_and_amtool_accept_the_unpacked_files(unpacked):
    assert "rules found" in accepted("promtool", "check", "config", unpacked / "prometheus.yml")
    assert " - 1 templates" in accepted("amtool", "check-config", unpacked / "alertmanager.yml")


@pytest.mark.real
def test_configuration_without_teams_is_valid(unpacked):
    """The lines that the head of the file names are deleted."""
    path = unpacked / "alertmanager.yml"
    text = re.sub(r"^    msteamsv2_configs: &teams\n(?:    .*\n)+", "", path.read_text(), flags=re.MULTILINE)
    text = text.replace("    msteamsv2_configs: *teams\n", "")
    assert not re.search(r"msteamsv2|teams-url", text.partition("\nglobal:")[2])
    alone = path.with_name("mail.yml")
    alone.write_text(text)
    accepted("amtool", "check-config", alone)
    alone.unlink()


@pytest.mark.real
@pytest.mark.parametrize(
    ("labels", "receiver"),
    [
        ("alertname=EkmWatchdog severity=info", "daily-mail"),
        ("alertname=EkmForbiddenSpike severity=critical", "page-platform"),
        ("alertname=EkmForbiddenSpike severity=critical team=dba", "page-dba"),
        ("alertname=EkmTest severity=critical", "page-platform"),
        ("alertname=EkmKeyStateInvalid severity=warning", "mail-platform"),
    ],
)
def test_alert_goes_to_its_receiver(unpacked, labels, receiver):
    config = f"--config.file={unpacked / 'alertmanager.yml'}"
    accepted("amtool", "config", "routes", "test", config, f"--verify.receivers={receiver}", *labels.split())


@pytest.mark.real
@pytest.mark.parametrize("name", SERVICES)
def test_systemd_accepts_the_unit_and_rates_it_below_two(name, tmp_path):
    program = tmp_path / "program"
    shutil.copy("/bin/true", program)
    placed = tmp_path / f"{name}.service"
    placed.write_text(unit(name).replace(command(name)[0], str(program)))
    assert accepted("systemd-analyze", "verify", placed) == ""
    rated = re.search(r"exposure level for \S+: ([\d.]+)", accepted("systemd-analyze", "security", "--offline=true", placed))
    assert float(rated[1]) < 2.0
