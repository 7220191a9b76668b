"""Simulated SQL Servers and a real Prometheus: an alert that joins two scrapes, and groups of rules, fires and ends.

tests/integration/sqlservers/test_stories.py has all others.
"""

import contextlib
import json
import sys
from collections.abc import AsyncIterator
from dataclasses import dataclass
from pathlib import Path

import aiohttp
import pytest
import pytest_asyncio
import yaml

from tests.support.simulated_sql import OLD
from tests.system.prometheus import sql_series
from tests.system.prometheus.servers import Prometheus, fetch, free_port, prometheus_of, started

pytestmark = [pytest.mark.real, pytest.mark.asyncio(loop_scope="module")]

ALERTS = Path(__file__).parents[3] / "alerts"
THUMBPRINTS = {"SQLPRD01": "0x" + "A1" * 20, "SQLPRD02": "0x" + "C3" * 20}
CONFIG = f"""
global: {{interval: 2s, timeout: 1s, connector_generation: current, vantage: sql_host}}
credentials:
  tde: {{type: connector_secret, secret_file: tde.txt, expires_on: 2099-01-01}}
target_defaults: {{credential: tde}}
targets:
  - {{name: sales, vault: contoso-sales, key: SalesKey/{OLD}, thumbprint: "{THUMBPRINTS["SQLPRD01"]}", instances: [{{sql_instance: SQLPRD01, host: n1}}]}}
  - {{name: claims, vault: contoso-claims, key: ClaimsKey/{OLD}, thumbprint: "{THUMBPRINTS["SQLPRD02"]}", instances: [{{sql_instance: SQLPRD02, host: n2}}]}}
"""
SCRAPES = """\
global: {{scrape_interval: 3s, scrape_timeout: 3s, evaluation_interval: 1s}}
rule_files: [rules.yml]
scrape_configs:
  - job_name: ekm
    static_configs: [{{targets: ["{exporter}", "{sql}"]}}]
"""
SECOND = "N2\\SQLPRD02"


@dataclass
class Programs:
    """The running programs."""

    prometheus: Prometheus
    management: str

    async def set_fault(self, **fault: object) -> None:
        await self._send("POST", "fault", fault)

    async def set_day(self, **settings: object) -> None:
        await self._send("POST", "day", settings)

    async def clear(self) -> None:
        await self._send("DELETE", "fault")

    async def _send(self, method: str, path: str, document: object = None) -> None:
        async with aiohttp.ClientSession(raise_for_status=True) as session:
            await session.request(method, f"{self.management}/sim/{path}", json=document)

    async def firing(self, alert: str, *instances: str) -> None:
        """Wait until exactly these SQL Servers have the alert."""
        selector = f'ALERTS{{alertname="{alert}", alertstate="firing"}}'
        await self.prometheus.eventually(
            selector, lambda found: sorted(one["metric"]["sql_instance"] for one in found) == sorted(instances)
        )


def rules() -> str:
    """Return the shipped rules; each alert fires after one second, and ten minutes are twenty seconds."""
    document = yaml.safe_load((ALERTS / "ekm-sql.rules.yml").read_text(encoding="utf-8"))
    for group in document["groups"]:
        group.pop("interval", None)
        for rule in group["rules"]:
            if "alert" in rule:
                rule["for"] = "1s"
            rule["expr"] = rule["expr"].replace("[10m]", "[20s]")
    return yaml.safe_dump(document)


def _without_sql_servers(configuration: Path) -> Path:
    """Write the configuration without its SQL Servers: the exporter would read them, too, and show states of five minutes ago."""
    document = yaml.safe_load(configuration.read_text())
    del document["sql_servers"]
    written = configuration.with_name("targets.yml")
    written.write_text(yaml.safe_dump(document))
    return written


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def programs(tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[Programs]:
    place = tmp_path_factory.mktemp("sql")
    (place / "tde.txt").write_text("00000000000000000000000000000001" + "marked-secret")
    (place / "ekm.yml").write_text(CONFIG)
    management, exporter, sql = (f"127.0.0.1:{free_port()}" for _ in range(3))
    async with contextlib.AsyncExitStack() as stack:
        patch = stack.enter_context(pytest.MonkeyPatch.context())
        patch.setattr("exporter.sqlserver.alerting.LINES_APART", 2.0)

        async def start(name: str, url: str, *command: object) -> None:
            await stack.enter_async_context(started(place / f"{name}.log", url, *command))

        program = (sys.executable, "-m", "exporter")
        ports = ("--sim.port", 0, "--sim.management-port", management.partition(":")[2])
        flags = ("--config.file", place / "ekm.yml", "--out", place / "sim", *ports, "--sql")
        await start("simulator", f"http://{management}/sim/state", *program, "simulate", *flags)
        flags = ("--config.file", _without_sql_servers(place / "sim" / "ekm.yml"), "--web.listen-address", exporter)
        await start("exporter", f"http://{exporter}/metrics", *program, "run", *flags)
        password = (place / "sim" / "sql-password").read_text()
        state = json.loads(await fetch(f"http://{management}/sim/state"))
        servers = {}
        for server in state["sql_servers"]:
            host, _, sql_instance = server["sql"].partition("\\")
            servers[server["address"].replace(":", ",")] = sql_instance, host.lower()
        await stack.enter_async_context(sql_series.serving(sql, servers, password, place / "sim" / "ca.pem"))
        (place / "rules.yml").write_text(rules())
        scrapes = SCRAPES.format(exporter=exporter, sql=sql)
        yield Programs(await stack.enter_async_context(prometheus_of(place, scrapes)), f"http://{management}")


async def test_series_of_every_server_arrive(programs):
    for name in ("mssql_ekm_start_timestamp_seconds", "mssql_ekm_provider_info", "mssql_ekm_asymmetric_key_info"):
        await programs.prometheus.eventually(
            name, lambda found: {one["metric"]["sql_instance"] for one in found} == set(THUMBPRINTS)
        )
    states = await programs.prometheus.query("mssql_ekm_database_encryption_state")
    assert {one["metric"]["sql_instance"]: one["metric"]["encryptor_thumbprint"] for one in states} == THUMBPRINTS
    assert {one["value"][1] for one in states} == {"3"}


async def test_wrong_secret_in_sql_server_fires_backups_fail_until_a_good_backup(programs):
    await programs.set_day(sql=SECOND, every=3, token_seconds=1)
    await programs.set_fault(sql=SECOND, fault="sql_secret_changed", seconds=60)
    await programs.firing("EkmSqlBackupsFail", "SQLPRD02")
    await programs.set_fault(sql=SECOND, fault="sql_credential_altered", seconds=0)
    await programs.firing("EkmSqlBackupsFail")
    await programs.clear()
