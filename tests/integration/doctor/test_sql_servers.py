"""doctor reads simulated SQL Servers: each fault is found by the check that is for it."""

import asyncio
import json

import pytest

from exporter.cli import doctor
from exporter.cli.main import main
from exporter.config.schema import dump_yaml
from exporter.config.settings import SecretSource, SqlServer
from exporter.doctor.run import run_checks
from exporter.knowledge.checks_host import SQL
from exporter.knowledge.checks_vault import CheckOutcome
from exporter.runtime import process
from exporter.simulator.build import build_environment, redirect_config
from exporter.simulator.simulator import Simulator
from tests.support.factories import with_sql_servers
from tests.support.simulated_sql import CONFIG, FIRST, SECOND, configuration
from tests.support.values import replace
from tests.support.written import write_private

PASS, WARN, FAIL, SKIPPED = CheckOutcome.PASS, CheckOutcome.WARN, CheckOutcome.FAIL, CheckOutcome.SKIPPED


class SqlHarness:
    """Simulated SQL Servers and the checks of the target `sales`."""

    def __init__(self, folder, simulator):
        self.simulator, self.sql, self.ca, self.password = simulator, simulator.sql, folder / "ca.pem", folder / "sql-password"
        self.ca.write_bytes(simulator.ca_pem)
        write_private(self.password, simulator.sql.password)
        self.config = redirect_config(simulator, configuration(folder, CONFIG), self.ca)

    def server(self, name=FIRST, **changes):
        known = {"user": "ekm", "password": SecretSource(file=self.password), "ca_file": self.ca}
        return SqlServer(address=f"localhost,{self.sql.ports[name]}", **(known | changes))

    async def results(self, *servers):
        """The results of the checks by name."""
        config = with_sql_servers(self.config, *servers)
        async with doctor.sql_server_reader(config) as read:
            found = await run_checks(config, config.targets["sales"], read_sql_server=read)
        return {result.check: result for result in found if result.check in {check.name for check in SQL}}


@pytest.fixture
async def sql(tmp_path):
    async with Simulator(build_environment(configuration(tmp_path, CONFIG)), sql_port=0) as simulator:
        yield SqlHarness(tmp_path, simulator)


def outcomes(results, *names):
    return [results[name].outcome for name in names]


async def test_servers_of_the_target_are_read(sql):
    results = await sql.results(*(sql.server(name) for name in sql.sql.ports))
    assert outcomes(results, "sql_connection", "sql_login", "sql_rights", "sql_labels", "sql_keys", "sql_proof") == [PASS] * 6
    # The third server belongs to another target: only its reading shows that.
    assert results["sql_labels"].detail == "SQLPRD01 on n1, SQLPRD01 on n2"


async def test_untrusted_certificate_fails_the_connection(sql):
    results = await sql.results(sql.server(ca_file=None), sql.server(SECOND))
    assert outcomes(results, "sql_connection", "sql_login") == [FAIL, PASS]
    assert "certificate" in results["sql_connection"].detail
    assert "set ca_file to its authority" in results["sql_connection"].detail


async def test_wrong_password_fails_the_login(sql):
    write_private(sql.password, "wrong-password")
    results = await sql.results(sql.server())
    assert outcomes(results, "sql_connection", "sql_login", "sql_rights") == [PASS, FAIL, SKIPPED]
    assert "18456" in results["sql_login"].detail
    assert "wrong-password" not in repr(results)


async def test_server_that_answers_with_the_name_of_another_one_is_shown_by_its_address(sql):
    results = await sql.results(claims := sql.server(), sql.server(SECOND, sql_instance="SQLPRD01", host="n1"))
    shown = f"{claims.address} (answers as SQLPRD01 on n1)"
    assert results["sql_login"].detail == f"accepted by {shown}, SQLPRD01 on n1"
    assert results["sql_labels"].outcome is WARN
    assert results["sql_labels"].detail.startswith(f"{shown}, and so does another address; ")


async def test_public_key_shows_moved_databases_without_registry_and_thumbprint(sql):
    sales = replace(sql.config.targets["sales"], thumbprint=None)
    sql.config = replace(sql.config, targets={"sales": sales})
    sql.simulator.set_fault("sql_registry_refused", sql=FIRST)
    assert (await sql.results(sql.server()))["sql_keys"].outcome is PASS
    sql.simulator.set_fault("sql_databases_moved", sql=FIRST)
    found = (await sql.results(sql.server()))["sql_keys"]
    assert found.outcome is WARN
    assert "uses the key of thumbprint" in found.detail


async def test_server_without_the_driver_is_a_failure(sql, monkeypatch):
    monkeypatch.setitem(process.MODULES, "sql", "no_such_module")
    found = (await sql.results(sql.server()))["sql_connection"]
    assert found.outcome is FAIL
    assert "ekm-exporter[sql]" in found.detail


async def test_command_reads_the_servers_of_the_configuration(sql, tmp_path, capsys):
    (tmp_path / "whole.yml").write_text(dump_yaml(with_sql_servers(sql.config, sql.server())))
    await asyncio.to_thread(main, ["doctor", "sales", "--config.file", str(tmp_path / "whole.yml"), "--json"])
    checks = {check["check"]: check["outcome"] for check in json.loads(capsys.readouterr().out)["checks"]}
    assert (checks["sql_connection"], checks["sql_login"], checks["sql_labels"]) == ("pass", "pass", "pass")
