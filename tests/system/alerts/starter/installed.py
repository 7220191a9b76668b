"""The starter of a release, unpacked and started as its systemd units start it.

Nothing but these tables and the division of all durations by `SCALE` separates the test from an installation.
"""

import asyncio
import contextlib
import re
import shlex
import shutil
import signal
import tarfile
from collections.abc import AsyncIterator
from dataclasses import dataclass
from pathlib import Path

from alerts import build
from deploy import starter_archive
from tests.system.alerts.alertmanager.rendering import milliseconds
from tests.system.alerts.starter.recipients import PASSWORD, Recipients
from tests.system.prometheus.servers import Prometheus, answered, free_port, running

ROOT = Path(__file__).parents[4]
SCALE = 100
DURATION = re.compile(r"^(\s*(?:\w+_wait|\w+_interval|resolve_timeout): )(\w+)", re.MULTILINE)
# Flags that the units do not have: a default of Prometheus, one minute, divided.
UNITS = {"ekm-prometheus": [f"--rules.alert.resend-delay={60_000 // SCALE}ms"], "ekm-alertmanager": []}


@dataclass
class Starter:
    """A running Prometheus and Alertmanager, and the folder of their files and logs."""

    folder: Path
    prometheus: Prometheus
    process: asyncio.subprocess.Process

    async def load_rules(self) -> None:
        """Load the rules after the first scrape: Prometheus finds its targets after five seconds, which are minutes of the rules."""
        await self.prometheus.eventually("up == 1", bool)
        (self.folder / "ekm.rules.yml").write_text(build.rules(SCALE))
        self.process.send_signal(signal.SIGHUP)

    def logs(self) -> str:
        return "\n".join(path.read_text() for path in sorted(self.folder.glob("*.log")))


def substitutes(place: Path, exporter: str, recipients: Recipients) -> dict[str, str]:
    """What is different from an installation by docs/production.md: ports, paths, addresses, and the hour of the daily mail."""
    return {
        "127.0.0.1:9090": f"127.0.0.1:{free_port()}",
        "127.0.0.1:9093": f"127.0.0.1:{free_port()}",
        "/etc/ekm-monitoring": str(place),
        "/var/lib/ekm-monitoring": str(place / "data"),
        "/opt/ekm-monitoring/prometheus": str(shutil.which("prometheus")),
        "/opt/ekm-monitoring/alertmanager": str(shutil.which("prometheus-alertmanager")),
        "sqlhost1:10377": exporter,
        "mail.example.com:587": recipients.smtp,
        'start_time: "07:00", end_time: "08:00"': 'start_time: "00:00", end_time: "24:00"',
    }


def secrets(recipients: Recipients) -> dict[str, str]:
    return {"smtp-password": PASSWORD, "teams-url": recipients.teams}


def unpacked(place: Path) -> Path:
    """Return the folder of the unpacked archive."""
    with tarfile.open(starter_archive.pack(place, ROOT, "0", 0)) as archive:
        archive.extractall(place, filter="data")
    return place / "ekm-starter-0"


def faster(text: str) -> str:
    return DURATION.sub(lambda found: f"{found[1]}{milliseconds(found[2]) // SCALE}ms", text)


def replaced(text: str, table: dict[str, str]) -> str:
    for old, new in table.items():
        text = text.replace(old, new)
    return text


def command_of(unit: str) -> tuple[list[str], dict[str, str]]:
    """Return command and environment of a unit."""
    (line,) = re.findall(r"^ExecStart=(.*)$", unit.replace("\\\n", " "), re.MULTILINE)
    return shlex.split(line), dict(re.findall(r"^Environment=(\w+)=(.*)$", unit, re.MULTILINE))


@contextlib.asynccontextmanager
async def started(place: Path, exporter: str, recipients: Recipients) -> AsyncIterator[Starter]:
    """Start both services, without rules."""
    folder = unpacked(place)
    table = substitutes(folder, exporter, recipients)
    for name in ("prometheus.yml", "alertmanager.yml"):
        (folder / name).write_text(faster(replaced((folder / name).read_text(), table)))
    (folder / "secrets").mkdir(mode=0o700)
    for name, value in secrets(recipients).items():
        (folder / "secrets" / name).write_text(value)
    for name in ("ekm.rules.yml", "ekm-sql.rules.yml"):
        (folder / name).write_text("groups: []\n")
    async with contextlib.AsyncExitStack() as stack:
        urls, processes = {}, {}
        for name, more in UNITS.items():
            command, environment = command_of(replaced((folder / f"{name}.service").read_text(), table))
            trusted = environment | {"SSL_CERT_FILE": str(recipients.authority.file)}
            # The unit's working directory, to which the paths of secrets are relative.
            inside = ("env", "--chdir", str(folder), *command, *more)
            processes[name] = await stack.enter_async_context(running(folder / f"{name}.log", *inside, environment=trusted))
            urls[name] = re.findall(r"--web.listen-address=(\S+)", " ".join(command))[0]
        for url in urls.values():
            await answered(f"http://{url}/-/ready", lambda _: True)
        yield Starter(folder, Prometheus(f"http://{urls['ekm-prometheus']}"), processes["ekm-prometheus"])
