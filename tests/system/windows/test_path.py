"""docs/windows.md under Wine, command by command: from the MSI to the alert of a real Prometheus."""

import asyncio
import json
import re
import sys
from pathlib import Path

import pytest
import yaml

from alerts import build
from tests.support.transcripts import missing
from tests.system.prometheus.servers import Prometheus, answered, fetch, free_port, prometheus_of, started
from tests.system.windows.host import Host
from tests.system.windows.reader import Reader, block, step

pytestmark = [pytest.mark.real, pytest.mark.asyncio]

SECRET = "66666666777788889999000000000000MARKED~typed.secret_9Z"
SCALE = 30  # a probe every two seconds instead of each minute; every duration of the rules divided by this
SCRAPES = """\
global: {{scrape_interval: 1s, scrape_timeout: 1s, evaluation_interval: 500ms}}
rule_files: [ekm.rules.yml]
scrape_configs: [{{job_name: ekm, honor_labels: true, static_configs: [{{targets: ["{address}"]}}]}}]
"""
NAMED = re.compile(r"(?:ekm-exporter docs |(?=(?:docs|alerts/runbooks)/))([\w./-]+[\w](?:#[\w-]+)?)")
CONFIGURATION = block("3 ", "yaml")


def simulate(place: Path, management: str) -> tuple[object, ...]:
    """Return the command of docs/simulator.md that serves the vault of the page's configuration."""
    (place / "secrets").mkdir()
    secret = place / "secrets" / "ekm-credential"
    secret.write_text(SECRET)
    secret.chmod(0o600)
    (place / "ekm.yml").write_text(CONFIGURATION.replace("\\", "/"))
    ports = ("--sim.port", 0, "--sim.management-port", management.partition(":")[2])
    return (sys.executable, "-m", "exporter", "simulate", "--config.file", place / "ekm.yml", "--out", place / "sim", *ports)


def with_simulator(reader: Reader, place: Path) -> str:
    """Return the page's configuration with the addresses of the simulator, which it wrote itself."""
    modules = yaml.safe_load((place / "sim" / "ekm.yml").read_text())["modules"]
    modules["default"]["tls"]["ca_file"] = reader.host.windows_path(place / "sim" / "ca.pem")
    return CONFIGURATION + yaml.safe_dump({"modules": modules})


async def follow(reader: Reader, number: int) -> None:
    """Type the commands of a step, and compare what they print with the page."""
    for command, lines in step(number):
        code = 1 if any(" failed" in line for line in lines) else 0
        output = await asyncio.to_thread(reader.types, command, code)
        assert missing(lines, output) == [], f"{command}\n{output}"


async def see_on_page(reader: Reader, words: str) -> None:
    """Open the page again and again until it shows the words."""
    url = f"http://localhost:{reader.port}/"
    await answered(url, lambda _: words in reader.types(f"start {url}"))


def alert_of_the_page() -> tuple[str, list[str]]:
    """Return the name of the alert on the page, and the pieces of its text between the marks of omission."""
    name, _, text = " ".join(block("5 ", "text").split()).partition(": ")
    return name, [piece.strip() for piece in text.split("...")]


async def see_alert(prometheus: Prometheus, reader: Reader, address: str) -> None:
    """Wait for the alert, and compare its text with the page. It names this host."""
    name, pieces = alert_of_the_page()
    await prometheus.eventually(f'ALERTS{{alertname="{name}", alertstate="firing"}}', bool)
    alerts = json.loads(await fetch(f"{prometheus.url}/api/v1/alerts"))["data"]["alerts"]
    (alert,) = [one for one in alerts if one["labels"]["alertname"] == name]
    written = alert["annotations"]
    text = f"{written['summary']} {written['description']} SQL Servers that depend on it: {written['sql_servers']}"
    for piece in pieces:
        assert piece.replace("sqlhost1:10377", address) in text
    assert alert["labels"]["instance"] == address
    reader.outputs.append(written["runbook_url"])


def probe_faster(reader: Reader) -> None:
    """Edit the configuration: the service applies it by itself."""
    hasty = reader.documents["ekm.yml"].replace("interval: 60s", "interval: 2s\n  timeout: 1s")
    reader.documents["ekm.yml"] = hasty
    reader.types("notepad ekm.yml")


async def names_open(reader: Reader) -> None:
    """Open each page that an output of the path names, on the host."""
    names = sorted({name for output in reader.outputs for name in NAMED.findall(output)})
    assert names == ["docs/runbooks/EkmCredentialRefused.md", "production"]
    for name in names:
        assert (await asyncio.to_thread(reader.types, f"ekm-exporter docs {name}")).startswith("#"), name


@pytest.fixture
def reader(wine, windows_msi):
    """A reader with the downloaded MSI. What the path has installed is removed at the end."""
    reader = Reader(Host(wine, wine), windows_msi.parent, free_port(), answers=[SECRET, SECRET[:-1]])
    yield reader
    reader.place = reader.downloads
    reader.types(f"msiexec /x {windows_msi.name} /qn REMOVEDATA=1")


async def test_page_leads_from_the_msi_to_the_alert(reader, tmp_path):
    management, address = f"127.0.0.1:{free_port()}", f"127.0.0.1:{reader.port}"
    (tmp_path / "ekm.rules.yml").write_text(build.rules(SCALE))
    async with started(tmp_path / "simulator.log", f"http://{management}/sim/state", *simulate(tmp_path, management)):
        reader.documents["ekm.yml"] = with_simulator(reader, tmp_path)
        await follow(reader, 1)
        with reader.console():
            for number in (2, 3, 4):
                await follow(reader, number)
            await see_on_page(reader, block("4 ", "text").strip())
            probe_faster(reader)
            async with prometheus_of(tmp_path, SCRAPES.format(address=address)) as prometheus:
                await prometheus.eventually("ekm_probe_interval_seconds == 2", bool)
                await follow(reader, 5)
                await see_alert(prometheus, reader, address)
                await see_on_page(reader, "the client secret is wrong")
            await names_open(reader)
    assert SECRET[:-1] not in "".join(reader.outputs)
