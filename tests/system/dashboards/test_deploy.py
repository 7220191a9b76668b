"""The files that set up Prometheus, Alertmanager, Grafana and the demo together.

Each is checked with its own tool or against its format. Starting the four containers needs Docker and Grafana, and is not tested here.
"""

from __future__ import annotations

import re
import shutil
import subprocess
from pathlib import Path

import pytest
import yaml

from exporter.cli.main import build_parser
from tests.support.patience import PROGRAM_SECONDS
from tests.system.dashboards.boards import BOARDS

DEPLOY = Path(__file__).parents[3] / "deploy"
COMPOSE = yaml.safe_load((DEPLOY / "compose.yml").read_text())
SERVICES = COMPOSE["services"]
# The keys of a service in the Compose specification that are used.
KEYS = {
    "build", "cap_drop", "command", "depends_on", "environment", "image", "ports", "read_only", "security_opt", "tmpfs", "volumes",
}  # fmt: skip
DATASOURCE_KEYS = {"name", "uid", "type", "access", "url", "isDefault", "editable", "jsonData"}
PROVIDER_KEYS = {"name", "folder", "folderUid", "type", "disableDeletion", "allowUiUpdates", "updateIntervalSeconds", "options"}


def mounts(service: str) -> dict[str, Path]:
    """Return each file or folder of this checkout by its path in the container."""
    found = {}
    for volume in SERVICES[service].get("volumes", []):
        source, target, *_ = volume.split(":")
        if source.startswith("."):
            found[target] = (DEPLOY / source).resolve()
    return found


def provisioned(kind: str) -> dict:
    (file,) = (mounts("grafana")["/etc/grafana/provisioning"] / kind).iterdir()
    return yaml.safe_load(file.read_text())


@pytest.mark.parametrize("name", SERVICES)
def test_service_uses_known_keys_and_listens_on_loopback(name):
    service = SERVICES[name]
    assert set(service) <= KEYS
    assert all(port.startswith("127.0.0.1:") for port in service["ports"])
    assert "build" in service or re.search(r":v?\d+\.\d+\.\d+$", service["image"])
    assert set(service.get("depends_on", [])) <= set(SERVICES)
    named = {volume.split(":")[0] for volume in service.get("volumes", [])} & set(COMPOSE["volumes"])
    assert all(volume.startswith((".", *named)) for volume in service.get("volumes", []))


@pytest.mark.parametrize("name", SERVICES)
def test_mounts_exist_and_are_read_only(name):
    for target, source in mounts(name).items():
        assert source.exists(), target
    assert all(volume.endswith(":ro") for volume in SERVICES[name].get("volumes", []) if volume.startswith("."))


def test_exporter_starts_with_known_flags():
    parsed = vars(build_parser().parse_args(SERVICES["exporter"]["command"]))
    assert [str(address) for address in parsed["listen"]] == [":10377"]


def test_services_use_each_others_names_and_ports():
    listening = {f"{name}:{service['ports'][0].rsplit(':')[-1]}" for name, service in SERVICES.items()}
    prometheus = yaml.safe_load((DEPLOY / "prometheus" / "prometheus.yml").read_text())
    addresses = [target for job in prometheus["scrape_configs"] for each in job["static_configs"] for target in each["targets"]]
    addresses += [
        t for each in prometheus["alerting"]["alertmanagers"] for group in each["static_configs"] for t in group["targets"]
    ]
    addresses.append(provisioned("datasources")["datasources"][0]["url"].removeprefix("http://"))
    assert set(addresses) <= listening
    assert [job["job_name"] for job in prometheus["scrape_configs"]] == ["ekm"]


def test_grafana_has_one_prometheus_and_the_dashboards():
    (source,) = provisioned("datasources")["datasources"]
    assert set(source) <= DATASOURCE_KEYS
    assert (source["type"], source["jsonData"]["timeInterval"]) == ("prometheus", "15s")
    (provider,) = provisioned("dashboards")["providers"]
    assert set(provider) <= PROVIDER_KEYS
    folder = mounts("grafana")[provider["options"]["path"]]
    assert {path.stem for path in folder.glob("*.json")} == set(BOARDS)


def rebuilt(service: str, place: Path) -> Path:
    """Copy the files of a service to `place`, with the paths of its container."""
    for target, source in mounts(service).items():
        there = place / target.lstrip("/")
        there.parent.mkdir(parents=True, exist_ok=True)
        (shutil.copytree if source.is_dir() else shutil.copy)(source, there)
    return place


@pytest.mark.real
@pytest.mark.parametrize(
    ("service", "tool"),
    [
        ("prometheus", ["promtool", "check", "config", "etc/prometheus/prometheus.yml"]),
        ("alertmanager", ["amtool", "check-config", "etc/alertmanager/alertmanager.yml"]),
    ],
)
def test_server_accepts_its_mounted_configuration(service, tool, tmp_path):
    place = rebuilt(service, tmp_path)
    checked = subprocess.run(tool, cwd=place, capture_output=True, text=True, check=False, timeout=PROGRAM_SECONDS)  # noqa: S603 - the server's own tool
    assert checked.returncode == 0, checked.stdout + checked.stderr
    assert re.search(r"SUCCESS", checked.stdout)
    assert "rules found" in checked.stdout or "template" in checked.stdout
